//! What the tools take: searches over a large tree against `rg` and `fdfind` in turns, a patch of a long file, and
//! what the definitions of all tools cost. Searches run in this process, as they do in the daemon.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::profile::unrestricted;
use sandbox::Launcher;
use tools::apply_patch::{Mode, apply_by_hand};
use workspace::patience::Patience;
use workspace::search::{Find, Grep, Want, find, grep};
use workspace::sight::Sight;
use workspace::walk::Filter;

use crate::measure::{Failure, Runs, median_ms};
use crate::table::Table;

/// Lines of the file that is patched.
const LONG_FILE_LINES: u32 = 100_000;
/// Hunks of the patch.
const HUNKS: u32 = 10;

/// Searches in a tree of 50,000 files.
pub(crate) fn searches(_executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let scratch = tempfile::tempdir().map_err(Failure::of)?;
    let root = scratch.path().canonicalize().map_err(Failure::of)?;
    let files = runs.pick(50_000, 2_000);
    plant(&root, files)?;
    let sight = Sight::new(Arc::new(unrestricted()));
    let (patience, _waiting) = Patience::until(Instant::now() + Duration::from_secs(600));
    for (what, pattern, expected) in
        [("a rare word", "needle_in_it", files / 100), ("an expression", r"fn step_\d*7\(", files / 10)]
    {
        let wanted = Grep { pattern: pattern.to_owned(), want: Want::Files, ..Grep::default() };
        let ours = || {
            let found = grep(&sight, &root, &wanted, &patience).map_err(Failure::of)?;
            Ok(found.files.len())
        };
        let theirs = || program(Command::new("rg").args(["--files-with-matches", pattern]), &root);
        compare(
            &format!("grep of {what} over {files} files"),
            expected,
            runs,
            ours,
            theirs,
            ("rg", 1.3),
            table,
        )?;
    }
    let filter = Filter { globs: vec!["*7.rs".to_owned()], file_type: None };
    let wanted = Find { filter, limit: usize::MAX, ..Find::default() };
    let ours = || Ok(find(&sight, &root, &wanted, &patience).map_err(Failure::of)?.paths.len());
    let theirs = || program(Command::new("fdfind").args(["--type", "f", "--glob", "*7.rs"]), &root);
    compare(&format!("find over {files} files"), files / 10, runs, ours, theirs, ("fdfind", 1.3), table)
}

/// A patch of ten hunks to a file of 100,000 lines.
pub(crate) fn patch(_executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let scratch = tempfile::tempdir().map_err(Failure::of)?;
    let mut text = String::new();
    for line in 0..LONG_FILE_LINES {
        // Writing to a string does not fail.
        let _ = writeln!(text, "    let value_{line} = compute({line}, \"some text of usual length\");");
    }
    let mut patch = "*** Begin Patch\n*** Update File: long.rs\n".to_owned();
    for hunk in 0..HUNKS {
        let line = hunk * (LONG_FILE_LINES / HUNKS) + 5_000;
        let old =
            |line: u32| format!("    let value_{line} = compute({line}, \"some text of usual length\");");
        let _ = write!(patch, "@@\n {}\n-{}\n+changed\n {}\n", old(line - 1), old(line), old(line + 1));
    }
    patch.push_str("*** End Patch\n");
    let mut took = Vec::new();
    for _ in 0..runs.pick(15, 3) {
        fs::write(scratch.path().join("long.rs"), &text).map_err(Failure::of)?;
        let started = Instant::now();
        apply_by_hand(&patch, scratch.path(), Mode::AllOrNothing).map_err(Failure::of)?;
        took.push(started.elapsed());
    }
    table.at_most("patch of ten hunks to a file of 100,000 lines", median_ms(took), 30.0, "ms");
    Ok(())
}

/// What is sent of all tools with every request.
pub(crate) fn definitions(executable: &Path, _runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let registry =
        tools::standard::registry(Arc::new(Launcher::new(executable.to_owned(), None)), Vec::new());
    let tokens: usize = registry.listing().iter().map(|tool| tool.tokens).sum();
    let tokens = u32::try_from(tokens).map_err(Failure::of)?;
    table.at_most("definitions of all tools, estimated", f64::from(tokens), 3_500.0, "tokens");
    Ok(())
}

/// Ten folders of folders of files, with a repository's ignore files, and a few that are ignored.
fn plant(root: &Path, files: usize) -> Result<(), Failure> {
    fs::create_dir(root.join(".git")).map_err(Failure::of)?;
    fs::write(root.join(".gitignore"), "target/\n*.log\n/generated\n").map_err(Failure::of)?;
    for number in 0..files {
        let folder = root.join(format!("crate_{}/src/module_{}", number % 10, number / 100));
        fs::create_dir_all(&folder).map_err(Failure::of)?;
        let mut text = String::new();
        for line in 0..40 {
            let _ = writeln!(
                text,
                "/// Says what comes of it, line {line}.\nfn go_{line}(at: u32) -> u32 {{ at + {line} }}"
            );
        }
        let _ = writeln!(text, "fn step_{number}() {{}}");
        if number % 100 == 0 {
            text.push_str("// needle_in_it\n");
        }
        fs::write(folder.join(format!("file_{number}.rs")), text).map_err(Failure::of)?;
    }
    Ok(())
}

/// Runs both in turns; each must find as many.
fn compare(
    what: &str,
    expected: usize,
    runs: Runs,
    ours: impl Fn() -> Result<usize, Failure>,
    theirs: impl Fn() -> Result<usize, Failure>,
    (name, most): (&str, f64),
    table: &mut Table,
) -> Result<(), Failure> {
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for round in 0..=runs.pick(11, 2) {
        for (times, found) in [(&mut our_times, &ours as &dyn Fn() -> _), (&mut their_times, &theirs)] {
            let started = Instant::now();
            let count = found()?;
            let took = started.elapsed();
            if count != expected {
                return Err(Failure::Other(format!("{what}: {count} were found, not {expected}")));
            }
            // The first round warms the cache.
            if round > 0 {
                times.push(took);
            }
        }
    }
    let (ours, theirs) = (median_ms(our_times), median_ms(their_times));
    table.figure(&format!("{what}: ours"), ours, "ms");
    table.figure(&format!("{what}: {name}"), theirs, "ms");
    table.at_most(&format!("{what}: of {name}"), ours / theirs, most, "times");
    Ok(())
}

/// Lines that a program prints.
fn program(command: &mut Command, root: &Path) -> Result<usize, Failure> {
    let output = command.current_dir(root).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::Other(format!("{command:?}: {error}; install it")))?;
    Ok(output.stdout.iter().filter(|byte| **byte == b'\n').count())
}

//! What every Rust file must have and none may. Knows words of the language, nothing of types.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use crate::expect_none;
use crate::modules::{candidates, declarations, test_blocks};
use crate::package::{packages, read, repository};
use crate::source::code_of;

/// Where what exists on Unix only may be named; each behind an interface with a file per platform.
const UNIX_ONLY: &[&str] = &[
    "protocol/wire/",
    "daemon/sandbox/",
    "sandbox-helpers/",
    "daemon/workspace/src/path.rs",
    "daemon/workspace/src/path/",
];

/// Files of the harness that may wait, and why.
const MAY_SLEEP: &[(&str, &str)] = &[
    ("tests/src/scripted_model/body.rs", "the pause before an event is what the script asks for"),
    ("tests/simulation/clock.rs", "its clock is paused, and jumps to the end of the pause"),
    ("tests/bench/daemon.rs", "what a daemon does while nothing happens is what is measured"),
    ("tests/bench/tui.rs", "keys are pressed at moments that have nothing to do with those of frames"),
];

/// What is wrong with a file. `is_test` says that all of it is built for tests only.
fn complaints(file: &str, text: &str, is_test: bool) -> Vec<String> {
    let mut all = Vec::new();
    if !text.starts_with("//!") {
        all.push(format!(
            "`{file}`: does not begin with `//!`; say what it is for and what it knows nothing about"
        ));
    }
    if file.ends_with("/mod.rs") {
        all.push(format!("`{file}`: no `mod.rs`; name it after its module"));
    }
    let code = code_of(text);
    let squeezed = |line: &str| line.replace(' ', "");
    for (number, line) in code.lines().enumerate() {
        let (line, number) = (squeezed(line), number + 1);
        let is_ignored = line.contains("#[ignore") || (line.contains("cfg_attr") && line.contains(",ignore"));
        if is_ignored {
            all.push(format!("`{file}`:{number}: no `#[ignore]`; a test runs or is not there"));
        }
        let may_be_unix = UNIX_ONLY.iter().any(|place| file.starts_with(place));
        if !may_be_unix && (line.contains("os::unix") || line.contains("os::{unix")) {
            all.push(format!(
                "`{file}`:{number}: no `std::os::unix` here; what is Unix only lives in {UNIX_ONLY:?}"
            ));
        }
    }
    if !MAY_SLEEP.iter().any(|(place, _)| *place == file) {
        let whole = 0..code.len();
        let blocks = test_blocks(&code);
        for number in sleeps(&code, if is_test { from_ref(&whole) } else { &blocks }) {
            all.push(format!(
                "`{file}`:{number}: no `sleep` in tests; advance the clock or wait for an event"
            ));
        }
    }
    all
}

/// The lines in these places where something sleeps.
fn sleeps(code: &str, places: &[Range<usize>]) -> Vec<usize> {
    let mut lines = Vec::new();
    for place in places {
        for name in ["sleep(", "sleep_until(", "sleep_ms("] {
            for (at, _) in code[place.clone()].match_indices(name) {
                let at = place.start + at;
                let is_part_of_a_name =
                    code[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
                if !is_part_of_a_name {
                    lines.push(code[..at].lines().count().max(1));
                }
            }
        }
    }
    lines
}

/// The files that are built for tests only: everything of this package and of `tests` folders, and modules
/// that are declared under `#[cfg(test)]`, with what they declare.
fn test_files(
    roots: &BTreeSet<PathBuf>,
    files: &[PathBuf],
    read: impl Fn(&Path) -> String,
) -> BTreeSet<PathBuf> {
    let in_folder = |file: &&PathBuf| file.components().any(|part| part.as_os_str() == "tests");
    let mut found: BTreeSet<PathBuf> = files.iter().filter(in_folder).cloned().collect();
    loop {
        let before = found.len();
        for file in files {
            for declaration in declarations(&read(file)) {
                if declaration.is_test || found.contains(file) {
                    let places = candidates(file, roots.contains(file), &declaration.name);
                    found.extend(places.into_iter().filter(|place| files.contains(place)));
                }
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

#[test]
fn every_file_has_good_habits() {
    let mut all = Vec::new();
    for package in packages() {
        let from_disk = |file: &Path| read(&repository().join(file));
        let files = package.rust_files();
        let tests = test_files(&package.roots(), &files, from_disk);
        for file in &files {
            all.extend(complaints(&file.to_string_lossy(), &from_disk(file), tests.contains(file)));
        }
    }
    expect_none(&all);
}

#[test]
fn exceptions_name_files_that_exist() {
    for (file, reason) in MAY_SLEEP {
        assert!(repository().join(file).is_file() && !reason.is_empty(), "{file}");
    }
}

#[test]
fn each_bad_habit_is_caught_once() {
    let inside = |code: &str| format!("//! Doc.\n#[cfg(test)]\nmod tests {{\n{code}\n}}\n");
    for (file, text, is_test, wanted) in [
        ("a/b.rs", "// Doc.\n".to_owned(), false, "does not begin with `//!`"),
        ("a/mod.rs", "//! Doc.\n".to_owned(), false, "no `mod.rs`"),
        ("a/b.rs", inside("#[test]\n#[ignore]\nfn f() {}"), false, ":5: no `#[ignore]`"),
        ("a/b.rs", inside("#[ignore = \"slow\"]\nfn f() {}"), false, ":4: no `#[ignore]`"),
        ("a/b.rs", "//! Doc.\n#[cfg_attr(miri, ignore)]\n".to_owned(), false, ":2: no `#[ignore]`"),
        (
            "a/b.rs",
            "//! Doc.\nuse std::os::unix::fs::MetadataExt;\n".to_owned(),
            false,
            ":2: no `std::os::unix`",
        ),
        ("a/b.rs", inside("std::thread::sleep(x);"), false, ":4: no `sleep`"),
        (
            "a/b.rs",
            "//! Doc.\nuse tokio::time::sleep;\nfn f() { sleep (x) }".replace("sleep (", "sleep("),
            true,
            ":3: no `sleep`",
        ),
    ] {
        let found = complaints(file, &text, is_test);
        assert!(found.len() == 1 && found[0].contains(wanted), "{text}: {found:?}");
    }
}

#[test]
fn what_only_looks_like_a_bad_habit_is_let_through() {
    for (file, text) in [
        ("a/b.rs", "//! Doc.\nfn f() { tokio::time::sleep(x) }\n#[cfg(test)]\nmod tests {}\n"),
        (
            "a/b.rs",
            "//! Doc.\n#[cfg(test)]\nmod tests { fn no_sleep() { run(\"sleep(5)\"); } } // sleep(1)\n",
        ),
        ("protocol/wire/src/x.rs", "//! Doc.\nuse std::os::unix::fs::MetadataExt;\n"),
        ("daemon/workspace/src/path/unix.rs", "//! Doc.\nuse std::os::unix::ffi::OsStrExt;\n"),
    ] {
        assert_eq!(complaints(file, text, false), [""; 0], "{text}");
    }
}

#[test]
fn a_module_for_tests_makes_its_file_a_test_file() {
    let files = ["a/src/lib.rs", "a/src/fake.rs", "a/src/fake/part.rs", "a/src/b.rs", "a/tests/c.rs"]
        .map(PathBuf::from);
    let text = |file: &Path| match file.to_str().unwrap() {
        "a/src/lib.rs" => "#[cfg(test)]\nmod fake;\nmod b;".to_owned(),
        "a/src/fake.rs" => "mod part;".to_owned(),
        _ => String::new(),
    };
    let found = test_files(&BTreeSet::from([files[0].clone()]), &files, text);
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        [files[1].clone(), files[2].clone(), files[4].clone()]
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
}

//! Searches in trees, friendly and hostile.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::profile::{Access, GlobRule, NetworkAccess, PathRule, Profile, SandboxMode};
use rustix::fs::symlink;

use super::*;
use crate::files::FileError;
use crate::listing::{List, Listing, list};
use crate::patience::Patience;
use crate::sight::Sight;
use crate::walk::{Filter, Ignored};

/// A tree of these files, and its real path.
fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().expect("scratch");
    let root = scratch.path().canonicalize().expect("real");
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(path, content).expect("file");
    }
    (scratch, root)
}

/// Everything may be seen but these.
fn sight(hidden: &[&Path], globs: &[&str]) -> Sight {
    let paths = hidden.iter().map(|path| PathRule { path: path.to_path_buf(), access: Access::Hidden });
    let mut profile = Profile::new(SandboxMode::ReadOnly, Access::Read, paths.collect(), NetworkAccess::Off);
    profile.globs = globs
        .iter()
        .map(|glob| GlobRule { pattern: (*glob).to_owned(), access: Access::Hidden, except: Vec::new() })
        .collect();
    Sight::new(Arc::new(profile))
}

fn patient() -> Patience {
    let (patience, waiting) = Patience::until(Instant::now() + Duration::from_secs(60));
    // The tests wait for as long as it takes.
    std::mem::forget(waiting);
    patience
}

fn run(sight: &Sight, root: &Path, what: &Grep) -> GrepOutcome {
    grep(sight, root, what, &patient()).expect("grep")
}

/// What is found, as `path:number:text`; lines around a match have `-`.
fn shown(outcome: &GrepOutcome) -> Vec<String> {
    let line = |file: &FileMatches, line: &Line| {
        let sign = if line.is_match { ':' } else { '-' };
        format!("{}:{}{sign}{}", file.path.display(), line.number, line.text)
    };
    outcome.files.iter().flat_map(|file| file.lines.iter().map(move |found| line(file, found))).collect()
}

fn pattern(pattern: &str) -> Grep {
    Grep { pattern: pattern.to_owned(), ..Grep::default() }
}

fn names(sight: &Sight, root: &Path, what: &Find) -> Vec<String> {
    let found = find(sight, root, &Find { limit: 100, ..what.clone() }, &patient()).expect("find");
    found.paths.iter().map(|path| path.display().to_string()).collect()
}

const SOURCES: &[(&str, &str)] = &[
    (".gitignore", "target/\n*.log\n!keep.log\n"),
    (".git/HEAD", "ref: needle\n"),
    (".github/ci.yml", "needle: 1\n"),
    ("a.log", "needle\n"),
    ("keep.log", "needle\n"),
    ("src/.gitignore", "/made.rs\n"),
    ("src/lib.rs", "fn one() {}\nfn Needle() {}\nfn two() {}\n"),
    ("src/made.rs", "needle\n"),
    ("src/deep/mod.rs", "needle needle\n"),
    ("src/deep/made.rs", "needle\n"),
    ("target/out.rs", "needle\n"),
];

#[test]
fn grep_finds_what_the_repository_does_not_ignore() {
    let (_scratch, root) = tree(SOURCES);
    let all = sight(&[], &[]);
    let found = shown(&run(&all, &root, &pattern("needle")));
    assert_eq!(
        found,
        [
            ".github/ci.yml:1:needle: 1",
            "keep.log:1:needle",
            "src/deep/made.rs:1:needle",
            "src/deep/mod.rs:1:needle needle",
        ]
    );
    // From below, the rules above still hold; with them off, all but git's own is there.
    assert_eq!(shown(&run(&all, &root.join("src"), &pattern("needle"))).len(), 2);
    let included = Grep { ignored: Ignored::Included, ..pattern("needle") };
    assert_eq!(run(&all, &root, &included).files.len(), 7);
}

#[test]
fn grep_is_told_what_to_look_for_and_what_to_show() {
    let (_scratch, root) = tree(SOURCES);
    let all = sight(&[], &[]);
    let lib = root.join("src/lib.rs");
    let around = Grep { case: Case::Insensitive, context: 1, ..pattern("NEEDLE") };
    assert_eq!(shown(&run(&all, &lib, &around)), [":1-fn one() {}", ":2:fn Needle() {}", ":3-fn two() {}"]);
    let over_lines = Grep { is_multiline: true, ..pattern(r"one\(\) \{\}\nfn") };
    assert_eq!(shown(&run(&all, &lib, &over_lines)), [":1:fn one() {}", ":2:fn Needle() {}"]);
    let literal = Grep { is_literal: true, ..pattern("one() {") };
    assert_eq!(shown(&run(&all, &lib, &literal)), [":1:fn one() {}"]);
    let counts = run(&all, &root, &Grep { want: Want::Counts, ..pattern("fn") });
    assert_eq!((counts.files[0].count, counts.files[0].lines.len()), (3, 0));
    let filtered = |globs: &[&str], file_type: Option<&str>| {
        let globs = globs.iter().map(|&glob| glob.to_owned()).collect();
        let filter = Filter { globs, file_type: file_type.map(str::to_owned) };
        run(&all, &root, &Grep { filter, ..pattern("needle") }).files.len()
    };
    assert_eq!(filtered(&["*.rs"], None), 2);
    assert_eq!(filtered(&["src/**/mod.rs"], None), 1);
    assert_eq!(filtered(&["!deep"], None), 2);
    assert_eq!(filtered(&[], Some("yaml")), 1);
}

#[test]
fn what_can_not_be_understood_is_said() {
    let (_scratch, root) = tree(SOURCES);
    let all = sight(&[], &[]);
    let error = |what: &Grep, root: &Path| grep(&all, root, what, &patient()).expect_err("error");
    assert!(matches!(error(&pattern("a("), &root), SearchError::Pattern { .. }));
    assert!(matches!(error(&pattern(r"(\w{500}){500}"), &root), SearchError::Pattern { .. }));
    let glob = Filter { globs: vec!["[".to_owned()], file_type: None };
    assert!(matches!(error(&Grep { filter: glob, ..pattern("a") }, &root), SearchError::Glob { .. }));
    let kind = Filter { globs: Vec::new(), file_type: Some("nosuch".to_owned()) };
    assert!(matches!(error(&Grep { filter: kind, ..pattern("a") }, &root), SearchError::FileType { .. }));
    let missing = error(&pattern("a"), &root.join("missing"));
    assert!(matches!(missing, SearchError::File(FileError::Missing { .. })), "{missing}");
}

#[test]
fn find_takes_the_best_first_and_globs() {
    let (_scratch, root) = tree(SOURCES);
    let all = sight(&[], &[]);
    let letters = |text: &str| Find { letters: text.to_owned(), ..Find::default() };
    assert_eq!(names(&all, &root, &letters("lib"))[0], "src/lib.rs");
    assert_eq!(names(&all, &root, &letters("deep mod"))[0], "src/deep/mod.rs");
    assert_eq!(names(&all, &root, &letters("zzz")), [""; 0]);
    let filter = Filter { globs: vec!["*.rs".to_owned()], file_type: None };
    let globbed = Find { filter, ..Find::default() };
    assert_eq!(names(&all, &root, &globbed), ["src/deep/made.rs", "src/deep/mod.rs", "src/lib.rs"]);
    let one = find(&all, &root, &Find { limit: 1, ..globbed }, &patient()).expect("find");
    assert_eq!((one.paths.len(), one.total), (1, 3));
}

#[test]
fn what_is_hidden_is_neither_read_nor_listed_nor_found() {
    let (_scratch, root) = tree(&[
        (".env", "SECRET=needle\n"),
        ("private/deep/key", "needle\n"),
        ("sub/.env", "needle\n"),
        ("sub/open", "needle\n"),
    ]);
    symlink(".env", root.join("harmless")).expect("link");
    symlink("../private/deep", root.join("sub/way")).expect("link");
    let some = sight(&[&root.join("private")], &["**/.env"]);
    assert_eq!(shown(&run(&some, &root, &pattern("needle"))), ["sub/open:1:needle"]);
    assert_eq!(names(&some, &root, &Find::default()), ["harmless", "sub/open", "sub/way"]);
    let listing = list(&some, &root, List { depth: 9, ignored: Ignored::Included }, &patient());
    let listed: Vec<_> = listing.expect("list").entries.into_iter().map(|entry| entry.name).collect();
    assert_eq!(listed, ["harmless", "sub", "open", "way"]);
    for path in [".env", "sub/.env", "harmless", "private/deep/key", "sub/way/key", "private/missing"] {
        let path = root.join(path);
        assert!(matches!(some.open(&path), Err(FileError::Hidden { .. })), "{}", path.display());
        let searched = grep(&some, &path, &pattern("needle"), &patient());
        assert!(matches!(searched, Err(SearchError::File(FileError::Hidden { .. }))), "{}", path.display());
    }
    let way_in =
        list(&some, &root.join("sub/way"), List { depth: 1, ignored: Ignored::Included }, &patient());
    assert!(matches!(way_in, Err(SearchError::File(FileError::Hidden { .. }))));
}

#[test]
fn a_hostile_tree_costs_little() {
    let (_scratch, root) = tree(&[("a.txt", "needle\n"), ("latin", ""), ("d/x", "")]);
    let fifo = rustix::fs::Mode::from_raw_mode(0o600);
    for name in ["README.md", ".gitignore", ".ignore"] {
        rustix::fs::mknodat(rustix::fs::CWD, root.join(name), rustix::fs::FileType::Fifo, fifo, 0)
            .expect("pipe");
    }
    fs::File::create(root.join("sparse")).and_then(|file| file.set_len(50 << 30)).expect("sparse");
    fs::write(root.join("long"), "x".repeat(5_000_000) + "needle\n").expect("long");
    fs::write(root.join("longer"), "x".repeat(20_000_000) + "needle\n").expect("longer");
    fs::write(root.join("latin"), b"gr\xfcn needle\n").expect("latin");
    symlink(".", root.join("d/circle")).expect("circle");
    symlink("loop", root.join("loop")).expect("loop");
    let all = sight(&[], &[]);
    let started = Instant::now();
    let outcome = run(&all, &root, &pattern("needle"));
    let found: Vec<_> = outcome.files.iter().map(|file| file.path.display().to_string()).collect();
    assert_eq!((found, outcome.too_long), (vec!["a.txt".to_owned(), "latin".into(), "long".into()], 1));
    let long = &outcome.files[2].lines[0].text;
    assert!(long.len() < 1_000 && long.contains("needle"), "{long}");
    assert_eq!(names(&all, &root, &Find { letters: "sparse".into(), ..Find::default() }), ["sparse"]);
    for (path, what) in [("README.md", "a pipe"), ("d", "a folder")] {
        let error = all.open(&root.join(path)).expect_err("refused").to_string();
        assert!(error.contains(what), "{error}");
    }
    assert!(matches!(all.open(&root.join("loop")), Err(FileError::TooManyLinks { .. })));
    assert!(matches!(all.open(Path::new("/dev/zero")), Err(FileError::NotAFile { .. })));
    // Fifty gigabytes of nothing would take minutes.
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn a_search_ends_when_nobody_waits() {
    let (_scratch, root) = tree(&[("a", "needle\n")]);
    let all = sight(&[], &[]);
    let (patience, waiting) = Patience::until(Instant::now() + Duration::from_secs(60));
    drop(waiting);
    assert!(grep(&all, &root, &pattern("needle"), &patience).expect("grep").is_cut);
    let find_all = Find { limit: 10, ..Find::default() };
    assert!(find(&all, &root, &find_all, &patience).expect("find").is_cut);
}

#[test]
fn too_much_that_is_found_ends_the_search() {
    let (_scratch, root) = tree(&[]);
    for number in 0..40 {
        fs::write(root.join(format!("{number}")), format!("{}\n", "needle ".repeat(50)).repeat(3_000))
            .expect("file");
    }
    let outcome = run(&sight(&[], &[]), &root, &pattern("needle"));
    let bytes: usize = outcome.files.iter().flat_map(|file| &file.lines).map(|line| line.text.len()).sum();
    assert!(outcome.is_cut && bytes < 8 << 20, "{bytes}");
    assert!(outcome.files.iter().all(|file| file.count <= 2_000));
}

#[test]
fn a_folder_that_becomes_a_link_shows_nothing_of_the_outside() {
    let (_outside, secret) = tree(&[("d/file", "needle outside\n")]);
    let (_scratch, root) = tree(&[("d/file", "needle\n")]);
    let some = sight(&[&secret], &[]);
    let is_over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapping = {
        let (root, is_over) = (root.clone(), Arc::clone(&is_over));
        std::thread::spawn(move || {
            symlink(secret.join("d"), root.join("link")).expect("link");
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                let (real, link) = (root.join("d"), root.join("link"));
                let _ = renameat_with(CWD, &real, CWD, &link, RenameFlags::EXCHANGE);
            }
        })
    };
    let (mut found, until) = (0, Instant::now() + Duration::from_secs(1));
    while Instant::now() < until {
        for line in shown(&run(&some, &root, &pattern("needle"))) {
            assert!(!line.contains("outside"), "{line}");
            found += 1;
        }
        if let Ok(opened) = some.open(&root.join("d/file")) {
            let text = std::io::read_to_string(opened.file).expect("read");
            assert_eq!(text, "needle\n");
        }
    }
    is_over.store(true, std::sync::atomic::Ordering::Relaxed);
    swapping.join().expect("thread");
    assert!(found > 0);
}

#[test]
fn a_listing_is_sorted_deep_and_bounded() {
    let (_scratch, root) = tree(SOURCES);
    symlink("src", root.join("link")).expect("link");
    let all = sight(&[], &[]);
    let show = |listing: &Listing| -> Vec<String> {
        let line = |entry: &crate::listing::Listed| {
            format!("{}{}", " ".repeat(entry.level), entry.name.to_string_lossy())
        };
        listing.entries.iter().map(line).collect()
    };
    let listing = list(&all, &root, List { depth: 2, ignored: Ignored::LeftOut }, &patient()).expect("list");
    let expected = [
        ".git",
        ".github",
        " ci.yml",
        ".gitignore",
        "keep.log",
        "link",
        "src",
        " .gitignore",
        " deep",
        " lib.rs",
    ];
    assert_eq!((show(&listing), listing.ignored), (expected.map(str::to_owned).to_vec(), 3));
    for number in 0..21_000 {
        fs::File::create(root.join(format!("src/deep/{number}"))).expect("file");
    }
    let started = Instant::now();
    let listing = list(&all, &root, List { depth: 9, ignored: Ignored::LeftOut }, &patient()).expect("list");
    assert!(listing.is_cut && listing.entries.len() <= 20_020);
    assert!(started.elapsed() < Duration::from_secs(20));
}

//! What a draft does to a folder on disk, and what it refuses.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use protocol::profile::{Access, NetworkAccess, PathRule, Profile, SandboxMode};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, symlink};

use super::{Draft, FileError};

/// A workspace `ws` that may be written but for `ws/.git`, a folder `hidden`, and a folder `outside`.
struct Scratch {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("scratch");
        let root = folder.path().canonicalize().expect("real");
        for name in ["ws/.git", "ws/dir", "hidden", "outside"] {
            fs::create_dir_all(root.join(name)).expect("folder");
        }
        for name in ["ws/a", "ws/dir/b", "ws/.git/config", "hidden/secret", "outside/file"] {
            fs::write(root.join(name), "old").expect("file");
        }
        Self { _folder: folder, root }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.path(path)).ok()
    }

    fn set_mode(&self, path: &str, bits: u32) {
        rustix::fs::chmod(self.path(path), Mode::from_raw_mode(bits)).expect("mode");
    }

    fn mode(&self, path: &str) -> u32 {
        rustix::fs::stat(self.path(path)).expect("stat").st_mode & 0o777
    }

    fn link(&self, target: impl AsRef<Path>, path: &str) {
        symlink(target.as_ref(), self.path(path)).expect("link");
    }

    fn draft(&self) -> Draft {
        let rule = |path: &str, access| PathRule { path: self.path(path), access };
        Draft::new(Arc::new(Profile::new(
            SandboxMode::WorkspaceWrite,
            Access::Read,
            vec![rule("ws", Access::Write), rule("ws/.git", Access::Read), rule("hidden", Access::Hidden)],
            NetworkAccess::Off,
        )))
    }

    /// Every name in the workspace, to see that nothing was left behind.
    fn names(&self, folder: &str) -> Vec<OsString> {
        let entries = fs::read_dir(self.path(folder)).expect("folder");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("entry").file_name()).collect();
        names.sort();
        names
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

#[test]
fn nothing_happens_before_the_commit_and_then_everything() {
    let scratch = Scratch::new();
    let mut draft = scratch.draft();
    draft.write(&scratch.path("ws/a"), bytes("new")).expect("write");
    draft.write(&scratch.path("ws/x/y/z"), bytes("deep")).expect("write");
    draft.remove(&scratch.path("ws/dir/b")).expect("remove");
    assert_eq!(scratch.names("ws"), [".git", "a", "dir"]);
    assert_eq!(scratch.text("ws/a").as_deref(), Some("old"));
    draft.commit().expect("commit");
    assert_eq!(scratch.text("ws/a").as_deref(), Some("new"));
    assert_eq!(scratch.text("ws/x/y/z").as_deref(), Some("deep"));
    assert_eq!(scratch.names("ws"), [".git", "a", "dir", "x"]);
    assert_eq!(scratch.names("ws/dir"), [""; 0].map(OsString::from));
}

#[test]
fn a_draft_shows_what_it_will_make() {
    let scratch = Scratch::new();
    scratch.link("dir", "ws/link");
    let mut draft = scratch.draft();
    draft.write(&scratch.path("ws/link/b"), bytes("new")).expect("write");
    assert_eq!(draft.read(&scratch.path("ws/dir/b")).expect("read").bytes, b"new");
    draft.remove(&scratch.path("ws/link")).expect("remove the link itself");
    draft.write(&scratch.path("ws/link/c"), bytes("where the link was")).expect("write");
    draft.remove(&scratch.path("ws/a")).expect("remove");
    assert!(matches!(draft.read(&scratch.path("ws/a")), Err(FileError::Missing { .. })));
    draft.write(&scratch.path("ws/a/inner"), bytes("where the file was")).expect("write");
    draft.commit().expect("commit");
    assert_eq!(scratch.text("ws/dir/b").as_deref(), Some("new"));
    assert_eq!(scratch.text("ws/link/c").as_deref(), Some("where the link was"));
    assert_eq!(scratch.text("ws/a/inner").as_deref(), Some("where the file was"));
    assert_eq!(scratch.names("ws/dir"), ["b"]);
}

#[test]
fn what_is_not_allowed_is_refused_by_real_path() {
    let scratch = Scratch::new();
    scratch.link(scratch.path("outside"), "ws/out");
    scratch.link(scratch.path("outside/file"), "ws/file");
    scratch.link(scratch.path("outside/new"), "ws/dangling");
    scratch.link("../.git", "ws/dir/git");
    scratch.link(scratch.path("hidden"), "ws/hidden");
    scratch.link("circle", "ws/circle");
    let pipe = scratch.path("ws/pipe");
    rustix::fs::mknodat(CWD, pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("pipe");
    for (path, write, remove, read) in [
        ("outside/file", "read only", "read only", "ok"),
        ("ws/../outside/new", "read only", "read only", "missing"),
        ("ws/dir/../../outside/new", "read only", "read only", "missing"),
        ("ws/out/file", "read only", "read only", "ok"),
        ("ws/file", "read only", "ok", "ok"),
        ("ws/dangling", "read only", "ok", "missing"),
        ("ws/.git/config", "read only", "read only", "ok"),
        ("ws/.git/hooks/pre-commit", "read only", "read only", "missing"),
        ("ws/dir/git/config", "read only", "read only", "ok"),
        ("hidden/secret", "hidden", "hidden", "hidden"),
        ("hidden/nothing", "hidden", "hidden", "hidden"),
        ("ws/hidden/secret", "hidden", "hidden", "hidden"),
        ("ws/circle", "links", "ok", "links"),
        ("ws/pipe", "not a file", "not a file", "not a file"),
        ("ws/dir", "not a file", "not a file", "not a file"),
        ("/dev/null", "read only", "read only", "not a file"),
        ("ws/dir/.git/config", "read only", "read only", "missing"),
        ("ws/dir/.git", "read only", "read only", "missing"),
        ("ws/dir/.GIT/hooks/pre-commit", "read only", "read only", "missing"),
        ("ws/dir/.github/x", "ok", "missing", "missing"),
        ("ws/a/b", "ok", "missing", "missing"),
        ("ws/a", "ok", "ok", "ok"),
    ] {
        let path = scratch.path(path);
        let outcome = |result: Result<(), FileError>| match result {
            Ok(()) => "ok",
            Err(FileError::ReadOnly { .. }) => "read only",
            Err(FileError::Hidden { .. }) => "hidden",
            Err(FileError::Missing { .. }) => "missing",
            Err(FileError::NotAFile { .. }) => "not a file",
            Err(FileError::TooManyLinks { .. }) => "links",
            Err(error) => panic!("{error}"),
        };
        assert_eq!(outcome(scratch.draft().write(&path, bytes("x"))), write, "write {path:?}");
        assert_eq!(outcome(scratch.draft().remove(&path)), remove, "remove {path:?}");
        assert_eq!(outcome(scratch.draft().read(&path).map(|_| ())), read, "read {path:?}");
    }
}

#[test]
fn a_move_keeps_what_it_should() {
    for (from, to, text, expected) in [
        // A file, over another one or to a new folder.
        ("run", "a", "new", "run=- a=new"),
        ("run", "new/run", "new", "run=- new/run=new"),
        // Onto itself, under its own name and others.
        ("run", "./run", "new", "run=new"),
        ("run", "dir/../run", "old", "run=old"),
        ("link", "link", "new", "link->run run=new"),
        // A link: stays one, unless it is edited.
        ("link", "moved", "old", "link=- moved->run run=old"),
        ("link", "moved", "new", "link=- moved=new run=old"),
        // Over what it leads to, and a file over a link to it: nothing is lost.
        ("link", "run", "old", "link=- run=old"),
        ("link", "run", "new", "link=- run=new"),
        ("run", "link", "new", "run=- link=new"),
    ] {
        let scratch = Scratch::new();
        fs::write(scratch.path("ws/run"), "old").expect("file");
        scratch.set_mode("ws/run", 0o751);
        scratch.link("run", "ws/link");
        let mut draft = scratch.draft();
        let at = |path: &str| scratch.path("ws").join(path);
        draft.move_file(&at(from), &at(to), bytes(text)).expect("move");
        draft.commit().expect("commit");
        for expected in expected.split(' ') {
            let case = format!("{from} to {to}: {expected}");
            if let Some((link, target)) = expected.split_once("->") {
                assert_eq!(fs::read_link(at(link)).expect(&case), Path::new(target), "{case}");
            } else if let Some((path, text)) = expected.split_once('=') {
                let found = fs::symlink_metadata(at(path)).ok().map(|meta| meta.is_file());
                assert_eq!(found, (text != "-").then_some(true), "{case}");
                if text != "-" {
                    let path = format!("ws/{path}");
                    assert_eq!(scratch.text(&path).as_deref(), Some(text), "{case}");
                    assert_eq!(scratch.mode(&path), 0o751, "{case}");
                }
            }
        }
    }
}

#[test]
fn a_replaced_file_keeps_its_mode() {
    let scratch = Scratch::new();
    for bits in [0o755, 0o600, 0o444, 0o666] {
        scratch.set_mode("ws/a", bits);
        let mut draft = scratch.draft();
        draft.write(&scratch.path("ws/a"), bytes("new")).expect("write");
        draft.commit().expect("commit");
        assert_eq!(scratch.mode("ws/a"), bits);
    }
}

#[test]
fn a_failure_in_the_middle_takes_everything_back() {
    let scratch = Scratch::new();
    scratch.set_mode("ws/a", 0o755);
    let mut draft = scratch.draft();
    draft.write(&scratch.path("ws/a"), bytes("new")).expect("write");
    draft.remove(&scratch.path("ws/dir/b")).expect("remove");
    draft.write(&scratch.path("ws/m/n/new"), bytes("new")).expect("write");
    draft.write(&scratch.path("ws/z"), bytes("last in order")).expect("write");
    // Meanwhile somebody else makes the last one.
    fs::write(scratch.path("ws/z"), "theirs").expect("file");
    let error = draft.commit().expect_err("conflict");
    assert!(matches!(error.cause, FileError::Changed { .. }), "{error}");
    assert_eq!(error.left_changed, []);
    assert_eq!(scratch.text("ws/a").as_deref(), Some("old"));
    assert_eq!(scratch.mode("ws/a"), 0o755);
    assert_eq!(scratch.text("ws/z").as_deref(), Some("theirs"));
    assert_eq!(scratch.names("ws"), [".git", "a", "dir", "z"]);
    assert_eq!(scratch.names("ws/dir"), ["b"]);
}

#[test]
fn an_edit_by_somebody_else_is_not_lost() {
    let scratch = Scratch::new();
    for remove in [false, true] {
        let mut draft = scratch.draft();
        let path = scratch.path("ws/a");
        draft.read(&path).expect("read");
        fs::write(&path, "edited meanwhile").expect("edit");
        if remove { draft.remove(&path) } else { draft.write(&path, bytes("new")) }.expect("draft");
        let error = draft.commit().expect_err("conflict");
        assert!(matches!(error.cause, FileError::Changed { .. }), "{error}");
        assert_eq!(scratch.text("ws/a").as_deref(), Some("edited meanwhile"));
        assert_eq!(scratch.names("ws"), [".git", "a", "dir"]);
    }
}

#[test]
fn nothing_is_written_in_a_folder_that_may_not_be_written() {
    let scratch = Scratch::new();
    let rule = PathRule { path: scratch.path("outside/deep/root"), access: Access::Write };
    let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, vec![rule], NetworkAccess::Off);
    let mut draft = Draft::new(Arc::new(profile));
    draft.write(&scratch.path("outside/deep/root/file"), bytes("x")).expect("draft");
    let error = draft.commit().expect_err("refused");
    assert!(matches!(error.cause, FileError::ReadOnly { .. }), "{error}");
    assert_eq!(scratch.names("outside"), ["file"]);
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let scratch = Scratch::new();
    let file = fs::File::create(scratch.path("ws/huge")).expect("file");
    file.set_len(1 << 40).expect("sparse");
    let error = scratch.draft().read(&scratch.path("ws/huge")).expect_err("refused");
    assert!(matches!(error, FileError::TooLarge { size_bytes, .. } if size_bytes == 1 << 40), "{error}");
    let mut draft = scratch.draft();
    draft.remove(&scratch.path("ws/huge")).expect("remove");
    draft.commit().expect("what is removed need not be read");
}

/// Lets two names change places all the time, and calls the other function until both did enough.
fn while_swapping(one: &Path, other: &Path, mut attempt: impl FnMut(usize)) {
    let (swaps, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).expect("swap");
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut attempts = 0;
        while attempts < 300 || swaps.load(Ordering::Relaxed) < 10_000 {
            attempt(attempts);
            attempts += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_folder_that_becomes_a_link_leads_nowhere() {
    let scratch = Scratch::new();
    scratch.link(scratch.path("outside"), "ws/other");
    while_swapping(&scratch.path("ws/dir"), &scratch.path("ws/other"), |attempt| {
        let mut draft = scratch.draft();
        let path = scratch.path("ws/dir").join(format!("new-{attempt}"));
        if draft.write(&path, bytes("x")).is_ok() {
            let _ = draft.commit();
        }
        let mut draft = scratch.draft();
        if draft.remove(&scratch.path("ws/dir/file")).is_ok() {
            let _ = draft.commit();
        }
    });
    assert_eq!(scratch.names("outside"), ["file"]);
    assert_eq!(scratch.text("outside/file").as_deref(), Some("old"));
}

#[test]
fn a_file_that_becomes_a_link_is_not_written_through() {
    let scratch = Scratch::new();
    scratch.link(scratch.path("outside/file"), "ws/other");
    while_swapping(&scratch.path("ws/a"), &scratch.path("ws/other"), |_| {
        let mut draft = scratch.draft();
        if draft.write(&scratch.path("ws/a"), bytes("x")).is_ok() {
            let _ = draft.commit();
        }
    });
    assert_eq!(scratch.text("outside/file").as_deref(), Some("old"));
    assert_eq!(scratch.names("outside"), ["file"]);
}

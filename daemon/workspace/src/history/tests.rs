//! A tree tells what became different, and what it told is enough to go back, byte for byte.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use protocol::profile::{Access, NetworkAccess, PathRule, Profile, SandboxMode};
use rustix::fs::{Mode, symlink};

use super::*;

/// One edit in a tree, by whomever.
#[derive(Clone, Debug)]
enum Edit {
    Write(&'static str, Vec<u8>),
    Remove(&'static str),
    SetMode(&'static str, u32),
    Link(&'static str, &'static str),
    Folder(&'static str),
}

const PATHS: [&str; 6] = ["a", "a/b", "a/b/c", "d", "d/e", ".env"];

struct Scratch {
    _folder: tempfile::TempDir,
    root: PathBuf,
    tree: Tree,
}

impl Scratch {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("scratch");
        let root = folder.path().canonicalize().expect("real");
        let tree = Tree::new(root.clone(), Vec::new(), tempfile::tempfile().expect("pack"));
        Self { _folder: folder, root, tree }
    }

    fn edit(&self, edit: &Edit) {
        // What does not fit what is there, such as a file below a file, changes nothing.
        let path = |name: &str| self.root.join(name);
        let clear = |name: &str| {
            let _ = fs::remove_dir_all(path(name)).or_else(|_| fs::remove_file(path(name)));
        };
        match edit {
            Edit::Write(name, bytes) => {
                let _ = fs::write(path(name), bytes);
            }
            Edit::Remove(name) => clear(name),
            Edit::SetMode(name, bits) => {
                let is_link = fs::symlink_metadata(path(name)).is_ok_and(|found| found.is_symlink());
                if !is_link {
                    let _ = rustix::fs::chmod(path(name), Mode::from_raw_mode(*bits));
                }
            }
            Edit::Link(name, target) => {
                clear(name);
                let _ = symlink(*target, path(name));
            }
            Edit::Folder(name) => {
                let _ = fs::create_dir(path(name));
            }
        }
    }

    fn look(&mut self) -> Vec<Change> {
        self.tree.look().expect("look")
    }

    /// A look so late that no time is too fresh to be believed; and then all that comes has another time.
    fn look_late(&mut self) -> Vec<Change> {
        let changes = self.tree.look_at(SystemTime::now() + Duration::from_secs(1)).expect("look");
        let clock = tempfile::NamedTempFile::new_in(self.root.parent().expect("parent")).expect("clock");
        let time = || {
            rustix::fs::fchmod(&clock, Mode::RUSR).expect("touched");
            let stat = rustix::fs::fstat(&clock).expect("stat");
            (stat.st_ctime, stat.st_ctime_nsec)
        };
        let now = time();
        while time() == now {
            std::thread::yield_now();
        }
        changes
    }

    /// All that stands in the folder, found without the tree.
    fn all(&self) -> BTreeMap<PathBuf, Version> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("folder") {
                let path = entry.expect("entry").path();
                let version = look(&path).expect("look").expect("there");
                if version.kind == VersionKind::Folder {
                    open.push(path.clone());
                }
                found.insert(path, version);
            }
        }
        found
    }

    fn version(&self, entry: Option<Entry>) -> Option<Version> {
        entry.map(|Entry { kind, mode, content, .. }| {
            let content = content.map(|kept| self.tree.content(kept).expect("kept").expect("whole"));
            Version { kind, mode, content }
        })
    }

    /// Takes changes back: what goes first, the deepest before what it is in; then what comes.
    fn take_back(&self, changes: &[Change]) {
        let profile = profile(&self.root);
        let mut paths = BTreeMap::new();
        for change in changes {
            let first = paths.entry(&change.path).or_insert((change.before, change.after));
            first.1 = change.after;
        }
        let going = paths.iter().rev().filter(|(_, (before, _))| before.is_none());
        let coming = paths.iter().filter(|(_, (before, _))| before.is_some());
        for (path, (before, after)) in going.chain(coming) {
            let (before, after) = (self.version(*before), self.version(*after));
            restore(&profile, path, after.as_ref(), before.as_ref()).expect("restored");
        }
    }
}

fn profile(root: &Path) -> Profile {
    let rule = PathRule { path: root.to_owned(), access: Access::Write };
    Profile::new(SandboxMode::WorkspaceWrite, Access::Read, vec![rule], NetworkAccess::Off)
}

fn edits() -> impl Strategy<Value = Edit> {
    let path = || prop::sample::select(&PATHS[..]);
    prop_oneof![
        4 => (path(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(|(path, bytes)| Edit::Write(path, bytes)),
        2 => path().prop_map(Edit::Remove),
        1 => (path(), prop::sample::select(&[0o700, 0o755][..])).prop_map(|(path, bits)| Edit::SetMode(path, bits)),
        1 => (path(), path()).prop_map(|(path, target)| Edit::Link(path, target)),
        3 => path().prop_map(Edit::Folder),
    ]
}

/// Any edits in each turn, looked at after it, and then back to before one of them.
fn check_taken_back(
    turns: &[Vec<Edit>],
    to: prop::sample::Index,
    look: impl Fn(&mut Scratch) -> Vec<Change>,
) -> Result<(), TestCaseError> {
    let mut scratch = Scratch::new();
    look(&mut scratch);
    let mut states = vec![scratch.all()];
    let mut changes = Vec::new();
    for turn in turns {
        turn.iter().for_each(|edit| scratch.edit(edit));
        changes.push(look(&mut scratch));
        states.push(scratch.all());
    }
    let to = to.index(states.len());
    scratch.take_back(&changes[to..].concat());
    prop_assert_eq!(scratch.all(), states.swap_remove(to));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_turns_can_be_taken_back(
        turns in prop::collection::vec(prop::collection::vec(edits(), 0..6), 1..5),
        to in any::<prop::sample::Index>(),
    ) {
        check_taken_back(&turns, to, Scratch::look)?;
    }

    #[test]
    fn any_turns_can_be_taken_back_where_times_are_believed(
        turns in prop::collection::vec(prop::collection::vec(edits(), 0..6), 1..5),
        to in any::<prop::sample::Index>(),
    ) {
        check_taken_back(&turns, to, Scratch::look_late)?;
    }
}

#[test]
fn what_was_there_at_first_is_no_change_and_nothing_is_told_twice() {
    let mut scratch = Scratch::new();
    scratch.edit(&Edit::Write("a", b"one".to_vec()));
    assert_eq!(scratch.look(), []);
    scratch.edit(&Edit::Write("a", b"two".to_vec()));
    assert_eq!(scratch.look().len(), 1);
    assert_eq!(scratch.look(), []);
}

#[test]
fn caches_and_git_are_left_out_and_ignored_files_are_not() {
    let mut scratch = Scratch::new();
    scratch.look();
    for folder in [".git", "target", "node_modules"] {
        fs::create_dir(scratch.root.join(folder)).expect("folder");
        fs::write(scratch.root.join(folder).join("file"), "").expect("file");
    }
    fs::write(scratch.root.join(".gitignore"), ".env\n").expect("file");
    fs::write(scratch.root.join(".env"), "KEY=1\n").expect("file");
    let changes = scratch.look();
    let names: Vec<_> = changes.iter().filter_map(|change| change.path.file_name()).collect();
    assert_eq!(names, [".env", ".gitignore"]);
}

#[test]
fn that_a_folder_got_a_repository_is_told_once() {
    let mut scratch = Scratch::new();
    for folder in ["old/.git", "d", "a"] {
        fs::create_dir_all(scratch.root.join(folder)).expect("folder");
    }
    scratch.look();
    assert_eq!(scratch.tree.take_working_trees(), [""; 0].map(PathBuf::from), "it was there");
    fs::create_dir_all(scratch.root.join("d/e/.git")).expect("folder");
    fs::write(scratch.root.join("a/.git"), "gitdir: ../d/e/.git").expect("pointer");
    let changes = scratch.look();
    assert!(changes.iter().all(|change| change.path.file_name().is_some_and(|name| name != ".git")));
    let mut found = scratch.tree.take_working_trees();
    found.sort();
    assert_eq!(found, ["a", "d/e"].map(|name| scratch.root.join(name)));
    fs::write(scratch.root.join("a/more"), "").expect("file");
    scratch.look();
    assert_eq!(scratch.tree.take_working_trees(), [""; 0].map(PathBuf::from), "it was told");
}

#[test]
fn what_somebody_changed_meanwhile_is_not_overwritten() {
    let mut scratch = Scratch::new();
    scratch.edit(&Edit::Write("a", b"one".to_vec()));
    scratch.look();
    scratch.edit(&Edit::Write("a", b"two".to_vec()));
    let change = scratch.look().remove(0);
    scratch.edit(&Edit::Write("a", b"mine".to_vec()));
    let (before, after) = (scratch.version(change.before), scratch.version(change.after));
    let outcome = restore(&profile(&scratch.root), &change.path, after.as_ref(), before.as_ref());
    assert!(matches!(outcome, Err(HistoryError::Changed { .. })), "{outcome:?}");
    assert_eq!(fs::read(&change.path).expect("file"), b"mine");
}

#[test]
fn what_went_with_its_folder_need_not_be_removed() {
    for instead in [Edit::Link("d", "a"), Edit::Write("d", Vec::new()), Edit::Remove("d")] {
        let mut scratch = Scratch::new();
        scratch.look();
        scratch.edit(&Edit::Folder("d"));
        scratch.edit(&Edit::Write("d/e", b"x".to_vec()));
        let mut changes = scratch.look();
        scratch.edit(&Edit::Remove("d"));
        scratch.edit(&instead);
        changes.extend(scratch.look());
        scratch.take_back(&changes);
        assert!(scratch.all().is_empty(), "{instead:?} {:?}", scratch.all().keys());
    }
}

#[test]
fn contents_that_cant_be_kept_are_no_silence() {
    let mut scratch = Scratch::new();
    scratch.edit(&Edit::Folder("d"));
    scratch.edit(&Edit::Write("d/e", b"x".to_vec()));
    let pack = fs::File::open(scratch.root.join("d/e")).expect("a file that can't be written to");
    scratch.tree = Tree::new(scratch.root.clone(), Vec::new(), pack);
    let outcome = scratch.tree.look();
    assert!(matches!(outcome, Err(HistoryError::Io { .. })), "{outcome:?}");
}

#[test]
fn no_link_leads_out_of_what_may_be_written() {
    let scratch = Scratch::new();
    let outside = tempfile::tempdir().expect("outside");
    symlink(outside.path(), scratch.root.join("a")).expect("link");
    let version = Version { kind: VersionKind::File, mode: 0o644, content: Some(b"x".to_vec()) };
    let outcome = restore(&profile(&scratch.root), &scratch.root.join("a/file"), None, Some(&version));
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(fs::read_dir(outside.path()).expect("outside").count(), 0);
    let elsewhere = outside.path().join("file");
    let outcome = restore(&profile(&scratch.root), &elsewhere, None, Some(&version));
    assert!(matches!(outcome, Err(HistoryError::ReadOnly { .. })), "{outcome:?}");
}

//! Where a repository is, and where git keeps what belongs to it. Reads files; never runs git, and believes
//! nothing of what they say but names of folders that are git's own.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::files::read_text;
use crate::path::{Folder, Found, Kind, normalise};

/// How many entries of a folder are looked at for working trees below it, the first time and each further time.
const FIRST_ENTRIES: usize = 50_000;
const FURTHER_ENTRIES: usize = 2_000;
/// Folders whose working trees are remembered, and working trees of one; what is beyond is looked for each time.
const MAX_FOLDERS: usize = 256;
const MAX_REPOSITORIES: usize = 1_024;

/// What a folder needs to be a git directory, and what can stand for the last two.
pub const KEYSTONES: [&str; 4] = ["HEAD", "commondir", "refs", "objects"];

/// The most that is read of a pointer file, and of settings.
const MAX_POINTER_BYTES: u64 = 4096;
const MAX_SETTINGS_BYTES: u64 = 64 * 1024;

/// The working trees below folders: submodules, and repositories that were cloned into them. What was found once stays
/// found, so that nothing that is put beside it can hide it.
#[derive(Debug, Default)]
pub struct Repositories {
    known: Mutex<HashMap<PathBuf, Known>>,
}

/// What is remembered of a folder.
#[derive(Clone, Debug, Default)]
struct Known {
    repositories: BTreeSet<PathBuf>,
    is_cut: bool,
}

/// What `Repositories` know of a folder.
#[derive(Debug, PartialEq, Eq)]
pub struct Below {
    /// The roots of the working trees, sorted.
    pub repositories: Vec<PathBuf>,
    /// Whether the folder had more entries than are looked at, 50,000, when it was new.
    pub is_cut: bool,
}

impl Repositories {
    /// Those below this folder, as far down as they are. Of a folder that is new 50,000 entries are looked at, breadth
    /// first, and 2,000 each further time, for those that came since. Links are not followed. Blocks.
    #[must_use]
    pub fn below(&self, folder: &Path) -> Below {
        let known = self.known().get(folder).cloned();
        let found = search(folder, if known.is_some() { FURTHER_ENTRIES } else { FIRST_ENTRIES });
        let is_cut = known.as_ref().map_or(found.is_cut, |known| known.is_cut);
        let mut all = known.unwrap_or_default().repositories;
        all.extend(found.repositories);
        let mut remembered = self.known();
        if remembered.len() < MAX_FOLDERS || remembered.contains_key(folder) {
            let first = all.iter().take(MAX_REPOSITORIES).cloned();
            let entry = remembered.entry(folder.to_owned()).or_default();
            entry.repositories.extend(first);
            entry.is_cut = is_cut;
        }
        Below { repositories: all.into_iter().collect(), is_cut }
    }

    /// Whether a folder had too much in it to be looked through when it was new, and so may hold repositories that are
    /// not known. Looks at nothing.
    #[must_use]
    pub fn is_cut(&self, folder: &Path) -> bool {
        self.known().get(folder).is_some_and(|known| known.is_cut)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<PathBuf, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folder of the working tree that this folder is in: the nearest one with a `.git` that git would take.
#[must_use]
pub fn root(cwd: &Path) -> Option<PathBuf> {
    cwd.ancestors().find(|folder| git_directory(&folder.join(".git")).is_some()).map(Path::to_owned)
}

/// What belongs to git of the working tree at this root: its `.git`, the git directory behind it, and the one
/// that several working trees share. Absolute, links followed; also outside of the root. What does not look like
/// a git directory is not among them, so that a repository can't name any folder it likes, but for a `.git` that
/// something is missing from: whoever puts that back makes it one.
#[must_use]
pub fn directories(root: &Path) -> Vec<PathBuf> {
    let dot_git = root.join(".git");
    let Some(own) = git_directory(&dot_git) else {
        let broken = is_broken(&dot_git).then(|| dot_git.canonicalize().ok());
        return broken.flatten().into_iter().collect();
    };
    let common = common(&own);
    let mut found: Vec<PathBuf> = dot_git.canonicalize().into_iter().chain([own]).chain(common).collect();
    found.sort();
    found.dedup();
    found
}

/// Those of them that say themselves that they are this working tree's: by their place in it, by the `gitdir` of
/// `git worktree`, or by `core.worktree`, which submodules have. A `.git` that leads to one says nothing, as whoever may
/// write the working tree can have made it.
#[must_use]
pub fn answering(root: &Path) -> Vec<PathBuf> {
    let Ok(tree) = root.canonicalize() else { return Vec::new() };
    let dot_git = tree.join(".git");
    let Some(own) = git_directory(&dot_git) else { return Vec::new() };
    // Compared as text: git writes paths without links, and one on the way may lead elsewhere by now.
    let names = |named: PathBuf, wanted: &Path| normalise(&own.join(named)) == wanted;
    let is_worktree = |common: &PathBuf| {
        own.parent() == Some(&common.join("worktrees"))
            && pointer(&own.join("gitdir"), "").is_some_and(|named| names(named, &dot_git))
    };
    if let Some(common) = common(&own).filter(is_worktree) {
        return vec![own, common];
    }
    let is_answering = own == dot_git || core_worktree(&own).into_iter().any(|named| names(named, &tree));
    if is_answering { vec![own] } else { Vec::new() }
}

/// What is found among so many entries of a folder.
fn search(folder: &Path, entries: usize) -> Below {
    let mut found = Below { repositories: Vec::new(), is_cut: false };
    let mut left = entries;
    let mut level = vec![folder.to_owned()];
    while !level.is_empty() && !found.is_cut {
        let mut below = Vec::new();
        for entry in level.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten()) {
            let Some(rest) = left.checked_sub(1) else {
                found.is_cut = true;
                break;
            };
            left = rest;
            let Ok(entry) = entry else { continue };
            // What is in a git directory are no working trees, and many entries.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name() != ".git" {
                below.push(entry.path());
            }
        }
        below.sort();
        found.repositories.extend(below.iter().filter(|path| is_working_tree(path)).cloned());
        level = below;
    }
    found
}

fn is_working_tree(folder: &Path) -> bool {
    let dot_git = folder.join(".git");
    git_directory(&dot_git).is_some() || is_broken(&dot_git)
}

/// Whether it is a folder with something of a git directory in it, and none.
fn is_broken(dot_git: &Path) -> bool {
    let is_there = |name: &str| std::fs::symlink_metadata(dot_git.join(name)).is_ok();
    std::fs::symlink_metadata(dot_git).is_ok_and(|found| found.is_dir())
        && !is_git_directory(dot_git)
        && ["HEAD", "config", "objects", "refs"].into_iter().any(is_there)
}

/// The git directory that a `.git` is or points to.
fn git_directory(dot_git: &Path) -> Option<PathBuf> {
    let folder = if dot_git.is_dir() {
        dot_git.to_owned()
    } else {
        dot_git.parent()?.join(pointer(dot_git, "gitdir:")?)
    };
    folder.canonicalize().ok().filter(|folder| is_git_directory(folder))
}

/// What `git rebase --continue` would run by the list of a rebase that is under way in a git directory: where that list is,
/// and what it says. `None` where it would run nothing. `git status` tells whoever comes by to go on with it.
#[must_use]
pub fn rebase_that_runs(directory: &Path) -> Option<(PathBuf, String)> {
    let list = directory.join("rebase-merge/git-rebase-todo");
    let read = read_text(&list.canonicalize().ok()?, MAX_SETTINGS_BYTES)?;
    let runs = |line: &str| matches!(line.split_whitespace().next(), Some("exec" | "x"));
    (read.is_truncated || read.text.lines().any(runs)).then_some((list, read.text))
}

/// The git directory that this one has its objects and settings from, if it is another one.
fn common(own: &Path) -> Option<PathBuf> {
    let named = pointer(&own.join("commondir"), "")?;
    own.join(named).canonicalize().ok().filter(|folder| is_git_directory(folder))
}

/// What the settings of a git directory name as its working tree. Knows of their syntax what git itself writes.
fn core_worktree(own: &Path) -> Vec<PathBuf> {
    let read = |name: &str| read_text(&own.join(name), MAX_SETTINGS_BYTES);
    let texts = ["config", "config.worktree"].into_iter().filter_map(read).map(|settings| settings.text);
    texts.filter_map(|text| worktree_in(&text)).collect()
}

/// The last one holds, as it does for git.
fn worktree_in(settings: &str) -> Option<PathBuf> {
    let (mut is_core, mut found) = (false, None);
    for line in settings.lines().map(str::trim) {
        if line.starts_with('[') {
            is_core = line.eq_ignore_ascii_case("[core]");
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_core)
            && key.trim().eq_ignore_ascii_case("worktree")
        {
            let value = value.trim();
            let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
            found = Some(value).filter(|value| !value.is_empty() && !value.contains(['"', '\\']));
        }
    }
    found.map(PathBuf::from)
}

/// What has to stay as it is in a folder that may be written, so that it does not become a git directory, with settings
/// that name programs: whoever runs git there would have these run. `None` if it is one. Git looks for a `.git` before
/// it looks at the folder itself, so this is needed only where that is none, or may be written too.
#[must_use]
pub fn keystones(folder: &Path) -> Option<Vec<PathBuf>> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let open = Folder::open(&folder).ok();
    let look = |name: &str| open.as_ref()?.look(OsStr::new(name)).ok()?;
    // A command that may not make it finds it so, and it goes with that command.
    let is_placeholder = |name: &str, found: &Found| {
        let is_empty = || std::fs::read_dir(folder.join(name)).is_ok_and(|mut it| it.next().is_none());
        found.kind == Kind::Folder && found.is_sticky && is_empty()
    };
    let [head, common, refs, objects] = KEYSTONES;
    let named = |names: &[&str]| Some(names.iter().map(|name| folder.join(name)).collect());
    let has_head = look(head).is_some_and(|found| found.kind != Kind::Folder);
    // Also a `.git` that is none now: nothing that a command can change decides about this.
    let own = look(".git").is_some_and(|found| !is_placeholder(".git", &found));
    let is_in_working_tree = own || folder.parent().and_then(root).is_some();
    // In a working tree anything of that name makes `git diff HEAD` ambiguous.
    if !has_head && !is_in_working_tree {
        return named(&[head]);
    }
    // Git takes anything for these two that may be entered or executed.
    let is_lacking = |name: &&str| {
        look(name).is_none_or(|found| {
            let is_plain = found.kind == Kind::File && found.mode.bits() & 0o111 == 0;
            is_plain || is_placeholder(name, &found)
        })
    };
    let is_own = || pointer(&folder.join(common), "").is_none_or(|named| named == Path::new("."));
    let has_common = look(common).is_some_and(|found| match found.kind {
        Kind::File => !is_own(),
        Kind::Folder => !is_placeholder(common, &found),
        Kind::Link | Kind::Special => true,
    });
    match [refs, objects].into_iter().find(is_lacking) {
        Some(name) if !has_common => named(&[common, name]),
        Some(_) | None if !has_head => named(&[head]),
        Some(_) | None => None,
    }
}

/// Whether a folder is a git directory: git itself asks for a `HEAD`, and objects and refs of its own or those of
/// another one.
#[must_use]
pub fn is_git_directory(folder: &Path) -> bool {
    let has_own = folder.join("objects").is_dir() && folder.join("refs").is_dir();
    std::fs::symlink_metadata(folder.join("HEAD")).is_ok() && (has_own || folder.join("commondir").is_file())
}

/// The path that a file of one line names.
fn pointer(file: &Path, prefix: &str) -> Option<PathBuf> {
    let content = read_text(&file.canonicalize().ok()?, MAX_POINTER_BYTES)?;
    let named = content.text.strip_prefix(prefix)?.trim();
    (!named.is_empty() && !content.is_truncated).then(|| PathBuf::from(named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A repository with a second working tree, one in it, and a submodule, made by hand.
    fn scratch() -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().expect("scratch");
        let real = scratch.path().canonicalize().expect("real");
        for git in ["main/.git", "main/.git/modules/sub"] {
            for folder in ["objects", "refs"] {
                fs::create_dir_all(real.join(git).join(folder)).expect("folder");
            }
            fs::write(real.join(git).join("HEAD"), "ref: refs/heads/main\n").expect("HEAD");
        }
        let tree = real.join("main/.git/worktrees/tree");
        for folder in [&tree, &real.join("main/src/deep"), &real.join("main/sub"), &real.join("tree")] {
            fs::create_dir_all(folder).expect("folder");
        }
        fs::write(tree.join("HEAD"), "ref: refs/heads/other\n").expect("HEAD");
        fs::write(tree.join("commondir"), "../..\n").expect("commondir");
        fs::write(real.join("tree/.git"), format!("gitdir: {}\n", tree.display())).expect("pointer");
        fs::write(real.join("main/sub/.git"), "gitdir: ../.git/modules/sub\n").expect("pointer");
        (scratch, real)
    }

    #[test]
    fn the_root_is_the_nearest_real_one() {
        let (_scratch, real) = scratch();
        fs::create_dir(real.join("main/src/.git")).expect("litter, no repository");
        for (cwd, expected) in
            [("main/src/deep", Some("main")), ("main", Some("main")), ("tree", Some("tree")), ("", None)]
        {
            assert_eq!(root(&real.join(cwd)), expected.map(|path| real.join(path)), "{cwd}");
        }
    }

    #[test]
    fn working_trees_below_a_folder_are_found_and_stay_found() {
        let (_scratch, real) = scratch();
        let below = |folder: &Path| Repositories::default().below(folder).repositories;
        let paths = |paths: &[&str]| paths.iter().map(|path| real.join(path)).collect::<Vec<_>>();
        assert_eq!(below(&real), paths(&["main", "main/sub", "tree"]));
        assert_eq!(below(&real.join("main")), paths(&["main/sub"]));
        let deep = real.join("main/.config/a/b/c/d/deep");
        fs::create_dir_all(&deep).expect("folder");
        fs::write(deep.join(".git"), format!("gitdir: {}/main/.git\n", real.display())).expect("pointer");
        let known = Repositories::default();
        assert_eq!(known.below(&real.join("main")).repositories, [deep.clone(), real.join("main/sub")]);
        // Names that are read before it, more than are looked at for a command.
        for number in 0..FURTHER_ENTRIES {
            fs::create_dir(real.join(format!("main/.config/{number}"))).expect("folder");
        }
        assert!(search(&real.join("main"), FURTHER_ENTRIES).is_cut);
        assert_eq!(known.below(&real.join("main")).repositories, [deep, real.join("main/sub")]);
    }

    #[test]
    fn a_search_ends_at_its_bound_and_says_so() {
        let (_scratch, real) = scratch();
        // `main` and `tree` come first, then what is in them.
        for (entries, expected, is_cut) in [(1, 1, true), (2, 2, true), (100, 3, false)] {
            let found = search(&real, entries);
            assert_eq!((found.repositories.len(), found.is_cut), (expected, is_cut), "{entries}");
        }
    }

    #[test]
    fn git_directories_are_found_wherever_they_are() {
        let (_scratch, real) = scratch();
        for (root, expected) in [
            ("main", vec!["main/.git"]),
            ("tree", vec!["main/.git", "main/.git/worktrees/tree", "tree/.git"]),
            ("main/sub", vec!["main/.git/modules/sub", "main/sub/.git"]),
            ("main/src", vec![]),
        ] {
            let expected: Vec<_> = expected.iter().map(|path| real.join(path)).collect();
            assert_eq!(directories(&real.join(root)), expected, "{root}");
        }
    }

    #[test]
    fn a_rebase_that_runs_something_is_told_from_one_that_does_not() {
        let (scratch, real) = scratch();
        let directory = real.join("main/.git");
        assert_eq!(rebase_that_runs(&directory), None);
        let list = directory.join("rebase-merge/git-rebase-todo");
        fs::create_dir(directory.join("rebase-merge")).expect("folder");
        let long = "pick 1234 x\n".repeat(10_000);
        for (text, runs) in [
            ("", false),
            ("pick 1234 exec it\n# exec\nexecute\n", false),
            ("pick 1234 x\n  exec touch y\n", true),
            ("x\ttouch y", true),
            (&long, true),
        ] {
            fs::write(&list, text).expect("list");
            assert_eq!(
                rebase_that_runs(&directory).map(|(path, _)| path),
                runs.then(|| list.clone()),
                "{text}"
            );
        }
        fs::rename(directory.join("rebase-merge"), scratch.path().join("away")).expect("away");
        rustix::fs::symlink(scratch.path().join("away"), directory.join("rebase-merge")).expect("link");
        assert!(rebase_that_runs(&directory).is_some(), "git follows links");
    }

    #[test]
    fn a_git_directory_answers_to_its_own_working_tree_alone() {
        let (_scratch, real) = scratch();
        let at = |path: &str| real.join(path);
        let made = ["linked", "pointed", "own/.git/objects", "own/.git/refs", "self/worktrees/tree", "moved"];
        for folder in made {
            fs::create_dir_all(at(folder)).expect("folder");
        }
        let points = |tree: &str, to: &str| {
            fs::write(at(tree).join(".git"), format!("gitdir: {}\n", at(to).display())).expect("pointer");
        };
        // Each is what a command can make in a folder that it may write.
        points("pointed", "main/.git");
        rustix::fs::symlink(at("main/.git"), at("linked/.git")).expect("link");
        fs::write(at("own/.git/HEAD"), "ref: refs/heads/main\n").expect("HEAD");
        fs::write(at("own/.git/commondir"), format!("{}\n", at("main/.git").display())).expect("common");
        fs::write(at("own/.git/gitdir"), format!("{}\n", at("own/.git").display())).expect("gitdir");
        points("moved", "self/worktrees/tree");
        fs::write(at("self/worktrees/tree/HEAD"), "ref: refs/heads/main\n").expect("HEAD");
        let elsewhere = format!("{}\n", at("main/.git").display());
        fs::write(at("self/worktrees/tree/commondir"), elsewhere).expect("common");
        fs::write(at("self/worktrees/tree/gitdir"), format!("{}\n", at("moved/.git").display()))
            .expect("gitdir");
        // What git makes: `gitdir` of a working tree, absolute or not, and `core.worktree` of a submodule.
        let own = "main/.git/worktrees/tree";
        let module = "main/.git/modules/sub";
        for (gitdir, worktree, tree, sub) in [
            (None, None, vec![], vec![]),
            (Some(at("tree/.git")), Some("../../../sub"), vec![own, "main/.git"], vec![module]),
            (
                Some("../../../../tree/.git".into()),
                Some("\"../../../sub\""),
                vec![own, "main/.git"],
                vec![module],
            ),
            (Some(at("pointed/.git")), Some("../../../src"), vec![], vec![]),
        ] {
            if let Some(gitdir) = gitdir {
                fs::write(at(own).join("gitdir"), format!("{}\n", gitdir.display())).expect("gitdir");
            }
            if let Some(worktree) = worktree {
                let settings = format!(
                    "[remote \"x\"]\n\tworktree = x\n[core]\n\tbare = false\n\tworktree = {worktree}\n[x]\n"
                );
                fs::write(at(module).join("config"), settings).expect("config");
            }
            for (root, expected) in [
                ("main", vec!["main/.git"]),
                ("tree", tree),
                ("main/sub", sub),
                ("pointed", vec![]),
                ("linked", vec![]),
                ("own", vec!["own/.git"]),
                ("moved", vec![]),
            ] {
                let expected: Vec<PathBuf> = expected.into_iter().map(at).collect();
                assert_eq!(answering(&at(root)), expected, "{root} {worktree:?}");
            }
        }
        // A working tree that was moved away, with a link in its place to one of a command's.
        fs::rename(at("tree"), at("away")).expect("away");
        rustix::fs::symlink(at("moved"), at("tree")).expect("link");
        points("moved", own);
        fs::write(at(own).join("gitdir"), format!("{}\n", at("tree/.git").display())).expect("gitdir");
        assert_eq!(answering(&at("moved")), [""; 0].map(PathBuf::from));
    }

    #[test]
    fn a_git_directory_that_something_was_taken_from_is_still_one() {
        let (_scratch, real) = scratch();
        fs::create_dir_all(real.join("main/own/.git/objects")).expect("folder");
        fs::create_dir_all(real.join("main/empty/.git")).expect("folder");
        let below = Repositories::default().below(&real.join("main")).repositories;
        assert_eq!(below, [real.join("main/own"), real.join("main/sub")]);
        assert_eq!(directories(&real.join("main/own")), [real.join("main/own/.git")]);
    }

    /// What is kept of a folder with these in it, folders by a slash at the end.
    fn kept(folder: &Path, entries: &[&str]) -> Option<Vec<String>> {
        for entry in entries {
            match entry.strip_suffix('/') {
                Some(name) => fs::create_dir(folder.join(name)).expect("folder"),
                None => fs::write(folder.join(entry), "ref: refs/heads/main\n").expect("file"),
            }
        }
        let name = |path: PathBuf| path.strip_prefix(folder).expect("below").display().to_string();
        keystones(folder).map(|kept| kept.into_iter().map(name).collect())
    }

    #[test]
    fn a_folder_lacks_something_that_git_would_take_it_by() {
        for (entries, alone, in_a_repository) in [
            (&[][..], Some(&["HEAD"][..]), Some(&["commondir", "refs"][..])),
            (&["refs/"], Some(&["HEAD"]), Some(&["commondir", "objects"])),
            (&["refs/", "objects/"], Some(&["HEAD"]), Some(&["HEAD"])),
            (&["commondir"], Some(&["HEAD"]), Some(&["HEAD"])),
            (&["HEAD/"], Some(&["HEAD"]), Some(&["commondir", "refs"])),
            (&["HEAD"], Some(&["commondir", "refs"]), Some(&["commondir", "refs"])),
            (&["HEAD", "refs/"], Some(&["commondir", "objects"]), Some(&["commondir", "objects"])),
            (&["HEAD", "refs"], Some(&["commondir", "refs"]), Some(&["commondir", "refs"])),
            (&["HEAD", "commondir"], None, None),
            (&["HEAD", "objects/", "refs/"], None, None),
        ] {
            let (_scratch, real) = scratch();
            let wanted =
                |names: Option<&[&str]>| names.map(|names| names.iter().map(|it| (*it).to_owned()).collect());
            for (folder, expected) in [("free", alone), ("main/src/deep", in_a_repository)] {
                let folder = real.join(folder);
                fs::create_dir_all(&folder).expect("folder");
                assert_eq!(kept(&folder, entries), wanted(expected), "{} {entries:?}", folder.display());
            }
        }
    }

    #[test]
    fn a_pointer_to_what_is_not_git_is_not_believed() {
        let (_scratch, real) = scratch();
        fs::create_dir(real.join("private")).expect("folder");
        fs::write(real.join("tree/.git"), format!("gitdir: {}\n", real.join("private").display()))
            .expect("write");
        assert_eq!(directories(&real.join("tree")), [""; 0].map(PathBuf::from));
        assert_eq!(root(&real.join("tree")), None);
    }
}

//! Where a repository is, and where git keeps what belongs to it. Reads files; never runs git, and believes
//! nothing of what they say but names of folders that are git's own.

use std::path::{Path, PathBuf};

use crate::files::read_text;

/// How far down working trees below a folder are looked for, and among how many entries: it is done for each command.
pub const NESTED_DEPTH: usize = 4;
pub const NESTED_ENTRIES: usize = 2000;

/// The most that is read of a pointer file.
const MAX_POINTER_BYTES: u64 = 4096;

/// The folder of the working tree that this folder is in: the nearest one with a `.git` that git would take.
#[must_use]
pub fn root(cwd: &Path) -> Option<PathBuf> {
    cwd.ancestors().find(|folder| git_directory(&folder.join(".git")).is_some()).map(Path::to_owned)
}

/// The working trees below a folder: submodules, and repositories that were cloned into it. As far down as
/// [`NESTED_DEPTH`] folders, and in the first [`NESTED_ENTRIES`] entries, breadth first; links are not followed, and folders
/// that begin with a dot are not looked into.
#[must_use]
pub fn nested(folder: &Path) -> Vec<PathBuf> {
    nested_among(folder, NESTED_ENTRIES)
}

/// What belongs to git of the working tree at this root: its `.git`, the git directory behind it, and the one
/// that several working trees share. Absolute, links followed; also outside of the root. What does not look like
/// a git directory is not among them, so that a repository can't name any folder it likes.
#[must_use]
pub fn directories(root: &Path) -> Vec<PathBuf> {
    let dot_git = root.join(".git");
    let Some(own) = git_directory(&dot_git) else { return Vec::new() };
    let common = pointer(&own.join("commondir"), "")
        .and_then(|named| own.join(named).canonicalize().ok())
        .filter(|folder| is_git_directory(folder));
    let mut found: Vec<PathBuf> = dot_git.canonicalize().into_iter().chain([own]).chain(common).collect();
    found.sort();
    found.dedup();
    found
}

fn nested_among(folder: &Path, entries: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = entries;
    let mut level = vec![folder.to_owned()];
    for _ in 0..NESTED_DEPTH {
        let mut below = Vec::new();
        let all = level.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten());
        for entry in all.take(left) {
            left -= 1;
            let Ok(entry) = entry else { continue };
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !entry.file_name().as_encoded_bytes().starts_with(b".") {
                below.push(entry.path());
            }
        }
        below.sort();
        found.extend(below.iter().filter(|path| git_directory(&path.join(".git")).is_some()).cloned());
        level = below;
    }
    found
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

/// What git itself asks of one: a `HEAD`, and objects and refs of its own or those of another one.
fn is_git_directory(folder: &Path) -> bool {
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
    fn working_trees_below_a_folder_are_found_within_bounds() {
        let (_scratch, real) = scratch();
        assert_eq!(nested(&real), ["main", "tree", "main/sub"].map(|path| real.join(path)));
        assert_eq!(nested(&real.join("main")), [real.join("main/sub")]);
        for (below, is_found) in [("a/b/c", true), ("a/b/c/d", false)] {
            let folder = real.join("main").join(below).join("deep");
            fs::create_dir_all(&folder).expect("folder");
            fs::write(folder.join(".git"), format!("gitdir: {}/main/.git\n", real.display()))
                .expect("pointer");
            assert_eq!(nested(&real.join("main")).contains(&folder), is_found, "{below}");
        }
        // `main` and `tree` come first, then what is in them.
        assert_eq!(nested_among(&real, 2), ["main", "tree"].map(|path| real.join(path)));
        assert_eq!(nested_among(&real, 100).len(), 3);
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
    fn a_pointer_to_what_is_not_git_is_not_believed() {
        let (_scratch, real) = scratch();
        fs::create_dir(real.join("private")).expect("folder");
        fs::write(real.join("tree/.git"), format!("gitdir: {}\n", real.join("private").display()))
            .expect("write");
        assert_eq!(directories(&real.join("tree")), [""; 0].map(PathBuf::from));
        assert_eq!(root(&real.join("tree")), None);
    }
}

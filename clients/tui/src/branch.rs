//! Which branch a folder is on, as git's own files say. Runs nothing; knows nothing of when it is asked.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a file of git's that are read.
const MOST_BYTES: u64 = 4096;
/// Letters of a commit that stand for it.
const COMMIT_LETTERS: usize = 8;

/// The branch, or the beginning of the commit where there is none; absent outside of a repository.
pub(crate) fn of_folder(folder: &Path) -> Option<String> {
    let git = folder.ancestors().map(|folder| folder.join(".git")).find(|git| git.exists())?;
    let git: PathBuf = match read(&git) {
        // A worktree: the file says where its own folder is.
        Some(text) => git.parent()?.join(text.strip_prefix("gitdir:")?.trim()),
        None => git,
    };
    let head = read(&git.join("HEAD"))?;
    let head = head.trim();
    match head.strip_prefix("ref:") {
        Some(name) => Some(name.trim().trim_start_matches("refs/heads/").to_owned()),
        None => Some(head.chars().take(COMMIT_LETTERS).collect()),
    }
    .filter(|name: &String| !name.is_empty())
}

fn read(file: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(file).ok()?.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_branch_is_found_from_below_and_in_worktrees() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("one/.git/worktrees/two")).unwrap();
        fs::create_dir_all(root.join("one/src")).unwrap();
        fs::create_dir_all(root.join("two")).unwrap();
        fs::write(root.join("one/.git/HEAD"), "ref: refs/heads/a/b\n").unwrap();
        fs::write(
            root.join("two/.git"),
            format!("gitdir: {}\n", root.join("one/.git/worktrees/two").display()),
        )
        .unwrap();
        fs::write(root.join("one/.git/worktrees/two/HEAD"), "0123456789abcdef\n").unwrap();
        assert_eq!(of_folder(&root.join("one/src")).as_deref(), Some("a/b"));
        assert_eq!(of_folder(&root.join("two")).as_deref(), Some("01234567"));
        assert_eq!(of_folder(Path::new("/")), None);
    }
}

//! The folder that declarations belong to, and what tells it from another one that stands at its place later.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::error::ExtensionError;

/// A repository, or a folder outside of any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its real path.
    pub root: PathBuf,
    /// Another one for a folder, or a git directory in it, that was made anew.
    pub identity: String,
}

impl Project {
    /// The one that a folder belongs to: the repository that it is in, the innermost one, or itself.
    ///
    /// # Errors
    /// `Folder`.
    pub fn of(folder: &Path) -> Result<Self, ExtensionError> {
        let failed = |source| ExtensionError::Folder { path: folder.to_owned(), source };
        let folder_real = folder.canonicalize().map_err(failed)?;
        let root = workspace::git::root(&folder_real).unwrap_or(folder_real);
        let own = mark(&root).map_err(failed)?;
        let git = mark(&root.join(".git")).unwrap_or_default();
        Ok(Self { identity: format!("{own} {git}"), root })
    }
}

/// What no other file has had: device, number and the time that it was made. A number alone is soon given to another
/// one.
fn mark(path: &Path) -> std::io::Result<String> {
    let meta = std::fs::symlink_metadata(path)?;
    let made = meta.created().ok().and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let made = made.map_or(0, |made| made.as_nanos());
    #[cfg(unix)]
    {
        let stat = rustix::fs::lstat(path)?;
        Ok(format!("{:x}:{:x}:{made:x}", stat.st_dev, stat.st_ino))
    }
    #[cfg(not(unix))]
    Ok(format!("{made:x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn repository(root: &Path) {
        for folder in [".git/objects", ".git/refs"] {
            fs::create_dir_all(root.join(folder)).expect("folder");
        }
        fs::write(root.join(".git/HEAD"), "ref: refs/heads/main\n").expect("HEAD");
    }

    #[test]
    fn a_nested_repository_is_one_of_its_own() {
        let scratch = tempfile::tempdir().expect("scratch");
        let outer = scratch.path().canonicalize().expect("real").join("outer");
        repository(&outer);
        repository(&outer.join("inner"));
        fs::create_dir_all(outer.join("src")).expect("folder");
        let root = |folder: &Path| Project::of(folder).expect("project").root;
        assert_eq!(root(&outer.join("src")), outer);
        assert_eq!(root(&outer.join("inner")), outer.join("inner"));
    }

    #[test]
    fn what_is_made_anew_at_the_same_place_is_another_one() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().join("repo");
        repository(&root);
        let first = Project::of(&root).expect("project");
        assert_eq!(Project::of(&root).expect("project"), first);
        fs::remove_dir_all(root.join(".git")).expect("remove");
        repository(&root);
        let git_again = Project::of(&root).expect("project");
        assert_ne!(git_again.identity, first.identity);
        fs::remove_dir_all(&root).expect("remove");
        repository(&root);
        assert_ne!(Project::of(&root).expect("project").identity, git_again.identity);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_it_is_the_same_one() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real").join("repo");
        repository(&root);
        let link = scratch.path().join("link");
        rustix::fs::symlink(&root, &link).expect("link");
        assert_eq!(Project::of(&link).expect("project"), Project::of(&root).expect("project"));
    }
}

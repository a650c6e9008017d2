//! Paths through symbolic links. What does not exist yet is kept as it is named.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::link_target;

/// Links that are followed for one path; as many as Linux follows.
const MAX_LINKS: u32 = 40;

/// What becomes of a link in the last place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// It is followed, even to something that does not exist.
    Followed,
    /// It is what is meant.
    Kept,
}

/// The real path of an absolute path: every link followed, `..` taken from where the links lead, as the system
/// does it. What does not exist is appended as it is named.
///
/// # Errors
/// Links lead in a circle, or a folder may not be searched.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    resolve_with(path, Last::Followed, link_target)?
        .ok_or_else(|| io::Error::other("too many symbolic links"))
}

/// As `resolve`, with a function that tells where a link leads, or that something is no link. `None` if links
/// lead in a circle.
pub(crate) fn resolve_with<E>(
    path: &Path,
    last: Last,
    mut target_of: impl FnMut(&Path) -> Result<Option<PathBuf>, E>,
) -> Result<Option<PathBuf>, E> {
    let mut pending = Vec::new();
    push_parts(path, &mut pending);
    let mut real = PathBuf::new();
    let mut links = 0;
    while let Some(part) = pending.pop() {
        if part == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&part);
        if pending.is_empty() && last == Last::Kept {
            return Ok(Some(next));
        }
        if let Some(target) = target_of(&next)? {
            links += 1;
            if links > MAX_LINKS {
                return Ok(None);
            }
            push_parts(&target, &mut pending);
        } else {
            real = next;
        }
    }
    Ok(Some(real))
}

/// Puts the parts of a path on the stack, so that the first one is on top.
fn push_parts(path: &Path, pending: &mut Vec<OsString>) {
    let parts = path.components().rev().filter(|part| *part != Component::CurDir);
    pending.extend(parts.map(|part| part.as_os_str().to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::symlink;

    #[test]
    fn links_are_followed_and_what_is_missing_is_kept() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        std::fs::create_dir_all(root.join("a/b")).expect("folders");
        symlink("a/b", root.join("to-b")).expect("link");
        symlink(root.join("to-b"), root.join("a/absolute")).expect("link");
        symlink("nowhere/x", root.join("dangling")).expect("link");
        symlink("circle", root.join("circle")).expect("link");
        for (path, expected) in [
            ("a/b/c", Some("a/b/c")),
            ("to-b/new/file", Some("a/b/new/file")),
            ("to-b/../x", Some("a/x")),
            ("a/absolute/y", Some("a/b/y")),
            ("dangling", Some("nowhere/x")),
            ("missing/../x", Some("x")),
            ("circle/x", None),
        ] {
            let found = resolve(&root.join(path)).ok();
            assert_eq!(found, expected.map(|path| root.join(path)), "{path}");
        }
        let kept = resolve_with(&root.join("a/../to-b"), Last::Kept, link_target);
        assert_eq!(kept.expect("kept"), Some(root.join("to-b")));
        assert_eq!(resolve(Path::new("/../..")).expect("root"), Path::new("/"));
    }
}

//! Follows links one by one, and says all that decides where they lead. Knows no rules.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::places::open_real;

/// So many links the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// The longest name that a file can have.
const MAX_NAME: usize = 255;

/// What a path with links in it comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// All that was met on it, as real paths: links themselves, and the folders that were gone through. Where one of them
    /// becomes another, so may the end.
    pub(crate) passed: Vec<(PathBuf, Passed)>,
    pub(crate) end: End,
}

/// What was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    Link,
    Folder,
}

/// Where it ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// There is something.
    There(PathBuf),
    /// From here on there is nothing.
    Missing(PathBuf),
    /// Further than this nobody gets while it is what it is: a file in place of a folder, or a closed folder.
    Stopped(PathBuf),
    /// Nobody ever gets there.
    Nowhere,
}

/// Follows an absolute path. Fails where the machine does, or where it changes under our eyes.
pub(crate) fn follow(path: &Path) -> Result<Way, Errno> {
    let mut left = backwards(path);
    let (mut at, mut passed, mut links) = (PathBuf::from("/"), Vec::new(), 0);
    while let Some(part) = left.pop() {
        match Path::new(&part).components().next() {
            Some(Component::Normal(_)) => at.push(&part),
            Some(Component::ParentDir) => {
                at.pop();
                continue;
            }
            Some(Component::RootDir) => {
                at = PathBuf::from("/");
                continue;
            }
            Some(Component::CurDir | Component::Prefix(_)) | None => continue,
        }
        let met = open_real(&at).and_then(|entry| Ok((rustix::fs::fstat(&entry)?, entry)));
        let end = match met {
            Ok((stat, entry)) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    passed.push((at.clone(), Passed::Link));
                    let target = rustix::fs::readlinkat(&entry, c"", Vec::new())?;
                    left.extend(backwards(Path::new(OsStr::from_bytes(target.as_bytes()))));
                    at.pop();
                    if links > MAX_LINKS { End::Nowhere } else { continue }
                }
                FileType::Directory => {
                    if left.is_empty() {
                        break;
                    }
                    passed.push((at.clone(), Passed::Folder));
                    continue;
                }
                _ if left.is_empty() => break,
                _ => End::Stopped(at),
            },
            Err(Errno::NOENT) => End::Missing(at),
            Err(Errno::NAMETOOLONG) if part.len() > MAX_NAME => End::Nowhere,
            Err(Errno::NOTDIR | Errno::ACCESS | Errno::NAMETOOLONG) => {
                at.pop();
                End::Stopped(at)
            }
            Err(errno) => return Err(errno),
        };
        return Ok(Way { passed, end });
    }
    Ok(Way { passed, end: End::There(at) })
}

/// The components, the first last.
fn backwards(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn all_that_decides_where_a_link_leads_is_told() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = fs::canonicalize(scratch.path()).expect("real");
        fs::create_dir_all(root.join("d/e")).expect("mkdir");
        fs::write(root.join("d/file"), "x").expect("write");
        let long = "n".repeat(MAX_NAME + 1);
        for (target, name) in [
            ("d/file", "file"),
            ("file", "chain"),
            ("d/e/../gone/x", "gone"),
            ("d/file/x", "through"),
            ("loop", "loop"),
            ("pong", "ping"),
            ("ping", "pong"),
            ("/", "root"),
            (&long, "long"),
        ] {
            symlink(target, root.join(name)).expect("link");
        }
        let (link, folder) = (Passed::Link, Passed::Folder);
        let check = |name: &str, wanted: &[(&str, Passed)], end: End| {
            let way = follow(&root.join(name)).expect(name);
            let mut passed: Vec<_> = Vec::new();
            for (path, kind) in &way.passed {
                let below = path.strip_prefix(&root).ok().and_then(Path::to_str).filter(|it| !it.is_empty());
                let found = below.map(|below| (below, *kind));
                if let Some(found) = found.filter(|found| !passed.contains(found)) {
                    passed.push(found);
                }
            }
            assert_eq!((&passed[..], way.end), (wanted, end), "{name}");
        };
        let there = |name: &str| End::There(root.join(name));
        check("d/file", &[("d", folder)], there("d/file"));
        check("file", &[("file", link), ("d", folder)], there("d/file"));
        check("chain", &[("chain", link), ("file", link), ("d", folder)], there("d/file"));
        let missing = End::Missing(root.join("d/gone"));
        check("gone", &[("gone", link), ("d", folder), ("d/e", folder)], missing);
        check("through", &[("through", link), ("d", folder)], End::Stopped(root.join("d/file")));
        check("file/x", &[("file", link), ("d", folder)], End::Stopped(root.join("d/file")));
        check("loop", &[("loop", link)], End::Nowhere);
        check("ping", &[("ping", link), ("pong", link)], End::Nowhere);
        check("long", &[("long", link)], End::Nowhere);
        check("root", &[("root", link)], End::There("/".into()));
    }
}

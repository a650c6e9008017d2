//! What Landlock has to allow so that the places of a layout hold. Knows nothing of Landlock but that it only
//! adds: what is allowed for a folder is allowed for everything below it.
//!
//! So where something stricter lies inside a folder, the folder itself gets no more than the strictest of what
//! is inside, and each of its entries is granted by itself. Nothing new can then be made in it directly.

use std::ffi::OsString;
use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use helper_protocol::plan::Access;

use crate::places::Layout;

/// This much is allowed for a path and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) path: PathBuf,
    /// `Read` or `Write`.
    pub(crate) access: Access,
}

/// The grants that make up this layout.
pub(crate) fn grants(layout: &Layout) -> Vec<Grant> {
    grants_with(layout, &entries)
}

fn grants_with(layout: &Layout, entries: &dyn Fn(&Path) -> Vec<OsString>) -> Vec<Grant> {
    let mut all = Vec::new();
    add(layout, Path::new("/"), Access::Hidden, entries, &mut all);
    all
}

/// Adds the grants for a path, whose parents were granted this much already.
fn add(
    layout: &Layout,
    path: &Path,
    granted: Access,
    entries: &dyn Fn(&Path) -> Vec<OsString>,
    all: &mut Vec<Grant>,
) {
    let own = layout.access(path);
    // What is below a path comes right after it.
    let behind = || layout.places.range::<Path, _>((Bound::Excluded(path), Bound::Unbounded));
    let inside = || behind().take_while(|(place, _)| place.starts_with(path));
    let strictest = inside().map(|(_, (access, _))| *access).min().unwrap_or(own).min(own);
    if strictest > granted {
        all.push(Grant { path: path.to_owned(), access: strictest });
    }
    let granted = granted.max(strictest);
    // The entries that lead to places, and where the folder itself did not get its due, all others too.
    let mut next: Vec<PathBuf> = inside()
        .filter_map(|(place, _)| place.strip_prefix(path).ok()?.components().next())
        .map(|name| path.join(name))
        .collect();
    if own > granted {
        next.extend(entries(path).into_iter().map(|name| path.join(name)));
    }
    next.sort();
    next.dedup();
    for entry in next {
        add(layout, &entry, granted, entries, all);
    }
}

fn entries(path: &Path) -> Vec<OsString> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::places::Kind;

    /// The grants in a machine with these files.
    fn check(places: &[(&str, Access)], files: &[&str], wanted: &[(&str, Access)]) {
        let places: BTreeMap<_, _> =
            places.iter().map(|&(path, access)| (path.into(), (access, Kind::Folder))).collect();
        let layout = Layout { places, placeholders: Vec::new() };
        let entries = |folder: &Path| -> Vec<OsString> {
            let below = files.iter().filter_map(|file| Path::new(file).strip_prefix(folder).ok());
            below.filter_map(|file| Some(file.components().next()?.as_os_str().to_owned())).collect()
        };
        let found = grants_with(&layout, &entries);
        let wanted: Vec<_> =
            wanted.iter().map(|&(path, access)| Grant { path: path.into(), access }).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_writable_folder_is_granted_whole() {
        let (read, write) = (Access::Read, Access::Write);
        check(&[("/repo", write)], &["/etc/passwd"], &[("/", read), ("/repo", write)]);
    }

    #[test]
    fn around_a_protected_path_the_entries_are_granted() {
        let (read, write) = (Access::Read, Access::Write);
        check(
            &[("/repo", write), ("/repo/.git", read), ("/repo/.git/ours", write), ("/repo/absent", read)],
            &["/repo/src/a.rs", "/repo/README", "/repo/.git/config"],
            &[("/", read), ("/repo/.git/ours", write), ("/repo/README", write), ("/repo/src", write)],
        );
    }

    #[test]
    fn around_a_hidden_path_the_entries_are_granted() {
        let (hidden, read, write) = (Access::Hidden, Access::Read, Access::Write);
        check(
            &[("/home/me/.ssh", hidden), ("/home/me/repo", write)],
            &["/etc/passwd", "/home/me/notes", "/home/me/.ssh/id", "/home/you/x", "/home/me/repo/a"],
            &[("/etc", read), ("/home/me/notes", read), ("/home/me/repo", write), ("/home/you", read)],
        );
    }
}

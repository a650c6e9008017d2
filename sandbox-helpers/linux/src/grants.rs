//! What Landlock has to allow so that the places of a layout hold. Knows nothing of Landlock but that it only
//! adds: what is allowed for a folder is allowed for everything below it.
//!
//! So where something stricter lies inside a folder, the folder itself gets no more than the strictest of what
//! is inside, and each of its entries is granted by itself. Nothing new can then be made in it directly.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use helper_protocol::plan::Access;
use rustix::fs::FileType;

use crate::listing;
use crate::places::{Kind, Layout};

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

/// What may be written where mounts hold all but protected links: in a folder with such a link each entry, and not the
/// folder itself, so that nobody puts something else in the link's place.
pub(crate) fn writable_beside_links(layout: &Layout) -> Vec<Grant> {
    let mut root = Node::default();
    for (path, (access, kind)) in &layout.places {
        if *access == Access::Write || *kind == Kind::Link {
            root.insert(path, *access);
        }
    }
    let mut granting = Granting { entries: &entries, path: PathBuf::from("/"), all: Vec::new() };
    granting.add(&root, Access::Read, Access::Hidden);
    granting.all.retain(|grant| grant.access == Access::Write);
    granting.all
}

fn grants_with(layout: &Layout, entries: &dyn Fn(&Path) -> BTreeSet<OsString>) -> Vec<Grant> {
    let mut root = Node::default();
    for (path, (access, _)) in &layout.places {
        root.insert(path, *access);
    }
    let mut granting = Granting { entries, path: PathBuf::from("/"), all: Vec::new() };
    granting.add(&root, Access::Read, Access::Hidden);
    granting.all
}

/// The places at and below a path. To compare whole paths for each entry of a folder costs more than all the rest.
#[derive(Default)]
struct Node<'a> {
    access: Option<Access>,
    below: BTreeMap<&'a OsStr, Node<'a>>,
}

impl<'a> Node<'a> {
    fn insert(&mut self, path: &'a Path, access: Access) {
        let mut node = self;
        for component in path.components() {
            match component {
                Component::Normal(name) => node = node.below.entry(name).or_default(),
                // Places are absolute and real.
                Component::RootDir | Component::Prefix(_) | Component::CurDir | Component::ParentDir => {}
            }
        }
        node.access = Some(access);
    }

    /// The least that is allowed here or below, where this much is allowed around it.
    fn strictest(&self, around: Access) -> Access {
        let own = self.access.unwrap_or(around);
        self.below.values().map(|node| node.strictest(own)).fold(own, Access::min)
    }
}

struct Granting<'e> {
    entries: &'e dyn Fn(&Path) -> BTreeSet<OsString>,
    /// Where it is.
    path: PathBuf,
    all: Vec<Grant>,
}

impl Granting<'_> {
    /// Adds the grants for the path where it is, around which this much holds, and whose parents were granted that much.
    fn add(&mut self, node: &Node<'_>, around: Access, granted: Access) {
        let own = node.access.unwrap_or(around);
        let strictest = node.strictest(around);
        self.grant(strictest, granted);
        let granted = granted.max(strictest);
        // The entries that lead to places, and where the folder itself did not get its due, all others too.
        let others = if own > granted { (self.entries)(&self.path) } else { BTreeSet::new() };
        let mut names: BTreeSet<&OsStr> = others.iter().map(OsString::as_os_str).collect();
        names.extend(node.below.keys());
        for name in names {
            self.path.push(name);
            match node.below.get(name) {
                Some(node) => self.add(node, own, granted),
                None => self.grant(own, granted),
            }
            self.path.pop();
        }
    }

    fn grant(&mut self, access: Access, granted: Access) {
        if access > granted {
            self.all.push(Grant { path: self.path.clone(), access });
        }
    }
}

/// What is in a folder, without links: a grant for one would allow nothing.
fn entries(folder: &Path) -> BTreeSet<OsString> {
    let mut names = BTreeSet::new();
    listing::each(folder, |name, kind| {
        if kind != FileType::Symlink {
            names.insert(name.to_owned());
        }
    });
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The grants in a machine with these files.
    fn check(places: &[(&str, Access)], files: &[&str], wanted: &[(&str, Access)]) {
        let places: BTreeMap<_, _> =
            places.iter().map(|&(path, access)| (path.into(), (access, Kind::Folder))).collect();
        let layout = Layout { places, placeholders: Vec::new() };
        let entries = |folder: &Path| -> BTreeSet<OsString> {
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

    #[test]
    fn beside_a_protected_link_the_entries_may_be_written() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = std::fs::canonicalize(scratch.path()).expect("real");
        for name in ["w/.git", "w/src/deep", "x/y"] {
            std::fs::create_dir_all(root.join(name)).expect("mkdir");
        }
        std::os::unix::fs::symlink("nowhere", root.join("w/link")).expect("link");
        let (read, write) = (Access::Read, Access::Write);
        let places = [("w", write), ("w/.git", read), ("w/src/deep", write), ("x", write)];
        let places = places.map(|(name, access)| (root.join(name), (access, Kind::Folder)));
        let mut layout = Layout { places: places.into(), placeholders: Vec::new() };
        let granted = |layout: &Layout| -> Vec<_> {
            let all = writable_beside_links(layout).into_iter();
            all.map(|grant| grant.path.strip_prefix(&root).expect("below").display().to_string()).collect()
        };
        assert_eq!(granted(&layout), ["w", "x"]);
        layout.places.insert(root.join("w/link"), (read, Kind::Link));
        assert_eq!(granted(&layout), ["w/.git", "w/src", "x"], "the repository is held by its mount");
    }
}

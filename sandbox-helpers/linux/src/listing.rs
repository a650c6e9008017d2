//! What is in a folder. Knows nothing of what is made of it.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, RawDir};

/// How much of a list is taken at a time: some hundred usual names, and at least one of the longest.
const BYTES: usize = 4096;

/// Tells each entry of a folder, up to the first that can't be read; none of one that can't be listed. The standard
/// library asks the kernel for memory for each folder and gives it back, which takes longer than the listing.
pub(crate) fn each(folder: &Path, mut tell: impl FnMut(&OsStr, FileType)) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(folder) = rustix::fs::open(folder, flags, Mode::empty()) else { return };
    let mut space = [MaybeUninit::uninit(); BYTES];
    let mut list = RawDir::new(folder, &mut space);
    while let Some(Ok(entry)) = list.next() {
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            tell(OsStr::from_bytes(name), entry.file_type());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;

    #[test]
    fn all_entries_are_told_where_one_list_does_not_hold_them() {
        let scratch = tempfile::tempdir().expect("scratch");
        let names: BTreeSet<_> = (0..100).map(|number| format!("{number}-{}", "n".repeat(200))).collect();
        for name in &names {
            fs::write(scratch.path().join(name), "").expect("write");
        }
        std::os::unix::fs::symlink("x", scratch.path().join("link")).expect("link");
        let (mut files, mut links) = (BTreeSet::new(), BTreeSet::new());
        each(scratch.path(), |name, kind| {
            let all = if kind == FileType::Symlink { &mut links } else { &mut files };
            all.insert(name.to_str().expect("text").to_owned());
        });
        assert_eq!(files, names);
        assert_eq!(links, BTreeSet::from(["link".to_owned()]));
        each(&scratch.path().join("absent"), |name, _| panic!("{} is not there", name.display()));
    }
}

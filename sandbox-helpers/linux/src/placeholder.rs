//! Mount points for protected paths that do not exist: an empty folder (or a file, see [`COMMON_FOLDER`]) on disk for
//! as long as a command that needs it runs. Knows nothing of mounts or rules.
//!
//! Only what exists can be mounted over, and only what is mounted over can't be created. So a protected path
//! that does not exist is made, as an empty folder with the sticky bit, which marks it as ours. Commands that
//! run at the same time share it: each holds a shared lock on it, and whoever finds at its end that nobody else
//! does removes it. What a killed helper left is taken over and removed by the next command that meets it.
//! What somebody else puts into it in the meantime stays, and then it is an ordinary folder.
//!
//! So such a path is seen while a command runs, as an empty folder, by the command (`ls -a`) and outside; git does not
//! list empty folders. It can't be both unseen and impossible to make: the kernel refuses a new name in a folder that
//! may be written only where that name is taken. Landlock knows folders, not names in them, and a filter sees no names;
//! what answers calls in their place would have to answer every listing of a folder, and to make each folder itself.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use helper_protocol::report::Failure;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::failure::Step;

/// Read and entered by all, written by the owner, sticky: nobody makes such a folder and leaves it empty.
const MARKED: Mode = Mode::from_raw_mode(0o1755);
const ORDINARY: Mode = Mode::from_raw_mode(0o755);
/// The same for a file.
const MARKED_FILE: Mode = Mode::from_raw_mode(0o1644);

/// Git dies of a folder of this name. It must be a file, and this content changes nothing for git.
const COMMON_FOLDER: (&str, &[u8]) = ("commondir", b".\n");

/// How often to start over when others make and remove the same folder.
const ATTEMPTS: u32 = 1000;

/// A held one.
pub(crate) struct Placeholder {
    path: PathBuf,
    entry: OwnedFd,
    shape: Shape,
}

/// What one is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Folder,
    /// With the content that changes nothing.
    File,
}

/// What came of [`take`].
pub(crate) enum Taken {
    /// It is there and ours.
    Held(Placeholder),
    /// Something else is there by now.
    Occupied,
    /// It can't be made, and no command could make it either.
    Impossible,
}

/// Makes one of this shape, or shares the one that is there, whatever its shape. Its parent exists.
pub(crate) fn take(path: &Path, shape: Shape) -> Result<Taken, Failure> {
    let step = || format!("keep `{}` from being created", path.display());
    for _ in 0..ATTEMPTS {
        let is_new = match make(path, shape) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => return Ok(Taken::Impossible),
            Err(errno) => return Err(errno).step(&step()),
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let entry = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(entry) => entry,
            Err(Errno::NOENT) => continue,
            Err(Errno::LOOP | Errno::NXIO) => return Ok(Taken::Occupied),
            Err(errno) => return Err(errno).step(&step()),
        };
        let stat = rustix::fs::fstat(&entry).step(&step())?;
        // What somebody may have put into a new one already is seen when it is released.
        if !is_marked(&stat) || !(is_new || is_untouched(&stat, path)) {
            return Ok(Taken::Occupied);
        }
        match rustix::fs::flock(&entry, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {}
            // Somebody is removing it.
            Err(Errno::AGAIN) => {
                rustix::thread::sched_yield();
                continue;
            }
            Err(errno) => return Err(errno).step(&step()),
        }
        if is_at(&stat, path) {
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            let shape = if is_file { Shape::File } else { Shape::Folder };
            return Ok(Taken::Held(Placeholder { path: path.to_owned(), entry, shape }));
        }
    }
    Err(Errno::AGAIN).step(&step())
}

/// Makes the entry. A file gets its name when it is whole, so nobody meets one without its content.
fn make(path: &Path, shape: Shape) -> Result<(), Errno> {
    match shape {
        Shape::Folder => return rustix::fs::mkdir(path, MARKED),
        Shape::File => {}
    }
    let folder = path.parent().unwrap_or(path);
    let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, MARKED_FILE)?;
    rustix::fs::fchmod(&file, MARKED_FILE)?;
    rustix::io::write(&file, COMMON_FOLDER.1)?;
    let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    rustix::fs::linkat(rustix::fs::CWD, own, rustix::fs::CWD, path, AtFlags::SYMLINK_FOLLOW)
}

/// What the placeholder of a path in a git directory is.
pub(crate) fn shape(path: &Path) -> Shape {
    if path.file_name().is_some_and(|name| name == COMMON_FOLDER.0) { Shape::File } else { Shape::Folder }
}

/// Whether an entry may be one of ours.
pub(crate) fn is_marked(stat: &Stat) -> bool {
    let special = Mode::from_raw_mode(stat.st_mode) & (Mode::SUID | Mode::SGID | Mode::SVTX);
    special == Mode::SVTX && stat.st_uid == rustix::process::geteuid().as_raw()
}

/// Whether one is at a path, and nobody put anything into it.
pub(crate) fn is_left(path: &Path) -> bool {
    rustix::fs::lstat(path).is_ok_and(|stat| is_marked(&stat) && is_untouched(&stat, path))
}

impl Placeholder {
    /// What it is.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Removes it unless others hold it. Gives what is left of one that was removed: to let go of it takes the file
    /// system longer than all the rest, and nobody has to wait for that.
    #[must_use]
    pub(crate) fn release(self) -> Option<OwnedFd> {
        if rustix::fs::flock(&self.entry, FlockOperation::NonBlockingLockExclusive).is_err() {
            return None;
        }
        let stat = rustix::fs::fstat(&self.entry).ok().filter(|stat| is_at(stat, &self.path))?;
        if self.shape == Shape::File {
            // If that fails, the next command that meets it tries again.
            let is_removed = is_untouched(&stat, &self.path) && rustix::fs::unlink(&self.path).is_ok();
            return is_removed.then_some(self.entry);
        }
        match rustix::fs::rmdir(&self.path) {
            Ok(()) => Some(self.entry),
            Err(Errno::NOTEMPTY) => {
                // If that fails it keeps the sticky bit, which does no harm to a folder that is not empty.
                let _ = rustix::fs::fchmod(&self.entry, ORDINARY);
                None
            }
            Err(_) => None,
        }
    }
}

/// Whether the path still leads to what was looked at.
fn is_at(stat: &Stat, path: &Path) -> bool {
    rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|now| (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino))
}

/// Whether nobody put anything into it.
fn is_untouched(stat: &Stat, path: &Path) -> bool {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()),
        FileType::RegularFile if shape(path) == Shape::File => {
            let length = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
            length == COMMON_FOLDER.1.len() as u64
                && fs::read(path).is_ok_and(|content| content == COMMON_FOLDER.1)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(path: &Path) -> Placeholder {
        match take(path, shape(path)) {
            Ok(Taken::Held(placeholder)) => placeholder,
            Ok(Taken::Occupied | Taken::Impossible) | Err(_) => panic!("not held"),
        }
    }

    #[test]
    fn the_last_holder_removes_it() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("absent");
        let (first, second) = (held(&path), held(&path));
        drop(first.release());
        assert!(path.is_dir());
        drop(second.release());
        assert!(!path.exists());
    }

    #[test]
    fn gits_common_folder_is_a_file_that_changes_nothing() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("commondir");
        drop(held(&path));
        let (first, second) = (held(&path), held(&path));
        assert_eq!(fs::read(&path).expect("file"), b".\n");
        drop(first.release());
        assert!(path.is_file());
        drop(second.release());
        assert!(!path.exists());

        let placeholder = held(&path);
        fs::write(&path, "theirs").expect("write");
        drop(placeholder.release());
        assert_eq!(fs::read(&path).expect("file"), b"theirs");
        assert!(matches!(take(&path, shape(&path)), Ok(Taken::Occupied)));
    }

    #[test]
    fn gits_common_folder_is_a_folder_outside_of_git_directories() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("commondir");
        let folder = || match take(&path, Shape::Folder) {
            Ok(Taken::Held(placeholder)) => placeholder,
            Ok(Taken::Occupied | Taken::Impossible) | Err(_) => panic!("not held"),
        };
        let first = folder();
        assert!(path.is_dir() && is_left(&path));
        assert_eq!(held(&path).shape(), Shape::Folder, "what is there is shared");
        drop(folder().release());
        drop(first.release());
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_helper_left_is_removed_by_the_next() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("absent");
        drop(held(&path));
        assert!(path.is_dir());
        drop(held(&path).release());
        assert!(!path.exists());
    }

    #[test]
    fn what_others_made_is_left_alone() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("theirs");
        fs::create_dir(&path).expect("mkdir");
        assert!(matches!(take(&path, shape(&path)), Ok(Taken::Occupied)));

        let path = scratch.path().join("ours");
        let placeholder = held(&path);
        fs::write(path.join("theirs"), "x").expect("write");
        drop(placeholder.release());
        assert!(path.join("theirs").exists());
        let stat = rustix::fs::stat(&path).expect("stat");
        assert!(!is_marked(&stat), "it is an ordinary folder now");
    }
}

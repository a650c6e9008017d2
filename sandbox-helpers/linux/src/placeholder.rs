//! Mount points for protected paths that do not exist: an empty folder on disk for as long as a command that
//! needs it runs. Knows nothing of mounts or rules.
//!
//! Only what exists can be mounted over, and only what is mounted over can't be created. So a protected path
//! that does not exist is made, as an empty folder with the sticky bit, which marks it as ours. Commands that
//! run at the same time share it: each holds a shared lock on it, and whoever finds at its end that nobody else
//! does removes it. What a killed helper left is taken over and removed by the next command that meets it.
//! What somebody else puts into it in the meantime stays, and then it is an ordinary folder.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use helper_protocol::report::Failure;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::failure::Step;

/// Read and entered by all, written by the owner, sticky: nobody makes such a folder and leaves it empty.
const MARKED: Mode = Mode::from_raw_mode(0o1755);
const ORDINARY: Mode = Mode::from_raw_mode(0o755);

/// How often to start over when others make and remove the same folder.
const ATTEMPTS: u32 = 1000;

/// A held one.
pub(crate) struct Placeholder {
    path: PathBuf,
    folder: OwnedFd,
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

/// Makes one, or shares the one that is there. Its parent exists.
pub(crate) fn take(path: &Path) -> Result<Taken, Failure> {
    let step = || format!("keep `{}` from being created", path.display());
    for _ in 0..ATTEMPTS {
        match rustix::fs::mkdir(path, MARKED) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => return Ok(Taken::Impossible),
            Err(errno) => return Err(errno).step(&step()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => continue,
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Taken::Occupied),
            Err(errno) => return Err(errno).step(&step()),
        };
        let stat = rustix::fs::fstat(&folder).step(&step())?;
        if !is_marked(&stat) || !is_empty(path) {
            return Ok(Taken::Occupied);
        }
        match rustix::fs::flock(&folder, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {}
            // Somebody is removing it.
            Err(Errno::AGAIN) => {
                rustix::thread::sched_yield();
                continue;
            }
            Err(errno) => return Err(errno).step(&step()),
        }
        if is_at(&stat, path) {
            return Ok(Taken::Held(Placeholder { path: path.to_owned(), folder }));
        }
    }
    Err(Errno::AGAIN).step(&step())
}

/// Whether a folder may be one of ours.
pub(crate) fn is_marked(stat: &Stat) -> bool {
    let special = Mode::from_raw_mode(stat.st_mode) & (Mode::SUID | Mode::SGID | Mode::SVTX);
    special == Mode::SVTX && stat.st_uid == rustix::process::geteuid().as_raw()
}

impl Placeholder {
    /// Removes it unless others hold it.
    pub(crate) fn release(self) {
        if rustix::fs::flock(&self.folder, FlockOperation::NonBlockingLockExclusive).is_err() {
            return;
        }
        let Ok(stat) = rustix::fs::fstat(&self.folder) else { return };
        if is_at(&stat, &self.path) && rustix::fs::rmdir(&self.path) == Err(Errno::NOTEMPTY) {
            // If that fails it keeps the sticky bit, which does no harm to a folder that is not empty.
            let _ = rustix::fs::fchmod(&self.folder, ORDINARY);
        }
    }
}

/// Whether the path still leads to what was looked at.
fn is_at(stat: &Stat, path: &Path) -> bool {
    rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|now| (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino))
}

fn is_empty(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(path: &Path) -> Placeholder {
        match take(path) {
            Ok(Taken::Held(placeholder)) => placeholder,
            Ok(Taken::Occupied | Taken::Impossible) | Err(_) => panic!("not held"),
        }
    }

    #[test]
    fn the_last_holder_removes_it() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("absent");
        let (first, second) = (held(&path), held(&path));
        first.release();
        assert!(path.is_dir());
        second.release();
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_helper_left_is_removed_by_the_next() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("absent");
        drop(held(&path));
        assert!(path.is_dir());
        held(&path).release();
        assert!(!path.exists());
    }

    #[test]
    fn what_others_made_is_left_alone() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("theirs");
        fs::create_dir(&path).expect("mkdir");
        assert!(matches!(take(&path), Ok(Taken::Occupied)));

        let path = scratch.path().join("ours");
        let placeholder = held(&path);
        fs::write(path.join("theirs"), "x").expect("write");
        placeholder.release();
        assert!(path.join("theirs").exists());
        let stat = rustix::fs::stat(&path).expect("stat");
        assert!(!is_marked(&stat), "it is an ordinary folder now");
    }
}

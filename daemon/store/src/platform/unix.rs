//! Unix: files and folders of this user alone, whatever the umask.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Makes an empty file with mode 0600, or takes away what others may do with the one there is.
///
/// A file that exists is not even opened: closing it again would drop the locks that SQLite may hold on it in
/// this process (sqlite.org/howtocorrupt.html, section 2.2).
pub(crate) fn make_private_file(path: &Path) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, FILE) {
        // The umask may have taken something from us, too.
        Ok(file) => Ok(rustix::fs::fchmod(file, FILE)?),
        Err(Errno::EXIST) => own_file(path),
        Err(error) => Err(error.into()),
    }
}

/// Takes away what others may do with a file.
pub(crate) fn own_file(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::chmod(path, FILE)?)
}

/// Makes a folder with mode 0700, or takes away what others may do in the one there is.
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(rustix::fs::chmod(path, Mode::RWXU)?),
        Err(error) => Err(error.into()),
    }
}

/// The magic number of the file system that a file is on, where the system tells.
#[cfg(target_os = "linux")]
pub(crate) fn file_system(path: &Path) -> Option<u32> {
    // The numbers have 32 bits; the type is the kernel's widest, and differs between machines.
    rustix::fs::statfs(path).ok().map(|answer| answer.f_type as u32)
}

/// The magic number of the file system that a file is on, where the system tells.
#[cfg(not(target_os = "linux"))]
pub(crate) fn file_system(_path: &Path) -> Option<u32> {
    None
}

/// Brings the names in a folder to the disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

const FILE: Mode = Mode::RUSR.union(Mode::WUSR);

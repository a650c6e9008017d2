//! Small files that may be hostile: a link, a pipe, a huge one.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Reads a regular file, at most so much of it. Never waits.
///
/// # Errors
/// What the system says, and what is no regular file or larger.
pub(crate) fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("it has more than {max_bytes} bytes")));
    }
    Ok(bytes)
}

/// Where a file of a folder really is. `None` if there is none.
///
/// # Errors
/// When a link leads out of the folder.
pub(crate) fn inside(root: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let real = match path.canonicalize() {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        real => real?,
    };
    if real.starts_with(root) {
        Ok(Some(real))
    } else {
        Err(io::Error::other("it lies outside of the folder"))
    }
}

/// Whether nobody but this user, or whoever looks after the machine, can have written it.
pub(crate) fn is_private(path: &Path) -> bool {
    #[cfg(unix)]
    {
        let Ok(stat) = rustix::fs::lstat(path) else { return false };
        let is_own = [0, rustix::process::geteuid().as_raw()].contains(&stat.st_uid);
        is_own && stat.st_mode & 0o022 == 0
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        true
    }
}

fn open(path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
    }
    #[cfg(not(unix))]
    File::open(path)
}

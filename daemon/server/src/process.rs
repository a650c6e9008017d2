//! What the daemon does to its own process: who may look into it, which terminal it belongs to, how much memory it
//! holds; and files that are its user's alone. Each does less where the system has no such thing.
//!
//! The umask stays that of whoever started the daemon: commands and patches make files in a person's own folders,
//! and those are to be as that person has them. What the daemon makes for itself is made private one by one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Keeps other processes of this user from reading the daemon's memory and environment.
pub(crate) fn close_to_others() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::warn!(%error, "other processes of this user can look into the daemon");
    }
}

/// Opens a file to write at its end, making it if need be, for this user alone whatever the umask.
///
/// # Errors
/// What the system says; on Unix a symbolic link is refused.
pub(crate) fn append_private(path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = File::from(rustix::fs::open(path, flags, mode).map_err(of_a_link)?);
        rustix::fs::fchmod(&file, mode)?;
        Ok(file)
    }
    #[cfg(not(unix))]
    File::options().append(true).create(true).open(path)
}

/// Reads a file that nobody but this user, or whoever looks after the machine, can have written.
///
/// # Errors
/// What the system says; on Unix a link, a file of somebody else and one that others may write are refused.
pub(crate) fn read_private(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    #[cfg(unix)]
    let file = {
        use rustix::fs::{FileType, Mode, OFlags};
        // A pipe in its place must not keep the daemon waiting.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(of_a_link)?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is not a regular file"));
        }
        let is_trusted = [0, rustix::process::geteuid().as_raw()].contains(&stat.st_uid);
        if !is_trusted || stat.st_mode & 0o022 != 0 {
            return Err(io::Error::other("others may have written it"));
        }
        File::from(file)
    };
    #[cfg(not(unix))]
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("it has more than {max_bytes} bytes")));
    }
    Ok(bytes)
}

/// What the system says, but for links that are not followed: that there are too many of them tells nobody anything.
#[cfg(unix)]
fn of_a_link(error: rustix::io::Errno) -> io::Error {
    if error == rustix::io::Errno::LOOP {
        return io::Error::other("it is a symbolic link");
    }
    error.into()
}

/// Makes a folder for this user alone, unless there is one.
///
/// # Errors
/// What the system says.
pub(crate) fn create_private_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    let made = rustix::fs::mkdir(folder, rustix::fs::Mode::RWXU).map_err(io::Error::from);
    #[cfg(not(unix))]
    let made = fs::create_dir(folder);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Leaves the terminal and the process group of whoever started it. A process that leads its group already stays
/// where it is.
pub(crate) fn leave_terminal() {
    #[cfg(unix)]
    if let Err(error) = rustix::process::setsid()
        && error != rustix::io::Errno::PERM
    {
        tracing::warn!(%error, "could not leave the terminal");
    }
}

/// Resident memory of this process, where the system tells.
pub(crate) fn resident_bytes() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
        Some(kibibytes * 1024)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_holds_some_memory() {
        let bytes = super::resident_bytes().expect("VmRSS");
        assert!((100_000..10_000_000_000).contains(&bytes), "{bytes}");
    }
}

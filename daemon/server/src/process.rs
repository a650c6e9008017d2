//! What the daemon does to its own process: who may look into it, which terminal it belongs to, how much memory it
//! holds; and files that are its user's alone. Each does less where the system has no such thing.
//!
//! The umask stays that of whoever started the daemon: commands and patches make files in a person's own folders,
//! and those are to be as that person has them. What the daemon makes for itself is made private one by one.

use std::fs::File;
use std::io;
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
        let file = File::from(rustix::fs::open(path, flags, mode)?);
        rustix::fs::fchmod(&file, mode)?;
        Ok(file)
    }
    #[cfg(not(unix))]
    File::options().append(true).create(true).open(path)
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
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
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

//! Unix: another process of this user, so held that its number can't come to mean a different one where the system
//! has process descriptors.

use std::io;

use rustix::process::{Pid, Signal};

use super::user;

/// A process of this user.
#[cfg(target_os = "linux")]
pub(crate) struct Process {
    pid: Pid,
    descriptor: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Process {
    /// Opens it. That of another user is refused.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let pid = checked(pid)?;
        let descriptor = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
        // Real, effective, saved, of files.
        let effective = uids.split_whitespace().nth(1).and_then(|uid| uid.parse().ok());
        owned(effective)?;
        Ok(Self { pid, descriptor })
    }

    /// The words that it was started with.
    pub(crate) fn arguments(&self) -> io::Result<Vec<String>> {
        let bytes = std::fs::read(format!("/proc/{}/cmdline", self.pid))?;
        Ok(bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        Ok(rustix::process::pidfd_send_signal(&self.descriptor, Signal::TERM)?)
    }
}

/// A process of this user.
#[cfg(not(target_os = "linux"))]
pub(crate) struct Process {
    pid: Pid,
    arguments: Vec<String>,
}

#[cfg(not(target_os = "linux"))]
impl Process {
    /// Looks it up. That of another user is refused.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let pid = checked(pid)?;
        let mut ps = std::process::Command::new("/bin/ps");
        let output = ps.args(["-o", "uid=", "-o", "command=", "-p", &pid.to_string()]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut words = text.split_whitespace();
        owned(words.next().and_then(|uid| uid.parse().ok()))?;
        Ok(Self { pid, arguments: words.map(str::to_owned).collect() })
    }

    /// The words that it was started with.
    pub(crate) fn arguments(&self) -> io::Result<Vec<String>> {
        Ok(self.arguments.clone())
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) -> io::Result<()> {
        Ok(rustix::process::kill_process(self.pid, Signal::TERM)?)
    }
}

fn checked(pid: u32) -> io::Result<Pid> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "it is no process id"))
}

fn owned(effective: Option<u32>) -> io::Result<()> {
    match effective {
        Some(uid) if uid == user() => Ok(()),
        Some(uid) => Err(io::Error::other(format!("it is a process of the user `{uid}`"))),
        None => Err(io::Error::other("the system does not tell whose process it is")),
    }
}

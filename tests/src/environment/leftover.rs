//! The processes that belong to a test's home, known by their `HOME`. Knows Linux's `/proc`; elsewhere it finds
//! none, and only the daemon's own stop ends them.

use rustix::fd::OwnedFd;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process of a home.
#[derive(Debug)]
pub struct Leftover {
    /// Its id.
    pub pid: i32,
    /// Its command line, arguments separated by spaces.
    pub command: String,
    /// Refers to this very process, whatever becomes of its number.
    handle: OwnedFd,
}

/// How long a process whose variables cannot be seen is looked at again.
const UNCLEAR: Duration = Duration::from_millis(20);

/// The processes that were started with this home, children of children included; not those that only have
/// ended and wait to be collected.
#[must_use]
pub fn of_home(home: &Path) -> Vec<Leftover> {
    let wanted = [b"HOME=", home.as_os_str().as_encoded_bytes()].concat();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut open: Vec<i32> = ids.collect();
    let mut found = Vec::new();
    let deadline = Instant::now() + UNCLEAR;
    loop {
        open.retain(|pid| match inspect(*pid, &wanted) {
            Sight::Ours(leftover) => {
                found.push(leftover);
                false
            }
            Sight::Foreign => false,
            Sight::Unclear => true,
        });
        if open.is_empty() || Instant::now() > deadline {
            return found;
        }
        std::thread::yield_now();
    }
}

/// A process by its number, if its command line has this word. For one whose variables can't be seen, as it has
/// made itself private.
#[must_use]
pub fn with_pid(pid: i32, word: &str) -> Option<Leftover> {
    let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    let command = command_line(pid);
    command.split(' ').any(|part| part == word).then_some(Leftover { pid, command, handle })
}

/// The processes that this one started and has not collected.
#[must_use]
pub fn children_of(pid: i32) -> Vec<Leftover> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).ok();
    let lists: Vec<String> = threads.filter_map(|thread| children(thread.ok()?)).collect();
    let ids = lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|id| id.parse().ok());
    ids.filter_map(|pid: i32| {
        let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        Some(Leftover { pid, command: command_line(pid), handle })
    })
    .collect()
}

fn command_line(pid: i32) -> String {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&command).replace('\0', " ").trim_end().to_owned()
}

enum Sight {
    Ours(Leftover),
    Foreign,
    /// It has no variables: it was started so, or it is just now becoming another program.
    Unclear,
}

fn inspect(pid: i32, wanted: &[u8]) -> Sight {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    // Opened first: if what is read next fits, it is this process that it fits.
    let handle = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let (Some(handle), Ok(variables)) = (handle, fs::read(folder.join("environ"))) else {
        return Sight::Foreign;
    };
    if variables.is_empty() {
        // What has ended, and what is the kernel's, has no executable either.
        return if folder.join("exe").read_link().is_ok() { Sight::Unclear } else { Sight::Foreign };
    }
    if !variables.split(|byte| *byte == 0).any(|variable| variable == wanted) {
        return Sight::Foreign;
    }
    Sight::Ours(Leftover { pid, command: command_line(pid), handle })
}

impl Leftover {
    /// Kills it. Nothing happens if it has ended.
    pub fn kill(&self) {
        // The only error left is that it is gone.
        let _ = pidfd_send_signal(&self.handle, Signal::KILL);
    }

    /// Stops it, so that it does nothing more. Nothing happens if it has ended.
    pub fn freeze(&self) {
        // The only error left is that it is gone.
        let _ = pidfd_send_signal(&self.handle, Signal::STOP);
    }

    /// Waits for its end; says whether it came in time.
    #[must_use]
    pub fn wait(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&self.handle, PollFlags::IN)], Some(&left)) {
                Ok(count) => return count > 0,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::process::Invocation;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn a_process_is_known_by_its_number_and_a_word() {
        let own = std::process::id().try_into().unwrap();
        let program = std::env::args().next().unwrap();
        assert_eq!(with_pid(own, &program).unwrap().pid, own);
        assert!(with_pid(own, "another").is_none());
    }

    #[test]
    fn a_childs_parent_knows_it() {
        let shell = Invocation::new("/bin/sh", ["-c", "echo up; sleep 600"], "/");
        let running = shell.variable("PATH", "/usr/bin:/bin").spawn().unwrap();
        running.wait_for_stdout("up", SOON).unwrap();
        let own = std::process::id().try_into().unwrap();
        assert!(children_of(own).iter().any(|child| child.pid == running.pid()));
    }

    #[test]
    fn a_process_that_left_its_session_is_found_by_its_home_and_killed() {
        let home = tempfile::tempdir().unwrap();
        let script = "setsid sleep 600 >/dev/null 2>&1 </dev/null & exit 0";
        let invocation = Invocation::new("/bin/sh", ["-c", script], "/").variable("PATH", "/usr/bin:/bin");
        invocation.variable("HOME", home.path()).run().unwrap();
        let found = of_home(home.path());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].command.contains("sleep 600"), "{found:?}");
        assert!(!found[0].wait(Duration::ZERO));
        found[0].kill();
        assert!(found[0].wait(SOON));
        assert!(of_home(home.path()).is_empty());
    }
}

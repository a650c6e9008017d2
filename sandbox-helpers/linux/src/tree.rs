//! Kills everything below this process where no process-id namespace does it. Knows `/proc`.
//!
//! Orphans come to this process, because it is a subreaper, so nothing gets away by double forking or a session
//! of its own. What ends in between is taken for what it is: a process is signalled through a descriptor, and
//! only if it still is a descendant after that was opened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use rustix::thread::Timespec;

/// How often to look again for what does not die, and how long to wait in between: five seconds in all.
const PASSES: u32 = 1000;
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// Kills all descendants and waits for them. Those of other users, which this process may not signal, are left
/// after some seconds.
pub(crate) fn clear() {
    for _ in 0..PASSES {
        if !has_children() {
            return;
        }
        kill_descendants();
        // The end of a child cuts this short.
        let _ = rustix::thread::nanosleep(&PAUSE);
    }
}

/// Reaps what has ended; whether anything is left.
fn has_children() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

fn kill_descendants() {
    let own = rustix::process::getpid().as_raw_pid();
    let mut descendants = BTreeSet::from([own]);
    let parents = parents();
    loop {
        let before = descendants.len();
        for (pid, parent) in &parents {
            if descendants.contains(parent) {
                descendants.insert(*pid);
            }
        }
        if descendants.len() == before {
            break;
        }
    }
    for pid in descendants.iter().filter(|pid| **pid != own) {
        let Some(handle) = Pid::from_raw(*pid) else { continue };
        let Ok(handle) = rustix::process::pidfd_open(handle, PidfdFlags::empty()) else { continue };
        let is_still_ours = parent_of(*pid).is_some_and(|parent| descendants.contains(&parent));
        if is_still_ours {
            // It fails for what ended in between and for what belongs to another user.
            let _ = rustix::process::pidfd_send_signal(&handle, Signal::KILL);
        }
    }
}

/// The parent of each process.
fn parents() -> BTreeMap<i32, i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, parent_of(pid)?))).collect()
}

fn parent_of(pid: i32) -> Option<i32> {
    parent_in(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The fourth field of `/proc/PID/stat`; the second is the name, in parentheses, and may hold anything.
fn parent_in(stat: &[u8]) -> Option<i32> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let rest = str::from_utf8(stat.get(after_name..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in(b"17 (cat) S 3 17 17 0"), Some(3));
        assert_eq!(parent_in(b"17 (a) S 9 (\xff) R 4 17"), Some(4));
        assert_eq!(parent_in(b"17 (cat"), None);
    }
}

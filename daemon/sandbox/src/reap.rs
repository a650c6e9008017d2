//! Kills what the helpers of a dead daemon still run. Each helper sees by itself that its daemon is gone; this is
//! for those that can't, because they were stopped, say, or were killed together with the daemon: then those that they
//! ran are found by the mark in their environment, where they can have got away from their tree.
//!
//! A process is only ever signalled through a descriptor, and only if it still is the one that was meant after
//! that was opened: its number may have gone to somebody else.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::proc::{self, Environment};
use crate::register::{Identity, Line, MARK};

/// How long one tree may take to die. Processes of other users, which can't be signalled, are left then.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait for a process that was killed before looking again for those that it started.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Kills the whole tree of each helper in a register, and empties the register; returns how many there were. To be
/// called before a launcher has the register, and only by who holds the home, so that no other daemon has it.
/// Blocks, for some seconds at worst.
pub fn reap(register: &Path) -> u32 {
    let Ok(entries) = fs::read_dir(register) else { return 0 };
    let mut killed = 0;
    let mut marks = BTreeSet::new();
    for entry in entries.filter_map(Result::ok) {
        let Some(Ok(line)) = entry.file_name().to_str().map(str::parse::<Line>) else { continue };
        marks.insert(format!("{MARK}={}", line.mark()).into_bytes());
        if let Some(helper) = Handle::of_helper(line.identity) {
            tracing::warn!(
                helper = line.identity.pid,
                "a helper outlived its daemon; killing all that it runs"
            );
            helper.kill_tree();
            killed += 1;
        }
        if let Err(error) = fs::remove_file(entry.path()) {
            tracing::warn!(%error, "could not strike a helper off the register");
        }
    }
    if !marks.is_empty() {
        kill_marked(&marks);
    }
    killed
}

/// Kills all that a helper held which died while its daemon lives; this is the mark of that. Blocks, for some seconds at
/// worst.
pub(crate) fn kill_tree(mark: &str) {
    kill_marked(&BTreeSet::from([format!("{MARK}={mark}").into_bytes()]));
}

/// Kills all that have one of these marks in their environment, until there are none.
fn kill_marked(marks: &BTreeSet<Vec<u8>>) {
    let deadline = Instant::now() + PATIENCE;
    let mut was_clear = false;
    loop {
        let all = proc::all().into_iter().filter(|(_, stat)| !stat.has_ended());
        let identities = all.map(|(pid, stat)| Identity { pid, started: stat.started });
        // One that is becoming another program has nothing to be known by, and shows it a moment later.
        let mut is_unmade = false;
        let mut is_marked = |it: &Identity| match proc::environment(it.pid) {
            Environment::Of(variables) => variables.iter().any(|variable| marks.contains(variable)),
            Environment::Unmade => {
                is_unmade = true;
                false
            }
            Environment::Unseen => false,
        };
        let handles: Vec<_> = identities.filter(&mut is_marked).filter_map(Handle::of).collect();
        // Looked at once more: its number may have gone to somebody else before it was opened.
        let marked: Vec<_> = handles.into_iter().filter(|handle| is_marked(&handle.identity)).collect();
        // What was seen may have made another one and ended, before it was looked at: so nothing counts twice in a row.
        if marked.is_empty() && !is_unmade {
            if was_clear {
                return;
            }
            was_clear = true;
            continue;
        }
        was_clear = false;
        if Instant::now() > deadline {
            tracing::error!(left = marked.len(), "processes that a dead helper left do not die");
            return;
        }
        for process in &marked {
            tracing::warn!(pid = process.identity.pid, "a process outlived its helper; killing it");
            process.signal(Signal::KILL);
        }
        match marked.first() {
            Some(first) => wait(first),
            None => std::thread::yield_now(),
        }
    }
}

/// A living process that is the one that was meant.
struct Handle {
    identity: Identity,
    descriptor: OwnedFd,
}

impl Handle {
    fn of(identity: Identity) -> Option<Self> {
        let descriptor =
            rustix::process::pidfd_open(Pid::from_raw(identity.pid)?, PidfdFlags::empty()).ok()?;
        // Invariant: looked at after it was opened, so that it can't have changed hands in between.
        identity.stat().map(|_| Self { identity, descriptor })
    }

    /// One that still is a helper. The start time alone would do but for the daemon's machine having been started
    /// anew, which begins both numbers again.
    fn of_helper(identity: Identity) -> Option<Self> {
        let helper = Self::of(identity)?;
        (proc::name(identity.pid)? == helper_protocol::NAME.as_bytes()).then_some(helper)
    }

    /// Kills everything below it, then itself. It is stopped meanwhile: so it starts nothing, and orphans still
    /// come to it, because it is a subreaper.
    fn kill_tree(&self) {
        let deadline = Instant::now() + PATIENCE;
        self.signal(Signal::STOP);
        loop {
            let is_still = self.identity.stat().is_none_or(|stat| matches!(stat.state, b'T' | b't'));
            let descendants = self.descendants();
            if is_still && descendants.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                tracing::error!(helper = self.identity.pid, left = descendants.len(), "a tree does not die");
                break;
            }
            let killed: Vec<_> = descendants.into_iter().filter_map(Self::of).collect();
            for process in &killed {
                process.signal(Signal::KILL);
            }
            wait(killed.first().unwrap_or(self));
        }
        self.signal(Signal::KILL);
        wait(self);
    }

    /// Those below it that have not ended.
    fn descendants(&self) -> Vec<Identity> {
        let all = proc::all();
        let mut below = BTreeSet::from([self.identity.pid]);
        loop {
            let before = below.len();
            let next = all.iter().filter(|(_, stat)| below.contains(&stat.parent)).map(|(pid, _)| *pid);
            let next: Vec<_> = next.collect();
            below.extend(next);
            if below.len() == before {
                break;
            }
        }
        below.remove(&self.identity.pid);
        let living = all.into_iter().filter(|(pid, stat)| below.contains(pid) && !stat.has_ended());
        living.map(|(pid, stat)| Identity { pid, started: stat.started }).collect()
    }

    fn signal(&self, signal: Signal) {
        if let Err(error) = rustix::process::pidfd_send_signal(&self.descriptor, signal) {
            tracing::debug!(pid = self.identity.pid, %error, "a process could not be signalled");
        }
    }
}

/// Waits a moment for a process to end.
fn wait(process: &Handle) {
    let mut ended = [PollFd::new(&process.descriptor, PollFlags::IN)];
    // It says no more than the next look does.
    let _ = rustix::event::poll(&mut ended, Some(&PAUSE));
}

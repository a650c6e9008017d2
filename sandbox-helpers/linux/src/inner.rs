//! Process 1 of the command's namespaces: starts the command, builds its view of the machine, and ends with it.
//! When it ends, the kernel kills all that is left in the namespaces. Knows nothing of the daemon.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use helper_protocol::report::{End, Failure};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus};

use crate::command::{Parent, Prepared, Walls};
use crate::failure::Step;
use crate::hand::{Giver, Thing};
use crate::mounts;
use crate::outer::pipe;
use crate::places::Layout;
use crate::privileges::{self, BoundingSet};
use crate::syscall::{self, Cloned};

/// What it needs to run a command.
pub(crate) struct Task<'a> {
    pub(crate) prepared: &'a Prepared,
    pub(crate) walls: &'a Walls,
    pub(crate) view: View<'a>,
    /// What the command's process hands out.
    pub(crate) giver: Giver,
    /// Closed when the command runs; before that, takes the reason why it does not.
    pub(crate) setup: OwnedFd,
    /// Takes how the command ended, when nothing is left of it.
    pub(crate) ended: OwnedFd,
}

/// Who makes the command's view of the machine.
pub(crate) enum View<'a> {
    /// This process.
    Build {
        layout: &'a Layout,
        /// The user and group outside.
        user: u32,
        group: u32,
    },
    /// `bwrap` has made it.
    Made,
}

/// The namespaces that it is started in. The command's process makes the network's itself.
pub(crate) const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// What [`run`] waits for: the end of children, and orders from outside.
const SIGNALS: [libc::c_int; 3] = [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT];

/// Runs the command and ends this process.
pub(crate) fn run(task: Task<'_>) -> ! {
    match start(&task) {
        Ok(command) => {
            drop((task.setup, task.giver));
            let end = wait_for(command);
            clear();
            tell(&task.ended, &end);
            // Whoever reads it need not wait until this process is taken apart.
            drop(task.ended);
        }
        Err(failure) => tell(&task.setup, &failure),
    }
    syscall::exit(0);
}

/// Starts the command and builds its view at the same time.
fn start(task: &Task<'_>) -> Result<Pid, Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .step("ask to die with the parent")?;
    // It may have ended before we asked; then nobody reads.
    let mut reader = [PollFd::new(&task.setup, PollFlags::empty())];
    rustix::event::poll(&mut reader, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
        .step("look for the parent")?;
    if reader[0].revents().contains(PollFlags::ERR) {
        syscall::exit(1);
    }
    syscall::block_signals(&SIGNALS);
    if let View::Build { .. } = task.view {
        // Before the command's process is made, which then need not do it once more. `bwrap` has done it.
        privileges::clear_bounding_set()?;
    }
    let (ready, ready_writer) = pipe()?;
    let command = match syscall::clone(0).step("start the command's process")? {
        Cloned::Child => {
            drop(ready_writer);
            let parent = match task.view {
                View::Build { .. } => Parent::First(ready),
                View::Made => Parent::Inside(ready),
            };
            tell(&task.setup, &task.prepared.run(Some(task.walls), parent, &task.giver));
            syscall::exit(1);
        }
        Cloned::Parent { pid, .. } => pid,
    };
    // Or the output would not end before this process does.
    close_stdio()?;
    if let View::Build { user, group, .. } = task.view {
        map_user(user, group)?;
    }
    // So that no command can look into this process, whatever else should fail.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).step("become undumpable")?;
    // Before the view is built, which may cover it.
    let list = rustix::fs::open("/proc/self/mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let list = list.step("open the list of mounts")?;
    if let View::Build { layout, .. } = task.view {
        mounts::build(layout, task.prepared.max_processes())?;
    }
    task.giver.give(Thing::Mounts, list)?;
    privileges::drop_capabilities(BoundingSet::Cleared)?;
    rustix::io::write(&ready_writer, &[1]).step("let the command go on")?;
    Ok(command)
}

/// The user keeps its number. Supplementary groups keep their effect outside; nobody can change them.
fn map_user(user: u32, group: u32) -> Result<(), Failure> {
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{user} {user} 1")),
        ("/proc/self/gid_map", format!("{group} {group} 1")),
    ] {
        fs::write(file, text).map_err(|error| Failure::Setup {
            step: format!("write {file}"),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        })?;
    }
    Ok(())
}

/// Puts `/dev/null` in place of what the command has as standard streams.
pub(crate) fn close_stdio() -> Result<(), Failure> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let null = null.step("open /dev/null")?;
    rustix::stdio::dup2_stdin(&null)
        .and_then(|()| rustix::stdio::dup2_stdout(&null))
        .and_then(|()| rustix::stdio::dup2_stderr(&null))
        .step("let go of the command's output")
}

/// Reaps until the command has ended. Orders to terminate go to all processes, those to interrupt to the command's group.
fn wait_for(command: Pid) -> End {
    loop {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == command {
                return end(status);
            }
        }
        match syscall::next_signal(&SIGNALS) {
            Ok(libc::SIGTERM) => syscall::signal_all_others(libc::SIGTERM),
            // It fails when nobody of the group is left.
            Ok(libc::SIGINT) => drop(rustix::process::kill_process_group(command, Signal::INT)),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Kills and reaps everything else in the namespace. The end of this process would do it too, but only after
/// the namespaces were taken apart, and nobody has to wait for that.
fn clear() {
    syscall::signal_all_others(libc::SIGKILL);
    while let Ok(_) | Err(Errno::INTR) = rustix::process::wait(WaitOptions::empty()) {}
}

/// How a process that was waited for ended.
pub(crate) fn end(status: WaitStatus) -> End {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => End::Code(code),
        (None, signal) => End::Signal(signal.unwrap_or(libc::SIGKILL)),
    }
}

/// Writes a message for the outer process. It reads to the end, so no length is needed.
pub(crate) fn tell<T: serde::Serialize>(pipe: impl AsFd, message: &T) {
    let text = serde_json::to_vec(message).unwrap_or_default();
    let mut rest = &text[..];
    while !rest.is_empty() {
        match rustix::io::write(&pipe, rest) {
            Ok(count) => rest = &rest[count..],
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

//! The sandbox helper of Linux: confines one command, runs it, and kills everything it started when it ends,
//! when it is told to, or when the daemon is gone. Knows a plan and nothing of why; has no async runtime, no
//! threads, and no memory of earlier commands.
//!
//! Up to three processes, all of this executable, each started by the one before:
//! - `outer` stays outside. It reads the plan, finds out which real paths the rules mean (`places`), holds the
//!   mount points that had to be made (`placeholder`), finds what patterns name (`patterns`), supervises, reports, and cleans up.
//! - `inner` is process 1 of new namespaces. It builds the command's view of the file system (`mounts`,
//!   `devices`), gives up all capabilities, and takes its namespaces and all processes in them with it when it
//!   ends. On the other rungs there is none; there `outer` adopts orphans and kills descendants (`tree`).
//!   Where only the system's `bwrap` may make namespaces, that builds the view (`bwrap`), and starts `inner` in it as
//!   this executable once more (`inside`).
//! - `command` takes the last restrictions (`domain` for Landlock, `filter` for seccomp) and becomes the
//!   command.
//!
//! While the command runs, `outer` waits (`watch`), and answers calls that its filter stops because only their memory
//! says what they do (`supervise`, `sockets`): connecting and binding sockets, and starting programs where the daemon
//! decides on each. What it sees refused, it tells at the end.
//!
//! `unsafe` stands in `syscall` and `tracee` alone.

#![cfg(target_os = "linux")]

mod bwrap;
mod channel;
mod command;
mod devices;
mod domain;
mod failure;
mod filter;
mod grants;
mod hand;
mod inner;
mod inside;
mod mounts;
mod outer;
mod patterns;
mod placeholder;
mod places;
mod privileges;
mod probe;
mod sockets;
mod supervise;
mod syscall;
mod tracee;
mod tree;
mod watch;

use std::ffi::OsStr;
use std::path::Path;

/// Runs the helper and ends the process if this process was started as one: by its name or its first argument.
/// To be called first in `main`, before there are threads.
pub fn run_if_helper() {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let first = arguments.next().unwrap_or_default();
    if first == helper_protocol::PROBE_ARGUMENT {
        probe::run(&arguments.next().unwrap_or_default());
    }
    if first == helper_protocol::INSIDE_ARGUMENT {
        inside::run(&arguments.collect::<Vec<_>>());
    }
    if first == helper_protocol::ARGUMENT
        || Path::new(&name).file_name() == Some(OsStr::new(helper_protocol::NAME))
    {
        outer::run();
    }
}

//! The sandbox helper of Linux: confines one command, runs it, and kills everything it started when it ends,
//! when it is told to, or when the daemon is gone. Knows a plan and nothing of why; has no async runtime, no
//! threads, and no memory of earlier commands.
//!
//! Up to three processes, all of this executable, each started by the one before:
//! - `outer` stays outside. It reads the plan, finds out which real paths the rules mean (`places`), holds the
//!   mount points that had to be made (`placeholder`), supervises, reports, and cleans up.
//! - `inner` is process 1 of new namespaces. It builds the command's view of the file system (`mounts`,
//!   `devices`), gives up all capabilities, and takes its namespaces and all processes in them with it when it
//!   ends. On the other rungs there is none; there `outer` adopts orphans and kills descendants (`tree`).
//! - `command` takes the last restrictions (`domain` for Landlock, `filter` for seccomp) and becomes the
//!   command.
//!
//! `unsafe` stands in `syscall` alone.

#![cfg(target_os = "linux")]

mod channel;
mod command;
mod devices;
mod domain;
mod failure;
mod filter;
mod grants;
mod inner;
mod mounts;
mod outer;
mod placeholder;
mod places;
mod privileges;
mod probe;
mod syscall;
mod tree;

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
    if first == helper_protocol::ARGUMENT
        || Path::new(&name).file_name() == Some(OsStr::new(helper_protocol::NAME))
    {
        outer::run();
    }
}

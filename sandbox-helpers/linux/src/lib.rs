//! The sandbox helper of Linux: confines one command, runs it, and kills everything it started when it ends,
//! when it is told to, or when the daemon is gone. Knows a plan and nothing of why; has no async runtime, no
//! threads, and no memory of earlier commands.
//!
//! Up to three processes, all of this executable, each started by the one before:
//! - `outer` stays outside. It reads the plan, finds out which real paths the rules mean (`places`), holds the
//!   mount points that had to be made (`placeholder`), finds what patterns name (`patterns`) and links lead to (`links`), supervises, reports, and cleans up.
//! - `inner` is process 1 of new namespaces. It builds the command's view of the file system (`mounts`,
//!   `devices`), gives up all capabilities, and takes its namespaces and all processes in them with it when it
//!   ends. On the other rungs there is none; there `outer` adopts orphans and kills descendants (`tree`).
//!   Where only the system's `bwrap` may make namespaces, that builds the view (`bwrap`), and starts `inner` in it as
//!   this executable once more (`inside`).
//! - `command` takes the last restrictions (`domain` for Landlock, `filter` for seccomp) and becomes the
//!   command. Where the command gets a terminal, it makes it before (`terminal`).
//!
//! While the command runs, `outer` waits (`watch`), and answers calls that its filter stops because only their memory
//! says what they do (`supervise`, `sockets`): connecting and binding sockets, and starting programs where the daemon
//! decides on each. It refuses what would make a file that a pattern names (`making`). What it sees refused on the way
//! (`attempts`), and to which program (`ledger`), it tells at the end. When a mount that protects something falls off
//! because of what somebody outside does, it ends the command (`guards`).
//!
//! What a command may use up, `bounds` decides: by a control group (`group`), its namespaces, or limits (`privileges`).
//!
//! `unsafe` stands in `syscall` and `tracee` alone.

#![cfg(target_os = "linux")]

mod attempts;
mod bounds;
mod bwrap;
mod channel;
mod command;
mod devices;
mod domain;
mod failure;
mod filter;
mod grants;
mod group;
mod guards;
mod hand;
mod inner;
mod inside;
mod ledger;
mod links;
mod listing;
mod making;
mod mounts;
mod outer;
mod patterns;
mod placeholder;
mod places;
mod privileges;
mod probe;
mod sockets;
mod starts;
mod supervise;
mod syscall;
mod terminal;
mod tracee;
mod tree;
mod watch;

use std::ffi::OsStr;
use std::path::Path;

/// Runs the helper and ends the process if this process was started as one: by its name or its first argument.
/// To be called first in `main`, before there are threads.
pub fn run_if_helper() {
    run_part();
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if arguments.next().is_some_and(|first| first == helper_protocol::ARGUMENT)
        || Path::new(&name).file_name() == Some(OsStr::new(helper_protocol::NAME))
    {
        outer::run();
    }
}

/// Runs the helper, for an executable that is nothing else. To be called first in `main`.
pub fn run() -> ! {
    run_part();
    outer::run()
}

/// Runs what is not the helper's first process, if this process was started as such.
fn run_part() {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next().unwrap_or_default();
    if first == helper_protocol::PROBE_ARGUMENT {
        probe::run(&arguments.next().unwrap_or_default());
    }
    if first == helper_protocol::INSIDE_ARGUMENT {
        inside::run(&arguments.collect::<Vec<_>>());
    }
    if first == helper_protocol::BUILD_ARGUMENT {
        // Whoever asks takes silence for another build.
        let _ = rustix::io::write(rustix::stdio::stdout(), env!("SKEIN_HELPER_BUILD").as_bytes());
        syscall::exit(0);
    }
}

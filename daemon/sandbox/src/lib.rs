//! The daemon's side of the sandbox: runs commands through the helper, and finds out what this machine can
//! enforce. Knows nothing of sessions, of models, or of how a helper confines.
//!
//! [`Launcher`] takes a [`CommandRequest`] and gives a [`Process`]. Per command it starts its own executable as
//! a helper, sends it a plan over a socket that is the helper's standard input, and reads its reports from
//! there. The helper kills the whole tree of processes when the command ends, when [`Process::kill`] is called,
//! when the `Process` is dropped, and when the daemon dies: each of these closes the socket.
//!
//! A command whose network is open by rule finds a proxy on the loopback of its own network; the listener comes out to
//! the daemon, which serves it ([`Process::take_proxy_listener`]). Where the caller wants to decide on each program
//! that a command starts, those wait ([`Process::execution`]), and go on inside, are refused, or are run outside by the
//! caller ([`Launcher::run_outside`]). A command that shall be at a terminal ([`Output::Terminal`]) makes it itself,
//! where it is confined, and the person's end of it comes out to the daemon. What was refused to a command, its helper
//! tells ([`Process::refusals`], and to which program: [`Process::stopped`]).
//!
//! Helpers that run are written down in a register, if the launcher has one. After a crash, [`reap`] kills what the
//! helpers in it still run.
//!
//! Which rung of the ladder commands run on, a probe decides: a command in the sandbox tries what is forbidden,
//! and the launcher looks whether it failed. A profile that a rung can't enforce is refused; nothing falls back
//! to less than was asked for.
//!
//! Where a profile opens the network by rule, commands reach it through [`proxy`] alone.

mod error;
mod execution;
mod explain;
mod helper;
mod hint;
mod launcher;
mod plan;
mod probe;
mod proc;
mod process;
pub mod proxy;
mod reap;
mod register;
mod request;
mod small;
mod start;
mod stopped;
mod tail;
mod terminal;

pub use error::SandboxError;
pub use execution::{Execution, Verdict};
pub use launcher::Launcher;
pub use plan::PROXY_PORT;
pub use process::{Exit, Process};
pub use reap::reap;
pub use request::{CommandRequest, Interception, Output, Proxy, Stdin, TerminalSize};
pub use stopped::{Offender, Stopped};
pub use tail::Tail;

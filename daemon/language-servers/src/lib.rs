//! Language servers: programs of others that find errors in files which a session has changed. Skein is a small client
//! of the Language Server Protocol 3.17 here: it shows a server the files before and after a change, and tells which
//! errors are new.
//!
//! A `recipe` is all that a server is made of; `program` finds its executable, `project` the folder it works on.
//! `servers` keeps one `server` per recipe, whoever asks, so sessions share them. A server is a task with a mailbox: it
//! starts when a file is to be looked at, is started anew after it broke off, later each time it fails again, and ends
//! when nobody needed it for a while. It runs in a sandbox that writes nothing but a folder of its own and has no
//! network.
//!
//! In the task a `client` speaks to it: over a `connection`, made of `frame`s, it shows `documents`, gathers what the
//! server says of them, whether it says so by itself or is asked, and waits until that is settled, but never past the
//! time it is given. A `problem` is one thing that a server finds, `report` makes lines for a model of those that are
//! new. What is found too late is told with the next change.
//!
//! A server that is told of changed files only by Skein may not notice what commands change; most watch for
//! themselves. Nothing that a server says is believed: frames, counts and lengths are bounded, and one that says too
//! much, nothing, or what is no message is ended.
//!
//! Knows nothing of sessions or of who trusts what.

mod client;
mod connection;
mod documents;
mod error;
mod frame;
mod problem;
mod program;
mod project;
mod recipe;
mod report;
mod server;
mod servers;

pub use error::LanguageServerError;
pub use program::{find_program, has_companion};
pub use project::project;
pub use recipe::Recipe;
pub use servers::LanguageServers;

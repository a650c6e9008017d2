//! Local sockets between clients and the daemon: where they are, who may use them, and streams over them.
//! Knows nothing of JSON-RPC.
//!
//! `folders` decides where everything lives. `listen` binds the daemon's socket, one daemon per home, and
//! accepts connections of its own user only. `dial` connects a client after it has checked that the socket is
//! its own user's. `gate` makes a stream push back: a peer that does not read is not read from. `spawn` starts a
//! daemon that outlives its starter, and `stop` ends one that can't be talked to. `build` tells
//! one build of an executable from another.

pub mod build;
pub mod dial;
pub mod error;
pub mod folders;
pub mod gate;
pub mod listen;
mod platform;
pub mod spawn;
pub mod stop;

/// A connection. On Unix a Unix domain socket, on Windows a named pipe.
pub type Stream = interprocess::local_socket::tokio::Stream;

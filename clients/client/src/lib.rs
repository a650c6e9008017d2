//! The daemon, from a client's side: found, started if need be, and spoken to.
//!
//! `Connection` is one WebSocket over the local socket, initialized; its calls are the traits of `protocol::api`.
//! `Attached` follows one session: it attaches again by itself after it fell behind, and connects again after the
//! daemon was lost, so that its reader sees every event once. Knows nothing of screens.

mod attached;
mod bounded;
mod connection;
mod error;
mod start;

pub use attached::{Attached, Update};
pub use connection::{ConnectOptions, Connection, Rpc};
pub use error::{ClientError, ErrorKind};
pub use jsonrpsee::core::client::Error as RpcError;
pub use start::{ALREADY_RUNNING, StartDaemon};
pub use wire::error::WireError;
pub use wire::folders::Folders;

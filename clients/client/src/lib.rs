//! The daemon, from a client's side: found, started if need be, and spoken to.
//!
//! `Connection` is one WebSocket over the local socket, initialized; its calls are the traits of `protocol::api`, and
//! `Connection::call` makes one again, over the next connection, when the daemon is lost meanwhile. `Attached` follows
//! one session: it attaches again by itself after it fell behind, from where its `Cursor` is, and connects again after
//! the daemon was lost, so that its reader sees every event once; what was `Said` in it is taken back there. A daemon
//! that runs an older build of this executable is made to hand over (`upgrade`); `stop` ends one, even if it speaks
//! another protocol. Knows nothing of screens.

mod attached;
mod bounded;
mod connection;
mod cursor;
mod error;
mod said;
mod start;
mod stop;
mod upgrade;

pub use attached::{Attached, Update};
pub use connection::{ConnectOptions, Connection, DaemonChange, Rpc};
pub use cursor::{Cursor, Taken};
pub use error::{ClientError, ErrorKind};
pub use jsonrpsee::core::client::Error as RpcError;
pub use said::Said;
pub use start::{ALREADY_RUNNING, StartDaemon};
pub use stop::{Stopped, Turns, stop_daemon};
pub use upgrade::{Upgrade, own_build};
pub use wire::build::{installed as installed_executable, is_same as is_same_build};
pub use wire::error::WireError;
pub use wire::folders::Folders;

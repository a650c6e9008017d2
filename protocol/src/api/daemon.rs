//! `daemon/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::daemon::{DaemonShutdownParams, DaemonStatus, DaemonStatusParams};
use crate::session::Done;

/// Looks at the daemon and stops it.
#[rpc(server, client, namespace = "daemon", namespace_separator = "/")]
pub trait Daemon {
    /// Tells how the daemon is.
    #[method(name = "status")]
    async fn status(&self, params: DaemonStatusParams) -> RpcResult<DaemonStatus>;

    /// Stops the daemon: no new turns, running ones to a durable point, then exit within 10 s.
    #[method(name = "shutdown")]
    async fn shutdown(&self, params: DaemonShutdownParams) -> RpcResult<Done>;
}

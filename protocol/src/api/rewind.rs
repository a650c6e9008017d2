//! `rewind/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::rewind::{RewindParams, RewindResult};

/// Goes back to how things were before a turn.
#[rpc(server, client, namespace = "rewind", namespace_separator = "/")]
pub trait Rewind {
    /// Tells what a rewind would do.
    #[method(name = "preview")]
    async fn preview(&self, params: RewindParams) -> RpcResult<RewindResult>;

    /// Takes turns back, or undoes that.
    #[method(name = "start", with_extensions)]
    async fn start(&self, params: RewindParams) -> RpcResult<RewindResult>;
}

//! `output/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::output::{OutputReadParams, OutputReadResult};

/// Reads what commands printed.
#[rpc(server, client, namespace = "output", namespace_separator = "/")]
pub trait Output {
    /// Reads a part of what a command printed.
    #[method(name = "read")]
    async fn read_output(&self, params: OutputReadParams) -> RpcResult<OutputReadResult>;
}

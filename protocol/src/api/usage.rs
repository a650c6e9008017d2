//! `usage/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::usage::{UsageReadParams, UsageReadResult};

/// Tells what was spent.
#[rpc(server, client, namespace = "usage", namespace_separator = "/")]
pub trait Usage {
    /// Sums up what was spent.
    #[method(name = "read")]
    async fn read(&self, params: UsageReadParams) -> RpcResult<UsageReadResult>;
}

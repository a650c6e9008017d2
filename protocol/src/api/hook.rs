//! `hook/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::hook::{HookListParams, HookListResult};

/// Hooks.
#[rpc(server, client, namespace = "hook", namespace_separator = "/")]
pub trait Hooks {
    /// Lists the hooks that hold in a folder, and what they cost since the daemon started.
    #[method(name = "list")]
    async fn list_hooks(&self, params: HookListParams) -> RpcResult<HookListResult>;
}

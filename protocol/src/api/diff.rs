//! `diff/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::diff::{DiffReadParams, DiffReadResult};

/// Tells what turns changed in files.
#[rpc(server, client, namespace = "diff", namespace_separator = "/")]
pub trait Diff {
    /// Tells what a turn or a session changed in files.
    #[method(name = "read")]
    async fn read(&self, params: DiffReadParams) -> RpcResult<DiffReadResult>;
}

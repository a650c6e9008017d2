//! `trust/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::trust::{FolderTrust, TrustReadParams, TrustSetParams};

/// What folders declare, and whether it is trusted.
#[rpc(server, client, namespace = "trust", namespace_separator = "/")]
pub trait Trust {
    /// Tells what a folder declares that would be run or obeyed, and what of that is trusted.
    #[method(name = "read")]
    async fn read_trust(&self, params: TrustReadParams) -> RpcResult<FolderTrust>;

    /// Trusts exactly these declarations of a folder.
    #[method(name = "set", with_extensions)]
    async fn set_trust(&self, params: TrustSetParams) -> RpcResult<FolderTrust>;
}

//! `tool/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::tool::{ToolListParams, ToolListResult};

/// Tools of models.
#[rpc(server, client, namespace = "tool", namespace_separator = "/")]
pub trait Tools {
    /// Lists the tools that models have in a folder or a session, and those that they could have.
    #[method(name = "list", with_extensions)]
    async fn list_tools(&self, params: ToolListParams) -> RpcResult<ToolListResult>;
}

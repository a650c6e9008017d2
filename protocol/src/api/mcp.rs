//! `mcp/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::mcp::{McpListParams, McpListResult};

/// MCP servers.
#[rpc(server, client, namespace = "mcp", namespace_separator = "/")]
pub trait Mcp {
    /// Lists the MCP servers of the settings, how they are, and their tools.
    #[method(name = "list", with_extensions)]
    async fn list_servers(&self, params: McpListParams) -> RpcResult<McpListResult>;
}

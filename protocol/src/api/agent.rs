//! `agent/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::agent::{AgentListParams, AgentListResult};

/// Shows agents. They are sessions, so all else that can be done with them are calls of sessions.
#[rpc(server, client, namespace = "agent", namespace_separator = "/")]
pub trait Agent {
    /// Shows trees of agents.
    #[method(name = "list")]
    async fn list(&self, params: AgentListParams) -> RpcResult<AgentListResult>;
}

//! `agent/*`.

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::agent::{AgentListParams, AgentListResult};
use protocol::api::agent::AgentServer;

use super::Handlers;

#[async_trait]
impl AgentServer for Handlers {
    async fn list(&self, params: AgentListParams) -> RpcResult<AgentListResult> {
        if let Some(id) = params.session_id {
            self.0.recovery.passed(id).await;
        }
        Ok(self.0.agents.list(params.session_id).await?)
    }
}

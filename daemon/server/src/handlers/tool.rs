//! `tool/*`.

use std::sync::Arc;

use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::tool::ToolsServer;
use protocol::session::SettingsOverrides;
use protocol::tool::{ToolListParams, ToolListResult};

use super::{Handlers, blocking, caller, refuse_relative};
use crate::mcp::tools_off;
use crate::{offered, settings};

#[async_trait]
impl ToolsServer for Handlers {
    async fn list_tools(&self, extensions: &Extensions, params: ToolListParams) -> RpcResult<ToolListResult> {
        let ToolListParams { cwd, session_id } = params;
        refuse_relative(&cwd)?;
        let of_session = match session_id {
            None => None,
            Some(id) => {
                let session = self.0.session(id).await?;
                Some((id, session.summary().await?.settings, session.tools().await?))
            }
        };
        let daemon = Arc::clone(&self.0);
        let client = Arc::clone(&caller(extensions)?.client()?.environment);
        let listed = blocking(move || {
            let projects = daemon.world.projects();
            let (settings, recipes, tools) = match of_session {
                Some((id, of_session, tools)) => {
                    let recipes = daemon.mcp.of_session(id, &of_session, projects);
                    (daemon.circumstances.of(id)?.settings().clone(), recipes, Some(tools))
                }
                None => {
                    let loaded = settings::load(daemon.circumstances.file(), &SettingsOverrides::default())?;
                    let cwd = cwd.canonicalize().unwrap_or(cwd);
                    let recipes = daemon.mcp.of_folder(&loaded.settings, &client, &cwd, projects)?;
                    (loaded.settings, recipes, None)
                }
            };
            let servers = daemon.mcp.servers().list(&recipes, settings.mcp_tool_tokens);
            let off = tools_off(&recipes);
            Ok(offered::list(&daemon.tools, tools, &servers, &off, settings.web_search))
        });
        Ok(ToolListResult { tools: listed.await? })
    }
}

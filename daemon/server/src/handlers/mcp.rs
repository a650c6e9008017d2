//! `mcp/*`.

use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::mcp::McpServer;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::mcp::{McpListParams, McpListResult};
use protocol::session::SettingsOverrides;

use super::{Handlers, blocking, caller};
use crate::settings;

/// How long servers that are started are waited for.
const STARTING: Duration = Duration::from_secs(20);

#[async_trait]
impl McpServer for Handlers {
    async fn list_servers(&self, extensions: &Extensions, params: McpListParams) -> RpcResult<McpListResult> {
        let McpListParams { cwd, name, starts } = params;
        if !cwd.is_absolute() {
            let message = format!("`{}` is not an absolute path", cwd.display());
            return Err(ProtocolError::new(ErrorCode::InvalidRequest, message).into());
        }
        let daemon = Arc::clone(&self.0);
        let client = Arc::clone(&caller(extensions)?.client()?.environment);
        let (recipes, most_tokens) = blocking(move || {
            let loaded = settings::load(daemon.circumstances.file(), &SettingsOverrides::default())?;
            let cwd = cwd.canonicalize().unwrap_or(cwd);
            let most_tokens = loaded.settings.mcp_tool_tokens;
            let projects = daemon.world.projects();
            Ok((daemon.mcp.of_folder(&loaded.settings, &client, &cwd, projects)?, most_tokens))
        })
        .await?;
        let mut wanted = recipes.clone();
        if let Some(name) = name {
            wanted.retain(|recipe| recipe.name == name);
            if wanted.is_empty() {
                let message = format!("There is no MCP server `{name}` in the settings");
                let error = ProtocolError::new(ErrorCode::NotFound, message)
                    .with_hint("See those there are with `skein mcp list`");
                return Err(error.into());
            }
        }
        let servers = self.0.mcp.servers();
        if starts {
            servers.wait(&wanted, STARTING).await;
        }
        let mut listed = servers.list(&recipes, most_tokens);
        listed.retain(|server| wanted.iter().any(|wanted| wanted.name == server.name));
        Ok(McpListResult { servers: listed })
    }
}

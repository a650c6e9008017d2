//! `mcp/*`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::mcp::{Absent, Recipe};
use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::mcp::McpServer;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::SessionId;
use protocol::mcp::{
    McpAnswerPromptParams, McpFinishLoginParams, McpListParams, McpListResult, McpLoginParams,
    McpLoginResult, McpLogoutParams, McpLogoutResult, McpPromptParams, McpPromptResult, McpPromptsParams,
    McpPromptsResult, McpResourcesParams, McpResourcesResult,
};
use protocol::session::{Done, SettingsOverrides};
use providers::login::oauth::BROWSER_LIFE;
use tools::tool::{Asker, NobodyToAsk};

use super::{Handlers, blocking, caller, refuse_relative};
use crate::mcp::root_of;
use crate::mcp_logins::{key, refused};
use crate::mcp_prompts::Fetch;
use crate::{daemon, settings};

/// How long servers that are started are waited for.
const STARTING: Duration = Duration::from_secs(20);
/// Scopes that a client may ask for.
const MAX_SCOPES: usize = 32;
/// Bytes of one of them.
const MAX_SCOPE: usize = 256;

#[async_trait]
impl McpServer for Handlers {
    async fn list_servers(&self, extensions: &Extensions, params: McpListParams) -> RpcResult<McpListResult> {
        let McpListParams { cwd, name, starts } = params;
        let (recipes, most_tokens) = self.recipes(extensions, cwd.clone()).await?;
        let servers = self.0.mcp.servers();
        let root = blocking(move || Ok(root_of(&cwd))).await?;
        let mut beside = self.0.mcp.beside(&root, &recipes);
        let mut wanted = recipes.clone();
        if let Some(name) = name {
            beside.retain(|server| server.name == name);
            wanted = match named(&recipes, &name) {
                Ok(recipe) => vec![recipe],
                Err(_) if !beside.is_empty() => Vec::new(),
                Err(error) => return Err(error.into()),
            };
        }
        if starts {
            servers.wait(&wanted, STARTING).await;
        }
        let mut listed = servers.list(&recipes, most_tokens);
        listed.retain(|server| wanted.iter().any(|wanted| wanted.name == server.name));
        listed.append(&mut beside);
        Ok(McpListResult { servers: listed })
    }

    async fn begin_login(
        &self,
        extensions: &Extensions,
        params: McpLoginParams,
    ) -> RpcResult<McpLoginResult> {
        let McpLoginParams { cwd, name, scopes } = params;
        // RFC 6749, 3.3.
        let is_scope = |scope: &String| {
            let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
            !scope.is_empty() && scope.len() <= MAX_SCOPE && scope.bytes().all(is_plain)
        };
        if scopes.len() > MAX_SCOPES || !scopes.iter().all(is_scope) {
            let message = "The scopes are too many, or one of them can't be one";
            return Err(ProtocolError::new(ErrorCode::InvalidRequest, message).into());
        }
        let recipe = named(&self.recipes(extensions, cwd).await?.0, &name)?;
        let (mcp, logins) = (&self.0.mcp, &self.0.accounts.logins);
        let (login_id, url) = mcp.logins.begin(mcp.servers(), &recipe, scopes, logins).await?;
        let expires_at = daemon::milliseconds(SystemTime::now() + BROWSER_LIFE);
        Ok(McpLoginResult { login_id, url, expires_at })
    }

    async fn finish_login(&self, params: McpFinishLoginParams) -> RpcResult<Done> {
        self.0.mcp.logins.paste(params.login_id, &params.address.0)?;
        Ok(Done {})
    }

    async fn sign_out(&self, extensions: &Extensions, params: McpLogoutParams) -> RpcResult<McpLogoutResult> {
        let McpLogoutParams { cwd, name } = params;
        let recipe = named(&self.recipes(extensions, cwd).await?.0, &name)?;
        self.0.accounts.logins.give_up(&key(&recipe));
        let forgotten = self.0.mcp.servers().logout(&recipe).await;
        let was_stored = forgotten.map_err(|error| refused(&error))?;
        tracing::info!(server = name, was_stored, "signed out of an MCP server");
        Ok(McpLogoutResult { was_stored })
    }

    async fn list_prompts(
        &self,
        extensions: &Extensions,
        params: McpPromptsParams,
    ) -> RpcResult<McpPromptsResult> {
        let recipes = self.recipes_of(extensions, params.cwd, params.session_id).await?;
        Ok(self.0.mcp.servers().prompts(&recipes))
    }

    async fn list_resources(
        &self,
        extensions: &Extensions,
        params: McpResourcesParams,
    ) -> RpcResult<McpResourcesResult> {
        let McpResourcesParams { cwd, session_id, starts } = params;
        let recipes = self.recipes_of(extensions, cwd, session_id).await?;
        let absent = if starts { Absent::Begun } else { Absent::Left };
        Ok(Box::pin(self.0.mcp.servers().resources(&recipes, absent)).await)
    }

    async fn read_prompt(
        &self,
        extensions: &Extensions,
        params: McpPromptParams,
    ) -> RpcResult<McpPromptResult> {
        let McpPromptParams { cwd, server, name, arguments, session_id, takes_questions } = params;
        let recipe = named(&self.recipes_of(extensions, cwd, session_id).await?, &server)?;
        let daemon = Arc::clone(&self.0);
        let fetch = Fetch::begin(move |asker| async move {
            let asker: Arc<dyn Asker> = if takes_questions { asker } else { Arc::new(NobodyToAsk) };
            daemon.mcp.servers().prompt(&recipe, &name, arguments, asker).await
        });
        Ok(self.0.mcp.asked.next(fetch).await?)
    }

    async fn answer_prompt(&self, params: McpAnswerPromptParams) -> RpcResult<McpPromptResult> {
        Ok(self.0.mcp.asked.answer(params.id, params.decision).await?)
    }
}

impl Handlers {
    /// The servers of a session, or those that the caller has in a folder.
    async fn recipes_of(
        &self,
        extensions: &Extensions,
        cwd: PathBuf,
        session: Option<SessionId>,
    ) -> Result<Vec<Recipe>, ProtocolError> {
        let Some(id) = session else { return Ok(self.recipes(extensions, cwd).await?.0) };
        let settings = self.0.session(id).await?.summary().await?.settings;
        let daemon = Arc::clone(&self.0);
        blocking(move || Ok(daemon.mcp.of_session(id, &settings, daemon.world.projects()))).await
    }

    /// The servers that the caller has in a folder, and how many tokens their tools may cost.
    async fn recipes(
        &self,
        extensions: &Extensions,
        cwd: PathBuf,
    ) -> Result<(Vec<Recipe>, u64), ProtocolError> {
        refuse_relative(&cwd)?;
        let daemon = Arc::clone(&self.0);
        let client = Arc::clone(&caller(extensions)?.client()?.environment);
        blocking(move || {
            let loaded = settings::load(daemon.circumstances.file(), &SettingsOverrides::default())?;
            let cwd = cwd.canonicalize().unwrap_or(cwd);
            let most_tokens = loaded.settings.mcp_tool_tokens;
            let projects = daemon.world.projects();
            Ok((daemon.mcp.of_folder(&loaded.settings, &client, &cwd, projects)?, most_tokens))
        })
        .await
    }
}

fn named(recipes: &[Recipe], name: &str) -> Result<Recipe, ProtocolError> {
    recipes.iter().find(|recipe| recipe.name == name).cloned().ok_or_else(|| {
        let message = format!("There is no MCP server `{name}` in the settings");
        ProtocolError::new(ErrorCode::NotFound, message)
            .with_hint("See those there are with `skein mcp list`")
    })
}

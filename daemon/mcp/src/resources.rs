//! What servers have to read: two tools, of which one lists it and the other reads it. They are there if a server of
//! the session has resources.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::item::{ItemBody, ItemStatus, ToolConsent};
use protocol::mcp::ToolApproval;
use protocol::tool::{ToolCall, ToolInput, ToolSpecification};
use rmcp::model::{CallToolResult, ContentBlock, EmbeddedResource, PaginatedRequestParams};
use serde::Deserialize;
use serde_json::json;
use tools::tool::{CallError, RunContext, RunOutcome, Tool};

use crate::call::{Waiting, failed, read};
use crate::error::McpError;
use crate::outcome;
use crate::server::{Live, Server};
use crate::text;

const LIST: &str = "list_mcp_resources";
const READ: &str = "read_mcp_resource";
/// Resources of one answer.
const MAX_LISTED: usize = 200;
/// Bytes of a name or an address, and of what is said of it.
const MAX_NAME: usize = 512;

/// The tools of these servers, which have resources.
pub(crate) fn tools(servers: &[Arc<Server>]) -> Vec<Arc<dyn Tool>> {
    let servers: Vec<_> = servers
        .iter()
        .filter(|server| server.recipe.server.approval != ToolApproval::Deny)
        .cloned()
        .collect();
    if servers.is_empty() {
        return Vec::new();
    }
    [Kind::List, Kind::Read]
        .map(|kind| Arc::new(ResourceTool { kind, servers: servers.clone() }) as Arc<dyn Tool>)
        .into()
}

#[derive(Clone)]
struct ResourceTool {
    kind: Kind,
    servers: Vec<Arc<Server>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    List,
    Read,
}

/// The arguments of both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    server: String,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    cursor: Option<String>,
}

impl ResourceTool {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::List => LIST,
            Kind::Read => READ,
        }
    }

    fn understand(&self, call: &ToolCall) -> Result<(Arguments, &Arc<Server>), CallError> {
        let bad = |reason: String| CallError::BadArguments { tool: self.name().to_owned(), reason };
        let arguments: Arguments =
            serde_json::from_str(call.input.text()).map_err(|error| bad(error.to_string()))?;
        if self.kind == Kind::Read && arguments.uri.is_none() {
            return Err(bad("`uri` is missing".to_owned()));
        }
        let named = self.servers.iter().find(|server| server.recipe.name == arguments.server);
        let server = named.ok_or_else(|| {
            let known: Vec<_> =
                self.servers.iter().map(|server| format!("`{}`", server.recipe.name)).collect();
            bad(format!(
                "No server `{}` has resources; those that do are {}",
                arguments.server,
                known.join(", ")
            ))
        })?;
        Ok((arguments, server))
    }

    async fn call(&self, call: &ToolCall, context: &RunContext) -> Result<CallToolResult, McpError> {
        let (arguments, server) =
            self.understand(call).map_err(|error| McpError::BadCall { reason: error.to_string() })?;
        let within = Duration::from_millis(server.recipe.server.tool_timeout_ms);
        let live = tokio::select! {
            live = server.live() => live?,
            () = context.cancel.cancelled() => return Err(McpError::Interrupted),
        };
        if let (Kind::Read, Some(uri)) = (self.kind, arguments.uri) {
            let result = read(&live, uri, Waiting::of(context, within)).await?;
            let parts = result.contents.into_iter().map(EmbeddedResource::new).map(ContentBlock::Resource);
            return Ok(CallToolResult::success(parts.collect()));
        }
        tokio::select! {
            answer = tokio::time::timeout(within, list(&live, arguments.cursor, within)) => match answer {
                Ok(answer) => answer,
                Err(_) => Err(McpError::CallTimeout { server: server.recipe.name.clone(), within }),
            },
            () = context.cancel.cancelled() => Err(McpError::Interrupted),
        }
    }
}

async fn list(live: &Live, cursor: Option<String>, within: Duration) -> Result<CallToolResult, McpError> {
    let params = PaginatedRequestParams::default().with_cursor(cursor);
    let listed = live.peer.list_resources(Some(params)).await;
    let listed = listed.map_err(|error| failed(&live.handler, within, error))?;
    let left_out = listed.resources.len().saturating_sub(MAX_LISTED);
    let mut lines: Vec<String> = listed
        .resources
        .iter()
        .take(MAX_LISTED)
        .map(|resource| {
            let said = resource.description.as_deref().unwrap_or_default();
            let name = text::line(&resource.name, MAX_NAME);
            format!("{} {name} {}", text::line(&resource.uri, MAX_NAME), text::line(said, MAX_NAME))
        })
        .collect();
    if lines.is_empty() {
        lines.push("There are none".to_owned());
    }
    if left_out > 0 {
        lines.push(format!("[{left_out} more left out]"));
    }
    if let Some(cursor) = listed.next_cursor {
        lines.push(format!("[more with the cursor `{}`]", text::line(&cursor, MAX_NAME)));
    }
    Ok(CallToolResult::success(vec![ContentBlock::text(lines.join("\n"))]))
}

impl Tool for ResourceTool {
    fn specification(&self) -> ToolSpecification {
        let names: Vec<_> = self.servers.iter().map(|server| server.recipe.name.as_str()).collect();
        let (description, schema) = match self.kind {
            Kind::List => (
                "Lists what an MCP server has to read: addresses, names, descriptions.",
                json!({"type": "object", "properties": {
                    "server": {"type": "string", "enum": names},
                    "cursor": {"type": "string", "description": "Where an earlier list ended"},
                }, "required": ["server"], "additionalProperties": false}),
            ),
            Kind::Read => (
                "Reads what an MCP server has at an address.",
                json!({"type": "object", "properties": {
                    "server": {"type": "string", "enum": names},
                    "uri": {"type": "string"},
                }, "required": ["server", "uri"], "additionalProperties": false}),
            ),
        };
        let input = ToolInput::Json { schema };
        ToolSpecification { name: self.name().to_owned(), description: description.to_owned(), input }
    }

    fn is_read_only(&self) -> bool {
        true
    }

    fn prepare(&self, call: &ToolCall, _cwd: &Path) -> Result<ItemBody, CallError> {
        let (_, server) = self.understand(call)?;
        let recipe = &server.recipe;
        let consent = (recipe.server.approval == ToolApproval::Prompt).then(|| ToolConsent {
            reason: format!("The settings want a question before each call of `{}`", recipe.name),
            definition: None,
        });
        Ok(outcome::begun(call, &recipe.name, consent))
    }

    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        let tool = self.clone();
        Box::pin(async move {
            let ItemBody::ToolCall(other) = body else {
                return RunOutcome { status: ItemStatus::Failed, body };
            };
            let called = tool.call(&other.call, &context).await;
            outcome::ended(other, called, &*context.spools).await
        })
    }
}

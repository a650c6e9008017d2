//! A tool of a server, as sessions see it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::item::{ItemBody, ItemStatus, ToolConsent};
use protocol::mcp::ToolApproval;
use protocol::tool::{ToolCall, ToolSpecification};
use rmcp::model::{CallToolResult, JsonObject};
use tools::tool::{CallError, RunContext, RunOutcome, Tool};

use crate::call::{Waiting, call};
use crate::definition::Definition;
use crate::error::McpError;
use crate::memory::Memory;
use crate::outcome;
use crate::server::{Budget, Server};

/// A tool of a server.
#[derive(Clone)]
pub(crate) struct McpTool {
    server: Arc<Server>,
    definition: Definition,
    memory: Arc<Memory>,
    is_deferred: bool,
}

impl McpTool {
    /// A tool that its server described so.
    pub(crate) fn of(
        server: Arc<Server>,
        definition: Definition,
        memory: Arc<Memory>,
        budget: Budget,
    ) -> Self {
        let is_deferred = budget.defers(&server.recipe);
        Self { server, definition, memory, is_deferred }
    }

    /// Why a person is asked before it is called, if one is.
    fn consent(&self) -> Option<ToolConsent> {
        let Definition { name, offered_as, is_read_only, digest, .. } = &self.definition;
        let recipe = &self.server.recipe;
        let passed = self.memory.passed(&recipe.name, offered_as);
        if passed.as_ref() == Some(digest) {
            return None;
        }
        // What was called without a question tells of a change, but is nobody's leave.
        let known = passed.or_else(|| self.memory.called(&recipe.name, offered_as));
        let reason = match recipe.server.approval_of(name) {
            _ if known.is_some_and(|known| known != *digest) => format!(
                "What the MCP server `{}` says of this tool has changed since it was let pass",
                recipe.name
            ),
            ToolApproval::Approve => return None,
            ToolApproval::Auto if *is_read_only => return None,
            ToolApproval::Auto => format!("The MCP server `{}` may change things with it", recipe.name),
            ToolApproval::Prompt | ToolApproval::Deny | ToolApproval::Unknown(_) => {
                format!("The settings want a question before each call of it (`{}`)", recipe.name)
            }
        };
        Some(ToolConsent { reason, definition: Some(digest.clone()) })
    }

    async fn call(&self, arguments: JsonObject, context: &RunContext) -> Result<CallToolResult, McpError> {
        let (recipe, known) = (&self.server.recipe, &self.definition);
        let live = tokio::select! {
            live = self.server.live() => live?,
            () = context.cancel.cancelled() => return Err(McpError::Interrupted),
        };
        // What it was when the model and the person saw it, it must be still.
        let now = self.server.offer().unwrap_or_default();
        match now.tools.iter().find(|now| now.name == known.name) {
            Some(now) if now.digest == known.digest => {}
            Some(_) => {
                return Err(McpError::Changed { server: recipe.name.clone(), tool: known.name.clone() });
            }
            None => return Err(McpError::NoTool { server: recipe.name.clone(), tool: known.name.clone() }),
        }
        let waiting = Waiting::of(context, Duration::from_millis(recipe.server.tool_timeout_ms));
        let result = call(&live, known.name.clone(), arguments, waiting).await;
        self.server.touch();
        result
    }
}

impl Tool for McpTool {
    fn specification(&self) -> ToolSpecification {
        self.definition.specification()
    }

    /// What a server says of itself is a hint; files may change all the same.
    fn is_read_only(&self) -> bool {
        false
    }

    fn is_deferred(&self) -> bool {
        self.is_deferred
    }

    fn prepare(&self, call: &ToolCall, _cwd: &Path) -> Result<ItemBody, CallError> {
        arguments(call)?;
        Ok(outcome::begun(call, &self.server.recipe.name, self.consent()))
    }

    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        let tool = self.clone();
        Box::pin(async move {
            let ItemBody::ToolCall(other) = body else {
                return RunOutcome { status: ItemStatus::Failed, body };
            };
            // A description that was called without a question, or the first one at all, is the one that later ones are
            // held against.
            let (memory, server) = (&tool.memory, &tool.server.recipe.name);
            let Definition { offered_as, digest, .. } = &tool.definition;
            match other.consent {
                None => memory.call(server, offered_as, digest),
                Some(_) => memory.meet(server, offered_as, digest),
            }
            let called = match arguments(&other.call) {
                Ok(arguments) => tool.call(arguments, &context).await,
                Err(error) => Err(McpError::BadCall { reason: error.to_string() }),
            };
            outcome::ended(other, called, &*context.spools).await
        })
    }
}

/// The arguments of a call; none at all count as empty.
fn arguments(call: &ToolCall) -> Result<JsonObject, CallError> {
    let text = call.input.text().trim();
    if text.is_empty() {
        return Ok(JsonObject::new());
    }
    serde_json::from_str(text)
        .map_err(|error| CallError::BadArguments { tool: call.name.clone(), reason: error.to_string() })
}

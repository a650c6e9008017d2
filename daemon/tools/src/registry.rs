//! The tools of a daemon, by name.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use protocol::item::ItemBody;
use protocol::tool::{ToolCall, ToolSpecification};

use crate::tool::{CallError, RunContext, RunOutcome, Tool};

/// The tools, in the order that the model sees.
pub struct Registry {
    tools: Vec<(ToolSpecification, Arc<dyn Tool>)>,
    specifications: Arc<[ToolSpecification]>,
    commands: Arc<dyn Tool>,
    changes: Arc<dyn Tool>,
}

/// A tool as a person asks about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// What the model is told.
    pub specification: ToolSpecification,
    /// Whether its calls change nothing.
    pub is_read_only: bool,
    /// What the specification costs with each request; an estimate.
    pub tokens: usize,
}

/// Bytes of JSON that make a token, roughly.
const BYTES_PER_TOKEN: usize = 4;

impl Registry {
    /// Holds the tool that runs the commands of tools that are gone, the one that changes files, and all others.
    #[must_use]
    pub fn new(commands: Arc<dyn Tool>, changes: Arc<dyn Tool>, others: Vec<Arc<dyn Tool>>) -> Self {
        let tools: Vec<_> = [Arc::clone(&commands), Arc::clone(&changes)]
            .into_iter()
            .chain(others)
            .map(|tool| (tool.specification(), tool))
            .collect();
        let specifications = tools.iter().map(|(specification, _)| specification.clone()).collect();
        Self { tools, specifications, commands, changes }
    }

    /// What the model is told, in a stable order.
    #[must_use]
    pub fn specifications(&self) -> Arc<[ToolSpecification]> {
        Arc::clone(&self.specifications)
    }

    /// Understands a call.
    ///
    /// # Errors
    /// What is wrong with the call, for the model to mend.
    pub fn prepare(&self, call: &ToolCall, cwd: &Path) -> Result<ItemBody, CallError> {
        self.find(&call.name).map_or_else(
            || {
                let known = self.tools.iter().map(|(tool, _)| format!("`{}`", tool.name)).collect();
                Err(CallError::UnknownTool { name: call.name.clone(), known })
            },
            |tool| tool.prepare(call, cwd),
        )
    }

    /// Carries out an item that `prepare` made. `None` for an item that is no tool's, or of a tool that is
    /// gone.
    #[must_use]
    pub fn run(&self, body: ItemBody, context: RunContext) -> Option<BoxFuture<'static, RunOutcome>> {
        let tool = match &body {
            ItemBody::Command(command) => self.find(&command.call.name).unwrap_or(&self.commands),
            // A patch that came through the shell is carried out as what it is.
            ItemBody::FileChange(_) => &self.changes,
            ItemBody::ToolCall(other) => self.find(&other.call.name)?,
            ItemBody::Plan(plan) => self.find(&plan.call.name)?,
            ItemBody::UserMessage(_)
            | ItemBody::AgentMessage(_)
            | ItemBody::Reasoning(_)
            | ItemBody::Notice(_)
            | ItemBody::Unknown(_) => return None,
        };
        Some(tool.run(body, context))
    }

    /// All tools, in the order that the model sees.
    #[must_use]
    pub fn listing(&self) -> Vec<Listing> {
        let list = |(specification, tool): &(ToolSpecification, Arc<dyn Tool>)| {
            let bytes = serde_json::to_string(specification).map_or(0, |text| text.len());
            Listing {
                specification: specification.clone(),
                is_read_only: tool.is_read_only(),
                tokens: bytes.div_ceil(BYTES_PER_TOKEN),
            }
        };
        self.tools.iter().map(list).collect()
    }

    /// Whether an item changes nothing, so that it may run beside others like it.
    #[must_use]
    pub fn is_read_only(&self, body: &ItemBody) -> bool {
        body.call().and_then(|call| self.find(&call.name)).is_some_and(|tool| tool.is_read_only())
    }

    fn find(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.iter().find(|(tool, _)| tool.name == name).map(|(_, tool)| tool)
    }
}

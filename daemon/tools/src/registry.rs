//! The tools of a session, by name: those that every session has, and those that come from outside.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use protocol::item::ItemBody;
use protocol::tool::{CallInput, ToolCall, ToolInput, ToolSpecification};

use crate::function;
use crate::tool::{CallError, RunContext, RunOutcome, Tool};
use crate::tool_search::ToolSearch;

/// The tools, in the order that the model sees.
pub struct Registry {
    /// The first so many are those that every session has.
    tools: Vec<(ToolSpecification, Arc<dyn Tool>)>,
    own: usize,
    specifications: Arc<[ToolSpecification]>,
    reads: Arc<BTreeSet<String>>,
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
    /// Whether the model is told of it; else it looks for it first.
    pub is_told: bool,
    /// Whether every session has it.
    pub is_own: bool,
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
        let own = tools.len();
        let (specifications, reads) = (told(&tools, &BTreeSet::new()), reads(&tools));
        Self { specifications, reads, tools, own, commands, changes }
    }

    /// The same with these tools from outside in place of those it had. Of two tools of one name the first is kept.
    /// Of those that are deferred the model is told once they are `loaded`, and of a tool that finds them. What it was
    /// told of before stays in its order and new ones follow, so that it changes as little as can be.
    #[must_use]
    pub fn with_outside(&self, outside: &[Arc<dyn Tool>], loaded: &BTreeSet<String>) -> Self {
        let mut tools: Vec<_> = self.tools[..self.own].to_vec();
        let mut coming: Vec<_> =
            outside.iter().map(|tool| (tool.specification(), Arc::clone(tool))).collect();
        let deferred: Vec<_> =
            coming.iter().filter(|(_, tool)| tool.is_deferred()).map(|(tool, _)| tool.clone()).collect();
        if !deferred.is_empty() {
            let search = function::tool(ToolSearch::new(deferred));
            coming.push((search.specification(), search));
        }
        let place = |name: &str| {
            let told = self.specifications.get(self.own..).unwrap_or_default();
            told.iter().position(|known| known.name == name).unwrap_or(usize::MAX)
        };
        coming.sort_by_cached_key(|(new, _)| (place(&new.name), new.name.clone()));
        for (specification, tool) in coming {
            if tools.iter().all(|(known, _)| known.name != specification.name) {
                tools.push((specification, tool));
            }
        }
        Self {
            specifications: told(&tools, loaded),
            reads: reads(&tools),
            tools,
            own: self.own,
            commands: Arc::clone(&self.commands),
            changes: Arc::clone(&self.changes),
        }
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
            | ItemBody::WebSearch(_)
            | ItemBody::Compaction(_)
            | ItemBody::Agent(_)
            | ItemBody::Review(_)
            | ItemBody::Unknown(_) => return None,
        };
        Some(tool.run(body, context))
    }

    /// All tools, in the order that the model sees.
    #[must_use]
    pub fn listing(&self) -> Vec<Listing> {
        let list = |(at, (specification, tool)): (usize, &(ToolSpecification, Arc<dyn Tool>))| {
            let bytes = serde_json::to_string(specification).map_or(0, |text| text.len());
            Listing {
                specification: specification.clone(),
                is_read_only: tool.is_read_only(),
                tokens: bytes.div_ceil(BYTES_PER_TOKEN),
                is_told: self.specifications.iter().any(|told| told.name == specification.name),
                is_own: at < self.own,
            }
        };
        self.tools.iter().enumerate().map(list).collect()
    }

    /// The names of the tools whose calls change nothing, so that they may run side by side.
    #[must_use]
    pub fn reads(&self) -> Arc<BTreeSet<String>> {
        Arc::clone(&self.reads)
    }

    /// Whether an item changes nothing.
    #[must_use]
    pub fn is_read_only(&self, body: &ItemBody) -> bool {
        body.call().and_then(|call| self.find(&call.name)).is_some_and(|tool| tool.is_read_only())
    }

    /// Whether an item may change files by itself.
    #[must_use]
    pub fn changes_files(&self, body: &ItemBody) -> bool {
        body.call().and_then(|call| self.find(&call.name)).is_none_or(|tool| tool.changes_files())
    }

    /// The call of a tool with these arguments, in the form that it takes.
    #[must_use]
    pub fn input(&self, name: &str, arguments: &serde_json::Value) -> CallInput {
        let is_freeform = |(tool, _): &&(ToolSpecification, Arc<dyn Tool>)| {
            tool.name == name && matches!(tool.input, ToolInput::Freeform { .. })
        };
        if self.tools.iter().any(|tool| is_freeform(&tool))
            && let Some(text) = arguments.as_str().or_else(|| arguments["input"].as_str())
        {
            return CallInput::Freeform(text.to_owned());
        }
        CallInput::Json(arguments.to_string())
    }

    fn find(&self, name: &str) -> Option<&Arc<dyn Tool>> {
        self.tools.iter().find(|(tool, _)| tool.name == name).map(|(_, tool)| tool)
    }
}

fn reads(tools: &[(ToolSpecification, Arc<dyn Tool>)]) -> Arc<BTreeSet<String>> {
    let reads = tools.iter().filter(|(_, tool)| tool.is_read_only());
    Arc::new(reads.map(|(specification, _)| specification.name.clone()).collect())
}

fn told(tools: &[(ToolSpecification, Arc<dyn Tool>)], loaded: &BTreeSet<String>) -> Arc<[ToolSpecification]> {
    let is_told = |(specification, tool): &&(ToolSpecification, Arc<dyn Tool>)| {
        !tool.is_deferred() || loaded.contains(&specification.name)
    };
    tools.iter().filter(is_told).map(|(specification, _)| specification.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(&'static str, bool);

    impl Tool for Named {
        fn specification(&self) -> ToolSpecification {
            let input = ToolInput::Json { schema: serde_json::json!({}) };
            ToolSpecification { name: self.0.to_owned(), description: String::new(), input }
        }

        fn is_deferred(&self) -> bool {
            self.1
        }

        fn prepare(&self, call: &ToolCall, _cwd: &Path) -> Result<ItemBody, CallError> {
            Err(CallError::BadArguments { tool: call.name.clone(), reason: String::new() })
        }

        fn run(&self, body: ItemBody, _context: RunContext) -> BoxFuture<'static, RunOutcome> {
            let status = protocol::item::ItemStatus::Failed;
            Box::pin(std::future::ready(RunOutcome { status, body }))
        }
    }

    fn tools(names: &[&'static str]) -> Vec<Arc<dyn Tool>> {
        names.iter().map(|name| Arc::new(Named(name, false)) as Arc<dyn Tool>).collect()
    }

    fn none() -> BTreeSet<String> {
        BTreeSet::new()
    }

    fn names(registry: &Registry) -> Vec<String> {
        registry.specifications().iter().map(|tool| tool.name.clone()).collect()
    }

    #[test]
    fn tools_from_outside_keep_their_places_and_new_ones_follow() {
        let own =
            Registry::new(Arc::new(Named("command", false)), Arc::new(Named("change", false)), Vec::new());
        let first = own.with_outside(&tools(&["m", "k"]), &none());
        assert_eq!(names(&first), ["command", "change", "k", "m"]);
        let more = first.with_outside(&tools(&["a", "m", "k"]), &none());
        assert_eq!(names(&more), ["command", "change", "k", "m", "a"]);
        let fewer = more.with_outside(&tools(&["a"]), &none());
        assert_eq!(names(&fewer), ["command", "change", "a"]);
        assert_eq!(names(&fewer.with_outside(&[], &none())), ["command", "change"]);
    }

    #[test]
    fn a_tool_from_outside_takes_no_name_that_is_taken() {
        let own =
            Registry::new(Arc::new(Named("command", false)), Arc::new(Named("change", false)), Vec::new());
        assert_eq!(
            names(&own.with_outside(&tools(&["change", "a", "a"]), &none())),
            ["command", "change", "a"]
        );
    }

    #[test]
    fn deferred_tools_are_told_of_when_they_are_loaded_and_follow_what_was_told() {
        let own =
            Registry::new(Arc::new(Named("command", false)), Arc::new(Named("change", false)), Vec::new());
        let outside: Vec<Arc<dyn Tool>> = [("a", true), ("b", false), ("c", true)]
            .map(|(name, is_deferred)| Arc::new(Named(name, is_deferred)) as Arc<dyn Tool>)
            .into();
        let first = own.with_outside(&outside, &none());
        assert_eq!(names(&first), ["command", "change", "b", "tool_search"]);
        let later = first.with_outside(&outside, &BTreeSet::from(["a".to_owned()]));
        assert_eq!(names(&later), ["command", "change", "b", "tool_search", "a"]);
    }
}

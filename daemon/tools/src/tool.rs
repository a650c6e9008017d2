//! What a tool is: a specification that the model reads, a handler that understands a call, and a runtime that
//! carries it out. Knows nothing of sessions or of any single tool.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use policy::decision::Action;
use protocol::item::{ItemBody, ItemStatus};
use protocol::profile::{NetworkProtocol, Profile};
use protocol::question::{Decision, QuestionKind};
use protocol::tool::{ToolCall, ToolSpecification};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::agents::Agents;
use crate::belongings::Belongings;
use crate::diagnostics::Diagnostics;
use crate::judge::Judge;
use crate::output::Spools;
use crate::own_model::{ModelAnswer, ModelQuestion};

/// A tool of the first set or any other.
pub trait Tool: Send + Sync {
    /// What the model is told of it.
    fn specification(&self) -> ToolSpecification;

    /// Whether its calls change nothing, so that they may run side by side.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Whether its own calls may change files, so that what they change is kept to be taken back. Calls that it makes of
    /// other tools are theirs.
    fn changes_files(&self) -> bool {
        !self.is_read_only()
    }

    /// Whether the model is told of it only when it has looked for it.
    fn is_deferred(&self) -> bool {
        false
    }

    /// Understands a call. Pure: reads no file, starts nothing.
    ///
    /// # Errors
    /// What is wrong with the call, for the model to mend.
    fn prepare(&self, call: &ToolCall, cwd: &Path) -> Result<ItemBody, CallError>;

    /// Carries out an item that `prepare` of the same tool made. Always ends: after its own timeout, or soon
    /// after `context.cancel`. Dropping the future kills what it started.
    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome>;
}

/// Why a call can't be carried out as it is. The message is for the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no such tool.
    #[error("There is no tool `{name}`; the tools are {}", known.join(", "))]
    UnknownTool {
        /// The name that was called.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The arguments are no JSON, or not of the tool's shape.
    #[error("The arguments of `{tool}` can't be read: {reason}")]
    BadArguments {
        /// The tool.
        tool: String,
        /// What is wrong, with its place.
        reason: String,
    },
}

/// Asks a person, or the session's model, on behalf of a tool that runs.
pub trait Asker: Send + Sync {
    /// Asks, and waits: for the answer, or for `Deny` with the reason when nobody can give one, or the question expired
    /// or was withdrawn. What was granted before is allowed at once. Dropping the future withdraws the question.
    ///
    /// A `Command` with refusals has run in the sandbox, and is to run again outside of it: there the rules may refuse
    /// it, no earlier leave is enough, and a person is asked only if one is there who can answer.
    fn ask(&self, kind: QuestionKind, reason: String) -> BoxFuture<'_, Decision>;

    /// Asks the session's model, beside the conversation. What it takes counts as the session's. Whoever asks has
    /// asked a person before. Dropping the future ends the answer.
    ///
    /// # Errors
    /// Why there is no answer.
    fn ask_model(&self, _asked: ModelQuestion) -> BoxFuture<'_, Result<ModelAnswer, String>> {
        Box::pin(std::future::ready(Err("There is no model here that could be asked".to_owned())))
    }
}

/// Nobody can be asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct NobodyToAsk;

impl Asker for NobodyToAsk {
    fn ask(&self, _kind: QuestionKind, _reason: String) -> BoxFuture<'_, Decision> {
        let message = Some("Nobody can be asked here".to_owned());
        Box::pin(std::future::ready(Decision::Deny { message }))
    }
}

/// Makes calls of the session's other tools on behalf of one that runs.
pub trait Caller: Send + Sync {
    /// Makes a call as if the model had made it: policy, questions, hooks, ceilings and log are the same. Waits for its
    /// end. A freeform tool is given the JSON string, or the string `input` of the object. Whoever ends waits for all
    /// calls that it made; dropping the future does not end the call.
    fn call(&self, name: String, arguments: serde_json::Value) -> BoxFuture<'_, Called>;
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// How it ended.
    pub status: ItemStatus,
    /// What the model would be shown of it.
    pub text: String,
}

/// There is nothing to be called.
#[derive(Clone, Copy, Debug, Default)]
pub struct NothingToCall;

impl Caller for NothingToCall {
    fn call(&self, _name: String, _arguments: serde_json::Value) -> BoxFuture<'_, Called> {
        let text = "No tool can be called from here".to_owned();
        Box::pin(std::future::ready(Called { status: ItemStatus::Failed, text }))
    }
}

/// What a tool that runs tells of beside its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A command reached out into the network, or tried to.
    Connection {
        /// How.
        protocol: NetworkProtocol,
        /// The host as the command named it; bounded.
        host: String,
        /// The port.
        port: u16,
        /// Whether it was let through.
        is_allowed: bool,
        /// The rule, the answer or the reason that decided, for a person.
        reason: String,
    },
}

/// What a runtime is given.
#[derive(Clone)]
pub struct RunContext {
    /// The folder that relative paths start from.
    pub cwd: Arc<Path>,
    /// What may be touched.
    pub profile: Arc<Profile>,
    /// The environment of commands, secrets removed.
    pub environment: Arc<[(OsString, OsString)]>,
    /// Where the whole of long outputs goes.
    pub spools: Arc<dyn Spools>,
    /// Asks a person.
    pub asker: Arc<dyn Asker>,
    /// Reaches the session's agents.
    pub agents: Arc<dyn Agents>,
    /// Makes calls of other tools.
    pub caller: Arc<dyn Caller>,
    /// Decides about the programs that commands start.
    pub judge: Arc<dyn Judge>,
    /// What the session's tools keep between calls.
    pub belongings: Arc<Belongings>,
    /// Finds errors in files that were changed.
    pub diagnostics: Arc<dyn Diagnostics>,
    /// Output as it comes, for people who watch. Bounded; a full channel slows the command, not the session.
    pub progress: mpsc::Sender<String>,
    /// What else is to be told. Bounded; a full channel slows the tool, not the session.
    pub reports: mpsc::Sender<Report>,
    /// Ends the run early.
    pub cancel: CancellationToken,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RunOutcome {
    /// How far it came.
    pub status: ItemStatus,
    /// The item with its outcome filled in.
    pub body: ItemBody,
}

/// What the policy is asked about an item. `None` if it does nothing that a policy could mind.
#[must_use]
pub fn action(body: &ItemBody) -> Option<Action<'_>> {
    match body {
        // One without an argument vector starts nothing: it goes to a process that runs already.
        ItemBody::Command(command) if command.argv.is_empty() => None,
        ItemBody::Command(command) => {
            Some(Action::Command { argv: &command.argv, is_escalated: command.is_escalated })
        }
        // One with a message has failed already: it was no patch.
        ItemBody::FileChange(change) => change.message.is_none().then_some(Action::FileChange),
        ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::ToolCall(_)
        | ItemBody::Plan(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::Unknown(_) => None,
    }
}

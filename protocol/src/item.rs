//! Items: the things that a turn consists of. An item carries what a screen shows and what the model is told
//! of it later; there is no second copy. Knows nothing of either rendering.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::AgentReport;
use crate::context::Compaction;
use crate::ids::{BlobId, ItemId, Timestamp, TurnId};
use crate::review::Review;
use crate::tool::ToolCall;
use crate::turn::{Actor, InputPart};
use crate::web::WebSearch;

/// One thing in a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Its identity.
    pub id: ItemId,
    /// The turn it belongs to.
    pub turn_id: TurnId,
    /// The model request within the turn, from 0: items of an answer carry that of their request, what people
    /// say that of the first request which holds it.
    pub step: u32,
    /// How far it is.
    pub status: ItemStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// The item whose tool made this call; absent where the model did, or where it is no call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_by: Option<ItemId>,
    /// What it is.
    pub body: ItemBody,
}

/// How far an item is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ItemStatus {
    /// It grows, runs, or waits.
    InProgress,
    /// It ended as it should.
    Completed,
    /// It ended badly: a command with another exit code than 0, a patch that does not apply.
    Failed,
    /// A person or a policy did not let it happen.
    Declined,
    /// It was stopped; what it had done by then stands, its outcome may be unknown.
    Interrupted,
    /// The stream that it came from broke and was started again; the model will not see it.
    Discarded,
    /// A status of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// What an item is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "most items of a turn are commands, the largest")]
pub enum ItemBody {
    /// What a person, or a program in their name, said.
    UserMessage(UserMessage),
    /// What the model said.
    AgentMessage(AgentMessage),
    /// What the model tells of its thinking.
    Reasoning(Reasoning),
    /// A command that ran, or is to run.
    Command(Command),
    /// A change of files.
    FileChange(FileChange),
    /// A call of any other tool, or of one that does not exist.
    ToolCall(OtherToolCall),
    /// The plan as the model has it now.
    Plan(Plan),
    /// Something that people should know, and the model need not.
    Notice(Notice),
    /// What the provider did in the web for the model.
    WebSearch(WebSearch),
    /// What was before, in few words; the model is shown this in its place.
    Compaction(Compaction),
    /// What a session that this one's model started came to.
    Agent(AgentReport),
    /// What a review found, read out of the model's last message; failed where that can't be read as a whole.
    Review(Review),
    /// A body of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// What a person, or a program in their name, said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserMessage {
    /// Its parts, in order.
    pub content: Vec<InputPart>,
    /// Who said it.
    pub actor: Actor,
    /// Whether it was said into a running turn.
    #[serde(default)]
    pub is_steer: bool,
}

/// What the model said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentMessage {
    /// Markdown.
    pub text: String,
}

/// What the model tells of its thinking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reasoning {
    /// The summary for people; may be empty.
    pub summary: String,
    /// What the provider wants to see again, unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opaque: Option<OpaqueReasoning>,
}

/// Reasoning, or what stands for a conversation, in a provider's own form, sent back to the same wire API only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpaqueReasoning {
    /// The wire API that can read it, such as `responses`.
    pub wire_api: String,
    /// The provider's item, byte for byte in meaning.
    pub item: serde_json::Value,
}

/// A command that ran, or is to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// The call that asked for it.
    pub call: ToolCall,
    /// The command as a person would type it.
    pub command: String,
    /// The argument vector that is executed.
    pub argv: Vec<String>,
    /// The folder it runs in.
    pub cwd: PathBuf,
    /// Whether it runs outside the sandbox, by a person's leave.
    #[serde(default)]
    pub is_escalated: bool,
    /// Why the model asked to leave the sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub justification: Option<String>,
    /// Whether it runs in a terminal of its own.
    #[serde(default)]
    pub has_terminal: bool,
    /// The number by which the model reaches it, while it goes on in the background.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_id: Option<u32>,
    /// After how many milliseconds it is ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// In snapshots only: what it printed so far, while it runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output_so_far: String,
    /// How it ended; absent while it runs and when it never ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CommandOutcome>,
    /// What to tell the model instead of the output, when it did not run or not to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandOutcome {
    /// Why it ended.
    pub exit: CommandExit,
    /// How long it ran.
    pub duration_ms: u64,
    /// Standard output and error, as they came: head and tail if long, invalid UTF-8 replaced.
    pub output: CommandOutput,
    /// What the sandbox stopped, as the helper saw it; bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
}

/// Something that the sandbox stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// What was tried.
    pub operation: RefusedOperation,
    /// On what: a path, a host with its port, a program.
    pub target: String,
}

/// What was tried in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RefusedOperation {
    /// To read.
    Read,
    /// To write, make or remove.
    Write,
    /// To connect.
    Connect,
    /// To execute.
    Execute,
    /// An operation of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Why a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum CommandExit {
    /// By itself.
    Code {
        /// Its exit code.
        code: i32,
    },
    /// By a signal that Skein did not send.
    Signal {
        /// The signal's number.
        signal: i32,
    },
    /// It ran longer than it was allowed to.
    #[serde(rename_all = "camelCase")]
    TimedOut {
        /// The time it was allowed.
        after_ms: u64,
    },
    /// The turn was interrupted.
    Interrupted,
    /// It has not ended: it goes on in the background, under the item's `processId`.
    GoesOn,
    /// An end of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// The output of a command, bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandOutput {
    /// The beginning, or all of it.
    pub head: String,
    /// The end, if something was left out between.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tail: String,
    /// Bytes left out between head and tail.
    #[serde(default)]
    pub omitted_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// The whole, up to the store's cap, when something was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<BlobId>,
}

/// A change of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileChange {
    /// The call that asked for it.
    pub call: ToolCall,
    /// What changes, file by file; filled in once the patch has been read.
    pub changes: Vec<ChangedFile>,
    /// What the model is told: the success text or the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What happens to one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedFile {
    /// Absolute.
    pub path: PathBuf,
    /// What happens to it.
    pub kind: ChangeKind,
    /// Where it goes, if it moves; absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<PathBuf>,
    /// A unified diff, bounded.
    pub diff: String,
}

/// What happens to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// It is made, or replaced as a whole.
    Add,
    /// It is removed.
    Delete,
    /// Its content changes, or its name.
    Update,
    /// A kind of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// A call of a tool that has no item of its own kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtherToolCall {
    /// The call.
    pub call: ToolCall,
    /// The MCP server that the tool belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Present if a person is asked before it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Box<ToolConsent>>,
    /// What the model is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// What the model is shown beside it, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<ToolContent>,
    /// The outcome in the tool's own form, for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<serde_json::Value>,
}

impl OtherToolCall {
    /// One that has not run.
    #[must_use]
    pub fn new(call: ToolCall) -> Self {
        Self { call, server: None, consent: None, output: None, content: Vec::new(), structured: None }
    }
}

/// Why a person is asked before a tool is called, and what a yes is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolConsent {
    /// Why, for the person.
    pub reason: String,
    /// A digest of what the tool is described as. A leave that lasts holds for this description only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
}

/// A part of a tool's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToolContent {
    /// Text.
    #[serde(rename_all = "camelCase")]
    Text {
        /// The text.
        text: String,
    },
    /// An image in the store.
    #[serde(rename_all = "camelCase")]
    Image {
        /// Such as `image/png`.
        media_type: String,
        /// Its bytes.
        blob: BlobId,
    },
    /// A part of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// The plan as the model has it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The call that set it.
    pub call: ToolCall,
    /// Why it changed, in the model's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// Its steps, in order.
    pub steps: Vec<PlanStep>,
    /// What the model is told when it was not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// What is to be done.
    pub text: String,
    /// How far it is.
    pub status: PlanStepStatus,
}

/// How far a step of a plan is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlanStepStatus {
    /// Not begun.
    Pending,
    /// Being done.
    InProgress,
    /// Done.
    Completed,
    /// A status of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Something that people should know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// How much it matters.
    pub level: NoticeLevel,
    /// What happened.
    pub text: String,
    /// What the model is told with it; absent: nothing. Of a hook, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// How much a notice matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NoticeLevel {
    /// Good to know.
    Information,
    /// Something was weaker or less than asked for.
    Warning,
    /// A level of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

impl ItemBody {
    /// What a person said, if it is that.
    #[must_use]
    pub fn user_message(&self) -> Option<&UserMessage> {
        if let Self::UserMessage(message) = self { Some(message) } else { None }
    }

    /// What the model said, if it is that.
    #[must_use]
    pub fn agent_message(&self) -> Option<&AgentMessage> {
        if let Self::AgentMessage(message) = self { Some(message) } else { None }
    }

    /// The call that the item answers, if it is a tool's.
    #[must_use]
    pub fn call(&self) -> Option<&ToolCall> {
        match self {
            Self::Command(command) => Some(&command.call),
            Self::FileChange(change) => Some(&change.call),
            Self::ToolCall(other) => Some(&other.call),
            Self::Plan(plan) => Some(&plan.call),
            Self::UserMessage(_)
            | Self::AgentMessage(_)
            | Self::Reasoning(_)
            | Self::Notice(_)
            | Self::WebSearch(_)
            | Self::Compaction(_)
            | Self::Agent(_)
            | Self::Review(_)
            | Self::Unknown(_) => None,
        }
    }
}

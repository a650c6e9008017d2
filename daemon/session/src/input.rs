//! What can happen to a session. Closed: everything that `step` decides on is here.

use std::time::Duration;

use model::event::StopReason;
use protocol::agent::AgentReport;
use protocol::client_tool::ClientTool;
use protocol::ids::{BlobId, ClientId, ItemId, QuestionId, QueuedId, RequestId, Seq, TurnId};
use protocol::item::{ItemBody, ItemStatus, OpaqueReasoning};
use protocol::model::{ProviderFailure, Usage};
use protocol::question::{Decision, QuestionKind};
use protocol::rewind::{FilesChanged, RewindEnded, RewindScope};
use protocol::session::SessionSettings;
use protocol::tool::ToolCall;
use protocol::turn::{Actor, InputPart, InterruptReason, TurnLimits};
use protocol::web::WebSearch;
use tools::tool::Report;

use crate::hooks::{HookAnswer, HookCall};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "inputs are few at a time, and bounded")]
pub enum Input {
    /// A client asks for something.
    Request {
        /// Who.
        actor: Actor,
        /// The client's name for the request, if it gave one.
        request_id: Option<RequestId>,
        /// For what.
        request: Request,
    },
    /// A piece of the model's answer.
    Model {
        /// The turn it was asked in; of another one it comes too late.
        turn_id: TurnId,
        /// The piece.
        event: Answer,
    },
    /// The model was not asked, because the request is too long.
    ContextFull {
        /// The turn that it was for.
        turn_id: TurnId,
        /// About how many tokens it has.
        tokens: u64,
    },
    /// A piece of a tool's output.
    ToolOutput {
        /// The tool's item.
        item_id: ItemId,
        /// The piece.
        text: String,
    },
    /// A running tool asks a person.
    ToolAsked {
        /// The tool's item.
        item_id: ItemId,
        /// What the question will be called.
        question_id: QuestionId,
        /// What is asked.
        kind: QuestionKind,
        /// Why, for a person.
        reason: String,
    },
    /// A running tool calls another one.
    ToolCalled {
        /// The item of the tool that calls.
        called_by: ItemId,
        /// What the call's item will be called.
        item_id: ItemId,
        /// The call.
        call: ToolCall,
        /// What the called tool understood, or what is wrong with it.
        prepared: Result<Box<ItemBody>, String>,
    },
    /// A client does not follow the session any more, and questions to it wait.
    ClientLeft {
        /// Which.
        client: ClientId,
    },
    /// The model answered what a tool asked by itself, or was cut off.
    ModelAnsweredTool {
        /// The tool's item.
        item_id: ItemId,
        /// What the answer took.
        usage: Usage,
    },
    /// A tool does not wait for an answer any more.
    ToolLeft {
        /// To this question.
        question_id: QuestionId,
    },
    /// A running tool tells of something beside its output.
    ToolReported {
        /// The tool's item.
        item_id: ItemId,
        /// What it tells.
        report: Report,
    },
    /// A call changed files; told before its end, unless it was cut off.
    FilesChanged(FilesChanged),
    /// The files of a rewind are back.
    Restored(RewindEnded),
    /// A tool ended.
    ToolEnded {
        /// Its item.
        item_id: ItemId,
        /// How.
        status: ItemStatus,
        /// The item with its outcome.
        body: ItemBody,
    },
    /// Hooks answered.
    HooksAnswered {
        /// What they were asked.
        call: HookCall,
        /// What they said.
        answer: HookAnswer,
        /// If they rewrote a call, what its tool understood, or what is wrong with it.
        prepared: Option<Result<Box<ItemBody>, String>>,
    },
    /// The turn's deadline passed.
    Deadline {
        /// The turn.
        turn_id: TurnId,
    },
    /// A ceiling of time may be reached.
    TimePassed {
        /// The turn.
        turn_id: TurnId,
    },
    /// A question waited as long as it may.
    QuestionExpired {
        /// Which.
        question_id: QuestionId,
    },
    /// Texts that grew are to be made durable.
    Checkpoint,
    /// The last effects are done; go on from the state as it is now.
    Continue,
    /// An agent of the session tells something.
    AgentReported(AgentReport),
    /// Something that people should know about the running turn.
    Notice {
        /// What.
        text: String,
    },
    /// The session was loaded, and the log ends in the middle of a turn.
    Loaded {
        /// Why the log could not be written any more, if that is why it ends there; else the daemon died.
        failure: Option<String>,
    },
    /// The daemon is stopping.
    Stopping {
        /// Whether another daemon goes on with the turn.
        hand_over: bool,
        /// Whether a call is running, and not only open.
        is_call_running: bool,
    },
}

impl Input {
    /// The client's name for the request, if it is one and has one.
    #[must_use]
    pub fn request_id(&self) -> Option<RequestId> {
        if let Self::Request { request_id, .. } = self { *request_id } else { None }
    }
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Start a turn.
    Start {
        /// What is said.
        input: Vec<InputPart>,
        /// JSON Schema of the last message.
        output_schema: Option<serde_json::Value>,
        /// Ceilings; what is absent comes from the session.
        limits: TurnLimits,
        /// The last event that the client has seen, if others since matter.
        expected_seq: Option<Seq>,
    },
    /// Say something into the running turn.
    Steer {
        /// What is said.
        input: Vec<InputPart>,
        /// The turn that is meant.
        expected: Option<TurnId>,
    },
    /// Start a turn now or later.
    Enqueue {
        /// What is said.
        input: Vec<InputPart>,
    },
    /// Change an input that waits.
    ChangeQueued {
        /// Which.
        queued_id: QueuedId,
        /// What will be said instead.
        input: Option<Vec<InputPart>>,
        /// Where it goes, from 0.
        position: Option<u32>,
    },
    /// Take an input out of the queue.
    CancelQueued {
        /// Which.
        queued_id: QueuedId,
    },
    /// End the running turn.
    Interrupt {
        /// The turn that is meant.
        expected: Option<TurnId>,
        /// Why.
        reason: InterruptReason,
    },
    /// End a command that goes on in the background.
    EndCommand {
        /// The number by which the model reaches it.
        process_id: u32,
    },
    /// Answer a question.
    Answer {
        /// Which.
        question_id: QuestionId,
        /// What was decided.
        decision: Decision,
    },
    /// Put what was said and done into few words.
    Compact {
        /// What they should dwell on.
        instructions: Option<String>,
    },
    /// Take turns back, or undo that, as it was planned.
    Rewind(RewindPlan),
    /// Change title or settings.
    Update {
        /// The new title.
        title: Option<String>,
        /// The new settings.
        settings: Option<Box<SessionSettings>>,
    },
    /// Say which tools the client has.
    RegisterTools {
        /// All of them, checked.
        tools: Vec<ClientTool>,
        /// How long it may take to answer, in milliseconds.
        timeout_ms: u64,
    },
    /// Put the session away.
    Archive,
    /// Take it back.
    Unarchive,
}

/// What a rewind takes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewindPlan {
    /// The last event that the plan knows of.
    pub seq: Seq,
    /// What is taken back.
    pub scope: RewindScope,
    /// The turns that go, or that come back.
    pub turns: Vec<TurnId>,
    /// The place of the rewind that is undone.
    pub undoes: Option<Seq>,
    /// How many files are taken back.
    pub count: u32,
    /// These; absent: none.
    pub changes: Option<BlobId>,
}

/// A piece of the model's answer, with the item that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// More text of a message.
    Text {
        /// The message's item.
        item_id: ItemId,
        /// What follows.
        text: String,
    },
    /// More text of a reasoning summary.
    Summary {
        /// The reasoning's item.
        item_id: ItemId,
        /// What follows.
        text: String,
    },
    /// A message is complete.
    Message {
        /// Its item.
        item_id: ItemId,
        /// All of it.
        text: String,
    },
    /// Reasoning is complete.
    Reasoning {
        /// Its item.
        item_id: ItemId,
        /// The summary.
        summary: String,
        /// What is sent back.
        opaque: Option<OpaqueReasoning>,
    },
    /// A call is complete.
    Call {
        /// Its item.
        item_id: ItemId,
        /// The call.
        call: ToolCall,
        /// What the tool understood, or what is wrong with it.
        prepared: Result<Box<ItemBody>, String>,
    },
    /// The provider did something in the web.
    WebSearch {
        /// Its item.
        item_id: ItemId,
        /// What.
        search: WebSearch,
    },
    /// Earlier reasoning was left out of the request, because another wire API or provider made it.
    ReasoningDropped {
        /// The item of the notice that says so.
        item_id: ItemId,
    },
    /// What the answer took so far.
    Spent {
        /// All of it so far.
        usage: Usage,
    },
    /// The provider put the conversation into less; the answer is complete.
    Compacted {
        /// What it made of it.
        opaque: Vec<OpaqueReasoning>,
        /// What that took.
        usage: Usage,
    },
    /// The provider failed and will be asked again.
    Retrying {
        /// Which retry, from 1.
        attempt: u32,
        /// How many there may be.
        max_attempts: u32,
        /// The pause.
        delay: Duration,
        /// What went wrong.
        failure: ProviderFailure,
    },
    /// The answer is complete.
    Completed {
        /// What it took.
        usage: Usage,
        /// Why it ended.
        stop: StopReason,
    },
    /// The provider failed for good.
    Failed(ProviderFailure),
}

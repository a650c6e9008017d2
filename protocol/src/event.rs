//! Events: durable, numbered facts about a session. A session is the fold of its events. Knows nothing of
//! storage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::AgentOrigin;
use crate::client_tool::ClientToolsRegistered;
use crate::ids::{ItemId, QuestionId, QueuedId, RequestId, Seq, Timestamp, TurnId};
use crate::item::Item;
use crate::model::{ProviderFailure, Usage};
use crate::profile::NetworkProtocol;
use crate::question::{Answer, Question};
use crate::rewind::{FilesChanged, RewindEnded, SessionRewound};
use crate::session::{InstructionFile, QueuedInput, SessionSettings};
use crate::turn::{Actor, BudgetLevel, InputPart, LimitKind, TurnLimits, TurnOutcome};

/// An event with its place and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventRecord {
    /// Its place in the session's log, without a gap.
    pub seq: Seq,
    /// When it happened.
    pub at: Timestamp,
    /// The client's request that it came of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Event {
    /// The session was made. Always the first event.
    SessionCreated(SessionCreated),
    /// Title or settings changed.
    SessionUpdated(SessionUpdated),
    /// The session was put away.
    SessionArchived(SessionArchived),
    /// The session was taken back.
    SessionUnarchived(SessionArchived),
    /// An input was put in the queue.
    InputQueued(InputQueued),
    /// A queued input was edited, or goes elsewhere in the queue.
    QueuedInputChanged(QueuedInputChanged),
    /// A queued input was taken out of the queue.
    QueuedInputCancelled(QueuedInputCancelled),
    /// A turn began. If it took its input from the queue, that input is gone from there.
    TurnStarted(TurnStarted),
    /// The model is asked.
    ModelRequested(ModelRequested),
    /// The provider failed and is asked again after a pause.
    ModelRetried(ModelRetried),
    /// The model's answer is complete.
    ModelResponded(ModelResponded),
    /// An item began. A tool's item is here before the tool runs.
    ItemStarted(ItemChanged),
    /// More of an item's text is durable. Its `offsetBytes` is the length that was durable before.
    ItemAppended(ItemAppended),
    /// An item ended; this is all of it.
    ItemCompleted(ItemChanged),
    /// A person is asked.
    QuestionAsked(QuestionAsked),
    /// A person answered.
    QuestionAnswered(QuestionAnswered),
    /// The question is void, because its turn ended.
    QuestionWithdrawn(QuestionWithdrawn),
    /// The daemon hands its work over: the turn rests at a durable point until the next daemon goes on with it.
    TurnSuspended(TurnSuspended),
    /// The turn goes on after a restart, from its last durable step.
    TurnResumed(TurnResumed),
    /// A command reached out into the network, or tried to.
    ConnectionAttempted(ConnectionAttempted),
    /// Most of a budget is spent. Comes once per ceiling.
    BudgetWarned(BudgetWarned),
    /// Files changed while a call ran.
    FilesChanged(FilesChanged),
    /// A turn ended.
    TurnEnded(TurnEnded),
    /// Turns were taken back.
    SessionRewound(SessionRewound),
    /// The files of a rewind are back.
    RewindEnded(RewindEnded),
    /// A client said which tools it has for the session.
    ClientToolsRegistered(ClientToolsRegistered),
    /// An event of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// The session was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCreated {
    /// By whom.
    pub actor: Actor,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What holds in it.
    pub settings: SessionSettings,
    /// The instruction files of its folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instructions: Vec<InstructionFile>,
    /// Where it comes from, if the model of another session started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentOrigin>,
}

/// Title or settings changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionUpdated {
    /// By whom.
    pub actor: Actor,
    /// What it is called now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What holds in it now.
    pub settings: SessionSettings,
}

/// The session was put away or taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionArchived {
    /// By whom.
    pub actor: Actor,
}

/// An input was put in the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InputQueued {
    /// The input.
    pub queued: QueuedInput,
}

/// A turn began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnStarted {
    /// The turn.
    pub turn_id: TurnId,
    /// Who started it.
    pub actor: Actor,
    /// Its ceilings.
    #[serde(default)]
    pub limits: TurnLimits,
    /// JSON Schema that the last message must follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<serde_json::Value>,
    /// The queued input that it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_id: Option<QueuedId>,
}

/// A queued input was edited, or goes elsewhere in the queue. What is absent stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuedInputChanged {
    /// Which.
    pub queued_id: QueuedId,
    /// By whom.
    pub actor: Actor,
    /// What will be said now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Vec<InputPart>>,
    /// Its place now, from 0; beyond the end is the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
}

/// A queued input was taken out of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuedInputCancelled {
    /// Which.
    pub queued_id: QueuedId,
    /// By whom.
    pub actor: Actor,
}

/// The turn rests until the next daemon goes on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnSuspended {
    /// The turn.
    pub turn_id: TurnId,
    /// Whether a call was stopped in the middle; else those that are open had not begun.
    pub is_call_running: bool,
}

/// The turn goes on after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnResumed {
    /// The turn.
    pub turn_id: TurnId,
    /// Whether the daemon before handed it over; else it died.
    pub was_handed_over: bool,
}

/// The model is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelRequested {
    /// In this turn.
    pub turn_id: TurnId,
    /// For the how-manieth time, from 0.
    pub step: u32,
}

/// The provider failed and is asked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelRetried {
    /// In this turn.
    pub turn_id: TurnId,
    /// Which retry this is, from 1.
    pub attempt: u32,
    /// How many there may be.
    pub max_attempts: u32,
    /// The pause before it.
    pub delay_ms: u64,
    /// What went wrong.
    pub failure: ProviderFailure,
    /// What the answer that broke off took, where the provider told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// The model's answer is complete, or was cut off for good after the provider told what it took so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelResponded {
    /// In this turn.
    pub turn_id: TurnId,
    /// The answer to this request.
    pub step: u32,
    /// What it took.
    pub usage: Usage,
    /// The call that asked by itself while it ran; absent: the turn asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<ItemId>,
}

/// An item began or ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemChanged {
    /// The item as it is now.
    pub item: Item,
}

/// More of an item's text is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemAppended {
    /// The item.
    pub item_id: ItemId,
    /// Where the text goes, in bytes of UTF-8.
    pub offset_bytes: u64,
    /// The text.
    pub text: String,
}

/// A person is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuestionAsked {
    /// The question.
    pub question: Question,
    /// Whether the item had begun before: a tool that runs asks, and waits in the middle.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_begun: bool,
}

/// A person answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuestionAnswered {
    /// The question.
    pub question_id: QuestionId,
    /// What was decided, by whom, when.
    pub answer: Answer,
}

/// The question is void.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuestionWithdrawn {
    /// The question.
    pub question_id: QuestionId,
}

/// A command reached out into the network, or tried to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionAttempted {
    /// The command's item.
    pub item_id: ItemId,
    /// How.
    pub protocol: NetworkProtocol,
    /// The host as the command named it; bounded.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it was let through.
    pub is_allowed: bool,
    /// The rule, the answer or the reason that decided, for a person.
    pub reason: String,
}

/// Most of a budget is spent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetWarned {
    /// In this turn.
    pub turn_id: TurnId,
    /// Whose ceiling.
    pub level: BudgetLevel,
    /// Which ceiling.
    pub limit: LimitKind,
    /// What was spent and what is allowed, for a person.
    pub message: String,
}

/// A turn ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnEnded {
    /// The turn.
    pub turn_id: TurnId,
    /// How.
    pub outcome: TurnOutcome,
    /// What it took.
    pub usage: Usage,
    /// What it took in US dollars, where the price is known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::number::optional")]
    pub cost: Option<f64>,
    /// How long it took.
    pub duration_ms: u64,
}

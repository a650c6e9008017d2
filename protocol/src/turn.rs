//! Turns: from an input to the model's last word; and the calls that start, steer and end them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{BlobId, ClientId, ItemId, QueuedId, RequestId, Seq, SessionId, Timestamp, TurnId};
use crate::item::Item;
use crate::model::{ProviderFailure, Usage};

/// Who did something: a client, with the name that people see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// The connection it came over.
    pub client_id: ClientId,
    /// The name that people see, such as `skein exec`.
    pub name: String,
}

/// A part of what a person says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum InputPart {
    /// Text.
    #[serde(rename_all = "camelCase")]
    Text {
        /// Markdown.
        text: String,
    },
    /// An image, as a client sends it.
    #[serde(rename_all = "camelCase")]
    Image {
        /// `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
        media_type: String,
        /// Base64 of the file.
        data: String,
    },
    /// An image, as the log keeps it.
    #[serde(rename_all = "camelCase")]
    StoredImage {
        /// As above.
        media_type: String,
        /// The file.
        blob: BlobId,
    },
    /// A skill that the text calls for, as the daemon puts it beside; no client sends one.
    #[serde(rename_all = "camelCase")]
    Skill {
        /// Its name.
        name: String,
        /// Its file, absolute.
        path: PathBuf,
        /// What it says.
        text: String,
    },
    /// What an MCP server has at an address that the text mentions as `@server:address`, as the daemon puts it beside;
    /// no client sends one.
    #[serde(rename_all = "camelCase")]
    Resource {
        /// The server's name in the settings.
        server: String,
        /// The address.
        uri: String,
        /// What the server has there, made harmless and bounded; of what is no text what it is.
        text: String,
    },
    /// A part of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// Ceilings. What is absent has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnLimits {
    /// Milliseconds from the start of a turn, whatever it does; of a turn only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Milliseconds of work: the time in which turns run, less that in which they wait for a person's answer or for a
    /// daemon. Sessions that work at the same time count each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_time_ms: Option<u64>,
    /// Tokens of input and output together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::number::optional")]
    pub max_cost: Option<f64>,
    /// Calls of tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tool_calls: Option<u32>,
}

/// What a ceiling is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LimitKind {
    /// Time since the turn's start.
    Deadline,
    /// Time spent working.
    Time,
    /// Tokens.
    Tokens,
    /// Money.
    Cost,
    /// Calls of tools.
    ToolCalls,
    /// A ceiling of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Whose ceilings they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BudgetLevel {
    /// Of one turn.
    #[default]
    Turn,
    /// Of one session, from its beginning.
    Session,
    /// Of a session and the agents below it.
    Tree,
    /// Of all sessions together in one day (UTC).
    Day,
    /// Of all sessions together in one day (UTC), as far as they asked one provider.
    Provider,
    /// A level of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Ceilings beyond those of a turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Of one session, from its beginning.
    #[serde(default)]
    pub session: TurnLimits,
    /// Of a session and the agents below it.
    #[serde(default)]
    pub tree: TurnLimits,
    /// Of all sessions together in one day (UTC).
    #[serde(default)]
    pub day: TurnLimits,
    /// The same, as far as they asked a provider, by its id in the settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub providers: BTreeMap<String, TurnLimits>,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum TurnOutcome {
    /// The model had its last word.
    Completed,
    /// It could not go on.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Why.
        failure: TurnFailure,
    },
    /// Somebody or something stopped it.
    #[serde(rename_all = "camelCase")]
    Interrupted {
        /// Why.
        reason: InterruptReason,
        /// Who, if it was a client.
        #[serde(skip_serializing_if = "Option::is_none")]
        actor: Option<Actor>,
    },
    /// A ceiling was reached.
    #[serde(rename_all = "camelCase")]
    LimitReached {
        /// Which.
        limit: LimitKind,
        /// Whose.
        #[serde(default)]
        level: BudgetLevel,
        /// What was allowed and what was spent, for a person.
        message: String,
    },
    /// An outcome of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// Why a turn could not go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum TurnFailure {
    /// The provider failed for good.
    Provider(ProviderFailure),
    /// The answer ended early for a reason of the model's side.
    #[serde(rename_all = "camelCase")]
    ModelStopped {
        /// The provider's word for it, such as `max_output_tokens`.
        reason: String,
    },
    /// The model made one identical call again and again.
    #[serde(rename_all = "camelCase")]
    Loop {
        /// How often.
        repetitions: u32,
        /// The tool.
        tool: String,
    },
    /// A hook of the user's, or of a folder that they trust, ended it.
    #[serde(rename_all = "camelCase")]
    Hook {
        /// What it said.
        reason: String,
    },
    /// The log could not be written; nothing that was acknowledged is lost.
    #[serde(rename_all = "camelCase")]
    Storage {
        /// What the store said.
        message: String,
    },
    /// A defect, logged by the daemon.
    #[serde(rename_all = "camelCase")]
    Internal {
        /// What is known of it.
        message: String,
    },
    /// A failure of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// Why a turn was interrupted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum InterruptReason {
    /// A client asked for it.
    Requested,
    /// A question waited, and nobody was there who could answer.
    Unanswered,
    /// The daemon died or was stopped.
    DaemonStopped,
    /// A reason of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// A turn as far as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// Its identity.
    pub id: TurnId,
    /// Who started it.
    pub actor: Actor,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<TurnOutcome>,
    /// Tokens spent so far.
    pub usage: Usage,
    /// What it spent so far in US dollars, where the price is known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::number::optional")]
    pub cost: Option<f64>,
    /// Its items, in order.
    pub items: Vec<Item>,
    /// Whether it was taken back: the model does not see it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_rewound: bool,
}

/// Parameters of `turn/start`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnStartParams {
    /// The session.
    pub session_id: SessionId,
    /// What is said.
    pub input: Vec<InputPart>,
    /// JSON Schema that the last message must follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<serde_json::Value>,
    /// Ceilings of this turn; they replace the session's where present.
    #[serde(default)]
    pub limits: TurnLimits,
    /// The last event that the client has seen; others since are a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_seq: Option<Seq>,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// Result of `turn/start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnStartResult {
    /// The new turn.
    pub turn_id: TurnId,
    /// The place of its first event.
    pub seq: Seq,
}

/// Parameters of `turn/steer`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnSteerParams {
    /// The session.
    pub session_id: SessionId,
    /// What is said.
    pub input: Vec<InputPart>,
    /// The turn that is meant; another one running is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_turn_id: Option<TurnId>,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// Result of `turn/steer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnSteerResult {
    /// The turn that was steered.
    pub turn_id: TurnId,
    /// The message's item.
    pub item_id: ItemId,
}

/// Parameters of `turn/enqueue`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnEnqueueParams {
    /// The session.
    pub session_id: SessionId,
    /// What is said.
    pub input: Vec<InputPart>,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// Result of `turn/enqueue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnEnqueueResult {
    /// Where it stands: 0 if a turn was started with it at once.
    pub position: u32,
    /// The turn, if it was started at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
    /// What it is called in the queue, if it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_id: Option<QueuedId>,
}

/// Parameters of `turn/interrupt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnInterruptParams {
    /// The session.
    pub session_id: SessionId,
    /// The turn that is meant; another one running is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_turn_id: Option<TurnId>,
    /// Why.
    #[serde(default = "requested")]
    pub reason: InterruptReason,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

fn requested() -> InterruptReason {
    InterruptReason::Requested
}

/// Result of `turn/interrupt`. The turn has ended when this arrives, or none was running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnInterruptResult {
    /// The turn that was interrupted; absent when none was running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
}

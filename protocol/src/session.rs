//! Sessions: conversations in a folder, with their settings; and the calls that make, show and end them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::AgentOrigin;
use crate::context::ModelContext;
use crate::ids::{ClientId, QueuedId, RequestId, Seq, SessionId, Timestamp, TurnId};
use crate::model::{ReasoningEffort, ReasoningSummary, Usage};
use crate::profile::{ApprovalPolicy, NetworkAccess, Permissions, SandboxMode};
use crate::question::Question;
use crate::turn::{Actor, Budget, InputPart, Turn, TurnLimits};

/// What holds in a session until it is changed. Resolved: nothing is left to a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionSettings {
    /// The folder, absolute.
    pub cwd: PathBuf,
    /// Further folders that may be written in `workspace-write`, absolute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_roots: Vec<PathBuf>,
    /// The provider's id in the settings.
    pub provider: String,
    /// The model's name, as the provider knows it.
    pub model: String,
    /// How hard it should think; absent: the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<ReasoningEffort>,
    /// How it tells of its thinking; absent: the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_summary: Option<ReasoningSummary>,
    /// What the model is told besides, by the person or the program that set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub developer_instructions: Option<String>,
    /// What commands may touch.
    pub sandbox: SandboxMode,
    /// What of the network is open to commands in `workspace-write`.
    #[serde(default)]
    pub network: NetworkAccess,
    /// When a person is asked.
    pub approval: ApprovalPolicy,
    /// Whether the temporary folders may be written in `workspace-write`.
    pub is_tmp_writable: bool,
    /// A profile of the settings that changes what `sandbox` gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// Ceilings of each turn.
    #[serde(default)]
    pub limits: TurnLimits,
    /// Ceilings beyond those of a turn.
    #[serde(default)]
    pub budget: Budget,
    /// Dollars per million tokens, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<ModelPrice>,
    /// Whether the session is forgotten when its last client has left.
    #[serde(default)]
    pub is_ephemeral: bool,
    /// What becomes of a turn whose daemon died.
    #[serde(default)]
    pub after_crash: AfterCrash,
    /// After how many milliseconds a question counts as declined; absent: it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question_timeout_ms: Option<u64>,
    /// What its model can be shown.
    #[serde(default)]
    pub model_context: ModelContext,
}

/// What becomes of a turn whose daemon died. One that was handed over goes on in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AfterCrash {
    /// It ends as interrupted, and waits for a person to say more.
    #[default]
    Wait,
    /// It goes on by itself from its last durable step.
    Continue,
    /// A policy of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelPrice {
    /// Input that is not from the cache.
    #[serde(deserialize_with = "crate::number::required")]
    pub input: f64,
    /// Input from the cache.
    #[serde(deserialize_with = "crate::number::required")]
    pub cached_input: f64,
    /// Input that is written to the cache; absent: as other input.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::number::optional")]
    pub cache_write_input: Option<f64>,
    /// Output, reasoning included.
    #[serde(deserialize_with = "crate::number::required")]
    pub output: f64,
}

impl ModelPrice {
    /// What `usage` costs in US dollars.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    pub fn cost(&self, usage: &Usage) -> f64 {
        let (cached, written) = (usage.cached_input_tokens, usage.cache_write_input_tokens);
        let fresh = usage.input_tokens.saturating_sub(cached).saturating_sub(written);
        (fresh as f64 * self.input
            + cached as f64 * self.cached_input
            + written as f64 * self.cache_write_input.unwrap_or(self.input)
            + usage.output_tokens as f64 * self.output)
            / 1e6
    }
}

/// A file of instructions that was found for the session's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstructionFile {
    /// Absolute.
    pub path: PathBuf,
    /// Its text, or the beginning of it.
    pub text: String,
    /// Whether the rest was left out.
    pub is_truncated: bool,
    /// What it is.
    #[serde(default, skip_serializing_if = "InstructionKind::is_file")]
    pub kind: InstructionKind,
}

/// What is told to models of a session from its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum InstructionKind {
    /// The text of a file.
    #[default]
    File,
    /// A list of the skills that there are in a folder.
    Skills,
    /// A kind of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

impl InstructionKind {
    fn is_file(&self) -> bool {
        *self == Self::File
    }
}

/// What a session is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum SessionStatus {
    /// Nothing.
    Idle,
    /// A turn runs.
    #[serde(rename_all = "camelCase")]
    Running {
        /// Which.
        turn_id: TurnId,
    },
    /// A turn waits for an answer.
    #[serde(rename_all = "camelCase")]
    Waiting {
        /// Which.
        turn_id: TurnId,
    },
    /// It was put away; attaching brings it back.
    Archived,
    /// Its log can't be read any more, so it was set aside: it is listed, and can be deleted, and nothing else.
    #[serde(rename_all = "camelCase")]
    Damaged {
        /// What was found, for a person.
        reason: String,
    },
    /// A status of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// A session in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionSummary {
    /// Its identity.
    pub id: SessionId,
    /// What it is called: given, or the beginning of its first input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is doing.
    pub status: SessionStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its last event happened.
    pub updated_at: Timestamp,
    /// The place of its last event.
    pub seq: Seq,
    /// How many turns it has.
    pub turn_count: u32,
    /// Tokens spent in all.
    pub usage: Usage,
    /// What holds in it.
    pub settings: SessionSettings,
    /// Where it comes from, if the model of another session started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentOrigin>,
    /// In lists: its commands that go on in the background, oldest first. A snapshot has them in its presence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub background: Vec<BackgroundCommand>,
}

/// An input that waits its turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueuedInput {
    /// Its identity.
    pub id: QueuedId,
    /// What will be said.
    pub input: Vec<InputPart>,
    /// By whom.
    pub actor: Actor,
    /// Since when it waits.
    pub queued_at: Timestamp,
}

/// A client that is attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Who.
    pub actor: Actor,
    /// The client's version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Whether it may write.
    #[serde(default)]
    pub role: ClientRole,
    /// Whether somebody is there who can answer a question.
    pub can_answer: bool,
    /// Since when.
    pub attached_at: Timestamp,
    /// Whether its window has the focus, as far as the client can tell.
    #[serde(default)]
    pub is_focused: bool,
}

/// What a client may do in a session that it follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ClientRole {
    /// Everything.
    #[default]
    Driver,
    /// Look on.
    Viewer,
    /// A role of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Who is there. Not part of the log: it says what is, not what was, and ends with the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// Who is attached, in the order they came.
    pub attached: Vec<Attachment>,
    /// The only one who may write, if one took over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sole_driver: Option<ClientId>,
    /// The commands that go on in the background, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub background: Vec<BackgroundCommand>,
}

/// A command that goes on in the background of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackgroundCommand {
    /// The number by which the model reaches it.
    pub process_id: u32,
    /// The command as a person would type it, or the beginning of it.
    pub command: String,
    /// Whether it runs outside the sandbox.
    #[serde(default)]
    pub is_escalated: bool,
    /// Since when.
    pub started_at: Timestamp,
}

/// All that a client needs to show a session, as of `summary.seq`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionSnapshot {
    /// The session; `summary.seq` is the last event that is contained.
    pub summary: SessionSummary,
    /// The last turns, oldest first, items in progress with their text so far.
    pub turns: Vec<Turn>,
    /// Turns before these; `session/read` has them.
    pub earlier_turns: u32,
    /// Questions that wait.
    pub questions: Vec<Question>,
    /// Inputs that wait.
    pub queue: Vec<QueuedInput>,
    /// Who is there.
    pub presence: Presence,
    /// Tokens that the last request of its turns took, with the answer, which is how full the model's context is; absent
    /// before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
}

/// Parameters of `session/create`. What is absent comes from the settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCreateParams {
    /// The identity, if the client chooses it. One that exists is answered as it is, so that the call can be sent
    /// again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The folder, absolute; must exist.
    pub cwd: PathBuf,
    /// Further writable folders, absolute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_roots: Vec<PathBuf>,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What differs from the settings on disk.
    #[serde(default)]
    pub overrides: SettingsOverrides,
    /// Whether it is forgotten when its last client has left.
    #[serde(default)]
    pub is_ephemeral: bool,
    /// Whether nobody will look after it; a turn whose daemon died goes on by itself then, unless the settings
    /// say otherwise.
    #[serde(default)]
    pub is_detached: bool,
}

/// Parameters of `session/fork`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionForkParams {
    /// The session that the new one begins as.
    pub session_id: SessionId,
    /// The last turn that it has; all that are over if absent. One that was taken back or is not over is a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
    /// The identity of the new session, if the client chooses it. One that exists is answered as it is, so that the call
    /// can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_session_id: Option<SessionId>,
    /// What the new one is called; else as the other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// What differs from the settings on disk, for one session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingsOverrides {
    /// `[profiles.<name>]` of the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Dotted keys of `config.toml` with TOML values, in the order they were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<SettingOverride>,
    /// The model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What commands may touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxMode>,
    /// When a person is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalPolicy>,
    /// `[permissions.<name>]` of the settings; stands in place of a sandbox mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
}

/// One `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingOverride {
    /// Dotted.
    pub key: String,
    /// TOML; a bare word that is no TOML value is a string.
    pub value: String,
}

impl SettingOverride {
    /// A setting whose value is a text, whatever that looks like.
    #[must_use]
    pub fn text(key: &str, value: &str) -> Self {
        // A string of JSON is one of TOML.
        Self { key: key.to_owned(), value: serde_json::Value::from(value).to_string() }
    }
}

/// Result of `session/create`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCreateResult {
    /// The new session.
    pub summary: SessionSummary,
    /// Settings that were not understood, for a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<crate::error::ConfigurationProblem>,
}

/// Parameters of `session/list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionListParams {
    /// Only sessions of this folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// Archived ones too.
    #[serde(default)]
    pub with_archived: bool,
    /// Only those that run or wait, or have commands that go on in the background.
    #[serde(default)]
    pub only_active: bool,
    /// Agents too, which models started.
    #[serde(default)]
    pub with_agents: bool,
    /// At most so many, 100 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only sessions that were updated before this; to page on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_before: Option<Timestamp>,
}

/// Result of `session/list`: newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionListResult {
    /// The sessions.
    pub sessions: Vec<SessionSummary>,
}

/// Parameters of `session/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionReadParams {
    /// The session.
    pub session_id: SessionId,
    /// Turns to skip from the end.
    #[serde(default)]
    pub skip_turns: u32,
    /// At most so many turns, 20 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Parameters of `session/attach`, a subscription whose notifications are `session/feed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionAttachParams {
    /// The session.
    pub session_id: SessionId,
    /// Events after this one are sent; a snapshot if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Seq>,
    /// Whether this client can answer questions.
    #[serde(default)]
    pub can_answer: bool,
    /// What it may do. A connection that follows a session as a viewer only can't change it.
    #[serde(default)]
    pub role: ClientRole,
}

/// Parameters of `session/update`. What is absent stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionUpdateParams {
    /// The session.
    pub session_id: SessionId,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Settings that change, from the next model request on.
    #[serde(default)]
    pub overrides: SettingsOverrides,
    /// Takes an archived session back.
    #[serde(default)]
    pub unarchive: bool,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// Result of `session/update`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionUpdateResult {
    /// The session as it is now.
    pub summary: SessionSummary,
    /// Settings that were not understood, for a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<crate::error::ConfigurationProblem>,
}

/// Parameters of `session/endCommand`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionEndCommandParams {
    /// The session.
    pub session_id: SessionId,
    /// The command's number: `processId` of a `BackgroundCommand`. One that is not known is not found; one that has
    /// ended, or that its call still waits for, is a conflict.
    pub process_id: u32,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// Parameters of `session/focus`. Volatile: it ends with the feed, and a client tells it anew after it attached again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionFocusParams {
    /// The session; a client that does not follow it is a conflict.
    pub session_id: SessionId,
    /// Whether the window that shows it has the focus.
    pub is_focused: bool,
}

/// Parameters of `session/archive` and `session/delete`, where a running turn is a conflict, and of
/// `session/takeOver` and `session/release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionRef {
    /// The session.
    pub session_id: SessionId,
    /// Names the request, so that it can be sent again; for taking over and releasing, on the same connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

impl SessionRef {
    /// A session, in a request with a new name.
    #[must_use]
    pub fn new(session_id: SessionId) -> Self {
        Self { session_id, request_id: Some(RequestId::generate()) }
    }
}

/// Result of calls that have nothing to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Done {}

/// The environment of a client, for commands and credentials.
pub type Environment = BTreeMap<String, String>;

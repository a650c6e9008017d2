//! MCP servers, as clients ask for them. Knows nothing of how they are spoken to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::account::{LoginId, SecretText};
use crate::ids::{SessionId, Timestamp};
use crate::question::Decision;

/// When a person is asked before a tool of an MCP server is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ToolApproval {
    /// Unless the server says that the tool only reads.
    #[default]
    Auto,
    /// Always.
    Prompt,
    /// Only when what the server says of the tool has changed since.
    Approve,
    /// Never: the tool is not there.
    Deny,
    /// A word of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

impl ToolApproval {
    /// The word as it stands in settings.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Auto => "auto",
            Self::Prompt => "prompt",
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Unknown(word) => word,
        }
    }
}

/// Parameters of `mcp/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpListParams {
    /// A folder of the workspace, absolute.
    pub cwd: PathBuf,
    /// Only this server; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether servers that do not run are started and waited for, at most 20 s.
    #[serde(default)]
    pub starts: bool,
}

/// Result of `mcp/list`: the servers by their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpListResult {
    /// The servers.
    pub servers: Vec<McpServerStatus>,
}

/// An MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerStatus {
    /// Its name in the settings.
    pub name: String,
    /// The command line that starts it, or its address; without what may be secret.
    pub target: String,
    /// How it is.
    pub state: McpServerState,
    /// Whether a turn waits for it, and fails without it.
    pub is_required: bool,
    /// Whether no settings name it: a client gave it to a session, as an editor does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_session: bool,
    /// The revision of the protocol that was agreed on; present while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// What it calls itself, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// Its tools, as they were known last.
    pub tools: Vec<McpToolStatus>,
    /// What its tools that are not deferred cost with each request, in tokens; an estimate.
    pub tokens: u64,
}

/// How an MCP server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum McpServerState {
    /// The settings switch it off.
    Disabled,
    /// It does not run; it is started when it is needed.
    Idle,
    /// It is being started.
    Starting,
    /// It runs.
    Ready,
    /// A person must sign in first.
    LoginRequired,
    /// It could not be started, or it broke off; it is tried again when it is needed.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Why, for a person.
        message: String,
    },
    /// A state of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// A tool of an MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpToolStatus {
    /// The server's name for it.
    pub name: String,
    /// The model's name for it.
    pub offered_as: String,
    /// What the server says of it, made harmless.
    pub description: String,
    /// When a person is asked.
    pub approval: ToolApproval,
    /// Whether the server says that it only reads.
    pub is_read_only: bool,
    /// Whether the model is told of it only when it has looked for it, because all tools together cost too much.
    #[serde(default)]
    pub is_deferred: bool,
    /// What it costs with each request, in tokens; an estimate.
    pub tokens: u64,
}

/// Parameters of `mcp/login`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpLoginParams {
    /// A folder of the workspace, absolute.
    pub cwd: PathBuf,
    /// The server.
    pub name: String,
    /// What leave is asked for, beside what was given before; empty: what the settings say, or what the server names.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// Result of `mcp/login`. The sign-in goes on in the daemon; `account/awaitLogin` tells how it ends, and
/// `account/cancelLogin` gives it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpLoginResult {
    /// Names it.
    pub login_id: LoginId,
    /// The page to open.
    pub url: String,
    /// When it is too late.
    pub expires_at: Timestamp,
}

/// Parameters of `mcp/finishLogin`: what to do where the browser can't reach this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpFinishLoginParams {
    /// Which.
    pub login_id: LoginId,
    /// The whole address that the browser was sent to in the end.
    pub address: SecretText,
}

/// Parameters of `mcp/logout`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpLogoutParams {
    /// A folder of the workspace, absolute.
    pub cwd: PathBuf,
    /// The server.
    pub name: String,
}

/// Result of `mcp/logout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpLogoutResult {
    /// Whether there was something to forget.
    pub was_stored: bool,
}

/// Parameters of `mcp/prompts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpPromptsParams {
    /// A folder of the workspace, absolute.
    pub cwd: PathBuf,
    /// A session there whose servers are meant: also those that a client gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

/// Result of `mcp/prompts`: what the servers that run, or ran before, offer. Servers that do not run are started, and
/// not waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpPromptsResult {
    /// By server and name.
    pub prompts: Vec<McpPrompt>,
    /// A server of which nothing is known yet is being started: there may be more when it is asked again.
    #[serde(default)]
    pub is_starting: bool,
}

/// A prompt of an MCP server: something that a person can say with one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpPrompt {
    /// The server.
    pub server: String,
    /// The server's name for it.
    pub name: String,
    /// A command without a `/` that means this one and no other: letters, digits, `-`, `_` and `:`.
    pub command: String,
    /// What the server says of it, made harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it wants to know.
    #[serde(default)]
    pub arguments: Vec<McpPromptArgument>,
}

/// What a prompt wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpPromptArgument {
    /// The server's name for it.
    pub name: String,
    /// What the server says of it, made harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether the prompt can't be had without it.
    #[serde(default)]
    pub is_required: bool,
}

/// Parameters of `mcp/resources`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpResourcesParams {
    /// A folder of the workspace, absolute.
    pub cwd: PathBuf,
    /// A session there whose servers are meant: also those that a client gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Whether servers that do not run are started. They are not waited for.
    #[serde(default)]
    pub starts: bool,
}

/// Result of `mcp/resources`: what the servers that run have to read. An input mentions one as `@server:uri`; what the
/// server has there goes along with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpResourcesResult {
    /// By server, in its order; at most 200 of each.
    pub resources: Vec<McpResource>,
    /// Servers that are being started: they may have more when it is asked again.
    #[serde(default)]
    pub starting: Vec<String>,
    /// Servers that may have something, and can't be asked.
    #[serde(default)]
    pub failed: Vec<McpServerFailure>,
}

/// Something that an MCP server has to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpResource {
    /// The server.
    pub server: String,
    /// Its address, without blanks.
    pub uri: String,
    /// The server's name for it, made harmless.
    pub name: String,
    /// What the server says of it, made harmless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Why an MCP server can't be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpServerFailure {
    /// The server.
    pub server: String,
    /// Why, for a person.
    pub message: String,
}

/// Parameters of `mcp/prompt`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpPromptParams {
    /// A folder of the workspace, absolute.
    pub cwd: PathBuf,
    /// The server.
    pub server: String,
    /// The server's name for the prompt.
    pub name: String,
    /// What the person says to what it wants to know.
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
    /// A session there whose servers are meant: also those that a client gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Whether the caller asks its person what the server wants to know first, and says so with `mcp/answerPrompt`. The
    /// server hears else that nobody is there to be asked.
    #[serde(default)]
    pub takes_questions: bool,
}

/// Result of `mcp/prompt` and of `mcp/answerPrompt`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpPromptResult {
    /// What the server wants to be said, made harmless and bounded. A person sees it before it is said. Empty while the
    /// server wants to know something.
    pub text: String,
    /// What the server wants to know before it says something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<McpPromptQuestion>,
}

/// A prompt that waits for a person's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct McpPromptId(pub Uuid);

/// What a server wants to know before it says its prompt. It waits ten minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpPromptQuestion {
    /// Names the prompt until it is answered.
    pub id: McpPromptId,
    /// The server.
    pub server: String,
    /// What it asks, made harmless.
    pub message: String,
    /// What an answer looks like: a JSON Schema of an object with plain fields, as in elicitations.
    pub schema: serde_json::Value,
}

/// Parameters of `mcp/answerPrompt`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct McpAnswerPromptParams {
    /// The prompt.
    pub id: McpPromptId,
    /// `content` with the answer, or `deny`.
    pub decision: Decision,
}

//! Tools that a client has for a session: the client says what they are, a call becomes a question to it, and its
//! answer is the outcome. Knows nothing of what they do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{RequestId, SessionId};
use crate::turn::Actor;

/// A tool of a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientTool {
    /// Its name: letters, digits, `_` and `-`, at most 64; none that another tool of the session has.
    pub name: String,
    /// What it is for, for the model; sent with every request.
    pub description: String,
    /// JSON Schema (2020-12) of the object that it takes.
    pub schema: serde_json::Value,
    /// Whether its calls change nothing, so that they may run beside others.
    #[serde(default)]
    pub is_read_only: bool,
}

/// A tool of a client, as the session has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegisteredTool {
    /// The client that has it.
    pub owner: Actor,
    /// How long the client may take to answer, in milliseconds.
    pub timeout_ms: u64,
    /// The tool.
    pub tool: ClientTool,
}

/// Parameters of `session/registerTools`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionRegisterToolsParams {
    /// The session.
    pub session_id: SessionId,
    /// All tools that the client has for it; they take the place of those that it, or an earlier client of its name, had.
    pub tools: Vec<ClientTool>,
    /// How long the client may take to answer a call, in milliseconds; absent: a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// A client said which tools it has for the session; they take the place of those that it, or an earlier client of its
/// name, had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientToolsRegistered {
    /// The client.
    pub actor: Actor,
    /// Its tools.
    pub tools: Vec<ClientTool>,
    /// How long it may take to answer a call, in milliseconds.
    pub timeout_ms: u64,
}

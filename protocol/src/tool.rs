//! What the model is told of a tool, and how it calls one. Knows nothing of how a tool works.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::SessionId;

/// A tool as the model sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolSpecification {
    /// Its name: letters, digits, `_` and `-`, at most 64.
    pub name: String,
    /// What it is for, in as few words as will do.
    pub description: String,
    /// What it takes.
    pub input: ToolInput,
}

/// What a tool takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToolInput {
    /// One JSON object.
    #[serde(rename_all = "camelCase")]
    Json {
        /// Its JSON Schema (2020-12).
        schema: serde_json::Value,
    },
    /// One text, free in form. A provider that has no such tools gets a function with one string, `input`.
    #[serde(rename_all = "camelCase")]
    Freeform {
        /// A grammar that the provider may enforce.
        #[serde(skip_serializing_if = "Option::is_none")]
        grammar: Option<Grammar>,
    },
}

/// A grammar of a freeform tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grammar {
    /// `lark` or `regex` (OpenAI, custom tools).
    pub syntax: String,
    /// The grammar itself.
    pub definition: String,
}

/// A call as the model made it. Kept byte for byte, so that what is sent back is what was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolCall {
    /// The provider's id of the call.
    pub call_id: String,
    /// The tool's name as the model wrote it, which may be of no tool.
    pub name: String,
    /// The raw input.
    pub input: CallInput,
}

/// The raw input of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CallInput {
    /// The text of a JSON object, possibly malformed.
    Json(String),
    /// Free text.
    Freeform(String),
}

impl CallInput {
    /// The text as the model wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Json(text) | Self::Freeform(text) => text,
        }
    }
}

/// Parameters of `tool/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolListParams {
    /// The folder that a session would work in, absolute.
    pub cwd: PathBuf,
    /// A session, whose own folder counts then, and whose tools they are as its model was told of them last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

/// Result of `tool/list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolListResult {
    /// The tools: those that every session has, in the order that models see, then the others.
    pub tools: Vec<ToolStatus>,
}

/// A tool, or what would bring some, as a person asks about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolStatus {
    /// Its name as models know it; of an MCP server whose tools are not there, the server's.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it takes, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<ToolInput>,
    /// Where it comes from.
    pub source: ToolSource,
    /// Whether models have it.
    pub state: ToolState,
    /// Why, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether its calls change nothing, so that they run side by side.
    pub is_read_only: bool,
    /// Tokens that it costs with each request, estimated; of one that is deferred, once it was found.
    pub tokens: u64,
}

/// Where a tool comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToolSource {
    /// Every session has it.
    Own,
    /// From an MCP server.
    #[serde(rename_all = "camelCase")]
    Mcp {
        /// Its name.
        server: String,
    },
    /// From a client of the session.
    Client,
    /// The provider has it and runs it.
    Provider,
    /// A source of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// Whether models have a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ToolState {
    /// They are told of it.
    On,
    /// They have to look for it first.
    Deferred,
    /// They don't.
    Off,
    /// They don't, but may suggest it to a person.
    Suggested,
    /// A state of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

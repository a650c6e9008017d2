//! What the model is told of a tool, and how it calls one. Knows nothing of how a tool works.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

//! Content blocks: what a prompt consists of, and what updates carry.

use serde::{Deserialize, Serialize};

/// A part of a prompt.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum PromptPart {
    Text {
        text: String,
    },
    #[serde(rename_all = "camelCase")]
    Image {
        data: String,
        mime_type: String,
    },
    Audio {},
    ResourceLink {
        uri: String,
        name: String,
    },
    Resource {
        resource: Embedded,
    },
    /// A part of a newer protocol.
    #[serde(other)]
    Unknown,
}

/// What is embedded.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Embedded {
    Text {
        uri: String,
        text: String,
    },
    #[serde(rename_all = "camelCase")]
    Blob {
        uri: String,
        blob: String,
        #[serde(default)]
        mime_type: Option<String>,
    },
}

/// A block of an update.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Block {
    Text {
        text: String,
    },
    #[serde(rename_all = "camelCase")]
    Image {
        data: String,
        mime_type: String,
    },
}

impl Block {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

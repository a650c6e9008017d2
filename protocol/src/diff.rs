//! What turns changed, as a text that people and programs read. Knows nothing of how it is made.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{SessionId, TurnId};

/// Parameters of `diff/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffReadParams {
    /// The session.
    pub session_id: SessionId,
    /// Only this turn; the whole session if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
}

/// Result of `diff/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffReadResult {
    /// The files, in the order of their paths, at most 1,000.
    pub files: Vec<FileDiff>,
    /// How many files there are in all.
    pub count: u32,
}

/// What changed in one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileDiff {
    /// Absolute.
    pub path: PathBuf,
    /// What happened to it.
    pub change: FileChangeKind,
    /// Lines that came.
    pub added: u32,
    /// Lines that went.
    pub removed: u32,
    /// The unified diff with its head, as git writes it; only the head for what is no text, or too large.
    pub text: String,
}

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FileChangeKind {
    /// It came.
    Added,
    /// Its content, mode or kind changed.
    Modified,
    /// It went.
    Deleted,
    /// A kind of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

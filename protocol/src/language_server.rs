//! Language servers, which find errors in files that were changed, as clients ask for them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `languageServer/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LanguageServerListParams {
    /// A folder of the workspace, absolute.
    pub cwd: PathBuf,
}

/// Result of `languageServer/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LanguageServerListResult {
    /// Whether errors are looked for after an edit at all.
    pub is_on: bool,
    /// Whether a person lets language servers work on the folder; else none is started there.
    pub is_trusted: bool,
    /// The servers of the settings, by their names.
    pub servers: Vec<LanguageServerStatus>,
}

/// A language server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LanguageServerStatus {
    /// Its name in the settings.
    pub name: String,
    /// The endings of the files that it looks at, without the dot.
    pub endings: Vec<String>,
    /// Its executable; absent if it was not found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// How it is.
    pub state: LanguageServerState,
}

/// How a language server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum LanguageServerState {
    /// The settings switch it off.
    Disabled,
    /// Its executable is nowhere in `PATH`, or only where commands may write.
    NotFound,
    /// It does not run; it is started when it is needed.
    Idle,
    /// It is being started.
    Starting,
    /// It runs.
    Ready,
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

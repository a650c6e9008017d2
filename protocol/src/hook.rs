//! People's programs that are run in the course of sessions, and what they cost, as clients ask for them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;

/// Parameters of `hook/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookListParams {
    /// A folder, absolute.
    pub cwd: PathBuf,
}

/// Result of `hook/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookListResult {
    /// The hooks that hold there, the user's own first.
    pub hooks: Vec<HookStatus>,
    /// What is wrong with the user's own, for a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// A hook, and what it cost since the daemon started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookStatus {
    /// For which event, such as `PreToolUse`.
    pub event: String,
    /// About what of it; empty: about all.
    pub matcher: String,
    /// What the shell runs.
    pub command: String,
    /// Whether it is the user's own, not the folder's.
    pub is_own: bool,
    /// Whether nobody waits for it.
    pub is_async: bool,
    /// How long it may take.
    pub timeout_ms: u64,
    /// How often it ran.
    pub runs: u64,
    /// How often it failed.
    pub failures: u64,
    /// How long it took in all.
    pub total_ms: u64,
    /// Its last run; absent if it did not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<HookRun>,
}

/// A run of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HookRun {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took_ms: u64,
    /// What came of it.
    pub outcome: HookOutcome,
}

/// What came of a run of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HookOutcome {
    /// It said nothing that changes what follows.
    Nothing,
    /// It allowed what it was asked about.
    Allowed,
    /// It asked for a person.
    Asked,
    /// It kept it from happening.
    Blocked,
    /// It ended the turn.
    Ended,
    /// It could not be run, took too long, was killed, or failed.
    Failed,
    /// An outcome of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

//! The daemon itself: how it is, and how it is stopped.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{SessionId, Timestamp};
use crate::profile::SandboxReport;

/// Result of `daemon/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DaemonStatus {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Its build.
    pub build: String,
    /// The build of the executable that now stands where its own was started from; differs after an upgrade that
    /// no restart followed. Absent if nothing stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed_build: Option<String>,
    /// Changes at every start.
    pub epoch: uuid::Uuid,
    /// When it started.
    pub started_at: Timestamp,
    /// Whether it is stopping: running turns end, new ones are refused.
    pub is_draining: bool,
    /// Connections, this one included.
    pub connections: u32,
    /// Sessions in memory.
    pub loaded_sessions: u32,
    /// Turns that run or wait.
    pub running_turns: u32,
    /// Resident memory of the process, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    /// Where things are.
    pub folders: Folders,
    /// How commands are confined; absent until it was probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxReport>,
    /// What is not as it should be and does not keep the daemon from working, for a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What is damaged of what is stored; absent if it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageReport>,
    /// What providers said may still be asked of them, with their last answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimit>,
}

/// One of a provider's limits, as its last answer told it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// The provider's id.
    pub provider: String,
    /// What is limited, in the provider's word, such as `requests`.
    pub name: String,
    /// What is left of it, where the provider counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    /// What there is in all, where the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// What is used of 100, where the provider tells shares.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::number::optional")]
    pub used_percent: Option<f64>,
    /// When it is whole again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<Timestamp>,
}

/// What a look through the database found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageReport {
    /// What is damaged; empty if nothing was found.
    pub problems: Vec<StorageProblem>,
    /// Whether everything was looked at; a large database takes longer than a look may.
    pub is_complete: bool,
}

/// Something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageProblem {
    /// The session that was set aside for it; absent if it is not one session's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// What was found, for a person.
    pub reason: String,
    /// What to do about it, for a person.
    pub hint: String,
}

/// Where things are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Folders {
    /// `config.toml` and what belongs to it.
    pub config: PathBuf,
    /// Database, blobs, logs.
    pub state: PathBuf,
    /// The socket.
    pub socket: PathBuf,
    /// The log file.
    pub log: PathBuf,
}

/// Parameters of `daemon/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DaemonStatusParams {
    /// Probes the sandbox, if that was not done yet.
    #[serde(default)]
    pub with_sandbox: bool,
    /// Looks through the database for damage, which takes some seconds at most.
    #[serde(default)]
    pub with_storage: bool,
}

/// Parameters of `daemon/shutdown`. The answer comes at once; running turns are brought to a durable point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DaemonShutdownParams {
    /// Whether another daemon follows at once: running turns rest and go on there. Else they end.
    #[serde(default)]
    pub hand_over: bool,
}

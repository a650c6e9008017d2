//! The daemon itself: how it is, and how it is stopped.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;
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
}

/// Parameters of `daemon/shutdown`. The answer comes at once; running turns are brought to a durable point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DaemonShutdownParams {}

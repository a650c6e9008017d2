//! The first call on every connection: who the client is, and which protocol both will speak.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::ClientId;
use crate::session::Environment;
use crate::version::{ProtocolVersion, VersionRange};

/// Parameters of `initialize`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InitializeParams {
    /// The program, such as `skein exec`.
    pub client_name: String,
    /// Its version.
    pub client_version: String,
    /// Its build; a daemon of another build says so in `daemon/status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_build: Option<String>,
    /// What it speaks.
    pub protocol: VersionRange,
    /// The environment it was started in. Sessions that it makes run their commands with it, less secrets;
    /// credentials of providers are looked up in it and kept in memory only.
    #[serde(default, skip_serializing_if = "Environment::is_empty")]
    pub environment: Environment,
}

/// Result of `initialize`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InitializeResult {
    /// What both will speak.
    pub protocol: ProtocolVersion,
    /// Who the client is to others.
    pub client_id: ClientId,
    /// The daemon's version.
    pub daemon_version: String,
    /// The daemon's build.
    pub daemon_build: String,
    /// Changes at every start of the daemon.
    pub epoch: uuid::Uuid,
    /// What this daemon can do beyond the protocol's version, by name.
    pub features: Vec<String>,
}

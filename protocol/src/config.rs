//! Settings, as clients ask for them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ConfigurationProblem;

/// Parameters of `config/check`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigCheckParams {
    /// Another file than the user's own, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// Result of `config/check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigCheckResult {
    /// The file that was looked at.
    pub file: PathBuf,
    /// Whether it exists.
    pub exists: bool,
    /// What keeps it from being used.
    pub errors: Vec<ConfigurationProblem>,
    /// What is ignored.
    pub warnings: Vec<ConfigurationProblem>,
}

//! What a command may touch: the choice a person makes (`SandboxMode`) and the resolved `Profile` that is
//! enforced. Knows nothing of how it is enforced.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The built-in profiles a person can choose by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Everything may be read, nothing written, no network.
    ReadOnly,
    /// The session's folder, added folders and the temporary folder may be written; no network unless allowed.
    #[default]
    WorkspaceWrite,
    /// No sandbox at all. Shown in red wherever it is on.
    DangerFullAccess,
}

impl SandboxMode {
    /// The name as it stands in settings and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::WorkspaceWrite => "workspace-write",
            Self::DangerFullAccess => "danger-full-access",
        }
    }
}

/// How a path may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// Neither its content nor its existence below the path can be seen.
    Hidden,
    /// May be read and executed.
    Read,
    /// May be read, written, created and removed.
    Write,
}

/// One entry of a profile: this path and everything below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathRule {
    /// Absolute; need not exist.
    pub path: PathBuf,
    /// What is allowed there.
    pub access: Access,
}

/// What of the network is open to commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NetworkAccess {
    /// Loopback inside the sandbox only.
    #[default]
    Off,
    /// Everything.
    Full,
}

/// What commands may touch, resolved to absolute paths. The longest matching rule wins; carve-outs nest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The choice it was resolved from. `DangerFullAccess` means: no enforcement.
    pub mode: SandboxMode,
    /// Access of a path that no rule names.
    pub default_access: Access,
    /// Exceptions, in any order.
    pub paths: Vec<PathRule>,
    /// What of the network is open.
    pub network: NetworkAccess,
}

impl Profile {
    /// The access of an absolute, already normalised path: that of the longest rule which is the path or an
    /// ancestor of it.
    #[must_use]
    pub fn access(&self, path: &Path) -> Access {
        if self.mode == SandboxMode::DangerFullAccess {
            return Access::Write;
        }
        self.paths
            .iter()
            .filter(|rule| path.starts_with(&rule.path))
            .max_by_key(|rule| rule.path.components().count())
            .map_or(self.default_access, |rule| rule.access)
    }
}

/// When the agent asks a person before it acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalPolicy {
    /// Asks before every command that is not known to be harmless, and before every change of a file.
    Untrusted,
    /// Runs in the sandbox without asking; asks when the model wants to leave it.
    #[default]
    OnRequest,
    /// Never asks; what would need an answer is refused.
    Never,
}

impl ApprovalPolicy {
    /// The name as it stands in settings and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::OnRequest => "on-request",
            Self::Never => "never",
        }
    }
}

/// How strictly commands are confined on this machine, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SandboxRung {
    /// Own namespaces with Landlock and seccomp on top.
    Namespaces,
    /// Landlock and seccomp alone. Weaker: in a writable folder that holds something protected nothing new can be
    /// made directly, what is hidden can't be read but is seen to exist, and processes are visible.
    Landlock,
    /// Nothing that was tried held; commands are refused unless the mode is `danger-full-access`.
    Refused,
}

/// What probing found of one rung.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RungReport {
    /// Which one.
    pub rung: SandboxRung,
    /// Whether a probe child tried what is forbidden, and failed.
    pub is_available: bool,
    /// Why not, or what was shown, for a person.
    pub reason: String,
    /// What to do about it, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What probing this machine found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SandboxReport {
    /// The rung that commands run on.
    pub chosen: SandboxRung,
    /// Each rung that was tried.
    pub rungs: Vec<RungReport>,
}

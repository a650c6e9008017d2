//! What the command line needs of the daemon's crates without a daemon. Clients never import those, so the
//! executable hands them in.

use std::ffi::OsString;
use std::path::PathBuf;

use protocol::profile::{NetworkAccess, SandboxMode, SandboxRung};
use protocol::tool::ToolSpecification;

/// Implemented by the executable, over the daemon's crates.
pub trait Local {
    /// Runs the daemon of this home until it is stopped.
    ///
    /// # Errors
    /// With the exit code `client::ALREADY_RUNNING` when another daemon has the home.
    fn run_daemon(&self, mode: DaemonMode) -> Result<(), LocalError>;

    /// Runs a command as the agent would, on this terminal, and returns its exit code.
    ///
    /// # Errors
    /// When it can't be confined or started.
    fn sandbox(&self, run: SandboxRun) -> Result<u8, LocalError>;

    /// Applies a patch in the agent's patch format, and returns what the model would be told.
    ///
    /// # Errors
    /// When it does not apply; nothing is written then.
    fn apply(&self, folder: PathBuf, patch: String) -> Result<String, LocalError>;

    /// The tools that every session has.
    ///
    /// # Errors
    /// When this executable can't tell where it is.
    fn tools(&self) -> Result<Vec<ToolListing>, LocalError>;

    /// What the policy says of a command.
    ///
    /// # Errors
    /// When the configuration can't be read.
    fn check_policy(&self, check: PolicyCheck) -> Result<PolicyVerdict, LocalError>;
}

/// How the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonMode {
    /// By hand: it logs to the terminal too, and Ctrl-C stops it.
    Foreground,
    /// Started by a client that will not stay.
    Detached,
}

/// A tool that every session has.
#[derive(Clone, Debug)]
pub struct ToolListing {
    /// What the model is told.
    pub specification: ToolSpecification,
    /// Whether its calls change nothing.
    pub is_read_only: bool,
    /// What the specification costs with each request; an estimate.
    pub tokens: usize,
}

/// A command for the sandbox.
#[derive(Clone, Debug)]
pub struct SandboxRun {
    /// What it may touch; absent: what the settings say.
    pub policy: Option<SandboxMode>,
    /// Where it runs, absolute.
    pub folder: PathBuf,
    /// Further folders that it may write, absolute.
    pub additional_roots: Vec<PathBuf>,
    /// What of the network is open to it; absent: what the settings say.
    pub network: Option<NetworkAccess>,
    /// The rung to use; absent: the strongest that holds.
    pub rung: Option<SandboxRung>,
    /// Program and arguments.
    pub command: Vec<OsString>,
}

/// A command that the policy is asked about.
#[derive(Clone, Debug)]
pub struct PolicyCheck {
    /// Where it would run, absolute.
    pub folder: PathBuf,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether it would run outside the sandbox.
    pub is_escalated: bool,
}

/// What would happen to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyDecision {
    /// It would run without a question.
    Allow,
    /// A person would be asked.
    Prompt,
    /// It would not run.
    Forbidden,
}

/// What the policy says.
#[derive(Clone, Debug)]
pub struct PolicyVerdict {
    /// What would happen.
    pub decision: PolicyDecision,
    /// Why, for a person.
    pub reason: String,
    /// What it would run, and what else is known, for a person.
    pub details: Vec<String>,
    /// All of it, for a program.
    pub report: serde_json::Value,
}

/// What went wrong in this process.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct LocalError {
    /// For a person.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The exit code.
    pub exit_code: u8,
}

//! What the command line needs of the daemon's crates without a daemon. Clients never import those, so the
//! executable hands them in.

use std::ffi::OsString;
use std::path::PathBuf;

use protocol::profile::{SandboxMode, SandboxRung};

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

/// A command for the sandbox.
#[derive(Clone, Debug)]
pub struct SandboxRun {
    /// What it may touch; absent: what the settings say.
    pub policy: Option<SandboxMode>,
    /// Where it runs, absolute.
    pub folder: PathBuf,
    /// Further folders that it may write, absolute.
    pub additional_roots: Vec<PathBuf>,
    /// Whether the network is open to it.
    pub with_network: bool,
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
}

/// What the policy says.
#[derive(Clone, Debug)]
pub struct PolicyVerdict {
    /// What would happen, in a word.
    pub decision: String,
    /// Why, for a person.
    pub reason: String,
    /// Whether it would run without a question.
    pub is_allowed: bool,
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

//! What the command line needs of the daemon's crates without a daemon. Clients never import those, so the
//! executable hands them in.

use std::ffi::OsString;
use std::path::PathBuf;

use protocol::error::ConfigurationProblem;
use protocol::item::{CommandExit, Refusal};
use protocol::profile::{
    NetworkAccess, NetworkProtocol, NetworkRule, PathRule, Profile, SandboxMode, SandboxReport, SandboxRung,
};

/// Implemented by the executable, over the daemon's crates.
pub trait Local {
    /// Runs the daemon of this home until it is stopped.
    ///
    /// # Errors
    /// With the exit code `client::ALREADY_RUNNING` when another daemon has the home.
    fn run_daemon(&self, mode: DaemonMode) -> Result<(), LocalError>;

    /// Makes a command ready to run as the agent would run it, on this terminal.
    ///
    /// # Errors
    /// When the configuration can't be read, or what is asked for can't hold.
    fn sandbox(&self, run: SandboxRun) -> Result<Box<dyn Sandboxed>, LocalError>;

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

/// A command that is ready to run in the sandbox.
pub trait Sandboxed {
    /// What it may touch.
    fn profile(&self) -> &Profile;

    /// What of the settings is not used, so that it may not be confined as their author meant.
    fn warnings(&self) -> &[ConfigurationProblem];

    /// The permissions of the settings that it has, by their name.
    fn permissions(&self) -> Option<&str>;

    /// What this machine can enforce, and what of that is used.
    fn report(&self) -> SandboxReport;

    /// Why a command would be refused here, whatever it is.
    fn refusal(&self) -> Option<String>;

    /// Runs it to its end, with this process's standard streams.
    ///
    /// # Errors
    /// When it can't be confined or started.
    fn run(self: Box<Self>) -> Result<SandboxEnd, LocalError>;
}

/// How a command in the sandbox ended.
#[derive(Clone, Debug)]
pub struct SandboxEnd {
    /// Its exit.
    pub exit: CommandExit,
    /// What was refused to it.
    pub refusals: Vec<Refusal>,
    /// Its connections, or the first of many.
    pub connections: Vec<Connection>,
}

/// A connection that a command made or tried to make.
#[derive(Clone, Debug)]
pub struct Connection {
    /// How.
    pub protocol: NetworkProtocol,
    /// Whom it wanted to reach.
    pub host: String,
    /// Where there.
    pub port: u16,
    /// Whether it was let through.
    pub is_allowed: bool,
    /// What decided, for a person.
    pub reason: String,
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
    /// The permissions of the settings that it has; absent: what the settings say.
    pub permissions: Option<String>,
    /// Where it runs, absolute.
    pub folder: PathBuf,
    /// Further folders that it may write, absolute.
    pub additional_roots: Vec<PathBuf>,
    /// What it may touch besides, or may not, absolute and without links.
    pub paths: Vec<PathRule>,
    /// What of the network is open to it; absent: what the settings say.
    pub network: Option<NetworkAccess>,
    /// Hosts that are open to it, where the network is open by rule.
    pub network_rules: Vec<NetworkRule>,
    /// How it is confined.
    pub backend: Backend,
    /// Program and arguments; none if it is only to be explained.
    pub command: Vec<OsString>,
}

/// How a command in the sandbox is confined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// As the settings say, else by the strongest rung that holds.
    #[default]
    Configured,
    /// By the strongest rung that holds, whatever the settings say.
    Strongest,
    /// By this rung or not at all.
    Only(SandboxRung),
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

//! Why a command did not run. What it prints, a model reads too, so each message says the cause.

use std::io;
use std::path::PathBuf;

/// Why a command did not run, or why its end is unknown.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The sandbox can't enforce what the profile says, so the command may not run.
    #[error("The sandbox refuses this command: {reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What a person can do about it.
        hint: Option<String>,
    },
    /// There is no such program.
    #[error("Program `{program}` not found")]
    NotFound {
        /// As it was asked for.
        program: String,
    },
    /// The program is there and can't be executed.
    #[error("Program `{program}` can't be executed: {source}")]
    NotExecutable {
        /// As it was asked for.
        program: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The working folder can't be entered.
    #[error("Working folder `{}` can't be entered: {source}", path.display())]
    Cwd {
        /// As it was asked for.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The helper could not confine the command, or ended without a word.
    #[error("The sandbox could not be set up: {reason}")]
    Helper {
        /// What failed.
        reason: String,
    },
    /// The helper could not be started or talked to.
    #[error("The sandbox helper can't be used: {source}")]
    Io {
        /// The system's answer.
        #[from]
        source: io::Error,
    },
}

impl SandboxError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } => hint.as_deref(),
            Self::NotFound { .. }
            | Self::NotExecutable { .. }
            | Self::Cwd { .. }
            | Self::Helper { .. }
            | Self::Io { .. } => None,
        }
    }
}

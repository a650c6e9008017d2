//! Why the daemon did not start, or stopped.

use std::io;

use jsonrpsee::server::RegisterMethodError;
use protocol::error::ProtocolError;
use store::StoreError;
use wire::error::WireError;

use crate::logs::LogError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The home or the socket can't be used, or another daemon has them.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The log can't be written.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The database can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sessions of the daemon before can't be looked at.
    #[error("The sessions of the last daemon can't be recovered")]
    Recover(#[source] ProtocolError),
    /// The system gives no threads, or no signals.
    #[error("The daemon's threads can't be started")]
    Runtime(#[source] io::Error),
    /// Two methods have one name; a defect.
    #[error("The table of methods is not sound")]
    Methods(#[from] RegisterMethodError),
}

impl ServerError {
    /// Whether another daemon has the home, so that there was nothing to start.
    #[must_use]
    pub fn is_already_running(&self) -> bool {
        matches!(self, Self::Wire(WireError::AlreadyRunning { .. }))
    }

    /// What to do about it, for a person.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Wire(error) => error.hint(),
            Self::Log(_) => Some("Make the folder writable, or set `SKEIN_HOME` to one that is"),
            Self::Store(error) => error.hint(),
            Self::Recover(error) => error.hint.as_deref(),
            Self::Runtime(_) => Some("Look at the limits of processes and open files (`ulimit -a`)"),
            Self::Methods(_) => None,
        }
    }
}

//! What goes wrong between a client and the daemon's socket.

use std::io;
use std::path::PathBuf;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// No home folder is known.
    #[error("No home folder is known, so there is no place for settings and state")]
    NoHome,
    /// `SKEIN_HOME` is not absolute.
    #[error("`SKEIN_HOME` must be an absolute path, but is `{0}`")]
    RelativeHome(PathBuf),
    /// A folder can't be made or looked at.
    #[error("Can't use the folder `{path}`")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A folder belongs to another user, or is not a folder.
    #[error("`{path}` is not a folder of the user `{user}` alone ({found}), so it is not used")]
    ForeignFolder {
        /// Which.
        path: PathBuf,
        /// Our user id.
        user: u32,
        /// What was found there.
        found: String,
    },
    /// Nobody listens.
    #[error("No daemon listens on `{0}`")]
    NoDaemon(PathBuf),
    /// The socket, or the process behind it, belongs to another user. Nothing was sent.
    #[error("The socket `{path}` belongs to the user `{owner}`, not to `{user}`, so nothing was sent to it")]
    ForeignDaemon {
        /// The socket.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Another daemon runs on this home.
    #[error("A daemon runs on `{home}` already{}", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    AlreadyRunning {
        /// The state folder.
        home: PathBuf,
        /// Its process, if it told.
        pid: Option<u32>,
    },
    /// The process that should be the daemon is not, or can't be ended.
    #[error("The process {pid}, which the lock file names, can't be ended as the daemon")]
    NotTheDaemon {
        /// Its process id.
        pid: u32,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The socket can't be bound or used.
    #[error("Can't use the socket `{path}`")]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl WireError {
    /// Whether a daemon could simply be started.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NoDaemon(_))
    }

    /// What to do about it, for a person.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoHome => Some("Set `HOME`, or `SKEIN_HOME` to a folder that Skein may fill"),
            Self::RelativeHome(_) => Some("Give the whole path, beginning with `/`"),
            Self::Folder { .. } => Some("Make the folder writable, or set `SKEIN_HOME` to one that is"),
            Self::ForeignFolder { .. } => {
                Some("With `sudo`, use `sudo -H`; or set `SKEIN_HOME` to a folder of your own")
            }
            Self::NoDaemon(_) => Some("Start it with `skein daemon start`"),
            Self::ForeignDaemon { .. } => Some("Somebody else made this socket; ask who, and remove it"),
            Self::AlreadyRunning { .. } => Some("See it with `skein daemon status`"),
            Self::NotTheDaemon { .. } => Some("Look at the process, and end it yourself if it is the daemon"),
            Self::Socket { .. } => None,
        }
    }
}

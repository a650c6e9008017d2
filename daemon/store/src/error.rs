//! What goes wrong in the store, and what a person can do about it.

use std::io;
use std::path::{Path, PathBuf};

use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::{Seq, SessionId};

/// What went wrong. Whatever it is, what was acknowledged before stands.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk, or the user's share of it, is full. The store works again once there is space.
    #[error("No space is left for `{file}`")]
    Full {
        /// The database, or a blob.
        file: PathBuf,
    },
    /// The file, or the folder it is in, can't be written.
    #[error("`{file}` can't be written ({reason})")]
    ReadOnly {
        /// The database, or a blob.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The database is damaged, or is no database. It was left as it is.
    #[error("The database `{file}` is damaged ({reason})")]
    Corrupt {
        /// The database.
        file: PathBuf,
        /// What was found.
        reason: String,
    },
    /// What is stored of a session can't be read, so it was set aside. Other sessions are not affected.
    #[error("The session `{session}` is damaged and was set aside ({reason})")]
    Damaged {
        /// The session.
        session: SessionId,
        /// What was found.
        reason: String,
    },
    /// An append does not begin where the log ends. Nothing of it was written.
    #[error("The log of session `{session}` goes on with event {expected}, not with {found}")]
    Gap {
        /// The session.
        session: SessionId,
        /// The place after the last event.
        expected: Seq,
        /// The place that the append named.
        found: Seq,
    },
    /// A newer build of Skein made the database. Nothing was changed.
    #[error("The database `{file}` has schema {found}, and this build knows {known}")]
    NewerSchema {
        /// The database.
        file: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest that this build knows.
        known: i64,
    },
    /// A value can't be written as JSON, such as a path that is not UTF-8.
    #[error("A value can't be stored")]
    Encode(#[source] serde_json::Error),
    /// A file can't be used.
    #[error("Can't use `{file}`")]
    Io {
        /// Which.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database refused, for a reason that is none of the above.
    #[error("The database `{file}` refused")]
    Sql {
        /// The database.
        file: PathBuf,
        /// Why.
        #[source]
        source: Box<sqlx::Error>,
    },
    /// The store is closed.
    #[error("The store is closed")]
    Closed,
}

impl StoreError {
    /// What to do about it, for a person.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Full { .. } => Some("Make space and try again; what was acknowledged is kept"),
            Self::ReadOnly { .. } => {
                Some("Make the file and its folder writable, or set `SKEIN_HOME` to a folder that is")
            }
            Self::Corrupt { .. } => Some(
                "Move the database away, with its `-wal` and `-shm` files, and start again; nothing was deleted",
            ),
            Self::Damaged { .. } => {
                Some("See what can be done with `skein doctor`; other sessions are not affected")
            }
            Self::NewerSchema { .. } => Some("Start the newer build of Skein"),
            Self::Closed => Some("The daemon is stopping; try again"),
            Self::Gap { .. } | Self::Encode(_) | Self::Io { .. } | Self::Sql { .. } => None,
        }
    }

    /// Sorts an error of the file system.
    pub(crate) fn from_io(file: &Path, source: io::Error) -> Self {
        let file = file.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { file },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { file, reason: source.to_string() }
            }
            _ => Self::Io { file, source },
        }
    }

    /// Sorts an error of the database by SQLite's result code (sqlite.org/rescode.html).
    pub(crate) fn from_sql(database: &Path, source: sqlx::Error) -> Self {
        let file = database.to_owned();
        let source = match source {
            sqlx::Error::Io(source) => return Self::from_io(database, source),
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => return Self::Closed,
            // The schema fixes the types, so a value that has none of them was not written so.
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                return Self::Corrupt { file, reason: source.to_string() };
            }
            other => other,
        };
        let code = source
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok());
        let Some(code) = code else { return Self::Sql { file, source: Box::new(source) } };
        match (code & 0xff, code) {
            (SQLITE_FULL, _) | (_, SQLITE_IOERR_SHMSIZE) => Self::Full { file },
            // The database file itself was opened before, so it is the `-wal` or `-shm` file that can't be made.
            (SQLITE_READONLY | SQLITE_CANTOPEN, _) => Self::ReadOnly { file, reason: source.to_string() },
            (SQLITE_CORRUPT | SQLITE_NOTADB, _) => Self::Corrupt { file, reason: source.to_string() },
            _ => Self::Sql { file, source: Box::new(source) },
        }
    }
}

const SQLITE_READONLY: i32 = 8;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_NOTADB: i32 = 26;
const SQLITE_IOERR_SHMSIZE: i32 = 4874;

impl From<StoreError> for ProtocolError {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Full { .. } | StoreError::ReadOnly { .. } | StoreError::Closed => {
                ErrorCode::Unavailable
            }
            StoreError::Encode(_) => ErrorCode::InvalidRequest,
            StoreError::Corrupt { .. }
            | StoreError::Damaged { .. }
            | StoreError::Gap { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::Io { .. }
            | StoreError::Sql { .. } => ErrorCode::Internal,
        };
        let message = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let answer = Self::new(code, message);
        match error.hint() {
            Some(hint) => answer.with_hint(hint),
            None => answer,
        }
    }
}

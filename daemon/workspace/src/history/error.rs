//! Why a tree can't be kept, or a file not be brought back.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is too much in the folder.
    #[error("`{root}` holds more than {limit} files and folders")]
    TooLarge {
        /// The folder.
        root: PathBuf,
        /// How many there may be.
        limit: usize,
    },
    /// Far too much else is in it.
    #[error("`{root}` is a home folder, or holds one")]
    Home {
        /// The folder.
        root: PathBuf,
    },
    /// What the session may not write is not brought back either.
    #[error("`{path}` may not be written in this session")]
    ReadOnly {
        /// The file, or the folder that it is in.
        path: PathBuf,
    },
    /// It was changed while it was brought back.
    #[error("`{path}` was changed at this very moment")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// It was too large to be kept.
    #[error("`{path}` was too large to be kept")]
    NotKept {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("Can't use `{path}`: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl HistoryError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

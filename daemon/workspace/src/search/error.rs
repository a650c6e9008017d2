//! Why a search could not begin. The messages are for models and people.

use std::path::PathBuf;

use crate::files::FileError;

/// Why a search could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The pattern is no regular expression.
    #[error("The pattern is no regular expression: {reason}")]
    Pattern {
        /// What is wrong with it.
        reason: String,
    },
    /// A glob can't be understood.
    #[error("The glob can't be understood: {reason}")]
    Glob {
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such type of files.
    #[error("There is no file type `{name}`; use a glob such as `*.{name}`")]
    FileType {
        /// As it was asked for.
        name: String,
    },
    /// It is no folder.
    #[error("`{}` is not a folder", path.display())]
    NotAFolder {
        /// The real path.
        path: PathBuf,
    },
    /// Where to search can't be looked at.
    #[error(transparent)]
    File(#[from] FileError),
}

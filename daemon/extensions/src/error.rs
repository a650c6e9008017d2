//! What can go wrong.

use std::io;
use std::path::PathBuf;

/// Why something could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum ExtensionError {
    /// A folder that can't be looked at.
    #[error("The folder `{}` can't be looked at: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file of what is trusted can't be used.
    #[error("What is trusted can't be read from `{}`: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file of what is trusted can't be written.
    #[error("What is trusted can't be written to `{}`: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder does not declare what was to be trusted.
    #[error("The folder declares something else than what was to be trusted")]
    NotDeclared,
}

//! What the process that reads a file tells the one that asked.

use policy::rules::Rule;
use serde::{Deserialize, Serialize};

/// The rules of one file, or what is wrong with it.
pub(crate) type Answer = Result<Vec<Rule>, Complaint>;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Complaint {
    /// From 1.
    pub(crate) line: u32,
    /// In characters, from 1.
    pub(crate) column: u32,
    /// For a person.
    pub(crate) message: String,
}

impl Complaint {
    /// About the file as a whole.
    pub(crate) fn of_the_whole(message: impl Into<String>) -> Self {
        Self { line: 1, column: 1, message: message.into() }
    }
}

//! What the daemon and the process that evaluates tell each other, one JSON value a line.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// To the process.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Evaluate this.
    Run { run: u64, code: String },
    /// Stop evaluating that.
    Stop { run: u64 },
    /// How a call ended: with what it gave, or why it failed.
    Answer { call: u64, outcome: Result<String, String> },
}

/// To the daemon.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Told {
    /// Something was printed.
    Printed(String),
    /// A tool is called.
    Call { call: u64, name: String, arguments: Value },
    /// The code came to its end, and all calls that it made.
    Ended(Ended),
}

/// How code ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    /// With this value, as text; `None` for `undefined`.
    Value(Option<String>),
    /// With an exception, with its place.
    Exception(String),
    /// It was stopped.
    Stopped,
}

//! What a helper tells the daemon. Knows no words for people: those are the daemon's.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// What became of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The command runs.
    Started,
    /// It never ran; the last report.
    Failed(Failure),
    /// It ended and nothing of its tree is left; the last report.
    Ended(End),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// Why a command never ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The plan makes no sense to this helper.
    Plan {
        /// Why.
        reason: String,
    },
    /// The kernel refused a step of the confinement.
    Setup {
        /// Which.
        step: String,
        /// Its answer.
        errno: i32,
    },
    /// What a rule asks for can't be enforced there.
    Rule {
        /// The rule's path.
        path: Bytes,
        /// Why not.
        reason: String,
    },
    /// The working folder can't be entered.
    Cwd {
        /// The kernel's answer.
        errno: i32,
    },
    /// There is no such program.
    NotFound,
    /// The program is there and can't be executed.
    NotExecutable {
        /// The kernel's answer.
        errno: i32,
    },
}

//! Who decides about the programs that a running command starts. Knows nothing of how they are held.

use policy::started::Started;
use protocol::item::Refusal;

/// Decides about the programs that a running command starts.
pub trait Judge: Send + Sync {
    /// Whether it has a say in anything. Where it has none no program waits for it.
    fn has_say(&self) -> bool;

    /// Decides about a program. What runs in the sandbox in any case needs no leave.
    fn judge(&self, started: &Started<'_>) -> Ruling;
}

/// What is to become of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It runs where its command does.
    Inside,
    /// It does not run.
    Refuse {
        /// Why, for the model.
        reason: String,
    },
    /// A person is asked whether it runs where its command does.
    Ask {
        /// Why, for the person.
        reason: String,
    },
    /// A person is asked whether it runs outside the sandbox, for the sandbox has stopped it before; if not, it runs
    /// inside.
    AskToLeave {
        /// What was stopped.
        refusals: Vec<Refusal>,
    },
    /// It may run outside the sandbox, if it is what its name says and nothing bends it.
    Outside {
        /// Why, for the model.
        reason: String,
    },
}

/// Has no say.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoJudge;

impl Judge for NoJudge {
    fn has_say(&self) -> bool {
        false
    }

    fn judge(&self, _started: &Started<'_>) -> Ruling {
        Ruling::Inside
    }
}

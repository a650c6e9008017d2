//! What one line tells of a session. Knows nothing of its content.

use protocol::ids::{SessionId, Timestamp, TurnId};
use protocol::model::{ReasoningEffort, Usage};
use protocol::session::{Presence, QueuedInput, SessionSettings};
use protocol::usage::BudgetUse;

/// What one line tells of a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Which session; absent until a snapshot came.
    pub session: Option<SessionId>,
    /// What it is called.
    pub title: Option<String>,
    /// What holds in it.
    pub settings: Option<SessionSettings>,
    /// What it is doing.
    pub activity: Activity,
    /// Tokens spent in all.
    pub usage: Usage,
    /// Tokens that the last request took, which is how full the model's context is; absent until one was answered.
    pub context_tokens: Option<u64>,
    /// Inputs that wait, the next one first.
    pub queue: Vec<QueuedInput>,
    /// Who is there.
    pub presence: Presence,
    /// How much of its ceilings is spent, the nearest one first; empty where there is none.
    pub budget: BudgetUse,
    /// Whether the daemon is there.
    pub link: Link,
}

/// What a session is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activity {
    /// Nothing.
    #[default]
    Idle,
    /// A turn runs.
    Running {
        /// Which.
        turn: TurnId,
        /// Since when.
        since: Timestamp,
    },
    /// A turn waits for an answer.
    Waiting {
        /// Which.
        turn: TurnId,
        /// Since when it runs.
        since: Timestamp,
    },
    /// A turn rests until the next daemon goes on with it.
    Suspended {
        /// Which.
        turn: TurnId,
        /// Since when it runs.
        since: Timestamp,
    },
    /// It was put away.
    Archived,
    /// Its log can't be read any more.
    Damaged,
}

/// Whether the daemon is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// It is.
    #[default]
    Up,
    /// It is looked for.
    Lost,
}

impl Activity {
    /// The turn that is under way.
    #[must_use]
    pub fn turn(self) -> Option<TurnId> {
        match self {
            Self::Running { turn, .. } | Self::Waiting { turn, .. } | Self::Suspended { turn, .. } => {
                Some(turn)
            }
            Self::Idle | Self::Archived | Self::Damaged => None,
        }
    }
}

/// How hard the model thinks, as it stands in settings.
#[must_use]
pub fn effort_text(effort: &ReasoningEffort) -> &str {
    match effort {
        ReasoningEffort::Minimal => "minimal",
        ReasoningEffort::Low => "low",
        ReasoningEffort::Medium => "medium",
        ReasoningEffort::High => "high",
        ReasoningEffort::XHigh => "xhigh",
        ReasoningEffort::Other(word) => word,
    }
}

impl Status {
    /// How hard the model thinks, if the session says so.
    #[must_use]
    pub fn effort(&self) -> Option<&str> {
        self.settings.as_ref()?.reasoning_effort.as_ref().map(effort_text)
    }
}

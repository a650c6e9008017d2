//! What people's programs, hooks, are asked in the course of a session, and what they may answer. Who runs them is the
//! daemon's to know: `World` hands that in. What a running turn waits for of them is not durable: after a restart they
//! are asked again about what began the turn, about a call that is to be made, and about the end; not about what was said
//! into the turn, nor about a call that was made, whose outcome is lost with the daemon.

use std::collections::{BTreeMap, BTreeSet};

use protocol::agent::AgentOrigin;
use protocol::context::Compaction;
use protocol::ids::{ItemId, SessionId, TurnId};
use protocol::item::{ItemBody, ItemStatus, Notice};
use protocol::question::QuestionKind;
use protocol::session::SessionSettings;
use protocol::tool::CallInput;

/// How often hooks may make one turn go on that would have ended.
const MAX_STOPS: u32 = 8;

/// A place in a session at which hooks are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookPoint {
    /// Somebody said something; the first time, also that the session starts.
    Prompt,
    /// Before a call, and before the policy is asked about it.
    BeforeCall,
    /// Before a person is asked whether a call may be made.
    Permission,
    /// After a call, before the model hears of it.
    AfterCall,
    /// Before the session is compacted.
    BeforeCompaction,
    /// After the session was compacted.
    AfterCompaction,
    /// The model had its last word.
    Stop,
}

/// The places at which there is somebody to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookPoints(BTreeSet<HookPoint>);

impl HookPoints {
    /// Whether somebody is to be asked here.
    #[must_use]
    pub fn has(&self, point: HookPoint) -> bool {
        self.0.contains(&point)
    }
}

impl FromIterator<HookPoint> for HookPoints {
    fn from_iter<I: IntoIterator<Item = HookPoint>>(points: I) -> Self {
        Self(points.into_iter().collect())
    }
}

/// How a session comes to have its first turn since it was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStart {
    /// It is its very first one.
    New,
    /// It had turns before.
    Resumed,
}

/// Why a session ends, as far as hooks are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// Nobody needs it for now, and it may be loaded again.
    Rest,
    /// It was deleted, or was never meant to be kept.
    Deleted,
}

/// What hooks are asked, by what of the state it is about.
#[derive(Clone, Debug, PartialEq)]
pub enum HookCall {
    /// About a message.
    Prompt {
        /// The turn.
        turn_id: TurnId,
        /// The message.
        item_id: ItemId,
        /// Whether the turn goes on already without it.
        is_steer: bool,
        /// Whether the session starts with it.
        start: Option<SessionStart>,
    },
    /// About a call that is to be made.
    BeforeCall {
        /// The turn.
        turn_id: TurnId,
        /// The call.
        item_id: ItemId,
    },
    /// About a question that is to be asked.
    Permission {
        /// The turn.
        turn_id: TurnId,
        /// The call that it is about.
        item_id: ItemId,
        /// What would be asked.
        kind: Box<QuestionKind>,
        /// Why.
        reason: String,
    },
    /// About a call that was made.
    AfterCall {
        /// The turn.
        turn_id: TurnId,
        /// The call.
        item_id: ItemId,
        /// How it ended.
        status: ItemStatus,
        /// The item with its outcome.
        body: Box<ItemBody>,
    },
    /// About a compaction that is to begin.
    BeforeCompaction {
        /// The turn.
        turn_id: TurnId,
        /// The compaction.
        item_id: ItemId,
    },
    /// About one that was made.
    AfterCompaction {
        /// The turn.
        turn_id: TurnId,
        /// The compaction.
        item_id: ItemId,
    },
    /// About a turn that is to end.
    Stop {
        /// The turn.
        turn_id: TurnId,
        /// The request that the last word answered.
        step: u32,
        /// Whether hooks made it go on before.
        is_active: bool,
    },
}

/// What hooks are told.
#[derive(Clone, Debug)]
pub struct HookRequest {
    /// The session.
    pub session: SessionId,
    /// The turn.
    pub turn_id: TurnId,
    /// What holds in the session.
    pub settings: Box<SessionSettings>,
    /// Where it comes from, if it is an agent.
    pub agent: Option<Box<AgentOrigin>>,
    /// What they are asked about.
    pub subject: HookSubject,
}

/// What hooks are asked about, as it is.
#[derive(Clone, Debug)]
pub enum HookSubject {
    /// A message.
    Prompt {
        /// Its text.
        text: String,
        /// Whether the session starts with it.
        start: Option<SessionStart>,
    },
    /// A call that is to be made.
    BeforeCall(Box<ItemBody>),
    /// A call that a person is to be asked about.
    Permission {
        /// The call.
        body: Box<ItemBody>,
        /// Why it is asked about.
        reason: String,
    },
    /// A call that was made.
    AfterCall {
        /// The call.
        body: Box<ItemBody>,
        /// What the model would be told of its outcome.
        output: String,
    },
    /// A compaction that is to begin.
    BeforeCompaction(Box<Compaction>),
    /// One that was made.
    AfterCompaction(Box<Compaction>),
    /// A turn that is to end.
    Stop {
        /// Whether hooks made it go on before.
        is_active: bool,
        /// The model's last word.
        last_message: Option<String>,
    },
}

/// What all hooks of a place together answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HookAnswer {
    /// What people should know, and what the model is told beside.
    pub notices: Vec<Notice>,
    /// What is to follow.
    pub verdict: HookVerdict,
    /// What the call is to be made with instead.
    pub rewritten: Option<CallInput>,
    /// What the model is told instead of a call's outcome.
    pub output: Option<String>,
}

/// What is to follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HookVerdict {
    /// What would have followed without hooks.
    #[default]
    None,
    /// Nobody need be asked. It skips a question and never the sandbox.
    Allow,
    /// A person is asked.
    Ask {
        /// Why.
        reason: String,
    },
    /// It does not happen; a turn that was to end goes on.
    Block {
        /// Why, for the model.
        reason: String,
    },
    /// It does not happen, and the turn ends.
    End {
        /// Why, for people.
        reason: String,
    },
}

/// What hooks said of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Leave {
    Undecided,
    Allow,
    Ask(String),
}

/// What hooks are asked, and said, in a running turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Hooked {
    asked: Vec<(HookPoint, Option<ItemId>)>,
    leaves: BTreeMap<ItemId, Leave>,
    /// Calls about whose questions they were asked.
    permissions: BTreeSet<ItemId>,
    /// The request whose answer they let be the last word.
    stopped_at: Option<u32>,
    stops: u32,
    /// Why the turn is to end.
    ends: Option<String>,
}

impl HookCall {
    /// The turn that it belongs to.
    #[must_use]
    pub fn turn_id(&self) -> TurnId {
        match self {
            Self::Prompt { turn_id, .. }
            | Self::BeforeCall { turn_id, .. }
            | Self::Permission { turn_id, .. }
            | Self::AfterCall { turn_id, .. }
            | Self::BeforeCompaction { turn_id, .. }
            | Self::AfterCompaction { turn_id, .. }
            | Self::Stop { turn_id, .. } => *turn_id,
        }
    }

    fn key(&self) -> (HookPoint, Option<ItemId>) {
        match self {
            Self::Prompt { item_id, .. } => (HookPoint::Prompt, Some(*item_id)),
            Self::BeforeCall { item_id, .. } => (HookPoint::BeforeCall, Some(*item_id)),
            Self::Permission { item_id, .. } => (HookPoint::Permission, Some(*item_id)),
            Self::AfterCall { item_id, .. } => (HookPoint::AfterCall, Some(*item_id)),
            Self::BeforeCompaction { item_id, .. } => (HookPoint::BeforeCompaction, Some(*item_id)),
            Self::AfterCompaction { item_id, .. } => (HookPoint::AfterCompaction, Some(*item_id)),
            Self::Stop { .. } => (HookPoint::Stop, None),
        }
    }
}

impl Hooked {
    /// Notes that they are asked.
    pub(crate) fn begin(&mut self, call: &HookCall) {
        self.asked.push(call.key());
    }

    /// Notes what they said.
    pub(crate) fn end(&mut self, call: &HookCall, answer: &HookAnswer) {
        let key = call.key();
        self.asked.retain(|asked| *asked != key);
        let verdict = &answer.verdict;
        match call {
            HookCall::BeforeCall { item_id, .. } => {
                let leave = match verdict {
                    HookVerdict::Allow => Leave::Allow,
                    HookVerdict::Ask { reason } => Leave::Ask(reason.clone()),
                    HookVerdict::None | HookVerdict::Block { .. } | HookVerdict::End { .. } => {
                        Leave::Undecided
                    }
                };
                self.leaves.insert(*item_id, leave);
            }
            HookCall::Permission { item_id, .. } => {
                self.permissions.insert(*item_id);
                if *verdict == HookVerdict::Allow {
                    self.leaves.insert(*item_id, Leave::Allow);
                }
            }
            HookCall::Stop { step, .. } => {
                if matches!(verdict, HookVerdict::Block { .. }) && self.stops < MAX_STOPS {
                    self.stops += 1;
                } else {
                    self.stopped_at = Some(*step);
                }
                return;
            }
            HookCall::Prompt { is_steer, .. } => {
                if let (false, HookVerdict::Block { reason }) = (is_steer, verdict) {
                    self.ends = Some(reason.clone());
                }
            }
            HookCall::AfterCall { .. }
            | HookCall::BeforeCompaction { .. }
            | HookCall::AfterCompaction { .. } => {}
        }
        if let HookVerdict::End { reason } = verdict {
            self.ends = Some(reason.clone());
        }
    }

    /// Whether they are being asked here.
    pub(crate) fn is_asked(&self, point: HookPoint, item: Option<ItemId>) -> bool {
        self.asked.contains(&(point, item))
    }

    /// Whether the turn waits for them before anything else.
    pub(crate) fn holds_turn(&self) -> bool {
        let holds = |point: &HookPoint| {
            matches!(point, HookPoint::Prompt | HookPoint::AfterCompaction | HookPoint::Stop)
        };
        self.asked.iter().any(|(point, _)| holds(point))
    }

    /// What they said of a call; `None` if they were not asked.
    pub(crate) fn leave(&self, item: ItemId) -> Option<&Leave> {
        self.leaves.get(&item)
    }

    /// Whether they were asked about the question about a call.
    pub(crate) fn knows_question(&self, item: ItemId) -> bool {
        self.permissions.contains(&item)
    }

    /// Whether they let the answer to this request be the last word.
    pub(crate) fn lets_end(&self, step: u32) -> bool {
        self.stopped_at == Some(step)
    }

    /// Whether they made the turn go on.
    pub(crate) fn went_on(&self) -> bool {
        self.stops > 0
    }

    /// Why the turn is to end.
    pub(crate) fn ends(&self) -> Option<&str> {
        self.ends.as_deref()
    }
}

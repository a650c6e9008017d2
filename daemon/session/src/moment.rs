//! The time and the identities of one decision, so that `step` needs neither clock nor randomness.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::ids::{ClientId, ItemId, QuestionId, QueuedId, Timestamp, TurnId};
use protocol::model::Usage;
use protocol::usage::Spending;
use tools::belongings::Standing;
use uuid::Uuid;

use crate::hooks::{HookPoints, SessionStart};

/// The rules that people wrote, and what they allowed for good.
pub type Rules = Arc<policy::rules::Rules>;

/// Make other sequences of identities out of a seed.
const LAST: u64 = 0xA5A5_A5A5_5A5A_5A5A;

const REVIEW: u64 = 0x3C3C_3C3C_C3C3_C3C3;

/// When a decision is made, what holds beyond the log then, and the source of the identities it hands out.
#[derive(Clone, Debug)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// The rules that hold.
    pub rules: Rules,
    /// Whether a client is there that can answer a question.
    pub is_answerable: bool,
    /// What all sessions together spent on this day.
    pub today: Spending,
    /// Of that, what the session's provider was asked for.
    pub provider_today: Spending,
    /// How many other sessions work right now.
    pub working_today: u32,
    /// What the other sessions of its tree of agents spent.
    pub beside: Spending,
    /// How many of these work right now.
    pub working_beside: u32,
    /// What the answer that goes on took so far, as far as the provider told.
    pub spent_so_far: Usage,
    /// Where hooks are to be asked.
    pub hooks: HookPoints,
    /// The clients that follow the session, where it has tools of clients.
    pub clients: BTreeSet<ClientId>,
    /// The tools whose calls change nothing, while calls are made.
    pub reads: Arc<BTreeSet<String>>,
    /// How it stands with the process that a request is about.
    pub process: Standing,
    /// How the session comes to have its first turn since it was loaded, if this is it.
    pub start: Option<SessionStart>,
    seed: u64,
}

impl Moment {
    /// The same time and seed give the same identities.
    #[must_use]
    pub fn new(at: Timestamp, rules: Rules, seed: u64) -> Self {
        Self {
            at,
            rules,
            is_answerable: false,
            today: Spending::default(),
            provider_today: Spending::default(),
            working_today: 0,
            beside: Spending::default(),
            working_beside: 0,
            spent_so_far: Usage::default(),
            hooks: HookPoints::default(),
            clients: BTreeSet::new(),
            reads: Arc::default(),
            process: Standing::Unknown,
            start: None,
            seed,
        }
    }

    /// A new identity of a turn.
    pub fn turn_id(&mut self) -> TurnId {
        TurnId(self.uuid())
    }

    /// A new identity of an item.
    pub fn item_id(&mut self) -> ItemId {
        ItemId(self.uuid())
    }

    /// A new identity of a question.
    pub fn question_id(&mut self) -> QuestionId {
        QuestionId(self.uuid())
    }

    /// A new identity of a queued input.
    pub fn queued_id(&mut self) -> QueuedId {
        QueuedId(self.uuid())
    }

    /// The identity of what is told at the end of a turn: one for each moment, and none of the others.
    #[must_use]
    pub fn last_item_id(&self) -> ItemId {
        Self { seed: self.seed ^ LAST, ..self.clone() }.item_id()
    }

    /// The identity of what a review found, which is told at the end of its turn: one for each moment, and none of the
    /// others.
    #[must_use]
    pub fn review_item_id(&self) -> ItemId {
        Self { seed: self.seed ^ REVIEW, ..self.clone() }.item_id()
    }

    fn uuid(&mut self) -> Uuid {
        let mut random = [0_u8; 10];
        random[..8].copy_from_slice(&self.next().to_le_bytes());
        random[8..].copy_from_slice(&self.next().to_le_bytes()[..2]);
        uuid::Builder::from_unix_timestamp_millis(self.at.0, &random).into_uuid()
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

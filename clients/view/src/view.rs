//! The fold: what is shown, after everything that the daemon sent so far.

use std::collections::{HashMap, VecDeque};
use std::mem;

use protocol::delta::FeedEntry;
use protocol::event::{Event, EventRecord, QueuedInputChanged, TurnEnded};
use protocol::ids::{ItemId, QuestionId, Seq, Timestamp, TurnId};
use protocol::item::Item;
use protocol::question::{Answer, Question};
use protocol::session::{SessionSnapshot, SessionStatus};
use protocol::turn::Turn;

use crate::block::{Begun, Block, BlockBody};
use crate::changes::{self, Change, NamedInstructions};
use crate::status::{Activity, Link, Status};
use crate::words;

/// What a screen shows of a session.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The last event that is contained.
    seq: Seq,
    status: Status,
    /// The turn that is under way, and since when.
    turn: Option<(TurnId, Timestamp)>,
    is_suspended: bool,
    questions: Vec<Question>,
    /// Final, and not taken yet.
    finished: Vec<Block>,
    /// After them, in order. Invariant: the first one is not final once `settle` has run.
    live: VecDeque<Block>,
    handed: Handed,
    named: Vec<NamedInstructions>,
}

/// What was handed out, as far as it must be remembered: of one turn.
#[derive(Clone, Debug, Default)]
struct Handed {
    /// The last turn that was handed out with its end.
    ended: Option<TurnId>,
    /// The turn after it, as far as it is.
    turn: Option<TurnId>,
    items: HashMap<ItemId, HandedItem>,
    /// Whether anything was handed out at all.
    is_any: bool,
}

/// How much of an item was handed out.
#[derive(Clone, Debug)]
enum HandedItem {
    Whole,
    Part(Begun),
}

impl View {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing yet; a change of instructions to these is told by their name.
    #[must_use]
    pub fn naming(named: Vec<NamedInstructions>) -> Self {
        Self { named, ..Self::default() }
    }

    /// Replaces what was known; what was handed out before does not come again. What only events tell, such as
    /// retries, is not in a snapshot and is left out.
    pub fn snapshot(&mut self, snapshot: SessionSnapshot) {
        self.settle();
        let SessionSnapshot { summary, turns, earlier_turns, questions, queue, presence, context_tokens } =
            snapshot;
        self.seq = summary.seq;
        self.questions = questions;
        let under_way = turns.last().filter(|turn| turn.outcome.is_none());
        self.turn = under_way.map(|turn| (turn.id, turn.started_at));
        self.is_suspended = false;
        self.status = Status {
            session: Some(summary.id),
            title: summary.title,
            settings: Some(summary.settings),
            activity: Activity::Idle,
            usage: summary.usage,
            // An older daemon does not tell.
            context_tokens: context_tokens.or(self.status.context_tokens),
            queue,
            presence,
            budget: std::mem::take(&mut self.status.budget),
            link: Link::Up,
        };
        match summary.status {
            SessionStatus::Archived => self.status.activity = Activity::Archived,
            SessionStatus::Damaged { .. } => self.status.activity = Activity::Damaged,
            SessionStatus::Idle
            | SessionStatus::Running { .. }
            | SessionStatus::Waiting { .. }
            | SessionStatus::Unknown(_) => self.find_activity(),
        }
        self.live.clear();
        let known = turns.iter().position(|turn| Some(turn.id) == self.handed.ended);
        let is_joined = known.is_some() || turns.iter().any(|turn| Some(turn.id) == self.handed.turn);
        if earlier_turns > 0 && !(self.handed.is_any && is_joined) {
            self.live.push_back(Block::of(BlockBody::Earlier { turns: earlier_turns }));
        }
        // Of a larger page than before, what comes before the turn that was handed out in part is older than it.
        let begun = turns.iter().position(|turn| Some(turn.id) == self.handed.turn);
        let new = turns.into_iter().skip(known.map_or(begun.unwrap_or(0), |at| at + 1));
        // Those that were taken back are in the log only.
        for turn in new.filter(|turn| !turn.is_rewound) {
            self.push_turn(turn);
        }
    }

    /// Adds what happened next. An event that is contained already changes nothing.
    pub fn apply(&mut self, entry: FeedEntry) {
        match entry {
            FeedEntry::Event(record) if record.seq > self.seq => self.event(record),
            FeedEntry::Event(_) | FeedEntry::Unknown(_) => {}
            FeedEntry::Delta(delta) => self.grow(delta.item_id, delta.offset_bytes, &delta.text),
            FeedEntry::Presence(presence) => self.status.presence = presence,
            FeedEntry::Budget(budget) => self.status.budget = budget,
        }
    }

    /// Notes whether the daemon is there.
    pub fn set_link(&mut self, link: Link) {
        self.status.link = link;
    }

    /// What became final since the last time, in order. Each block comes once.
    pub fn take_finished(&mut self) -> Vec<Block> {
        self.settle();
        mem::take(&mut self.finished)
    }

    /// What is not final, or stands behind something that is not, in order.
    pub fn live(&self) -> impl Iterator<Item = &Block> {
        self.live.iter()
    }

    /// What one line tells.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// The questions that wait, oldest first.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The last event that is contained.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    fn event(&mut self, record: EventRecord) {
        self.seq = record.seq;
        match record.event {
            Event::SessionCreated(created) => {
                self.status.title = created.title;
                self.status.settings = Some(created.settings);
            }
            Event::SessionUpdated(updated) => {
                let (title, settings) = (self.status.title.as_deref(), self.status.settings.as_ref());
                let changes = changes::between(title, settings, &updated, &self.named);
                if !changes.is_empty() {
                    self.push(BlockBody::Updated { actor: updated.actor, changes });
                }
                self.status.title = updated.title.or(self.status.title.take());
                self.status.settings = Some(updated.settings);
            }
            Event::SessionArchived(_) => self.status.activity = Activity::Archived,
            Event::SessionUnarchived(_) => self.find_activity(),
            Event::InputQueued(input) => self.status.queue.push(input.queued),
            Event::QueuedInputChanged(changed) => self.requeue(changed),
            Event::QueuedInputCancelled(cancelled) => {
                self.status.queue.retain(|queued| queued.id != cancelled.queued_id);
            }
            Event::TurnStarted(started) => {
                self.status.queue.retain(|queued| Some(queued.id) != started.queued_id);
                self.turn = Some((started.turn_id, record.at));
                self.is_suspended = false;
                self.find_activity();
            }
            Event::ModelRequested(_) => {}
            Event::ModelRetried(retried) => self.push(BlockBody::Retried(retried)),
            Event::BudgetWarned(warned) => self.push(BlockBody::Warned(warned)),
            Event::ModelResponded(responded) => {
                self.status.usage += responded.usage;
                // What a call asked by itself does not fill the session's window.
                let tokens = responded.usage.total_tokens();
                if responded.asked_by.is_none() && tokens > 0 {
                    self.status.context_tokens = Some(tokens);
                }
            }
            Event::ItemStarted(changed) => self.push_item(changed.item),
            Event::ItemAppended(appended) => {
                self.grow(appended.item_id, appended.offset_bytes, &appended.text);
            }
            Event::ItemCompleted(changed) => match self.block_of(changed.item.id) {
                Some(block) => block.complete(changed.item),
                None => {
                    self.push_item(changed.item);
                    self.live.back_mut().into_iter().for_each(Block::close);
                }
            },
            Event::QuestionAsked(asked) => {
                if asked.question.kind.is_for_person() {
                    self.questions.push(asked.question);
                }
                self.find_activity();
            }
            Event::QuestionAnswered(answered) => self.answer(answered.question_id, Some(answered.answer)),
            Event::QuestionWithdrawn(withdrawn) => self.answer(withdrawn.question_id, None),
            Event::TurnSuspended(_) => {
                self.is_suspended = true;
                self.find_activity();
                self.push(BlockBody::Suspended);
            }
            Event::TurnResumed(resumed) => {
                self.is_suspended = false;
                self.find_activity();
                self.push(BlockBody::Resumed { was_handed_over: resumed.was_handed_over });
            }
            Event::TurnEnded(ended) => self.end_turn(ended),
            Event::SessionRewound(rewound) => {
                let changes = vec![Change { what: "rewind", to: words::rewound(&rewound) }];
                self.push(BlockBody::Updated { actor: rewound.actor, changes });
            }
            Event::ConnectionAttempted(_)
            | Event::FilesChanged(_)
            | Event::RewindEnded(_)
            | Event::ClientToolsRegistered(_)
            | Event::Unknown(_) => {}
        }
    }

    fn find_activity(&mut self) {
        self.status.activity = match self.turn {
            None => Activity::Idle,
            Some((turn, since)) if self.is_suspended => Activity::Suspended { turn, since },
            Some((turn, since)) if self.questions.is_empty() => Activity::Running { turn, since },
            Some((turn, since)) => Activity::Waiting { turn, since },
        };
    }

    fn requeue(&mut self, changed: QueuedInputChanged) {
        let queue = &mut self.status.queue;
        let Some(at) = queue.iter().position(|queued| queued.id == changed.queued_id) else { return };
        let mut queued = queue.remove(at);
        if let Some(input) = changed.input {
            queued.input = input;
        }
        let to = changed.position.map_or(at, |to| usize::try_from(to).unwrap_or(usize::MAX));
        queue.insert(to.min(queue.len()), queued);
    }

    fn answer(&mut self, id: QuestionId, answer: Option<Answer>) {
        let Some(at) = self.questions.iter().position(|question| question.id == id) else { return };
        let item = self.questions.remove(at).item_id;
        if let Some(block) = self.block_of(item) {
            block.answer = answer;
        }
        self.find_activity();
    }

    fn end_turn(&mut self, ended: TurnEnded) {
        // Whatever was under way is over, also if its end was never told.
        self.live.iter_mut().for_each(Block::close);
        self.questions.retain(|question| question.turn_id != ended.turn_id);
        self.turn = None;
        self.is_suspended = false;
        self.find_activity();
        self.push(BlockBody::Ended(Box::new(ended)));
    }

    fn block_of(&mut self, item: ItemId) -> Option<&mut Block> {
        self.live.iter_mut().rev().find(|block| block.item_id() == Some(item))
    }

    fn grow(&mut self, item: ItemId, offset_bytes: u64, text: &str) {
        if let Some(block) = self.block_of(item).filter(|block| !block.is_final) {
            block.grow(offset_bytes, text);
        }
    }

    fn push(&mut self, body: BlockBody) {
        self.live.push_back(Block::of(body));
    }

    fn push_turn(&mut self, turn: Turn) {
        for item in turn.items {
            self.push_item(item);
        }
        if let Some(outcome) = turn.outcome {
            let duration_ms = turn.ended_at.map_or(0, |at| at.since(turn.started_at));
            let ended =
                TurnEnded { turn_id: turn.id, outcome, usage: turn.usage, cost: turn.cost, duration_ms };
            self.push(BlockBody::Ended(Box::new(ended)));
        }
    }

    fn push_item(&mut self, item: Item) {
        let block = match self.handed.items.get(&item.id) {
            Some(HandedItem::Whole) => return,
            Some(HandedItem::Part(begun)) => Block::of_item(item, begun.clone()),
            None => Block::of_item(item, Begun::default()),
        };
        self.live.push_back(block);
    }

    /// Moves what is final, up to the first block that is not, and the settled beginning of a message that grows.
    fn settle(&mut self) {
        while let Some(block) = self.live.pop_front_if(|block| block.is_final) {
            self.handed.note(&block);
            self.finished.extend(block.into_pieces());
        }
        let Some(block) = self.live.front_mut() else { return };
        let BlockBody::Message(message) = &mut block.body else { return };
        let pieces = message.take_settled();
        if !pieces.is_empty() {
            self.handed.enter(message.turn_id);
            self.handed.items.insert(message.item_id, HandedItem::Part(message.begun()));
            self.finished.extend(pieces);
        }
    }
}

impl Handed {
    fn note(&mut self, block: &Block) {
        self.is_any = true;
        let Some(turn) = block.turn_id() else { return };
        if matches!(block.body, BlockBody::Ended(_)) {
            *self = Self { ended: Some(turn), is_any: true, ..Self::default() };
        } else if let Some(item) = block.item_id() {
            self.enter(turn);
            self.items.insert(item, HandedItem::Whole);
        }
    }

    fn enter(&mut self, turn: TurnId) {
        self.is_any = true;
        if self.turn != Some(turn) {
            self.turn = Some(turn);
            self.items.clear();
        }
    }
}

#[cfg(test)]
mod attaching;
#[cfg(test)]
mod tests;

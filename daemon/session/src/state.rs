//! The fold of a session's events. `apply` is the only way a session changes; `grow` adds what is not durable
//! yet to items in progress. Knows nothing of why an event happened.
//!
//! Old turns need not be in memory: `earlier_turns` counts those that were left in the log, `prepend` adds them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use protocol::agent::AgentOrigin;
use protocol::client_tool::{ClientToolsRegistered, RegisteredTool};
use protocol::delta::Delta;
use protocol::event::{
    ConnectionAttempted, Event, EventRecord, ItemAppended, QueuedInputChanged, TurnSuspended,
};
use protocol::ids::{BlobId, ItemId, QuestionId, QueuedId, RequestId, Seq, SessionId, Timestamp, TurnId};
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::model::Usage;
use protocol::profile::Profile;
use protocol::question::{Answer, Decision, GrantScope, Question, QuestionKind};
use protocol::rewind::{FilesChanged, SessionRewound};
use protocol::session::{
    InstructionFile, ModelPrice, Presence, QueuedInput, SessionSettings, SessionSnapshot, SessionStatus,
    SessionSummary,
};
use protocol::turn::{BudgetLevel, LimitKind, Turn, TurnLimits};
use protocol::usage::Spending;

use crate::client_tools;
use crate::effect::Reply;
use crate::grants::Grants;
use crate::hooks::{HookAnswer, HookCall, Hooked};
use crate::title::title_of;
use crate::turns;

pub use crate::grants::grant_key;

/// Requests with a name that are remembered.
const MAX_REQUESTS: usize = 200;
/// Files that were changed which are remembered.
const MAX_TOUCHED: usize = 200;

/// A session as of `seq`.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionState {
    /// Its identity.
    pub id: SessionId,
    /// The last event that was folded.
    pub seq: Seq,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its last event happened.
    pub updated_at: Timestamp,
    /// What it is called.
    pub title: Option<String>,
    /// What holds in it.
    pub settings: SessionSettings,
    /// The instruction files of its folder.
    pub instructions: Vec<InstructionFile>,
    /// Where it comes from, if the model of another session started it.
    pub agent: Option<AgentOrigin>,
    /// Whether it was put away.
    pub is_archived: bool,
    /// Turns before `turns`, which are in the log only.
    pub earlier_turns: u32,
    /// The turns in memory, oldest first; the last one is always here.
    pub turns: Vec<Turn>,
    /// The turn that runs, which is the last one.
    pub running: Option<Running>,
    /// Inputs that wait.
    pub queue: VecDeque<QueuedInput>,
    /// Questions that wait.
    pub questions: Vec<Question>,
    /// The last answers, for those who come late.
    pub answered: VecDeque<(QuestionId, Answer)>,
    /// The last requests that had a name, with the place of their first event and what was answered.
    pub requests: VecDeque<(RequestId, Seq, Reply)>,
    /// Tokens spent in all.
    pub usage: Usage,
    /// Tokens that the last request of a turn took, with the answer.
    pub(crate) context_tokens: Option<u64>,
    /// All that was spent.
    pub spent: Spending,
    /// Ceilings that were warned of, and on which day.
    pub(crate) warned: BTreeMap<String, u64>,
    /// The request with a name whose events were folded last, with the place of the first one.
    pub(crate) last_request: Option<(RequestId, Seq)>,
    /// What was granted for the whole session.
    pub(crate) grants: Grants,
    /// Connections that were told of since the last turn began, by the item they are of.
    pub(crate) connections: BTreeMap<ItemId, BTreeSet<String>>,
    /// Texts of items in progress.
    pub(crate) growing: BTreeMap<ItemId, Growing>,
    /// Tools that clients have for the session.
    pub(crate) client_tools: Vec<RegisteredTool>,
    /// Turns that were taken back: the model does not see them.
    pub(crate) rewound: BTreeSet<TurnId>,
    /// The changes of a rewind whose files are not back yet.
    pub(crate) rewinding: Option<BlobId>,
    /// The files that were changed last, by calls of any kind, with the turn that did it; the newest last.
    pub(crate) touched: VecDeque<(PathBuf, TurnId)>,
}

/// What is known of the running turn beside its items.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The turn.
    pub turn_id: TurnId,
    /// The model request it is at, from 0.
    pub step: u32,
    /// What it waits for.
    pub phase: Phase,
    /// Its ceilings.
    pub limits: TurnLimits,
    /// JSON Schema of the last message.
    pub output_schema: Option<serde_json::Value>,
    /// Items that a person allowed.
    pub allowed: BTreeSet<ItemId>,
    /// Those of them about which a person was asked whether they may run outside the sandbox.
    pub(crate) let_out: BTreeSet<ItemId>,
    /// How the daemon handed the turn over, until the next one takes it up.
    pub suspended: Option<TurnSuspended>,
    /// The request before which the session was compacted last.
    pub(crate) compacted: Option<u32>,
    /// The request before which hooks did not let it be compacted.
    pub(crate) uncompacted: Option<u32>,
    /// Files that it changed and that something runs later.
    pub(crate) late: BTreeSet<PathBuf>,
    /// Milliseconds that it worked, as far as events told.
    pub(crate) worked_ms: u64,
    /// Since when it works beyond that; absent while it waits.
    pub(crate) working_since: Option<Timestamp>,
    /// Questions of tools that run, which wait in the middle.
    pub(crate) asking: BTreeSet<QuestionId>,
    /// Items whose tools were begun by this daemon; not durable.
    pub(crate) begun: BTreeSet<ItemId>,
    /// What hooks are asked, and said; not durable.
    pub(crate) hooks: Hooked,
    /// What was granted for this turn.
    grants: Grants,
}

/// What a running turn waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Hooks, on what was said.
    Prompt,
    /// The model's answer.
    Model,
    /// A summary of what was before.
    Compacting,
    /// Nothing: what was before is compacted, and the turn goes on.
    Compacted,
    /// The calls of the last answer.
    Calls,
}

/// The text of an item in progress.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Growing {
    text: String,
    /// Bytes of it that are durable.
    durable: usize,
}

/// Why a log can't be folded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The log does not begin with the session's creation.
    #[error("The log of session `{0}` does not begin with its creation")]
    NoBeginning(SessionId),
    /// A number is missing or stands twice.
    #[error("The log of session `{session}` has event {found} where {expected} was expected")]
    Gap {
        /// The session.
        session: SessionId,
        /// The number that should have come.
        expected: Seq,
        /// The number that came.
        found: Seq,
    },
}

impl SessionState {
    /// Folds a whole log.
    ///
    /// # Errors
    /// `FoldError` when the log is not whole.
    pub fn fold(id: SessionId, records: &[EventRecord]) -> Result<Self, FoldError> {
        let (first, rest) = records.split_first().ok_or(FoldError::NoBeginning(id))?;
        let mut state = Self::create(id, first)?;
        for record in rest {
            state.apply(record)?;
        }
        Ok(state)
    }

    /// The state after the first event.
    ///
    /// # Errors
    /// `NoBeginning` if that is not the session's creation.
    pub fn create(id: SessionId, first: &EventRecord) -> Result<Self, FoldError> {
        let Event::SessionCreated(created) = &first.event else { return Err(FoldError::NoBeginning(id)) };
        Ok(Self {
            id,
            seq: first.seq,
            created_at: first.at,
            updated_at: first.at,
            title: created.title.clone(),
            settings: created.settings.clone(),
            instructions: created.instructions.clone(),
            agent: created.agent.clone(),
            is_archived: false,
            earlier_turns: 0,
            turns: Vec::new(),
            running: None,
            queue: VecDeque::new(),
            questions: Vec::new(),
            answered: VecDeque::new(),
            requests: VecDeque::new(),
            usage: Usage::default(),
            context_tokens: None,
            spent: Spending::default(),
            warned: BTreeMap::new(),
            last_request: None,
            grants: Grants::default(),
            connections: BTreeMap::new(),
            growing: BTreeMap::new(),
            client_tools: Vec::new(),
            rewound: BTreeSet::new(),
            rewinding: None,
            touched: VecDeque::new(),
        })
    }

    /// Folds one event.
    ///
    /// # Errors
    /// `Gap` if it is not the next one; the state is unchanged then.
    pub fn apply(&mut self, record: &EventRecord) -> Result<(), FoldError> {
        let expected = self.seq.next();
        if record.seq != expected {
            return Err(FoldError::Gap { session: self.id, expected, found: record.seq });
        }
        self.seq = record.seq;
        self.updated_at = record.at;
        self.count_work(record);
        turns::fold(&mut self.turns, record);
        self.fold_rest(record);
        self.note_work(record.at);
        if let Some(id) = record.request_id {
            self.note_request(id, record);
        }
        Ok(())
    }

    /// What beside the turns an event changes.
    fn fold_rest(&mut self, record: &EventRecord) {
        match &record.event {
            // A second creation changes nothing: the first event is folded by `create`.
            Event::SessionCreated(_) | Event::Unknown(_) => {}
            Event::ModelRetried(retried) => {
                if let Some(usage) = retried.usage {
                    self.note_answer(retried.turn_id, usage);
                }
            }
            Event::FilesChanged(changed) => {
                self.note_touched(changed);
                if let Some(running) =
                    self.running.as_mut().filter(|running| running.turn_id == changed.turn_id)
                {
                    running.late.extend(changed.runs_later.iter().cloned());
                }
            }
            Event::SessionRewound(rewound) => self.rewind(rewound),
            Event::RewindEnded(_) => self.rewinding = None,
            Event::ClientToolsRegistered(registered) => {
                let ClientToolsRegistered { actor, tools, timeout_ms } = registered;
                self.client_tools = client_tools::merged(&self.client_tools, actor, tools, *timeout_ms);
            }
            Event::BudgetWarned(warned) => {
                let key = ceiling_key(&warned.level, &warned.limit);
                self.warned.insert(key, store::day_of(record.at));
            }
            Event::SessionUpdated(updated) => {
                self.settings = updated.settings.clone();
                // Other ceilings are warned of anew.
                self.warned.clear();
                if updated.title.is_some() {
                    self.title.clone_from(&updated.title);
                }
            }
            Event::SessionArchived(_) => self.is_archived = true,
            Event::SessionUnarchived(_) => self.is_archived = false,
            Event::InputQueued(queued) => self.queue.push_back(queued.queued.clone()),
            Event::QueuedInputChanged(changed) => self.change_queued(changed),
            Event::QueuedInputCancelled(cancelled) => self.remove_queued(cancelled.queued_id),
            Event::TurnStarted(started) => {
                if let Some(id) = started.queued_id {
                    self.remove_queued(id);
                }
                self.running = Some(Running {
                    turn_id: started.turn_id,
                    step: 0,
                    phase: Phase::Prompt,
                    limits: started.limits.clone(),
                    output_schema: started.output_schema.clone(),
                    allowed: BTreeSet::new(),
                    let_out: BTreeSet::new(),
                    suspended: None,
                    compacted: None,
                    uncompacted: None,
                    late: BTreeSet::new(),
                    worked_ms: 0,
                    working_since: None,
                    asking: BTreeSet::new(),
                    begun: BTreeSet::new(),
                    hooks: Hooked::default(),
                    grants: Grants::default(),
                });
                self.connections.clear();
                self.warned.retain(|key, _| !key.starts_with("Turn "));
            }
            Event::ModelRequested(requested) => {
                if let Some(running) = &mut self.running {
                    running.step = requested.step;
                    running.phase = Phase::Model;
                }
            }
            Event::ModelResponded(responded) => {
                self.note_answer(responded.turn_id, responded.usage);
                // What a call asked by itself does not fill the session's context, and 0 says that nobody told.
                let tokens = responded.usage.total_tokens();
                if responded.asked_by.is_none() && tokens > 0 {
                    self.context_tokens = Some(tokens);
                }
                if let Some(running) = self.running.as_mut().filter(|_| responded.asked_by.is_none()) {
                    running.phase = Phase::Calls;
                }
            }
            Event::ItemStarted(started) => {
                self.growing.insert(started.item.id, Growing::default());
                if let (ItemBody::Compaction(_), Some(running)) = (&started.item.body, &mut self.running) {
                    running.phase = Phase::Compacting;
                }
            }
            Event::ItemAppended(appended) => self.append(appended),
            Event::ItemCompleted(completed) => {
                self.growing.remove(&completed.item.id);
                self.spent.tool_calls += u64::from(is_call_made(&completed.item));
                self.note_compaction(&completed.item);
                if self.title.is_none() {
                    self.title = title_of(&completed.item);
                }
            }
            Event::QuestionAsked(asked) => {
                self.questions.push(asked.question.clone());
                if let Some(running) = self.running.as_mut().filter(|_| asked.has_begun) {
                    running.asking.insert(asked.question.id);
                }
            }
            Event::QuestionAnswered(answered) => self.answer(answered.question_id, &answered.answer),
            Event::QuestionWithdrawn(withdrawn) => {
                self.questions.retain(|question| question.id != withdrawn.question_id);
                if let Some(running) = &mut self.running {
                    running.asking.remove(&withdrawn.question_id);
                }
            }
            Event::ConnectionAttempted(attempted) => {
                let known = self.connections.entry(attempted.item_id).or_default();
                known.insert(connection_key(attempted));
            }
            Event::TurnSuspended(suspended) => self.suspend(Some(suspended.clone())),
            Event::TurnResumed(_) => self.suspend(None),
            Event::TurnEnded(_) => {
                self.running = None;
                self.growing.clear();
            }
        }
    }

    fn note_touched(&mut self, changed: &FilesChanged) {
        for path in &changed.paths {
            self.touched.retain(|(known, _)| known != path);
            self.touched.push_back((path.clone(), changed.turn_id));
        }
        let too_many = self.touched.len().saturating_sub(MAX_TOUCHED);
        self.touched.drain(..too_many);
    }

    fn note_answer(&mut self, turn_id: TurnId, usage: Usage) {
        self.usage += usage;
        let answer = answer_spending(self.settings.price.as_ref(), usage);
        self.spent += answer;
        let turn = self.turns.iter_mut().rev().find(|turn| turn.id == turn_id);
        if let Some(turn) = turn.filter(|_| answer.unpriced_requests == 0) {
            turn.cost = Some(turn.cost.unwrap_or_default() + answer.cost);
        }
    }

    fn note_compaction(&mut self, item: &Item) {
        let (ItemBody::Compaction(_), Some(running)) = (&item.body, &mut self.running) else { return };
        let noted = match item.status {
            ItemStatus::Completed => &mut running.compacted,
            ItemStatus::Declined => &mut running.uncompacted,
            ItemStatus::InProgress
            | ItemStatus::Failed
            | ItemStatus::Interrupted
            | ItemStatus::Discarded
            | ItemStatus::Unknown(_) => return,
        };
        *noted = Some(item.step);
        running.phase = Phase::Compacted;
    }

    fn rewind(&mut self, event: &SessionRewound) {
        self.rewinding.clone_from(&event.changes);
        if event.scope.has_chat() {
            for turn in &event.turns {
                if event.undoes.is_some() {
                    self.rewound.remove(turn);
                } else {
                    self.rewound.insert(*turn);
                }
            }
            self.mark_rewound();
        }
    }

    /// Tells of the turns in memory which of them were taken back.
    pub(crate) fn mark_rewound(&mut self) {
        for turn in &mut self.turns {
            turn.is_rewound = self.rewound.contains(&turn.id);
        }
    }

    fn suspend(&mut self, suspended: Option<TurnSuspended>) {
        if let Some(running) = &mut self.running {
            running.suspended = suspended;
            // Whoever takes the turn up has begun nothing.
            running.begun.clear();
            running.hooks = Hooked::default();
        }
    }

    fn change_queued(&mut self, changed: &QueuedInputChanged) {
        let Some(at) = self.queue.iter().position(|queued| queued.id == changed.queued_id) else { return };
        let Some(mut queued) = self.queue.remove(at) else { return };
        if let Some(input) = &changed.input {
            queued.input.clone_from(input);
        }
        let to = changed.position.map_or(at, |position| position as usize).min(self.queue.len());
        self.queue.insert(to, queued);
    }

    fn remove_queued(&mut self, id: QueuedId) {
        self.queue.retain(|queued| queued.id != id);
    }

    /// Keeps what a request with a name was answered. Of the events that carry the name, the first one that tells
    /// counts; but who starts a turn in an archived session asked for the turn.
    fn note_request(&mut self, id: RequestId, record: &EventRecord) {
        if let Some((.., reply)) = self.requests.iter_mut().find(|(known, ..)| *known == id) {
            if let Event::TurnStarted(started) = &record.event {
                *reply = Reply::Started { turn_id: started.turn_id };
            }
            return;
        }
        let known = self.last_request.filter(|(last, _)| *last == id);
        let (_, first) = *self.last_request.insert(known.unwrap_or((id, record.seq)));
        let Some(reply) = self.reply_of(&record.event) else { return };
        self.requests.push_back((id, first, reply));
        if self.requests.len() > MAX_REQUESTS {
            self.requests.pop_front();
        }
    }

    /// Keeps what a request with a name was answered that changed nothing, and so has no event. Durable with the header
    /// only.
    pub fn remember(&mut self, id: RequestId, reply: Reply) {
        self.requests.push_back((id, self.seq, reply));
        if self.requests.len() > MAX_REQUESTS {
            self.requests.pop_front();
        }
    }

    /// The place of the first event of a request that was carried out before.
    #[must_use]
    pub fn answered_before(&self, id: RequestId) -> Option<Seq> {
        self.requests.iter().find(|(known, ..)| *known == id).map(|(_, seq, _)| *seq)
    }

    /// What the request that led to this event was answered.
    fn reply_of(&self, event: &Event) -> Option<Reply> {
        match event {
            Event::TurnStarted(started) => Some(Reply::Started { turn_id: started.turn_id }),
            Event::InputQueued(queued) => Some(Reply::Queued {
                queued_id: queued.queued.id,
                position: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            }),
            Event::ItemCompleted(changed) => {
                let item = &changed.item;
                let is_steer = matches!(&item.body, ItemBody::UserMessage(message) if message.is_steer);
                is_steer.then_some(Reply::Steered { turn_id: item.turn_id, item_id: item.id })
            }
            Event::QuestionAnswered(answered) => Some(Reply::Answered { question_id: answered.question_id }),
            Event::TurnEnded(ended) => Some(Reply::Interrupted { turn_id: Some(ended.turn_id) }),
            Event::SessionUpdated(_)
            | Event::SessionArchived(_)
            | Event::SessionUnarchived(_)
            | Event::SessionRewound(_)
            | Event::ClientToolsRegistered(_)
            | Event::QueuedInputChanged(_)
            | Event::QueuedInputCancelled(_) => Some(Reply::Done),
            Event::SessionCreated(_)
            | Event::ModelRequested(_)
            | Event::ModelRetried(_)
            | Event::ModelResponded(_)
            | Event::ItemStarted(_)
            | Event::ItemAppended(_)
            | Event::QuestionAsked(_)
            | Event::QuestionWithdrawn(_)
            | Event::TurnSuspended(_)
            | Event::ConnectionAttempted(_)
            | Event::BudgetWarned(_)
            | Event::TurnResumed(_)
            | Event::FilesChanged(_)
            | Event::RewindEnded(_)
            | Event::Unknown(_) => None,
        }
    }

    fn append(&mut self, appended: &ItemAppended) {
        let growing = self.growing.entry(appended.item_id).or_default();
        let offset = usize::try_from(appended.offset_bytes).unwrap_or(usize::MAX);
        let end = offset.saturating_add(appended.text.len());
        // Live, the text is here already; on replay it comes from the event.
        if growing.text.len() == offset {
            growing.text.push_str(&appended.text);
        }
        growing.durable = growing.durable.max(end.min(growing.text.len()));
    }

    fn answer(&mut self, id: QuestionId, answer: &Answer) {
        let Some(at) = self.questions.iter().position(|question| question.id == id) else { return };
        let question = self.questions.remove(at);
        self.answered.push_back((id, answer.clone()));
        if self.answered.len() > 100 {
            self.answered.pop_front();
        }
        let Some(running) = &mut self.running else { return };
        let has_begun = running.asking.remove(&id);
        let Decision::Allow { scope } = &answer.decision else { return };
        if !has_begun {
            running.allowed.insert(question.item_id);
            if matches!(question.kind, QuestionKind::Command { is_escalated: true, .. }) {
                running.let_out.insert(question.item_id);
            }
        }
        match scope {
            GrantScope::Turn => running.grants.add(&question.kind),
            // A rule holds for later sessions; in this one it holds from now on, written or not.
            GrantScope::Session | GrantScope::Always => self.grants.add(&question.kind),
            // The call that asks for permissions does nothing with them itself.
            GrantScope::Once if matches!(question.kind, QuestionKind::Permissions { .. }) => {
                running.grants.add(&question.kind);
            }
            GrantScope::Once | GrantScope::Unknown(_) => {}
        }
    }

    /// Adds a piece to an item in progress.
    pub fn grow(&mut self, delta: &Delta) {
        if let Some(growing) = self.growing.get_mut(&delta.item_id)
            && growing.text.len() as u64 == delta.offset_bytes
        {
            growing.text.push_str(&delta.text);
        }
    }

    /// The text of an item in progress so far.
    #[must_use]
    pub fn text_so_far(&self, item: ItemId) -> &str {
        self.growing.get(&item).map_or("", |growing| &growing.text)
    }

    /// Texts that grew since they were last durable.
    #[must_use]
    pub fn unsaved(&self) -> Vec<ItemAppended> {
        self.growing
            .iter()
            .filter(|(_, growing)| growing.durable < growing.text.len())
            .map(|(item_id, growing)| ItemAppended {
                item_id: *item_id,
                offset_bytes: growing.durable as u64,
                text: growing.text[growing.durable..].to_owned(),
            })
            .collect()
    }

    /// The running turn.
    #[must_use]
    pub fn current(&self) -> Option<(&Running, &Turn)> {
        self.running.as_ref().zip(self.turns.last())
    }

    /// An item of the running turn.
    #[must_use]
    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.current()?.1.items.iter().rev().find(|item| item.id == id)
    }

    /// Whether a person allowed such a thing for this turn or session.
    #[must_use]
    pub fn is_granted(&self, kind: &QuestionKind) -> bool {
        let in_turn = self.running.as_ref().is_some_and(|running| running.grants.cover(kind));
        in_turn || self.grants.cover(kind)
    }

    /// Whether a person let this very item of the running turn leave the sandbox.
    pub(crate) fn is_let_out(&self, item: ItemId) -> bool {
        self.running.as_ref().is_some_and(|running| running.let_out.contains(&item))
    }

    /// What was granted for this turn and session.
    pub(crate) fn all_grants(&self) -> Grants {
        let mut grants = self.grants.clone();
        if let Some(running) = &self.running {
            grants.extend(&running.grants);
        }
        grants
    }

    /// Gives a profile what was granted for this turn and session.
    pub(crate) fn widen(&self, profile: &mut Profile) {
        self.grants.widen(profile);
        if let Some(running) = &self.running {
            running.grants.widen(profile);
        }
    }

    /// Notes that an item's tool begins. Not durable: after a restart it may have begun, and is not begun again.
    pub fn begin(&mut self, item: ItemId) {
        if let Some(running) = &mut self.running {
            running.begun.insert(item);
        }
    }

    /// Notes that hooks are asked. Not durable: after a restart they are asked again.
    pub fn begin_hooks(&mut self, call: &HookCall) {
        if let Some(running) = self.running.as_mut().filter(|running| running.turn_id == call.turn_id()) {
            running.hooks.begin(call);
        }
    }

    /// Notes what hooks said. Not durable.
    pub fn end_hooks(&mut self, call: &HookCall, answer: &HookAnswer) {
        if let Some(running) = self.running.as_mut().filter(|running| running.turn_id == call.turn_id()) {
            running.hooks.end(call, answer);
        }
    }

    /// Whether an item waits for somebody's leave before it begins.
    #[must_use]
    pub fn waits_for_leave(&self, item: ItemId) -> bool {
        let asking = |id| self.running.as_ref().is_some_and(|running| running.asking.contains(id));
        self.questions.iter().any(|question| question.item_id == item && !asking(&question.id))
    }

    /// An item as people should see it: in progress with its text so far.
    #[must_use]
    pub fn with_text_so_far(&self, item: &Item) -> Item {
        let mut item = item.clone();
        if item.status == ItemStatus::InProgress {
            let text = self.text_so_far(item.id).to_owned();
            match &mut item.body {
                ItemBody::AgentMessage(message) => message.text = text,
                ItemBody::Reasoning(reasoning) => reasoning.summary = text,
                ItemBody::Compaction(compaction) => compaction.summary = text,
                ItemBody::Command(command) => command.output_so_far = text,
                ItemBody::UserMessage(_)
                | ItemBody::FileChange(_)
                | ItemBody::ToolCall(_)
                | ItemBody::Plan(_)
                | ItemBody::Notice(_)
                | ItemBody::WebSearch(_)
                | ItemBody::Agent(_)
                | ItemBody::Review(_)
                | ItemBody::Unknown(_) => {}
            }
        }
        item
    }

    /// What the session is doing.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        match &self.running {
            Some(running) if self.questions.is_empty() => SessionStatus::Running { turn_id: running.turn_id },
            Some(running) => SessionStatus::Waiting { turn_id: running.turn_id },
            // Nothing may begin until the files are back, and a daemon that starts sees to it.
            None if self.rewinding.is_some() => self
                .turns
                .last()
                .map_or(SessionStatus::Idle, |turn| SessionStatus::Running { turn_id: turn.id }),
            None if self.is_archived => SessionStatus::Archived,
            None => SessionStatus::Idle,
        }
    }

    /// The session in a list.
    #[must_use]
    pub fn summary(&self) -> SessionSummary {
        SessionSummary {
            id: self.id,
            title: self.title.clone(),
            status: self.status(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            seq: self.seq,
            turn_count: self.turn_count(),
            usage: self.usage,
            settings: self.settings.clone(),
            agent: self.agent.clone(),
            background: Vec::new(),
        }
    }

    /// How many turns there are.
    #[must_use]
    pub fn turn_count(&self) -> u32 {
        self.earlier_turns.saturating_add(u32::try_from(self.turns.len()).unwrap_or(u32::MAX))
    }

    /// Adds the turns that were left in the log.
    pub fn prepend(&mut self, mut earlier: Vec<Turn>) {
        earlier.append(&mut self.turns);
        self.turns = earlier;
        self.earlier_turns = 0;
        self.mark_rewound();
    }

    /// All that a client needs: `limit` turns, `skip` from the end; of those that are in memory.
    #[must_use]
    pub fn snapshot(&self, skip: usize, limit: usize, presence: Presence) -> SessionSnapshot {
        let end = self.turns.len().saturating_sub(skip);
        let start = end.saturating_sub(limit);
        let turns = self.turns[start..end]
            .iter()
            .map(|turn| Turn {
                items: turn.items.iter().map(|item| self.with_text_so_far(item)).collect(),
                ..turn.clone()
            })
            .collect();
        SessionSnapshot {
            summary: self.summary(),
            turns,
            earlier_turns: self.earlier_turns.saturating_add(u32::try_from(start).unwrap_or(u32::MAX)),
            questions: self.questions.clone(),
            queue: self.queue.iter().cloned().collect(),
            presence,
            context_tokens: self.context_tokens,
        }
    }
}

/// What an answer of a model adds to what was spent.
pub(crate) fn answer_spending(price: Option<&ModelPrice>, usage: Usage) -> Spending {
    Spending {
        requests: 1,
        unpriced_requests: u64::from(price.is_none()),
        untold_requests: u64::from(usage == Usage::default()),
        tool_calls: 0,
        time_ms: 0,
        usage,
        cost: price.map_or(0.0, |price| price.cost(&usage)),
    }
}

/// Whether an item is a call that was carried out, or failed at it.
pub(crate) fn is_call_made(item: &Item) -> bool {
    item.body.call().is_some()
        && matches!(item.status, ItemStatus::Completed | ItemStatus::Failed | ItemStatus::Interrupted)
}

/// Names a ceiling.
pub(crate) fn ceiling_key(level: &BudgetLevel, limit: &LimitKind) -> String {
    format!("{level:?} {limit:?}")
}

/// What makes two connections of one item the same.
pub(crate) fn connection_key(attempted: &ConnectionAttempted) -> String {
    let ConnectionAttempted { protocol, host, port, is_allowed, .. } = attempted;
    format!("{protocol:?} {host} {port} {is_allowed}")
}

/// Whether a log makes sense, for those who look for damage.
///
/// # Errors
/// What is wrong with it.
pub fn folds(id: SessionId, records: &[EventRecord]) -> Result<(), String> {
    if records.is_empty() {
        return Ok(());
    }
    SessionState::fold(id, records).map(drop).map_err(|error| error.to_string())
}

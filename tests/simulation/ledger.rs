//! A session's log on the disk, its fold, and what must hold of every log, whatever happens: checked event by event,
//! as it is written.

use std::collections::BTreeSet;

use protocol::event::{Event, EventRecord, TurnEnded};
use protocol::ids::{ItemId, QuestionId, RequestId, Seq, SessionId, TurnId};
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::session::{AfterCrash, SessionSummary};
use protocol::turn::{InterruptReason, TurnOutcome};
use session::state::{Phase, SessionState};
use store::Checkpoint;

/// A session on the disk.
pub(crate) struct Ledger {
    pub(crate) records: Vec<EventRecord>,
    /// The fold of all of `records`.
    pub(crate) state: SessionState,
    pub(crate) summary: Option<SessionSummary>,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// The last event before each start of the daemon.
    starts: Vec<Seq>,
    turns: BTreeSet<TurnId>,
    items: BTreeSet<ItemId>,
    questions: BTreeSet<QuestionId>,
    requests: BTreeSet<RequestId>,
}

impl Ledger {
    /// A log with its first event.
    pub(crate) fn begin(id: SessionId, first: &EventRecord) -> Result<Self, String> {
        let state = SessionState::create(id, first).map_err(|error| error.to_string())?;
        Ok(Self {
            records: vec![first.clone()],
            state,
            summary: None,
            checkpoint: None,
            starts: Vec::new(),
            turns: BTreeSet::new(),
            items: BTreeSet::new(),
            questions: BTreeSet::new(),
            requests: BTreeSet::new(),
        })
    }

    /// Adds an event that is the next one.
    pub(crate) fn push(&mut self, record: &EventRecord) -> Result<(), String> {
        let wrong = |error: String| format!("event {}: {error}", record.seq);
        self.check(record).map_err(wrong)?;
        self.state.apply(record).map_err(|error| wrong(error.to_string()))?;
        self.records.push(record.clone());
        if let Event::TurnEnded(ended) = &record.event {
            self.check_end(ended).map_err(wrong)?;
        }
        Ok(())
    }

    /// The log up to an event, folded.
    pub(crate) fn fold_at(&self, seq: Seq) -> SessionState {
        let upto = usize::try_from(seq.0).unwrap().min(self.records.len());
        SessionState::fold(self.state.id, &self.records[..upto]).unwrap()
    }

    /// An event.
    pub(crate) fn record(&self, seq: Seq) -> Option<&EventRecord> {
        self.records.get(usize::try_from(seq.0).unwrap().checked_sub(1)?)
    }

    /// A daemon starts on the log as it is.
    pub(crate) fn note_start(&mut self) {
        self.starts.push(self.state.seq);
    }

    /// How the session was compacted.
    pub(crate) fn compactions(&self) -> impl Iterator<Item = &'static str> {
        self.records.iter().filter_map(|record| {
            let Event::ItemCompleted(completed) = &record.event else { return None };
            let ItemBody::Compaction(compaction) = &completed.item.body else { return None };
            Some(match completed.item.status {
                ItemStatus::Completed if compaction.opaque.is_empty() => "compactions by the model",
                ItemStatus::Completed => "compactions by the provider",
                _ => "compactions that failed",
            })
        })
    }

    fn check(&mut self, record: &EventRecord) -> Result<(), String> {
        self.check_request(record)?;
        self.check_turn(&record.event)?;
        let state = &self.state;
        match &record.event {
            Event::TurnStarted(started) => {
                if let Some(running) = &state.running {
                    return Err(format!("a turn begins while `{}` runs", running.turn_id));
                }
                let is_first = |id| state.queue.front().is_some_and(|queued| queued.id == id);
                if started.queued_id.is_some_and(|id| !is_first(id)) {
                    return Err("a turn begins with an input that is not the first of the queue".to_owned());
                }
                is_new(self.turns.insert(started.turn_id), "turn")
            }
            Event::InputQueued(queued) => {
                is_new(state.queue.iter().all(|known| known.id != queued.queued.id), "queued input")
            }
            Event::QueuedInputChanged(changed) => self.check_queued(changed.queued_id),
            Event::QueuedInputCancelled(cancelled) => self.check_queued(cancelled.queued_id),
            Event::ModelRequested(_) => match state.item_in_progress() {
                Some(item) => Err(format!("the model is asked while item `{}` is in progress", item.id)),
                None => Ok(()),
            },
            Event::ItemStarted(started) => is_new(self.items.insert(started.item.id), "item"),
            Event::ItemAppended(appended) => {
                let durable = state.text_so_far(appended.item_id).len() as u64;
                match state.item(appended.item_id) {
                    Some(item)
                        if item.status == ItemStatus::InProgress && appended.offset_bytes == durable =>
                    {
                        Ok(())
                    }
                    Some(_) | None => Err("a piece does not go on with an item in progress".to_owned()),
                }
            }
            Event::ItemCompleted(completed) => self.check_completed(&completed.item),
            Event::QuestionAsked(asked) => {
                let item_id = asked.question.item_id;
                if !asked.has_begun && state.waits_for_leave(item_id) {
                    return Err(format!("two questions about item `{item_id}`"));
                }
                is_new(self.questions.insert(asked.question.id), "question")
            }
            Event::QuestionAnswered(answered) => self.check_open(answered.question_id),
            Event::QuestionWithdrawn(withdrawn) => self.check_open(withdrawn.question_id),
            Event::SessionCreated(_) => Err("a second creation".to_owned()),
            Event::SessionUpdated(_)
            | Event::SessionArchived(_)
            | Event::SessionUnarchived(_)
            | Event::ModelRetried(_)
            | Event::ModelResponded(_)
            | Event::TurnSuspended(_)
            | Event::ConnectionAttempted(_)
            | Event::BudgetWarned(_)
            | Event::TurnResumed(_)
            | Event::TurnEnded(_)
            | Event::FilesChanged(_)
            | Event::SessionRewound(_)
            | Event::RewindEnded(_)
            | Event::ClientToolsRegistered(_)
            | Event::Unknown(_) => Ok(()),
        }
    }

    /// What one request made stands together, once.
    fn check_request(&mut self, record: &EventRecord) -> Result<(), String> {
        let Some(id) = record.request_id else { return Ok(()) };
        let is_more = self.records.last().is_some_and(|last| last.request_id == Some(id));
        if !self.requests.insert(id) && !is_more {
            return Err(format!("request `{id}` was carried out twice"));
        }
        Ok(())
    }

    /// What belongs to a turn comes while it runs: what ended stays ended.
    fn check_turn(&self, event: &Event) -> Result<(), String> {
        let running = self.state.running.as_ref().map(|running| running.turn_id);
        match turn_of(event) {
            Some(id) if running != Some(id) => {
                Err(format!("something happens in turn `{id}`, which does not run"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_completed(&mut self, item: &Item) -> Result<(), String> {
        let Some(known) = self.state.item(item.id) else {
            return is_new(self.items.insert(item.id), "item");
        };
        let was_open = known.status == ItemStatus::InProgress;
        if item.status == ItemStatus::InProgress || (!was_open && item.status != ItemStatus::Discarded) {
            return Err(format!("item `{}` was {:?} and becomes {:?}", item.id, known.status, item.status));
        }
        Ok(())
    }

    fn check_queued(&self, id: protocol::ids::QueuedId) -> Result<(), String> {
        let waits = self.state.queue.iter().any(|queued| queued.id == id);
        if waits { Ok(()) } else { Err(format!("input `{id}` does not wait")) }
    }

    fn check_open(&self, id: QuestionId) -> Result<(), String> {
        let waits = self.state.questions.iter().any(|question| question.id == id);
        if waits { Ok(()) } else { Err(format!("question `{id}` does not wait")) }
    }

    /// A turn that ended leaves nothing open.
    fn check_end(&self, ended: &TurnEnded) -> Result<(), String> {
        let turn = self.state.turns.last().filter(|turn| turn.id == ended.turn_id);
        let is_open = |item: &Item| item.status == ItemStatus::InProgress;
        if turn.is_none_or(|turn| turn.items.iter().any(is_open)) || !self.state.questions.is_empty() {
            return Err(format!("turn `{}` ended and left something open", ended.turn_id));
        }
        Ok(())
    }

    /// What became of the turns that ran when a daemon went: they wait, go on or were interrupted, as the settings
    /// say.
    pub(crate) fn check_starts(&self) -> Result<(), String> {
        self.starts.iter().try_for_each(|start| self.check_start(*start))
    }

    /// What was declined or void was never carried out, and what was carried out was called once.
    pub(crate) fn check_calls(&self, had_effect: impl Fn(&str) -> bool) -> Result<(), String> {
        for item in self.state.turns.iter().flat_map(|turn| &turn.items) {
            let Some(call) = item.body.call() else { continue };
            let has_run = had_effect(&call.call_id);
            match item.status {
                ItemStatus::Declined | ItemStatus::Discarded if has_run => {
                    return Err(format!("call `{}` is {:?} and was carried out", call.call_id, item.status));
                }
                ItemStatus::Completed if !has_run => {
                    return Err(format!("call `{}` is completed and was never carried out", call.call_id));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_start(&self, start: Seq) -> Result<(), String> {
        let before = self.fold_at(start);
        let Some(running) = &before.running else { return Ok(()) };
        let after = &self.records[usize::try_from(start.0).unwrap()..];
        let Some(next) = after.first() else { return Ok(()) };
        let was_handed_over = running.suspended.is_some();
        if running.phase == Phase::Calls && !before.questions.is_empty() {
            return Ok(());
        }
        if was_handed_over || before.settings.after_crash == AfterCrash::Continue {
            return match &next.event {
                Event::TurnResumed(resumed) if resumed.was_handed_over == was_handed_over => Ok(()),
                other => Err(format!("after event {start} the turn should go on, and there is {other:?}")),
            };
        }
        let end = after.iter().find(|record| {
            // The answer that was cut off counts, though nobody told what it took.
            let is_beside = matches!(
                record.event,
                Event::ItemCompleted(_) | Event::QuestionWithdrawn(_) | Event::ModelResponded(_)
            );
            !is_beside
        });
        match end.map(|record| &record.event) {
            Some(Event::TurnEnded(TurnEnded {
                outcome: TurnOutcome::Interrupted { reason: InterruptReason::DaemonStopped, .. },
                ..
            })) => Ok(()),
            other => {
                Err(format!("after event {start} the turn should be interrupted, and there is {other:?}"))
            }
        }
    }
}

/// Says what is not new.
fn is_new(is_new: bool, what: &str) -> Result<(), String> {
    if is_new { Ok(()) } else { Err(format!("a {what} that was there before")) }
}

/// The turn that an event needs to be running.
fn turn_of(event: &Event) -> Option<TurnId> {
    match event {
        Event::ModelRequested(event) => Some(event.turn_id),
        Event::ModelRetried(event) => Some(event.turn_id),
        Event::ModelResponded(event) => Some(event.turn_id),
        Event::ItemStarted(event) | Event::ItemCompleted(event) => Some(event.item.turn_id),
        Event::QuestionAsked(event) => Some(event.question.turn_id),
        Event::TurnSuspended(event) => Some(event.turn_id),
        Event::TurnResumed(event) => Some(event.turn_id),
        Event::TurnEnded(event) => Some(event.turn_id),
        Event::BudgetWarned(event) => Some(event.turn_id),
        Event::ConnectionAttempted(_)
        | Event::SessionCreated(_)
        | Event::SessionUpdated(_)
        | Event::SessionArchived(_)
        | Event::SessionUnarchived(_)
        | Event::InputQueued(_)
        | Event::QueuedInputChanged(_)
        | Event::QueuedInputCancelled(_)
        | Event::TurnStarted(_)
        | Event::ItemAppended(_)
        | Event::QuestionAnswered(_)
        | Event::QuestionWithdrawn(_)
        | Event::FilesChanged(_)
        | Event::SessionRewound(_)
        | Event::RewindEnded(_)
        | Event::ClientToolsRegistered(_)
        | Event::Unknown(_) => None,
    }
}

/// What the checks ask of a state.
trait InProgress {
    fn item_in_progress(&self) -> Option<&Item>;
}

impl InProgress for SessionState {
    fn item_in_progress(&self) -> Option<&Item> {
        let (_, turn) = self.current()?;
        turn.items.iter().find(|item| item.status == ItemStatus::InProgress)
    }
}

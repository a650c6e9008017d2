//! How long a session worked: from the start of a turn to its end, less what the turn waits for an answer or for a
//! daemon. Folded from the times of events, so that it is the same after a restart. What goes on since the last event
//! that told of work is known by the clock only.

use protocol::event::{Event, EventRecord};
use protocol::ids::Timestamp;
use protocol::item::ItemStatus;
use protocol::turn::{InterruptReason, TurnFailure, TurnOutcome};

use crate::state::SessionState;

impl SessionState {
    /// Since when the turn works without an event that told of it; nothing while it waits.
    pub(crate) fn working_since(&self) -> Option<Timestamp> {
        self.running.as_ref()?.working_since
    }

    /// Milliseconds that the turn works since then.
    pub(crate) fn working_ms(&self, now: Timestamp) -> u64 {
        self.working_since().map_or(0, |since| now.since(since))
    }

    /// Counts the work that an event tells of. Comes before the event is folded.
    pub(crate) fn count_work(&mut self, record: &EventRecord) {
        let worked = self.working_ms(record.at);
        let Some(running) = self.running.as_mut().filter(|running| running.working_since.is_some()) else {
            return;
        };
        if matches!(record.event, Event::TurnResumed(_)) {
            // The daemon before died, and nobody knows when it did.
            running.working_since = None;
        } else if tells_of_work(&record.event) {
            running.working_since = Some(record.at);
            running.worked_ms = running.worked_ms.saturating_add(worked);
            self.spent.time_ms = self.spent.time_ms.saturating_add(worked);
        }
    }

    /// Notes whether the turn works from now on. Comes after an event was folded.
    pub(crate) fn note_work(&mut self, at: Timestamp) {
        let waits = !self.questions.is_empty();
        if let Some(running) = &mut self.running {
            let works = !waits && running.suspended.is_none();
            running.working_since = works.then(|| running.working_since.unwrap_or(at));
        }
    }
}

/// Whether a daemon that lives wrote this while the turn worked. What the next one writes after a crash does not tell how
/// long the one before it lived.
fn tells_of_work(event: &Event) -> bool {
    match event {
        Event::ModelResponded(_)
        | Event::ModelRetried(_)
        | Event::ItemAppended(_)
        | Event::QuestionAsked(_)
        | Event::TurnSuspended(_) => true,
        Event::ItemCompleted(completed) => {
            completed.item.body.call().is_some() && completed.item.status != ItemStatus::Interrupted
        }
        Event::TurnEnded(ended) => !matches!(
            ended.outcome,
            TurnOutcome::Interrupted { reason: InterruptReason::DaemonStopped, .. }
                | TurnOutcome::Failed { failure: TurnFailure::Storage { .. } }
        ),
        Event::SessionCreated(_)
        | Event::SessionUpdated(_)
        | Event::SessionArchived(_)
        | Event::SessionUnarchived(_)
        | Event::SessionRewound(_)
        | Event::RewindEnded(_)
        | Event::ClientToolsRegistered(_)
        | Event::InputQueued(_)
        | Event::QueuedInputChanged(_)
        | Event::QueuedInputCancelled(_)
        | Event::TurnStarted(_)
        | Event::TurnResumed(_)
        | Event::ModelRequested(_)
        | Event::ItemStarted(_)
        | Event::QuestionAnswered(_)
        | Event::QuestionWithdrawn(_)
        | Event::ConnectionAttempted(_)
        | Event::BudgetWarned(_)
        | Event::FilesChanged(_)
        | Event::Unknown(_) => false,
    }
}

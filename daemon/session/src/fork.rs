//! A session that begins as another one was: the turns of a log up to a place, as events of a log of its own. What was
//! taken back, what is not over and what waits stays behind, and so do leaves that were given for the other session.
//! Pure; knows nothing of where logs are.

use std::collections::{BTreeSet, HashSet};

use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::{Event, EventRecord, QuestionAnswered, TurnStarted};
use protocol::ids::{BlobId, QuestionId, Seq, SessionId, Timestamp, TurnId};
use protocol::question::{Answer, Decision, GrantScope};
use protocol::session::{InstructionFile, SessionSettings};
use serde_json::Value;

use crate::state::SessionState;

/// What a session has of another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Fork {
    /// What the other one is called.
    pub title: Option<String>,
    /// What holds in it.
    pub settings: SessionSettings,
    /// What it was told of instruction files.
    pub instructions: Vec<InstructionFile>,
    /// What happened in the turns, and when.
    pub events: Vec<(Timestamp, Event)>,
    /// Payloads that these refer to.
    pub blobs: BTreeSet<BlobId>,
}

/// The turns of a log that are over, up to and with the one that is named, or all.
///
/// # Errors
/// `NotFound` if there is no such turn, `Conflict` if it was taken back or is not over, `Internal` if the log is not
/// whole.
pub fn fork(id: SessionId, records: &[EventRecord], until: Option<TurnId>) -> Result<Fork, ProtocolError> {
    let state = SessionState::fold(id, records)
        .map_err(|error| ProtocolError::new(ErrorCode::Internal, error.to_string()))?;
    let last = match until {
        None => state.turns.len(),
        Some(turn) => {
            let Some(at) = state.turns.iter().position(|known| known.id == turn) else {
                return Err(ProtocolError::new(
                    ErrorCode::NotFound,
                    format!("There is no turn `{turn}` in it"),
                ));
            };
            let known = &state.turns[at];
            if known.is_rewound || known.outcome.is_none() {
                let what = if known.is_rewound { "was taken back" } else { "is not over" };
                return Err(ProtocolError::new(ErrorCode::Conflict, format!("The turn `{turn}` {what}")));
            }
            at + 1
        }
    };
    let kept: HashSet<TurnId> = state.turns[..last]
        .iter()
        .filter(|turn| !turn.is_rewound && turn.outcome.is_some())
        .map(|turn| turn.id)
        .collect();
    let mut events = Vec::new();
    let mut blobs = BTreeSet::new();
    let mut asked = HashSet::new();
    for record in records {
        let Some(event) = copied(&record.event, &kept, &mut asked) else { continue };
        if let Event::ItemCompleted(changed) = &event
            && let Ok(item) = serde_json::to_value(&changed.item.body)
        {
            find_blobs(&item, &mut blobs);
        }
        events.push((record.at, event));
    }
    let SessionState { title, settings, instructions, .. } = state;
    Ok(Fork { title, settings, instructions, events, blobs })
}

impl Fork {
    /// The events as records of a log, from a place on.
    pub(crate) fn records(self, first: Seq) -> Vec<EventRecord> {
        let numbered = (first.0..).map(Seq).zip(self.events);
        numbered.map(|(seq, (at, event))| EventRecord { seq, at, request_id: None, event }).collect()
    }
}

/// The event as the other log has it, if it does.
fn copied(event: &Event, kept: &HashSet<TurnId>, asked: &mut HashSet<QuestionId>) -> Option<Event> {
    let is_kept = match event {
        Event::TurnStarted(started) => {
            let started = TurnStarted { queued_id: None, ..started.clone() };
            return kept.contains(&started.turn_id).then_some(Event::TurnStarted(started));
        }
        Event::QuestionAnswered(answered) => {
            let decision = match &answered.answer.decision {
                // A leave holds in the session for which it was given.
                Decision::Allow { .. } => Decision::Allow { scope: GrantScope::Once },
                other @ (Decision::Deny { .. }
                | Decision::Reply { .. }
                | Decision::Content { .. }
                | Decision::Unknown(_)) => other.clone(),
            };
            let answer = Answer { decision, ..answered.answer.clone() };
            let answered = QuestionAnswered { answer, ..answered.clone() };
            return asked.contains(&answered.question_id).then_some(Event::QuestionAnswered(answered));
        }
        Event::QuestionAsked(question) => {
            let is_kept = kept.contains(&question.question.turn_id);
            if is_kept {
                asked.insert(question.question.id);
            }
            is_kept
        }
        Event::QuestionWithdrawn(withdrawn) => asked.contains(&withdrawn.question_id),
        Event::ModelRequested(requested) => kept.contains(&requested.turn_id),
        Event::ModelRetried(retried) => kept.contains(&retried.turn_id),
        Event::ModelResponded(responded) => kept.contains(&responded.turn_id),
        Event::ItemStarted(changed) | Event::ItemCompleted(changed) => kept.contains(&changed.item.turn_id),
        Event::TurnEnded(ended) => kept.contains(&ended.turn_id),
        Event::SessionCreated(_)
        | Event::SessionUpdated(_)
        | Event::SessionArchived(_)
        | Event::SessionUnarchived(_)
        | Event::InputQueued(_)
        | Event::QueuedInputChanged(_)
        | Event::QueuedInputCancelled(_)
        | Event::ItemAppended(_)
        | Event::TurnSuspended(_)
        | Event::TurnResumed(_)
        | Event::ConnectionAttempted(_)
        | Event::BudgetWarned(_)
        // Files are taken back by the session that changed them.
        | Event::FilesChanged(_)
        | Event::SessionRewound(_)
        | Event::RewindEnded(_)
        | Event::Unknown(_) => false,
        // They are the same client's here, which alone answers for them.
        Event::ClientToolsRegistered(_) => true,
    };
    is_kept.then(|| event.clone())
}

fn find_blobs(value: &Value, found: &mut BTreeSet<BlobId>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(blob) if name == "blob" => {
                        found.insert(BlobId(blob.clone()));
                    }
                    value => find_blobs(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| find_blobs(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;

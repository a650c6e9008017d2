//! What an agent is doing, by its session as it stands in memory or in the store.

use protocol::agent::AgentStatus;
use protocol::item::ItemStatus;
use protocol::question::Question;
use protocol::session::{SessionSnapshot, SessionStatus};
use protocol::turn::{InterruptReason, Turn, TurnFailure, TurnOutcome};

/// What it is doing, or how its last turn ended; with what it said last, why it did not come so far, or what it waits
/// for.
pub(crate) fn of(snapshot: &SessionSnapshot) -> (AgentStatus, Option<String>) {
    let last = snapshot.turns.last();
    match &snapshot.summary.status {
        SessionStatus::Running { .. } => (AgentStatus::Running, None),
        SessionStatus::Waiting { .. } => (AgentStatus::Waiting, snapshot.questions.first().map(asked)),
        SessionStatus::Archived => (AgentStatus::Closed, last.and_then(said_last)),
        SessionStatus::Damaged { reason } => (AgentStatus::Closed, Some(reason.clone())),
        SessionStatus::Idle | SessionStatus::Unknown(_) => match last {
            Some(turn) => ended(turn),
            None => (AgentStatus::Interrupted, Some("It never began: Skein ended before".to_owned())),
        },
    }
}

/// How a turn ended.
pub(crate) fn ended(turn: &Turn) -> (AgentStatus, Option<String>) {
    match &turn.outcome {
        None => (AgentStatus::Running, None),
        Some(TurnOutcome::Completed) => (AgentStatus::Completed, said_last(turn)),
        Some(TurnOutcome::Failed { failure }) => (AgentStatus::Failed, Some(why(failure))),
        Some(TurnOutcome::Interrupted { reason, .. }) => {
            let why = match reason {
                InterruptReason::Requested => return (AgentStatus::Interrupted, said_last(turn)),
                InterruptReason::Unanswered => "It asked, and nobody was there who could answer".to_owned(),
                InterruptReason::DaemonStopped => "Skein was stopped in the middle".to_owned(),
                InterruptReason::Unknown(reason) => reason.clone(),
            };
            (AgentStatus::Interrupted, Some(why))
        }
        Some(TurnOutcome::LimitReached { message, .. }) => (AgentStatus::LimitReached, Some(message.clone())),
        Some(TurnOutcome::Unknown(outcome)) => (AgentStatus::Unknown(outcome.to_string()), None),
    }
}

/// What a question is about, for a person.
pub(crate) fn asked(question: &Question) -> String {
    question.reason.clone()
}

fn said_last(turn: &Turn) -> Option<String> {
    let said = turn.items.iter().rev().filter(|item| item.status != ItemStatus::Discarded);
    let mut texts = said.filter_map(|item| item.body.agent_message()).map(|message| &message.text);
    texts.find(|text| !text.trim().is_empty()).cloned()
}

fn why(failure: &TurnFailure) -> String {
    match failure {
        TurnFailure::Provider(failure) => failure.message.clone(),
        TurnFailure::ModelStopped { reason } => format!("Its model stopped early: {reason}"),
        TurnFailure::Loop { tool, repetitions } => {
            format!("It called `{tool}` {repetitions} times in a row with the same arguments and outcome")
        }
        TurnFailure::Hook { reason } => format!("A hook ended it: {reason}"),
        TurnFailure::Storage { message } | TurnFailure::Internal { message } => message.clone(),
        TurnFailure::Unknown(failure) => failure.to_string(),
    }
}

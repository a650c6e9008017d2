//! Prompts that wait for the end of their turns, and what an end is in the editor's words.

use client::Said;
use protocol::ids::{QueuedId, TurnId};
use protocol::item::NoticeLevel;
use protocol::model::ProviderFailureKind;
use protocol::turn::{InterruptReason, LimitKind, TurnFailure, TurnOutcome};
use serde_json::{Value, json};
use view::words;

use crate::rpc::RpcError;

/// The prompts of one session, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Prompts {
    waiting: Vec<(Value, Said)>,
}

/// How a prompt ends.
#[derive(Debug, PartialEq)]
pub(crate) struct Ending {
    /// The answer to it.
    pub(crate) answer: Result<Value, RpcError>,
    /// What the person should know beyond that.
    pub(crate) notice: Option<(NoticeLevel, String)>,
}

impl Prompts {
    /// A prompt was taken.
    pub(crate) fn add(&mut self, request: Value, place: Said) {
        self.waiting.push((request, place));
    }

    /// A turn began with what was queued.
    pub(crate) fn started(&mut self, turn: TurnId, queued: Option<QueuedId>) {
        for (_, place) in &mut self.waiting {
            if queued.is_some_and(|queued| *place == Said::Queued(queued)) {
                *place = Said::Begun(turn);
            }
        }
    }

    /// Takes those that were at a place.
    pub(crate) fn take_at(&mut self, place: Said) -> Vec<Value> {
        let (taken, left) = std::mem::take(&mut self.waiting).into_iter().partition(|(_, at)| *at == place);
        self.waiting = left;
        let taken: Vec<(Value, Said)> = taken;
        taken.into_iter().map(|(request, _)| request).collect()
    }

    /// Takes all.
    pub(crate) fn take_all(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.waiting).into_iter().map(|(request, _)| request).collect()
    }

    /// Where they are, in the order they came.
    pub(crate) fn places(&self) -> Vec<Said> {
        self.waiting.iter().map(|(_, place)| *place).collect()
    }

    /// Where the prompt of this request is.
    pub(crate) fn place_of(&self, request: &Value) -> Option<Said> {
        self.waiting.iter().find(|(waiting, _)| waiting == request).map(|(_, place)| *place)
    }
}

/// The answer to a prompt that was stopped.
pub(crate) fn cancelled() -> Value {
    stopped("cancelled")
}

/// The answer to a prompt that was carried out.
pub(crate) fn done() -> Value {
    stopped("end_turn")
}

/// How a prompt ends whose turn ended so.
pub(crate) fn ending(outcome: &TurnOutcome) -> Ending {
    let text = words::ending(outcome).unwrap_or_default();
    let told =
        |reason| Ending { answer: Ok(stopped(reason)), notice: Some((NoticeLevel::Warning, text.clone())) };
    let failed =
        |error: RpcError| Ending { answer: Err(error.with_hint(words::ending_hint(outcome))), notice: None };
    match outcome {
        TurnOutcome::Completed => Ending { answer: Ok(done()), notice: None },
        TurnOutcome::Interrupted { reason: InterruptReason::Requested, .. } => {
            Ending { answer: Ok(cancelled()), notice: None }
        }
        TurnOutcome::Interrupted {
            reason: InterruptReason::Unanswered | InterruptReason::DaemonStopped | InterruptReason::Unknown(_),
            ..
        } => told("cancelled"),
        TurnOutcome::LimitReached { limit, .. } => match limit {
            LimitKind::Tokens | LimitKind::Cost => told("max_tokens"),
            LimitKind::ToolCalls | LimitKind::Deadline | LimitKind::Time | LimitKind::Unknown(_) => {
                told("max_turn_requests")
            }
        },
        TurnOutcome::Failed { failure } => match failure {
            TurnFailure::ModelStopped { reason } => {
                if is_length(reason) {
                    told("max_tokens")
                } else {
                    told("refusal")
                }
            }
            TurnFailure::Hook { .. } => told("refusal"),
            TurnFailure::Loop { .. } => told("max_turn_requests"),
            TurnFailure::Provider(failure) => match failure.kind {
                ProviderFailureKind::Blocked => told("refusal"),
                ProviderFailureKind::Unauthorized => failed(RpcError::auth_required(text)),
                ProviderFailureKind::Unreachable
                | ProviderFailureKind::RateLimited
                | ProviderFailureKind::Rejected
                | ProviderFailureKind::ContextTooLong
                | ProviderFailureKind::Failed
                | ProviderFailureKind::Cut
                | ProviderFailureKind::Stalled
                | ProviderFailureKind::Malformed
                | ProviderFailureKind::Unknown(_) => failed(RpcError::internal(text)),
            },
            TurnFailure::Storage { .. } | TurnFailure::Internal { .. } | TurnFailure::Unknown(_) => {
                failed(RpcError::internal(text))
            }
        },
        TurnOutcome::Unknown(_) => told("end_turn"),
    }
}

fn stopped(reason: &str) -> Value {
    json!({"stopReason": reason})
}

/// Whether a provider's word says that the answer was too long: `max_output_tokens`, `length`, `MAX_TOKENS`.
fn is_length(reason: &str) -> bool {
    let reason = reason.to_lowercase();
    reason.contains("length") || reason.contains("token")
}

#[cfg(test)]
mod tests {
    use protocol::model::ProviderFailure;
    use protocol::turn::BudgetLevel;

    use super::*;

    #[test]
    fn a_prompt_goes_from_the_queue_into_its_turn() {
        let (queued, turn) = (QueuedId::generate(), TurnId::generate());
        let mut prompts = Prompts::default();
        prompts.add(json!(1), Said::Queued(queued));
        prompts.started(TurnId::generate(), None);
        assert_eq!(prompts.place_of(&json!(1)), Some(Said::Queued(queued)));
        prompts.started(turn, Some(queued));
        assert_eq!(prompts.take_at(Said::Queued(queued)), Vec::<Value>::new());
        assert_eq!(prompts.take_at(Said::Begun(turn)), [json!(1)]);
        assert_eq!(prompts.take_all(), Vec::<Value>::new());
    }

    #[test]
    fn every_end_is_a_stop_reason_or_an_error() {
        let limit =
            |limit| TurnOutcome::LimitReached { limit, level: BudgetLevel::Turn, message: "x".into() };
        let stopped = |reason: &str| TurnOutcome::Failed {
            failure: TurnFailure::ModelStopped { reason: reason.to_owned() },
        };
        for (outcome, reason) in [
            (TurnOutcome::Completed, "end_turn"),
            (TurnOutcome::Interrupted { reason: InterruptReason::Requested, actor: None }, "cancelled"),
            (limit(LimitKind::Tokens), "max_tokens"),
            (limit(LimitKind::ToolCalls), "max_turn_requests"),
            (stopped("max_output_tokens"), "max_tokens"),
            (stopped("content_filter"), "refusal"),
        ] {
            assert_eq!(ending(&outcome).answer.unwrap()["stopReason"], reason, "{outcome:?}");
        }
        let failure = ProviderFailure {
            provider: "p".to_owned(),
            kind: ProviderFailureKind::Unauthorized,
            status: Some(401),
            message: "Wrong key".to_owned(),
        };
        let outcome = TurnOutcome::Failed { failure: TurnFailure::Provider(failure) };
        let error = ending(&outcome).answer.unwrap_err();
        assert_eq!(error.code, -32000);
        assert!(error.message.contains("Wrong key") && error.data.is_some(), "{error:?}");
    }
}

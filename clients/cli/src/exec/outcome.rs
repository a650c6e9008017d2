//! How a run of `exec` ended: its exit code, its code for programs, and what a person is told.

use protocol::event::TurnEnded;
use protocol::model::{ProviderFailure, ProviderFailureKind};
use protocol::question::{Question, QuestionKind};
use protocol::turn::{InterruptReason, LimitKind, TurnFailure, TurnOutcome};

use crate::error::{CliError, EXIT_FAILED, EXIT_OUTPUT_CLOSED, EXIT_UNREACHABLE, EXIT_USAGE};
use crate::escape;
use crate::exec::signals::Signal;

/// A question waited and nobody could answer.
const EXIT_UNANSWERED: u8 = 3;
/// A budget or the deadline ended the turn.
const EXIT_LIMIT: u8 = 4;

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The turn ended by itself, or somebody else ended it.
    Turn(Box<TurnEnded>),
    /// The turn goes on in the daemon, as was asked for.
    Detached,
    /// A question came and nobody is here.
    Unanswered(Box<Question>),
    /// A signal ended it.
    Signal(Signal),
    /// Nobody reads the output any more.
    OutputClosed,
    /// It could not be started or followed.
    Error(CliError),
}

/// What an ending means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The exit code.
    pub(crate) exit: u8,
    /// For programs; beside `message` in the terminal event.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Verdict {
    fn new(exit: u8, code: &'static str, message: impl Into<String>) -> Self {
        Self { exit, code, message: message.into(), hint: None }
    }

    fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl Ending {
    /// What it means.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Turn(ended) => of_turn(&ended.outcome),
            Self::Detached => Verdict::new(0, "detached", "The turn goes on in the daemon"),
            Self::Unanswered(question) => unanswered(question),
            Self::Signal(signal) => {
                let (code, message) = match signal {
                    Signal::Interrupt => ("interrupted", "Interrupted"),
                    Signal::Terminate => ("terminated", "Terminated"),
                    Signal::HangUp => ("terminated", "The terminal was closed; the turn goes on"),
                };
                Verdict::new(signal.exit_code(), code, message)
            }
            Self::OutputClosed => {
                Verdict::new(EXIT_OUTPUT_CLOSED, "output_closed", "Nobody reads the output any more")
            }
            Self::Error(error) => {
                let exit = error.exit_code();
                let code = match exit {
                    EXIT_USAGE => "usage",
                    EXIT_UNREACHABLE => "daemon_unreachable",
                    _ => "internal",
                };
                Verdict { exit, code, message: error.full_message(), hint: error.hint() }
            }
        }
    }

    /// Whether the model had its last word.
    pub(crate) fn is_completed(&self) -> bool {
        matches!(self, Self::Turn(ended) if ended.outcome == TurnOutcome::Completed)
    }
}

fn of_turn(outcome: &TurnOutcome) -> Verdict {
    match outcome {
        TurnOutcome::Completed => Verdict::new(0, "completed", "Completed"),
        TurnOutcome::Failed { failure } => of_failure(failure),
        TurnOutcome::Interrupted { reason, actor } => {
            let by = actor.as_ref().map(|actor| format!(" by `{}`", actor.name)).unwrap_or_default();
            match reason {
                InterruptReason::Requested => {
                    Verdict::new(Signal::Interrupt.exit_code(), "interrupted", format!("Interrupted{by}"))
                }
                InterruptReason::Unanswered => Verdict::new(
                    EXIT_UNANSWERED,
                    "unanswered",
                    "A question waited and nobody could answer it",
                ),
                InterruptReason::DaemonStopped => Verdict::new(
                    EXIT_FAILED,
                    "daemon_stopped",
                    "The daemon stopped in the middle of the turn",
                )
                .with_hint("What was done stays; go on with `skein exec resume --last \"go on\"`"),
                InterruptReason::Unknown(reason) => Verdict::new(
                    Signal::Interrupt.exit_code(),
                    "interrupted",
                    format!("Interrupted{by}: {reason}"),
                ),
            }
        }
        TurnOutcome::LimitReached { limit, message } => {
            let code = match limit {
                LimitKind::Deadline => "deadline",
                LimitKind::Tokens => "token_limit",
                LimitKind::Cost => "cost_limit",
                LimitKind::ToolCalls => "tool_call_limit",
                LimitKind::Unknown(_) => "limit",
            };
            Verdict::new(EXIT_LIMIT, code, message.as_str())
        }
        TurnOutcome::Unknown(value) => Verdict::new(
            EXIT_FAILED,
            "unknown",
            format!("The turn ended in a way that is not known here: {value}"),
        ),
    }
}

fn of_failure(failure: &TurnFailure) -> Verdict {
    match failure {
        TurnFailure::Provider(failure) => {
            let verdict = Verdict::new(EXIT_FAILED, "provider", provider_text(failure));
            match failure.kind {
                ProviderFailureKind::Unreachable => verdict.with_hint(format!(
                    "Is the server up, and is `base_url` of `model_providers.{}` right? See `skein config path`",
                    failure.provider
                )),
                ProviderFailureKind::Unauthorized => verdict.with_hint(format!(
                    "Set the key in the variable that `env_key` of `model_providers.{}` names",
                    failure.provider
                )),
                ProviderFailureKind::ContextTooLong => {
                    verdict.with_hint("Start a new session, or take a model with a longer context")
                }
                ProviderFailureKind::RateLimited
                | ProviderFailureKind::Rejected
                | ProviderFailureKind::Failed
                | ProviderFailureKind::Cut
                | ProviderFailureKind::Stalled
                | ProviderFailureKind::Malformed
                | ProviderFailureKind::Unknown(_) => verdict,
            }
        }
        TurnFailure::ModelStopped { reason } => {
            Verdict::new(EXIT_FAILED, "model_stopped", format!("The model stopped early: {reason}"))
        }
        TurnFailure::Loop { repetitions, tool } => Verdict::new(
            EXIT_FAILED,
            "loop",
            format!("The model made the same call of `{tool}` {repetitions} times in a row"),
        ),
        TurnFailure::Storage { message } => {
            Verdict::new(EXIT_FAILED, "storage", format!("The session's log can't be written: {message}"))
        }
        TurnFailure::Internal { message } => {
            Verdict::new(EXIT_FAILED, "internal", message.as_str()).with_hint("See `skein daemon logs`")
        }
        TurnFailure::Unknown(value) => Verdict::new(
            EXIT_FAILED,
            "unknown",
            format!("The turn failed in a way that is not known here: {value}"),
        ),
    }
}

/// A failure of a provider: who, with which status, in which words.
pub(crate) fn provider_text(failure: &ProviderFailure) -> String {
    let ProviderFailure { provider, kind, status, message } = failure;
    let what = match kind {
        ProviderFailureKind::Unreachable => "can't be reached",
        ProviderFailureKind::Unauthorized => "does not accept the key",
        ProviderFailureKind::RateLimited => "takes no more requests now",
        ProviderFailureKind::Rejected => "refused the request",
        ProviderFailureKind::ContextTooLong => "can't take a request this long",
        ProviderFailureKind::Failed => "failed",
        ProviderFailureKind::Cut => "ended its answer in the middle",
        ProviderFailureKind::Stalled => "fell silent",
        ProviderFailureKind::Malformed => "sent an answer that can't be read",
        ProviderFailureKind::Unknown(kind) => kind,
    };
    let message = message.trim();
    // Where no answer came, the daemon says what happened, in a sentence of its own.
    let is_sentence = matches!(
        kind,
        ProviderFailureKind::Unreachable
            | ProviderFailureKind::Unauthorized
            | ProviderFailureKind::Cut
            | ProviderFailureKind::Stalled
            | ProviderFailureKind::Malformed
    );
    match status {
        _ if message.is_empty() => format!("The provider `{provider}` {what}"),
        Some(status) => format!("The provider `{provider}` {what} (HTTP {status}): {message}"),
        None if is_sentence => format!("{message} (provider `{provider}`)"),
        None => format!("The provider `{provider}` {what}: {message}"),
    }
}

fn unanswered(question: &Question) -> Verdict {
    let asked = asked_text(&question.kind);
    let why = match &question.kind {
        QuestionKind::Command { justification: Some(justification), .. } => {
            let justification = escape::shortened(justification, 400);
            format!("it says `{}`", escape::line(&justification))
        }
        QuestionKind::Command { .. } | QuestionKind::FileChange { .. } | QuestionKind::Unknown(_) => {
            question.reason.clone()
        }
    };
    Verdict::new(EXIT_UNANSWERED, "unanswered", format!("{asked}, and nobody is here to answer ({why})"))
    .with_hint(
        "Start it with `--detach` and answer with `skein questions answer`; or have it never ask: `-a never` \
         refuses such things, and `-s` chooses what is allowed without a question",
    )
}

/// What was asked, as the beginning of a sentence.
pub(crate) fn asked_text(kind: &QuestionKind) -> String {
    match kind {
        QuestionKind::Command { command, is_escalated, .. } => {
            let command = escape::shortened(command, 400);
            let command = escape::line(&command);
            let place = if *is_escalated { " outside the sandbox" } else { "" };
            format!("The agent asks to run `{command}`{place}")
        }
        QuestionKind::FileChange { .. } => "The agent asks to change files".to_owned(),
        QuestionKind::Unknown(_) => "The agent asks something that this client does not know".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use protocol::ids::{ItemId, QuestionId, Timestamp, TurnId};
    use protocol::model::Usage;

    use super::*;

    fn ended(outcome: TurnOutcome) -> Ending {
        let turn_id = TurnId::generate();
        let usage = Usage::default();
        Ending::Turn(Box::new(TurnEnded { turn_id, outcome, usage, cost: None, duration_ms: 1 }))
    }

    #[test]
    fn each_way_to_end_has_its_exit_code() {
        let interrupted = |reason| ended(TurnOutcome::Interrupted { reason, actor: None });
        let limit = |limit| ended(TurnOutcome::LimitReached { limit, message: "spent".to_owned() });
        let looping = TurnFailure::Loop { repetitions: 5, tool: "shell".to_owned() };
        for (ending, exit, code) in [
            (ended(TurnOutcome::Completed), 0, "completed"),
            (ended(TurnOutcome::Failed { failure: looping }), 1, "loop"),
            (interrupted(InterruptReason::Requested), 130, "interrupted"),
            (interrupted(InterruptReason::Unanswered), 3, "unanswered"),
            (interrupted(InterruptReason::DaemonStopped), 1, "daemon_stopped"),
            (limit(LimitKind::Deadline), 4, "deadline"),
            (limit(LimitKind::Cost), 4, "cost_limit"),
            (Ending::Signal(Signal::Interrupt), 130, "interrupted"),
            (Ending::Signal(Signal::Terminate), 143, "terminated"),
            (Ending::Error(CliError::usage("a", "b")), 2, "usage"),
        ] {
            let verdict = ending.verdict();
            assert_eq!((verdict.exit, verdict.code), (exit, code), "{ending:?}");
        }
    }

    #[test]
    fn a_provider_is_quoted_with_its_status() {
        let failure = ProviderFailure {
            provider: "local".to_owned(),
            kind: ProviderFailureKind::Unauthorized,
            status: Some(401),
            message: "Incorrect API key\n".to_owned(),
        };
        let ending = ended(TurnOutcome::Failed { failure: TurnFailure::Provider(failure) });
        let verdict = ending.verdict();
        assert_eq!(
            verdict.message,
            "The provider `local` does not accept the key (HTTP 401): Incorrect API key"
        );
        assert!(verdict.hint.unwrap().contains("model_providers.local"));
    }

    #[test]
    fn a_failure_without_an_answer_is_told_in_the_daemons_words() {
        let failure = |kind, message: &str| ProviderFailure {
            provider: "local".to_owned(),
            kind,
            status: None,
            message: message.to_owned(),
        };
        for (failure, text) in [
            (
                failure(ProviderFailureKind::Stalled, "Local sent nothing"),
                "Local sent nothing (provider `local`)",
            ),
            (failure(ProviderFailureKind::Failed, "oops"), "The provider `local` failed: oops"),
            (failure(ProviderFailureKind::Cut, ""), "The provider `local` ended its answer in the middle"),
        ] {
            assert_eq!(provider_text(&failure), text);
        }
    }

    #[test]
    fn an_unanswered_question_says_what_was_asked_and_how_to_allow_it() {
        let question = Question {
            id: QuestionId::generate(),
            turn_id: TurnId::generate(),
            item_id: ItemId::generate(),
            asked_at: Timestamp(0),
            kind: QuestionKind::Command {
                command: "curl \u{1b}[2Jx".to_owned(),
                argv: Vec::new(),
                cwd: PathBuf::from("/"),
                is_escalated: true,
                justification: None,
            },
            reason: "it needs the network".to_owned(),
        };
        let verdict = Ending::Unanswered(Box::new(question)).verdict();
        assert_eq!(verdict.exit, 3);
        assert_eq!(
            verdict.message,
            "The agent asks to run `curl \\e[2Jx` outside the sandbox, and nobody is here to answer \
             (it needs the network)"
        );
        assert!(verdict.hint.unwrap().contains("-a never"));
    }
}

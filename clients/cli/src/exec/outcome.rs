//! How a run of `exec` ended: its exit code, its code for programs, and what a person is told. The end of a turn is
//! told in the words of `view`. A question has words of its own: here it is one sentence that names the command,
//! where a screen has a headline and the command below it.

use protocol::event::TurnEnded;
use protocol::question::{Question, QuestionKind};
use protocol::turn::{InterruptReason, LimitKind, TurnFailure, TurnOutcome};
use view::{escape, words};

use crate::error::{CliError, EXIT_FAILED, EXIT_OUTPUT_CLOSED, EXIT_UNREACHABLE, EXIT_USAGE};
use crate::exec::signals::Signal;
use crate::question::headline;

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
    let (exit, code) = codes(outcome);
    let message = words::ending(outcome).unwrap_or_else(|| "Completed".to_owned());
    let hint = match outcome {
        // How to go on is the command line's own.
        TurnOutcome::Interrupted { reason: InterruptReason::DaemonStopped, .. } => {
            Some("Go on with `skein exec resume --last \"go on\"`".to_owned())
        }
        TurnOutcome::Completed
        | TurnOutcome::Failed { .. }
        | TurnOutcome::Interrupted { .. }
        | TurnOutcome::LimitReached { .. }
        | TurnOutcome::Unknown(_) => words::ending_hint(outcome),
    };
    Verdict { exit, code, message, hint }
}

/// The exit code, and the code for programs.
fn codes(outcome: &TurnOutcome) -> (u8, &'static str) {
    match outcome {
        TurnOutcome::Completed => (0, "completed"),
        TurnOutcome::Failed { failure } => {
            let code = match failure {
                TurnFailure::Provider(_) => "provider",
                TurnFailure::ModelStopped { .. } => "model_stopped",
                TurnFailure::Loop { .. } => "loop",
                TurnFailure::Hook { .. } => "hook",
                TurnFailure::Storage { .. } => "storage",
                TurnFailure::Internal { .. } => "internal",
                TurnFailure::Unknown(_) => "unknown",
            };
            (EXIT_FAILED, code)
        }
        TurnOutcome::Interrupted { reason, .. } => match reason {
            InterruptReason::Requested | InterruptReason::Unknown(_) => {
                (Signal::Interrupt.exit_code(), "interrupted")
            }
            InterruptReason::Unanswered => (EXIT_UNANSWERED, "unanswered"),
            InterruptReason::DaemonStopped => (EXIT_FAILED, "daemon_stopped"),
        },
        TurnOutcome::LimitReached { limit, .. } => {
            let code = match limit {
                LimitKind::Deadline => "deadline",
                LimitKind::Time => "time_limit",
                LimitKind::Tokens => "token_limit",
                LimitKind::Cost => "cost_limit",
                LimitKind::ToolCalls => "tool_call_limit",
                LimitKind::Unknown(_) => "limit",
            };
            (EXIT_LIMIT, code)
        }
        TurnOutcome::Unknown(_) => (EXIT_FAILED, "unknown"),
    }
}

fn unanswered(question: &Question) -> Verdict {
    let asked = headline(&question.kind);
    let why = match &question.kind {
        QuestionKind::Command { justification: Some(justification), .. } => {
            format!("it says `{}`", escape::short_line(justification, 400))
        }
        QuestionKind::Command { .. }
        | QuestionKind::FileChange { .. }
        | QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::UserInput { .. }
        | QuestionKind::Tool { .. }
        | QuestionKind::Elicitation { .. }
        | QuestionKind::Sampling { .. }
        | QuestionKind::ClientTool { .. }
        | QuestionKind::Unknown(_) => question.reason.clone(),
    };
    let message = format!("{asked}, and nobody is here to answer ({why})");
    let hint = "Start it with `--detach` and answer with `skein questions answer`; or have it never ask: \
                `-a never` refuses such things, and `-s` chooses what is allowed without a question";
    Verdict { hint: Some(hint.to_owned()), ..Verdict::new(EXIT_UNANSWERED, "unanswered", message) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use protocol::ids::{ItemId, QuestionId, Timestamp, TurnId};
    use protocol::model::{ProviderFailure, ProviderFailureKind, Usage};

    use super::*;

    fn ended(outcome: TurnOutcome) -> Ending {
        let turn_id = TurnId::generate();
        let usage = Usage::default();
        Ending::Turn(Box::new(TurnEnded { turn_id, outcome, usage, cost: None, duration_ms: 1 }))
    }

    #[test]
    fn each_way_to_end_has_its_exit_code() {
        let interrupted = |reason| ended(TurnOutcome::Interrupted { reason, actor: None });
        let limit = |limit| {
            ended(TurnOutcome::LimitReached {
                limit,
                level: protocol::turn::BudgetLevel::Turn,
                message: "spent".to_owned(),
            })
        };
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
    fn what_went_wrong_is_told_with_what_to_do() {
        let failure = ProviderFailure {
            provider: "local".to_owned(),
            kind: ProviderFailureKind::Unauthorized,
            status: Some(401),
            message: "Incorrect API key\n".to_owned(),
        };
        let failed = TurnOutcome::Failed { failure: TurnFailure::Provider(failure) };
        let stopped = TurnOutcome::Interrupted { reason: InterruptReason::DaemonStopped, actor: None };
        for (outcome, message, hint) in [
            (
                failed,
                "The provider `local` does not accept the key (HTTP 401): Incorrect API key",
                "model_providers.local",
            ),
            (
                stopped,
                "The daemon stopped in the middle of the turn; what was done stays",
                "skein exec resume --last",
            ),
        ] {
            let verdict = ended(outcome).verdict();
            assert_eq!(verdict.message, message);
            assert!(verdict.hint.unwrap().contains(hint));
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
                refusals: Vec::new(),
                proposed_rule: None,
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

//! What goes wrong in a command, its exit code, and how it is shown: the message, its causes, the hint.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use client::{ClientError, ErrorKind, RpcError};
use protocol::error::{ConfigurationProblem, ErrorDetail};
use tui::TuiError;
use view::escape;

use crate::local::LocalError;
use crate::output::Output;

/// The command's usage, or the configuration, is wrong.
pub(crate) const EXIT_USAGE: u8 = 2;
/// The command failed.
pub(crate) const EXIT_FAILED: u8 = 1;
/// The daemon could not be reached or started.
pub(crate) const EXIT_UNREACHABLE: u8 = 5;
/// Nobody reads standard output any more; what a shell says of a process that SIGPIPE ended.
pub(crate) const EXIT_OUTPUT_CLOSED: u8 = 141;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line asks for what can't be.
    #[error("{message}")]
    Usage {
        /// What.
        message: String,
        /// What to type instead.
        hint: Option<String>,
    },
    /// A file can't be used.
    #[error("Can't {action} `{path}`")]
    File {
        /// `read`, `write`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The daemon, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What ran in this process.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The terminal UI.
    #[error(transparent)]
    Screen(#[from] TuiError),
    /// Standard output can't be written.
    #[error("Can't write to standard output")]
    Output(#[source] io::Error),
    /// The system refused something else.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It was tried and did not work.
    #[error("{message}")]
    Failed {
        /// What.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
}

impl CliError {
    /// Wrong usage, with what to type instead.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => EXIT_USAGE,
            Self::File { action, .. } if *action == "read" => EXIT_USAGE,
            Self::Screen(TuiError::NoTerminal) => EXIT_USAGE,
            Self::Client(error) | Self::Screen(TuiError::Client(error)) => match error.kind() {
                ErrorKind::Request => EXIT_USAGE,
                ErrorKind::Unreachable => EXIT_UNREACHABLE,
                ErrorKind::Failed => EXIT_FAILED,
            },
            Self::Local(error) => error.exit_code,
            Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => EXIT_OUTPUT_CLOSED,
            Self::File { .. }
            | Self::Output(_)
            | Self::System { .. }
            | Self::Screen(TuiError::Terminal(_))
            | Self::Failed { .. } => EXIT_FAILED,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } | Self::Failed { hint, .. } => hint.clone(),
            Self::Client(error) => error.hint().map(|hint| hint.into_owned()),
            Self::Screen(error) => error.hint().map(|hint| hint.into_owned()),
            Self::Local(error) => error.hint.clone(),
            Self::File { .. } | Self::Output(_) | Self::System { .. } => None,
        }
    }

    /// The message with its causes, on one line if they are.
    pub(crate) fn full_message(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let more = error.to_string();
            if !text.ends_with(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            cause = error.source();
        }
        text
    }

    /// Shows it on standard error.
    pub(crate) fn report(&self, output: Output) {
        if self.exit_code() == EXIT_OUTPUT_CLOSED {
            return;
        }
        let style = output.err;
        output.note(format_args!("{} {}", style.red("error:"), escape::prose(&self.full_message())));
        if let Some(problem) = self.configuration_problem() {
            if let Some(excerpt) = &problem.excerpt {
                output.note(escape::prose(excerpt.trim_end()));
            }
            if let Some(suggestion) = &problem.suggestion {
                let meant = format!("perhaps `{suggestion}` was meant");
                output.note(format_args!("{} {}", style.cyan("hint:"), escape::prose(&meant)));
            }
        }
        if let Some(hint) = self.hint() {
            output.note(format_args!("{} {}", style.cyan("hint:"), escape::prose(&hint)));
        }
    }

    /// What is wrong with the settings, if that is what the daemon refused.
    fn configuration_problem(&self) -> Option<&ConfigurationProblem> {
        let (Self::Client(error) | Self::Screen(TuiError::Client(error))) = self else { return None };
        match error.refusal()?.detail.as_deref()? {
            ErrorDetail::Configuration(problem) => Some(problem),
            ErrorDetail::VersionMismatch { .. }
            | ErrorDetail::TurnRunning { .. }
            | ErrorDetail::AlreadyAnswered { .. }
            | ErrorDetail::Unknown(_) => None,
        }
    }
}

impl From<RpcError> for CliError {
    fn from(error: RpcError) -> Self {
        Self::Client(error.into())
    }
}

/// A problem of the configuration on several lines: place, message, excerpt, what was probably meant.
pub(crate) fn problem_text(problem: &ConfigurationProblem) -> String {
    let mut text = problem.origin.clone();
    for place in [problem.line, problem.column].into_iter().flatten() {
        text.push_str(&format!(":{place}"));
    }
    text.push_str(": ");
    text.push_str(&problem.message);
    if let Some(excerpt) = &problem.excerpt {
        text.push('\n');
        text.push_str(excerpt.trim_end());
    }
    if let Some(suggestion) = &problem.suggestion {
        text.push_str(&format!("\nhint: perhaps `{suggestion}` was meant"));
    }
    escape::prose(&text).into_owned()
}

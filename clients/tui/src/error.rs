//! Why the terminal UI could not run, or had to end.

use std::borrow::Cow;
use std::io;

use client::ClientError;

/// Why it could not run, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// There is no terminal to draw on.
    #[error("The terminal UI needs a terminal, and standard input or output is none, or a dumb one")]
    NoTerminal,
    /// The terminal refused.
    #[error("The terminal can't be used")]
    Terminal(#[source] io::Error),
    /// The session can't be reached or followed.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl TuiError {
    /// What to do about it, for a person.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::NoTerminal => Some(Cow::Borrowed("Without one, use `skein exec` and `skein logs -f`")),
            Self::Terminal(_) => None,
            Self::Client(error) => error.hint(),
        }
    }
}

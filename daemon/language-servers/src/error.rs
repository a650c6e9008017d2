//! What can go wrong with a language server.

use std::time::Duration;

use sandbox::SandboxError;

use crate::frame::FrameError;

/// Why a language server does not answer. The message is for a person.
#[derive(Debug, thiserror::Error)]
pub enum LanguageServerError {
    /// It could not be started.
    #[error("The language server could not be started: {0}")]
    Start(#[from] SandboxError),
    /// Its folder could not be made.
    #[error("The folder of the language server could not be made: {0}")]
    Folder(#[source] std::io::Error),
    /// It did not say hello in its time.
    #[error("The language server did not start within {} s", .0.as_secs())]
    Silent(Duration),
    /// It does not read what it is told.
    #[error("The language server does not read what it is told")]
    Deaf,
    /// It refused to start.
    #[error("The language server refused to start: {0}")]
    Refused(String),
    /// What it says is no message.
    #[error("What the language server says makes no sense: {0}")]
    Frame(#[from] FrameError),
    /// It ended.
    #[error("The language server ended; it said: {0}")]
    Ended(String),
    /// It says more than anybody asked for.
    #[error("The language server says too much")]
    Flood,
}

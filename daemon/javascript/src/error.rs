//! What can go wrong with an interpreter. The messages are for the model.

use sandbox::SandboxError;

/// Why code has no outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JavaScriptError {
    /// The process could not be started.
    #[error("The interpreter can't be started")]
    Start(#[source] SandboxError),
    /// The process ended, by itself or because it took too much.
    #[error(
        "The interpreter ended in the middle ({how}), probably for want of memory; its variables are gone, and the next \
         call starts another one"
    )]
    Ended {
        /// How.
        how: String,
    },
    /// It took longer than it may, and did not stop when it was asked to.
    #[error(
        "It took longer than {allowed_ms} ms and could not be stopped otherwise than with the interpreter; its variables \
         are gone, and the next call starts another one"
    )]
    Killed {
        /// Milliseconds.
        allowed_ms: u64,
    },
    /// A person interrupted the turn.
    #[error("Interrupted by a person before it ended; variables are kept if the code could be stopped")]
    Interrupted,
}

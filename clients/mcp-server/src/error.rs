//! What ends the server, but for the end of its input. What goes wrong in a request is an answer, not an end.

use std::net::SocketAddr;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum McpServerError {
    /// The client did not begin as the protocol says.
    #[error("The client did not begin as the protocol says")]
    Begin(#[source] Box<rmcp::service::ServerInitializeError>),
    /// An address that others can reach.
    #[error("`{address}` can be reached from other machines")]
    NotLoopback {
        /// Which.
        address: SocketAddr,
    },
    /// A token that is easily guessed.
    #[error("The token has fewer than {least} bytes")]
    ShortToken {
        /// How many it must have.
        least: usize,
    },
    /// The address can't be listened on.
    #[error("Can't listen on `{address}`")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The system has no randomness for a token.
    #[error("The system gives no random bytes")]
    Randomness(#[source] getrandom::Error),
    /// The task that serves ended badly.
    #[error("The server broke off")]
    Task(#[source] tokio::task::JoinError),
}

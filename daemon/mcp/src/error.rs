//! What can go wrong with an MCP server.

use std::time::Duration;

/// Why a server, or a call of it, did not work. The message is for a person and for the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum McpError {
    /// It could not be started or reached.
    #[error("The MCP server `{server}` could not be started: {reason}")]
    Start {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// It did not start in its time.
    #[error("The MCP server `{server}` did not start within {} s", within.as_secs_f32())]
    StartTimeout {
        /// The server.
        server: String,
        /// The time it had.
        within: Duration,
    },
    /// It failed a moment ago.
    #[error("The MCP server `{server}` failed and is not tried again yet: {reason}")]
    Resting {
        /// The server.
        server: String,
        /// Why it failed.
        reason: String,
    },
    /// A person must sign in.
    #[error("The MCP server `{server}` wants its user to sign in (`skein mcp login {server}`)")]
    LoginRequired {
        /// The server.
        server: String,
    },
    /// Nobody can sign in with it.
    #[error("Nobody signs in with the MCP server `{server}`: {reason}")]
    NoSignIn {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// Signing in, or renewing what it gave, failed.
    #[error("Signing in with the MCP server `{server}` failed: {reason}")]
    SignIn {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// What its user signed in for is not enough.
    #[error("The MCP server `{server}` wants more leave (`skein mcp login {server} --scopes {scopes}`)")]
    MoreLeave {
        /// The server.
        server: String,
        /// What leave, separated by commas.
        scopes: String,
    },
    /// It ended in the middle of a call.
    #[error("The MCP server `{server}` ended during the call; what came of it is not known")]
    Gone {
        /// The server.
        server: String,
    },
    /// It did not answer in its time.
    #[error("The MCP server `{server}` did not answer within {} s", within.as_secs_f32())]
    CallTimeout {
        /// The server.
        server: String,
        /// The time it had.
        within: Duration,
    },
    /// It answered with an error.
    #[error("The MCP server `{server}` refused: {message}")]
    Refused {
        /// The server.
        server: String,
        /// What it said.
        message: String,
    },
    /// It wanted the session's model to answer, and was told no.
    #[error("The MCP server `{server}` wanted the model to answer, and it did not: {reason}")]
    NoAnswer {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// It does not keep to the protocol.
    #[error("The MCP server `{server}` answered what makes no sense: {reason}")]
    Nonsense {
        /// The server.
        server: String,
        /// Why.
        reason: String,
    },
    /// It has no such tool any more.
    #[error("The MCP server `{server}` has no tool `{tool}` any more")]
    NoTool {
        /// The server.
        server: String,
        /// The tool.
        tool: String,
    },
    /// It has no such prompt.
    #[error("The MCP server `{server}` has no prompt `{prompt}`")]
    NoPrompt {
        /// The server.
        server: String,
        /// The prompt.
        prompt: String,
    },
    /// What it says of the tool is not what the model and the person have seen.
    #[error("Not called: what the MCP server `{server}` says of `{tool}` has changed; read it anew first")]
    Changed {
        /// The server.
        server: String,
        /// The tool.
        tool: String,
    },
    /// The arguments are none that the tool takes.
    #[error("{reason}")]
    BadCall {
        /// Why.
        reason: String,
    },
    /// The turn was interrupted.
    #[error("Interrupted by a person before it ended")]
    Interrupted,
}

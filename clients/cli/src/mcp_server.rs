//! `skein mcp-server`: Skein as a tool of other agents.

use std::net::SocketAddr;

use ::mcp_server::{McpServerError, Token};
use clap::Args;
use client::ConnectOptions;

use crate::error::CliError;
use crate::output::Output;

const HELP_AFTER: &str = "\
An agent starts this and speaks the Model Context Protocol with it on standard input and output. With Claude Code, say:

  claude mcp add skein -- skein mcp-server

It has tools to start sessions, wait for them, go on with them, answer their questions and read them; a session goes
on when the agent does not wait, and `skein attach SESSION` opens it in a terminal.

With --listen it serves agents over HTTP, on this machine alone. They need the token in `SKEIN_MCP_TOKEN`; if that is
not set, a new one is made and printed.";

/// Where a token may stand.
const TOKEN: &str = "SKEIN_MCP_TOKEN";

/// `skein mcp-server`.
#[derive(Debug, Args)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct McpServerArgs {
    /// Serve over HTTP on this address of the loopback, such as `127.0.0.1:8123`; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Serves the client until it closes standard input; over HTTP, all clients for ever.
pub(crate) async fn run(args: McpServerArgs, output: Output) -> Result<u8, CliError> {
    let options = ConnectOptions::new("skein mcp-server");
    let served = match args.listen {
        Some(address) => listen(options, address, output).await,
        None => ::mcp_server::run(options).await,
    };
    served.map(|()| 0).map_err(|error| failed(&error))
}

async fn listen(options: ConnectOptions, address: SocketAddr, output: Output) -> Result<(), McpServerError> {
    let token = match std::env::var(TOKEN) {
        Ok(text) => Token::of(&text)?,
        Err(_) => {
            let token = Token::generate()?;
            output.note(format_args!("token: {}", token.reveal()));
            token
        }
    };
    ::mcp_server::listen(options, address, token, |url| output.note(format_args!("listening on {url}"))).await
}

fn failed(error: &McpServerError) -> CliError {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let message = format!("{error}{cause}");
    match error {
        McpServerError::NotLoopback { .. } => {
            CliError::usage(message, "Give an address such as `127.0.0.1:0`")
        }
        McpServerError::ShortToken { .. } => {
            CliError::usage(message, format!("Put a longer one into `{TOKEN}`, or leave it unset"))
        }
        McpServerError::Begin(_)
        | McpServerError::Listen { .. }
        | McpServerError::Randomness(_)
        | McpServerError::Task(_) => CliError::Failed { message, hint: None },
    }
}

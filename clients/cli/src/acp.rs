//! `skein acp`: an agent for editors that speak the Agent Client Protocol.

use ::acp::AcpError;
use clap::Args;
use client::ConnectOptions;

use crate::error::CliError;
use crate::login::{self, LoginArgs};
use crate::output::Output;

const HELP_AFTER: &str = "\
An editor starts this and speaks the Agent Client Protocol with it on standard input and output. In Zed, say, in
`settings.json`:

  \"agent_servers\": {\"Skein\": {\"command\": \"skein\", \"args\": [\"acp\"]}}

A session of the editor can be opened in a terminal at the same time: `skein ps`, then `skein attach SESSION`.";

/// `skein acp`.
#[derive(Debug, Args)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct AcpArgs {
    /// Sign in, as `skein login` does; editors pass this to sign in within a terminal
    #[arg(long)]
    login: bool,
}

/// Serves the editor until it closes standard input.
pub(crate) async fn run(args: AcpArgs, output: Output) -> Result<u8, CliError> {
    if args.login {
        return login::login(LoginArgs::default(), output).await;
    }
    let (input, editor) = (tokio::io::stdin(), tokio::io::stdout());
    match ::acp::run(input, editor, ConnectOptions::new("skein acp")).await {
        Ok(()) => Ok(0),
        Err(AcpError::Output(source)) => Err(CliError::Output(source)),
        Err(AcpError::Input(source)) => Err(CliError::System { what: "Can't read from the editor", source }),
    }
}

//! `skein policy`: what the execution policy says of a command.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use view::escape;

use crate::error::CliError;
use crate::local::{Local, PolicyCheck};
use crate::output::Output;
use crate::select::absolute_folder;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say whether a command would run, be asked about, or be refused, and why
    Check(CheckArgs),
}

/// Which command, and where.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  skein policy check -- rm -rf build")]
pub(crate) struct CheckArgs {
    /// Where it would run
    #[arg(short = 'C', long = "cd", value_name = "DIR")]
    cd: Option<PathBuf>,
    /// Program and arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Asks; the exit code is 0 if the command would run without a question, 1 if not.
pub(crate) fn run(command: PolicyCommand, local: &dyn Local, output: Output) -> Result<u8, CliError> {
    let PolicyCommand::Check(args) = command;
    let folder = absolute_folder(args.cd.as_deref())?;
    let verdict = local.check_policy(PolicyCheck { folder, command: args.command })?;
    let text = format!("{}: {}", output.out.bold(verdict.decision), escape::prose(&verdict.reason));
    output.line(text).map_err(CliError::Output)?;
    Ok(u8::from(!verdict.is_allowed))
}

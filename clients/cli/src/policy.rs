//! `skein policy`: what the execution policy says of a command.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use view::escape;

use crate::error::CliError;
use crate::local::{Local, PolicyCheck, PolicyDecision, PolicyVerdict};
use crate::output::Output;
use crate::select::absolute_folder;

const HELP_AFTER: &str = "\
Examples:
  skein policy check -- rm -rf build
  skein policy check -- 'cd src && git push'
  skein policy check --outside --json -- cargo publish

The exit code is 0 if it would run without a question, 10 if a person would be asked, and 20 if it is forbidden.
One word with blanks is a script, as the agent sends it.
Rules stand in `rules/*.rules` of the configuration folder, in `/etc/skein/rules`, and in `.skein/rules` of a \
repository, once you trust them (`skein config trust`).
When a program starts, the rules are asked again, with what is known only then: where it lies, and what it was \
started with by another program.";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say whether a command would run, be asked about, or be refused, and why
    Check(CheckArgs),
}

/// Which command, and where.
#[derive(Args, Debug)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct CheckArgs {
    /// Where it would run
    #[arg(short = 'C', long = "cd", value_name = "DIR")]
    cd: Option<PathBuf>,
    /// Ask whether it may run outside the sandbox
    #[arg(long)]
    outside: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Program and arguments, or a script as one word
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Asks; the exit code says what would happen.
pub(crate) fn run(command: PolicyCommand, local: &dyn Local, output: Output) -> Result<u8, CliError> {
    let PolicyCommand::Check(args) = command;
    let folder = absolute_folder(args.cd.as_deref())?;
    let check = PolicyCheck { folder, command: args.command, is_escalated: args.outside };
    let PolicyVerdict { decision, reason, details, report } = local.check_policy(check)?;
    let (word, exit_code) = match decision {
        PolicyDecision::Allow => ("allow", 0),
        PolicyDecision::Prompt => ("prompt", 10),
        PolicyDecision::Forbidden => ("forbidden", 20),
    };
    if args.json {
        output.line(report.to_string()).map_err(CliError::Output)?;
    } else {
        let text = format!("{}: {}", output.out.bold(word), escape::line(&reason));
        output.line(text).map_err(CliError::Output)?;
        for detail in details {
            output.line(format!("  {}", escape::line(&detail))).map_err(CliError::Output)?;
        }
    }
    Ok(exit_code)
}

//! `skein completions`: what a shell needs to complete commands and flags.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::CliError;
use crate::output::Output;

const HELP_AFTER: &str = "\
Examples:
  skein completions bash > ~/.local/share/bash-completion/completions/skein
  skein completions zsh > ~/.zfunc/_skein
  skein completions fish > ~/.config/fish/completions/skein.fish";

/// Which shell.
#[derive(Args, Debug)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints them.
pub(crate) fn run(args: &CompletionsArgs, output: Output) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "skein", &mut script);
    output.write(&String::from_utf8_lossy(&script)).map_err(CliError::Output)
}

//! `skein sandbox`: a command as the agent would run it, by hand.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use protocol::profile::SandboxRung;

use crate::error::CliError;
use crate::exec::args::SandboxChoice;
use crate::local::{Local, SandboxRun};
use crate::select::absolute_folder;

const HELP_AFTER: &str = "\
Examples:
  skein sandbox -- touch here.txt
  skein sandbox --policy read-only -- sh -c 'echo > here.txt'     fails: nothing may be written
  skein sandbox -- curl https://example.com                       fails: no network
  skein sandbox --backend landlock -- make

The exit code is that of the command, or 125 if it could not be run.";

/// Which command, and what it may touch.
#[derive(Args, Debug)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct SandboxArgs {
    /// What the command may touch [default: what the configuration says]
    #[arg(short, long, visible_alias = "sandbox", short_alias = 's', value_name = "MODE")]
    policy: Option<SandboxChoice>,
    /// Run it in this folder
    #[arg(short = 'C', long = "cd", value_name = "DIR")]
    cd: Option<PathBuf>,
    /// A further folder that it may write; may be repeated
    #[arg(long = "add-dir", value_name = "DIR")]
    add_dirs: Vec<PathBuf>,
    /// Open the network to it
    #[arg(long)]
    network: bool,
    /// Confine it in this way, instead of the strongest that holds here; `skein doctor` lists them
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendChoice>,
    /// Program and arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// `--backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BackendChoice {
    /// Own namespaces, with Landlock and seccomp on top
    Namespaces,
    /// Landlock and seccomp alone
    Landlock,
}

impl From<BackendChoice> for SandboxRung {
    fn from(choice: BackendChoice) -> Self {
        match choice {
            BackendChoice::Namespaces => Self::Namespaces,
            BackendChoice::Landlock => Self::Landlock,
        }
    }
}

/// Runs it, and returns its exit code.
pub(crate) fn run(args: SandboxArgs, local: &dyn Local) -> Result<u8, CliError> {
    let additional_roots =
        args.add_dirs.iter().map(|dir| absolute_folder(Some(dir))).collect::<Result<_, _>>()?;
    let run = SandboxRun {
        policy: args.policy.map(Into::into),
        folder: absolute_folder(args.cd.as_deref())?,
        additional_roots,
        with_network: args.network,
        rung: args.backend.map(Into::into),
        command: args.command,
    };
    Ok(local.sandbox(run)?)
}

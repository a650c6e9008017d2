//! `skein sandbox`: a command as the agent would run it, by hand.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use protocol::profile::{NetworkAccess, SandboxRung};

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
    /// What of the network is open to it; without a value: all of it
    #[arg(long, value_name = "NETWORK", num_args = 0..=1, default_missing_value = "full")]
    network: Option<NetworkChoice>,
    /// Confine it in this way, instead of the strongest that holds here; `skein doctor` lists them
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendChoice>,
    /// Program and arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// `--network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NetworkChoice {
    /// Nothing
    Off,
    /// All of it
    Full,
}

/// `--backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BackendChoice {
    /// The strongest that holds here
    Auto,
    /// Own namespaces, with Landlock and seccomp on top
    Namespaces,
    /// The namespaces of the system's bwrap, with Landlock and seccomp on top
    Bwrap,
    /// Landlock and seccomp alone
    Landlock,
}

impl NetworkChoice {
    fn access(self) -> NetworkAccess {
        match self {
            Self::Off => NetworkAccess::Off,
            Self::Full => NetworkAccess::Full,
        }
    }
}

impl BackendChoice {
    /// The rung that is forced; none if the strongest is wanted.
    fn rung(self) -> Option<SandboxRung> {
        match self {
            Self::Auto => None,
            Self::Namespaces => Some(SandboxRung::Namespaces),
            Self::Bwrap => Some(SandboxRung::Bubblewrap),
            Self::Landlock => Some(SandboxRung::Landlock),
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
        network: args.network.map(NetworkChoice::access),
        rung: args.backend.and_then(BackendChoice::rung),
        command: args.command,
    };
    Ok(local.sandbox(run)?)
}

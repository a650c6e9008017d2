//! `skein apply`: a patch in the agent's patch format, by hand.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use view::escape;

use crate::error::CliError;
use crate::local::Local;
use crate::output::Output;
use crate::select::absolute_folder;

const HELP_AFTER: &str = "\
Example:
  skein apply <<'END'
  *** Begin Patch
  *** Update File: greeting.txt
  @@
  -hello
  +good morning
  *** End Patch
  END

All or nothing: if one hunk does not apply, no file is touched.";

/// Which patch, and where.
#[derive(Args, Debug)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct ApplyArgs {
    /// The patch; standard input if absent or `-`
    #[arg(value_name = "PATCHFILE | -")]
    file: Option<PathBuf>,
    /// The folder that its paths start from
    #[arg(short = 'C', long = "cd", value_name = "DIR")]
    cd: Option<PathBuf>,
}

/// Applies it.
pub(crate) fn run(args: ApplyArgs, local: &dyn Local, output: Output) -> Result<(), CliError> {
    let folder = absolute_folder(args.cd.as_deref())?;
    let patch = match args.file.filter(|file| file.as_os_str() != "-") {
        Some(path) => {
            fs::read_to_string(&path).map_err(|source| CliError::File { action: "read", path, source })?
        }
        None => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|source| CliError::System { what: "Can't read standard input", source })?;
            text
        }
    };
    let told = local.apply(folder, patch)?;
    output.line(escape::prose(told.trim_end())).map_err(CliError::Output)
}

//! `skein config`: where the configuration is, and what is wrong with it; what folders declare has its own file.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use client::{ClientError, Connection, Folders};
use protocol::api::config::ConfigClient;
use protocol::config::{ConfigCheckParams, ConfigCheckResult};

use crate::connect::connect;
use crate::error::{CliError, problem_text};
use crate::output::Output;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print where `config.toml` is, or would be
    Path,
    /// Say what is wrong in `config.toml`: file, line, column, and what was probably meant
    Check(CheckArgs),
    /// Show what a folder declares that would be run or obeyed, and trust it
    Trust(crate::trust::TrustArgs),
}

/// What to check.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Another file than your own
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs one.
pub(crate) async fn run(command: ConfigCommand, output: Output) -> Result<(), CliError> {
    match command {
        ConfigCommand::Path => {
            let file = Folders::resolve().map_err(ClientError::from)?.config_file();
            output.line(file.display()).map_err(CliError::Output)
        }
        ConfigCommand::Trust(args) => crate::trust::run(args, output).await,
        ConfigCommand::Check(args) => {
            let connection = connect("skein config", output).await?;
            let result = check(&connection, args.file).await?;
            if args.json {
                crate::table::json(&result, output)?;
            } else {
                show(&result, output)?;
            }
            match result.errors.len() {
                0 => Ok(()),
                errors => Err(CliError::Usage {
                    message: format!("`{}` can't be used: {errors} wrong", result.file.display()),
                    hint: None,
                }),
            }
        }
    }
}

/// Has the daemon look at a file.
pub(crate) async fn check(
    connection: &Connection,
    file: Option<PathBuf>,
) -> Result<ConfigCheckResult, CliError> {
    let file = match file {
        Some(file) => Some(std::path::absolute(&file).map_err(|source| CliError::File {
            action: "read",
            path: file,
            source,
        })?),
        None => None,
    };
    Ok(connection.rpc().check(ConfigCheckParams { file }).await?)
}

fn show(result: &ConfigCheckResult, output: Output) -> Result<(), CliError> {
    let style = output.out;
    let mut text = String::new();
    for (label, problems) in
        [(style.red("error:"), &result.errors), (style.yellow("warning:"), &result.warnings)]
    {
        for problem in problems {
            text.push_str(&format!("{label} {}\n\n", problem_text(problem)));
        }
    }
    if text.is_empty() {
        let file = result.file.display();
        text = match result.exists {
            true => format!("{} {file}\n", style.green("ok")),
            false => format!("{} there is no `{file}`; the defaults hold\n", style.green("ok")),
        };
    }
    output.write(&text).map_err(CliError::Output)
}

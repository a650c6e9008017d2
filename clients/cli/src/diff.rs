//! `skein diff`: what a session changed in files, as a unified diff.

use clap::Args;
use protocol::api::diff::DiffClient;
use protocol::diff::{DiffReadParams, FileDiff};
use view::escape;

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::rewind::turn;
use crate::select;
use crate::table::json;

/// Of what.
#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// The session's id, or the beginning of it; without it, the session of this folder that was used last
    session: Option<String>,
    /// Only this turn, by its number or id
    #[arg(long, value_name = "TURN")]
    turn: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows it.
pub(crate) async fn run(args: DiffArgs, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein diff", output).await?;
    let is_last = args.session.is_none();
    let session_id = select::named(&mut connection, args.session.as_deref(), is_last).await?;
    let turn_id = match &args.turn {
        Some(text) => Some(turn(&mut connection, session_id, text).await?),
        None => None,
    };
    let params = DiffReadParams { session_id, turn_id };
    let result = connection.call(async |rpc| DiffClient::read(rpc, params.clone()).await).await?;
    if args.json {
        return json(&result, output);
    }
    if result.count == 0 {
        output.note(output.err.dim("no files were changed"));
        return Ok(());
    }
    output
        .write(&result.files.iter().map(|file| coloured(file, output)).collect::<String>())
        .map_err(CliError::Output)?;
    let shown = u32::try_from(result.files.len()).unwrap_or(u32::MAX);
    if result.count > shown {
        output.note(output.err.dim(format!("and {} more files", result.count - shown)));
    }
    Ok(())
}

/// A diff for a terminal; for a program, as it is.
fn coloured(file: &FileDiff, output: Output) -> String {
    let style = output.out;
    if !output.is_streamed {
        return file.text.clone();
    }
    let mut is_head = true;
    let mut text = String::new();
    for line in file.text.lines() {
        is_head = is_head && !line.starts_with("@@");
        let shown = escape::line(line);
        let line = match line.as_bytes().first() {
            _ if is_head => style.bold(shown),
            Some(b'+') => style.green(shown),
            Some(b'-') => style.red(shown),
            Some(b'@') => style.cyan(shown),
            Some(_) | None => shown,
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

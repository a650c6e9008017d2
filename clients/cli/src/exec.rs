//! `skein exec`: one turn from a prompt to an exit code.
//!
//! `args` are the flags, `stdin` and `prompt` what is said, `prepare` all before the turn, `follow` the turn
//! itself, `outcome` how it ended, and `json` and `human` tell it.

pub(crate) mod args;
pub(crate) mod ask;
mod follow;
pub(crate) mod human;
mod json;
pub(crate) mod outcome;
pub(crate) mod prepare;
mod prompt;
mod report;
pub(crate) mod signals;
mod stdin;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::Attached;
use protocol::api::turn::TurnClient;

use crate::bell::Bell;
use crate::error::CliError;
use crate::exec::args::ExecArgs;
use crate::exec::ask::Asker;
use crate::exec::follow::Follow;
use crate::exec::outcome::Ending;
use crate::exec::prepare::{Prepared, prepare};
use crate::exec::report::Reporter;
use crate::exec::signals::{Signal, Signals};
use crate::output::Output;

/// How long the start of a turn is waited for after a signal, so that the turn can be stopped.
const START_LIMIT: Duration = Duration::from_secs(5);

/// Runs a turn and returns the exit code. However it ends, the reporter has told it.
pub(crate) async fn run(args: ExecArgs, output: Output) -> u8 {
    let mut reporter = if args.flags.json { Reporter::json(output) } else { Reporter::human(output) };
    let last_message_file = args.flags.output_last_message.clone();
    let (ending, last_message) = match Signals::new() {
        Ok(mut signals) => Box::pin(turn(args, output, &mut reporter, &mut signals)).await,
        Err(source) => (Ending::Error(CliError::System { what: "Can't listen for signals", source }), None),
    };
    let was_run = last_message.is_some() || matches!(ending, Ending::Turn(_));
    let file = last_message_file.filter(|_| was_run);
    let ending = match file.map(|file| keep(&file, last_message.as_deref(), output)) {
        Some(Err(error)) if ending.verdict().exit == 0 => Ending::Error(error),
        Some(_) | None => ending,
    };
    match reporter.ending(&ending) {
        Ok(()) => ending.verdict().exit,
        Err(error) => Ending::Error(CliError::Output(error)).verdict().exit,
    }
}

/// Tells that the command line of an `exec` could not be read, where a program waits for a last line.
pub(crate) fn refuse(message: String, output: Output) {
    let mut reporter = Reporter::json(output);
    let ending = Ending::Error(CliError::Usage { message, hint: None });
    // If the line can't be written either, the exit code says it all.
    let _exit_code_tells = reporter.ending(&ending);
}

async fn turn(
    args: ExecArgs,
    output: Output,
    reporter: &mut Reporter,
    signals: &mut Signals,
) -> (Ending, Option<String>) {
    let is_detached = args.flags.detach;
    let failed = |error: CliError| (Ending::Error(error), None);
    let prepared = tokio::select! {
        biased;
        signal = signals.next() => return (Ending::Signal(signal), None),
        prepared = prepare(args, output) => prepared,
    };
    let Prepared { mut connection, summary, start } = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return failed(error),
    };
    if let Err(error) = reporter.session(&summary) {
        return failed(CliError::Output(error));
    }
    if is_detached {
        return match connection.call(async |rpc| rpc.start(start.clone()).await).await {
            Ok(_) => match reporter.detached(&summary) {
                Ok(()) => (Ending::Detached, None),
                Err(error) => failed(CliError::Output(error)),
            },
            Err(error) => failed(error.into()),
        };
    }
    let asker = Asker::at_terminal(output);
    let attached = Attached::open(connection, summary.id, Some(summary.seq), asker.is_some()).await;
    let mut attached = match attached {
        Ok(attached) => attached,
        Err(error) => return failed(error.into()),
    };
    // A signal from here on has a turn to stop, as soon as the daemon has told which.
    let mut early: Option<Signal> = None;
    let started = {
        let mut started = std::pin::pin!(attached.call(async |rpc| rpc.start(start.clone()).await));
        tokio::select! {
            biased;
            signal = signals.next() => {
                early = Some(signal);
                match tokio::time::timeout(START_LIMIT, started).await {
                    Ok(started) => started,
                    Err(_) => return (Ending::Signal(signal), None),
                }
            }
            started = &mut started => started,
        }
    };
    let turn = match started {
        Ok(started) => started.turn_id,
        Err(error) => return failed(error.into()),
    };
    reporter.turn(turn);
    let session = summary.id;
    let open = BTreeMap::new();
    let bell = if asker.is_some() { Bell::of_terminal(output) } else { Bell::SILENT };
    Follow { attached, session, turn, reporter, signals, output, asker, bell, open, last_message: None }
        .run(early)
        .await
}

/// Writes the last message to a file; an empty one if there is none.
fn keep(file: &Path, message: Option<&str>, output: Output) -> Result<(), CliError> {
    if message.is_none() {
        output.note(format_args!("note: there is no last message; `{}` is empty", file.display()));
    }
    let wrap = |source| CliError::File { action: "write", path: PathBuf::from(file), source };
    fs::write(file, message.unwrap_or_default()).map_err(wrap)
}

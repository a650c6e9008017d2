//! `skein ps` and `stop`: what runs now, and its end.

use std::collections::BTreeSet;

use clap::Args;
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::ids::RequestId;
use protocol::session::{
    BackgroundCommand, SessionEndCommandParams, SessionListParams, SessionReadParams, SessionSummary,
};
use protocol::turn::{InterruptReason, TurnInterruptParams};
use view::{escape, words};

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::select;
use crate::sessions::{OneArgs, now, print};
use crate::style::Style;
use crate::table::{json, table};

/// Letters of a command that are shown.
const COMMAND_LETTERS: usize = 100;

/// How to show it.
#[derive(Args, Debug)]
pub(crate) struct PsArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to stop.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  skein stop 0199a213-81c0                the running turn
  skein stop 0199a213-81c0 --process 2    a command that goes on in the background; the turn goes on

What was done stays. The agent is told that you ended it.")]
pub(crate) struct StopArgs {
    #[command(flatten)]
    which: OneArgs,
    /// End this command in the background instead, by its number in `skein ps`
    #[arg(long, value_name = "N")]
    process: Option<u32>,
}

/// Shows what runs. A daemon is started for it if need be: a turn that waits for an answer outlives its daemon.
pub(crate) async fn ps(args: PsArgs, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein ps", output).await?;
    let params = SessionListParams { only_active: true, with_agents: true, ..SessionListParams::default() };
    let sessions = connection.call(async |rpc| rpc.list(params.clone()).await).await?.sessions;
    let sessions = under_parents(sessions);
    if args.json {
        return json(&sessions, output);
    }
    if sessions.is_empty() {
        output.note(output.err.dim("nothing runs; `skein sessions list` shows what did"));
        return Ok(());
    }
    print(&sessions, output)?;
    let rows: Vec<_> = sessions.iter().flat_map(|session| background(session, output.out)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let commands = table(&["SESSION", "PROCESS", "SINCE", "COMMAND"], &rows, output);
    output.write(&format!("\n{commands}")).map_err(CliError::Output)?;
    output.note(output.err.dim("`skein stop SESSION --process N` ends a command in the background"));
    Ok(())
}

/// A session's commands in the background, as rows.
fn background(session: &SessionSummary, style: Style) -> Vec<Vec<String>> {
    let now = now();
    let row = |command: &BackgroundCommand| {
        let outside = if command.is_escalated { style.red(" (outside the sandbox)") } else { "".into() };
        vec![
            select::short(session.id),
            command.process_id.to_string(),
            format!("{} ago", words::span(now.since(command.started_at))),
            format!("{}{outside}", escape::short_line(&command.command, COMMAND_LETTERS)),
        ]
    };
    session.background.iter().map(row).collect()
}

/// Each agent after the session that started it, where that is among them.
fn under_parents(mut sessions: Vec<SessionSummary>) -> Vec<SessionSummary> {
    let ids: BTreeSet<_> = sessions.iter().map(|session| session.id).collect();
    let parent = |session: &SessionSummary| {
        session.agent.as_ref().map(|agent| agent.parent).filter(|parent| ids.contains(parent))
    };
    let mut ordered: Vec<SessionSummary> = Vec::with_capacity(sessions.len());
    let mut open: Vec<SessionSummary> =
        sessions.extract_if(.., |session| parent(session).is_none()).collect();
    open.reverse();
    while let Some(next) = open.pop() {
        let at = open.len();
        open.extend(sessions.extract_if(.., |session| parent(session) == Some(next.id)));
        open[at..].reverse();
        ordered.push(next);
    }
    ordered
}

/// Stops the running turn, or a command in the background.
pub(crate) async fn stop(args: StopArgs, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein stop", output).await?;
    let session_id = select::named(&mut connection, args.which.session.as_deref(), args.which.last).await?;
    if let Some(process_id) = args.process {
        let request_id = Some(RequestId::generate());
        let params = SessionEndCommandParams { session_id, process_id, request_id };
        connection.call(async |rpc| rpc.end_command(params.clone()).await).await?;
        output.note(output.err.dim(format!("ended process {process_id}; what it did stays")));
        return Ok(());
    }
    let (reason, request_id) = (InterruptReason::Requested, Some(RequestId::generate()));
    let params = TurnInterruptParams { session_id, expected_turn_id: None, reason, request_id };
    let stopped = connection.call(async |rpc| rpc.interrupt(params.clone()).await).await?;
    output.note(output.err.dim(match stopped.turn_id {
        Some(_) => "stopped; what was done stays",
        None => "no turn was running",
    }));
    let params = SessionReadParams { session_id, skip_turns: 0, limit: Some(1) };
    let read = connection.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
    for BackgroundCommand { process_id, command, .. } in &read.presence.background {
        let command = escape::short_line(command, COMMAND_LETTERS);
        output.note(output.err.dim(format!(
            "goes on in the background: {command}; `skein stop {} --process {process_id}` ends it",
            select::short(session_id)
        )));
    }
    Ok(())
}

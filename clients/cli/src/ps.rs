//! `skein ps` and `stop`: what runs now, and its end.

use std::collections::BTreeSet;

use clap::Args;
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::ids::RequestId;
use protocol::session::{SessionListParams, SessionSummary};
use protocol::turn::{InterruptReason, TurnInterruptParams};

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::select;
use crate::sessions::{OneArgs, print};
use crate::table::json;

/// How to show it.
#[derive(Args, Debug)]
pub(crate) struct PsArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to stop.
#[derive(Args, Debug)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    which: OneArgs,
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
    print(&sessions, output)
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

/// Stops the running turn.
pub(crate) async fn stop(args: StopArgs, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein stop", output).await?;
    let session_id = select::named(&mut connection, args.which.session.as_deref(), args.which.last).await?;
    let (reason, request_id) = (InterruptReason::Requested, Some(RequestId::generate()));
    let params = TurnInterruptParams { session_id, expected_turn_id: None, reason, request_id };
    let stopped = connection.call(async |rpc| rpc.interrupt(params.clone()).await).await?;
    output.note(output.err.dim(match stopped.turn_id {
        Some(_) => "stopped; what was done stays",
        None => "no turn was running",
    }));
    Ok(())
}

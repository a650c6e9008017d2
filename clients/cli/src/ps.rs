//! `skein ps`, `send` and `stop`: what runs now, and a word with it.

use clap::Args;
use client::{ConnectOptions, Connection};
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::ids::SessionId;
use protocol::session::{SessionListParams, SessionStatus};
use protocol::turn::{InputPart, InterruptReason, TurnEnqueueParams, TurnInterruptParams, TurnSteerParams};

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

/// What to say, and to whom.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  skein send 0199a213-81c0 \"leave the tests alone\"     into the running turn, or a new one
  skein send --last --next \"then write the changelog\"   after the running turn")]
pub(crate) struct SendArgs {
    /// The session's id, or the beginning of it [with --last: the text]
    #[arg(value_name = "SESSION")]
    session: String,
    /// What to say
    #[arg(required_unless_present = "last")]
    text: Option<String>,
    /// The session of this folder that was used last
    #[arg(long)]
    last: bool,
    /// Say it when the running turn has ended, not into it
    #[arg(long)]
    next: bool,
}

/// What to stop.
#[derive(Args, Debug)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    which: OneArgs,
}

/// Shows what runs. A daemon is started for it if need be: a turn that waits for an answer outlives its daemon.
pub(crate) async fn ps(args: PsArgs, output: Output) -> Result<(), CliError> {
    let connection = Connection::open(ConnectOptions::new("skein ps")).await?;
    let params = SessionListParams { only_active: true, ..SessionListParams::default() };
    let sessions = connection.rpc().list(params).await?.sessions;
    if args.json {
        return json(&sessions, output);
    }
    if sessions.is_empty() {
        output.note(output.err.dim("nothing runs; `skein sessions list` shows what did"));
        return Ok(());
    }
    print(&sessions, output)
}

/// Says something: into the running turn, or, if none runs, as the input of a new one.
pub(crate) async fn send(args: SendArgs, output: Output) -> Result<(), CliError> {
    let connection = Connection::open(ConnectOptions::new("skein send")).await?;
    let rpc = connection.rpc();
    let (session, text) = match (args.last, args.text) {
        (true, None) => (None, args.session),
        (false, Some(text)) => (Some(args.session), text),
        (true, Some(_)) | (false, None) => {
            return Err(CliError::usage("Which session?", "Name one, or pass `--last`, and then the text"));
        }
    };
    let session_id: SessionId = select::named(rpc, session.as_deref(), args.last).await?;
    let input = vec![InputPart::Text { text }];
    let is_busy = match select::read(rpc, session_id).await?.status {
        SessionStatus::Running { .. } | SessionStatus::Waiting { .. } => true,
        SessionStatus::Idle | SessionStatus::Archived | SessionStatus::Unknown(_) => false,
    };
    if is_busy && !args.next {
        rpc.steer(TurnSteerParams { session_id, input, expected_turn_id: None }).await?;
        output.note(output.err.dim("said into the running turn"));
    } else {
        let enqueued = rpc.enqueue(TurnEnqueueParams { session_id, input }).await?;
        output.note(output.err.dim(match enqueued.position {
            0 => format!("a turn was started; follow it with `skein logs {session_id} -f`"),
            position => format!("number {position} in the queue"),
        }));
    }
    Ok(())
}

/// Stops the running turn.
pub(crate) async fn stop(args: StopArgs, output: Output) -> Result<(), CliError> {
    let connection = Connection::open(ConnectOptions::new("skein stop")).await?;
    let rpc = connection.rpc();
    let session_id = select::named(rpc, args.which.session.as_deref(), args.which.last).await?;
    let reason = InterruptReason::Requested;
    let stopped = rpc.interrupt(TurnInterruptParams { session_id, expected_turn_id: None, reason }).await?;
    output.note(output.err.dim(match stopped.turn_id {
        Some(_) => "stopped; what was done stays",
        None => "no turn was running",
    }));
    Ok(())
}

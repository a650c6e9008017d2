//! `skein sessions`: those there are, in all folders.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use client::Connection;
use protocol::api::daemon::DaemonClient;
use protocol::api::session::SessionClient;
use protocol::daemon::DaemonStatusParams;
use protocol::ids::{RequestId, SessionId, Timestamp, TurnId};
use protocol::profile::SandboxMode;
use protocol::session::{
    SessionForkParams, SessionListParams, SessionReadParams, SessionRef, SessionSettings, SessionStatus,
    SessionSummary, SessionUpdateParams, SettingsOverrides,
};
use view::{escape, words};

use crate::agents::indent;
use crate::attach::print_snapshot;
use crate::connect::connect;
use crate::daemon::rate_limit;
use crate::error::CliError;
use crate::output::Output;
use crate::select::{self, absolute_folder};
use crate::style::Style;
use crate::table::{json, pairs, table};
use crate::worktree::Held;

/// Sessions in a list, unless told otherwise.
const LISTED: u32 = 30;
/// Where the sandbox stands in a table.
const SANDBOX_COLUMN: usize = 2;
/// Letters of a title in a table.
const TITLE_LETTERS: usize = 60;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// List them, newest first
    List(ListArgs),
    /// Show one: its settings and its last turns
    Show(ShowArgs),
    /// Give one another title
    Rename(RenameArgs),
    /// Make one that begins with the turns of another one, and print its id
    Fork(ForkArgs),
    /// Put one away: lists leave it out, nothing is lost
    Archive(OneArgs),
    /// Remove one, and all that belongs to it, for good
    Delete(DeleteArgs),
}

/// Which ones.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Only those of this folder
    #[arg(long)]
    here: bool,
    /// Archived ones too
    #[arg(long)]
    all: bool,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = LISTED)]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which one.
#[derive(Args, Debug)]
pub(crate) struct OneArgs {
    /// The session's id, or the beginning of it
    #[arg(value_name = "SESSION", required_unless_present = "last", conflicts_with = "last")]
    pub(crate) session: Option<String>,
    /// The session of this folder that was used last
    #[arg(long)]
    pub(crate) last: bool,
}

/// Which one, and how.
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    which: OneArgs,
    /// At most so many turns, from the end
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    turns: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which one, and what it is called.
#[derive(Args, Debug)]
pub(crate) struct RenameArgs {
    /// The session's id, or the beginning of it
    session: String,
    /// Its new title
    title: String,
}

/// Which one, and up to where.
#[derive(Args, Debug)]
pub(crate) struct ForkArgs {
    #[command(flatten)]
    which: OneArgs,
    /// Leave out so many turns, from the end
    #[arg(long, value_name = "N", default_value_t = 0)]
    without: u32,
    /// What the new one is called; else as the other one
    #[arg(long)]
    title: Option<String>,
}

/// Which one.
#[derive(Args, Debug)]
pub(crate) struct DeleteArgs {
    /// The session's id, or the beginning of it
    session: String,
}

/// Runs one.
pub(crate) async fn run(command: SessionsCommand, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein sessions", output).await?;
    match command {
        SessionsCommand::List(args) => {
            let cwd = if args.here { Some(absolute_folder(None)?) } else { None };
            let params = SessionListParams {
                cwd,
                with_archived: args.all,
                limit: Some(args.limit),
                ..SessionListParams::default()
            };
            let result = connection.call(async |rpc| rpc.list(params.clone()).await).await?;
            if args.json { json(&result.sessions, output) } else { print(&result.sessions, output) }
        }
        SessionsCommand::Show(args) => {
            let session_id =
                select::named(&mut connection, args.which.session.as_deref(), args.which.last).await?;
            let params = SessionReadParams { session_id, skip_turns: 0, limit: Some(args.turns) };
            let snapshot = connection.call(async |rpc| rpc.read(params.clone()).await).await?;
            if args.json {
                return json(&snapshot, output);
            }
            let mut rows = rows(&snapshot.summary, output.out);
            let status = connection.call(async |rpc| rpc.status(DaemonStatusParams::default()).await).await?;
            let provider = &snapshot.summary.settings.provider;
            let of_provider = status.rate_limits.iter().filter(|limit| limit.provider == *provider);
            rows.extend(of_provider.map(|limit| ("limit", rate_limit(limit))));
            output.write(&pairs(&rows, output)).map_err(CliError::Output)?;
            print_snapshot(&snapshot, output.merged())
        }
        SessionsCommand::Rename(args) => {
            let session_id = select::by_text(&mut connection, &args.session).await?;
            let (title, overrides) = (Some(args.title), SettingsOverrides::default());
            let request_id = Some(RequestId::generate());
            let params = SessionUpdateParams { session_id, title, overrides, unarchive: false, request_id };
            connection.call(async |rpc| rpc.update(params.clone()).await).await?;
            Ok(())
        }
        SessionsCommand::Fork(args) => {
            let session_id =
                select::named(&mut connection, args.which.session.as_deref(), args.which.last).await?;
            let turn_id = match args.without {
                0 => None,
                skip_turns => Some(last_turn(&mut connection, session_id, skip_turns).await?),
            };
            let new_session_id = Some(SessionId::generate());
            let params = SessionForkParams { session_id, turn_id, new_session_id, title: args.title };
            let made = connection.call(async |rpc| rpc.fork(params.clone()).await).await?;
            output.write(&format!("{}\n", made.summary.id)).map_err(CliError::Output)
        }
        SessionsCommand::Archive(args) => {
            let session_id = select::named(&mut connection, args.session.as_deref(), args.last).await?;
            let params = SessionRef::new(session_id);
            connection.call(async |rpc| rpc.archive(params.clone()).await).await?;
            let cwd = select::read(&mut connection, session_id).await?.settings.cwd;
            if let Some(held) = Held::of(&mut connection, session_id, &cwd).await? {
                held.keep(output);
            }
            Ok(())
        }
        SessionsCommand::Delete(args) => {
            let session_id = select::by_text(&mut connection, &args.session).await?;
            // A session that can't be read is deleted all the same.
            let held = match select::read(&mut connection, session_id).await {
                Ok(summary) => Held::of(&mut connection, session_id, &summary.settings.cwd).await?,
                Err(_) => None,
            };
            let params = SessionRef::new(session_id);
            connection.call(async |rpc| rpc.delete(params.clone()).await).await?;
            if let Some(held) = held {
                held.settle(output)?;
            }
            Ok(())
        }
    }
}

/// The last turn that is left where so many are left out.
async fn last_turn(
    connection: &mut Connection,
    session_id: SessionId,
    skip_turns: u32,
) -> Result<TurnId, CliError> {
    let params = SessionReadParams { session_id, skip_turns, limit: Some(1) };
    let read = connection.call(async |rpc| rpc.read(params.clone()).await).await?;
    let turn = read.turns.last().filter(|turn| !turn.is_rewound);
    turn.map(|turn| turn.id).ok_or_else(|| {
        CliError::usage("The session has no such turn any more", "See its turns with `skein sessions show`")
    })
}

/// Sessions as a table.
pub(crate) fn print(sessions: &[SessionSummary], output: Output) -> Result<(), CliError> {
    if sessions.is_empty() {
        output.note(output.err.dim("no sessions"));
        return Ok(());
    }
    let now = now();
    let mut headings = vec!["SESSION", "STATE", "ACTIVE", "TURNS", "FOLDER", "TITLE"];
    let mut rows: Vec<Vec<String>> = sessions
        .iter()
        .map(|session| {
            vec![
                select::short(session.id),
                state(&session.status).to_owned(),
                format!("{} ago", words::span(now.since(session.updated_at))),
                session.turn_count.to_string(),
                escape::line(&session.settings.cwd.to_string_lossy()).into_owned(),
                title(session),
            ]
        })
        .collect();
    // A column that says the same of all, and nothing alarming, is not worth its room.
    if sessions.iter().any(|session| is_unconfined(&session.settings)) {
        headings.insert(SANDBOX_COLUMN, "SANDBOX");
        for (row, session) in rows.iter_mut().zip(sessions) {
            row.insert(SANDBOX_COLUMN, sandbox(session, output.out));
        }
    }
    output.write(&table(&headings, &rows, output)).map_err(CliError::Output)
}

/// Whether nothing confines a session's commands.
pub(crate) fn is_unconfined(settings: &SessionSettings) -> bool {
    settings.sandbox == SandboxMode::DangerFullAccess
}

/// How its commands are confined; in red if they are not.
fn sandbox(session: &SessionSummary, style: Style) -> String {
    let mode = session.settings.sandbox.as_str();
    if is_unconfined(&session.settings) { style.red(mode).into_owned() } else { mode.to_owned() }
}

fn rows(summary: &SessionSummary, style: Style) -> Vec<(&'static str, String)> {
    let settings = &summary.settings;
    let now = now();
    let mut rows = vec![
        ("session", summary.id.to_string()),
        ("title", title(summary)),
        ("state", state(&summary.status).to_owned()),
        ("folder", escape::line(&settings.cwd.to_string_lossy()).into_owned()),
        ("model", format!("{} ({})", escape::line(&settings.model), escape::line(&settings.provider))),
        ("sandbox", format!("{}, approval {}", sandbox(summary, style), settings.approval.as_str())),
        ("made", format!("{} ago", words::span(now.since(summary.created_at)))),
        ("active", format!("{} ago", words::span(now.since(summary.updated_at)))),
        ("turns", summary.turn_count.to_string()),
    ];
    let usage = &summary.usage;
    rows.push((
        "tokens",
        format!("{} in, {} out", words::thousands(usage.input_tokens), words::thousands(usage.output_tokens)),
    ));
    rows
}

fn title(session: &SessionSummary) -> String {
    let title = session.title.as_deref().unwrap_or("(nothing said yet)");
    let first = title.lines().next().unwrap_or_default();
    let cut: String = first.chars().take(TITLE_LETTERS).collect();
    let more = if cut.len() < title.len() { "…" } else { "" };
    let depth = session.agent.as_ref().map_or(0, |agent| agent.depth);
    format!("{}{}{more}", indent(depth), escape::line(&cut))
}

/// One word for what a session is doing.
pub(crate) fn state(status: &SessionStatus) -> &'static str {
    match status {
        SessionStatus::Idle => "idle",
        SessionStatus::Running { .. } => "running",
        SessionStatus::Waiting { .. } => "waiting",
        SessionStatus::Archived => "archived",
        SessionStatus::Damaged { .. } => "damaged",
        SessionStatus::Unknown(_) => "unknown",
    }
}

/// The time of this machine's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

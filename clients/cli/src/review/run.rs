//! The session of a review, from the change to the findings.

use std::path::PathBuf;

use clap::Args;
use client::{Attached, Connection, Update};
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::delta::FeedEntry;
use protocol::event::{Event, TurnEnded};
use protocol::ids::{RequestId, SessionId, TurnId};
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::review::{Review, answer_schema};
use protocol::session::{SessionCreateParams, SessionSummary, SettingsOverrides};
use protocol::turn::{
    InputPart, InterruptReason, TurnInterruptParams, TurnLimits, TurnOutcome, TurnStartParams,
};
use serde_json::json;
use view::{escape, words};

use crate::connect::{back, connect};
use crate::error::CliError;
use crate::exec::signals::Signals;
use crate::git::Git;
use crate::output::Output;
use crate::review::change::{Change, Subject};
use crate::review::findings::shown;
use crate::select::absolute_folder;
use crate::table;

const EXAMPLES: &str = "\
Examples:
  skein review                        what is not committed
  skein review --base main            all since this branch left `main`
  skein review --commit HEAD~1 --json | jq '.findings[].title'

The session may only read. `skein logs SESSION` shows how it came to its findings, and `skein send` asks it more.";

const PROMPT: &str = include_str!("prompt.md");

/// What to review.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReviewArgs {
    /// All since this branch left another one, committed or not
    #[arg(long, value_name = "BRANCH", conflicts_with_all = ["commit", "uncommitted"])]
    base: Option<String>,
    /// One commit
    #[arg(long, value_name = "SHA", conflicts_with = "uncommitted")]
    commit: Option<String>,
    /// What is not committed, as without these flags
    #[arg(long)]
    uncommitted: bool,
    /// The repository
    #[arg(short = 'C', long = "cd", value_name = "DIR")]
    cd: Option<PathBuf>,
    /// The model
    #[arg(short, long)]
    model: Option<String>,
    /// A profile of the configuration
    #[arg(short, long, value_name = "NAME")]
    profile: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Reviews; returns the exit code.
pub(crate) async fn run(args: ReviewArgs, output: Output) -> Result<u8, CliError> {
    let folder = absolute_folder(args.cd.as_deref())?;
    let subject = match (&args.base, &args.commit) {
        (Some(base), _) => Subject::Base(base.clone()),
        (None, Some(commit)) => Subject::Commit(commit.clone()),
        (None, None) => Subject::Uncommitted,
    };
    // Git names files as they are below the repository's root, so that is where the session works.
    let root = PathBuf::from(Git::new(&folder)?.run(["rev-parse", "--show-toplevel"])?);
    let change = Change::read(&Git::new(&root)?, &subject)?;
    if change.text.is_empty() {
        let nothing = Review { summary: "Nothing was changed.".to_owned(), ..Review::default() };
        show(&nothing, None, args.json, output)?;
        return Ok(0);
    }
    let mut signals =
        Signals::new().map_err(|source| CliError::System { what: "Can't listen for signals", source })?;
    let mut connection = connect("skein review", output).await?;
    let summary = session(&mut connection, &args, root, &change).await?;
    let id = summary.id;
    output.note(output.err.dim(format!("reviewing {}; session {id}", change.name)));
    let mut attached = Attached::open(connection, id, Some(summary.seq), false).await?;
    let fence = "=".repeat(12);
    let text = format!("{PROMPT}\nThe change is {}:\n\n{fence}\n{}\n{fence}\n", change.name, change.text);
    let start = TurnStartParams {
        session_id: id,
        input: vec![InputPart::Text { text }],
        output_schema: Some(answer_schema()),
        limits: TurnLimits::default(),
        expected_seq: None,
        request_id: Some(RequestId::generate()),
    };
    let turn = attached.call(async |rpc| TurnClient::start(rpc, start.clone()).await).await?.turn_id;
    let mut heard = Heard::default();
    let ended = loop {
        tokio::select! {
            biased;
            signal = signals.next() => {
                stop(&mut attached, id, turn).await?;
                return Ok(signal.exit_code());
            }
            update = attached.next() => {
                if let Some(ended) = take(update?, turn, &mut heard, output) {
                    break ended;
                }
            }
        }
    };
    if ended.outcome != TurnOutcome::Completed {
        let message = words::ending(&ended.outcome).unwrap_or_default();
        return Err(CliError::Failed { message, hint: words::ending_hint(&ended.outcome) });
    }
    // A daemon that is older than this client tells no review.
    let answer = heard.answer.unwrap_or_default();
    let found = heard.review.unwrap_or_else(|| Review::read(&answer, &summary.settings.cwd));
    let unreadable = |message: String| CliError::Failed {
        message: escape::line(&message).into_owned(),
        hint: Some(format!("See what it said with `skein logs {id}`")),
    };
    match &found.message {
        Some(message) if found.findings.is_empty() => return Err(unreadable(message.clone())),
        Some(_) | None => show(&found, Some(id), args.json, output)?,
    }
    output.note(output.err.dim(words::spent(&ended)));
    found.message.map_or(Ok(0), |message| Err(unreadable(message)))
}

/// What the turn told so far.
#[derive(Default)]
struct Heard {
    answer: Option<String>,
    review: Option<Review>,
}

/// A session that may only read, and asks nobody.
async fn session(
    connection: &mut Connection,
    args: &ReviewArgs,
    cwd: PathBuf,
    change: &Change,
) -> Result<SessionSummary, CliError> {
    let overrides = SettingsOverrides {
        profile: args.profile.clone(),
        model: args.model.clone(),
        sandbox: Some(SandboxMode::ReadOnly),
        approval: Some(ApprovalPolicy::Never),
        ..SettingsOverrides::default()
    };
    let params = SessionCreateParams {
        session_id: Some(SessionId::generate()),
        cwd,
        title: Some(format!("Review of {}", change.name)),
        overrides,
        ..SessionCreateParams::default()
    };
    let created = connection.call(async |rpc| SessionClient::create(rpc, params.clone()).await).await?;
    Ok(created.summary)
}

/// Takes what happened; the turn's end, if it is over.
fn take(update: Update, turn: TurnId, heard: &mut Heard, output: Output) -> Option<TurnEnded> {
    match update {
        Update::Snapshot(snapshot) => {
            let known = snapshot.turns.into_iter().find(|known| known.id == turn)?;
            known.items.iter().for_each(|item| hear(item, heard));
            let duration_ms = known.ended_at.map_or(0, |at| at.since(known.started_at));
            let (usage, cost) = (known.usage, known.cost);
            Some(TurnEnded { turn_id: turn, outcome: known.outcome?, usage, cost, duration_ms })
        }
        Update::Entries(entries) => entries.into_iter().find_map(|entry| {
            let FeedEntry::Event(record) = entry else { return None };
            if let Event::ItemCompleted(changed) = &record.event
                && changed.item.turn_id == turn
            {
                hear(&changed.item, heard);
            }
            if let Event::TurnEnded(ended) = record.event {
                Some(ended).filter(|ended| ended.turn_id == turn)
            } else {
                None
            }
        }),
        Update::Presence(_) => None,
        Update::Lost => {
            output.note(output.err.yellow("the connection to the daemon was lost; looking for it"));
            None
        }
        Update::Back(change) => {
            output.note(output.err.dim(back(&change)));
            None
        }
    }
}

fn hear(item: &Item, heard: &mut Heard) {
    if item.status == ItemStatus::Discarded {
        return;
    }
    if let ItemBody::AgentMessage(message) = &item.body {
        heard.answer = Some(message.text.clone());
    } else if let ItemBody::Review(review) = &item.body {
        heard.review = Some(review.clone());
    }
}

async fn stop(attached: &mut Attached, session_id: SessionId, turn: TurnId) -> Result<(), CliError> {
    let (reason, request_id) = (InterruptReason::Requested, Some(RequestId::generate()));
    let params = TurnInterruptParams { session_id, expected_turn_id: Some(turn), reason, request_id };
    attached.call(async |rpc| TurnClient::interrupt(rpc, params.clone()).await).await?;
    Ok(())
}

fn show(found: &Review, session: Option<SessionId>, is_json: bool, output: Output) -> Result<(), CliError> {
    if is_json {
        let mut value = json!(found);
        value["sessionId"] = json!(session);
        return table::json(&value, output);
    }
    output.write(&shown(found, output)).map_err(CliError::Output)
}

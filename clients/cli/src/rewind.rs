//! `skein rewind`: takes turns back, what they changed in files and what was said; or undoes that.

use clap::{Args, ValueEnum};
use client::Connection;
use protocol::api::rewind::RewindClient;
use protocol::api::session::SessionClient;
use protocol::ids::{RequestId, SessionId, TurnId};
use protocol::rewind::{
    ConflictChoice, LeftFile, RewindAction, RewindParams, RewindResult, RewindScope, RewindTarget,
};
use protocol::session::SessionReadParams;
use view::{escape, words};

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::select;
use crate::sessions::OneArgs;
use crate::table::json;

const EXAMPLES: &str = "\
Examples:
  skein rewind --last --preview       what taking back the last turn would do
  skein rewind 0197 --to 3            back to before the third turn
  skein rewind --last --code          the files only; the conversation goes on from here
  skein rewind --last --undo          all of it again

A rewind never touches git, and nothing is lost: the log keeps all turns, and what was in the files.";

/// What to take back.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct RewindArgs {
    #[command(flatten)]
    which: OneArgs,
    /// To before this turn, by its number or id; without it, to before the last one
    #[arg(long, value_name = "TURN", conflicts_with = "undo")]
    to: Option<String>,
    /// Only what was changed in files
    #[arg(long, conflicts_with_all = ["chat", "both", "undo"])]
    code: bool,
    /// Only what was said
    #[arg(long, conflicts_with_all = ["both", "undo"])]
    chat: bool,
    /// Both, as without these flags
    #[arg(long, conflicts_with = "undo")]
    both: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    preview: bool,
    /// Undo the last rewind
    #[arg(long)]
    undo: bool,
    /// What becomes of files that were changed by somebody else since
    #[arg(long, value_enum, value_name = "CHOICE")]
    conflicts: Option<Conflicts>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What becomes of conflicts.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Conflicts {
    /// They stay as they are
    Keep,
    /// They are taken back; `--undo` brings them again
    Theirs,
    /// They are taken back, and what was there is put beside, as `NAME.kept`
    Both,
}

/// Takes back.
pub(crate) async fn run(args: RewindArgs, output: Output) -> Result<(), CliError> {
    let mut connection = connect("skein rewind", output).await?;
    let session_id = select::named(&mut connection, args.which.session.as_deref(), args.which.last).await?;
    let target = match &args.to {
        _ if args.undo => RewindTarget::Undo,
        None => RewindTarget::LastTurn,
        Some(text) => RewindTarget::Turn { turn_id: turn(&mut connection, session_id, text).await? },
    };
    let scope = match (args.code, args.chat) {
        (true, _) => RewindScope::Code,
        (false, true) => RewindScope::Chat,
        (false, false) => RewindScope::Both,
    };
    let conflicts = args.conflicts.map(|choice| match choice {
        Conflicts::Keep => ConflictChoice::Keep,
        Conflicts::Theirs => ConflictChoice::Theirs,
        Conflicts::Both => ConflictChoice::Both,
    });
    let request_id = Some(RequestId::generate());
    let params = RewindParams { session_id, target, scope, conflicts, request_id };
    let result = if args.preview {
        connection.call(async |rpc| rpc.preview(params.clone()).await).await?
    } else {
        connection.call(async |rpc| RewindClient::start(rpc, params.clone()).await).await?
    };
    if args.json {
        json(&result, output)?;
    } else {
        print(&result, args.undo, output)?;
    }
    if args.preview || result.is_done {
        return Ok(());
    }
    Err(CliError::Failed {
        message: format!(
            "Nothing was done: {} changed meanwhile",
            words::count(result.conflicts, "file was", "files were")
        ),
        hint: Some("Choose with `--conflicts keep`, `theirs` or `both`; `--preview` shows them".to_owned()),
    })
}

/// The turn that a text names: by number from 1, or by id.
pub(crate) async fn turn(
    connection: &mut Connection,
    session_id: SessionId,
    text: &str,
) -> Result<TurnId, CliError> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let unknown = |turns: u32| {
        CliError::usage(
            format!("`{text}` is no turn of the session, which has {turns}"),
            "Name one by its number, from 1, or by its id; `skein sessions show --json` has them",
        )
    };
    let turns = select::read(connection, session_id).await?.turn_count;
    let number: u32 =
        text.parse().ok().filter(|number| (1..=turns).contains(number)).ok_or_else(|| unknown(turns))?;
    let params = SessionReadParams { session_id, skip_turns: turns - number, limit: Some(1) };
    let read = connection.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
    read.turns.last().map(|turn| turn.id).ok_or_else(|| unknown(turns))
}

fn print(result: &RewindResult, is_undo: bool, output: Output) -> Result<(), CliError> {
    let mut text = String::new();
    for file in &result.files {
        let word = match &file.action {
            RewindAction::Recreated => output.out.green("recreate"),
            RewindAction::Restored => output.out.yellow("restore "),
            RewindAction::Removed => output.out.red("remove  "),
            RewindAction::Unknown(word) => escape::line(word),
        };
        let path = file.path.to_string_lossy();
        let conflict = if file.is_conflict { output.out.red("  (changed meanwhile)") } else { "".into() };
        text.push_str(&format!("{word}  {}{conflict}\n", escape::line(&path)));
    }
    let more = result.count.saturating_sub(u32::try_from(result.files.len()).unwrap_or(u32::MAX));
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    output.write(&text).map_err(CliError::Output)?;
    for LeftFile { path, reason } in &result.left {
        let path = path.to_string_lossy();
        output.note(output.err.yellow(format!(
            "left as it is: {}: {}",
            escape::line(&path),
            escape::line(reason)
        )));
    }
    if result.is_done {
        let turns = u32::try_from(result.turns.len()).unwrap_or(u32::MAX);
        let verb = if is_undo { "brought back" } else { "took back" };
        output.note(output.err.dim(format!("{verb} {}", words::turns_and_files(turns, result.count))));
    }
    Ok(())
}

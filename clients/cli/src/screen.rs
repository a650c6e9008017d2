//! `skein [PROMPT]`, and `skein attach` at a terminal: the terminal UI. Knows which session is meant; what it looks
//! like is `tui`'s business.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use client::ConnectOptions;
use protocol::ids::SessionId;
use protocol::session::{SessionCreateParams, SettingsOverrides};
use tui::{Extent, Mode, SessionChoice, TuiOptions};

use crate::args::Cli;
use crate::connect::connect;
use crate::error::CliError;
use crate::exec::args::{ApprovalChoice, SandboxChoice, local_provider};
use crate::output::Output;
use crate::select::{self, absolute_folder};
use crate::welcome;
use crate::worktree;

/// A single word with one slip in so many letters of a command is that command, mistyped, and no prompt.
const LETTERS_PER_SLIP: usize = 3;

/// What to begin with.
#[derive(Args, Debug)]
pub(crate) struct ScreenArgs {
    /// What to do first, as one argument
    #[arg(value_name = "PROMPT")]
    prompt: Vec<String>,
    /// Go on with the last session of this folder
    #[arg(short = 'c', long = "continue")]
    goes_on: bool,
    /// Work in this folder
    #[arg(short = 'C', long = "cd", value_name = "DIR")]
    cd: Option<PathBuf>,
    /// Work in a git worktree and on a branch of its own, `skein/NAME`
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "", conflicts_with = "goes_on")]
    worktree: Option<String>,
    /// The model
    #[arg(short, long)]
    model: Option<String>,
    /// Take a model of this machine, from Ollama or LM Studio, whichever runs
    #[arg(long)]
    oss: bool,
    /// A profile of the configuration
    #[arg(short, long, value_name = "NAME")]
    profile: Option<String>,
    /// What commands may touch
    #[arg(short, long, value_name = "MODE")]
    sandbox: Option<SandboxChoice>,
    /// What commands may touch, as `[permissions.NAME]` of the configuration says
    #[arg(long, value_name = "NAME", conflicts_with = "sandbox")]
    permissions: Option<String>,
    /// Take all of the terminal, with scrolling of its own
    #[arg(long)]
    fullscreen: bool,
    /// When a person is asked
    #[arg(short = 'a', long = "ask-for-approval", value_name = "POLICY")]
    approval: Option<ApprovalChoice>,
}

/// Whether there is a terminal that can show it.
pub(crate) fn is_possible() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
}

/// Why a terminal that is there can't show it, with what to do; absent where there is no terminal.
pub(crate) fn why_impossible() -> Option<&'static str> {
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    is_terminal.then_some(
        "This terminal can't show the terminal UI: `TERM` is `dumb`, or not set. `skein exec PROMPT` and `skein attach \
         --text` need no screen.",
    )
}

/// A new session, or the last one of the folder.
pub(crate) async fn run(args: ScreenArgs, output: Output) -> Result<(), CliError> {
    let prompt = prompt(args.prompt)?;
    let folder = absolute_folder(args.cd.as_deref())?;
    let overrides = SettingsOverrides {
        profile: args.profile,
        values: args.oss.then(local_provider).into_iter().collect(),
        model: args.model,
        sandbox: args.sandbox.map(Into::into),
        approval: args.approval.map(Into::into),
        permissions: args.permissions,
    };
    let session = if args.goes_on {
        if overrides != SettingsOverrides::default() {
            let note =
                "note: the session keeps its settings; `/model`, `/sandbox` and `/approvals` change them";
            output.note(note);
        }
        let mut connection = connect("skein", output).await?;
        SessionChoice::Existing(select::last_of(&mut connection, &folder).await?.id)
    } else {
        if is_possible() {
            welcome::show(&folder, output).await?;
        }
        let folder = match &args.worktree {
            Some(name) => worktree::enter(&folder, name, output)?,
            None => folder,
        };
        let session_id = Some(SessionId::generate());
        let params =
            SessionCreateParams { session_id, cwd: folder, overrides, ..SessionCreateParams::default() };
        SessionChoice::New(Box::new(params))
    };
    let extent = if args.fullscreen { Extent::Fullscreen } else { Extent::AsSet };
    show(session, Mode::Drive, prompt, extent).await
}

/// A session that exists.
pub(crate) async fn attach(session: SessionId, mode: Mode) -> Result<(), CliError> {
    show(SessionChoice::Existing(session), mode, None, Extent::AsSet).await
}

async fn show(
    session: SessionChoice,
    mode: Mode,
    prompt: Option<String>,
    extent: Extent,
) -> Result<(), CliError> {
    let connect = ConnectOptions::new("skein");
    Ok(Box::pin(tui::run(TuiOptions { session, mode, prompt, extent, connect })).await?)
}

/// The prompt, if there is one. A mistyped command must not be said to a model.
fn prompt(mut arguments: Vec<String>) -> Result<Option<String>, CliError> {
    if let Some(first) = arguments.first() {
        refuse_mistyped(first)?;
    }
    if arguments.len() > 1 {
        let quoted = format!("skein \"{}\"", arguments.join(" "));
        return Err(CliError::usage("The prompt is one argument", format!("Put it in quotes: {quoted}")));
    }
    Ok(arguments.pop())
}

fn refuse_mistyped(word: &str) -> Result<(), CliError> {
    if word.contains(char::is_whitespace) {
        return Ok(());
    }
    let command = Cli::command();
    let alike = command
        .get_subcommands()
        .map(|known| (strsim::damerau_levenshtein(word, known.get_name()), known.get_name()))
        .filter(|(slips, name)| slips * LETTERS_PER_SLIP <= name.len())
        .min();
    match alike {
        Some((_, meant)) => Err(CliError::usage(
            format!("`{word}` is no command"),
            format!("Perhaps `skein {meant}` was meant; a prompt of one word goes with `skein exec {word}`"),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_command_is_no_prompt() {
        for word in ["exce", "atach", "sesions", "doctr", "demon"] {
            for arguments in [vec![word.to_owned()], vec![word.to_owned(), "x".to_owned()]] {
                assert!(prompt(arguments).is_err(), "{word}");
            }
        }
        for text in ["fix the test", "attach the label to the box", "hello", "refactor!"] {
            assert_eq!(prompt(vec![text.to_owned()]).expect("a prompt").as_deref(), Some(text));
        }
        assert!(prompt(Vec::new()).expect("none is fine").is_none());
        assert!(prompt(vec!["fix".to_owned(), "it".to_owned()]).is_err(), "quotes are missing");
    }
}

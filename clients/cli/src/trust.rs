//! `skein config trust`: what a folder declares that would be run or obeyed, and the leave for it. Nothing of it is
//! used before; what is changed later is asked about again.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use protocol::api::trust::TrustClient;
use protocol::trust::{
    Declaration, DeclarationKind, DeclarationState, FolderTrust, TrustReadParams, TrustSetParams,
};
use view::escape;

use crate::connect::connect;
use crate::error::CliError;
use crate::output::Output;
use crate::select::absolute_folder;
use crate::style::Style;

/// Lines of what is declared that are shown of each.
const MAX_LINES: usize = 60;

const HELP_AFTER: &str = "\
Examples:
  skein config trust                 show what this repository declares, and ask
  skein config trust --show          only show it
  skein config trust --yes           trust all that it declares now
  skein config trust --revoke        trust nothing of it any more

A folder can declare hooks (`.skein/hooks.json`, `.claude/settings.json`, `.codex/hooks.json`), rules
(`.skein/rules/*.rules`), MCP servers (`.mcp.json`) and skills (`.skein/skills`, `.agents/skills`, `.claude/skills`,
`.codex/skills`). Trust is of exactly what is shown: what is changed later is not used until you trust it
again, nor is another repository at the same place, nor one inside of it.";

/// Which folder, and what to do.
#[derive(Args, Debug)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct TrustArgs {
    /// The folder [default: this one]
    folder: Option<PathBuf>,
    /// Only show what it declares
    #[arg(long, conflicts_with_all = ["revoke", "yes"])]
    show: bool,
    /// Trust nothing of it any more
    #[arg(long, conflicts_with = "yes")]
    revoke: bool,
    /// Trust all that it declares now, without asking
    #[arg(short = 'y', long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Shows, asks and tells the daemon.
pub(crate) async fn run(args: TrustArgs, output: Output) -> Result<(), CliError> {
    let folder = absolute_folder(args.folder.as_deref())?;
    let mut connection = connect("skein config trust", output).await?;
    let params = TrustReadParams { folder };
    let found = connection.call(async |rpc| rpc.read_trust(params.clone()).await).await?;
    if args.revoke {
        let set = TrustSetParams { folder: found.folder, hashes: Vec::new() };
        let found = connection.rpc().set_trust(set).await?;
        let shown = escape::line(&found.folder.to_string_lossy()).into_owned();
        return told(
            &found,
            args.json,
            &format!("Nothing that `{shown}` declares is trusted any more"),
            output,
        );
    }
    let is_settled = found.untrusted() == 0;
    if !args.json {
        output.write(&listing(&found, output.out)).map_err(CliError::Output)?;
    }
    if args.show || is_settled {
        return if args.json { crate::table::json(&found, output) } else { Ok(()) };
    }
    if !args.yes && !asks(&found, args.json, output)? {
        return Ok(());
    }
    let hashes = found.declarations.iter().map(|one| one.hash.clone()).collect();
    let set = TrustSetParams { folder: found.folder, hashes };
    let found = connection.rpc().set_trust(set).await?;
    let count = found.declarations.len();
    let what = if count == 1 {
        "It is trusted as it is now".to_owned()
    } else {
        format!("All {count} are trusted as they are now")
    };
    told(&found, args.json, &what, output)
}

fn told(found: &FolderTrust, is_json: bool, line: &str, output: Output) -> Result<(), CliError> {
    if is_json { crate::table::json(found, output) } else { output.line(line).map_err(CliError::Output) }
}

/// Asks the person at the terminal; where there is none, says what to do.
fn asks(found: &FolderTrust, is_json: bool, output: Output) -> Result<bool, CliError> {
    if is_json || !io::stdin().is_terminal() || !output.is_err_terminal {
        let message = format!("{} of what it declares is not trusted", found.untrusted());
        return Err(CliError::usage(message, "Trust all of it as it is with `skein config trust --yes`"));
    }
    output.note_part("Trust all of it, as it stands here? [y/N] ");
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|source| CliError::System { what: "Can't read the answer", source })?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// All of it; nothing in it can imitate Skein's own words.
fn listing(found: &FolderTrust, style: Style) -> String {
    let folder = escape::line(&found.folder.to_string_lossy()).into_owned();
    let mut text = String::new();
    if found.declarations.is_empty() {
        text.push_str(&format!("`{folder}` declares nothing that would be run or obeyed\n"));
    } else {
        text.push_str(&format!("`{folder}` declares:\n"));
    }
    for one in &found.declarations {
        text.push_str(&declaration(one, style));
    }
    for problem in &found.problems {
        let problem = escape::line(problem);
        text.push_str(&format!("{} not used: {problem}\n", style.yellow("warning:")));
    }
    text
}

fn declaration(one: &Declaration, style: Style) -> String {
    let state = match &one.state {
        DeclarationState::Trusted => style.green("trusted"),
        DeclarationState::New => style.yellow("not trusted"),
        DeclarationState::Changed => style.red("changed since it was trusted"),
        DeclarationState::Unknown(word) => escape::line(word).into_owned().into(),
    };
    let name = escape::line(&one.name).into_owned();
    let what = match &one.kind {
        DeclarationKind::Hook => format!("a hook for {name}"),
        DeclarationKind::Rules => "rules".to_owned(),
        DeclarationKind::McpServer => format!("the MCP server {name}"),
        DeclarationKind::Skill => format!("the skill {name}"),
        DeclarationKind::LanguageServers => "work for language servers".to_owned(),
        DeclarationKind::Unknown(word) => format!("{} {name}", escape::line(word)),
    };
    let file = escape::line(&one.file.to_string_lossy()).into_owned();
    let mut text = format!("\n{} in {file} ({state})\n", style.bold(what));
    let mut lines = one.text.lines();
    for line in lines.by_ref().take(MAX_LINES) {
        text.push_str(&format!("    {}\n", escape::line(line)));
    }
    let left = lines.count();
    if left > 0 {
        text.push_str(&format!("    [{left} more lines, in the file]\n"));
    }
    for file in &one.files {
        text.push_str(&format!("    runs {}\n", escape::line(&file.to_string_lossy())));
    }
    text
}

//! `skein skills`: instructions for particular tasks, a person's own and the folder's, and which of them are used.

use clap::{Args, Subcommand};
use protocol::api::skill::SkillsClient;
use protocol::error::ConfigurationProblem;
use protocol::skill::{
    Skill, SkillListParams, SkillListResult, SkillReadParams, SkillReadResult, SkillSource, SkillState,
};
use toml_edit::{Array, Item, Table, value};
use view::escape;

use crate::connect::connect;
use crate::error::CliError;
use crate::mcp;
use crate::output::Output;
use crate::table;

const LIST_AFTER: &str = "\
A skill is a folder with a file `SKILL.md` that begins with its name and what it is for. Yours are looked for in the
folder `skills` beside `config.toml`, in `~/.agents/skills`, `~/.codex/skills` and `~/.claude/skills`; a repository's in
`.skein/skills`, `.agents/skills`, `.claude/skills` and `.codex/skills`, once you trust them (`skein config trust`).
Write `$NAME` into what you say, and its text goes along.

Examples:
  skein skills list
  skein skills disable release-notes
  skein skills list --json | jq -r '.skills[] | select(.state == \"on\").path'";

/// The key of the settings.
const DISABLED: &str = "disabled";
/// Characters of a description.
const DESCRIPTION: usize = 100;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum SkillsCommand {
    /// List the skills, where they come from, and what they cost
    List(ListArgs),
    /// Show what a skill says
    Show(ShowArgs),
    /// Use a skill again that was switched off
    Enable(NameArgs),
    /// Switch a skill off
    Disable(NameArgs),
}

/// How to list them.
#[derive(Args, Debug)]
#[command(after_help = LIST_AFTER)]
pub(crate) struct ListArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which, and how.
#[derive(Args, Debug)]
pub(crate) struct ShowArgs {
    /// The skill
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Which.
#[derive(Args, Debug)]
pub(crate) struct NameArgs {
    /// The skill
    name: String,
}

/// Runs one.
pub(crate) async fn run(command: SkillsCommand, output: Output) -> Result<(), CliError> {
    match command {
        SkillsCommand::List(args) => {
            let found = found(output).await?;
            if args.json { table::json(&found, output) } else { list(&found, output) }
        }
        SkillsCommand::Show(args) => {
            let shown = read(args.name, output).await?;
            if args.json { table::json(&shown, output) } else { show(&shown, output) }
        }
        SkillsCommand::Enable(args) => {
            let file = mcp::change("skills", |skills| {
                let mut names = disabled(skills);
                names.retain(|name| *name != args.name);
                set(skills, &names);
                Ok(())
            })?;
            output.note(format_args!("`{}` is not switched off in {}", args.name, file.display()));
            Ok(())
        }
        SkillsCommand::Disable(args) => {
            // One that is misspelt would stay on.
            let name = read(args.name, output).await?.skill.name;
            let file = mcp::change("skills", |skills| {
                let mut names = disabled(skills);
                if !names.contains(&name) {
                    names.push(name.clone());
                }
                set(skills, &names);
                Ok(())
            })?;
            output.note(format_args!("`{name}` is switched off in {}", file.display()));
            Ok(())
        }
    }
}

/// The skills of the current folder.
pub(crate) async fn found(output: Output) -> Result<SkillListResult, CliError> {
    let cwd = current_folder()?;
    let mut connection = connect("skein skills", output).await?;
    let params = SkillListParams { cwd };
    Ok(connection.call(async |rpc| rpc.list_skills(params.clone()).await).await?)
}

async fn read(name: String, output: Output) -> Result<SkillReadResult, CliError> {
    let params = SkillReadParams { cwd: current_folder()?, name };
    let mut connection = connect("skein skills", output).await?;
    Ok(connection.call(async |rpc| rpc.read_skill(params.clone()).await).await?)
}

fn current_folder() -> Result<std::path::PathBuf, CliError> {
    std::env::current_dir()
        .map_err(|source| CliError::System { what: "Can't tell the current folder", source })
}

fn list(found: &SkillListResult, output: Output) -> Result<(), CliError> {
    if found.skills.is_empty() && found.problems.is_empty() {
        output.note("No skills; `skein skills list --help` says where they are looked for");
        return Ok(());
    }
    let row = |skill: &Skill| {
        let description: String = skill.description.chars().take(DESCRIPTION).collect();
        vec![
            escape::line(&skill.name).into_owned(),
            state(&skill.state).to_owned(),
            source(&skill.source).to_owned(),
            skill.tokens.to_string(),
            skill.body_tokens.to_string(),
            escape::line(&description).into_owned(),
        ]
    };
    let rows: Vec<_> = found.skills.iter().map(row).collect();
    let mut text =
        table::table(&["NAME", "STATE", "FROM", "TOKENS", "TEXT", "WHAT IT IS FOR"], &rows, output);
    let total: u64 = found.skills.iter().map(|skill| skill.tokens).sum();
    text.push_str(&format!("{total} tokens together with each request\n"));
    if found.skills.iter().any(|one| matches!(one.state, SkillState::Untrusted | SkillState::Changed)) {
        let hint = output.out.cyan("hint:").into_owned();
        text.push_str(&format!("{hint} `skein config trust` shows what this folder has and asks\n"));
    }
    for problem in &found.problems {
        text.push_str(&format!("{} {}\n", output.out.yellow("warning:"), told(problem)));
    }
    output.write(&text).map_err(CliError::Output)
}

fn show(shown: &SkillReadResult, output: Output) -> Result<(), CliError> {
    let skill = &shown.skill;
    let rows = [
        ("name", escape::line(&skill.name).into_owned()),
        ("state", state(&skill.state).to_owned()),
        ("from", source(&skill.source).to_owned()),
        ("file", escape::line(&skill.path.to_string_lossy()).into_owned()),
        ("tokens", format!("{} with each request, {} of its text", skill.tokens, skill.body_tokens)),
        ("what for", escape::line(&skill.description).into_owned()),
    ];
    let mut text = table::pairs(&rows, output);
    text.push('\n');
    for line in shown.text.lines() {
        text.push_str(&escape::line(line));
        text.push('\n');
    }
    output.write(&text).map_err(CliError::Output)
}

/// A problem with its place.
pub(crate) fn told(problem: &ConfigurationProblem) -> String {
    let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{line}: {}", escape::line(&problem.origin), escape::line(&problem.message))
}

fn state(state: &SkillState) -> &str {
    match state {
        SkillState::On => "on",
        SkillState::ByName => "by name",
        SkillState::Disabled => "off",
        SkillState::Untrusted => "not trusted",
        SkillState::Changed => "changed",
        SkillState::Shadowed => "shadowed",
        SkillState::Unknown(_) => "?",
    }
}

fn source(source: &SkillSource) -> &str {
    match source {
        SkillSource::User => "you",
        SkillSource::Agents => "~/.agents",
        SkillSource::Codex => "Codex",
        SkillSource::Claude => "Claude Code",
        SkillSource::Folder => "this folder",
        SkillSource::Unknown(_) => "?",
    }
}

fn disabled(skills: &Table) -> Vec<String> {
    let names = skills.get(DISABLED).and_then(Item::as_array).into_iter().flatten();
    names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn set(skills: &mut Table, names: &[String]) {
    if names.is_empty() {
        skills.remove(DISABLED);
    } else {
        skills.insert(DISABLED, value(Array::from_iter(names)));
    }
}

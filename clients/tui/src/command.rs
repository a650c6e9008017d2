//! What begins with a slash: commands, calmly refused when they are wrong. Knows what they mean, not how they are
//! done.

use std::borrow::Cow;

use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::session::{SettingOverride, SettingsOverrides};

use crate::custom::CustomCommand;
use crate::status_line::Field;
use crate::template::is_name;
use crate::theme::ThemeName;

/// What `/init` says.
const INIT: &str = include_str!("prompts/init.md");

/// A command as people are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Without the slash.
    pub(crate) name: Cow<'static, str>,
    /// What may follow; empty if nothing may.
    pub(crate) argument: Cow<'static, str>,
    pub(crate) meaning: Cow<'static, str>,
}

const fn entry(name: &'static str, argument: &'static str, meaning: &'static str) -> Entry {
    Entry { name: Cow::Borrowed(name), argument: Cow::Borrowed(argument), meaning: Cow::Borrowed(meaning) }
}

/// The built-in commands.
pub(crate) static COMMANDS: [Entry; 49] = [
    entry("help", "", "the commands and the keys"),
    entry("keys", "", "every key, and its name in the settings"),
    entry("status", "", "the session, its settings, and who is there"),
    entry("usage", "", "what this session has spent, by model"),
    entry("model", "[NAME]", "another model, from the next request on"),
    entry("effort", "[LEVEL]", "how hard the model thinks"),
    entry(
        "permissions",
        "[NAME]",
        "what commands may touch, and when you are asked; or those of your settings",
    ),
    entry("sandbox", "[MODE]", "what commands may touch"),
    entry("approvals", "[POLICY]", "when you are asked"),
    entry("mode", "[NAME]", "plan, or one of your own; Shift+Tab goes round"),
    entry("plan", "", "reads and thinks first; again: what becomes of the plan"),
    entry("diff", "", "what this session changed in files"),
    entry("rewind", "", "back to before a turn: what was said, the files, or both; Esc Esc does the same"),
    entry("fork", "", "a new session that begins as this one was after a turn"),
    entry(
        "compact",
        "[WHAT]",
        "what was said and done in few words, to make room; and what they should dwell on",
    ),
    entry("new", "", "a new session in this folder; this one goes on"),
    entry("resume", "", "another session of this folder, or of everywhere"),
    entry("split", "", "another session beside this one, or not any more; Alt+S goes to it"),
    entry("rename", "TITLE", "what this session is called"),
    entry("archive", "", "puts this session away, and leaves"),
    entry(
        "review",
        "[BRANCH]",
        "has a session that may only read review what is not committed, or all since a branch",
    ),
    entry("agents", "", "this session's agents, what each does and costs; Enter goes there"),
    entry("jobs", "[end N]", "commands in the background and what else runs; or ends one"),
    entry("ps", "", "what runs now, in every session"),
    entry("skills", "", "the skills of this folder and your own, and what they say; `$` mentions one"),
    entry("memory", "", "the instruction files that hold here; the one that you choose is opened"),
    entry("init", "", "has an AGENTS.md written, or mended"),
    entry("queue", "", "what waits for its turn; what you choose comes back to be changed"),
    entry("mention", "", "a file, by a few letters of its path; `@` does the same"),
    entry("history", "", "what was sent before"),
    entry("transcript", "", "the whole session, nothing folded"),
    entry("output", "", "all of what a command printed, where only the beginning and the end are shown"),
    entry("copy", "", "the last answer into the clipboard"),
    entry("export", "[FILE]", "the session as markdown"),
    entry("tools", "", "the agent's tools, and what each costs"),
    entry("mcp", "", "the MCP servers, how they are, and their tools"),
    entry("hooks", "", "the hooks that hold here, and what each costs"),
    entry(
        "trust",
        "[forget]",
        "what this folder declares that would be run, and your leave for it, or none any more",
    ),
    entry("theme", "[NAME]", "other colours, until you leave"),
    entry("statusline", "[FIELDS]", "what the line at the bottom holds, until you leave"),
    entry("notify", "[on|off]", "whether you are called when it is your turn, until you leave"),
    entry("vim", "", "text is written as in vi, or not any more, until you leave"),
    entry("editor", "", "writes on in your editor"),
    entry("login", "[PROVIDER]", "signs in, or stores a key"),
    entry("logout", "[PROVIDER]", "forgets a key or an account"),
    entry("doctor", "", "what this machine can do, and what to mend"),
    entry("feedback", "[FILE]", "shows and keeps what a report of a bug needs; sends nothing"),
    entry("quit", "", "leaves; a turn that runs goes on"),
    entry("exit", "", "the same"),
];

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Keys,
    Status,
    Usage,
    Jobs,
    /// Ends the command in the background that has this number.
    EndJob(u32),
    Quit,
    /// Changes the session.
    Change(Box<SettingsOverrides>),
    /// Lets a person choose.
    Choose(Choice),
    /// Enters the mode of this name.
    Mode(String),
    Plan,
    Diff,
    Hooks,
    Rewind,
    Fork,
    /// What the few words should dwell on, if that is said.
    Compact(Option<String>),
    Queue,
    New,
    Split,
    Rename(String),
    Archive,
    /// Says this to the agent.
    Say(String),
    Mention,
    Transcript,
    Copy,
    /// Into this file, if one is named.
    Export(Option<String>),
    /// Into this file, if one is named.
    Feedback(Option<String>),
    Theme(ThemeName),
    /// Lets the line at the bottom hold these; what it may hold is shown if there are none.
    StatusLine(Vec<Field>),
    /// Whether the person is called; the other way round if it is not said.
    Notify(Option<Notifications>),
    Vim,
    Editor,
    /// What the command line does: these are its words.
    Visit(Vec<String>),
    /// Can't be done; this is why.
    Wrong(String),
}

/// Whether a person is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notifications {
    On,
    Off,
}

/// What a person can choose from a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Model,
    Effort,
    Permissions,
    Sandbox,
    Approvals,
    Mode,
    /// What becomes of a plan.
    Plan,
    /// Where to go back to.
    Turn,
    /// After which turn a new session begins.
    Fork,
    Session,
    /// The one that is shown beside this one.
    Beside,
    Theme,
    History,
    /// What waits for its turn.
    Queued,
    /// How to go back.
    Way,
    /// Where a lesson is added.
    Lesson,
    /// The files of instructions.
    Instructions,
    Skill,
    Agent,
    /// A command of which all is shown that it printed.
    Output,
    /// Whom to sign in with, or to have a key of.
    Account,
}

/// The levels of effort that models know; a provider may know others.
pub(crate) const EFFORTS: [&str; 6] = [DEFAULT_EFFORT, "minimal", "low", "medium", "high", "xhigh"];
/// As the provider does it.
pub(crate) const DEFAULT_EFFORT: &str = "default";
pub(crate) const SANDBOXES: [SandboxMode; 3] =
    [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess];
pub(crate) const APPROVALS: [ApprovalPolicy; 3] =
    [ApprovalPolicy::Untrusted, ApprovalPolicy::OnRequest, ApprovalPolicy::Never];

/// All commands: the built-in ones, and those of the person's that are not called as one of them.
pub(crate) fn all(custom: &[CustomCommand]) -> Vec<Entry> {
    let is_new = |command: &&CustomCommand| built_in(&command.name).is_none();
    let entry = |command: &CustomCommand| Entry {
        name: command.name.clone().into(),
        argument: command.argument.clone().into(),
        meaning: command.meaning.clone().into(),
    };
    COMMANDS.iter().cloned().chain(custom.iter().filter(is_new).map(entry)).collect()
}

fn built_in(name: &str) -> Option<&'static Entry> {
    COMMANDS.iter().find(|entry| entry.name == name)
}

/// Reads a command; absent if the text is none, as a path that begins with a slash is.
pub(crate) fn parse(text: &str, custom: &[CustomCommand]) -> Option<Command> {
    let text = text.trim();
    let line = text.strip_prefix('/')?;
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if !is_name(name) {
        return None;
    }
    let Some(entry) = built_in(name) else {
        if let Some(command) = custom.iter().find(|command| command.name == name) {
            return Some(Command::Say(command.expand(rest.trim())));
        }
        let is_command = !text.contains('\n');
        return is_command.then(|| Command::Wrong(format!("There is no command /{name}; /help lists them")));
    };
    if text.contains('\n') {
        return None;
    }
    let rest = Some(rest.trim()).filter(|rest| !rest.is_empty());
    if entry.argument.is_empty() && rest.is_some() {
        return Some(Command::Wrong(format!("/{name} takes nothing more")));
    }
    let one_word = rest.is_none_or(|rest| !rest.contains(char::is_whitespace));
    if !one_word && !matches!(name, "rename" | "export" | "feedback" | "statusline" | "compact" | "jobs") {
        return Some(Command::Wrong(format!("/{name} takes one word at most")));
    }
    Some(of_entry(name, rest))
}

fn of_entry(name: &str, rest: Option<&str>) -> Command {
    match (name, rest) {
        ("help", _) => Command::Help,
        ("keys", _) => Command::Keys,
        ("status", _) => Command::Status,
        ("usage", _) => Command::Usage,
        ("jobs", None) => Command::Jobs,
        ("jobs", Some(words)) => {
            let number = words.strip_prefix("end ").and_then(|number| number.trim().parse().ok());
            number.map_or_else(
                || Command::Wrong("/jobs takes nothing, or `end` and the number of a command".to_owned()),
                Command::EndJob,
            )
        }
        ("diff", _) => Command::Diff,
        ("queue", _) => Command::Queue,
        ("rewind", _) => Command::Rewind,
        ("fork", _) => Command::Fork,
        ("compact", what) => Command::Compact(what.map(str::to_owned)),
        ("new", _) => Command::New,
        ("split", _) => Command::Split,
        ("archive", _) => Command::Archive,
        ("init", _) => Command::Say(INIT.trim_end().to_owned()),
        ("mention", _) => Command::Mention,
        ("transcript", _) => Command::Transcript,
        ("copy", _) => Command::Copy,
        ("vim", _) => Command::Vim,
        ("editor", _) => Command::Editor,
        ("export", file) => Command::Export(file.map(str::to_owned)),
        ("feedback", file) => Command::Feedback(file.map(str::to_owned)),
        ("hooks", _) => Command::Hooks,
        ("output", _) => Command::Choose(Choice::Output),
        ("skills", _) => Command::Choose(Choice::Skill),
        ("agents", _) => Command::Choose(Choice::Agent),
        ("memory", _) => Command::Choose(Choice::Instructions),
        ("permissions", None) => Command::Choose(Choice::Permissions),
        ("permissions", Some(name)) => {
            change(SettingsOverrides { permissions: Some(name.to_owned()), ..Default::default() })
        }
        ("resume", _) => Command::Choose(Choice::Session),
        ("history", _) => Command::Choose(Choice::History),
        ("plan", _) => Command::Plan,
        ("mode", None) => Command::Choose(Choice::Mode),
        ("mode", Some(mode)) => Command::Mode(mode.to_owned()),
        ("model", None) => Command::Choose(Choice::Model),
        ("model", Some(model)) => {
            change(SettingsOverrides { model: Some(model.to_owned()), ..Default::default() })
        }
        ("rename", Some(title)) => Command::Rename(title.to_owned()),
        ("rename", None) => Command::Wrong("/rename needs what the session is to be called".to_owned()),
        ("effort", Some(level)) => change(effort(level)),
        ("effort", None) => Command::Choose(Choice::Effort),
        ("approvals", None) => Command::Choose(Choice::Approvals),
        ("approvals", Some(word)) => match APPROVALS.into_iter().find(|policy| policy.as_str() == word) {
            Some(policy) => change(SettingsOverrides { approval: Some(policy), ..Default::default() }),
            None => Command::Wrong(one_of(name, APPROVALS.map(ApprovalPolicy::as_str))),
        },
        ("sandbox", None) => Command::Choose(Choice::Sandbox),
        ("sandbox", Some(word)) => match SANDBOXES.into_iter().find(|mode| mode.as_str() == word) {
            Some(mode) => change(SettingsOverrides { sandbox: Some(mode), ..Default::default() }),
            None => Command::Wrong(one_of(name, SANDBOXES.map(SandboxMode::as_str))),
        },
        ("theme", None) => Command::Choose(Choice::Theme),
        ("theme", Some(word)) => match ThemeName::of(word) {
            Some(theme) => Command::Theme(theme),
            None => Command::Wrong(format!("/theme needs one of: {}", ThemeName::listed())),
        },
        ("statusline", fields) => {
            let words = fields.unwrap_or_default().split([',', ' ']).filter(|word| !word.is_empty());
            match words.map(|word| Field::of(word).ok_or(word)).collect() {
                Ok(fields) => Command::StatusLine(fields),
                Err(word) => {
                    Command::Wrong(format!("/statusline has no `{word}`; there are {}", Field::listed()))
                }
            }
        }
        ("notify", None) => Command::Notify(None),
        ("notify", Some("on")) => Command::Notify(Some(Notifications::On)),
        ("notify", Some("off")) => Command::Notify(Some(Notifications::Off)),
        ("notify", Some(_)) => Command::Wrong("/notify needs one of: on, off".to_owned()),
        ("trust", None) => visit(&["config", "trust"], None),
        ("trust", Some("forget")) => visit(&["config", "trust", "--revoke"], None),
        ("trust", Some(_)) => Command::Wrong("/trust takes nothing, or `forget`".to_owned()),
        ("login", None) => Command::Choose(Choice::Account),
        ("mcp", _) => visit(&["mcp", "list"], None),
        ("ps", _) => visit(&["ps"], None),
        ("review", None) => visit(&["review"], None),
        ("review", Some(base)) => visit(&["review", &format!("--base={base}")], None),
        ("tools" | "doctor" | "login" | "logout", rest) => visit(&[name], rest),
        _ => Command::Quit,
    }
}

fn visit(words: &[&str], rest: Option<&str>) -> Command {
    // A word that looks like a flag is none.
    let rest = rest.into_iter().flat_map(|rest| ["--", rest]);
    Command::Visit(words.iter().copied().chain(rest).map(str::to_owned).collect())
}

/// The settings that change how hard the model thinks.
pub(crate) fn effort(level: &str) -> SettingsOverrides {
    let level = if level == DEFAULT_EFFORT { "" } else { level };
    let values = vec![SettingOverride::text("model_reasoning_effort", level)];
    SettingsOverrides { values, ..Default::default() }
}

fn change(overrides: SettingsOverrides) -> Command {
    Command::Change(Box::new(overrides))
}

fn one_of(name: &str, words: [&str; 3]) -> String {
    format!("/{name} needs one of: {}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_text() {
        let parse = |text: &str| super::parse(text, &[]);
        assert_eq!(parse("/help "), Some(Command::Help));
        for entry in &COMMANDS {
            let parsed = parse(&format!("/{}", entry.name));
            let leaves = ["quit", "exit"].contains(&&*entry.name);
            assert_eq!(parsed == Some(Command::Quit), leaves, "/{}", entry.name);
        }
        let words =
            |words: &[&str]| Some(Command::Visit(words.iter().map(|word| (*word).to_owned()).collect()));
        assert_eq!(parse("/login"), Some(Command::Choose(Choice::Account)));
        assert_eq!(parse("/jobs end 3"), Some(Command::EndJob(3)));
        assert_eq!(parse("/trust forget"), words(&["config", "trust", "--revoke"]));
        assert_eq!(parse("/login --help"), words(&["login", "--", "--help"]));
        assert_eq!(parse("/rename  a b "), Some(Command::Rename("a b".to_owned())));
        assert_eq!(parse("/sandbox"), Some(Command::Choose(Choice::Sandbox)));
        for text in ["help", "/usr/bin/env is there", "/", "// no", "/help\nme", "/Users"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_persons_own_commands_are_said_and_take_lines() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("commands")).unwrap();
        for name in ["mend-2", "help"] {
            std::fs::write(folder.path().join(format!("commands/{name}.md")), "Mend $ARGUMENTS").unwrap();
        }
        let (custom, _) = CustomCommand::of_folder(folder.path());
        let said = parse("/mend-2 this\nand that", &custom);
        assert_eq!(said, Some(Command::Say("Mend this\nand that".to_owned())));
        assert_eq!(parse("/help", &custom), Some(Command::Help), "a built-in one stays what it is");
        assert_eq!(all(&custom).len(), COMMANDS.len() + 1);
    }

    #[test]
    fn settings_change_one_thing() {
        let parse = |text: &str| super::parse(text, &[]);
        let Some(Command::Change(change)) = parse("/sandbox read-only") else { panic!("no change") };
        assert_eq!(*change, SettingsOverrides { sandbox: Some(SandboxMode::ReadOnly), ..Default::default() });
        let fields = vec![Field::Model, Field::Branch];
        assert_eq!(parse("/statusline model, branch"), Some(Command::StatusLine(fields)));
        let Some(Command::Change(change)) = parse("/effort high") else { panic!("no change") };
        assert_eq!(change.values[0].value, "\"high\"");
        let Some(Command::Change(change)) = parse("/model m-1") else { panic!("no change") };
        assert_eq!(change.model.as_deref(), Some("m-1"));
        let Some(Command::Change(change)) = parse("/permissions mine") else { panic!("no change") };
        assert_eq!(change.permissions.as_deref(), Some("mine"));
    }

    #[test]
    fn what_is_wrong_says_what_is_right() {
        for (text, wanted) in [
            ("/sandbox of", "read-only, workspace-write"),
            ("/theme pink", "`dark`"),
            ("/new x", "nothing more"),
            ("/rename", "to be called"),
            ("/approvals always", "untrusted, on-request"),
            ("/frob", "/help lists them"),
            ("/statusline model, x", "no `x`"),
            ("/model a b", "one word"),
            ("/trust x", "`forget`"),
            ("/jobs stop 3", "`end` and the number"),
            ("/jobs end it", "`end` and the number"),
        ] {
            let Some(Command::Wrong(reason)) = parse(text, &[]) else { panic!("{text}") };
            assert!(reason.contains(wanted), "{reason}");
        }
    }
}

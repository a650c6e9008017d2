//! What begins with a slash: commands, calmly refused when they are wrong. Knows what they mean, not how they are
//! done.

use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::session::{SettingOverride, SettingsOverrides};

use crate::theme::ThemeName;

/// A command as people are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Without the slash.
    pub(crate) name: &'static str,
    /// What may follow; empty if nothing may.
    pub(crate) argument: &'static str,
    pub(crate) meaning: &'static str,
}

const fn entry(name: &'static str, argument: &'static str, meaning: &'static str) -> Entry {
    Entry { name, argument, meaning }
}

/// The commands.
pub(crate) const COMMANDS: [Entry; 20] = [
    entry("help", "", "the commands and the keys"),
    entry("keys", "", "every key, and its name in the settings"),
    entry("status", "", "the session, its settings, and who is there"),
    entry("model", "NAME", "another model, from the next request on"),
    entry("effort", "[LEVEL]", "how hard the model thinks"),
    entry("permissions", "", "what commands may touch, and when you are asked"),
    entry("sandbox", "[MODE]", "what commands may touch"),
    entry("approvals", "[POLICY]", "when you are asked"),
    entry("new", "", "a new session in this folder; this one goes on"),
    entry("resume", "", "another session of this folder, or of everywhere"),
    entry("rename", "TITLE", "what this session is called"),
    entry("archive", "", "puts this session away, and leaves"),
    entry("mention", "", "a file, by a few letters of its path; `@` does the same"),
    entry("history", "", "what was sent before"),
    entry("transcript", "", "the whole session, nothing folded"),
    entry("copy", "", "the last answer into the clipboard"),
    entry("export", "[FILE]", "the session as markdown"),
    entry("theme", "[NAME]", "other colours, until you leave"),
    entry("editor", "", "writes on in your editor"),
    entry("quit", "", "leaves; a turn that runs goes on"),
];

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Keys,
    Status,
    Quit,
    /// Changes the session.
    Change(Box<SettingsOverrides>),
    /// Lets a person choose.
    Choose(Choice),
    New,
    Rename(String),
    Archive,
    Mention,
    Transcript,
    Copy,
    /// Into this file, if one is named.
    Export(Option<String>),
    Theme(ThemeName),
    Editor,
    /// Can't be done; this is why.
    Wrong(String),
}

/// What a person can choose from a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Effort,
    Permissions,
    Sandbox,
    Approvals,
    Session,
    Theme,
    History,
}

/// The levels of effort that models know; a provider may know others.
pub(crate) const EFFORTS: [&str; 5] = ["minimal", "low", "medium", "high", "xhigh"];
pub(crate) const SANDBOXES: [SandboxMode; 3] =
    [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess];
pub(crate) const APPROVALS: [ApprovalPolicy; 3] =
    [ApprovalPolicy::Untrusted, ApprovalPolicy::OnRequest, ApprovalPolicy::Never];

/// Reads a command; absent if the text is none, as a path that begins with a slash is.
pub(crate) fn parse(text: &str) -> Option<Command> {
    let text = text.trim();
    let line = text.strip_prefix('/')?;
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    if name.is_empty() || text.contains('\n') || !name.chars().all(|letter| letter.is_ascii_lowercase()) {
        return None;
    }
    let rest = Some(rest.trim()).filter(|rest| !rest.is_empty());
    let entry = COMMANDS.iter().find(|entry| entry.name == name || (name == "exit" && entry.name == "quit"));
    let Some(entry) = entry else {
        return Some(Command::Wrong(format!("There is no command /{name}; /help lists them")));
    };
    if entry.argument.is_empty() && rest.is_some() {
        return Some(Command::Wrong(format!("/{name} takes nothing more")));
    }
    let one_word = rest.is_none_or(|rest| !rest.contains(char::is_whitespace));
    if !one_word && !matches!(entry.name, "rename" | "export") {
        return Some(Command::Wrong(format!("/{name} takes one word at most")));
    }
    Some(of_entry(entry.name, rest))
}

fn of_entry(name: &str, rest: Option<&str>) -> Command {
    match (name, rest) {
        ("help", _) => Command::Help,
        ("keys", _) => Command::Keys,
        ("status", _) => Command::Status,
        ("new", _) => Command::New,
        ("archive", _) => Command::Archive,
        ("mention", _) => Command::Mention,
        ("transcript", _) => Command::Transcript,
        ("copy", _) => Command::Copy,
        ("editor", _) => Command::Editor,
        ("export", file) => Command::Export(file.map(str::to_owned)),
        ("permissions", _) => Command::Choose(Choice::Permissions),
        ("resume", _) => Command::Choose(Choice::Session),
        ("history", _) => Command::Choose(Choice::History),
        ("model", Some(model)) => {
            change(SettingsOverrides { model: Some(model.to_owned()), ..Default::default() })
        }
        ("model", None) => Command::Wrong("/model needs the model's name, as in `/model gpt-5`".to_owned()),
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
        _ => Command::Quit,
    }
}

/// The settings that change how hard the model thinks.
pub(crate) fn effort(level: &str) -> SettingsOverrides {
    // A quoted word: it must not be taken for another kind of value.
    let value = format!("{level:?}");
    let values = vec![SettingOverride { key: "model_reasoning_effort".to_owned(), value }];
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
        assert_eq!(parse("/help "), Some(Command::Help));
        for entry in COMMANDS {
            let parsed = parse(&format!("/{}", entry.name));
            assert_eq!(parsed == Some(Command::Quit), entry.name == "quit", "/{}", entry.name);
        }
        assert_eq!(parse("/rename  a b "), Some(Command::Rename("a b".to_owned())));
        assert_eq!(parse("/sandbox"), Some(Command::Choose(Choice::Sandbox)));
        for text in ["help", "/usr/bin/env is there", "/", "// no", "/help\nme", "/Users"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn settings_change_one_thing() {
        let Some(Command::Change(change)) = parse("/sandbox read-only") else { panic!("no change") };
        assert_eq!(*change, SettingsOverrides { sandbox: Some(SandboxMode::ReadOnly), ..Default::default() });
        let Some(Command::Change(change)) = parse("/effort high") else { panic!("no change") };
        assert_eq!(change.values[0].value, "\"high\"");
        let Some(Command::Change(change)) = parse("/model m-1") else { panic!("no change") };
        assert_eq!(change.model.as_deref(), Some("m-1"));
    }

    #[test]
    fn what_is_wrong_says_what_is_right() {
        for (text, wanted) in [
            ("/sandbox of", "read-only, workspace-write"),
            ("/theme pink", "`dark`"),
            ("/new x", "nothing more"),
            ("/rename", "to be called"),
            ("/approvals always", "untrusted, on-request"),
            ("/model", "needs the model's name"),
            ("/frob", "/help lists them"),
            ("/model a b", "one word"),
        ] {
            let Some(Command::Wrong(reason)) = parse(text) else { panic!("{text}") };
            assert!(reason.contains(wanted), "{reason}");
        }
    }
}

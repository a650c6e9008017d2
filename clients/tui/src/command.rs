//! What begins with a slash: few commands, calmly refused when they are wrong. Knows what they mean, not how they
//! are done.

use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::session::SettingsOverrides;

/// The commands, with what is said of them.
pub(crate) const COMMANDS: [(&str, &str); 6] = [
    ("/help", "this list and the keys"),
    ("/model NAME", "another model, from the next request on"),
    ("/approvals POLICY", "when you are asked: untrusted, on-request, never"),
    ("/sandbox MODE", "what commands may touch: read-only, workspace-write, danger-full-access"),
    ("/status", "the session, its settings, and who is there"),
    ("/quit", "leave; a turn that runs goes on"),
];

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Status,
    Quit,
    /// Changes the session.
    Change(Box<SettingsOverrides>),
    /// Can't be done; this is why.
    Wrong(String),
}

/// Reads a command; absent if the text is none, as a path that begins with a slash is.
pub(crate) fn parse(text: &str) -> Option<Command> {
    let text = text.trim();
    let mut words = text.strip_prefix('/')?.split_whitespace();
    let name = words.next()?;
    if text.contains('\n') || !name.chars().all(|letter| letter.is_ascii_lowercase()) {
        return None;
    }
    let argument = words.next();
    if words.next().is_some() {
        return Some(Command::Wrong(format!("/{name} takes one word at most")));
    }
    Some(match (name, argument) {
        ("help", None) => Command::Help,
        ("status", None) => Command::Status,
        ("quit" | "exit", None) => Command::Quit,
        ("model", Some(model)) => {
            change(SettingsOverrides { model: Some(model.to_owned()), ..Default::default() })
        }
        ("model", None) => Command::Wrong("/model needs the model's name, as in `/model gpt-5`".to_owned()),
        ("approvals", argument) => {
            let all = [ApprovalPolicy::Untrusted, ApprovalPolicy::OnRequest, ApprovalPolicy::Never];
            match all.into_iter().find(|policy| Some(policy.as_str()) == argument) {
                Some(policy) => change(SettingsOverrides { approval: Some(policy), ..Default::default() }),
                None => Command::Wrong(one_of(name, all.map(ApprovalPolicy::as_str))),
            }
        }
        ("sandbox", argument) => {
            let all = [SandboxMode::ReadOnly, SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess];
            match all.into_iter().find(|mode| Some(mode.as_str()) == argument) {
                Some(mode) => change(SettingsOverrides { sandbox: Some(mode), ..Default::default() }),
                None => Command::Wrong(one_of(name, all.map(SandboxMode::as_str))),
            }
        }
        ("help" | "status" | "quit" | "exit", Some(_)) => {
            Command::Wrong(format!("/{name} takes nothing more"))
        }
        _ => Command::Wrong(format!("There is no command /{name}; /help lists them")),
    })
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
        assert_eq!(parse("/quit"), Some(Command::Quit));
        for text in ["help", "/usr/bin/env is there", "/", "// no", "/help\nme", "/Users"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn settings_change_one_thing() {
        let Some(Command::Change(change)) = parse("/sandbox read-only") else { panic!("no change") };
        assert_eq!(*change, SettingsOverrides { sandbox: Some(SandboxMode::ReadOnly), ..Default::default() });
        let Some(Command::Change(change)) = parse("/model m-1") else { panic!("no change") };
        assert_eq!(change.model.as_deref(), Some("m-1"));
    }

    #[test]
    fn what_is_wrong_says_what_is_right() {
        for (text, wanted) in [
            ("/sandbox", "read-only, workspace-write"),
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

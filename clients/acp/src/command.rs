//! Commands that are typed after a slash and answered without a model.

use protocol::ids::SessionId;
use protocol::session::SessionSettings;
use protocol::usage::{Spending, UsageReadResult};
use view::words;

use crate::schema::update::{CommandEntry, CommandInput, Update};

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SlashCommand {
    /// What this session is, and how to reach it from elsewhere.
    Status,
    /// What it spent.
    Usage,
    /// What it is called from now on.
    Rename { title: String },
}

/// All of them, for the editor.
pub(crate) fn all() -> Update {
    let entry = |name, description, hint: Option<&'static str>| CommandEntry {
        name,
        description,
        input: hint.map(|hint| CommandInput { hint }),
    };
    Update::AvailableCommands {
        available_commands: vec![
            entry("status", "Say what this session is, and how to reach it from a terminal", None),
            entry("usage", "Say what this session has spent", None),
            entry("rename", "Give this session a title", Some("the title")),
        ],
    }
}

/// The command that a prompt is, if it is one of ours. Others are for the model.
pub(crate) fn parse(text: &str) -> Option<SlashCommand> {
    let text = text.trim().strip_prefix('/')?;
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let rest = rest.trim();
    match name {
        "status" if rest.is_empty() => Some(SlashCommand::Status),
        "usage" if rest.is_empty() => Some(SlashCommand::Usage),
        "rename" if !rest.is_empty() => Some(SlashCommand::Rename { title: rest.to_owned() }),
        _ => None,
    }
}

/// The answer to `/status`.
pub(crate) fn status(session: SessionId, settings: &SessionSettings, mode: &str) -> String {
    let SessionSettings { cwd, provider, model, .. } = settings;
    format!(
        "- folder: `{}`\n- model: `{model}` by `{provider}`\n- mode: {mode}\n- session: `{session}`\n\n\
         The same session in a terminal, at the same time: `skein attach {session}`\n",
        view::escape::line(&cwd.to_string_lossy()),
    )
}

/// The answer to `/usage`.
pub(crate) fn usage(read: UsageReadResult) -> String {
    let mut all = Spending::default();
    for row in read.rows {
        all += row.spending;
    }
    let cost = match all.unpriced_requests {
        0 => format!("${:.4}", all.cost),
        unpriced => format!("${:.4}, and {unpriced} requests whose price is not known", all.cost),
    };
    let Spending { requests, tool_calls, .. } = all;
    format!("{requests} requests, {tool_calls} tool calls, {}, {cost}\n", words::tokens(&all.usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_command_is_one() {
        assert_eq!(parse(" /status\n"), Some(SlashCommand::Status));
        assert_eq!(parse("/rename  My work "), Some(SlashCommand::Rename { title: "My work".to_owned() }));
        for text in ["status", "/status of the build?", "/rename", "/etc/passwd", "/", ""] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

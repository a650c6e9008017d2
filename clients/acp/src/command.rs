//! Commands that are typed after a slash and answered without a model.

use std::collections::BTreeMap;

use protocol::ids::SessionId;
use protocol::mcp::{McpPrompt, McpPromptParams};
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

/// All of them, for the editor, and behind them what MCP servers offer to be said.
pub(crate) fn all(offered: &[McpPrompt]) -> Update {
    let entry = |name: &str, description: &str, hint: Option<&str>| CommandEntry {
        name: name.to_owned(),
        description: description.to_owned(),
        input: hint.map(|hint| CommandInput { hint: hint.to_owned() }),
    };
    let own = [
        entry("status", "Say what this session is, and how to reach it from a terminal", None),
        entry("usage", "Say what this session has spent", None),
        entry("rename", "Give this session a title", Some("the title")),
    ];
    let of_servers = offered.iter().map(|prompt| {
        let description = prompt.description.clone().unwrap_or_else(|| prompt.name.clone());
        let description = format!("{} ({})", view::escape::short_line(&description, 200), prompt.server);
        let arguments: Vec<&str> = prompt.arguments.iter().map(|argument| argument.name.as_str()).collect();
        let hint = view::escape::short_line(&arguments.join(" "), 200);
        entry(&prompt.command, &description, Some(hint.as_str()).filter(|hint| !hint.is_empty()))
    });
    Update::AvailableCommands { available_commands: own.into_iter().chain(of_servers).collect() }
}

/// What of the servers' offers a prompt is, if it is one of them: what stands behind the command are its arguments in
/// order, of which the last one takes all that is left. The folder is left open.
pub(crate) fn offered(text: &str, offered: &[McpPrompt]) -> Option<McpPromptParams> {
    let text = text.trim().strip_prefix('/')?;
    let (name, mut rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let prompt = offered.iter().find(|prompt| prompt.command == name)?;
    let mut arguments = BTreeMap::new();
    for (number, argument) in prompt.arguments.iter().enumerate() {
        rest = rest.trim();
        if rest.is_empty() {
            break;
        }
        let is_last = number + 1 == prompt.arguments.len();
        let (value, left) =
            if is_last { None } else { rest.split_once(char::is_whitespace) }.unwrap_or((rest, ""));
        arguments.insert(argument.name.clone(), value.to_owned());
        rest = left;
    }
    let (server, name) = (prompt.server.clone(), prompt.name.clone());
    Some(McpPromptParams { server, name, arguments, ..McpPromptParams::default() })
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
    use protocol::mcp::McpPromptArgument;

    use super::*;

    #[test]
    fn what_stands_behind_an_offer_are_its_arguments() {
        let argument =
            |name: &str| McpPromptArgument { name: name.to_owned(), description: None, is_required: false };
        let prompt = McpPrompt {
            server: "git".to_owned(),
            name: "explain it".to_owned(),
            command: "git:explain_it".to_owned(),
            description: None,
            arguments: vec![argument("what"), argument("how")],
        };
        let arguments = |text: &str| {
            let wanted = offered(text, std::slice::from_ref(&prompt))?;
            assert_eq!((wanted.server.as_str(), wanted.name.as_str()), ("git", "explain it"));
            Some(wanted.arguments.into_iter().collect::<Vec<_>>())
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(arguments("/git:explain_it"), Some(Vec::new()));
        assert_eq!(arguments("/git:explain_it HEAD"), Some(vec![pair("what", "HEAD")]));
        assert_eq!(
            arguments("/git:explain_it  HEAD  in few words "),
            Some(vec![pair("how", "in few words"), pair("what", "HEAD")])
        );
        assert_eq!(arguments("/git:explain"), None);
    }

    #[test]
    fn only_a_whole_command_is_one() {
        assert_eq!(parse(" /status\n"), Some(SlashCommand::Status));
        assert_eq!(parse("/rename  My work "), Some(SlashCommand::Rename { title: "My work".to_owned() }));
        for text in ["status", "/status of the build?", "/rename", "/etc/passwd", "/", ""] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

//! What a question says, line by line, for a terminal; nothing in it can imitate Skein's own words. Knows nothing of
//! how it is answered.

use protocol::item::{Refusal, RefusedOperation};
use protocol::profile::Access;
use protocol::question::{Prompt, QuestionKind};
use view::escape;
use view::words;

use crate::exec::human::folded;

/// Lines of a patch that are shown.
const PATCH_LINES: usize = 60;
/// Characters of a model's or a server's text.
const TEXT: usize = 600;

/// What was asked, as the beginning of a sentence.
pub(crate) fn headline(kind: &QuestionKind) -> String {
    match kind {
        QuestionKind::Command { command, is_escalated, refusals, .. } => {
            let command = escape::short_line(command, 400);
            if *is_escalated && !refusals.is_empty() {
                return format!("The sandbox stopped `{command}`; may it run again outside the sandbox?");
            }
            let place = if *is_escalated { " outside the sandbox" } else { "" };
            format!("The agent asks to run `{command}`{place}")
        }
        QuestionKind::Network { host, port, .. } => {
            format!("A command wants to reach `{}`", escape::short_line(&format!("{host}:{port}"), 400))
        }
        QuestionKind::Tool { server, tool, .. } => {
            let tool = escape::short_line(tool, 80);
            match server {
                Some(server) => {
                    format!("The agent asks to call `{tool}` of `{}`", escape::short_line(server, 80))
                }
                None => format!("The agent asks to call `{tool}`"),
            }
        }
        QuestionKind::Elicitation { server, .. } => {
            format!("The MCP server `{}` asks you something", escape::short_line(server, 80))
        }
        QuestionKind::Sampling { server, .. } => {
            format!("The MCP server `{}` wants the model to answer", escape::short_line(server, 80))
        }
        QuestionKind::FileChange { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::UserInput { .. }
        | QuestionKind::ClientTool { .. }
        | QuestionKind::Unknown(_) => words::asked(kind).to_owned(),
    }
}

/// All that a person needs to decide, below the headline.
pub(crate) fn details(kind: &QuestionKind) -> Vec<String> {
    let mut lines = Vec::new();
    let says = |text: &Option<String>| {
        text.as_ref().map(|text| format!("it says: {}", escape::short_line(text, TEXT)))
    };
    match kind {
        QuestionKind::Command { cwd, justification, refusals, proposed_rule, .. } => {
            lines.push(format!("in {}", escape::line(&cwd.to_string_lossy())));
            lines.extend(says(justification));
            lines.extend(refusals.iter().map(refused));
            for rule in proposed_rule.iter().flat_map(|rules| rules.lines()) {
                lines.push(format!("`always` writes the rule: {}", escape::short_line(rule, TEXT)));
            }
        }
        QuestionKind::FileChange { patch } => lines.extend(folded(patch, PATCH_LINES)),
        QuestionKind::Permissions { paths, hosts, justification } => {
            lines.extend(paths.iter().map(|rule| {
                let verb = match rule.access {
                    Access::Write => "write",
                    Access::Read => "read",
                    Access::Hidden => "hide",
                };
                format!("{verb} {}", escape::line(&rule.path.to_string_lossy()))
            }));
            lines.extend(hosts.iter().map(|host| format!("reach {}", escape::short_line(host, 400))));
            lines.extend(says(justification));
        }
        QuestionKind::UserInput { prompts } => lines.extend(prompts.iter().flat_map(prompt)),
        QuestionKind::Tool { arguments, .. } => {
            lines.push(format!("with {}", escape::short_line(arguments, TEXT)));
        }
        QuestionKind::Elicitation { message, schema, .. } => {
            lines.push(escape::short_line(message, TEXT));
            let fields = schema.get("properties").and_then(serde_json::Value::as_object);
            let names = fields.into_iter().flat_map(serde_json::Map::keys);
            lines.extend(names.map(|name| format!("field {}", escape::short_line(name, 80))));
        }
        QuestionKind::Sampling { prompt, max_tokens, .. } => {
            lines.extend(folded(prompt, PATCH_LINES));
            lines.push(format!("the answer has at most {max_tokens} tokens"));
        }
        QuestionKind::ClientTool { client, tool, .. } => {
            let (tool, name) = (escape::short_line(tool, 80), escape::short_line(&client.name, 80));
            lines.push(format!("`{tool}`, which `{name}` answers"));
        }
        QuestionKind::Network { .. } | QuestionKind::Unknown(_) => {}
    }
    lines
}

fn prompt(prompt: &Prompt) -> Vec<String> {
    let mut lines = vec![escape::short_line(&prompt.text, TEXT)];
    for (number, option) in (1..).zip(&prompt.options) {
        let label = escape::short_line(&option.label, 80);
        let description = escape::short_line(&option.description, TEXT);
        lines.push(if description.is_empty() {
            format!("  {number}. {label}")
        } else {
            format!("  {number}. {label} — {description}")
        });
    }
    lines
}

fn refused(refusal: &Refusal) -> String {
    let verb = match &refusal.operation {
        RefusedOperation::Read => "read",
        RefusedOperation::Write => "write",
        RefusedOperation::Connect => "connect to",
        RefusedOperation::Execute => "execute",
        RefusedOperation::Unknown(operation) => operation,
    };
    format!(
        "the sandbox stopped it: {} {}",
        escape::short_line(verb, 40),
        escape::short_line(&refusal.target, 400)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_that_always_writes_has_a_line() {
        let kind = QuestionKind::Command {
            command: "a && b".to_owned(),
            argv: vec!["a && b".to_owned()],
            cwd: "/repo".into(),
            is_escalated: false,
            justification: None,
            refusals: Vec::new(),
            proposed_rule: Some("prefix_rule([\"a\"])\nprefix_rule([\"b\"])".to_owned()),
        };
        let rules: Vec<String> = details(&kind).split_off(1);
        let line = |name: &str| format!("`always` writes the rule: prefix_rule([\"{name}\"])");
        assert_eq!(rules, [line("a"), line("b")]);
    }
}

//! A session as markdown, for people and for other programs. Knows nothing of files.

use protocol::item::{Command, ItemBody, PlanStepStatus};
use protocol::session::SessionSnapshot;
use protocol::turn::{InputPart, Turn};
use view::{reviews, words};

/// The turns of pages that follow each other.
pub(crate) fn markdown(pages: &[SessionSnapshot]) -> String {
    let mut text = String::new();
    if let Some(page) = pages.last() {
        let summary = &page.summary;
        let title = summary.title.as_deref().unwrap_or("Session");
        text.push_str(&format!("# {title}\n\n"));
        text.push_str(&format!("- session: `{}`\n", summary.id));
        text.push_str(&format!("- folder: `{}`\n", summary.settings.cwd.display()));
        text.push_str(&format!("- model: {} ({})\n", summary.settings.model, summary.settings.provider));
    }
    for turn in pages.iter().flat_map(|page| &page.turns) {
        push_turn(&mut text, turn);
    }
    text
}

fn push_turn(text: &mut String, turn: &Turn) {
    for item in &turn.items {
        match &item.body {
            ItemBody::UserMessage(said) => {
                text.push_str("\n## User\n\n");
                for part in &said.content {
                    match part {
                        InputPart::Text { text: part } => text.push_str(part),
                        InputPart::Image { .. } | InputPart::StoredImage { .. } => text.push_str("[image]"),
                        InputPart::Skill { name, .. } => text.push_str(&format!("[skill {name}]")),
                        InputPart::Resource { server, uri, .. } => {
                            text.push_str(&format!("[{server}: {uri}]"));
                        }
                        InputPart::Unknown(_) => text.push_str("[…]"),
                    }
                    text.push('\n');
                }
            }
            ItemBody::AgentMessage(message) => {
                text.push_str(&format!("\n## Agent\n\n{}\n", message.text.trim_end()));
            }
            ItemBody::WebSearch(search) => text.push_str(&format!("\n{}\n", words::web_search(search))),
            ItemBody::Agent(report) => text.push_str(&format!("\n{}\n", words::agent(report))),
            ItemBody::Review(review) => push_fenced(text, "text", &reviews::text(review)),
            ItemBody::Reasoning(_) | ItemBody::Notice(_) | ItemBody::Compaction(_) | ItemBody::Unknown(_) => {
            }
            ItemBody::Command(command) => push_command(text, command),
            ItemBody::FileChange(change) => {
                for file in &change.changes {
                    text.push_str(&format!("\n`{}`\n", file.path.display()));
                    push_fenced(text, "diff", &file.diff);
                }
            }
            ItemBody::ToolCall(call) => {
                text.push_str(&format!("\nTool `{}`\n", call.call.name));
                push_fenced(text, "", call.output.as_deref().unwrap_or_default());
            }
            ItemBody::Plan(plan) => {
                text.push('\n');
                for step in &plan.steps {
                    let mark = if step.status == PlanStepStatus::Completed { 'x' } else { ' ' };
                    text.push_str(&format!("- [{mark}] {}\n", step.text));
                }
            }
        }
    }
    if let Some(ending) = turn.outcome.as_ref().and_then(words::ending) {
        text.push_str(&format!("\n*{ending}*\n"));
    }
}

fn push_command(text: &mut String, command: &Command) {
    push_fenced(text, "sh", &command.command);
    if let Some(outcome) = &command.outcome {
        let output = &outcome.output;
        let left_out = match output.omitted_bytes {
            0 => String::new(),
            bytes => format!("\n… {bytes} bytes left out …\n"),
        };
        push_fenced(text, "", &format!("{}{left_out}{}", output.head, output.tail));
        if let Some(exit) = words::exit(&outcome.exit) {
            text.push_str(&format!("\n*{exit}*\n"));
        }
    }
}

/// A block whose fence is longer than any run of back-quotes in it.
pub(crate) fn push_fenced(text: &mut String, language: &str, content: &str) {
    if content.trim().is_empty() {
        return;
    }
    let mut longest = 0;
    let mut run = 0;
    for letter in content.chars() {
        run = if letter == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest.max(2) + 1);
    text.push_str(&format!("\n{fence}{language}\n{}\n{fence}\n", content.trim_end()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::session;

    #[test]
    fn what_was_said_is_there_in_order() {
        let text = markdown(&[session("Done: `it` works")]);
        let said = text.find("## User\n\nmake it work").unwrap();
        assert!(text.find("## Agent\n\nDone: `it` works").unwrap() > said, "{text}");
    }

    #[test]
    fn nothing_ends_its_block_early() {
        let mut text = String::new();
        push_fenced(&mut text, "sh", "echo '````'\n```\n");
        assert_eq!(text, "\n`````sh\necho '````'\n```\n`````\n");
    }
}

//! What stands beside a summary as it was: what people said, the plan, files that were changed, checks that fail, and
//! what was done. Made of the log alone, and bounded: what does not fit is counted in its place.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use protocol::item::{
    ChangeKind, Command, CommandExit, CommandOutcome, FileChange, Item, ItemBody, ItemStatus, Plan,
    PlanStepStatus, UserMessage,
};
use protocol::turn::{InputPart, Turn};

use crate::shorten;

/// Checks that are told.
const MAX_CHECKS: usize = 5;
/// Characters of a call that was made.
const CALL_CHARS: usize = 160;
/// Programs whose failing says nothing of the work: they look for something, or compare.
const LOOKS: &[&str] =
    &["grep", "rg", "test", "[", "diff", "ls", "cat", "find", "which", "head", "tail", "stat"];
/// Room for the words that say that something was left out.
const WORDS: usize = 120;

/// What is carried of these turns, in so many bytes: half for what people said, the rest for the others. `touched` are
/// files that calls of any kind changed, the newest last.
#[must_use]
pub fn of(turns: &[Turn], touched: &[&Path], cwd: &Path, most: usize) -> String {
    let items: Vec<(usize, &Item)> = turns
        .iter()
        .enumerate()
        .flat_map(|(at, turn)| turn.items.iter().map(move |item| (at + 1, item)))
        .filter(|(_, item)| item.status != ItemStatus::Discarded)
        .collect();
    let mut text = String::new();
    let shares = [
        ("What the user said", said(&items, most / 2), most / 2),
        ("The plan", plan(&items), most / 10),
        ("Files that were changed", files(&items, touched, cwd), most / 10),
        ("Checks that failed when they ran last", checks(&items, most / 5), most / 5),
        ("What was done already, oldest first", done(&items, cwd), most / 10),
    ];
    for (title, entries, share) in shares {
        push_section(&mut text, title, entries, share);
    }
    text
}

/// Entries under a title, the newest that fit.
fn push_section(text: &mut String, title: &str, entries: Vec<String>, most: usize) {
    if entries.is_empty() {
        return;
    }
    let (entries, left_out) = shorten::newest(entries, most.saturating_sub(title.len() + WORDS));
    // Writing to a string does not fail.
    let _ = writeln!(text, "## {title}");
    if left_out > 0 {
        let _ = writeln!(text, "(Left out here, and older: {left_out}. The log of the session has them.)");
    }
    for entry in entries {
        let _ = writeln!(text, "{entry}");
    }
    text.push('\n');
}

fn said(items: &[(usize, &Item)], most: usize) -> Vec<String> {
    let entry = |(turn, item): &(usize, &Item)| {
        let ItemBody::UserMessage(message) = &item.body else { return None };
        let text = shorten::middle(words(message).trim(), most / 2);
        Some(format!("<message turn=\"{turn}\">\n{text}\n</message>"))
    };
    items.iter().filter_map(entry).collect()
}

fn words(message: &UserMessage) -> String {
    let part = |part: &InputPart| match part {
        InputPart::Text { text } => text.clone(),
        InputPart::Image { .. } | InputPart::StoredImage { .. } => "(An image stood here.)".to_owned(),
        InputPart::Skill { name, path, .. } => {
            format!("(The skill `{name}` came along; its text is in `{}`.)", path.display())
        }
        InputPart::Resource { server, uri, .. } => {
            format!("(What the MCP server `{server}` has at `{uri}` came along; it can be read there again.)")
        }
        InputPart::Unknown(_) => "(Something stood here that this version does not know.)".to_owned(),
    };
    message.content.iter().map(part).collect::<Vec<_>>().join("\n")
}

/// The steps of the last plan that was taken, if some are open.
fn plan(items: &[(usize, &Item)]) -> Vec<String> {
    let taken = |(_, item): &(usize, &Item)| item.status == ItemStatus::Completed;
    let last = items
        .iter()
        .rev()
        .filter(|item| taken(item))
        .find_map(|(_, item)| if let ItemBody::Plan(plan) = &item.body { Some(plan) } else { None });
    let Some(Plan { steps, .. }) = last else { return Vec::new() };
    if steps.iter().all(|step| step.status == PlanStepStatus::Completed) {
        return Vec::new();
    }
    let mark = |status: &PlanStepStatus| match status {
        PlanStepStatus::Completed => "[x]",
        PlanStepStatus::InProgress => "[in progress]",
        PlanStepStatus::Pending | PlanStepStatus::Unknown(_) => "[ ]",
    };
    steps.iter().map(|step| format!("- {} {}", mark(&step.status), shorten::line(&step.text, 400))).collect()
}

/// Files with what became of them, those that were changed last at the end; before them those of which only that is
/// known, because a command changed them.
fn files(items: &[(usize, &Item)], touched: &[&Path], cwd: &Path) -> Vec<String> {
    let mut files: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for (at, (turn, item)) in items.iter().enumerate() {
        let ItemBody::FileChange(FileChange { changes, .. }) = &item.body else { continue };
        let how = match item.status {
            ItemStatus::Completed => "",
            ItemStatus::Interrupted => ", but that was cut off: look at it",
            ItemStatus::Failed
            | ItemStatus::InProgress
            | ItemStatus::Declined
            | ItemStatus::Discarded
            | ItemStatus::Unknown(_) => continue,
        };
        for change in changes {
            let state = match (&change.kind, &change.moved_to) {
                (_, Some(to)) => format!("moved to `{}`", shown(to, cwd)),
                (ChangeKind::Add, None) => "written".to_owned(),
                (ChangeKind::Delete, None) => "removed".to_owned(),
                (ChangeKind::Update, None) => "changed".to_owned(),
                (ChangeKind::Unknown(kind), None) => kind.clone(),
            };
            let path = shown(&change.path, cwd);
            files.insert(path.clone(), (at, format!("- `{path}`: {state} in turn {turn}{how}")));
        }
    }
    let others = touched.iter().map(|path| shown(path, cwd)).filter(|path| !files.contains_key(path));
    let others: Vec<String> =
        others.map(|path| format!("- `{path}`: made, changed or removed by a command")).collect();
    let mut files: Vec<(usize, String)> = files.into_values().collect();
    files.sort_unstable();
    others.into_iter().chain(files.into_iter().map(|(_, line)| line)).collect()
}

fn shown(path: &Path, cwd: &Path) -> String {
    path.strip_prefix(cwd).unwrap_or(path).display().to_string()
}

/// The commands that failed, and have not passed since, with the end of what they printed.
fn checks(items: &[(usize, &Item)], most: usize) -> Vec<String> {
    let mut last: BTreeMap<(&Path, &str), (usize, Option<String>)> = BTreeMap::new();
    for (at, (_, item)) in items.iter().enumerate() {
        let ItemBody::Command(command) = &item.body else { continue };
        let Some(outcome) = &command.outcome else { continue };
        last.insert((&command.cwd, &command.command), (at, failure(command, outcome, most / MAX_CHECKS)));
    }
    let failed = |(at, failure): (usize, Option<String>)| Some((at, failure?));
    let mut failed: Vec<(usize, String)> = last.into_values().filter_map(failed).collect();
    failed.sort_unstable();
    let first = failed.len().saturating_sub(MAX_CHECKS);
    failed.split_off(first).into_iter().map(|(_, text)| text).collect()
}

/// How a command failed, if it did, and that says something.
fn failure(command: &Command, outcome: &CommandOutcome, most: usize) -> Option<String> {
    let how = match &outcome.exit {
        CommandExit::Code { code: 0 }
        | CommandExit::Interrupted
        | CommandExit::GoesOn
        | CommandExit::Unknown(_) => {
            return None;
        }
        CommandExit::Code { code } => format!("exit code {code}"),
        CommandExit::Signal { signal } => format!("signal {signal}"),
        CommandExit::TimedOut { after_ms } => format!("not done after {after_ms} ms"),
    };
    let program = command.command.split_whitespace().next().unwrap_or_default();
    if LOOKS.contains(&program) {
        return None;
    }
    let output = &outcome.output;
    let printed = if output.omitted_bytes > 0 { &output.tail } else { &output.head };
    let line = shorten::line(&command.command, CALL_CHARS);
    let room = most.saturating_sub(line.len() + WORDS).max(200);
    Some(format!("- `{line}`: {how}\n```\n{}\n```", shorten::end(printed.trim_end(), room)))
}

fn done(items: &[(usize, &Item)], cwd: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for (turn, item) in items {
        let Some(call) = item.body.call() else { continue };
        let how = match &item.status {
            ItemStatus::Completed => "",
            ItemStatus::Failed => " (failed)",
            ItemStatus::Interrupted => " (cut off; what came of it is unknown)",
            ItemStatus::Declined
            | ItemStatus::InProgress
            | ItemStatus::Discarded
            | ItemStatus::Unknown(_) => continue,
        };
        let what = match &item.body {
            ItemBody::Command(command) => format!("ran `{}`", shorten::line(&command.command, CALL_CHARS)),
            ItemBody::FileChange(change) => {
                let paths: Vec<_> = change.changes.iter().map(|file| shown(&file.path, cwd)).collect();
                format!("changed {}", shorten::line(&paths.join(", "), CALL_CHARS))
            }
            ItemBody::Plan(_) => continue,
            ItemBody::ToolCall(_)
            | ItemBody::UserMessage(_)
            | ItemBody::AgentMessage(_)
            | ItemBody::Reasoning(_)
            | ItemBody::Notice(_)
            | ItemBody::WebSearch(_)
            | ItemBody::Compaction(_)
            | ItemBody::Agent(_)
            | ItemBody::Review(_)
            | ItemBody::Unknown(_) => {
                format!("called `{}` {}", call.name, shorten::line(call.input.text(), CALL_CHARS))
            }
        };
        lines.push(format!("- turn {turn}: {what}{how}"));
    }
    lines
}

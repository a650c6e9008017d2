//! Items of tools as an editor shows them: title, kind, places, content. Knows nothing of when they are told.

use std::path::{Path, PathBuf};

use protocol::item::{
    ChangeKind, ChangedFile, Command, CommandExit, CommandOutcome, FileChange, Item, ItemBody, ItemStatus,
    OtherToolCall, ToolContent as Part,
};
use protocol::review::{Review, ReviewFinding};
use protocol::tool::CallInput;
use serde_json::{Value, json};
use view::{escape, reviews, words};

use crate::diff;
use crate::schema::update::{Location, ToolCall, ToolContent, ToolKind, ToolStatus};

/// Letters of a title.
const MAX_TITLE: usize = 200;
/// Letters of a text that is shown beside a call.
const MAX_TEXT: usize = 32 * 1024;

/// A call of a tool, whole; `None` for an item that is none.
pub(crate) fn call(item: &Item, cwd: &Path) -> Option<ToolCall> {
    let mut call = match &item.body {
        ItemBody::Command(command) => of_command(command),
        ItemBody::FileChange(change) => of_change(change, cwd),
        ItemBody::ToolCall(other) => of_other(other, cwd),
        ItemBody::Review(review) => of_review(review),
        ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Plan(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Unknown(_) => return None,
    };
    call.tool_call_id = item.id.to_string();
    call.status = Some(status(&item.status));
    Some(call)
}

/// The last lines that a command printed, while it runs.
pub(crate) fn printing(item_id: String, output: &str) -> ToolCall {
    ToolCall { tool_call_id: item_id, content: Some(vec![fenced(output)]), ..ToolCall::default() }
}

/// A text as it is, in a block that shows it so.
pub(crate) fn fenced(text: &str) -> ToolContent {
    let text = escape::prose(text);
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let end = if text.ends_with('\n') { "" } else { "\n" };
    ToolContent::text(format!("{fence}\n{text}{end}{fence}"))
}

/// What changes in files, as far as it is known.
pub(crate) fn diffs(changes: &[ChangedFile]) -> Vec<ToolContent> {
    let mut content = Vec::new();
    for file in changes {
        let path = file.moved_to.as_ref().unwrap_or(&file.path).to_string_lossy().into_owned();
        let hunks = diff::hunks(&file.diff);
        let is_new = file.kind == ChangeKind::Add;
        if hunks.is_empty() {
            // Nothing is known of the text: it is no text, too large, or only the name is new.
            content.push(ToolContent::text(words::changed(file, Path::new(""))));
        }
        content.extend(hunks.into_iter().map(|hunk| ToolContent::Diff {
            path: path.clone(),
            old_text: (!is_new || !hunk.old.is_empty()).then_some(hunk.old),
            new_text: hunk.new,
        }));
    }
    content
}

fn status(status: &ItemStatus) -> ToolStatus {
    match status {
        ItemStatus::InProgress => ToolStatus::InProgress,
        ItemStatus::Completed => ToolStatus::Completed,
        ItemStatus::Failed
        | ItemStatus::Declined
        | ItemStatus::Interrupted
        | ItemStatus::Discarded
        | ItemStatus::Unknown(_) => ToolStatus::Failed,
    }
}

fn of_command(command: &Command) -> ToolCall {
    let mut content = Vec::new();
    if let Some(outcome) = &command.outcome {
        let output = printed(outcome);
        if !output.trim().is_empty() {
            content.push(fenced(&output));
        }
    } else if !command.output_so_far.is_empty() {
        content.push(fenced(&command.output_so_far));
    }
    content.extend(beside_output(command));
    let outside = if command.is_escalated { " (outside the sandbox)" } else { "" };
    ToolCall {
        title: Some(format!("{}{outside}", title(&command.command))),
        kind: Some(ToolKind::Execute),
        content: Some(content),
        locations: Some(Vec::new()),
        raw_input: Some(json!({
            "command": command.command,
            "argv": command.argv,
            "cwd": command.cwd.to_string_lossy(),
            "isEscalated": command.is_escalated,
        })),
        raw_output: command.outcome.as_ref().map(|outcome| {
            let code = match outcome.exit {
                CommandExit::Code { code } => Some(code),
                CommandExit::Signal { .. }
                | CommandExit::TimedOut { .. }
                | CommandExit::Interrupted
                | CommandExit::GoesOn
                | CommandExit::Unknown(_) => None,
            };
            json!({"exitCode": code, "durationMs": outcome.duration_ms, "totalBytes": outcome.output.total_bytes})
        }),
        ..ToolCall::default()
    }
}

/// What a command shows beside what it printed.
pub(crate) fn beside_output(command: &Command) -> Vec<ToolContent> {
    let mut content = Vec::new();
    if let Some(outcome) = &command.outcome {
        content.extend(words::exit(&outcome.exit).map(ToolContent::text));
        content.extend(outcome.refusals.iter().map(|refusal| {
            ToolContent::text(format!(
                "The sandbox stopped it at `{}`",
                escape::short_line(&refusal.target, 300)
            ))
        }));
    }
    content.extend(command.message.as_deref().map(bounded));
    content
}

fn printed(outcome: &CommandOutcome) -> String {
    let output = &outcome.output;
    let head = escape::shortened(&output.head, MAX_TEXT);
    if output.omitted_bytes == 0 {
        return head.into_owned();
    }
    let tail = escape::shortened(&output.tail, MAX_TEXT);
    format!("{head}\n… {} bytes left out …\n{tail}", words::thousands(output.omitted_bytes))
}

fn of_change(change: &FileChange, cwd: &Path) -> ToolCall {
    let named = |file: &ChangedFile| words::changed(file, cwd);
    let text = match change.changes.as_slice() {
        [] => "Change files".to_owned(),
        [one] => named(one),
        [first, rest @ ..] => format!("{} and {} more", named(first), rest.len()),
    };
    let mut letters = text.chars();
    let text = letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>());
    let kind = match change.changes.as_slice() {
        [one] if one.moved_to.is_some() => ToolKind::Move,
        [one] if one.kind == ChangeKind::Delete => ToolKind::Delete,
        [..] => ToolKind::Edit,
    };
    let mut content = diffs(&change.changes);
    content.extend(change.message.as_deref().filter(|_| change.changes.is_empty()).map(bounded));
    let locations = change.changes.iter().map(|file| Location {
        path: file.moved_to.as_ref().unwrap_or(&file.path).to_string_lossy().into_owned(),
        line: diff::hunks(&file.diff).first().map(|hunk| hunk.line.max(1)),
    });
    ToolCall {
        title: text.map(|text| title(&text)),
        kind: Some(kind),
        content: Some(content),
        locations: Some(locations.collect()),
        raw_input: Some(json!({"patch": change.call.input.text()})),
        raw_output: change.message.as_ref().map(|message| json!({"message": message})),
        ..ToolCall::default()
    }
}

/// No call, but the form in which an editor shows places beside what is said of them.
fn of_review(review: &Review) -> ToolCall {
    let shown = |text: &str| ToolContent::text(escape::prose(&escape::shortened(text, MAX_TEXT)));
    let finding =
        |finding: &ReviewFinding| shown(&format!("{}\n\n{}", reviews::title(finding), finding.text));
    let mut content: Vec<ToolContent> = review.findings.iter().map(finding).collect();
    let last = [Some(review.summary.as_str()), review.message.as_deref()].into_iter().flatten();
    content.extend(last.filter(|text| !text.is_empty()).map(shown));
    let location = |finding: &ReviewFinding| {
        let path = finding.path.as_ref()?.to_string_lossy().into_owned();
        Some(Location { path, line: Some(finding.start_line) })
    };
    ToolCall {
        title: Some(title(&reviews::head(review))),
        kind: Some(ToolKind::Read),
        content: Some(content),
        locations: Some(review.findings.iter().filter_map(location).collect()),
        ..ToolCall::default()
    }
}

fn of_other(other: &OtherToolCall, cwd: &Path) -> ToolCall {
    let call = &other.call;
    let arguments: Value = match &call.input {
        CallInput::Json(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        CallInput::Freeform(_) => Value::Null,
    };
    let word = |name: &str| arguments[name].as_str().map(str::to_owned);
    let path = word("path").map(|path| cwd.join(path));
    let shown = path.as_deref().map(|path| short_path(path, cwd));
    let (kind, text) = match (&other.server, call.name.as_str()) {
        (Some(server), name) => (ToolKind::Other, format!("{server}: {name}")),
        (None, name @ ("read_file" | "view_image")) => {
            let verb = if name == "read_file" { "Read" } else { "Look at" };
            (ToolKind::Read, format!("{verb} {}", shown.unwrap_or_default()))
        }
        (None, "list_dir") => (ToolKind::Read, format!("List {}", shown.unwrap_or_else(|| ".".to_owned()))),
        (None, "grep" | "find_files" | "tool_search") => {
            let what = word("pattern").or_else(|| word("query")).unwrap_or_default();
            (ToolKind::Search, format!("Search {what}"))
        }
        (None, "web_fetch" | "web_search") => {
            (ToolKind::Fetch, format!("Fetch {}", word("url").or_else(|| word("query")).unwrap_or_default()))
        }
        (None, "write_stdin") => (ToolKind::Execute, "Type into a running command".to_owned()),
        (None, name) => (ToolKind::Other, name.to_owned()),
    };
    let mut content: Vec<ToolContent> = other.output.iter().map(bounded).collect();
    content.extend(other.content.iter().filter_map(|part| match part {
        Part::Text { text } => Some(bounded(text)),
        Part::Image { media_type, .. } => Some(ToolContent::text(format!("(an image, {media_type})"))),
        Part::Unknown(_) => None,
    }));
    ToolCall {
        title: Some(title(&text)),
        kind: Some(kind),
        content: Some(content),
        locations: Some(
            path.iter()
                .map(|path: &PathBuf| Location { path: path.to_string_lossy().into_owned(), line: None })
                .collect(),
        ),
        raw_input: Some(match &call.input {
            CallInput::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
            CallInput::Freeform(text) => json!(text),
        }),
        raw_output: other.structured.clone(),
        ..ToolCall::default()
    }
}

fn short_path(path: &Path, cwd: &Path) -> String {
    let short = path.strip_prefix(cwd).unwrap_or(path).to_string_lossy().into_owned();
    if short.is_empty() { ".".to_owned() } else { short }
}

fn title(text: &str) -> String {
    escape::short_line(text.trim(), MAX_TITLE)
}

fn bounded(text: impl AsRef<str>) -> ToolContent {
    fenced(&escape::shortened(text.as_ref(), MAX_TEXT))
}

#[cfg(test)]
mod tests {
    use protocol::ids::{ItemId, Timestamp, TurnId};
    use protocol::tool::ToolCall as Called;

    use super::*;

    fn item(body: ItemBody) -> Item {
        Item {
            id: ItemId::generate(),
            turn_id: TurnId::generate(),
            step: 0,
            status: ItemStatus::Completed,
            started_at: Timestamp(0),
            completed_at: None,
            called_by: None,
            body,
        }
    }

    fn called(name: &str, input: CallInput) -> Called {
        Called { call_id: "1".to_owned(), name: name.to_owned(), input }
    }

    fn other(name: &str, arguments: &str) -> ToolCall {
        let call = called(name, CallInput::Json(arguments.to_owned()));
        let body = serde_json::from_value(json!({"call": call})).unwrap();
        super::call(&item(ItemBody::ToolCall(body)), Path::new("/repo")).unwrap()
    }

    #[test]
    fn tools_have_the_kind_of_what_they_do() {
        for (name, arguments, kind, title) in [
            ("read_file", r#"{"path":"src/a.rs"}"#, ToolKind::Read, "Read src/a.rs"),
            ("list_dir", "{}", ToolKind::Read, "List ."),
            ("grep", r#"{"pattern":"fn main"}"#, ToolKind::Search, "Search fn main"),
            ("no_such_tool", "not json", ToolKind::Other, "no_such_tool"),
        ] {
            let call = other(name, arguments);
            assert_eq!((call.kind, call.title.as_deref()), (Some(kind), Some(title)), "{name}");
        }
        let place = Location { path: "/repo/src/a.rs".to_owned(), line: None };
        assert_eq!(other("read_file", r#"{"path":"src/a.rs"}"#).locations, Some(vec![place]));
    }

    #[test]
    fn a_review_points_at_its_places() {
        let answer = r#"{"findings": [
            {"file": "src/a.rs", "startLine": 4, "endLine": 5, "severity": "high", "title": "Wrong", "text": "So."},
            {"file": "../b.rs", "startLine": 1, "endLine": 1, "severity": "low", "title": "Odd", "text": "Hm."}
        ], "summary": "Two."}"#;
        let review = Review::read(answer, Path::new("/repo"));
        let call = super::call(&item(ItemBody::Review(review)), Path::new("/repo")).unwrap();
        assert_eq!(call.title.as_deref(), Some("Review: 2 findings, needs work"));
        assert_eq!(
            call.locations,
            Some(vec![Location { path: "/repo/src/a.rs".to_owned(), line: Some(4) }]),
            "what is not in the folder is no place"
        );
        let texts = ["src/a.rs:4-5  high  Wrong\n\nSo.", "../b.rs:1  low  Odd\n\nHm.", "Two."];
        assert_eq!(call.content, Some(texts.map(|text| ToolContent::text(text.to_owned())).to_vec()));
    }

    #[test]
    fn a_change_shows_what_was_and_what_is() {
        let file = ChangedFile {
            path: "/repo/a.rs".into(),
            kind: ChangeKind::Update,
            moved_to: None,
            diff: "@@ -4,2 +4,2 @@\n a\n-b\n+c\n".to_owned(),
        };
        let change = FileChange {
            call: called("apply_patch", CallInput::Freeform("*** Begin Patch".to_owned())),
            changes: vec![file],
            message: None,
        };
        let call = super::call(&item(ItemBody::FileChange(change)), Path::new("/repo")).unwrap();
        assert_eq!(call.title.as_deref(), Some("Edited a.rs"));
        assert_eq!(call.locations, Some(vec![Location { path: "/repo/a.rs".to_owned(), line: Some(4) }]));
        let diff = ToolContent::Diff {
            path: "/repo/a.rs".to_owned(),
            old_text: Some("a\nb\n".to_owned()),
            new_text: "a\nc\n".to_owned(),
        };
        assert_eq!(call.content, Some(vec![diff]));
    }

    #[test]
    fn output_can_neither_leave_its_block_nor_move_the_cursor() {
        let ToolContent::Content { content: crate::schema::content::Block::Text { text } } =
            fenced("a\n```\n# b\n\u{1b}[2J")
        else {
            panic!("no text");
        };
        assert!(text.starts_with("````\n") && text.ends_with("\n````"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}

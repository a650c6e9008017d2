//! What a command prints, in a terminal of the editor that only shows it. The protocol's own terminals are another
//! thing: in those the editor would run the command, outside of the sandbox. Knows nothing of when it is told.
//!
//! By a convention beside the protocol, which an editor joins with `clientCapabilities._meta.terminal_output`, a call
//! has the content `terminal` and in its `_meta` `terminal_info`; its updates have `terminal_output`, what is new, and
//! in the end `terminal_exit`. Where that is not offered, the last lines are the content of the call.

use std::path::Path;

use protocol::item::{CommandExit, CommandOutcome, CommandOutput};
use serde_json::{Map, Value, json};
use view::{escape, words};

use crate::schema::update::{ToolCall, ToolContent};

/// Letters of what is shown at the end, where it was not shown before.
const MAX_TEXT: usize = 32 * 1024;

/// How the output of commands is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputForm {
    /// In a terminal of the editor.
    Terminal,
    /// As text of the call.
    Text,
}

/// The call with its terminal in place of what it printed.
pub(crate) fn shown(mut call: ToolCall, beside: Vec<ToolContent>) -> ToolCall {
    let mut content = vec![ToolContent::Terminal { terminal_id: call.tool_call_id.clone() }];
    content.extend(beside);
    call.content = Some(content);
    call
}

/// What opens the terminal, in `_meta` of the call.
pub(crate) fn opened(id: &str, cwd: &Path) -> Value {
    json!({"terminal_info": {"terminal_id": id, "cwd": cwd.to_string_lossy()}})
}

/// What is new in the terminal, in `_meta` of an update; absent if nothing is.
pub(crate) fn grown(id: &str, text: &str, outcome: Option<&CommandOutcome>) -> Option<Value> {
    let mut meta = Map::new();
    if !text.is_empty() {
        let data = json!({"terminal_id": id, "data": escape::prose(text)});
        meta.insert("terminal_output".to_owned(), data);
    }
    if let Some(outcome) = outcome {
        let (code, signal) = match &outcome.exit {
            CommandExit::Code { code } => (Some(code), None),
            CommandExit::Signal { signal } => (None, Some(signal.to_string())),
            CommandExit::TimedOut { .. } | CommandExit::Interrupted | CommandExit::Unknown(_) => (None, None),
            // More may be printed.
            CommandExit::GoesOn => return (!meta.is_empty()).then_some(Value::Object(meta)),
        };
        let exit = json!({"terminal_id": id, "exit_code": code, "signal": signal});
        meta.insert("terminal_exit".to_owned(), exit);
    }
    (!meta.is_empty()).then_some(Value::Object(meta))
}

/// What of a whole output was not shown, where so many bytes were.
pub(crate) fn rest(output: &CommandOutput, shown: u64) -> String {
    let from = |text: &str, bytes: u64| {
        let rest = usize::try_from(bytes).ok().and_then(|bytes| text.get(bytes..)).unwrap_or_default();
        escape::shortened(rest, MAX_TEXT).into_owned()
    };
    let head = from(&output.head, shown);
    if output.omitted_bytes == 0 {
        return head;
    }
    let tail_at = output.total_bytes.saturating_sub(output.tail.len() as u64);
    match shown.checked_sub(tail_at) {
        Some(shown) => from(&output.tail, shown),
        None => {
            let left_out = tail_at - shown.max(output.head.len() as u64).min(tail_at);
            let tail = from(&output.tail, 0);
            format!("{head}\n… {} bytes left out …\n{tail}", words::thousands(left_out))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(head: &str, omitted_bytes: u64, tail: &str) -> CommandOutput {
        let total_bytes = (head.len() + tail.len()) as u64 + omitted_bytes;
        CommandOutput { head: head.to_owned(), tail: tail.to_owned(), omitted_bytes, total_bytes, blob: None }
    }

    #[test]
    fn each_byte_is_shown_once() {
        let whole = output("abcdef", 0, "");
        for (shown, left) in [(0, "abcdef"), (4, "ef"), (6, ""), (9, "")] {
            assert_eq!(rest(&whole, shown), left, "{shown}");
        }
        let long = output("head", 100, "tail");
        for (shown, left) in [
            (0, "head\n… 100 bytes left out …\ntail"),
            (2, "ad\n… 100 bytes left out …\ntail"),
            (54, "\n… 50 bytes left out …\ntail"),
            (104, "tail"),
            (106, "il"),
            (108, ""),
        ] {
            assert_eq!(rest(&long, shown), left, "{shown}");
        }
    }

    #[test]
    fn a_terminal_is_told_nothing_that_acts_on_it() {
        let meta = grown("1", "a\u{1b}]52;c;x\u{7}b\n", None).unwrap();
        let data = meta["terminal_output"]["data"].as_str().unwrap();
        assert!(!data.contains(['\u{1b}', '\u{7}']) && data.ends_with("b\n"), "{data:?}");
        assert_eq!(grown("1", "", None), None);
    }
}

//! A script in a file, for use from a shell. Knows how it is written down; what it says is in `reply`.
//!
//! ```json
//! {
//!   "when_empty": "fail",
//!   "replies": [
//!     { "type": "answer", "pause_ms": 5, "output": [
//!         { "type": "reasoning", "summary": "Let me look." },
//!         { "type": "message", "text": "Listing the files.", "pieces": 4 },
//!         { "type": "call", "name": "shell", "arguments": { "command": ["ls"] }, "pieces": 3 },
//!         { "type": "freeform", "name": "apply_patch", "input": "*** Begin Patch\n*** End Patch" }
//!       ], "usage": { "input": 100, "cached": 0, "output": 20, "reasoning": 0 } },
//!     { "type": "status", "status": 429, "headers": { "retry-after": "1" }, "body": "slow down" },
//!     { "type": "silence" },
//!     { "type": "hang_up" }
//!   ]
//! }
//! ```
//! `when_empty` is `fail` or `repeat_last`; `checks` is `strict` or `off`. In an answer, `ending` is
//! `completed`, `missing`, or `failed` (with `code` and `message` beside it); `break` is `cut` or `stall`, in
//! the middle of the last output. `arguments` that are a string are sent as they are, JSON or not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::error::HarnessError;
use crate::scripted_model::reply::{Answer, Ending, Point, Reply, StatusReply, Then, Usage};
use crate::scripted_model::server::{Checks, Options, ScriptedModel, WhenEmpty};

/// Starts a server that follows the script in a file.
///
/// # Errors
/// `ScriptFile` when the file cannot be read or is malformed, `Server` when the server cannot start.
pub fn serve(path: &Path) -> Result<ScriptedModel, HarnessError> {
    let wrong = |reason: String| HarnessError::ScriptFile { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let (options, replies) = parse(&text).map_err(|error| wrong(error.to_string()))?;
    ScriptedModel::start_with(options, replies)
}

fn parse(text: &str) -> Result<(Options, Vec<Reply>), serde_json::Error> {
    let file: ScriptFile = serde_json::from_str(text)?;
    let options = Options {
        checks: match file.checks {
            CheckRow::Strict => Checks::Strict,
            CheckRow::Off => Checks::Off,
        },
        when_empty: match file.when_empty {
            EmptyRow::Fail => WhenEmpty::Fail,
            EmptyRow::RepeatLast => WhenEmpty::RepeatLast,
        },
        ..Options::default()
    };
    Ok((options, file.replies.into_iter().map(ReplyRow::into_reply).collect()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptFile {
    #[serde(default)]
    when_empty: EmptyRow,
    #[serde(default)]
    checks: CheckRow,
    replies: Vec<ReplyRow>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EmptyRow {
    #[default]
    Fail,
    RepeatLast,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CheckRow {
    #[default]
    Strict,
    Off,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum ReplyRow {
    Answer(AnswerRow),
    Status {
        status: u16,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: String,
    },
    Silence,
    HangUp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerRow {
    output: Vec<OutputRow>,
    pause_ms: Option<u64>,
    usage: Option<UsageRow>,
    #[serde(default)]
    ending: EndingRow,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    #[serde(rename = "break")]
    breaks: Option<BreakRow>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum OutputRow {
    Message { text: String, pieces: Option<usize> },
    Reasoning { summary: String, encrypted: Option<String>, pieces: Option<usize> },
    Call { name: String, arguments: Value, pieces: Option<usize> },
    Freeform { name: String, input: String, pieces: Option<usize> },
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct UsageRow {
    input: u64,
    cached: u64,
    output: u64,
    reasoning: u64,
}

impl Default for UsageRow {
    fn default() -> Self {
        let Usage { input, cached, output, reasoning } = Usage::default();
        Self { input, cached, output, reasoning }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EndingRow {
    #[default]
    Completed,
    Missing,
    Failed,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BreakRow {
    Cut,
    Stall,
}

impl ReplyRow {
    fn into_reply(self) -> Reply {
        match self {
            Self::Answer(answer) => answer.into_answer().into(),
            Self::Status { status, headers, body } => {
                let reply = StatusReply::new(status, body);
                headers.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value)).into()
            }
            Self::Silence => Reply::Silence,
            Self::HangUp => Reply::HangUp,
        }
    }
}

impl AnswerRow {
    fn into_answer(self) -> Answer {
        let mut answer = Answer::new();
        for output in self.output {
            let pieces;
            (answer, pieces) = match output {
                OutputRow::Message { text, pieces } => (answer.text(text), pieces),
                OutputRow::Reasoning { summary, encrypted: None, pieces } => {
                    (answer.reasoning(summary), pieces)
                }
                OutputRow::Reasoning { summary, encrypted: Some(encrypted), pieces } => {
                    (answer.encrypted_reasoning(&[&summary], encrypted), pieces)
                }
                OutputRow::Call { name, arguments: Value::String(text), pieces } => {
                    (answer.raw_call(name, text), pieces)
                }
                OutputRow::Call { name, arguments, pieces } => (answer.call(name, &arguments), pieces),
                OutputRow::Freeform { name, input, pieces } => (answer.freeform(name, input), pieces),
            };
            answer = answer.in_pieces(pieces.unwrap_or(1));
        }
        if let Some(pause) = self.pause_ms {
            answer = answer.pause(Duration::from_millis(pause));
        }
        if let Some(UsageRow { input, cached, output, reasoning }) = self.usage {
            answer = answer.usage(Usage { input, cached, output, reasoning });
        }
        match self.breaks {
            Some(BreakRow::Cut) => answer = answer.breaks(Point::MiddleOfLastOutput, Then::Cut),
            Some(BreakRow::Stall) => answer = answer.breaks(Point::MiddleOfLastOutput, Then::Stall),
            None => {}
        }
        answer.ending(match self.ending {
            EndingRow::Completed => Ending::Completed,
            EndingRow::Missing => Ending::Missing,
            EndingRow::Failed => Ending::Failed { code: self.code, message: self.message },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted_model::probe::{hello, post};

    #[test]
    fn the_documented_example_is_served_as_it_says() {
        let example: String = include_str!("file.rs")
            .lines()
            .skip_while(|line| *line != "//! ```json")
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//!"))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script.json");
        std::fs::write(&path, example).unwrap();
        let model = serve(&path).unwrap();
        let answer = post(&model, &hello());
        let output = answer.events().pop().unwrap()["response"]["output"].clone();
        let kinds: Vec<_> = output.as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
        assert_eq!(kinds, ["reasoning", "message", "function_call", "custom_tool_call"]);
        let deltas = answer.kinds().iter().filter(|kind| *kind == "response.output_text.delta").count();
        assert_eq!(deltas, 4);
        let limited = post(&model, &hello());
        assert_eq!((limited.status, limited.header("retry-after")), (429, Some("1")));
    }

    #[test]
    fn a_malformed_script_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script.json");
        std::fs::write(&path, "{\"replies\": [\n{\"type\": \"answr\"}]}").unwrap();
        let Err(HarnessError::ScriptFile { reason, .. }) = serve(&path) else { panic!("taken") };
        assert!(reason.contains("answr") && reason.contains("line 2"), "{reason}");
    }
}

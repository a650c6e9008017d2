//! What a review answers: the schema, and how it is read and shown. What a model says is not trusted to follow it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use view::escape;

use crate::output::Output;

/// A review.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Findings {
    /// The worst first.
    pub(crate) findings: Vec<Finding>,
    /// On the whole.
    #[serde(default)]
    pub(crate) summary: String,
}

/// One thing that is wrong.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    file: String,
    start_line: u32,
    end_line: u32,
    severity: Severity,
    title: String,
    text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
enum Severity {
    Critical,
    High,
    Medium,
    Low,
}

impl Findings {
    /// JSON Schema of the answer.
    pub(crate) fn schema() -> Value {
        let text = || json!({"type": "string"});
        let line = || json!({"type": "integer"});
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["findings", "summary"],
            "properties": {
                "summary": text(),
                "findings": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["file", "startLine", "endLine", "severity", "title", "text"],
                        "properties": {
                            "file": text(),
                            "startLine": line(),
                            "endLine": line(),
                            "severity": {"type": "string", "enum": ["critical", "high", "medium", "low"]},
                            "title": text(),
                            "text": text(),
                        },
                    },
                },
            },
        })
    }

    /// Reads an answer, also one with a fence around it; `None` if it is none.
    pub(crate) fn read(answer: &str) -> Option<Self> {
        let json = answer.get(answer.find('{')?..=answer.rfind('}')?)?;
        let mut read: Self = serde_json::from_str(json).ok()?;
        read.findings.sort_by(|one, other| {
            (one.severity, &one.file, one.start_line).cmp(&(other.severity, &other.file, other.start_line))
        });
        Some(read)
    }

    /// For a person.
    pub(crate) fn shown(&self, output: Output) -> String {
        let style = output.out;
        let mut shown = String::new();
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Critical => style.red("critical"),
                Severity::High => style.red("high"),
                Severity::Medium => style.yellow("medium"),
                Severity::Low => style.dim("low"),
            };
            let lines = if finding.end_line > finding.start_line {
                format!("{}-{}", finding.start_line, finding.end_line)
            } else {
                finding.start_line.to_string()
            };
            let place = style.cyan(format!("{}:{lines}", escape::line(&finding.file)));
            let title = style.bold(escape::line(&finding.title));
            shown.push_str(&format!("{place}  {severity}  {title}\n"));
            for line in escape::prose(&finding.text).lines() {
                shown.push_str(&format!("    {line}\n"));
            }
            shown.push('\n');
        }
        let summary = escape::prose(self.summary.trim()).into_owned();
        shown.push_str(if self.findings.is_empty() { "No findings. " } else { "" });
        shown.push_str(&summary);
        shown.push('\n');
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_a_fence_is_let_through() {
        let finding = |severity: &str| json!({"file": "a.rs", "startLine": 1, "endLine": 2, "severity": severity, "title": "t", "text": "x"});
        let answer = json!({"findings": [finding("low"), finding("critical")], "summary": "Two."});
        let read = Findings::read(&format!("```json\n{answer}\n```")).expect("an answer");
        let shown = read.shown(Output::new().merged());
        assert!(shown.starts_with("a.rs:1-2  critical  t\n    x\n") && shown.ends_with("Two.\n"), "{shown}");
        assert!(Findings::read("I found nothing.").is_none());
        assert!(Findings::read(&json!({"findings": [finding("dire")]}).to_string()).is_none());
    }
}

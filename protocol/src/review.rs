//! What a review of a change comes to: findings with their places, so that clients can show them beside the code. Knows
//! nothing of how the change is found or shown to the model.

use std::path::{Component, Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a review came to. The daemon makes one of the last message of a turn that was started with [`answer_schema`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// What is wrong, the worst first; empty also where the answer can't be read, which `message` then says.
    pub findings: Vec<ReviewFinding>,
    /// What the reviewer thinks of the change on the whole; absent where the answer can't be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<ReviewVerdict>,
    /// On the whole, in a sentence or two; may be empty.
    #[serde(default)]
    pub summary: String,
    /// What of the model's answer could not be read. The answer itself is the agent message before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One thing that is wrong with a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReviewFinding {
    /// The file as the reviewer named it, relative to the session's folder if it is in there.
    pub file: String,
    /// The file's absolute path; absent if it is not in the session's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The first line, from 1, of the file as the change leaves it.
    pub start_line: u32,
    /// The last line, never before the first.
    pub end_line: u32,
    /// How bad it is.
    pub severity: ReviewSeverity,
    /// One line.
    pub title: String,
    /// What goes wrong, when, and what would mend it: Markdown.
    pub text: String,
}

/// How bad a finding is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReviewSeverity {
    /// It loses data, opens a hole, or breaks the main path.
    Critical,
    /// It breaks something that people will meet.
    High,
    /// It breaks something in rare cases.
    Medium,
    /// A small flaw.
    Low,
    /// A severity of a newer protocol, or of a model that did not keep to these.
    #[serde(untagged)]
    Unknown(String),
}

/// What a reviewer thinks of a change on the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReviewVerdict {
    /// It can stay as it is.
    Acceptable,
    /// Something is to be mended first.
    NeedsWork,
    /// A verdict of a newer protocol, or of a model that did not keep to these.
    #[serde(untagged)]
    Unknown(String),
}

impl ReviewSeverity {
    /// The place among the others: the worst has the lowest. One that is not known stands in the middle.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Critical => 0,
            Self::High => 1,
            Self::Medium | Self::Unknown(_) => 2,
            Self::Low => 3,
        }
    }

    /// Its name, as on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Unknown(name) => name,
        }
    }
}

impl ReviewVerdict {
    /// Its name, as on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Acceptable => "acceptable",
            Self::NeedsWork => "needsWork",
            Self::Unknown(name) => name,
        }
    }
}

impl ReviewFinding {
    /// Where it is, as people and programs write places: `src/lib.rs:3` or `src/lib.rs:3-5`.
    #[must_use]
    pub fn place(&self) -> String {
        let Self { file, start_line, end_line, .. } = self;
        if end_line > start_line {
            format!("{file}:{start_line}-{end_line}")
        } else {
            format!("{file}:{start_line}")
        }
    }
}

/// JSON Schema of a reviewer's answer. A turn that is started with exactly this has a [`Review`] at its end.
#[must_use]
pub fn answer_schema() -> Value {
    let text = || json!({"type": "string"});
    let line = || json!({"type": "integer"});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["findings", "verdict", "summary"],
        "properties": {
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
            "verdict": {"type": "string", "enum": ["acceptable", "needsWork"]},
            "summary": text(),
        },
    })
}

/// A finding as a model writes it, which need not keep to the schema.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnsweredFinding {
    file: String,
    #[serde(default)]
    start_line: i64,
    #[serde(default)]
    end_line: i64,
    severity: ReviewSeverity,
    #[serde(default)]
    title: String,
    #[serde(default)]
    text: String,
}

impl Review {
    /// Reads an answer, also one with a fence or words around it. What can't be read of it is told in `message`, and the
    /// rest is kept. `folder` is the session's, absolute.
    #[must_use]
    pub fn read(answer: &str, folder: &Path) -> Self {
        let unreadable = |message: &str| Self { message: Some(message.to_owned()), ..Self::default() };
        let Some(json) = json_of(answer) else {
            return unreadable("The model did not answer with findings");
        };
        let Ok(Value::Object(mut answer)) = serde_json::from_str(json) else {
            return unreadable("The model's answer is no JSON object");
        };
        let Some(Value::Array(written)) = answer.remove("findings") else {
            return unreadable("The model's answer has no list of findings");
        };
        let count = written.len();
        let readable = written.into_iter().filter_map(|one| serde_json::from_value(one).ok());
        let mut findings: Vec<_> = readable.map(|one| placed(one, folder)).collect();
        findings.sort_by(|one, other| {
            let key = |finding: &ReviewFinding| (finding.severity.rank(), finding.start_line);
            key(one).cmp(&key(other)).then_with(|| one.file.cmp(&other.file))
        });
        let is_bad = findings.iter().any(|finding| finding.severity.rank() <= ReviewSeverity::High.rank());
        let verdict = answer.remove("verdict").and_then(|verdict| serde_json::from_value(verdict).ok());
        let lost = count - findings.len();
        let verdict = verdict.or_else(|| {
            let own = if is_bad { ReviewVerdict::NeedsWork } else { ReviewVerdict::Acceptable };
            Some(own).filter(|_| lost == 0)
        });
        let summary = answer.get("summary").and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        let message = (lost > 0).then(|| format!("{lost} of {count} findings of the model can't be read"));
        Self { findings, verdict, summary, message }
    }
}

/// What of an answer may be a JSON object.
fn json_of(answer: &str) -> Option<&str> {
    answer.get(answer.find('{')?..=answer.rfind('}')?)
}

fn placed(answered: AnsweredFinding, folder: &Path) -> ReviewFinding {
    let AnsweredFinding { file, start_line, end_line, severity, title, text } = answered;
    let line = |line: i64| u32::try_from(line.max(1)).unwrap_or(u32::MAX);
    let start_line = line(start_line);
    let end_line = line(end_line).max(start_line);
    let path = inside(&file, folder);
    let relative = path.as_ref().and_then(|path| path.strip_prefix(folder).ok());
    let file = relative.and_then(Path::to_str).map_or(file, str::to_owned);
    ReviewFinding { file, path, start_line, end_line, severity, title, text }
}

/// The path of a file that is in the folder by its name; a model may name any other.
fn inside(file: &str, folder: &Path) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in folder.join(file).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => path.push(part),
        }
    }
    Some(path).filter(|path| path.starts_with(folder) && path != folder && !file.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: &str, line: i64) -> Value {
        json!({
            "file": "src/a.rs", "startLine": line, "endLine": line + 1, "severity": severity,
            "title": "Wrong", "text": "When it is empty."
        })
    }

    fn read(answer: &Value) -> Review {
        Review::read(&answer.to_string(), Path::new("/repo"))
    }

    #[test]
    fn the_worst_comes_first_and_a_fence_is_let_through() {
        let answer = json!({
            "findings": [finding("low", 1), finding("critical", 2)], "verdict": "needsWork", "summary": " Two. "
        });
        let read = Review::read(&format!("So:\n```json\n{answer}\n```"), Path::new("/repo"));
        let places: Vec<_> = read.findings.iter().map(ReviewFinding::place).collect();
        assert_eq!(places, ["src/a.rs:2-3", "src/a.rs:1-2"]);
        assert_eq!(read.findings[0].path.as_deref(), Some(Path::new("/repo/src/a.rs")));
        assert_eq!((read.verdict, &*read.summary), (Some(ReviewVerdict::NeedsWork), "Two."));
        assert_eq!(read.message, None);
    }

    #[test]
    fn what_does_not_keep_to_the_schema_is_kept_as_far_as_it_can_be_read() {
        let answer = json!({"findings": [finding("dire", -3), {"file": "b"}, 7], "summary": "Bad."});
        let review = read(&answer);
        let [found] = &review.findings[..] else { panic!("{review:?}") };
        assert_eq!((found.start_line, found.end_line), (1, 1));
        assert_eq!(found.severity, ReviewSeverity::Unknown("dire".to_owned()));
        assert_eq!(review.message.as_deref(), Some("2 of 3 findings of the model can't be read"));
        assert_eq!((review.verdict, &*review.summary), (None, "Bad."));
    }

    #[test]
    fn a_verdict_that_is_not_told_follows_from_the_findings() {
        let verdict = |findings: Value| read(&json!({"findings": findings})).verdict;
        assert_eq!(verdict(json!([])), Some(ReviewVerdict::Acceptable));
        assert_eq!(verdict(json!([finding("medium", 1)])), Some(ReviewVerdict::Acceptable));
        assert_eq!(verdict(json!([finding("high", 1)])), Some(ReviewVerdict::NeedsWork));
    }

    #[test]
    fn an_answer_that_is_none_says_so() {
        for (answer, told) in [
            ("I found nothing.", "did not answer with findings"),
            ("} then {", "did not answer with findings"),
            ("{not json}", "is no JSON object"),
            ("{\"summary\": \"x\"}", "has no list of findings"),
        ] {
            let review = Review::read(answer, Path::new("/repo"));
            assert!(review.message.as_deref().is_some_and(|message| message.contains(told)), "{review:?}");
            assert!(review.findings.is_empty() && review.verdict.is_none());
        }
    }

    #[test]
    fn a_place_is_only_one_in_the_folder() {
        let path = |file: &str| inside(file, Path::new("/repo"));
        assert_eq!(path("./a/../b.rs"), Some(PathBuf::from("/repo/b.rs")));
        assert_eq!(path("/repo/b.rs"), Some(PathBuf::from("/repo/b.rs")));
        for outside in ["../secret", "/etc/passwd", "a/../../repo2/x", "", ".", "a\0b"] {
            assert_eq!(path(outside), None, "{outside:?}");
        }
    }
}

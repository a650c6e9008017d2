//! The tools: what each is for, what it takes, what it answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rmcp::model::{Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::report::{Report, SessionList};

/// Arguments of `start_session`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StartSession {
    /// What is to be done.
    pub(crate) prompt: String,
    /// The folder to work in, absolute; the server's own if absent.
    #[serde(default)]
    pub(crate) cwd: Option<PathBuf>,
    /// What the session is called.
    #[serde(default)]
    pub(crate) title: Option<String>,
    /// The model; that of the settings if absent.
    #[serde(default)]
    pub(crate) model: Option<String>,
    /// What commands may touch; as the settings say if absent.
    #[serde(default)]
    pub(crate) sandbox: Option<Sandbox>,
    /// Whether to wait for the end of the turn; if not, it goes on by itself.
    #[serde(default = "yes")]
    pub(crate) wait: bool,
    /// Tokens that the turn may spend.
    #[serde(default)]
    pub(crate) max_tokens: Option<u64>,
    /// Calls of tools that the turn may make.
    #[serde(default)]
    pub(crate) max_tool_calls: Option<u32>,
    /// Seconds that the turn may take.
    #[serde(default)]
    pub(crate) deadline_seconds: Option<u64>,
}

/// What commands may touch. That nothing confines them is not for another agent to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sandbox {
    /// Everything may be read, nothing written.
    ReadOnly,
    /// The folder may be written.
    WorkspaceWrite,
}

/// Arguments of `continue_session`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ContinueSession {
    /// The session.
    pub(crate) session_id: String,
    /// What is to be done next. If a turn runs, this comes after it.
    pub(crate) prompt: String,
    /// Whether to wait for the end of the turn.
    #[serde(default = "yes")]
    pub(crate) wait: bool,
}

/// Arguments of tools that take a session and nothing else.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OneSession {
    /// The session.
    pub(crate) session_id: String,
}

/// Arguments of `list_sessions`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ListSessions {
    /// Only those of this folder, absolute.
    #[serde(default)]
    pub(crate) cwd: Option<PathBuf>,
    /// Only those that run or wait.
    #[serde(default)]
    pub(crate) only_active: bool,
    /// At most so many; 20 if absent, 100 at most.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
}

/// Arguments of `answer_question`: one of `decision`, `answers` and `content`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AnswerQuestion {
    /// The question.
    pub(crate) question_id: String,
    /// Yes or no.
    #[serde(default)]
    pub(crate) decision: Option<Verdict>,
    /// With `deny`: what to do instead.
    #[serde(default)]
    pub(crate) message: Option<String>,
    /// What was asked, by id: what is chosen or said.
    #[serde(default)]
    pub(crate) answers: Option<BTreeMap<String, Vec<String>>>,
    /// What an MCP server asked for: an object of its schema.
    #[serde(default)]
    pub(crate) content: Option<Value>,
}

/// A decision of another agent lasts for one call. What lasts longer is for a person to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Verdict {
    /// Once.
    Allow,
    /// No.
    Deny,
}

/// Arguments of `review`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Review {
    /// The repository, absolute; the server's own folder if absent.
    #[serde(default)]
    pub(crate) cwd: Option<PathBuf>,
    /// A commit or branch to compare with; without one, what is not committed is reviewed.
    #[serde(default)]
    pub(crate) base: Option<String>,
    /// What to look at in particular.
    #[serde(default)]
    pub(crate) focus: Option<String>,
    /// Whether to wait for the end of the review.
    #[serde(default = "yes")]
    pub(crate) wait: bool,
}

/// All of them.
pub(crate) fn all() -> Vec<Tool> {
    let reads = || ToolAnnotations::new().read_only(true).open_world(false);
    let acts = || ToolAnnotations::new().read_only(false).destructive(true).open_world(true);
    vec![
        tool::<StartSession>(
            "start_session",
            "Starts a coding agent on a task, in a session of its own. Waits for the end of the turn, or, with \
             `wait: false`, returns at once while the work goes on.",
            acts(),
        ),
        tool::<ContinueSession>(
            "continue_session",
            "Says more to a session: a follow-up task, with all that was said and done before in mind.",
            acts(),
        ),
        tool::<OneSession>(
            "wait_for_session",
            "Waits until the running turn of a session ends or needs an answer.",
            reads(),
        ),
        tool::<OneSession>(
            "read_session",
            "Tells what a session does, and what its last turn came to.",
            reads(),
        ),
        tool::<OneSession>(
            "interrupt_session",
            "Ends the running turn of a session; what was done stays.",
            acts().idempotent(true),
        ),
        tool::<AnswerQuestion>(
            "answer_question",
            "Answers what a session waits for. Ask the person you work for before you allow something that \
             leaves the sandbox.",
            acts(),
        ),
        described::<ListSessions, SessionList>("list_sessions", "Lists sessions, the newest first.", reads()),
        tool::<Review>(
            "review",
            "Has changes of a git repository reviewed by an agent that can read and change nothing.",
            reads(),
        ),
    ]
}

fn tool<A: JsonSchema + 'static>(name: &'static str, text: &'static str, hints: ToolAnnotations) -> Tool {
    described::<A, Report>(name, text, hints)
}

fn described<A: JsonSchema + 'static, R: JsonSchema + 'static>(
    name: &'static str,
    text: &'static str,
    hints: ToolAnnotations,
) -> Tool {
    Tool::new(name, text, serde_json::Map::new())
        .with_input_schema::<A>()
        .with_output_schema::<R>()
        .with_annotations(hints)
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_says_what_it_takes_and_answers() {
        for tool in all() {
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            assert_eq!(tool.output_schema.unwrap()["type"], "object", "{}", tool.name);
            assert!(tool.description.is_some());
        }
    }

    #[test]
    fn another_agent_can_neither_leave_the_sandbox_nor_allow_for_good() {
        let start = |sandbox: &str| {
            serde_json::from_str::<StartSession>(&format!(r#"{{"prompt":"x","sandbox":"{sandbox}"}}"#))
        };
        assert!(start("read-only").is_ok());
        assert!(start("danger-full-access").is_err());
        let answer = r#"{"questionId":"x","decision":"always"}"#;
        assert!(serde_json::from_str::<AnswerQuestion>(answer).is_err());
    }
}

//! The JSON lines of `exec --json`, in the shapes that programs written for `codex exec --json` expect. A pure
//! mapping: events in, lines out.

use std::collections::HashMap;

use protocol::event::{Event, EventRecord, TurnEnded};
use protocol::ids::{ItemId, SessionId, TurnId};
use protocol::item::{
    ChangeKind, ChangedFile, Command, CommandExit, CommandOutput, FileChange, Item, ItemBody, ItemStatus,
    NoticeLevel, OtherToolCall, Plan, PlanStep, PlanStepStatus,
};
use protocol::model::Usage;
use protocol::review::Review;
use protocol::turn::TurnOutcome;
use protocol::web::WebSearch;
use serde::Serialize;
use serde_json::{Map, Value, json};
use view::words;

use crate::exec::outcome::{Ending, Verdict};

/// Tools that reach agents.
const AGENT_TOOLS: [&str; 5] = ["spawn_agent", "wait_agent", "send_agent", "close_agent", "list_agents"];

/// A line.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "type")]
pub(crate) enum Line {
    /// First.
    #[serde(rename = "thread.started")]
    ThreadStarted { thread_id: String },
    #[serde(rename = "turn.started")]
    TurnStarted,
    #[serde(rename = "item.started")]
    ItemStarted { item: LineItem },
    #[serde(rename = "item.completed")]
    ItemCompleted { item: LineItem },
    /// Last, if the model had its last word.
    #[serde(rename = "turn.completed")]
    TurnCompleted { usage: LineUsage },
    /// Last, in every other case.
    #[serde(rename = "turn.failed")]
    TurnFailed { error: LineError },
    /// A retry; the turn goes on.
    #[serde(rename = "error")]
    Error { message: String },
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct LineError {
    message: String,
    code: &'static str,
}

#[derive(Debug, PartialEq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the format")]
pub(crate) struct LineUsage {
    input_tokens: u64,
    cached_input_tokens: u64,
    cache_write_input_tokens: u64,
    output_tokens: u64,
    reasoning_output_tokens: u64,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct LineItem {
    id: String,
    #[serde(flatten)]
    body: LineBody,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LineBody {
    AgentMessage {
        text: String,
    },
    Reasoning {
        text: String,
    },
    CommandExecution {
        command: String,
        aggregated_output: String,
        exit_code: Option<i32>,
        status: &'static str,
    },
    FileChange {
        changes: Vec<LineChange>,
        status: &'static str,
    },
    McpToolCall {
        server: String,
        tool: String,
        arguments: Value,
        result: Value,
        error: Value,
        status: &'static str,
    },
    CollabToolCall {
        tool: String,
        sender_thread_id: String,
        receiver_thread_ids: Vec<String>,
        prompt: Option<String>,
        agents_states: Map<String, Value>,
        status: &'static str,
    },
    WebSearch {
        query: String,
        action: LineAction,
    },
    /// What a review found.
    Review {
        findings: Vec<LineFinding>,
        #[serde(skip_serializing_if = "Option::is_none")]
        verdict: Option<String>,
        summary: String,
        /// What of the answer could not be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// What was before was put into less; empty while that goes on, and where the provider keeps it to itself.
    Compaction {
        summary: String,
        status: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    TodoList {
        items: Vec<LineTodo>,
    },
    Error {
        message: String,
    },
}

/// What was done in the web.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LineAction {
    Search { queries: Vec<String>, sources: Vec<String> },
    OpenPage { url: String },
}

#[derive(Debug, PartialEq, Serialize)]
struct LineTodo {
    text: String,
    completed: bool,
}

#[derive(Debug, PartialEq, Serialize)]
struct LineChange {
    path: String,
    kind: &'static str,
}

#[derive(Debug, PartialEq, Serialize)]
struct LineFinding {
    file: String,
    start_line: u32,
    end_line: u32,
    severity: String,
    title: String,
    text: String,
}

/// Turns the events of one turn into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    session: Option<SessionId>,
    turn: Option<TurnId>,
    ids: HashMap<ItemId, usize>,
    next_id: usize,
}

impl Lines {
    /// The first line.
    pub(crate) fn thread(&mut self, session: SessionId) -> Line {
        self.session = Some(session);
        Line::ThreadStarted { thread_id: session.to_string() }
    }

    /// From now on events of this turn count.
    pub(crate) fn follow(&mut self, turn: TurnId) {
        self.turn = Some(turn);
    }

    /// What an event adds. The end of a turn adds nothing: that is `last`.
    pub(crate) fn event(&mut self, record: &EventRecord) -> Option<Line> {
        let is_ours = |turn: TurnId| self.turn == Some(turn);
        match &record.event {
            Event::TurnStarted(started) if is_ours(started.turn_id) => Some(Line::TurnStarted),
            Event::ModelRetried(retried) if is_ours(retried.turn_id) => {
                Some(Line::Error { message: words::retry(retried) })
            }
            Event::ItemStarted(changed) if is_ours(changed.item.turn_id) => self.started(&changed.item),
            Event::ItemCompleted(changed) if is_ours(changed.item.turn_id) => self.completed(&changed.item),
            Event::SessionCreated(_)
            | Event::SessionUpdated(_)
            | Event::SessionArchived(_)
            | Event::SessionUnarchived(_)
            | Event::InputQueued(_)
            | Event::QueuedInputChanged(_)
            | Event::QueuedInputCancelled(_)
            | Event::TurnStarted(_)
            | Event::ModelRequested(_)
            | Event::ModelRetried(_)
            | Event::ModelResponded(_)
            | Event::ItemStarted(_)
            | Event::ItemAppended(_)
            | Event::ItemCompleted(_)
            | Event::QuestionAsked(_)
            | Event::QuestionAnswered(_)
            | Event::QuestionWithdrawn(_)
            | Event::TurnEnded(_)
            | Event::TurnSuspended(_)
            | Event::ConnectionAttempted(_)
            | Event::BudgetWarned(_)
            | Event::TurnResumed(_)
            | Event::FilesChanged(_)
            | Event::SessionRewound(_)
            | Event::RewindEnded(_)
            | Event::ClientToolsRegistered(_)
            | Event::Unknown(_) => None,
        }
    }

    /// The last line, however the run ended; none if the turn goes on in the daemon.
    pub(crate) fn last(ending: &Ending) -> Option<Line> {
        match ending {
            Ending::Detached => None,
            Ending::Turn(ended) if ended.outcome == TurnOutcome::Completed => {
                let TurnEnded { usage, .. } = **ended;
                Some(Line::TurnCompleted { usage: usage.into() })
            }
            Ending::Turn(_)
            | Ending::Unanswered(_)
            | Ending::Signal(_)
            | Ending::OutputClosed
            | Ending::Error(_) => {
                let Verdict { code, message, .. } = ending.verdict();
                Some(Line::TurnFailed { error: LineError { message, code } })
            }
        }
    }

    /// Messages and reasoning are told when they are complete; what runs is told when it begins, too.
    fn started(&mut self, item: &Item) -> Option<Line> {
        match &item.body {
            ItemBody::Command(_)
            | ItemBody::FileChange(_)
            | ItemBody::ToolCall(_)
            | ItemBody::Compaction(_) => Some(Line::ItemStarted { item: self.item(item)? }),
            ItemBody::UserMessage(_)
            | ItemBody::AgentMessage(_)
            | ItemBody::Reasoning(_)
            | ItemBody::Plan(_)
            | ItemBody::Notice(_)
            | ItemBody::WebSearch(_)
            | ItemBody::Agent(_)
            | ItemBody::Review(_)
            | ItemBody::Unknown(_) => None,
        }
    }

    fn completed(&mut self, item: &Item) -> Option<Line> {
        Some(Line::ItemCompleted { item: self.item(item)? })
    }

    fn item(&mut self, item: &Item) -> Option<LineItem> {
        if item.status == ItemStatus::Discarded && !self.ids.contains_key(&item.id) {
            return None;
        }
        let body = match &item.body {
            ItemBody::ToolCall(call) if AGENT_TOOLS.contains(&call.call.name.as_str()) => {
                agent_body(call, self.session, &item.status)
            }
            _ => body(item)?,
        };
        let number = *self.ids.entry(item.id).or_insert_with(|| {
            self.next_id += 1;
            self.next_id - 1
        });
        Some(LineItem { id: format!("item_{number}"), body })
    }
}

fn body(item: &Item) -> Option<LineBody> {
    let status = &item.status;
    match &item.body {
        ItemBody::AgentMessage(message) if !message.text.is_empty() => {
            Some(LineBody::AgentMessage { text: message.text.clone() })
        }
        ItemBody::Reasoning(reasoning) if !reasoning.summary.is_empty() => {
            Some(LineBody::Reasoning { text: reasoning.summary.clone() })
        }
        ItemBody::Command(command) => Some(command_body(command, status)),
        ItemBody::FileChange(change) => Some(change_body(change, status)),
        ItemBody::ToolCall(call) => Some(tool_body(call, status)),
        ItemBody::Plan(plan) => Some(todo_body(plan)),
        ItemBody::WebSearch(search) => Some(search_body(search)),
        ItemBody::Review(review) => Some(review_body(review)),
        ItemBody::Compaction(compaction) => Some(LineBody::Compaction {
            summary: compaction.summary.clone(),
            status: plain_status(status),
            message: compaction.message.clone(),
        }),
        ItemBody::Notice(notice) => match notice.level {
            NoticeLevel::Warning | NoticeLevel::Unknown(_) => {
                Some(LineBody::Error { message: notice.text.clone() })
            }
            NoticeLevel::Information => None,
        },
        ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Agent(_)
        | ItemBody::Unknown(_) => None,
    }
}

fn review_body(review: &Review) -> LineBody {
    let findings = review.findings.iter().map(|finding| LineFinding {
        file: finding.file.clone(),
        start_line: finding.start_line,
        end_line: finding.end_line,
        severity: finding.severity.name().to_owned(),
        title: finding.title.clone(),
        text: finding.text.clone(),
    });
    LineBody::Review {
        findings: findings.collect(),
        verdict: review.verdict.as_ref().map(|verdict| verdict.name().to_owned()),
        summary: review.summary.clone(),
        message: review.message.clone(),
    }
}

fn search_body(search: &WebSearch) -> LineBody {
    let action = match &search.page {
        Some(url) => LineAction::OpenPage { url: url.clone() },
        None => LineAction::Search {
            queries: search.queries.clone(),
            sources: search.sources.iter().map(|source| source.url.clone()).collect(),
        },
    };
    LineBody::WebSearch { query: search.queries.first().cloned().unwrap_or_default(), action }
}

fn todo_body(plan: &Plan) -> LineBody {
    let todo = |step: &PlanStep| LineTodo {
        text: step.text.clone(),
        completed: step.status == PlanStepStatus::Completed,
    };
    LineBody::TodoList { items: plan.steps.iter().map(todo).collect() }
}

fn command_body(command: &Command, status: &ItemStatus) -> LineBody {
    let aggregated_output = match (&command.outcome, &command.message) {
        (Some(outcome), _) => output_text(&outcome.output),
        (None, Some(message)) => message.clone(),
        (None, None) => command.output_so_far.clone(),
    };
    let exit_code = command.outcome.as_ref().and_then(|outcome| match outcome.exit {
        CommandExit::Code { code } => Some(code),
        CommandExit::Signal { .. }
        | CommandExit::TimedOut { .. }
        | CommandExit::Interrupted
        | CommandExit::GoesOn
        | CommandExit::Unknown(_) => None,
    });
    LineBody::CommandExecution {
        command: command.command.clone(),
        aggregated_output,
        exit_code,
        status: match status {
            ItemStatus::Declined => "declined",
            ItemStatus::InProgress
            | ItemStatus::Completed
            | ItemStatus::Failed
            | ItemStatus::Interrupted
            | ItemStatus::Discarded
            | ItemStatus::Unknown(_) => plain_status(status),
        },
    }
}

fn change_body(change: &FileChange, status: &ItemStatus) -> LineBody {
    let line = |file: &ChangedFile| LineChange {
        path: file.path.to_string_lossy().into_owned(),
        kind: match file.kind {
            ChangeKind::Add => "add",
            ChangeKind::Delete => "delete",
            ChangeKind::Update | ChangeKind::Unknown(_) => "update",
        },
    };
    LineBody::FileChange { changes: change.changes.iter().map(line).collect(), status: plain_status(status) }
}

/// A call of a tool without an item of its own has the shape of a call over MCP, with Skein as the server.
fn tool_body(call: &OtherToolCall, status: &ItemStatus) -> LineBody {
    let text = call.call.input.text();
    let status = plain_status(status);
    let output = call.output.as_deref().unwrap_or_default();
    LineBody::McpToolCall {
        server: call.server.clone().unwrap_or_else(|| "skein".to_owned()),
        tool: call.call.name.clone(),
        arguments: serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        result: if status == "completed" {
            json!({"content": [{"type": "text", "text": output}], "structured_content": call.structured})
        } else {
            Value::Null
        },
        error: if status == "failed" { json!({"message": output}) } else { Value::Null },
        status,
    }
}

/// A call that reaches agents, which are threads of their own.
fn agent_body(call: &OtherToolCall, sender: Option<SessionId>, status: &ItemStatus) -> LineBody {
    let arguments: Value = serde_json::from_str(call.call.input.text()).unwrap_or_default();
    let prompt = arguments["task"].as_str().or_else(|| arguments["message"].as_str());
    let agents = call.structured.as_ref().and_then(|outcome| outcome["agents"].as_array());
    let id = |agent: &Value| agent["id"].as_str().map(str::to_owned);
    let state = |agent: &Value| {
        Some((id(agent)?, json!({ "status": agent_status(&agent["status"]), "message": agent["message"] })))
    };
    let agents = agents.into_iter().flatten();
    LineBody::CollabToolCall {
        tool: call.call.name.clone(),
        sender_thread_id: sender.map(|session| session.to_string()).unwrap_or_default(),
        receiver_thread_ids: agents.clone().filter_map(id).collect(),
        prompt: prompt.map(str::to_owned),
        agents_states: agents.filter_map(state).collect(),
        status: plain_status(status),
    }
}

/// In the words of the format, which has fewer.
fn agent_status(status: &Value) -> &'static str {
    match status.as_str() {
        Some("running" | "waiting") => "running",
        Some("completed") => "completed",
        Some("closed") => "shutdown",
        Some("interrupted") => "interrupted",
        Some(_) | None => "errored",
    }
}

/// The three statuses that every kind of item has.
fn plain_status(status: &ItemStatus) -> &'static str {
    match status {
        ItemStatus::InProgress => "in_progress",
        ItemStatus::Completed => "completed",
        ItemStatus::Failed
        | ItemStatus::Declined
        | ItemStatus::Interrupted
        | ItemStatus::Discarded
        | ItemStatus::Unknown(_) => "failed",
    }
}

/// The output as one text, with what was left out told in its place.
pub(crate) fn output_text(output: &CommandOutput) -> String {
    if output.omitted_bytes == 0 {
        return format!("{}{}", output.head, output.tail);
    }
    let line_end = if output.head.is_empty() || output.head.ends_with('\n') { "" } else { "\n" };
    format!("{}{line_end}[… {} bytes left out …]\n{}", output.head, output.omitted_bytes, output.tail)
}

impl From<Usage> for LineUsage {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            cache_write_input_tokens: usage.cache_write_input_tokens,
            output_tokens: usage.output_tokens,
            reasoning_output_tokens: usage.reasoning_output_tokens,
        }
    }
}

#[cfg(test)]
mod tests;

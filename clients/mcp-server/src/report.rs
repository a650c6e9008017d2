//! What a tool tells of a session: the same as data and as text.

use protocol::item::ItemBody;
use protocol::question::{Question, QuestionKind};
use protocol::review::Review;
use protocol::session::{SessionSnapshot, SessionStatus, SessionSummary};
use protocol::turn::{Turn, TurnOutcome};
use schemars::JsonSchema;
use serde::Serialize;
use view::{escape, reviews, words};

/// Letters of the last message that are told.
const MAX_MESSAGE: usize = 64 * 1024;
/// Letters of what is asked about.
const MAX_ASKED: usize = 4000;

/// A session as it is now.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Names the session in other calls.
    pub(crate) session_id: String,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// What it does.
    pub(crate) status: Status,
    /// The folder it works in.
    pub(crate) folder: String,
    /// The model.
    pub(crate) model: String,
    /// The turn that this is about, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) turn: Option<TurnReport>,
    /// What waits for an answer.
    pub(crate) questions: Vec<QuestionReport>,
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Status {
    /// Nothing.
    Idle,
    /// A turn runs.
    Running,
    /// A turn waits for an answer.
    Waiting,
    /// It was put away.
    Archived,
    /// Its log can't be read.
    Damaged,
    /// Something that this version does not know.
    Unknown,
}

/// A turn.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TurnReport {
    /// Its identity.
    pub(crate) turn_id: String,
    /// How it ended; absent while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outcome: Option<Outcome>,
    /// Why it ended so, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The last that the agent said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// What a review found, of a turn that was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) review: Option<Review>,
    /// How many commands were run.
    pub(crate) commands: usize,
    /// The files that patches changed.
    pub(crate) changed_files: Vec<String>,
    /// Tokens of input.
    pub(crate) input_tokens: u64,
    /// Tokens of output.
    pub(crate) output_tokens: u64,
    /// US dollars, where the price is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<f64>,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Outcome {
    /// The model had its last word.
    Completed,
    /// It could not go on.
    Failed,
    /// Somebody stopped it.
    Interrupted,
    /// A budget or a deadline ended it.
    LimitReached,
    /// In a way that this version does not know.
    Unknown,
}

/// A question.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuestionReport {
    /// Names it in `answer_question`.
    pub(crate) question_id: String,
    /// What is asked, and what about.
    pub(crate) text: String,
    /// Why it is asked.
    pub(crate) reason: String,
    /// What `answer_question` takes for it.
    pub(crate) answer: String,
}

/// Sessions.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionList {
    /// The newest first.
    pub(crate) sessions: Vec<Report>,
}

impl Report {
    /// Of a session in a list.
    pub(crate) fn of_summary(summary: &SessionSummary) -> Self {
        let status = match &summary.status {
            SessionStatus::Idle => Status::Idle,
            SessionStatus::Running { .. } => Status::Running,
            SessionStatus::Waiting { .. } => Status::Waiting,
            SessionStatus::Archived => Status::Archived,
            SessionStatus::Damaged { .. } => Status::Damaged,
            SessionStatus::Unknown(_) => Status::Unknown,
        };
        Self {
            session_id: summary.id.to_string(),
            title: summary.title.clone(),
            status,
            folder: summary.settings.cwd.to_string_lossy().into_owned(),
            model: summary.settings.model.clone(),
            turn: None,
            questions: Vec::new(),
        }
    }

    /// Of a session and one of its turns.
    pub(crate) fn of_snapshot(snapshot: &SessionSnapshot, turn: Option<&Turn>) -> Self {
        Self {
            turn: turn.map(turn_report),
            questions: snapshot.questions.iter().map(question_report).collect(),
            ..Self::of_summary(&snapshot.summary)
        }
    }

    /// For a reader of text.
    pub(crate) fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(turn) = &self.turn {
            // The message of a review that could be read is the same as data.
            match &turn.review {
                Some(review) => {
                    parts.extend(turn.message.clone().filter(|_| review.message.is_some()));
                    parts.push(escape::prose(&reviews::text(review)).into_owned());
                }
                None => parts.extend(turn.message.clone()),
            }
            parts.extend(turn.reason.clone());
            if turn.outcome.is_none() {
                parts.push("The turn has not ended.".to_owned());
            }
        }
        for question in &self.questions {
            let QuestionReport { question_id, text, reason, answer } = question;
            parts.push(format!("Question {question_id}: {text}\nWhy: {reason}\n{answer}"));
        }
        parts.push(format!("(session {}, {:?})", self.session_id, self.status).to_lowercase());
        parts.join("\n\n")
    }
}

fn turn_report(turn: &Turn) -> TurnReport {
    let mut changed_files = Vec::new();
    let (mut message, mut review, mut commands) = (None, None, 0);
    for item in &turn.items {
        match &item.body {
            ItemBody::AgentMessage(said) => {
                message = Some(escape::shortened(&said.text, MAX_MESSAGE).into_owned())
            }
            ItemBody::Command(_) => commands += 1,
            ItemBody::Review(found) => review = Some(found.clone()),
            ItemBody::FileChange(change) => {
                let paths = change.changes.iter().map(|file| file.path.to_string_lossy().into_owned());
                changed_files.extend(paths);
            }
            ItemBody::UserMessage(_)
            | ItemBody::Reasoning(_)
            | ItemBody::ToolCall(_)
            | ItemBody::Plan(_)
            | ItemBody::Notice(_)
            | ItemBody::WebSearch(_)
            | ItemBody::Compaction(_)
            | ItemBody::Agent(_)
            | ItemBody::Unknown(_) => {}
        }
    }
    changed_files.sort_unstable();
    changed_files.dedup();
    let outcome = turn.outcome.as_ref().map(|outcome| match outcome {
        TurnOutcome::Completed => Outcome::Completed,
        TurnOutcome::Failed { .. } => Outcome::Failed,
        TurnOutcome::Interrupted { .. } => Outcome::Interrupted,
        TurnOutcome::LimitReached { .. } => Outcome::LimitReached,
        TurnOutcome::Unknown(_) => Outcome::Unknown,
    });
    TurnReport {
        turn_id: turn.id.to_string(),
        outcome,
        reason: turn.outcome.as_ref().and_then(words::ending),
        message,
        review,
        commands,
        changed_files,
        input_tokens: turn.usage.input_tokens,
        output_tokens: turn.usage.output_tokens,
        cost: turn.cost,
    }
}

fn question_report(question: &Question) -> QuestionReport {
    let answer = match &question.kind {
        QuestionKind::UserInput { prompts } => {
            let ids: Vec<_> = prompts.iter().map(|prompt| format!("`{}`", prompt.id)).collect();
            format!("Answer with `answers`, by id: {}", ids.join(", "))
        }
        QuestionKind::Elicitation { schema, .. } => {
            format!("Answer with `content`, of this schema: {schema}")
        }
        QuestionKind::ClientTool { client, .. } => format!("`{}` answers it", client.name),
        QuestionKind::Command { .. }
        | QuestionKind::FileChange { .. }
        | QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::Tool { .. }
        | QuestionKind::Sampling { .. }
        | QuestionKind::Unknown(_) => "Answer with `decision`: allow or deny".to_owned(),
    };
    QuestionReport {
        question_id: question.id.to_string(),
        text: asked(&question.kind),
        reason: question.reason.clone(),
        answer,
    }
}

/// What is asked, and what about.
pub(crate) fn asked(kind: &QuestionKind) -> String {
    let shown = |text: &str| escape::short_line(text, MAX_ASKED);
    let about = match kind {
        QuestionKind::Command { command, cwd, justification, .. } => {
            let why = justification.as_deref().map(|why| format!(" (it says: {})", shown(why)));
            format!("`{}` in `{}`{}", shown(command), shown(&cwd.to_string_lossy()), why.unwrap_or_default())
        }
        QuestionKind::FileChange { patch } => {
            escape::prose(&escape::shortened(patch, MAX_ASKED)).into_owned()
        }
        QuestionKind::Network { host, port, .. } => format!("`{}`, port {port}", shown(host)),
        QuestionKind::Permissions { paths, hosts, justification } => {
            let paths = paths.iter().map(|rule| shown(&rule.path.to_string_lossy()));
            let all: Vec<_> = paths.chain(hosts.iter().map(|host| shown(host))).collect();
            let why = justification.as_deref().map(|why| format!(" (it says: {})", shown(why)));
            format!("{}{}", all.join(", "), why.unwrap_or_default())
        }
        QuestionKind::UserInput { prompts } => {
            let text = |prompt: &protocol::question::Prompt| {
                let labels: Vec<_> = prompt.options.iter().map(|option| shown(&option.label)).collect();
                let choices =
                    if labels.is_empty() { String::new() } else { format!(" [{}]", labels.join(" | ")) };
                format!("{}{choices}", shown(&prompt.text))
            };
            prompts.iter().map(text).collect::<Vec<_>>().join("; ")
        }
        QuestionKind::Tool { server, tool, arguments, .. } => {
            let of = server.as_deref().map(|server| format!("{}: ", shown(server))).unwrap_or_default();
            format!("{of}`{}` with {}", shown(tool), shown(arguments))
        }
        QuestionKind::Elicitation { server, message, .. } => format!("{}: {}", shown(server), shown(message)),
        QuestionKind::Sampling { server, prompt, .. } => {
            format!("{}\n{}", shown(server), escape::prose(&escape::shortened(prompt, MAX_ASKED)))
        }
        QuestionKind::ClientTool { client, tool, .. } => {
            format!("`{}` of {}", shown(tool), shown(&client.name))
        }
        QuestionKind::Unknown(_) => String::new(),
    };
    format!("{}: {about}", words::asked(kind))
}

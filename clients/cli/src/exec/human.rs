//! A turn as a person reads it: calm, in order, the answer on standard output and all else on standard error. The
//! words are those of `view`, but for answers: they are told as they are typed here, with a yes or a no.

use std::io;
use std::path::PathBuf;

use protocol::delta::Delta;
use protocol::event::{Event, TurnEnded};
use protocol::ids::{ItemId, TurnId};
use protocol::item::{
    Command, FileChange, Item, ItemBody, ItemStatus, Notice, NoticeLevel, OtherToolCall, Plan,
    PlanStepStatus, UserMessage,
};
use protocol::profile::SandboxMode;
use protocol::question::{Answer, Decision, GrantScope, Question};
use protocol::session::{SessionSettings, SessionSummary};
use protocol::turn::{InputPart, Turn};
use view::{escape, fold, reviews, words};

use crate::exec::json::output_text;
use crate::exec::outcome::Ending;
use crate::output::Output;
use crate::question::headline;
use crate::send::shown;
use crate::sessions;

/// Lines of output that are shown of one command.
const OUTPUT_LINES: usize = 8;
/// Lines of what a person said that are shown.
const SAID_LINES: usize = 40;
/// Lines of a diff that are shown of one file.
const DIFF_LINES: usize = 60;
/// Letters of a line of output that are shown.
const LINE_LETTERS: usize = 240;
/// A command that took longer says how long.
const LONG_MS: u64 = 1000;

/// Which turns are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Nothing,
    Turn(TurnId),
    All,
}

/// Shows one turn, or all of a session.
pub(crate) struct Human {
    output: Output,
    cwd: PathBuf,
    scope: Scope,
    /// The message that grows on the terminal, and how many bytes of it are shown.
    growing: Option<(ItemId, usize)>,
    /// The last message, where standard output is no terminal and gets the last one only.
    held: Option<String>,
    /// Whether it was said that nothing confines the commands.
    is_unconfined: bool,
}

impl Human {
    /// Shows nothing yet.
    pub(crate) fn new(output: Output) -> Self {
        let (cwd, scope) = (PathBuf::new(), Scope::Nothing);
        Self { output, cwd, scope, growing: None, held: None, is_unconfined: false }
    }

    /// Shows all turns of a session in this folder, what people say among it.
    pub(crate) fn of_session(output: Output, cwd: PathBuf) -> Self {
        Self { output, cwd, scope: Scope::All, growing: None, held: None, is_unconfined: false }
    }

    /// Says in red that nothing confines the session's commands, once that is so; and when it is over.
    pub(crate) fn confinement(&mut self, settings: &SessionSettings) -> io::Result<()> {
        let is_unconfined = sessions::is_unconfined(settings);
        if std::mem::replace(&mut self.is_unconfined, is_unconfined) == is_unconfined {
            return Ok(());
        }
        let mode = settings.sandbox.as_str();
        if !is_unconfined {
            return self.remark(&format!("{mode}: commands are confined from now on"));
        }
        let growing = self.growing;
        let text = format!("{mode}: nothing confines the commands of this session");
        self.aside(&self.output.err.red(text))?;
        self.growing = growing;
        Ok(())
    }

    /// Shows where the turn will run, and under which rules.
    pub(crate) fn session(&mut self, summary: &SessionSummary) -> io::Result<()> {
        let settings = &summary.settings;
        self.cwd.clone_from(&settings.cwd);
        let style = self.output.err;
        let mode = settings.sandbox.as_str();
        let sandbox = match &settings.permissions {
            Some(permissions) => format!("{} ({mode})", escape::line(&permissions.name)),
            None => mode.to_owned(),
        };
        let sandbox = match settings.sandbox {
            SandboxMode::DangerFullAccess => style.red(sandbox),
            SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => style.dim(sandbox),
        };
        let dot = style.dim(" · ");
        let model = escape::line(&settings.model);
        let folder = settings.cwd.to_string_lossy();
        let folder = style.dim(escape::line(&folder));
        self.output.aside(format_args!(
            "{}{dot}{}{dot}{sandbox}{dot}{folder}\n{}\n",
            style.bold("skein"),
            style.dim(model),
            style.dim(format!("session {}", summary.id)),
        ))
    }

    /// From now on this turn is shown.
    pub(crate) fn follow(&mut self, turn: TurnId) {
        self.scope = Scope::Turn(turn);
    }

    /// Shows what will be needed to come back.
    pub(crate) fn detached(&mut self, summary: &SessionSummary) -> io::Result<()> {
        let id = summary.id;
        self.output.line(id)?;
        self.output
            .note(self.output.err.dim(format!("the turn goes on; follow it with `skein logs {id} -f`")));
        Ok(())
    }

    /// Shows an event.
    pub(crate) fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::ItemStarted(changed) if self.is_ours(&changed.item) => self.started(&changed.item),
            Event::ItemAppended(appended) => {
                self.grow(appended.item_id, appended.offset_bytes, &appended.text)
            }
            Event::ItemCompleted(changed) if self.is_ours(&changed.item) => self.completed(&changed.item),
            Event::ModelRetried(retried) if self.shows(retried.turn_id) => {
                let text = words::retry(retried);
                self.aside(&self.output.err.yellow(escape::prose(&text)))
            }
            Event::QuestionAsked(asked)
                if self.scope == Scope::All && asked.question.kind.is_for_person() =>
            {
                self.question(&asked.question)
            }
            Event::QuestionAnswered(answered) if self.scope == Scope::All => self.answered(&answered.answer),
            Event::InputQueued(queued) if self.scope == Scope::All => {
                let by = escape::line(&queued.queued.actor.name).into_owned();
                self.remark(&format!("`{by}` put in the queue: {}", shown(&queued.queued.input)))
            }
            Event::QueuedInputChanged(changed) if self.scope == Scope::All => {
                let by = escape::line(&changed.actor.name).into_owned();
                self.remark(&match &changed.input {
                    Some(input) => format!("`{by}` changed what waits in the queue: {}", shown(input)),
                    None => format!("`{by}` put the queue in another order"),
                })
            }
            Event::QueuedInputCancelled(cancelled) if self.scope == Scope::All => {
                let by = escape::line(&cancelled.actor.name).into_owned();
                self.remark(&format!("`{by}` took something out of the queue"))
            }
            Event::SessionRewound(rewound) if self.scope == Scope::All => {
                let by = escape::line(&rewound.actor.name).into_owned();
                self.remark(&format!("{} by `{by}`", words::rewound(rewound)))
            }
            Event::BudgetWarned(warned) if self.shows(warned.turn_id) => {
                let message = escape::line(&warned.message).into_owned();
                self.remark(&message)
            }
            // Of one that was handed over, the line about the new daemon tells it.
            Event::TurnResumed(resumed) if self.shows(resumed.turn_id) && !resumed.was_handed_over => {
                self.remark("the daemon had died; the turn goes on from its last step")
            }
            Event::SessionUpdated(updated) if self.scope == Scope::All => self.confinement(&updated.settings),
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
            | Event::Unknown(_) => Ok(()),
        }
    }

    /// Shows a piece of what grows.
    pub(crate) fn delta(&mut self, delta: &Delta) -> io::Result<()> {
        self.grow(delta.item_id, delta.offset_bytes, &delta.text)
    }

    /// Shows how it ended. The last message goes to standard output if the turn was completed.
    pub(crate) fn ending(&mut self, ending: &Ending) -> io::Result<()> {
        self.break_line()?;
        if ending.is_completed()
            && let Some(message) = self.held.take()
        {
            self.output.line(escape::prose(message.trim_end()))?;
        }
        self.let_go()?;
        let style = self.output.err;
        match ending {
            Ending::Turn(ended) if ending.is_completed() => {
                self.output.aside(format_args!("\n{}", style.dim(words::spent(ended))))?;
            }
            Ending::Detached | Ending::OutputClosed => {}
            Ending::Error(error) => error.report(self.output),
            Ending::Turn(_) | Ending::Unanswered(_) | Ending::Signal(_) => {
                let verdict = ending.verdict();
                let message = escape::prose(&verdict.message).into_owned();
                self.output.aside(format_args!("\n{} {message}", style.red("error:")))?;
                if let Some(hint) = verdict.hint {
                    self.output.aside(format_args!("{} {}", style.cyan("hint:"), escape::prose(&hint)))?;
                }
                if let Ending::Turn(ended) = ending {
                    self.output.aside(style.dim(words::spent(ended)))?;
                }
            }
        }
        Ok(())
    }

    /// Shows a turn as far as it is.
    pub(crate) fn replay(&mut self, turn: &Turn) -> io::Result<()> {
        if turn.is_rewound {
            self.remark("this turn was taken back; the model does not see it")?;
        }
        for item in &turn.items {
            self.started(item)?;
            if item.status != ItemStatus::InProgress {
                self.completed(item)?;
            }
        }
        let Some(outcome) = turn.outcome.clone() else { return Ok(()) };
        let duration_ms = turn.ended_at.map_or(0, |at| at.since(turn.started_at));
        let ended = TurnEnded { turn_id: turn.id, outcome, usage: turn.usage, cost: turn.cost, duration_ms };
        self.ending(&Ending::Turn(Box::new(ended)))
    }

    /// Shows that somebody is asked.
    pub(crate) fn question(&mut self, question: &Question) -> io::Result<()> {
        let text = format!("{}: {}", headline(&question.kind), escape::line(&question.reason));
        self.aside(&self.output.err.yellow(text))?;
        let id = question.id;
        let answer = format!("answer with `skein questions answer {id} yes|no`");
        self.output.aside(format_args!("  {}", self.output.err.dim(answer)))
    }

    /// Shows who decided what.
    fn answered(&mut self, answer: &Answer) -> io::Result<()> {
        let decision = match &answer.decision {
            Decision::Allow { scope } => match scope {
                GrantScope::Once => "yes, this once".to_owned(),
                GrantScope::Turn => "yes, in this turn".to_owned(),
                GrantScope::Session => "yes, in this session".to_owned(),
                GrantScope::Always => "yes, always".to_owned(),
                GrantScope::Unknown(scope) => format!("yes ({})", escape::line(scope)),
            },
            Decision::Deny { message: None } => "no".to_owned(),
            Decision::Deny { message: Some(message) } => {
                format!("no: {}", escape::short_line(message, LINE_LETTERS))
            }
            Decision::Reply { answers } => {
                let answers: Vec<&str> = answers.values().flatten().map(String::as_str).collect();
                escape::short_line(&answers.join(", "), LINE_LETTERS)
            }
            Decision::Content { value } => escape::short_line(&value.to_string(), LINE_LETTERS),
            Decision::Unknown(_) => "something that this client does not know".to_owned(),
        };
        let by = escape::line(&answer.actor.name).into_owned();
        self.remark(&format!("`{by}` answered: {decision}"))
    }

    /// A word beside the turn: who came, what was queued.
    pub(crate) fn remark(&mut self, text: &str) -> io::Result<()> {
        let growing = self.growing;
        self.aside(&self.output.err.dim(format!("· {text}")))?;
        // A message that grows goes on below.
        self.growing = growing;
        Ok(())
    }

    fn shows(&self, turn: TurnId) -> bool {
        match self.scope {
            Scope::Nothing => false,
            Scope::Turn(ours) => ours == turn,
            Scope::All => true,
        }
    }

    fn is_ours(&self, item: &Item) -> bool {
        self.shows(item.turn_id)
    }

    fn started(&mut self, item: &Item) -> io::Result<()> {
        match &item.body {
            ItemBody::AgentMessage(message) if self.output.is_streamed => {
                self.break_line()?;
                self.growing = Some((item.id, 0));
                self.grow(item.id, 0, &message.text)
            }
            ItemBody::Command(command) => {
                let style = self.output.err;
                let line = escape::shortened(&command.command, 2000);
                let place = if command.is_escalated { " (outside the sandbox)" } else { "" };
                let (line, by) = (escape::prose(&line), style.dim(caller(item)));
                self.aside(&format!("{} {line}{}{by}", style.cyan("$"), style.yellow(place)))
            }
            ItemBody::UserMessage(_)
            | ItemBody::AgentMessage(_)
            | ItemBody::Reasoning(_)
            | ItemBody::FileChange(_)
            | ItemBody::ToolCall(_)
            | ItemBody::Plan(_)
            | ItemBody::Notice(_)
            | ItemBody::WebSearch(_)
            | ItemBody::Compaction(_)
            | ItemBody::Agent(_)
            | ItemBody::Review(_)
            | ItemBody::Unknown(_) => Ok(()),
        }
    }

    fn completed(&mut self, item: &Item) -> io::Result<()> {
        let style = self.output.err;
        match &item.body {
            ItemBody::AgentMessage(message) => self.message(item, &message.text),
            ItemBody::Reasoning(reasoning) if !reasoning.summary.trim().is_empty() => {
                self.aside(&style.dim(escape::prose(reasoning.summary.trim())))
            }
            ItemBody::Command(command) => self.command(item, command),
            ItemBody::FileChange(change) => self.change(item, change),
            ItemBody::ToolCall(call) => self.tool(item, call),
            ItemBody::Plan(plan) => self.plan(plan),
            ItemBody::Notice(Notice { level, text, .. }) => {
                let text = escape::prose(text);
                self.aside(&match level {
                    NoticeLevel::Information => style.dim(text),
                    NoticeLevel::Warning | NoticeLevel::Unknown(_) => {
                        style.yellow(format!("warning: {text}"))
                    }
                })
            }
            ItemBody::WebSearch(search) if item.status != ItemStatus::Discarded => {
                self.aside(&style.dim(escape::prose(&words::web_search(search))))
            }
            ItemBody::Agent(report) => self.aside(&style.dim(escape::prose(&words::agent(report)))),
            ItemBody::Review(review) => self.aside(&escape::prose(reviews::text(review).trim_end())),
            ItemBody::Compaction(compaction) if item.status != ItemStatus::Discarded => {
                self.aside(&style.dim(escape::prose(&words::compaction(compaction, &item.status))))
            }
            ItemBody::UserMessage(said) if said.is_steer || self.scope == Scope::All => self.said(said),
            ItemBody::UserMessage(_)
            | ItemBody::Reasoning(_)
            | ItemBody::WebSearch(_)
            | ItemBody::Compaction(_)
            | ItemBody::Unknown(_) => Ok(()),
        }
    }

    fn said(&mut self, said: &UserMessage) -> io::Result<()> {
        let style = self.output.err;
        let mut text = String::new();
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
        for line in folded(&text, SAID_LINES) {
            self.aside(&style.bold(format!("> {line}")))?;
        }
        self.aside(&style.dim(format!("  {}", escape::line(&said.actor.name))))
    }

    fn message(&mut self, item: &Item, text: &str) -> io::Result<()> {
        if item.status == ItemStatus::Discarded {
            if self.growing.take().is_some() {
                self.output.write("\n")?;
                self.output.aside(self.output.err.yellow("(the answer broke off here and starts again)"))?;
            }
            return Ok(());
        }
        if self.output.is_streamed {
            if self.growing.is_none_or(|(id, _)| id != item.id) {
                self.break_line()?;
                self.growing = Some((item.id, 0));
            }
            self.grow(item.id, 0, text)?;
            return self.break_line();
        }
        self.let_go()?;
        self.held = Some(text.to_owned()).filter(|text| !text.trim().is_empty());
        Ok(())
    }

    /// Shows what is new of a text that grows. What comes after a gap waits for the complete item.
    fn grow(&mut self, id: ItemId, offset_bytes: u64, text: &str) -> io::Result<()> {
        let Some((growing, shown)) = &mut self.growing else { return Ok(()) };
        let known = usize::try_from(offset_bytes).ok().and_then(|offset| shown.checked_sub(offset));
        let Some(new) = known.and_then(|known| text.get(known..)) else { return Ok(()) };
        if *growing != id || new.is_empty() {
            return Ok(());
        }
        *shown += new.len();
        self.output.write(&escape::prose(new))
    }

    fn command(&mut self, item: &Item, command: &Command) -> io::Result<()> {
        let style = self.output.err;
        let mut lines = Vec::new();
        let mut end = Vec::new();
        match &command.outcome {
            Some(outcome) => {
                lines.extend(folded(&output_text(&outcome.output), OUTPUT_LINES));
                // What the sandbox stopped, and what came of it.
                if let Some(message) = &command.message {
                    lines.extend(folded(message, OUTPUT_LINES));
                }
                end.extend(words::exit(&outcome.exit));
                if outcome.duration_ms > LONG_MS {
                    end.push(words::span(outcome.duration_ms));
                }
            }
            None => {
                if let Some(message) = &command.message {
                    lines.extend(folded(message, OUTPUT_LINES));
                }
                match item.status {
                    ItemStatus::Declined => end.push("declined".to_owned()),
                    ItemStatus::Interrupted => end.push("interrupted".to_owned()),
                    ItemStatus::InProgress
                    | ItemStatus::Completed
                    | ItemStatus::Failed
                    | ItemStatus::Discarded
                    | ItemStatus::Unknown(_) => {}
                }
            }
        }
        for line in lines {
            self.output.aside(format_args!("  {}", style.dim(line)))?;
        }
        if !end.is_empty() {
            let end = end.join(", ");
            let is_bad = item.status != ItemStatus::Completed;
            self.output.aside(format_args!("  {}", if is_bad { style.red(end) } else { style.dim(end) }))?;
        }
        Ok(())
    }

    fn change(&mut self, item: &Item, change: &FileChange) -> io::Result<()> {
        let style = self.output.err;
        if item.status != ItemStatus::Completed {
            let message = change.message.as_deref().unwrap_or("The files were not changed");
            self.aside(&style.red("patch not applied"))?;
            for line in folded(message, OUTPUT_LINES) {
                self.output.aside(format_args!("  {}", style.dim(line)))?;
            }
            return Ok(());
        }
        for file in &change.changes {
            self.aside(&style.bold(words::changed(file, &self.cwd)))?;
            let mut lines = file.diff.lines().filter(|line| !is_file_header(line));
            for line in lines.by_ref().take(DIFF_LINES) {
                let shown = cut(line);
                self.output.aside(format_args!(
                    "  {}",
                    match line.as_bytes().first() {
                        Some(b'+') => style.green(shown),
                        Some(b'-') => style.red(shown),
                        Some(b'@') => style.cyan(shown),
                        _ => shown.into(),
                    }
                ))?;
            }
            let more = lines.count();
            if more > 0 {
                self.output.aside(format_args!("  {}", style.dim(format!("… {more} lines more"))))?;
            }
        }
        Ok(())
    }

    fn tool(&mut self, item: &Item, call: &OtherToolCall) -> io::Result<()> {
        let style = self.output.err;
        let name = escape::line(&call.call.name).into_owned();
        self.aside(&format!("{}{}", style.cyan(format!("tool {name}")), style.dim(caller(item))))?;
        if item.status != ItemStatus::Completed {
            for line in folded(call.output.as_deref().unwrap_or("failed"), OUTPUT_LINES) {
                self.output.aside(format_args!("  {}", style.red(line)))?;
            }
        }
        Ok(())
    }

    fn plan(&mut self, plan: &Plan) -> io::Result<()> {
        let style = self.output.err;
        self.aside(&style.cyan("plan"))?;
        for step in &plan.steps {
            let text = escape::line(&step.text);
            let line = match step.status {
                PlanStepStatus::Completed => style.dim(format!("[x] {text}")),
                PlanStepStatus::InProgress => style.bold(format!("[>] {text}")),
                PlanStepStatus::Pending | PlanStepStatus::Unknown(_) => style.dim(format!("[ ] {text}")),
            };
            self.output.aside(format_args!("  {line}"))?;
        }
        Ok(())
    }

    /// A line on standard error, after what was under way is finished.
    fn aside(&mut self, text: &str) -> io::Result<()> {
        self.break_line()?;
        self.let_go()?;
        self.output.aside(text)
    }

    /// Ends the line of a message that grows.
    fn break_line(&mut self) -> io::Result<()> {
        match self.growing.take() {
            Some((_, shown)) if shown > 0 => self.output.write("\n"),
            Some(_) | None => Ok(()),
        }
    }

    /// A held message was not the last one: it goes where the progress goes.
    fn let_go(&mut self) -> io::Result<()> {
        match self.held.take() {
            Some(message) => self.output.aside(escape::prose(message.trim_end())),
            None => Ok(()),
        }
    }
}

/// The head and the tail of a text, line by line, made harmless.
pub(crate) fn folded(text: &str, most: usize) -> Vec<String> {
    let head = most / 2;
    let folded = fold::lines(text, head, most - head - 1);
    let mut shown: Vec<String> = folded.head.into_iter().map(cut).collect();
    if folded.left_out > 0 {
        shown.push(format!("… {} lines …", folded.left_out));
    }
    shown.extend(folded.tail.into_iter().map(cut));
    shown
}

fn cut(line: &str) -> String {
    let line = escape::shortened(line, LINE_LETTERS);
    escape::prose(&line).into_owned()
}

/// That it was not the model that called, where it was not.
fn caller(item: &Item) -> &'static str {
    if item.called_by.is_some() { " (called by code)" } else { "" }
}

fn is_file_header(line: &str) -> bool {
    line.starts_with("--- ") || line.starts_with("+++ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_output_is_folded_and_harmless() {
        assert_eq!(folded("a\nb\n", 4), ["a", "b"]);
        assert_eq!(folded("1\n2\n3\n4\n5\n6\n", 4), ["1", "2", "… 3 lines …", "6"]);
        assert_eq!(folded("\u{1b}[2J", 4), ["\\e[2J"]);
    }
}

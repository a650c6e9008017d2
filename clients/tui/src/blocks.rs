//! Blocks as lines. Our own marks stand in the first column; what comes from models, commands and files begins in
//! the third, and is harmless. Knows nothing of when a block is shown.

use std::path::Path;

use protocol::agent::AgentStatus;
use protocol::item::{
    ChangedFile, Command, FileChange, Item, ItemBody, ItemStatus, Notice, NoticeLevel, OtherToolCall, Plan,
    PlanStepStatus, Reasoning, UserMessage,
};
use protocol::question::{Answer, Decision};
use protocol::review::{Review, ReviewSeverity};
use protocol::turn::{InputPart, TurnOutcome};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use view::{Block, BlockBody, Joint, Message, MessageEnd, escape, fold, reviews, words};

use crate::blocks::calls::Asked;
use crate::diff::{self, DiffLine};
use crate::highlight::Syntaxes;
use crate::markdown;
use crate::theme::Theme;
use crate::wrap::{Break, wrap};

mod calls;

/// Lines of output that are shown of a command: of its head, of its tail, and while it runs.
const OUTPUT_HEAD: usize = 4;
const OUTPUT_TAIL: usize = 4;
const OUTPUT_LIVE: usize = 5;
/// Lines that are shown of what a person said, of a command, and of a file's diff.
const SAID_LINES: usize = 40;
const QUESTION_LINES: usize = 10;
const COMMAND_LINES: usize = 10;
const DIFF_LINES: usize = 40;
/// Lines of reasoning that are shown: it is folded.
const THOUGHT_LINES: usize = 2;
/// Letters of a line of output that are shown.
const LINE_LETTERS: usize = 400;
/// Letters that are shown of what a tool was called with, and of what could be chosen.
const INPUT_LETTERS: usize = 120;
const OPTIONS_LETTERS: usize = 200;
/// Marks a call that a tool made, as code in `js_repl` does.
const BY_CODE: &str = "  by code";
/// A command that took longer says how long.
const LONG_MS: u64 = 1000;

/// What blocks are drawn with.
#[derive(Clone, Copy)]
pub(crate) struct Pen<'a> {
    pub(crate) theme: &'a Theme,
    pub(crate) width: u16,
    pub(crate) detail: Detail,
    pub(crate) syntaxes: &'a Syntaxes,
    /// The session's folder, to which paths are relative.
    pub(crate) cwd: &'a Path,
}

/// How much of long things is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Head and tail, and how much lies between.
    Folded,
    /// All that is known.
    Full,
}

impl Detail {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Folded => Self::Full,
            Self::Full => Self::Folded,
        }
    }
}

impl Pen<'_> {
    /// So many lines, or all of them.
    fn most(&self, folded: usize) -> usize {
        match self.detail {
            Detail::Folded => folded,
            Detail::Full => usize::MAX / 4,
        }
    }

    fn fold<'t>(&self, text: &'t str, head: usize, tail: usize) -> fold::Folded<'t> {
        fold::lines(text, self.most(head), self.most(tail))
    }

    /// A block, with the blank line before it; nothing if there is nothing to show.
    pub(crate) fn block(&self, block: &Block) -> Vec<Line<'static>> {
        let theme = self.theme;
        let mut lines = match &block.body {
            BlockBody::Earlier { turns } => {
                let turns =
                    if *turns == 1 { "1 earlier turn is" } else { &format!("{turns} earlier turns are") };
                self.text("·", theme.dim, theme.dim, &format!("{turns} not shown"))
            }
            BlockBody::Item(item) => self.item_marked(item, block.answer.as_ref()),
            BlockBody::Message(message) => return self.message(message, None),
            BlockBody::Retried(retried) => {
                self.text("!", theme.warning, theme.warning, &words::retry(retried))
            }
            BlockBody::Warned(warned) => self.text("!", theme.warning, theme.warning, &warned.message),
            BlockBody::Updated { actor, changes } => {
                let changes: Vec<String> =
                    changes.iter().map(|change| format!("{}: {}", change.what, change.to)).collect();
                let text = format!("{} · by {}", changes.join(" · "), actor.name);
                self.text("·", theme.dim, theme.dim, &text)
            }
            BlockBody::Suspended => {
                self.text("·", theme.dim, theme.dim, "the daemon stops; the turn goes on with the next one")
            }
            BlockBody::Resumed { was_handed_over: true } => {
                self.text("·", theme.dim, theme.dim, "the turn goes on")
            }
            BlockBody::Resumed { was_handed_over: false } => self.text(
                "·",
                theme.dim,
                theme.dim,
                "the daemon had died; the turn goes on from its last step",
            ),
            BlockBody::Ended(ended) => {
                let mut lines = Vec::new();
                if let Some(text) = words::ending(&ended.outcome) {
                    let style = match ended.outcome {
                        TurnOutcome::Completed | TurnOutcome::Interrupted { .. } => theme.warning,
                        TurnOutcome::Failed { .. }
                        | TurnOutcome::LimitReached { .. }
                        | TurnOutcome::Unknown(_) => theme.bad,
                    };
                    lines.extend(self.text("!", style, style, &text));
                }
                if let Some(hint) = words::ending_hint(&ended.outcome) {
                    lines.extend(self.text(" ", theme.dim, theme.text, &hint));
                }
                lines.extend(self.text(" ", theme.dim, theme.dim, &words::spent(ended)));
                lines
            }
        };
        if let Some(answer) = &block.answer {
            lines.extend(self.answer(answer, &block.body));
        }
        if !lines.is_empty() {
            lines.insert(0, Line::default());
        }
        lines
    }

    /// The same below a row that was held back, which is taken in where the block goes on in it.
    pub(crate) fn block_after(&self, row: Option<Line<'static>>, block: &Block) -> Vec<Line<'static>> {
        match (row, &block.body) {
            (Some(row), BlockBody::Message(message)) if message.joint == Joint::Word => {
                self.message(message, Some(row))
            }
            (row, _) => row.into_iter().chain(self.block(block)).collect(),
        }
    }

    /// Lines of text behind a mark; harmless.
    pub(crate) fn text(
        &self,
        mark: &'static str,
        of_mark: Style,
        style: Style,
        text: &str,
    ) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        for line in escape::prose(text).trim_end().lines() {
            let first = if lines.is_empty() { mark } else { " " };
            lines.extend(self.line(first, of_mark, &[Span::styled(line.to_owned(), style)], Break::Words));
        }
        lines
    }

    fn line(&self, mark: &'static str, style: Style, spans: &[Span<'_>], at: Break) -> Vec<Line<'static>> {
        let first = [Span::styled(mark, style), Span::raw(" ")];
        wrap(spans, self.width, &first, &[Span::raw("  ")], at)
    }

    /// A line of output or of a diff. Of a line that was written over, as progress bars are, the last is shown.
    fn output(&self, line: &str, style: Style) -> Vec<Line<'static>> {
        let line = line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default();
        let line = escape::shortened(line, LINE_LETTERS);
        let line = escape::prose(&line).into_owned();
        self.line(" ", style, &[Span::styled(line, style)], Break::Letters)
    }

    fn folded(&self, folded: &fold::Folded<'_>, style: Style) -> Vec<Line<'static>> {
        let mut lines: Vec<_> = folded.head.iter().flat_map(|line| self.output(line, style)).collect();
        if folded.left_out > 0 {
            lines.extend(self.output(&format!("… {} lines …", folded.left_out), self.theme.dim));
        }
        lines.extend(folded.tail.iter().flat_map(|line| self.output(line, style)));
        lines
    }

    /// So many lines of a text, or all of them.
    fn folded_text(&self, text: &str, most: usize) -> String {
        let folded = self.fold(text, most / 2, most / 2);
        let mut shown: Vec<String> = folded.head.iter().map(|line| (*line).to_owned()).collect();
        if folded.left_out > 0 {
            shown.push(format!("… {} lines …", folded.left_out));
        }
        shown.extend(folded.tail.iter().map(|line| (*line).to_owned()));
        shown.join("\n")
    }

    fn message(&self, message: &Message, row: Option<Line<'static>>) -> Vec<Line<'static>> {
        let text = match &message.fence {
            Some(fence) => &format!("{fence}\n{}", message.text),
            None => &message.text,
        };
        let is_first = message.from_bytes == 0;
        // The row begins with its mark.
        let mut row = row.map(|row| row.spans).unwrap_or_default().into_iter();
        let mut mark = match row.next() {
            Some(mark) => mark,
            None if is_first => Span::styled("• ", self.theme.accent),
            None => Span::raw("  "),
        };
        let width = self.width.saturating_sub(2);
        let rendered = markdown::lines_after(row.collect(), text, width, self.theme, self.syntaxes);
        let mut lines = Vec::with_capacity(rendered.len() + 1);
        if !rendered.is_empty() && message.joint == Joint::Apart {
            lines.push(Line::default());
        }
        for mut line in rendered {
            line.spans.insert(0, std::mem::replace(&mut mark, Span::raw("  ")));
            lines.push(line);
        }
        if message.end == MessageEnd::BrokenOff && !(is_first && message.text.is_empty()) {
            let text = "the answer broke off here and starts again";
            lines.extend(self.text("!", self.theme.warning, self.theme.warning, text));
        }
        lines
    }

    /// An item, with who called it if that was not the model.
    fn item_marked(&self, item: &Item, answer: Option<&Answer>) -> Vec<Line<'static>> {
        let mut lines = self.item(item, answer);
        if item.called_by.is_some()
            && let Some(first) = lines.first_mut()
        {
            if first.width() + BY_CODE.len() <= usize::from(self.width) {
                first.spans.push(Span::styled(BY_CODE, self.theme.dim));
            } else {
                let mark = self.text(" ", self.theme.dim, self.theme.dim, BY_CODE.trim_start());
                lines.splice(1..1, mark);
            }
        }
        lines
    }

    fn item(&self, item: &Item, answer: Option<&Answer>) -> Vec<Line<'static>> {
        let theme = self.theme;
        match &item.body {
            ItemBody::UserMessage(said) => self.said(said),
            ItemBody::AgentMessage(message) => {
                markdown::lines(&message.text, self.width.saturating_sub(2), theme, self.syntaxes)
            }
            ItemBody::Reasoning(reasoning) => self.reasoning(item, reasoning),
            ItemBody::Command(command) => self.command(item, command, answer),
            ItemBody::FileChange(change) => self.change(item, change),
            ItemBody::ToolCall(call) => self.tool(item, call),
            ItemBody::Plan(plan) => self.plan(item, plan),
            ItemBody::Notice(Notice { level, text, .. }) => match level {
                NoticeLevel::Information => self.text("·", theme.dim, theme.dim, text),
                NoticeLevel::Warning | NoticeLevel::Unknown(_) => {
                    self.text("!", theme.warning, theme.warning, text)
                }
            },
            ItemBody::WebSearch(search) => {
                let mut lines = self.text("·", theme.dim, theme.dim, &words::web_search(search));
                if self.detail == Detail::Full {
                    let sources: Vec<_> = search.sources.iter().map(words::web_source).collect();
                    lines.extend(self.text(" ", theme.dim, theme.dim, &sources.join("\n")));
                }
                lines
            }
            ItemBody::Compaction(compaction) => {
                let mut lines =
                    self.text("·", theme.dim, theme.dim, &words::compaction(compaction, &item.status));
                if self.detail == Detail::Full {
                    lines.extend(self.text(" ", theme.dim, theme.dim, &compaction.summary));
                }
                lines
            }
            ItemBody::Agent(report) if report.status == AgentStatus::Waiting => {
                let mut lines = self.text("!", theme.warning, theme.warning, &words::agent(report));
                lines.extend(self.text(" ", theme.dim, theme.text, "/agents goes there, to answer"));
                lines
            }
            ItemBody::Agent(report) => self.text("·", theme.dim, theme.dim, &words::agent(report)),
            ItemBody::Review(review) => self.review(review),
            ItemBody::Unknown(_) => {
                self.text("·", theme.dim, theme.dim, "something that this client does not know how to show")
            }
        }
    }

    fn said(&self, said: &UserMessage) -> Vec<Line<'static>> {
        let theme = self.theme;
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
        let mut lines = self.text("›", theme.accent, theme.user, &self.folded_text(&text, SAID_LINES));
        if said.is_steer {
            lines.extend(self.text(" ", theme.dim, theme.dim, "said into the running turn"));
        }
        lines
    }

    /// Folded to its beginning; while it grows, to its end.
    fn reasoning(&self, item: &Item, reasoning: &Reasoning) -> Vec<Line<'static>> {
        let theme = self.theme;
        let summary = reasoning.summary.replace("**", "");
        let summary: Vec<&str> = summary.lines().filter(|line| !line.trim().is_empty()).collect();
        let is_growing = item.status == ItemStatus::InProgress;
        if summary.is_empty() {
            let is_shown = is_growing.then(|| self.text("∴", theme.dim, theme.dim, "thinking"));
            return is_shown.unwrap_or_default();
        }
        let left_out = summary.len().saturating_sub(self.most(THOUGHT_LINES));
        let shown = if is_growing { &summary[left_out..] } else { &summary[..summary.len() - left_out] };
        let mut text = shown.join("\n");
        if left_out > 0 && !is_growing {
            text.push_str(&format!("\n… {left_out} lines more"));
        }
        self.text("∴", theme.dim, theme.dim, &text)
    }

    fn command(&self, item: &Item, command: &Command, answer: Option<&Answer>) -> Vec<Line<'static>> {
        let theme = self.theme;
        let folded = self.fold(&command.command, COMMAND_LINES / 2, COMMAND_LINES / 2);
        let mut lines = Vec::new();
        for line in folded.head {
            let mark = if lines.is_empty() { "$" } else { " " };
            let line = escape::prose(&escape::shortened(line, 2000)).into_owned();
            lines.extend(self.line(mark, theme.accent, &[Span::styled(line, theme.strong)], Break::Letters));
        }
        if folded.left_out > 0 {
            lines.extend(self.output(&format!("… {} lines …", folded.left_out), theme.dim));
        }
        lines.extend(folded.tail.iter().flat_map(|line| self.output(line, theme.strong)));
        if command.is_escalated {
            lines.extend(self.text(" ", theme.warning, theme.warning, "outside the sandbox"));
        }
        let mut end = Vec::new();
        match &command.outcome {
            Some(outcome) => {
                let output = &outcome.output;
                if output.omitted_bytes > 0 {
                    let head = output.head.trim_end().lines().take(self.most(OUTPUT_HEAD));
                    lines.extend(head.flat_map(|line| self.output(line, theme.dim)));
                    let bytes = words::thousands(output.total_bytes);
                    let hint = if output.blob.is_some() { " · /output shows all" } else { "" };
                    lines.extend(self.output(&format!("… of {bytes} bytes …{hint}"), theme.dim));
                    let tail = fold::tail(&output.tail, self.most(OUTPUT_TAIL));
                    lines.extend(tail.iter().flat_map(|line| self.output(line, theme.dim)));
                } else {
                    let all = self.fold(&output.head, OUTPUT_HEAD, OUTPUT_TAIL);
                    lines.extend(self.folded(&all, theme.dim));
                }
                // What the sandbox stopped, and what came of it.
                if let Some(message) = &command.message {
                    lines.extend(self.folded(&self.fold(message, OUTPUT_HEAD, OUTPUT_TAIL), theme.dim));
                }
                end.extend(words::exit(&outcome.exit));
                if outcome.duration_ms > LONG_MS {
                    end.push(words::span(outcome.duration_ms));
                }
            }
            None if item.status == ItemStatus::InProgress => {
                let tail = fold::tail(&command.output_so_far, self.most(OUTPUT_LIVE));
                lines.extend(tail.iter().flat_map(|line| self.output(line, theme.dim)));
            }
            // Who declined it, and in which words, stands below.
            None if item.status == ItemStatus::Declined && answer.is_some() => {}
            None => {
                let message = command.message.as_deref().unwrap_or_default();
                lines.extend(self.folded(&self.fold(message, OUTPUT_HEAD, OUTPUT_TAIL), theme.dim));
                end.extend(status_text(&item.status).map(str::to_owned));
            }
        }
        if !end.is_empty() {
            let is_well = matches!(item.status, ItemStatus::Completed | ItemStatus::InProgress);
            let style = if is_well { theme.dim } else { theme.bad };
            lines.extend(self.text(" ", style, style, &end.join(", ")));
        }
        lines
    }

    fn change(&self, item: &Item, change: &FileChange) -> Vec<Line<'static>> {
        let theme = self.theme;
        if item.status == ItemStatus::InProgress {
            return self.text("±", theme.accent, theme.strong, "changing files");
        }
        if item.status != ItemStatus::Completed {
            let mut lines = self.text("±", theme.bad, theme.bad, "patch not applied");
            let message = change.message.as_deref().unwrap_or("The files were not changed");
            lines.extend(self.folded(&self.fold(message, OUTPUT_HEAD, OUTPUT_TAIL), theme.dim));
            return lines;
        }
        change.changes.iter().flat_map(|file| self.file(file)).collect()
    }

    fn file(&self, file: &ChangedFile) -> Vec<Line<'static>> {
        let theme = self.theme;
        let diff = diff::lines(&file.diff);
        let count = |sign| diff.iter().filter(|line| line.text.starts_with(sign)).count();
        let headline = [
            Span::styled(words::changed(file, self.cwd), theme.strong),
            Span::styled(format!("  +{}", count('+')), theme.good),
            Span::styled(format!(" -{}", count('-')), theme.bad),
        ];
        let mut lines = self.line("±", theme.accent, &headline, Break::Letters);
        let shown = &diff[..diff.len().min(self.most(DIFF_LINES))];
        let column =
            shown.iter().filter_map(|line| line.number).max().map_or(0, |most| most.to_string().len());
        for line in shown {
            lines.extend(self.diff_line(line, column));
        }
        let more = diff.len() - shown.len();
        if more > 0 {
            lines.extend(self.output(&format!("… {more} lines more"), theme.dim));
        }
        lines
    }

    /// A line of a diff behind its number. The number is ours, so it stands where we write.
    fn diff_line(&self, line: &DiffLine<'_>, column: usize) -> Vec<Line<'static>> {
        let number = line.number.map(|number| number.to_string()).unwrap_or_default();
        let style = diff::style(line.text, self.theme);
        let text = escape::prose(&escape::shortened(line.text, LINE_LETTERS)).into_owned();
        let first = [Span::styled(format!("  {number:>column$} "), self.theme.dim)];
        let rest = [Span::raw(" ".repeat(column + 3))];
        wrap(&[Span::styled(text, style)], self.width, &first, &rest, Break::Letters)
    }

    fn tool(&self, item: &Item, call: &OtherToolCall) -> Vec<Line<'static>> {
        let theme = self.theme;
        let questions = calls::questions(call);
        let input = match (&questions, self.detail) {
            (Some(questions), _) => match questions.len() {
                1 => "1 question".to_owned(),
                count => format!("{count} questions"),
            },
            (None, Detail::Folded) => calls::looks_at(call, self.cwd)
                .map(|words| escape::short_line(&words, INPUT_LETTERS))
                .unwrap_or_else(|| escape::short_line(call.call.input.text(), INPUT_LETTERS)),
            (None, Detail::Full) => escape::short_line(call.call.input.text(), INPUT_LETTERS),
        };
        let headline = [
            Span::styled(escape::short_line(&call.call.name, 80), theme.strong),
            Span::styled(format!("  {input}"), theme.dim),
        ];
        let mut lines = self.line("⚙", theme.accent, &headline, Break::Letters);
        // While it is asked, it stands in the dialog.
        if item.status != ItemStatus::InProgress {
            lines.extend(questions.iter().flatten().flat_map(|asked| self.asked(asked)));
        }
        if !matches!(item.status, ItemStatus::Completed | ItemStatus::InProgress) {
            let output = call.output.as_deref().unwrap_or("failed");
            lines.extend(self.folded(&self.fold(output, OUTPUT_HEAD, OUTPUT_TAIL), theme.bad));
        } else if self.detail == Detail::Full && questions.is_none() {
            let output = call.output.as_deref().unwrap_or_default();
            lines.extend(self.folded(&self.fold(output, OUTPUT_HEAD, OUTPUT_TAIL), theme.dim));
        }
        lines
    }

    /// What a person was asked, and said. The answer has the mark of what people say, which no question can have.
    fn asked(&self, asked: &Asked) -> Vec<Line<'static>> {
        let theme = self.theme;
        let text = format!("{}: {}", asked.header, asked.text);
        let mut lines = self.text(" ", theme.dim, theme.text, &self.folded_text(&text, QUESTION_LINES));
        match self.detail {
            Detail::Folded => {
                let labels: Vec<&str> = asked.options.iter().map(|option| &*option.label).collect();
                let labels = escape::short_line(&labels.join(" · "), OPTIONS_LETTERS);
                lines.extend(self.text(" ", theme.dim, theme.dim, &labels));
            }
            Detail::Full => {
                for option in &asked.options {
                    let text = format!("- {}  {}", option.label, option.description);
                    lines.extend(self.text(" ", theme.dim, theme.dim, &text));
                }
            }
        }
        let said = self.folded_text(&asked.answers.join(", "), SAID_LINES);
        lines.extend(self.text("›", theme.accent, theme.user, &said));
        lines
    }

    /// A check list. Of one that was not taken, why.
    fn plan(&self, item: &Item, plan: &Plan) -> Vec<Line<'static>> {
        let theme = self.theme;
        let title = plan.explanation.as_deref().filter(|text| !text.trim().is_empty()).unwrap_or("the plan");
        let mut lines = self.text("≡", theme.accent, theme.strong, title);
        for step in &plan.steps {
            let (mark, of_mark, of_text) = match &step.status {
                PlanStepStatus::Completed => ("[x] ", theme.good, theme.dim),
                PlanStepStatus::InProgress => ("[>] ", theme.accent, theme.strong),
                PlanStepStatus::Pending | PlanStepStatus::Unknown(_) => ("[ ] ", theme.dim, theme.text),
            };
            let first = [Span::raw("  "), Span::styled(mark, of_mark)];
            let text = Span::styled(escape::line(&step.text).into_owned(), of_text);
            lines.extend(wrap(&[text], self.width, &first, &[Span::raw("      ")], Break::Words));
        }
        if !matches!(item.status, ItemStatus::Completed | ItemStatus::InProgress) {
            let message = plan.message.as_deref().unwrap_or("The plan was not taken");
            lines.extend(self.text(" ", theme.bad, theme.bad, message));
        }
        lines
    }

    fn review(&self, review: &Review) -> Vec<Line<'static>> {
        let theme = self.theme;
        let mut lines = self.text("◆", theme.accent, theme.strong, &reviews::head(review));
        for finding in &review.findings {
            let severity = match &finding.severity {
                ReviewSeverity::Critical | ReviewSeverity::High => theme.bad,
                ReviewSeverity::Medium | ReviewSeverity::Unknown(_) => theme.warning,
                ReviewSeverity::Low => theme.dim,
            };
            let spans = [
                Span::styled(escape::line(&finding.place()).into_owned(), theme.link),
                Span::styled(format!("  {}  ", escape::line(finding.severity.name())), severity),
                Span::styled(escape::line(&finding.title).into_owned(), theme.strong),
            ];
            lines.extend(self.line(" ", theme.dim, &spans, Break::Words));
            lines.extend(self.text(" ", theme.dim, theme.text, &finding.text));
        }
        lines.extend(self.text(" ", theme.dim, theme.dim, &review.summary));
        if let Some(message) = &review.message {
            lines.extend(self.text("!", theme.warning, theme.warning, message));
        }
        lines
    }

    fn answer(&self, answer: &Answer, body: &BlockBody) -> Vec<Line<'static>> {
        let theme = self.theme;
        let (style, message) = match &answer.decision {
            Decision::Allow { .. } => (theme.dim, None),
            // They stand with their questions.
            Decision::Reply { .. } if is_told(body) => (theme.dim, None),
            Decision::Reply { answers } => {
                let given: Vec<&str> = answers.values().flatten().map(String::as_str).collect();
                (theme.dim, Some(given.join(", ")))
            }
            Decision::Content { value } => {
                (theme.dim, Some(escape::shortened(&value.to_string(), 200).into_owned()))
            }
            Decision::Deny { message } => (theme.warning, message.clone()),
            Decision::Unknown(_) => (theme.warning, None),
        };
        let message = message.map(|message| format!(": {message}")).unwrap_or_default();
        let text = format!("{} by {}{message}", words::decided(&answer.decision), answer.actor.name);
        self.text(" ", style, style, &text)
    }
}

/// Whether what a person answered is shown with what was asked.
fn is_told(body: &BlockBody) -> bool {
    match body {
        BlockBody::Item(item) => matches!(&item.body, ItemBody::ToolCall(call)
            if calls::questions(call).is_some_and(|all| all.iter().any(|asked| !asked.answers.is_empty()))),
        BlockBody::Earlier { .. }
        | BlockBody::Message(_)
        | BlockBody::Retried(_)
        | BlockBody::Warned(_)
        | BlockBody::Updated { .. }
        | BlockBody::Suspended
        | BlockBody::Resumed { .. }
        | BlockBody::Ended(_) => false,
    }
}

/// Whether a block may have more than it shows folded.
pub(crate) fn can_fold(block: &Block) -> bool {
    match &block.body {
        BlockBody::Item(item) => match &item.body {
            ItemBody::UserMessage(_)
            | ItemBody::Reasoning(_)
            | ItemBody::Command(_)
            | ItemBody::FileChange(_)
            | ItemBody::ToolCall(_)
            | ItemBody::WebSearch(_)
            | ItemBody::Compaction(_) => true,
            ItemBody::AgentMessage(_)
            | ItemBody::Plan(_)
            | ItemBody::Notice(_)
            | ItemBody::Agent(_)
            | ItemBody::Review(_)
            | ItemBody::Unknown(_) => false,
        },
        BlockBody::Earlier { .. }
        | BlockBody::Message(_)
        | BlockBody::Retried(_)
        | BlockBody::Warned(_)
        | BlockBody::Updated { .. }
        | BlockBody::Suspended
        | BlockBody::Resumed { .. }
        | BlockBody::Ended(_) => false,
    }
}

/// Whether a block shows code in a language that it names.
pub(crate) fn has_code(block: &Block) -> bool {
    let names = |line: &str| {
        let line = line.trim_start();
        ["```", "~~~"].iter().any(|fence| line.starts_with(fence) && line.len() > fence.len())
    };
    match &block.body {
        BlockBody::Message(message) => {
            message.fence.as_deref().is_some_and(names) || message.text.lines().any(names)
        }
        BlockBody::Earlier { .. }
        | BlockBody::Item(_)
        | BlockBody::Retried(_)
        | BlockBody::Warned(_)
        | BlockBody::Updated { .. }
        | BlockBody::Suspended
        | BlockBody::Resumed { .. }
        | BlockBody::Ended(_) => false,
    }
}

fn status_text(status: &ItemStatus) -> Option<&'static str> {
    match status {
        ItemStatus::Declined => Some("declined"),
        ItemStatus::Interrupted => Some("interrupted"),
        ItemStatus::InProgress
        | ItemStatus::Completed
        | ItemStatus::Failed
        | ItemStatus::Discarded
        | ItemStatus::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests;

//! A question, as a dialog above the composer. What is asked about stands behind a bar that is ours, line by line,
//! harmless and complete, so that nothing in it can look like the dialog itself. Knows nothing of how an answer
//! travels.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use protocol::ids::{QuestionId, Timestamp};
use protocol::item::RefusedOperation;
use protocol::profile::{Access, NetworkProtocol};
use protocol::question::{Decision, GrantScope, Question, QuestionKind};
use ratatui::text::{Line, Span};
use view::{escape, words};

use crate::composer::Composer;
use crate::dialog::patch::Deed;
use crate::diff;
use crate::form::{Form, Given};
use crate::theme::Theme;
use crate::wrap::{Break, width_of, wrap};

mod patch;

/// Keys that were typed before a dialog came were not meant for it: it listens when it was seen for so long, and
/// nothing was typed for so long.
const SEEN_MS: u64 = 300;
const QUIET_MS: u64 = 700;

/// The keys of answers, and the same for a narrow screen.
const ANSWERS: [&str; 3] = [
    "y once · t this turn · s this session · a always · n no · i no, and say what instead",
    "y once · t turn · s session · a always · n no · i instead",
    "y t s a n i · ↓ ↑",
];
/// The same where no rule can be written.
const ANSWERS_FOR_NOW: [&str; 3] = [
    "y once · t this turn · s this session · n no · i no, and say what instead",
    "y once · t turn · s session · n no · i instead",
    "y t s n i · ↓ ↑",
];
/// Lines below which a question says as little as it can, so that what it is about can be seen.
const TIGHT_LINES: usize = 6;

/// Whether there is room for words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    Enough,
    Tight,
}

/// A question that is shown.
#[derive(Debug)]
pub(crate) struct Dialog {
    question: Question,
    listens_at: Timestamp,
    /// The first line of the content that is shown.
    scroll: usize,
    /// What to do instead, while it is written.
    pub(crate) reply: Option<Composer>,
    /// Whether an answer is under way.
    pub(crate) is_answered: bool,
    /// What it wants to know, if that is more than a yes or a no.
    form: Option<Form>,
    /// Whether the row that the form points at must be on the screen.
    follows_pointer: bool,
    /// The content in lines, for a width.
    content: Option<(u16, Vec<Line<'static>>)>,
}

/// What a key means to the dialog.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing, or something within the dialog.
    Nothing,
    Decide(Decision),
}

impl Dialog {
    /// Shows a question now; keys count a little later.
    pub(crate) fn new(question: Question, now: Timestamp, last_key: Timestamp) -> Self {
        let listens_at = Timestamp((now.0 + SEEN_MS).max(last_key.0 + QUIET_MS));
        let form = Form::of(&question.kind);
        Self {
            question,
            listens_at,
            scroll: 0,
            reply: None,
            is_answered: false,
            form,
            follows_pointer: true,
            content: None,
        }
    }

    pub(crate) fn id(&self) -> QuestionId {
        self.question.id
    }

    /// Whether keys are meant for it.
    pub(crate) fn listens(&self, now: Timestamp) -> bool {
        now >= self.listens_at && !self.is_answered
    }

    /// When keys begin to be meant for it, if that is to come.
    pub(crate) fn listens_at(&self, now: Timestamp) -> Option<Timestamp> {
        (now < self.listens_at).then_some(self.listens_at)
    }

    /// A key was typed that was not meant for it.
    pub(crate) fn put_off(&mut self, now: Timestamp) {
        self.listens_at = Timestamp(now.0 + QUIET_MS);
    }

    /// Text was pasted while it listens, and no reply is written; whether it was meant for it.
    pub(crate) fn paste(&mut self, text: &str) -> bool {
        self.content = None;
        self.form.as_mut().is_some_and(|form| {
            form.paste(text);
            form.field().is_some_and(|field| field.takes_text)
        })
    }

    /// A key that is meant for it, while no reply is written.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Verdict {
        if let Some(form) = &mut self.form {
            match key.code {
                KeyCode::PageUp => return self.scroll_by(-8),
                KeyCode::PageDown => return self.scroll_by(8),
                _ => {}
            }
            self.content = None;
            self.follows_pointer = true;
            return match form.key(key) {
                Given::Nothing => Verdict::Nothing,
                Given::Declined => {
                    self.reply = Some(Composer::default());
                    Verdict::Nothing
                }
                Given::All(decision) => Verdict::Decide(decision),
            };
        }
        if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
            return Verdict::Nothing;
        }
        let is_known = !matches!(self.question.kind, QuestionKind::Unknown(_));
        let allow = |scope| Verdict::Decide(Decision::Allow { scope });
        match key.code {
            KeyCode::Char('y') if is_known => allow(GrantScope::Once),
            KeyCode::Char('t') if is_known => allow(GrantScope::Turn),
            KeyCode::Char('s') if is_known => allow(GrantScope::Session),
            KeyCode::Char('a') if words::offers_always(&self.question.kind) => allow(GrantScope::Always),
            KeyCode::Char('n') => Verdict::Decide(Decision::Deny { message: None }),
            KeyCode::Char('i') => {
                self.reply = Some(Composer::default());
                Verdict::Nothing
            }
            KeyCode::Up => self.scroll_by(-1),
            KeyCode::Down => self.scroll_by(1),
            KeyCode::PageUp => self.scroll_by(-8),
            KeyCode::PageDown => self.scroll_by(8),
            _ => Verdict::Nothing,
        }
    }

    fn scroll_by(&mut self, lines: isize) -> Verdict {
        self.scroll = self.scroll.saturating_add_signed(lines);
        self.follows_pointer = false;
        Verdict::Nothing
    }

    /// The dialog in at most so many lines; the headline and the keys are always among them.
    pub(crate) fn lines(
        &mut self,
        width: u16,
        most: usize,
        can_answer: bool,
        now: Timestamp,
        theme: &Theme,
    ) -> Vec<Line<'static>> {
        let space = if most < TIGHT_LINES { Space::Tight } else { Space::Enough };
        let keys = self.keys(width, can_answer, space, now, theme);
        let headline = words::asked(&self.question.kind);
        let bar = |text| Span::styled(text, theme.warning);
        let headline = [Span::styled(headline, theme.warning.patch(theme.strong))];
        let mut lines = wrap(&headline, width, &[bar("┏ ")], &[bar("┃ ")], Break::Words);
        if space == Space::Tight {
            lines.truncate(1);
        }
        if self.content.as_ref().is_none_or(|(of, _)| *of != width) {
            let mut lines = content(&self.question, width, theme);
            if let Some(form) = &self.form {
                lines.extend(form_lines(form, width, theme));
            }
            self.content = Some((width, lines));
        }
        let content = self.content.as_ref().map_or(&[][..], |(_, lines)| lines);
        let room = most.saturating_sub(lines.len() + keys.len()).max(1);
        if content.len() <= room {
            self.scroll = 0;
            lines.extend_from_slice(content);
        } else {
            let shown = room.saturating_sub(1).max(1);
            let is_pointer =
                |line: &Line<'_>| line.spans.get(1).is_some_and(|span| span.content.starts_with('▸'));
            if self.form.is_some()
                && self.follows_pointer
                && let Some(at) = content.iter().rposition(is_pointer)
            {
                self.scroll = self.scroll.clamp((at + 1).saturating_sub(shown), at);
            }
            self.scroll = self.scroll.min(content.len() - shown);
            lines.extend_from_slice(&content[self.scroll..self.scroll + shown]);
            // Where there is room for one line, it is of what is asked.
            if room <= 1 {
                lines.extend(keys);
                return lines;
            }
            let (from, to) = (self.scroll + 1, self.scroll + shown);
            let place = format!("lines {from} to {to} of {} · ↓ ↑", content.len());
            lines.extend(wrap(
                &[Span::styled(place, theme.warning)],
                width,
                &[bar("┠ ")],
                &[bar("┃ ")],
                Break::Words,
            ));
        }
        lines.extend(keys);
        lines
    }

    fn keys(
        &self,
        width: u16,
        can_answer: bool,
        space: Space,
        now: Timestamp,
        theme: &Theme,
    ) -> Vec<Line<'static>> {
        let is_known = !matches!(self.question.kind, QuestionKind::Unknown(_));
        let [answers, short, shortest] =
            if words::offers_always(&self.question.kind) { ANSWERS } else { ANSWERS_FOR_NOW };
        let text = if !can_answer {
            "it waits for somebody who may answer"
        } else if self.is_answered {
            "your answer is on its way"
        } else if self.reply.is_some() {
            "no: write what to do instead; Enter sends it, Esc goes back"
        } else if let Some(form) = &self.form {
            form_keys(form)
        } else if is_known && usize::from(width) > width_of(answers) + 2 {
            answers
        } else if is_known && (space == Space::Enough || usize::from(width) > width_of(short) + 2) {
            short
        } else if is_known {
            shortest
        } else {
            "n no · i no, and say what instead · or answer it where it is known"
        };
        let style = if can_answer && !self.listens(now) { theme.dim } else { theme.strong };
        let (first, rest) = (Span::styled("┗ ", theme.warning), Span::raw("  "));
        wrap(&[Span::styled(text, style)], width, &[first], &[rest], Break::Words)
    }
}

/// What is asked about, line by line behind the bar. Labels of ours stand right behind it, what a model wrote two
/// columns further on.
fn content(question: &Question, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let bar = Span::styled("┃ ", theme.warning);
    let mut lines = Vec::new();
    let mut put = |first: &str, spans: &[Span<'static>], at| {
        let first = [bar.clone(), Span::styled(first.to_owned(), theme.accent)];
        lines.extend(wrap(spans, width, &first, &[bar.clone(), Span::raw("  ")], at));
    };
    let field = |label: &'static str, value: &str| {
        [Span::styled(label, theme.dim), Span::styled(escape::line(value).into_owned(), theme.text)]
    };
    match &question.kind {
        QuestionKind::Command { command, argv, cwd, justification, refusals, proposed_rule, .. } => {
            // A line end at the end is as good as none.
            for (at, line) in command.trim_end_matches('\n').split('\n').enumerate() {
                let line = Span::styled(escape::line(line).into_owned(), theme.strong);
                put(if at == 0 { "$ " } else { "  " }, &[line], Break::Letters);
            }
            if argv.last() != Some(command) && !argv.is_empty() {
                let words: Vec<String> = argv.iter().map(|word| format!("{word:?}")).collect();
                put("", &field("executed as: ", &words.join(" ")), Break::Letters);
            }
            put("", &field("in ", &cwd.to_string_lossy()), Break::Letters);
            if let Some(justification) = justification {
                put("", &field("it says: ", justification), Break::Words);
            }
            for refusal in refusals {
                let what = format!("{} {}", tried(&refusal.operation), refusal.target);
                put("", &field("the sandbox stopped: ", &what), Break::Letters);
            }
            for rule in proposed_rule.iter().flat_map(|rules| rules.lines()) {
                put("", &field("always writes: ", rule), Break::Letters);
            }
        }
        QuestionKind::FileChange { patch } => {
            for spans in files_of(patch, theme) {
                put("", &spans, Break::Letters);
            }
            for line in patch.trim_end_matches('\n').split('\n') {
                let style = diff::style(line, theme);
                put("  ", &[Span::styled(escape::line(line).into_owned(), style)], Break::Letters);
            }
        }
        QuestionKind::Network { protocol, host, port } => {
            let how = match protocol {
                NetworkProtocol::Http => "http",
                NetworkProtocol::Https => "https",
                NetworkProtocol::Socks5Tcp => "tcp",
            };
            put("  ", &[Span::styled(escape::line(host).into_owned(), theme.strong)], Break::Letters);
            put("", &field("port ", &format!("{port}, {how}")), Break::Words);
        }
        QuestionKind::Permissions { paths, hosts, justification } => {
            for rule in paths {
                let access = match rule.access {
                    Access::Hidden => "hide ",
                    Access::Read => "read ",
                    Access::Write => "write ",
                };
                put("  ", &field(access, &rule.path.to_string_lossy()), Break::Letters);
            }
            for host in hosts {
                put("  ", &field("reach ", host), Break::Letters);
            }
            if let Some(justification) = justification {
                put("", &field("it says: ", justification), Break::Words);
            }
        }
        QuestionKind::Tool { server, tool, arguments, .. } => {
            put("⚙ ", &[Span::styled(escape::line(tool).into_owned(), theme.strong)], Break::Letters);
            if let Some(server) = server {
                put("", &field("of the MCP server ", server), Break::Letters);
            }
            for line in arguments.trim_end_matches('\n').split('\n') {
                put("  ", &[Span::styled(escape::line(line).into_owned(), theme.text)], Break::Letters);
            }
        }
        QuestionKind::Elicitation { server, message, .. } => {
            put("", &field("the server ", server), Break::Letters);
            for line in message.trim_end_matches('\n').split('\n') {
                put("  ", &[Span::styled(escape::line(line).into_owned(), theme.text)], Break::Words);
            }
        }
        QuestionKind::Sampling { server, prompt, max_tokens } => {
            put("", &field("the server ", server), Break::Letters);
            for line in prompt.trim_end_matches('\n').split('\n') {
                put("  ", &[Span::styled(escape::line(line).into_owned(), theme.text)], Break::Words);
            }
            put("", &field("answer: ", &format!("at most {max_tokens} tokens")), Break::Words);
        }
        // The view leaves it out: no person is asked.
        QuestionKind::ClientTool { .. } => {}
        // What it asks is in the form below.
        QuestionKind::UserInput { .. } => return lines,
        QuestionKind::Unknown(_) => {}
    }
    put("", &field("why it is asked: ", &question.reason), Break::Words);
    lines
}

/// What a patch does to which files: what is done right behind the bar, as all that we say. A path comes last, as it may
/// look like anything.
fn files_of(patch: &str, theme: &Theme) -> Vec<Vec<Span<'static>>> {
    let changes = patch::changes(patch);
    let mut rows = Vec::with_capacity(changes.len() + 1);
    if changes.len() > 1 {
        let deleted = changes.iter().filter(|change| change.deed == Deed::Delete).count();
        let deleted = if deleted > 0 { format!(", {deleted} deleted") } else { String::new() };
        rows.push(vec![Span::styled(format!("{} files{deleted}", changes.len()), theme.strong)]);
    }
    for change in changes {
        let (deed, style) = match (change.deed, &change.moved_to) {
            (Deed::Write, _) => ("writes ", theme.dim),
            (Deed::Delete, _) => ("deletes ", theme.bad),
            (Deed::Edit, None) => ("edits ", theme.dim),
            (Deed::Edit, Some(_)) => ("moves ", theme.dim),
        };
        let mut spans = vec![Span::styled(deed, style)];
        if change.deed != Deed::Delete {
            spans.push(Span::styled(format!("+{} ", change.added), theme.good));
        }
        if change.deed == Deed::Edit {
            spans.push(Span::styled(format!("-{} ", change.removed), theme.bad));
        }
        let path = |path: &str| Span::styled(escape::line(path).into_owned(), theme.strong);
        spans.push(path(&change.path));
        rows.push(spans);
        if let Some(to) = &change.moved_to {
            rows.push(vec![Span::styled("to ", theme.dim), path(to)]);
        }
    }
    rows
}

fn tried(operation: &RefusedOperation) -> &str {
    match operation {
        RefusedOperation::Read => "to read",
        RefusedOperation::Write => "to write",
        RefusedOperation::Connect => "to connect to",
        RefusedOperation::Execute => "to execute",
        RefusedOperation::Unknown(operation) => operation,
    }
}

/// The field that is asked now: numbers and marks of ours, what a model or a server wrote behind them.
fn form_lines(form: &Form, width: u16, theme: &Theme) -> Vec<Line<'static>> {
    let bar = Span::styled("┃ ", theme.warning);
    let mut lines = Vec::new();
    let mut put = |first: String, spans: &[Span<'static>]| {
        let first = [bar.clone(), Span::styled(first, theme.accent)];
        lines.extend(wrap(spans, width, &first, &[bar.clone(), Span::raw("      ")], Break::Words));
    };
    let (number, of) = form.place();
    let Some(field) = form.field() else { return lines };
    let written = |text: &str, style| Span::styled(escape::line(text).into_owned(), style);
    let place = if of > 1 { format!("{number} of {of}  ") } else { String::new() };
    put(place, &[written(&field.header, theme.strong)]);
    for line in field.question.lines() {
        put("  ".to_owned(), &[written(line, theme.text)]);
    }
    for (at, option) in field.options.iter().enumerate() {
        let pointer = if at == field.cursor { "▸" } else { " " };
        let chosen = match (field.takes_several(), option.is_chosen) {
            (true, true) => "[x] ",
            (true, false) => "[ ] ",
            (false, _) => "",
        };
        let style = if at == field.cursor { theme.strong } else { theme.text };
        let mut spans = vec![written(&option.label, style)];
        if !option.description.is_empty() {
            spans.push(Span::styled("  ", theme.dim));
            spans.push(written(&option.description, theme.dim));
        }
        put(format!("{pointer}{:>2} {chosen}", at + 1), &spans);
    }
    if field.takes_text {
        let is_here = field.cursor == field.options.len();
        let pointer = if is_here { "▸ › " } else { "  › " };
        let text =
            [written(&field.text, theme.strong), Span::styled(if is_here { "▏" } else { "" }, theme.accent)];
        put(pointer.to_owned(), &text);
    }
    if let Some(complaint) = form.complaint {
        put("! ".to_owned(), &[Span::styled(complaint, theme.bad)]);
    }
    lines
}

fn form_keys(form: &Form) -> &'static str {
    match form.field() {
        None => "Enter yes · Esc no, and say what instead",
        Some(field) if field.takes_several() => {
            "↑ ↓ move · Space chooses · Enter goes on · Shift+Tab back · Esc no, and say what instead"
        }
        Some(field) if field.options.is_empty() => {
            "write · Enter goes on · Shift+Tab back · Esc no, and say what instead"
        }
        Some(_) => "↑ ↓ or a number chooses · Enter goes on · Shift+Tab back · Esc no, and say what instead",
    }
}

#[cfg(test)]
mod tests;

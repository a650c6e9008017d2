//! A frame: what goes into the scrollback, and what the viewport shows. From the top: what is under way, a question,
//! what waits, a notice, the composer, the status line.

use protocol::ids::Timestamp;
use protocol::profile::SandboxMode;
use protocol::session::ClientRole;
use protocol::turn::InputPart;
use ratatui::layout::{Position, Size};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use view::{Activity, Link, Status, escape, words};

use crate::app::{App, Tone};
use crate::blocks::{Detail, Pen, has_code};
use crate::completion::{Completion, Kind};
use crate::help::doing;
use crate::run::Mode;
use crate::theme::Theme;
use crate::wrap::{Break, fit, width_of, wrap};

/// Most rows of the composer, of what is under way, and of the queue.
const COMPOSER_ROWS: usize = 8;
const LIVE_ROWS: usize = 14;
const QUEUE_ROWS: usize = 3;
const NOTICE_ROWS: usize = 3;
/// Most rows of what completes a word, and of a list to choose from.
const COMPLETION_ROWS: usize = 8;
const PICKER_ROWS: usize = 14;

/// What the screen shows next.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Goes into the scrollback for good.
    pub(crate) finished: Vec<Line<'static>>,
    pub(crate) viewport: Vec<Line<'static>>,
    /// Within the viewport.
    pub(crate) cursor: Position,
}

impl App {
    /// The next frame. What it has in `finished` does not come again.
    pub(crate) fn frame(&mut self, size: Size, now: Timestamp) -> Frame {
        let (width, rows) = (size.width.max(1), usize::from(size.height.max(1)));
        let cwd = self.cwd();
        let mut finished = Vec::new();
        self.held.extend(self.view.take_finished());
        let detail = Detail::Folded;
        let pen = Pen { theme: &self.theme, width, detail, syntaxes: &self.syntaxes, cwd: &cwd };
        // What has gone into the scrollback can't change its colours any more.
        let is_coming = self.syntaxes.is_coming();
        while let Some(block) = self.held.pop_front_if(|block| !(is_coming && has_code(block))) {
            finished.extend(pen.block(&block));
        }
        for aside in std::mem::take(&mut self.asides) {
            finished.extend(self.aside(aside, width));
        }

        let (mut below, mut composer_row, mut column) = self.composer_lines(width, rows);
        below.push(self.status_line(width, now));
        let mut middle = self.queue_lines(width);
        middle.extend(self.notice_lines(width));
        let room = rows.saturating_sub(below.len() + middle.len() + 1);
        if let Some(picker) = &self.picker {
            // The cursor is where something is looked for, so that comes last.
            middle.append(&mut below);
            below = picker.lines(width, room.clamp(1, PICKER_ROWS), &self.theme);
            composer_row = below.len().saturating_sub(if room > 3 { 2 } else { 1 });
            column = u16::try_from(below.get(composer_row).map_or(0, Line::width)).unwrap_or(u16::MAX);
        } else if let Some(dialog) = &mut self.dialog {
            let can_answer = self.mode == Mode::Drive;
            let mut lines = dialog.lines(width, room, can_answer, now, &self.theme);
            lines.append(&mut middle);
            middle = lines;
        }
        let room = rows.saturating_sub(below.len() + middle.len() + 1).min(LIVE_ROWS);
        let mut live = Vec::new();
        let pen = Pen { theme: &self.theme, width, detail, syntaxes: &self.syntaxes, cwd: &cwd };
        for block in self.held.iter().chain(self.view.live()) {
            live.extend(pen.block(block));
        }
        live.drain(..live.len().saturating_sub(room));

        let mut viewport = live;
        viewport.push(Line::default());
        viewport.append(&mut middle);
        let cursor_row = viewport.len() + composer_row;
        viewport.append(&mut below);
        let cut = viewport.len().saturating_sub(rows);
        viewport.drain(..cut);
        let y = u16::try_from(cursor_row.saturating_sub(cut)).unwrap_or(u16::MAX);
        Frame { finished, viewport, cursor: Position::new(column.min(width - 1), y) }
    }

    /// The composer's rows, and the cursor's row and column in them.
    fn composer_lines(&mut self, width: u16, rows: usize) -> (Vec<Line<'static>>, usize, u16) {
        let theme = self.theme.clone();
        if self.mode == Mode::Watch {
            let text = fit("looking on, and changing nothing · q leaves", usize::from(width));
            return (vec![Line::styled(text, theme.dim)], 0, 0);
        }
        let is_reply = self.dialog.as_ref().is_some_and(|dialog| dialog.reply.is_some());
        let prompt = if is_reply { "no: " } else { "› " };
        let indent = width_of(prompt);
        let room = usize::from(width).saturating_sub(indent);
        let hint = if is_reply {
            "what to do instead"
        } else if self.dialog.as_ref().is_some_and(|dialog| !dialog.is_answered) {
            "the question above comes first"
        } else if self.is_busy() {
            "Enter says it into the turn · Tab queues it · Esc stops the turn"
        } else {
            "Ask for something · Enter sends · Ctrl+J breaks the line · /help"
        };
        let writing = self.writing();
        let layout = writing.layout(u16::try_from(room).unwrap_or(u16::MAX));
        let most = COMPOSER_ROWS.min(rows / 3).max(1);
        let from = (layout.cursor.0 + 1).saturating_sub(most);
        let mut lines = Vec::new();
        for (at, row) in layout.rows.into_iter().enumerate().skip(from).take(most) {
            let mark = if at == 0 { prompt.to_owned() } else { " ".repeat(indent) };
            lines.push(Line::from(vec![Span::styled(mark, theme.accent), Span::styled(row, theme.text)]));
        }
        if writing.is_empty()
            && let Some(line) = lines.first_mut()
        {
            line.spans.push(Span::styled(fit(hint, room), theme.dim));
        }
        let column = u16::try_from(indent + layout.cursor.1).unwrap_or(u16::MAX);
        if let Some(completion) = &self.completion {
            let room = rows.saturating_sub(lines.len() + 1);
            lines.extend(completion_lines(completion, width, room.min(COMPLETION_ROWS), &self.theme));
        }
        (lines, layout.cursor.0 - from, column)
    }

    fn queue_lines(&self, width: u16) -> Vec<Line<'static>> {
        let queue = &self.view.status().queue;
        let mut lines: Vec<Line<'static>> = queue
            .iter()
            .take(QUEUE_ROWS)
            .map(|queued| {
                let text = queued.input.iter().find_map(|part| match part {
                    InputPart::Text { text } => Some(escape::short_line(text, 200)),
                    InputPart::Image { .. } | InputPart::StoredImage { .. } | InputPart::Unknown(_) => None,
                });
                let text = format!("  queued: {}", text.unwrap_or_else(|| "[image]".to_owned()));
                Line::styled(fit(&text, usize::from(width)), self.theme.dim)
            })
            .collect();
        let more = queue.len().saturating_sub(QUEUE_ROWS);
        if more > 0 {
            lines.push(Line::styled(format!("  and {more} more queued"), self.theme.dim));
        }
        lines
    }

    fn notice_lines(&self, width: u16) -> Vec<Line<'static>> {
        let Some(notice) = &self.notice else { return Vec::new() };
        let style = match notice.tone {
            Tone::Calm => self.theme.dim,
            Tone::Bad => self.theme.bad,
        };
        let text = Span::styled(escape::line(&notice.text).into_owned(), style);
        let mut lines = wrap(&[text], width, &[Span::styled("! ", style)], &[Span::raw("  ")], Break::Words);
        lines.truncate(NOTICE_ROWS);
        lines
    }

    /// What matters most comes first; what does not fit is left out from the end.
    fn status_line(&self, width: u16, now: Timestamp) -> Line<'static> {
        let theme = &self.theme;
        let status = self.view.status();
        let mut fields: Vec<(String, Style)> = vec![self.activity(now)];
        if let Some(settings) = &status.settings {
            let style = match settings.sandbox {
                SandboxMode::DangerFullAccess => theme.danger,
                SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => theme.dim,
            };
            let effort = status.effort().map(|effort| format!(" {effort}")).unwrap_or_default();
            fields.push((settings.sandbox.as_str().to_owned(), style));
            fields.push((format!("{}{effort}", settings.model), theme.dim));
            fields.push((settings.approval.as_str().to_owned(), theme.dim));
        }
        if !status.queue.is_empty() {
            fields.push((format!("{} queued", status.queue.len()), theme.dim));
        }
        fields.extend(self.others(status).map(|others| (others, theme.dim)));
        let tokens = status.context_tokens.unwrap_or_default();
        if tokens > 0 {
            fields.push((format!("context {}", words::thousands(tokens)), theme.dim));
        }
        let mut spans = vec![Span::raw("  ")];
        let mut taken = 2;
        for (text, style) in fields {
            let text = escape::short_line(&text, 60);
            let gap = if taken > 2 { " · " } else { "" };
            taken += width_of(&text) + width_of(gap);
            if taken > usize::from(width) && spans.len() > 1 {
                break;
            }
            spans.push(Span::styled(gap, theme.dim));
            spans.push(Span::styled(text, style));
        }
        Line::from(spans)
    }

    fn activity(&self, now: Timestamp) -> (String, Style) {
        let theme = &self.theme;
        let status = self.view.status();
        let text = doing(status).to_owned();
        match (status.link, status.activity) {
            (Link::Lost, _) => (text, theme.bad),
            (Link::Up, Activity::Running { .. }) if self.is_stopping => {
                ("stopping".to_owned(), theme.warning)
            }
            (Link::Up, Activity::Running { since, .. }) => {
                (format!("running {} s", now.since(since) / 1000), theme.accent)
            }
            (Link::Up, Activity::Waiting { .. } | Activity::Suspended { .. }) => (text, theme.warning),
            (Link::Up, Activity::Idle | Activity::Archived) => (text, theme.dim),
            (Link::Up, Activity::Damaged) => (text, theme.bad),
        }
    }

    /// Who else is here.
    fn others(&self, status: &Status) -> Option<String> {
        let mut names: Vec<String> = Vec::new();
        for attachment in &status.presence.attached {
            if Some(attachment.actor.client_id) != self.own {
                let role = match attachment.role {
                    ClientRole::Viewer => " (looks on)",
                    ClientRole::Driver | ClientRole::Unknown(_) => "",
                };
                names.push(format!("{}{role}", attachment.actor.name));
            }
        }
        (!names.is_empty()).then(|| format!("also here: {}", names.join(", ")))
    }
}

fn completion_lines(completion: &Completion, width: u16, most: usize, theme: &Theme) -> Vec<Line<'static>> {
    if most == 0 {
        return Vec::new();
    }
    if completion.list.is_empty() {
        let text = match completion.kind {
            Kind::Files { is_complete: false, .. } => "  looking for files",
            Kind::Files { is_complete: true, .. } | Kind::Commands(_) => "  nothing fits",
        };
        return vec![Line::from(Span::styled(fit(text, usize::from(width)), theme.dim))];
    }
    completion.list.lines(width, most, theme)
}

#[cfg(test)]
pub(crate) mod tests;

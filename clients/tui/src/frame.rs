//! A frame: what goes into the scrollback, and what the viewport shows. From the top: what is under way, a question,
//! what waits, a notice, the composer, the status line.

use protocol::ids::Timestamp;
use protocol::turn::InputPart;
use ratatui::layout::{Position, Size};
use ratatui::text::{Line, Span};
use view::{Block, escape};

use crate::app::{App, Tone};
use crate::blocks::{Detail, Pen, can_fold, has_code};
use crate::completion::{Completion, Kind};
use crate::fullscreen::{Fullscreen, Piece};
use crate::run::Mode;
use crate::theme::Theme;
use crate::vim::Vim;
use crate::wrap::{Break, fit, width_of, wrap};

/// Most rows of the composer, of what is under way, and of the queue.
const COMPOSER_ROWS: usize = 8;
const LIVE_ROWS: usize = 14;
const LEAST_LIVE_ROWS: usize = 4;
/// Most blocks of what is finished that are shown as under way: until the next frame, and until their colours come.
const NEXT_BLOCKS: usize = 4;
const UNCOLOURED_BLOCKS: usize = 32;
const QUEUE_ROWS: usize = 3;
const NOTICE_ROWS: usize = 3;
/// Lines and blocks that are finished in one frame, about; more of them come with the next, so that no burst is held
/// as lines.
const FINISHED_LINES: usize = 800;
const FINISHED_BLOCKS: usize = 256;
/// Most rows of what completes a word.
const COMPLETION_ROWS: usize = 8;

/// What the screen shows next.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Goes into the scrollback for good.
    pub(crate) finished: Vec<Line<'static>>,
    pub(crate) viewport: Vec<Line<'static>>,
    /// Within the viewport.
    pub(crate) cursor: Position,
    /// Whether more is finished already, which the next frame has.
    pub(crate) has_more: bool,
}

impl App {
    /// The next frame. What it has in `finished` does not come again.
    pub(crate) fn frame(&mut self, size: Size, now: Timestamp) -> Frame {
        let (width, rows) = (size.width.max(1), usize::from(size.height.max(1)));
        let cwd = self.cwd();
        let mut finished = Vec::new();
        let mut full = self.full.take();
        self.held.extend(self.view.take_finished());
        let detail = self.detail;
        let pen = Pen { theme: &self.theme, width, detail, syntaxes: &self.syntaxes, cwd: &cwd };
        // What has gone into the scrollback can't change its colours any more.
        let is_coming = self.syntaxes.is_coming();
        let is_ready = |block: &Block| !(is_coming && has_code(block));
        let mut blocks = 0;
        while finished.len() < FINISHED_LINES
            && blocks < FINISHED_BLOCKS
            && let Some(block) = self.held.pop_front_if(|block| is_ready(block))
        {
            blocks += 1;
            match &mut full {
                Some(full) => full.push(Piece::Block(Box::new(block))),
                None => {
                    let mut lines = pen.block_after(self.open_row.take(), &block);
                    // Its last row is not finished if what follows goes on in it.
                    let next = self.held.front().or_else(|| self.view.live().next());
                    if next.is_some_and(Block::goes_on) {
                        self.open_row = lines.pop();
                    }
                    if detail == Detail::Folded
                        && can_fold(&block)
                        && lines.len() < (Pen { detail: Detail::Full, ..pen }).block(&block).len()
                    {
                        self.last_folded = Some(block);
                    }
                    finished.extend(lines);
                }
            }
        }
        let has_more = self.held.front().is_some_and(is_ready);
        // What comes next does not go on in it any more: it was taken back.
        let next = self.held.front().or_else(|| self.view.live().next());
        if !next.is_some_and(Block::goes_on) {
            finished.extend(self.open_row.take());
        }
        for aside in self.asides.drain(..).collect::<Vec<_>>() {
            match &mut full {
                Some(full) => full.push(Piece::Aside(aside)),
                None => finished.extend(self.aside(aside, width)),
            }
        }

        if let Some(full) = &mut full {
            full.make(width, detail, |piece, detail| match piece {
                Piece::Block(block) => Pen { detail, ..pen }.block(block),
                Piece::Aside(aside) => self.aside(aside.clone(), width),
            });
        }

        let (mut below, mut composer_row, mut column) = self.composer_lines(width, rows);
        below.push(self.status_line(width, now));
        let mut middle = self.queue_lines(width);
        middle.extend(self.notice_lines(width));
        let room = rows.saturating_sub(below.len() + middle.len() + 1);
        if let Some(picker) = &self.picker {
            // The cursor is where something is looked for, so that comes last.
            middle.append(&mut below);
            below = picker.lines(width, room.clamp(1, picker.most_rows()), &self.theme);
            composer_row = below.len().saturating_sub(if room > 3 { 2 } else { 1 });
            column = u16::try_from(below.get(composer_row).map_or(0, Line::width)).unwrap_or(u16::MAX);
        } else if let Some(dialog) = &mut self.dialog {
            let can_answer = self.mode == Mode::Drive;
            let mut lines = dialog.lines(width, room, can_answer, now, &self.theme);
            lines.append(&mut middle);
            middle = lines;
        }
        if let Some(below) = full.as_ref().map(Fullscreen::below).filter(|below| *below > 0) {
            let text = format!("  ↓ {below} lines below · PageDown");
            middle.insert(0, Line::styled(fit(&text, usize::from(width)), self.theme.dim));
        }
        let room = rows.saturating_sub(below.len() + middle.len() + 1);
        // A terminal that is made half as high takes the rows at the top into its scrollback for good; what will be drawn
        // anew is not to be among them.
        let half = (rows / 2).saturating_sub(below.len() + middle.len() + 1);
        let mut live = Vec::new();
        let pen = Pen { theme: &self.theme, width, detail, syntaxes: &self.syntaxes, cwd: &cwd };
        // Of what is finished the next frames have the most; the end is what matters.
        let most = if has_more { NEXT_BLOCKS } else { UNCOLOURED_BLOCKS };
        let left_out = self.held.len().saturating_sub(most);
        let under_way = || self.held.iter().skip(left_out).chain(self.view.live());
        let mut row = match &mut full {
            Some(full) if under_way().next().is_some_and(Block::goes_on) => full.take_last_row(),
            Some(_) => None,
            None => self.open_row.clone().filter(|_| left_out == 0),
        };
        let last_row = row.clone();
        for block in under_way() {
            live.extend(pen.block_after(row.take(), block));
        }
        let mut viewport = match &mut full {
            Some(full) => {
                let rows = full.window(live, room);
                full.put_back(last_row);
                rows
            }
            None => {
                let most = match detail {
                    Detail::Folded => LIVE_ROWS.min(half.max(LEAST_LIVE_ROWS)),
                    Detail::Full => usize::MAX,
                };
                live.drain(..live.len().saturating_sub(room.min(most)));
                live
            }
        };
        viewport.push(Line::default());
        viewport.append(&mut middle);
        let cursor_row = viewport.len() + composer_row;
        viewport.append(&mut below);
        let cut = viewport.len().saturating_sub(rows);
        viewport.drain(..cut);
        let y = u16::try_from(cursor_row.saturating_sub(cut)).unwrap_or(u16::MAX);
        if let Some(full) = &mut full {
            full.mark(&mut viewport);
        }
        self.full = full;
        Frame { finished, viewport, cursor: Position::new(column.min(width - 1), y), has_more }
    }

    /// All that is not in the scrollback yet, as it is.
    pub(crate) fn last_lines(&mut self, size: Size, now: Timestamp) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        loop {
            let frame = self.frame(size, now);
            lines.extend(frame.finished);
            if !frame.has_more {
                break;
            }
        }
        let cwd = self.cwd();
        let (width, detail) = (size.width.max(1), Detail::Folded);
        let pen = Pen { theme: &self.theme, width, detail, syntaxes: &self.syntaxes, cwd: &cwd };
        let mut row = self.open_row.take();
        for block in self.view.live() {
            lines.extend(pen.block_after(row.take(), block));
        }
        lines
    }

    /// The composer's rows, and the cursor's row and column in them.
    fn composer_lines(&mut self, width: u16, rows: usize) -> (Vec<Line<'static>>, usize, u16) {
        let theme = self.theme.clone();
        if self.mode == Mode::Watch {
            let text = fit("looking on, and changing nothing · q leaves", usize::from(width));
            return (vec![Line::styled(text, theme.dim)], 0, 0);
        }
        let is_reply = self.dialog.as_ref().is_some_and(|dialog| dialog.reply.is_some());
        let is_by_hand = !is_reply && self.composer.text().starts_with('!');
        let is_vi = self.vim.as_ref().is_some_and(Vim::is_normal);
        let prompt = match (is_reply, is_vi) {
            (true, _) => "no: ",
            (false, true) => "▪ ",
            (false, false) => "› ",
        };
        let mark_style = if is_by_hand { theme.warning } else { theme.accent };
        let indent = width_of(prompt);
        let room = usize::from(width).saturating_sub(indent);
        let hint = if is_reply {
            "what to do instead"
        } else if self.dialog.as_ref().is_some_and(|dialog| !dialog.is_answered) {
            "the question above comes first"
        } else if self.is_busy() {
            "Enter says it into the turn · Tab queues it · Esc stops the turn"
        } else if !self.view.status().queue.is_empty() {
            // A turn that was stopped leaves it waiting.
            "Up takes out what is queued, to send or change it · else it follows your next message"
        } else {
            "Ask for something · /help · Enter sends · Ctrl+J breaks the line"
        };
        let writing = self.writing();
        let layout = writing.layout(u16::try_from(room).unwrap_or(u16::MAX));
        let most = COMPOSER_ROWS.min(rows / 3).max(1);
        let from = (layout.cursor.0 + 1).saturating_sub(most);
        let mut lines = Vec::new();
        for (at, row) in layout.rows.into_iter().enumerate().skip(from).take(most) {
            let mark = if at == 0 { prompt.to_owned() } else { " ".repeat(indent) };
            lines.push(Line::from(vec![Span::styled(mark, mark_style), Span::styled(row, theme.text)]));
        }
        if writing.is_empty()
            && let Some(line) = lines.first_mut()
        {
            line.spans.push(Span::styled(fit(fitting(hint, room), room), theme.dim));
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
                    InputPart::Image { .. }
                    | InputPart::StoredImage { .. }
                    | InputPart::Skill { .. }
                    | InputPart::Resource { .. }
                    | InputPart::Unknown(_) => None,
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
        let (mark, style) = match notice.tone {
            Tone::Calm => ("· ", self.theme.dim),
            Tone::Bad => ("! ", self.theme.bad),
        };
        let text = Span::styled(escape::line(&notice.text).into_owned(), style);
        let mut lines = wrap(&[text], width, &[Span::styled(mark, style)], &[Span::raw("  ")], Break::Words);
        lines.truncate(NOTICE_ROWS);
        lines
    }
}

fn completion_lines(completion: &Completion, width: u16, most: usize, theme: &Theme) -> Vec<Line<'static>> {
    if most == 0 {
        return Vec::new();
    }
    if completion.list.is_empty() {
        let text = match completion.kind {
            Kind::Files { is_complete: false, .. } => "  looking for files",
            Kind::Files { is_complete: true, .. } | Kind::Commands(_) | Kind::Skills(_) => "  nothing fits",
        };
        return vec![Line::from(Span::styled(fit(text, usize::from(width)), theme.dim))];
    }
    completion.list.lines(width, most, theme)
}

#[cfg(test)]
mod scrollback;
/// Of parts with a dot between them, the first ones that fit; at least one.
fn fitting(parts: &str, room: usize) -> &str {
    let ends = parts.match_indices(" · ").map(|(at, _)| at).chain([parts.len()]);
    let heads: Vec<&str> = ends.map(|end| &parts[..end]).collect();
    heads.iter().rev().find(|head| width_of(head) <= room).or(heads.first()).copied().unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;

//! All of the terminal: what was said scrolls here, and is selected here. Kept as blocks, so that another width breaks
//! it anew; what is far back is dropped, and Ctrl+T has it. Knows nothing of how the terminal is written.

use std::collections::VecDeque;

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use view::Block;

use crate::app::Aside;
use crate::blocks::Detail;
use crate::wrap::width_of;

/// Lines that are kept; what is beyond them is dropped piece by piece.
const MOST_LINES: usize = 20_000;
/// Lines of a paragraph from which on it is not broken anew when it goes on.
const MOST_JOINED: usize = 2000;
/// Lines of a turn of the wheel.
const WHEEL: isize = 3;

/// Where one scrolls to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// Something that was said.
#[derive(Debug)]
pub(crate) enum Piece {
    Block(Box<Block>),
    Aside(Aside),
}

/// Something that was said, as it is kept.
#[derive(Debug)]
struct Kept {
    piece: Piece,
    /// How many lines it has.
    lines: usize,
    /// Whether it is folded where the others are not, or the other way round.
    is_turned: bool,
    /// Whether its lines are to be made anew.
    is_stale: bool,
}

/// What was said, and which part of it is shown.
#[derive(Debug, Default)]
pub(crate) struct Fullscreen {
    pieces: VecDeque<Kept>,
    lines: VecDeque<Line<'static>>,
    /// Pieces whose lines are made, and for which width.
    made: usize,
    width: u16,
    /// The line at the top; absent: the end is shown.
    top: Option<usize>,
    /// The line that was shown at the top last.
    shown_top: usize,
    /// Lines that there are, and rows for them, as they were shown last.
    count: usize,
    room: usize,
    selection: Option<Selection>,
    /// The rows of the screen as they were shown last.
    rows: Vec<String>,
}

/// Text between two cells, as row and column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Selection {
    from: (usize, usize),
    to: (usize, usize),
}

impl Fullscreen {
    /// Adds what was said.
    pub(crate) fn push(&mut self, piece: Piece) {
        let piece = match piece {
            Piece::Block(block) if block.goes_on() => match self.absorb(block) {
                Some(block) => Piece::Block(block),
                None => return,
            },
            piece @ (Piece::Block(_) | Piece::Aside(_)) => piece,
        };
        self.pieces.push_back(Kept { piece, lines: 0, is_turned: false, is_stale: false });
    }

    /// What goes on in the last row becomes one with what it goes on from.
    fn absorb(&mut self, block: Box<Block>) -> Option<Box<Block>> {
        let Some(Kept { piece: Piece::Block(last), lines, is_stale, .. }) = self.pieces.back_mut() else {
            return Some(block);
        };
        if *lines > MOST_JOINED {
            return Some(block);
        }
        let left = last.absorb(*block).map(Box::new);
        *is_stale |= left.is_none();
        left
    }

    /// The last row, if there is one; it is put back after what goes on in it was shown.
    pub(crate) fn take_last_row(&mut self) -> Option<Line<'static>> {
        self.lines.pop_back()
    }

    pub(crate) fn put_back(&mut self, row: Option<Line<'static>>) {
        self.lines.extend(row);
    }

    /// Makes the lines that are missing; all of them for another width.
    pub(crate) fn make(
        &mut self,
        width: u16,
        detail: Detail,
        lines_of: impl Fn(&Piece, Detail) -> Vec<Line<'static>>,
    ) {
        let mut before = 0;
        if self.width != width {
            (self.width, self.made) = (width, 0);
            before = self.lines.len();
            self.lines.clear();
        }
        let mut at = 0;
        for (number, kept) in self.pieces.iter_mut().enumerate() {
            let is_made = number < self.made;
            if !is_made || kept.is_stale {
                let lines = lines_of(&kept.piece, if kept.is_turned { detail.other() } else { detail });
                let behind = self.lines.split_off(at + if is_made { kept.lines } else { 0 });
                self.lines.truncate(at);
                (kept.lines, kept.is_stale) = (lines.len(), false);
                self.lines.extend(lines);
                self.lines.extend(behind);
            }
            at += kept.lines;
        }
        self.made = self.pieces.len();
        if before > 0 {
            // About the same place.
            self.top = self.top.map(|top| top.saturating_mul(self.lines.len()) / before);
        }
        while self.lines.len() > MOST_LINES
            && let Some(kept) = self.pieces.pop_front()
        {
            self.lines.drain(..kept.lines);
            self.made -= 1;
            self.top = self.top.map(|top| top.saturating_sub(kept.lines));
        }
    }

    /// Other colours hold: all lines are made anew.
    pub(crate) fn redraw(&mut self) {
        self.width = 0;
    }

    /// So many rows of what was said and of what is under way.
    pub(crate) fn window(&mut self, mut live: Vec<Line<'static>>, room: usize) -> Vec<Line<'static>> {
        (self.count, self.room) = (self.lines.len() + live.len(), room);
        let top = self.top.unwrap_or(usize::MAX).min(self.count.saturating_sub(room));
        self.shown_top = top;
        let mut rows: Vec<Line<'static>> = self.lines.iter().skip(top).take(room).cloned().collect();
        let shown = live.drain(top.saturating_sub(self.lines.len()).min(live.len())..);
        rows.extend(shown.take(room - rows.len()));
        rows.resize_with(room, Line::default);
        rows
    }

    /// How many lines are below what is shown.
    pub(crate) fn below(&self) -> usize {
        self.top.map_or(0, |top| self.count.saturating_sub(top + self.room))
    }

    /// Scrolls; down to the end it stays there.
    pub(crate) fn scroll(&mut self, lines: isize) {
        let last = self.count.saturating_sub(self.room);
        let top = self.top.unwrap_or(last).min(last).saturating_add_signed(lines);
        self.top = (top < last).then_some(top);
        self.selection = None;
    }

    /// Scrolls by a screen, less two lines.
    pub(crate) fn page(&mut self, way: Way) {
        let rows = isize::try_from(self.room.saturating_sub(2).max(1)).unwrap_or(1);
        self.scroll(match way {
            Way::Up => -rows,
            Way::Down => rows,
        });
    }

    /// Shows the end, nothing selected.
    pub(crate) fn show_end(&mut self) {
        (self.top, self.selection) = (None, None);
    }

    /// Nothing is selected any more.
    pub(crate) fn deselect(&mut self) {
        self.selection = None;
    }

    /// The mouse did something; a text was selected if there is one.
    pub(crate) fn mouse(&mut self, mouse: MouseEvent) -> Option<String> {
        let cell = (usize::from(mouse.row), usize::from(mouse.column));
        match mouse.kind {
            MouseEventKind::ScrollUp => self.scroll(-WHEEL),
            MouseEventKind::ScrollDown => self.scroll(WHEEL),
            MouseEventKind::Down(MouseButton::Left) => {
                self.selection = Some(Selection { from: cell, to: cell });
            }
            MouseEventKind::Drag(MouseButton::Left) => {
                if let Some(selection) = &mut self.selection {
                    selection.to = cell;
                }
            }
            MouseEventKind::Up(MouseButton::Left) => {
                let text = self.selected();
                if text.is_none() {
                    let selection = self.selection.take();
                    if let Some(click) = selection.filter(|selection| selection.from == selection.to) {
                        self.turn(click.from.0);
                    }
                }
                return text;
            }
            MouseEventKind::Down(_)
            | MouseEventKind::Up(_)
            | MouseEventKind::Drag(_)
            | MouseEventKind::Moved
            | MouseEventKind::ScrollLeft
            | MouseEventKind::ScrollRight => {}
        }
        None
    }

    /// Folds or unfolds what is shown in a row of the screen; the line above it stays where it is.
    fn turn(&mut self, row: usize) {
        if row >= self.room {
            return;
        }
        let line = self.shown_top + row;
        let mut end = 0;
        let found = self.pieces.iter_mut().find(|kept| {
            end += kept.lines;
            line < end
        });
        if let Some(kept) = found {
            (kept.is_turned, kept.is_stale) = (!kept.is_turned, true);
            self.top = Some(self.shown_top);
        }
    }

    /// Notes what is shown, and marks what is selected of it.
    pub(crate) fn mark(&mut self, lines: &mut [Line<'static>]) {
        self.rows = lines.iter().map(ToString::to_string).collect();
        let Some(selection) = self.selection else { return };
        for (row, line) in lines.iter_mut().enumerate() {
            if let Some((from, to)) = selection.columns(row) {
                mark(line, from, to);
            }
        }
    }

    fn selected(&self) -> Option<String> {
        let selection = self.selection.filter(|selection| selection.from != selection.to)?;
        let rows = self.rows.iter().enumerate().filter_map(|(row, text)| {
            let (from, to) = selection.columns(row)?;
            let mut column = 0;
            let mut part = String::new();
            for letter in text.graphemes(true) {
                if (from..=to).contains(&column) {
                    part.push_str(letter);
                }
                column += width_of(letter);
            }
            Some(part.trim_end().to_owned())
        });
        let text = rows.collect::<Vec<_>>().join("\n");
        Some(text).filter(|text| !text.trim().is_empty())
    }
}

impl Selection {
    /// The first and the last column of a row that are selected.
    fn columns(self, row: usize) -> Option<(usize, usize)> {
        let (first, last) = (self.from.min(self.to), self.from.max(self.to));
        if row < first.0 || row > last.0 {
            return None;
        }
        let from = if row == first.0 { first.1 } else { 0 };
        let to = if row == last.0 { last.1 } else { usize::MAX };
        Some((from, to))
    }
}

/// Turns these columns of a line around.
fn mark(line: &mut Line<'static>, from: usize, to: usize) {
    let mut column = 0;
    let mut spans = Vec::new();
    for span in &line.spans {
        for letter in span.content.graphemes(true) {
            let is_marked = (from..=to).contains(&column);
            let style = if is_marked { span.style.add_modifier(Modifier::REVERSED) } else { span.style };
            column += width_of(letter);
            match spans.last_mut() {
                Some(Span { style: before, content }) if *before == style => {
                    content.to_mut().push_str(letter)
                }
                Some(_) | None => spans.push(Span::styled(letter.to_owned(), style)),
            }
        }
    }
    line.spans = spans;
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyModifiers;

    use super::*;

    fn full(pieces: usize) -> Fullscreen {
        let mut full = Fullscreen::default();
        for _ in 0..pieces {
            full.push(Piece::Aside(Aside::Help));
        }
        make(&mut full, 20);
        full
    }

    /// Each piece is two lines.
    fn make(full: &mut Fullscreen, width: u16) {
        full.make(width, Detail::Folded, |_, detail| {
            let mut lines = vec![Line::raw("one"), Line::raw(format!("two {width}"))];
            if detail == Detail::Full {
                lines.push(Line::raw("three"));
            }
            lines
        });
    }

    fn shown(full: &mut Fullscreen, live: &[&'static str], room: usize) -> Vec<String> {
        let live = live.iter().map(|line| Line::raw(*line)).collect();
        full.window(live, room).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_end_is_shown_and_scrolling_stays_where_it_is() {
        let mut full = full(3);
        assert_eq!(shown(&mut full, &["live"], 3), ["one", "two 20", "live"]);
        full.scroll(-2);
        assert_eq!(shown(&mut full, &["live"], 3), ["one", "two 20", "one"]);
        full.push(Piece::Aside(Aside::Help));
        make(&mut full, 20);
        assert_eq!(shown(&mut full, &["live", "more"], 3), ["one", "two 20", "one"]);
        assert_eq!(full.below(), 5);
        full.scroll(100);
        assert_eq!(shown(&mut full, &["live", "more"], 3), ["two 20", "live", "more"]);
        full.scroll(-100);
        assert_eq!(shown(&mut full, &[], 2), ["one", "two 20"]);
    }

    #[test]
    fn little_is_shown_at_the_top_and_another_width_breaks_anew() {
        let mut full = full(1);
        assert_eq!(shown(&mut full, &["live"], 5), ["one", "two 20", "live", "", ""]);
        make(&mut full, 30);
        assert_eq!(shown(&mut full, &[], 2), ["one", "two 30"]);
        let mut full = self::full(9);
        shown(&mut full, &[], 4);
        full.scroll(-6);
        make(&mut full, 30);
        assert_eq!(full.below(), 6, "it stays about where it was");
    }

    #[test]
    fn a_click_unfolds_what_is_there_and_folds_it_again() {
        let mut full = full(3);
        assert_eq!(shown(&mut full, &[], 4), ["one", "two 20", "one", "two 20"]);
        let click = |full: &mut Fullscreen, row| {
            for kind in [MouseEventKind::Down(MouseButton::Left), MouseEventKind::Up(MouseButton::Left)] {
                full.mouse(MouseEvent { kind, row, column: 3, modifiers: KeyModifiers::NONE });
            }
            make(full, 20);
        };
        click(&mut full, 1);
        assert_eq!(shown(&mut full, &[], 4), ["one", "two 20", "three", "one"]);
        click(&mut full, 3);
        assert_eq!(shown(&mut full, &[], 7), ["two 20", "one", "two 20", "three", "one", "two 20", "three"]);
        click(&mut full, 1);
        assert_eq!(shown(&mut full, &[], 6), ["two 20", "one", "two 20", "one", "two 20", "three"]);
        click(&mut full, 90);
    }

    #[test]
    fn what_is_far_back_is_dropped() {
        let mut full = full(MOST_LINES);
        assert_eq!(full.lines.len(), MOST_LINES);
        assert_eq!(full.made, full.pieces.len());
        assert_eq!(shown(&mut full, &[], 1), ["two 20"]);
    }

    #[test]
    fn text_is_selected_with_the_mouse() {
        let mut full = Fullscreen::default();
        let mut lines = vec![Line::raw("first line  "), Line::raw("二 second"), Line::raw("third")];
        full.mark(&mut lines);
        let mut mouse =
            |kind, row, column| full.mouse(MouseEvent { kind, row, column, modifiers: KeyModifiers::NONE });
        let left = MouseButton::Left;
        assert_eq!(mouse(MouseEventKind::Down(left), 0, 6), None);
        assert_eq!(mouse(MouseEventKind::Drag(left), 1, 3), None);
        assert_eq!(mouse(MouseEventKind::Up(left), 1, 3).as_deref(), Some("line\n二 s"));
        full.mark(&mut lines);
        let is_reversed = |span: &&Span<'_>| span.style.add_modifier.contains(Modifier::REVERSED);
        let marked: String = lines
            .iter()
            .flat_map(|line| &line.spans)
            .filter(is_reversed)
            .map(|span| &*span.content)
            .collect();
        assert_eq!(marked, "line  二 s");
        full.deselect();
        let mut mouse =
            |kind, row, column| full.mouse(MouseEvent { kind, row, column, modifiers: KeyModifiers::NONE });
        mouse(MouseEventKind::Down(left), 2, 2);
        assert_eq!(mouse(MouseEventKind::Up(left), 2, 2), None, "a click selects nothing");
    }
}

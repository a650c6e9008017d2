//! A second session on the right half of the screen, which is looked at and not written into. Knows nothing of how it
//! is followed.

use std::path::PathBuf;

use client::Update;
use protocol::delta::FeedEntry;
use protocol::ids::SessionId;
use ratatui::layout::Size;
use ratatui::text::{Line, Span};
use view::{Activity, Block, Link, View};

use crate::blocks::{Detail, Pen};
use crate::fullscreen::{Fullscreen, Piece};
use crate::help::doing;
use crate::highlight::Syntaxes;
use crate::theme::Theme;
use crate::wrap::{fit, width_of};

/// Columns that a terminal needs for two sessions.
pub(crate) const LEAST_WIDTH: u16 = 120;
/// What stands between them.
const BAR: &str = " │ ";
const BAR_WIDTH: u16 = 3;

/// The second session.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) session: SessionId,
    view: View,
    full: Fullscreen,
    /// Why it can't be followed any more.
    ended: Option<String>,
}

/// How wide the two halves are, if there is room for two.
pub(crate) fn halves(width: u16) -> Option<(u16, u16)> {
    let left = width.saturating_sub(BAR_WIDTH) / 2;
    (width >= LEAST_WIDTH).then_some((left, width - BAR_WIDTH - left))
}

/// The rows of two halves as rows of the screen.
pub(crate) fn join(
    left: Vec<Line<'static>>,
    left_width: u16,
    right: Vec<Line<'static>>,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let rows = left.len().max(right.len());
    let mut right = right.into_iter();
    let mut left = left.into_iter();
    let row = |_| {
        let mut line = left.next().unwrap_or_default();
        let free = usize::from(left_width).saturating_sub(line.width());
        let style = line.style;
        for span in &mut line.spans {
            span.style = style.patch(span.style);
        }
        line.style = ratatui::style::Style::new();
        line.spans.push(Span::raw(" ".repeat(free)));
        line.spans.push(Span::styled(BAR, theme.dim));
        let other = right.next().unwrap_or_default();
        line.spans.extend(
            other.spans.into_iter().map(|span| Span::styled(span.content, other.style.patch(span.style))),
        );
        line
    };
    (0..rows).map(row).collect()
}

impl Beside {
    /// One of which nothing is known yet.
    pub(crate) fn new(session: SessionId) -> Self {
        Self { session, view: View::new(), full: Fullscreen::default(), ended: None }
    }

    /// Something happened in it.
    pub(crate) fn update(&mut self, update: Update) {
        match update {
            Update::Snapshot(snapshot) => self.view.snapshot(*snapshot),
            Update::Entries(entries) => entries.into_iter().for_each(|entry| self.view.apply(entry)),
            Update::Presence(presence) => self.view.apply(FeedEntry::Presence(presence)),
            Update::Lost => self.view.set_link(Link::Lost),
            Update::Back(_) => self.view.set_link(Link::Up),
        }
    }

    /// It can't be followed any more.
    pub(crate) fn end(&mut self, reason: String) {
        self.ended = Some(reason);
    }

    /// Other colours hold.
    pub(crate) fn redraw(&mut self) {
        self.full.redraw();
    }

    /// Its half: what it is and does, and the end of what was said.
    pub(crate) fn lines(&mut self, size: Size, theme: &Theme, syntaxes: &Syntaxes) -> Vec<Line<'static>> {
        let status = self.view.status();
        let cwd = status.settings.as_ref().map_or_else(PathBuf::new, |settings| settings.cwd.clone());
        let title = status.title.clone().unwrap_or_else(|| self.session.to_string());
        let (state, style) = match (&self.ended, status.activity) {
            (Some(reason), _) => (reason.as_str(), theme.bad),
            (None, Activity::Waiting { .. }) => (doing(status), theme.warning),
            (None, Activity::Running { .. } | Activity::Suspended { .. }) => (doing(status), theme.accent),
            (None, Activity::Idle | Activity::Archived | Activity::Damaged) => (doing(status), theme.dim),
        };
        let room = usize::from(size.width);
        let state = fit(&format!(" · {}", view::escape::line(state)), room / 2);
        let title = fit(&view::escape::short_line(title.trim(), 200), room.saturating_sub(width_of(&state)));
        let headline = Line::from(vec![Span::styled(title, theme.strong), Span::styled(state, style)]);
        let detail = Detail::Folded;
        let pen = Pen { theme, width: size.width, detail, syntaxes, cwd: &cwd };
        for block in self.view.take_finished() {
            self.full.push(Piece::Block(Box::new(block)));
        }
        self.full.make(size.width, detail, |piece, detail| match piece {
            Piece::Block(block) => Pen { detail, ..pen }.block(block),
            Piece::Aside(_) => Vec::new(),
        });
        let is_open = self.view.live().next().is_some_and(Block::goes_on);
        let last_row = if is_open { self.full.take_last_row() } else { None };
        let mut row = last_row.clone();
        let live = self.view.live().flat_map(|block| pen.block_after(row.take(), block)).collect();
        let mut lines = vec![headline];
        lines.extend(self.full.window(live, usize::from(size.height).saturating_sub(1)));
        self.full.put_back(last_row);
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::tests::session;

    #[test]
    fn two_sessions_need_a_wide_terminal() {
        assert_eq!(halves(119), None);
        assert_eq!(halves(120), Some((58, 59)));
    }

    #[test]
    fn the_second_session_shows_what_it_is_and_its_end() {
        let mut snapshot = session("One.\n\nTwo.");
        snapshot.summary.title = Some("the other \u{1b}[2J".to_owned());
        let mut beside = Beside::new(snapshot.summary.id);
        beside.update(Update::Snapshot(Box::new(snapshot)));
        let mut shown = |rows| -> Vec<String> {
            let lines = beside.lines(Size::new(30, rows), &Theme::plain(), &Syntaxes::Off);
            lines.iter().map(|line| line.to_string().trim_end().to_owned()).collect()
        };
        assert_eq!(shown(4), ["the other \\e[2J · running", "• One.", "", "  Two."]);
        assert_eq!(shown(1), ["the other \\e[2J · running"]);
        beside.end("The session was deleted".to_owned());
        let lines = beside.lines(Size::new(60, 2), &Theme::plain(), &Syntaxes::Off);
        assert!(lines[0].to_string().contains("was deleted"));
    }

    #[test]
    fn halves_stand_side_by_side_whatever_their_lengths() {
        let (left, right) = (vec![Line::raw("日本"), Line::raw("b")], vec![Line::raw("c")]);
        let rows: Vec<String> =
            join(left, 6, right, &Theme::plain()).iter().map(ToString::to_string).collect();
        assert_eq!(rows, ["日本   │ c", "b      │ "]);
    }
}

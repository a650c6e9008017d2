//! The alternate screen: all of the terminal, as long as it is needed; then what was there before comes back. Knows
//! nothing of what is shown.

use std::io::{self, Write};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::queue;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect, Size};
use ratatui::text::Line;

use crate::hyperlink::{Hyperlinks, Links};
use crate::screen::{buffer_of, put};
use crate::terminal;

/// The alternate screen. It is left when this is dropped.
pub(crate) struct Pane<W: Write> {
    out: W,
    shown: Buffer,
    cursor: Option<Position>,
    hyperlinks: Hyperlinks,
}

impl<W: Write> Pane<W> {
    /// Enters it.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub(crate) fn enter(mut out: W, hyperlinks: Hyperlinks) -> io::Result<Self> {
        terminal::note_alternate(true);
        queue!(out, EnterAlternateScreen, Hide)?;
        Ok(Self { out, shown: Buffer::empty(Rect::ZERO), cursor: None, hyperlinks })
    }

    /// Shows lines from the top, with the cursor if there is one. Writes nothing if nothing changed.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub(crate) fn draw(
        &mut self,
        lines: &[Line<'static>],
        size: Size,
        cursor: Option<Position>,
    ) -> io::Result<()> {
        let size = Size::new(size.width.max(1), size.height.max(1));
        let mut next = Buffer::empty(Rect::new(0, 0, size.width, size.height));
        let text = buffer_of(lines, size);
        next.merge(&text);
        let links = Links::of(lines, self.hyperlinks);
        let mut bytes = Vec::new();
        if next.area == self.shown.area {
            put(&mut bytes, 0, &self.shown.diff(&next), |x, y| links.at(y.into(), x))?;
        } else {
            queue!(bytes, Clear(ClearType::All))?;
            put(&mut bytes, 0, &Buffer::empty(next.area).diff(&next), |x, y| links.at(y.into(), x))?;
        }
        if bytes.is_empty() && self.cursor == cursor {
            return Ok(());
        }
        let mut frame = Vec::with_capacity(bytes.len() + 32);
        queue!(frame, BeginSynchronizedUpdate, Hide)?;
        frame.append(&mut bytes);
        if let Some(cursor) = cursor {
            queue!(frame, MoveTo(cursor.x, cursor.y), Show)?;
        }
        queue!(frame, EndSynchronizedUpdate)?;
        (self.shown, self.cursor) = (next, cursor);
        self.out.write_all(&frame)?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Pane<W> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // It was left before the panic was told; to leave it again would take the cursor back above that.
            return;
        }
        // A terminal that is gone can't be put back, and needs not.
        let _gone = queue!(self.out, LeaveAlternateScreen, Show);
        let _gone = self.out.flush();
        terminal::note_alternate(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_comes_back() {
        let mut terminal = vt100::Parser::new(4.try_into().unwrap(), 20.try_into().unwrap(), 0);
        terminal.process(b"before");
        let mut bytes = Vec::new();
        {
            let mut pane = Pane::enter(&mut bytes, Hyperlinks::Told).unwrap();
            pane.draw(&[Line::raw("one"), Line::raw("two")], Size::new(20, 4), None).unwrap();
            pane.draw(&[Line::raw("one")], Size::new(20, 4), None).unwrap();
        }
        let leave = bytes.windows(8).position(|part| part == b"\x1b[?1049l").unwrap();
        terminal.process(&bytes[..leave]);
        assert_eq!(terminal.screen().contents().trim_end(), "one");
        terminal.process(&bytes[leave..]);
        assert_eq!(terminal.screen().contents(), "before");
    }

    #[test]
    fn nothing_is_written_when_nothing_changed() {
        let mut bytes = Vec::new();
        let mut pane = Pane::enter(&mut bytes, Hyperlinks::Told).unwrap();
        pane.draw(&[Line::raw("one")], Size::new(20, 4), None).unwrap();
        let length = pane.out.len();
        pane.draw(&[Line::raw("one")], Size::new(20, 4), None).unwrap();
        assert_eq!(pane.out.len(), length);
    }
}

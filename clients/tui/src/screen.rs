//! The screen in inline mode: what is finished goes into the terminal's own scrollback, and below it a viewport is
//! kept up to date. Knows escape sequences and rows, nothing of what is shown.
//!
//! Lines reach the scrollback as those of any program do: they are written, and the terminal scrolls. No scrolling
//! regions, because not every terminal and multiplexer keeps what scrolls out of one. A frame is one write, wrapped
//! in a synchronized update, so that a terminal shows all of it or nothing.

use std::io::{self, Write};
use std::sync::Arc;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::queue;
use crossterm::style::Print;
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::Color;
use ratatui::text::Line;

use crate::hyperlink::{self, Hyperlinks, Links};

/// How a terminal breaks rows anew when its width changes, as far as that must be known to find the viewport again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reflow {
    /// The cursor stays where it was in the text.
    #[default]
    Usual,
    /// As in VS Code: the cursor moves down by each row that more is needed, also below it; its own row stays as it is,
    /// and blanks that were written count as text.
    XtermJs,
    /// A row keeps being the continuation of the one above when it is cleared, and is joined with it later.
    Zellij,
}

impl Reflow {
    /// That of the terminal that this process was started in.
    pub(crate) fn of_environment() -> Self {
        let is_vs_code = std::env::var_os("TERM_PROGRAM").is_some_and(|program| program == "vscode");
        match (std::env::var_os("ZELLIJ"), is_vs_code) {
            (Some(_), _) => Self::Zellij,
            (None, true) => Self::XtermJs,
            (None, false) => Self::Usual,
        }
    }
}

/// The screen.
pub(crate) struct Screen<W: Write> {
    out: W,
    /// Invariant: at least a cell.
    size: Size,
    /// The viewport's first row. Invariant: the viewport ends within the screen.
    top: u16,
    /// What the viewport shows, and where the cursor is in it.
    shown: Buffer,
    cursor: Position,
    /// Whether the terminal may show something else than `shown`.
    is_stale: bool,
    hyperlinks: Hyperlinks,
    reflow: Reflow,
}

impl<W: Write> Screen<W> {
    /// A screen that begins at a row; what is above stays.
    pub(crate) fn new(out: W, size: Size, row: u16, hyperlinks: Hyperlinks) -> Self {
        let size = at_least_a_cell(size);
        let top = row.min(size.height - 1);
        let (shown, cursor) = (Buffer::empty(Rect::ZERO), Position::ORIGIN);
        Self { out, size, top, shown, cursor, is_stale: true, hyperlinks, reflow: Reflow::Usual }
    }

    /// On a terminal that breaks rows like this.
    pub(crate) fn breaking(self, reflow: Reflow) -> Self {
        Self { reflow, ..self }
    }

    /// How large the terminal is.
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// The terminal has another size now, and its cursor is there, if it told. Terminals move lines around then, and break
    /// those that are too long anew; the cursor stays where it was in the text. Some leave the row that it is in as it is:
    /// then its column tells.
    pub(crate) fn resize(&mut self, size: Size, cursor: Option<Position>) {
        let size = at_least_a_cell(size);
        let width = usize::from(size.width);
        let rows_of = |y| self.row_width(y).div_ceil(width).max(1);
        let above: usize = match self.reflow {
            Reflow::Usual | Reflow::Zellij => {
                let column = usize::from(self.cursor.x);
                let is_broken = cursor.is_none_or(|cursor| usize::from(cursor.x) == column % width);
                (0..self.cursor.y).map(rows_of).chain(is_broken.then_some(column / width)).sum()
            }
            Reflow::XtermJs => {
                let rows = self.shown.area.height;
                // Rows that a lower window has cut off were not broken.
                let kept = (self.cursor.y + 1).max(size.height.saturating_sub(self.top));
                let rows = if size.height < self.size.height { rows.min(kept) } else { rows };
                let more = (0..rows).filter(|y| *y != self.cursor.y).map(|y| rows_of(y) - 1);
                usize::from(self.cursor.y) + more.sum::<usize>()
            }
        };
        let above = u16::try_from(above).unwrap_or(u16::MAX);
        let bottom = size.height.saturating_sub(self.shown.area.height);
        self.top = cursor.map_or(bottom, |cursor| cursor.y.saturating_sub(above)).min(size.height - 1);
        self.size = size;
        self.is_stale = true;
    }

    /// The terminal may show anything now: clears the viewport, lets what is above go into the scrollback, and begins at
    /// the top. What was said is nowhere else, so it is never cleared.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub(crate) fn forget(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.clear(&mut bytes)?;
        self.scroll(&mut bytes, self.top)?;
        (self.top, self.is_stale) = (0, true);
        self.out.write_all(&bytes)?;
        self.out.flush()
    }

    /// Clears from the viewport's first row on.
    fn clear(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        if self.reflow == Reflow::Zellij && self.is_stale && self.top + 1 < self.size.height {
            // New rows continue none. From the first row of the screen on they would go into its history.
            let width = usize::from(self.size.width);
            let rows: usize =
                (0..self.shown.area.height).map(|y| self.row_width(y).div_ceil(width).max(1)).sum();
            let rows = rows.clamp(1, usize::from(self.size.height - self.top - 1));
            queue!(bytes, MoveTo(0, self.top + 1), Print(format_args!("\x1b[{rows}M")))?;
        }
        // Not from the first cell on: tmux takes that for a screen that is to be kept, and puts it into its history.
        queue!(bytes, MoveTo(0, self.top), Clear(ClearType::UntilNewLine))?;
        if self.top + 1 < self.size.height {
            queue!(bytes, MoveTo(0, self.top + 1), Clear(ClearType::FromCursorDown))?;
        }
        Ok(())
    }

    /// Shows a frame: `finished` goes above the viewport for good, `viewport` is what it shows now, with the cursor
    /// in it. Writes nothing if nothing changed.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub(crate) fn draw(
        &mut self,
        finished: &[Line<'static>],
        viewport: &[Line<'static>],
        cursor: Position,
    ) -> io::Result<()> {
        let next = buffer_of(viewport, self.size);
        let links = Links::of(viewport, self.hyperlinks);
        let mut bytes = Vec::new();
        if self.is_stale || !finished.is_empty() || next.area != self.shown.area {
            self.clear(&mut bytes)?;
            self.write_above(&mut bytes, finished, next.area.height)?;
            put(&mut bytes, self.top, &Buffer::empty(next.area).diff(&next), |x, y| links.at(y.into(), x))?;
        } else {
            put(&mut bytes, self.top, &self.shown.diff(&next), |x, y| links.at(y.into(), x))?;
            if self.reflow == Reflow::XtermJs {
                for y in 0..next.area.height {
                    let (before, now) = (row_width(&self.shown, y), row_width(&next, y));
                    if let Some(x) = u16::try_from(now).ok().filter(|_| now < before) {
                        queue!(bytes, MoveTo(x, self.top + y), Clear(ClearType::UntilNewLine))?;
                    }
                }
            }
            if bytes.is_empty() && cursor == self.cursor {
                return Ok(());
            }
        }
        queue!(bytes, MoveTo(cursor.x, self.top + cursor.y))?;
        (self.shown, self.cursor, self.is_stale) = (next, cursor, false);
        let mut frame = Vec::with_capacity(bytes.len() + 32);
        queue!(frame, BeginSynchronizedUpdate, Hide)?;
        frame.append(&mut bytes);
        queue!(frame, Show, EndSynchronizedUpdate)?;
        self.out.write_all(&frame)?;
        self.out.flush()
    }

    /// Writes lines from the viewport's top on, and makes room for a viewport below them.
    fn write_above(&mut self, bytes: &mut Vec<u8>, lines: &[Line<'static>], height: u16) -> io::Result<()> {
        let links = Links::of(lines, self.hyperlinks);
        let mut y = self.top;
        for (at, line) in lines.iter().enumerate() {
            if y == self.size.height {
                self.scroll(bytes, 1)?;
                y -= 1;
            }
            let row = buffer_of(std::slice::from_ref(line), self.size);
            put(bytes, y, &Buffer::empty(row.area).diff(&row), |x, _| links.at(at, x))?;
            y += 1;
        }
        let overflow = (y + height).saturating_sub(self.size.height);
        self.scroll(bytes, overflow)?;
        self.top = y - overflow;
        Ok(())
    }

    fn scroll(&self, bytes: &mut Vec<u8>, rows: u16) -> io::Result<()> {
        if rows > 0 {
            queue!(bytes, MoveTo(0, self.size.height - 1))?;
        }
        for _ in 0..rows {
            queue!(bytes, Print('\n'))?;
        }
        Ok(())
    }

    /// How wide the text of a viewport's row is.
    fn row_width(&self, y: u16) -> usize {
        row_width(&self.shown, y)
    }
}

fn row_width(buffer: &Buffer, y: u16) -> usize {
    let is_blank = |x: u16| buffer.cell((x, y)).is_none_or(|cell| cell.symbol() == " ");
    (0..buffer.area.width).rev().find(|x| !is_blank(*x)).map_or(0, |x| usize::from(x) + 1)
}

/// Terminals that do not know their size say that they have none.
fn at_least_a_cell(size: Size) -> Size {
    Size::new(size.width.max(1), size.height.max(1))
}

pub(crate) fn buffer_of(lines: &[Line<'static>], size: Size) -> Buffer {
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(size.height);
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.width, height));
    for (y, line) in (0..height).zip(lines) {
        buffer.set_line(0, y, line, size.width);
    }
    buffer
}

/// Writes cells, those that belong to a link as one; `link` tells the address for a column and a row.
pub(crate) fn put<'a>(
    bytes: &mut Vec<u8>,
    top: u16,
    cells: &[(u16, u16, &Cell)],
    link: impl Fn(u16, u16) -> Option<&'a Arc<str>>,
) -> io::Result<()> {
    let carries = |cell: &Cell| hyperlink::is_number(cell.bg);
    let address = |(x, y, cell): &(u16, u16, &Cell)| if carries(cell) { link(*x, *y) } else { None };
    for run in cells.chunk_by(|one, other| {
        carries(one.2) == carries(other.2) && (!carries(one.2) || address(one) == address(other))
    }) {
        let Some(first) = run.first() else { continue };
        if !carries(first.2) {
            CrosstermBackend::new(&mut *bytes).draw(run.iter().map(|(x, y, cell)| (*x, top + y, *cell)))?;
            continue;
        }
        let plain: Vec<(u16, u16, Cell)> = run
            .iter()
            .map(|(x, y, cell)| {
                let mut cell = (*cell).clone();
                cell.set_bg(Color::Reset);
                (*x, top + y, cell)
            })
            .collect();
        let address = address(first);
        if let Some(address) = address {
            hyperlink::begin(bytes, address);
        }
        CrosstermBackend::new(&mut *bytes).draw(plain.iter().map(|(x, y, cell)| (*x, *y, cell)))?;
        if address.is_some() {
            bytes.extend_from_slice(hyperlink::END);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

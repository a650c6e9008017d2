//! Tables in lines of a width: borders, columns that are aligned, cells that are broken between words. One that has too
//! many columns for the screen is shown row by row. Knows nothing of where it stands.

use pulldown_cmark::Alignment;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use crate::theme::Theme;
use crate::wrap::{Break, wrap};

/// Columns of the screen that a column needs at least.
const LEAST: usize = 4;
/// Cells of a table; those beyond are left out.
const MOST_CELLS: usize = 4000;

type Cell = Vec<Span<'static>>;

/// A table, as far as it is.
#[derive(Debug, Default)]
pub(crate) struct Table {
    alignments: Vec<Alignment>,
    /// The first one is the head.
    rows: Vec<Vec<Cell>>,
    cells: usize,
    left_out: usize,
}

impl Table {
    pub(crate) fn new(alignments: Vec<Alignment>) -> Self {
        Self { alignments, ..Self::default() }
    }

    /// A row begins.
    pub(crate) fn begin_row(&mut self) {
        if self.cells < MOST_CELLS {
            self.rows.push(Vec::new());
        } else {
            self.left_out += 1;
        }
    }

    /// Adds a cell to the last row.
    pub(crate) fn push(&mut self, cell: Cell) {
        if self.left_out == 0
            && let Some(row) = self.rows.last_mut()
        {
            row.push(cell);
            self.cells += 1;
        }
    }

    /// In lines that are at most so wide.
    pub(crate) fn lines(self, width: u16, theme: &Theme) -> Vec<Line<'static>> {
        let left_out = self.left_out;
        let mut lines = match self.widths(usize::from(width)) {
            Some(widths) => self.framed(&widths, theme),
            None => self.listed(width, theme),
        };
        if left_out > 0 {
            lines.push(Line::styled(format!("… {left_out} rows more"), theme.dim));
        }
        lines
    }

    fn columns(&self) -> usize {
        self.rows.iter().map(Vec::len).max().unwrap_or_default()
    }

    /// The widths of the columns: those of their widest cells, or, where the screen has no room for them, the widest are
    /// made narrower. Absent if that is not enough.
    fn widths(&self, room: usize) -> Option<Vec<usize>> {
        let columns = self.columns();
        let room = room.checked_sub(3 * columns + 1).filter(|room| *room >= LEAST * columns)?;
        let widest = |column: usize| {
            let widths = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width_of(cell));
            widths.max().unwrap_or_default().clamp(1, room)
        };
        let mut widths: Vec<usize> = (0..columns).map(widest).collect();
        while widths.iter().sum::<usize>() > room {
            *widths.iter_mut().max()? -= 1;
        }
        Some(widths)
    }

    fn framed(&self, widths: &[usize], theme: &Theme) -> Vec<Line<'static>> {
        let rule = |left: &str, middle: &str, right: &str| {
            let bars: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
            Line::styled(format!("{left}{}{right}", bars.join(middle)), theme.dim)
        };
        let rows: Vec<Vec<Line<'static>>> =
            self.rows.iter().enumerate().map(|(at, row)| self.row(row, widths, at == 0, theme)).collect();
        // Where a row has several lines, it must be seen where it ends.
        let is_apart = rows.iter().skip(1).any(|row| row.len() > 1);
        let count = rows.len();
        let mut lines = vec![rule("┌", "┬", "┐")];
        for (at, row) in rows.into_iter().enumerate() {
            lines.extend(row);
            if at + 1 < count && (at == 0 || is_apart) {
                lines.push(rule("├", "┼", "┤"));
            }
        }
        lines.push(rule("└", "┴", "┘"));
        lines
    }

    fn row(&self, row: &[Cell], widths: &[usize], is_head: bool, theme: &Theme) -> Vec<Line<'static>> {
        let cell = |column: usize, width: usize| {
            let spans = row.get(column).map(Vec::as_slice).unwrap_or_default();
            let width = u16::try_from(width).unwrap_or(u16::MAX);
            wrap(&styled(spans, is_head), width, &[], &[], Break::Words)
        };
        let cells: Vec<Vec<Line<'static>>> =
            widths.iter().enumerate().map(|(column, width)| cell(column, *width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or_default();
        let line = |at: usize| {
            let mut spans = vec![Span::styled("│", theme.dim)];
            for (column, (lines, width)) in cells.iter().zip(widths).enumerate() {
                let part = lines.get(at).map(|line| line.spans.as_slice()).unwrap_or_default();
                let free = width.saturating_sub(width_of(part));
                let before = match self.alignments.get(column) {
                    Some(Alignment::Right) => free,
                    Some(Alignment::Center) => free / 2,
                    Some(Alignment::Left | Alignment::None) | None => 0,
                };
                spans.push(Span::raw(" ".repeat(before + 1)));
                spans.extend(part.iter().cloned());
                spans.push(Span::raw(" ".repeat(free - before + 1)));
                spans.push(Span::styled("│", theme.dim));
            }
            Line::from(spans)
        };
        (0..height).map(line).collect()
    }

    /// Row by row: what each column is called, and the cell.
    fn listed(&self, width: u16, theme: &Theme) -> Vec<Line<'static>> {
        let Some((head, rows)) = self.rows.split_first() else { return Vec::new() };
        let mut lines = Vec::new();
        for row in rows {
            if !lines.is_empty() {
                lines.push(Line::styled("───", theme.dim));
            }
            for (column, cell) in row.iter().enumerate() {
                let mut spans = head.get(column).map(|name| styled(name, true)).unwrap_or_default();
                spans.push(Span::styled(": ", theme.dim));
                spans.extend(cell.iter().cloned());
                lines.extend(wrap(&spans, width, &[], &[Span::raw("  ")], Break::Words));
            }
        }
        if rows.is_empty() {
            for name in head {
                lines.extend(wrap(&styled(name, true), width, &[], &[Span::raw("  ")], Break::Words));
            }
        }
        lines
    }
}

fn styled(spans: &[Span<'static>], is_head: bool) -> Cell {
    let mut spans = spans.to_vec();
    if is_head {
        for span in &mut spans {
            span.style = span.style.add_modifier(Modifier::BOLD);
        }
    }
    spans
}

fn width_of(spans: &[Span<'_>]) -> usize {
    spans.iter().map(|span| crate::wrap::width_of(&span.content)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(alignments: &[Alignment], rows: &[&[&'static str]], width: u16, wanted: &[&str]) {
        let mut table = Table::new(alignments.to_vec());
        for row in rows {
            table.begin_row();
            row.iter().for_each(|cell| table.push(vec![Span::raw(*cell)]));
        }
        let lines: Vec<String> =
            table.lines(width, &Theme::plain()).iter().map(ToString::to_string).collect();
        assert_eq!(lines, wanted);
    }

    #[test]
    fn columns_are_aligned_as_the_table_says() {
        use Alignment::{Center, Left, Right};
        check(
            &[Left, Right, Center],
            &[&["name", "n", "mid"], &["日本", "12", "x"]],
            40,
            &[
                "┌──────┬────┬─────┐",
                "│ name │  n │ mid │",
                "├──────┼────┼─────┤",
                "│ 日本 │ 12 │  x  │",
                "└──────┴────┴─────┘",
            ],
        );
    }

    #[test]
    fn what_is_too_wide_is_broken_between_words_and_rows_stay_apart() {
        check(
            &[],
            &[&["k", "what"], &["a", "one two three"], &["b", "x"]],
            15,
            &[
                "┌───┬─────────┐",
                "│ k │ what    │",
                "├───┼─────────┤",
                "│ a │ one two │",
                "│   │ three   │",
                "├───┼─────────┤",
                "│ b │ x       │",
                "└───┴─────────┘",
            ],
        );
    }

    #[test]
    fn what_has_too_many_columns_is_shown_row_by_row() {
        check(&[], &[&["a", "b"], &["1", "2"], &["3"]], 12, &["a: 1", "b: 2", "───", "a: 3"]);
        check(&[], &[&["a", "b"]], 4, &["a", "b"]);
    }

    #[test]
    fn a_table_without_end_is_cut() {
        let mut table = Table::new(Vec::new());
        for _ in 0..MOST_CELLS + 5 {
            table.begin_row();
            table.push(vec![Span::raw("x")]);
        }
        assert_eq!(table.lines(20, &Theme::plain()).last().unwrap().to_string(), "… 5 rows more");
    }
}

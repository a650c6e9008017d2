//! A list of which one row is chosen: what completes a word, and what pickers show. Knows nothing of what the rows
//! stand for.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::text::{Line, Span};
use view::escape;

use crate::theme::Theme;
use crate::wrap::{fit, width_of};

/// Letters of a label and of what is said of it.
const LABEL_LETTERS: usize = 200;
const DETAIL_LETTERS: usize = 200;

/// A row. Anybody may have written it; it is made harmless when it is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) detail: String,
}

/// Rows, of which one is chosen.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    rows: Vec<Row>,
    /// Which of them are shown, the best first.
    shown: Vec<usize>,
    at: usize,
}

impl Row {
    pub(crate) fn new(label: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { label: label.into(), detail: detail.into() }
    }
}

impl List {
    /// All rows, the first one chosen.
    pub(crate) fn new(rows: Vec<Row>) -> Self {
        let shown = (0..rows.len()).collect();
        Self { rows, shown, at: 0 }
    }

    /// Shows the rows that fit a pattern, the best first, and chooses the first one.
    pub(crate) fn filter(&mut self, text: &str) {
        self.at = 0;
        if text.trim().is_empty() {
            self.shown = (0..self.rows.len()).collect();
            return;
        }
        let pattern = Pattern::parse(text, CaseMatching::Smart, Normalization::Smart);
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut letters = Vec::new();
        let mut scored: Vec<(u32, usize)> = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            let text = format!("{} {}", row.label, row.detail);
            if let Some(score) = pattern.score(Utf32Str::new(&text, &mut letters), &mut matcher) {
                scored.push((score, at));
            }
        }
        scored.sort_by(|(one, first), (two, second)| two.cmp(one).then(first.cmp(second)));
        self.shown = scored.into_iter().map(|(_, at)| at).collect();
    }

    /// The number of the chosen row, as the rows were given.
    pub(crate) fn chosen(&self) -> Option<usize> {
        self.shown.get(self.at).copied()
    }

    /// The chosen row.
    pub(crate) fn chosen_row(&self) -> Option<&Row> {
        self.chosen().and_then(|at| self.rows.get(at))
    }

    /// Whether no row is shown.
    pub(crate) fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// Chooses another row; beyond an end it goes on at the other one.
    pub(crate) fn go(&mut self, rows: isize) {
        let count = isize::try_from(self.shown.len()).unwrap_or(isize::MAX);
        if count > 0 {
            let at = isize::try_from(self.at).unwrap_or_default().saturating_add(rows);
            self.at = usize::try_from(at.rem_euclid(count)).unwrap_or_default();
        }
    }

    /// Chooses a row by its number.
    pub(crate) fn choose(&mut self, row: usize) {
        self.at = self.shown.iter().position(|at| *at == row).unwrap_or(self.at);
    }

    /// Chooses a row by its number, and says of it that it holds now.
    pub(crate) fn begin_at(&mut self, row: usize) {
        if let Some(row) = self.rows.get_mut(row) {
            row.detail =
                if row.detail.is_empty() { "now".to_owned() } else { format!("now · {}", row.detail) };
        }
        self.choose(row);
    }

    /// Chooses a row that is shown, if it is.
    pub(crate) fn choose_row(&mut self, row: &Row) {
        let is_it = |at: &usize| self.rows.get(*at) == Some(row);
        self.at = self.shown.iter().position(is_it).unwrap_or(self.at);
    }

    /// At most so many rows, the chosen one among them.
    pub(crate) fn lines(&self, width: u16, most: usize, theme: &Theme) -> Vec<Line<'static>> {
        let width = usize::from(width);
        let from = (self.at + 1).saturating_sub(most.max(1));
        let rows: Vec<&Row> =
            self.shown.iter().skip(from).take(most.max(1)).filter_map(|at| self.rows.get(*at)).collect();
        let labels: Vec<String> =
            rows.iter().map(|row| escape::short_line(&row.label, LABEL_LETTERS)).collect();
        let column = labels.iter().map(|label| width_of(label)).max().unwrap_or_default().min(width / 2);
        rows.iter()
            .zip(labels)
            .enumerate()
            .map(|(at, (row, label))| {
                let is_chosen = from + at == self.at;
                let mark = if is_chosen { "▸ " } else { "  " };
                let style = if is_chosen { theme.accent.patch(theme.strong) } else { theme.text };
                let room = width.saturating_sub(2);
                let label = fit(&label, room);
                let gap = (column + 2).saturating_sub(width_of(&label)).max(2);
                let room = room.saturating_sub(width_of(&label) + gap);
                let mut spans = vec![Span::styled(mark, theme.accent), Span::styled(label, style)];
                if !row.detail.is_empty() && room > 3 {
                    let detail = fit(&escape::short_line(&row.detail, DETAIL_LETTERS), room);
                    spans.push(Span::raw(" ".repeat(gap)));
                    spans.push(Span::styled(detail, theme.dim));
                }
                Line::from(spans)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> List {
        List::new(["alpha", "beta", "gamma"].map(|label| Row::new(label, "")).to_vec())
    }

    fn shown(list: &List, most: usize) -> Vec<String> {
        list.lines(20, most, &Theme::plain())
            .iter()
            .map(|line| line.to_string().trim_end().to_owned())
            .collect()
    }

    #[test]
    fn the_chosen_row_is_always_shown() {
        let mut list = list();
        list.go(-1);
        assert_eq!(shown(&list, 2), ["  beta", "▸ gamma"]);
        list.go(1);
        assert_eq!(shown(&list, 2), ["▸ alpha", "  beta"]);
    }

    #[test]
    fn a_pattern_leaves_what_fits() {
        let mut list = list();
        list.filter("mm");
        assert_eq!(list.chosen_row().map(|row| row.label.as_str()), Some("gamma"));
        list.filter("zz");
        assert!(list.is_empty() && list.chosen().is_none());
        list.go(1);
        list.filter("");
        assert_eq!(list.chosen(), Some(0));
    }

    #[test]
    fn a_row_can_do_nothing_to_the_terminal() {
        let list = List::new(vec![Row::new("a\u{1b}[2J\nb", "\u{202e}c")]);
        let line = list.lines(80, 5, &Theme::plain()).remove(0).to_string();
        assert_eq!(line, "▸ a\\e[2J\\nb  \\u{202e}c");
    }
}

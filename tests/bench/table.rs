//! The table that is printed. Knows nothing of what stands in it.

use std::fmt;

/// Rows, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    figure: String,
    promise: String,
    is_kept: Option<bool>,
}

impl Table {
    /// A figure that may be at most so much.
    pub(crate) fn at_most(&mut self, what: &str, figure: f64, most: f64, unit: &str) {
        let promise = format!("at most {}", number(most, unit));
        let is_kept = Some(figure <= most);
        self.rows.push(Row { what: what.to_owned(), figure: number(figure, unit), promise, is_kept });
    }

    /// A figure that is at least so much.
    pub(crate) fn at_least(&mut self, what: &str, figure: f64, least: f64, unit: &str) {
        let promise = format!("at least {}", number(least, unit));
        let is_kept = Some(figure >= least);
        self.rows.push(Row { what: what.to_owned(), figure: number(figure, unit), promise, is_kept });
    }

    /// A figure that nothing was promised of; it stands for comparison.
    pub(crate) fn figure(&mut self, what: &str, figure: f64, unit: &str) {
        let promise = String::new();
        self.rows.push(Row { what: what.to_owned(), figure: number(figure, unit), promise, is_kept: None });
    }
}

fn number(value: f64, unit: &str) -> String {
    let digits = if value.fract() == 0.0 || value >= 100.0 { 0 } else { 2 };
    format!("{value:.digits$} {unit}")
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |cell: fn(&Row) -> &str, head: &str| {
            self.rows
                .iter()
                .map(|row| cell(row).chars().count())
                .chain([head.len()])
                .max()
                .unwrap_or_default()
        };
        let what = width(|row| &row.what, "what");
        let figure = width(|row| &row.figure, "median");
        let promise = width(|row| &row.promise, "promised");
        writeln!(formatter, "{:what$}  {:>figure$}  {:promise$}", "what", "median", "promised")?;
        for row in &self.rows {
            let verdict = match row.is_kept {
                Some(true) => "kept",
                Some(false) => "NOT KEPT",
                None => "",
            };
            let line =
                format!("{:what$}  {:>figure$}  {:promise$}  {verdict}", row.what, row.figure, row.promise);
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_that_is_not_kept_is_seen() {
        let mut table = Table::default();
        table.at_most("a turn", 12.345, 10.0, "ms");
        table.at_most("a ratio", 2.0, 3.0, "times");
        table.figure("curl", 150.7, "ms");
        let text = table.to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "a turn   12.35 ms  at most 10 ms    NOT KEPT");
        assert_eq!(lines[2], "a ratio   2 times  at most 3 times  kept");
        assert_eq!(lines[3], "curl       151 ms");
    }
}

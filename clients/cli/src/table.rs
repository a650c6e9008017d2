//! Tables for people and JSON for scripts.

use serde::Serialize;

use crate::error::CliError;
use crate::output::Output;

/// Between two columns.
const GAP: &str = "  ";

/// Rows under headings, aligned; the last column is as long as it likes.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>], output: Output) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(headings.get(column).map(|heading| heading.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for (column, cell) in cells.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < cells.len() {
                let padding = widths[column] - cell.chars().count();
                text.extend(std::iter::repeat_n(' ', padding));
                text.push_str(GAP);
            }
        }
        text.trim_end().to_owned()
    };
    let mut text = output.out.dim(line(headings.to_vec())).into_owned();
    text.push('\n');
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
        text.push('\n');
    }
    text
}

/// Names and values, one pair a line.
pub(crate) fn pairs(rows: &[(&str, String)], output: Output) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter()
        .map(|(name, value)| format!("{}{GAP}{value}\n", output.out.dim(format!("{name:width$}"))))
        .collect()
}

/// JSON, indented, with a line's end.
pub(crate) fn json(value: &impl Serialize, output: Output) -> Result<(), CliError> {
    let text =
        serde_json::to_string_pretty(value).map_err(std::io::Error::other).map_err(CliError::Output)?;
    output.line(text).map_err(CliError::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["1", "üb", "x"], ["22", "a", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table(&["ID", "N", "REST"], &rows, Output::new().merged()),
            "ID  N   REST\n1   üb  x\n22  a\n"
        );
    }
}

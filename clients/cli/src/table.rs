//! Tables for people and JSON for scripts.

use serde::Serialize;

use crate::error::CliError;
use crate::output::Output;

/// Between two columns.
const GAP: &str = "  ";

/// Rows under headings, aligned; the last column is as long as it likes.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>], output: Output) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| letters(cell));
        cells.chain(headings.get(column).map(|heading| heading.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let mut text = String::new();
        for (column, cell) in cells.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < cells.len() {
                let padding = widths[column] - letters(cell);
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

/// Letters of a cell that are seen: a colour takes no room.
fn letters(cell: &str) -> usize {
    let mut parts = cell.split("\x1b[");
    let plain = parts.next().map_or(0, |part| part.chars().count());
    let coloured = parts.map(|part| part.split_once('m').map_or(part, |(_, rest)| rest).chars().count());
    plain + coloured.sum::<usize>()
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

    #[test]
    fn a_colour_takes_no_room() {
        let rows = [["\x1b[31mab\x1b[0m", "x"], ["abc", "y"]].map(|row| row.map(str::to_owned).to_vec());
        let text = table(&["A", "B"], &rows, Output::new().merged());
        assert_eq!(text, "A    B\n\x1b[31mab\x1b[0m   x\nabc  y\n");
    }
}

//! A text as lines, each with its own ending.

/// The mark that some programs put at the beginning of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A text as lines.
pub(super) struct Text<'a> {
    /// A byte order mark, or nothing.
    pub(super) mark: &'a str,
    pub(super) lines: Vec<Line<'a>>,
}

/// A line and how it ends.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    /// LF, CRLF or CR; empty for a last line without one.
    pub(super) ending: &'a str,
}

impl<'a> Text<'a> {
    /// Splits a text.
    pub(super) fn split(content: &'a str) -> Self {
        let (mark, mut rest) = content.split_at(content.len() - unmarked(content).len());
        let mut lines = Vec::new();
        while !rest.is_empty() {
            let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            let length = if after.starts_with("\r\n") { 2 } else { after.len().min(1) };
            let (ending, after) = after.split_at(length);
            lines.push(Line { text, ending });
            rest = after;
        }
        Self { mark, lines }
    }

    /// How lines end here: as the first one that ends does.
    pub(super) fn ending(&self) -> &'a str {
        self.lines.iter().map(|line| line.ending).find(|ending| !ending.is_empty()).unwrap_or("\n")
    }
}

/// The text without a byte order mark.
pub(super) fn unmarked(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_ends_a_line() {
        for (content, expected, ending) in [
            ("", vec![], "\n"),
            ("a", vec![("a", "")], "\n"),
            ("a\n\nb", vec![("a", "\n"), ("", "\n"), ("b", "")], "\n"),
            ("a\r\nb\n", vec![("a", "\r\n"), ("b", "\n")], "\r\n"),
            ("a\rb\n\rc", vec![("a", "\r"), ("b", "\n"), ("", "\r"), ("c", "")], "\r"),
            ("\u{feff}a\n", vec![("a", "\n")], "\n"),
        ] {
            let text = Text::split(content);
            let lines: Vec<_> = text.lines.iter().map(|line| (line.text, line.ending)).collect();
            assert_eq!(lines, expected, "{content:?}");
            assert_eq!(text.ending(), ending, "{content:?}");
        }
    }
}

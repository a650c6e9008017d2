//! A unified diff as lines with their numbers. Knows nothing of where it comes from; what is no diff is shown as it is.

use ratatui::style::Style;

use crate::theme::Theme;

/// A line of a diff.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DiffLine<'a> {
    /// Its number in the file as it is now; of a removed line, as it was.
    pub(crate) number: Option<u64>,
    pub(crate) text: &'a str,
}

/// The lines without the file's headers, each with its number.
pub(crate) fn lines(diff: &str) -> Vec<DiffLine<'_>> {
    let mut numbers: Option<(u64, u64)> = None;
    let mut lines = Vec::new();
    for text in diff.lines() {
        if numbers.is_none() && (text.starts_with("--- ") || text.starts_with("+++ ")) {
            continue;
        }
        if let Some(begin) = hunk(text) {
            numbers = Some(begin);
            lines.push(DiffLine { number: None, text });
            continue;
        }
        let number = numbers.as_mut().and_then(|(old, new)| {
            let next = |number: &mut u64| {
                let this = *number;
                *number = number.saturating_add(1);
                this
            };
            match text.as_bytes().first() {
                Some(b'-') => Some(next(old)),
                Some(b'+') => Some(next(new)),
                Some(b' ') | None => {
                    next(old);
                    Some(next(new))
                }
                Some(_) => None,
            }
        });
        lines.push(DiffLine { number, text });
    }
    lines
}

/// Where a hunk begins, before and now.
fn hunk(line: &str) -> Option<(u64, u64)> {
    let mut words = line.strip_prefix("@@ -")?.split_whitespace();
    let start = |range: &str| range.split(',').next().and_then(|start| start.parse().ok());
    let old = start(words.next()?)?;
    let new = start(words.next()?.strip_prefix('+')?)?;
    Some((old, new))
}

/// What a line of a diff looks like.
pub(crate) fn style(line: &str, theme: &Theme) -> Style {
    match line.as_bytes().first() {
        Some(b'+') => theme.good,
        Some(b'-') => theme.bad,
        Some(b'@' | b'*') => theme.accent,
        Some(_) | None => theme.text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(diff: &str, wanted: &[(Option<u64>, &str)]) {
        let lines: Vec<_> = lines(diff).into_iter().map(|line| (line.number, line.text)).collect();
        assert_eq!(lines, wanted);
    }

    #[test]
    fn each_line_has_the_number_that_it_has_in_the_file() {
        check(
            "--- a/x\n+++ b/x\n@@ -3,3 +3,3 @@ fn\n a\n-b\n+c\n--- d\n\n@@ -20 +21,0 @@\n-x",
            &[
                (None, "@@ -3,3 +3,3 @@ fn"),
                (Some(3), " a"),
                (Some(4), "-b"),
                (Some(4), "+c"),
                (Some(5), "--- d"),
                (Some(5), ""),
                (None, "@@ -20 +21,0 @@"),
                (Some(20), "-x"),
            ],
        );
    }

    #[test]
    fn what_is_no_diff_has_no_numbers() {
        check(
            "*** Begin Patch\n+a\n@@ what\n-b",
            &[(None, "*** Begin Patch"), (None, "+a"), (None, "@@ what"), (None, "-b")],
        );
        check(
            "@@ -99999999999999999999999 +1 @@\n-a",
            &[(None, "@@ -99999999999999999999999 +1 @@"), (None, "-a")],
        );
    }
}

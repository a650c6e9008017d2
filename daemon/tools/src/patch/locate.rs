//! Finds lines in a file: exactly if they are anywhere, else with ever more tolerance.

use super::lines::Line;

/// Where lines may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At this line, counted from 0, or later.
    From(usize),
    /// At the end of the file, and not before this line.
    AtEnd(usize),
}

/// The passes, the most exact first. Each goes over the whole file, so that an exact match further down wins
/// over a similar one that is nearer.
const PASSES: [fn(&str, &str) -> bool; 4] =
    [|a, b| a == b, |a, b| a.trim_end() == b.trim_end(), |a, b| a.trim() == b.trim(), is_alike];

/// The first line, counted from 0, where the wanted lines stand.
pub(super) fn find(lines: &[Line<'_>], wanted: &[&str], place: Place) -> Option<usize> {
    let last = lines.len().checked_sub(wanted.len())?;
    let positions = match place {
        Place::From(first) => first..=last,
        Place::AtEnd(first) => last.max(first)..=last,
    };
    PASSES.iter().find_map(|is_match| {
        positions
            .clone()
            .find(|&at| lines[at..].iter().zip(wanted).all(|(line, wanted)| is_match(line.text, wanted)))
    })
}

/// Whether two lines are the same but for blanks around and the look of dashes, quotes and spaces.
pub(super) fn is_alike(a: &str, b: &str) -> bool {
    a.trim().chars().map(fold).eq(b.trim().chars().map(fold))
}

fn fold(c: char) -> char {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201B}' => '\'',
        '\u{201C}'..='\u{201F}' => '"',
        '\u{00A0}' | '\u{2002}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => ' ',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines::Text;
    use super::*;

    fn check(content: &str, wanted: &[&str], place: Place, expected: Option<usize>) {
        let text = Text::split(content);
        assert_eq!(find(&text.lines, wanted, place), expected, "{wanted:?} {place:?} in {content:?}");
    }

    #[test]
    fn the_most_exact_match_wins() {
        let from_start = Place::From(0);
        check("a\nb\na\nb\n", &["a", "b"], from_start, Some(0));
        check(" x\nx \nx\n", &["x"], from_start, Some(2));
        check(" x\nx \n", &["x"], from_start, Some(1));
        check(" x\n\tx\n", &["x"], from_start, Some(0));
        check("a \u{2013} b\na - b\n", &["a - b"], from_start, Some(1));
        check("a \u{2013} \u{201C}b\u{201D}\n", &["a - \"b\""], from_start, Some(0));
        check("it\u{2019}s\u{00A0}\u{3000}so\n", &["it's  so"], from_start, Some(0));
    }

    #[test]
    fn some_differences_are_real() {
        for (content, wanted) in
            [("A", "a"), ("a\u{2026}", "a..."), ("a\u{200B}b", "ab"), ("e\u{301}", "\u{e9}"), ("a  b", "a b")]
        {
            check(content, &[wanted], Place::From(0), None);
        }
    }

    #[test]
    fn the_place_bounds_the_search() {
        check("a\nb\na\n", &["a"], Place::From(1), Some(2));
        check("a\nb\n", &["a"], Place::From(1), None);
        check("a\nb\na\n", &["a"], Place::AtEnd(0), Some(2));
        check("a\nb\n", &["a"], Place::AtEnd(0), None);
        check("a\n\n", &["a"], Place::AtEnd(0), None);
        check("a\nb\n", &["a", "b"], Place::AtEnd(1), None);
        check("a\n", &["a", "b"], Place::From(0), None);
        check("a\n", &["a"], Place::From(5), None);
        check("a\n", &[], Place::From(1), Some(1));
    }
}

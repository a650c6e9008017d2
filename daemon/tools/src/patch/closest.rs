//! Shows where lines that were not found nearly stand, so that whoever wrote the patch can mend it at once.

use std::fmt::Write;

use similar::{Change, ChangeTag, TextDiff};

use super::lines::Line;
use super::locate::{Place, find, is_alike};

/// The most lines that are shown.
const MAX_SHOWN: usize = 24;

/// Lines around the place that are compared too.
const MARGIN: usize = 2;

/// The most comparisons of two lines; beyond, nothing is shown.
const MAX_COMPARISONS: usize = 2_000_000;

/// How like two lines are that are the same but for blanks.
const ALIKE: usize = 100;

/// Says where the lines stand instead, or nearly stand; empty if nowhere.
pub(super) fn explain(lines: &[Line<'_>], wanted: &[&str], place: Place) -> String {
    if let Some(at) = find(lines, wanted, Place::From(0)) {
        let at = at + 1;
        return match place {
            Place::AtEnd(_) => format!("They stand at line {at} of the file, which is not its end."),
            Place::From(first) => format!(
                "They stand at line {at} of the file, but this hunk can begin at line {} only: hunks must be in \
                 the order of the file.",
                first + 1
            ),
        };
    }
    closest(lines, wanted).map_or_else(String::new, |at| show(lines, wanted, at))
}

/// The place where most of the lines nearly stand.
fn closest(lines: &[Line<'_>], wanted: &[&str]) -> Option<usize> {
    if lines.len().saturating_mul(wanted.len()) > MAX_COMPARISONS {
        return None;
    }
    let score = |at: usize| {
        let pairs = lines[at..].iter().zip(wanted);
        pairs.map(|(line, wanted)| likeness(line.text, wanted)).sum::<usize>()
    };
    let perfect: usize = wanted.iter().map(|wanted| likeness(wanted, wanted)).sum();
    let best = (0..lines.len()).map(|at| (score(at), at)).reduce(|a, b| if b.0 > a.0 { b } else { a })?;
    (best.0 * 2 >= perfect).then_some(best.1)
}

/// How like two lines are, up to `ALIKE`. Blank lines are like everywhere, so they say little.
fn likeness(a: &str, b: &str) -> usize {
    let (a, b) = (a.trim(), b.trim());
    if is_alike(a, b) {
        return if a.is_empty() { ALIKE / 10 } else { ALIKE };
    }
    let same = |pairs: &mut dyn Iterator<Item = (char, char)>| pairs.take_while(|(a, b)| a == b).count();
    let head = same(&mut a.chars().zip(b.chars()));
    let tail = same(&mut a.chars().rev().zip(b.chars().rev()));
    let (shorter, longer) = (a.len().min(b.len()), a.len().max(b.len()));
    (head + tail).min(shorter) * (ALIKE - 10) / longer
}

/// Shows the lines there against the wanted ones, numbered.
fn show(lines: &[Line<'_>], wanted: &[&str], at: usize) -> String {
    // A little more than the place, as lines may be missing in the patch.
    let start = at.saturating_sub(MARGIN);
    let end = lines.len().min(at + wanted.len() + MARGIN);
    let there: Vec<&str> = lines[start..end].iter().map(|line| line.text).collect();
    let diff = TextDiff::from_slices(wanted, &there);
    let changes: Vec<_> = diff.iter_all_changes().collect();
    let is_margin = |change: &&Change<&str>| {
        let is_outside = |index| start + index < at || start + index >= at + wanted.len();
        change.tag() == ChangeTag::Insert && change.new_index().is_some_and(is_outside)
    };
    let changes = &changes[changes.iter().take_while(is_margin).count()..];
    let changes = &changes[..changes.len() - changes.iter().rev().take_while(is_margin).count()];
    let first = changes.iter().find_map(Change::new_index).map_or(at, |index| start + index);
    let mut text = format!(
        "The closest place is line {} of the file; `-` is what the patch expects, `+` what the file has:",
        first + 1
    );
    for change in changes.iter().take(MAX_SHOWN) {
        let number = change.new_index().map(|index| (start + index + 1).to_string()).unwrap_or_default();
        // Writing to a string does not fail.
        let _ = write!(text, "\n{}{number:>5}|{}", change.tag(), change.value());
    }
    if changes.len() > MAX_SHOWN {
        let _ = write!(text, "\n[… {} more lines …]", changes.len() - MAX_SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::lines::Text;
    use super::*;

    fn check(content: &str, wanted: &[&str], place: Place, expected: &str) {
        assert_eq!(explain(&Text::split(content).lines, wanted, place), expected);
    }

    #[test]
    fn the_closest_place_is_shown_with_what_differs() {
        let content = "fn a() {\n    one();\n}\n\nfn b() {\n    two(1);\n    three();\n}\n";
        let expected = "The closest place is line 5 of the file; `-` is what the patch expects, `+` what the file \
                        has:\n     5|fn b() {\n-     |    two(2);\n+    6|    two(1);\n     7|    three();";
        check(content, &["fn b() {", "    two(2);", "    three();"], Place::From(0), expected);
    }

    #[test]
    fn a_line_that_was_forgotten_is_shown() {
        let expected = "The closest place is line 1 of the file; `-` is what the patch expects, `+` what the file \
                        has:\n     1|alpha\n+    2|beta\n     3|gamma\n     4|delta";
        check("alpha\nbeta\ngamma\ndelta\n", &["alpha", "gamma", "delta"], Place::From(0), expected);
    }

    #[test]
    fn lines_in_another_place_are_named() {
        check(
            "a\nb\nc\n",
            &["a"],
            Place::From(2),
            "They stand at line 1 of the file, but this hunk can begin at line 3 only: hunks must be in the \
             order of the file.",
        );
        let expected = "They stand at line 1 of the file, which is not its end.";
        check("a\nb\n", &["a"], Place::AtEnd(0), expected);
    }

    #[test]
    fn what_is_like_nothing_shows_nothing() {
        check("alpha\n\nbeta\n", &["something else", "", "entirely"], Place::From(0), "");
        check("", &["x"], Place::From(0), "");
    }
}

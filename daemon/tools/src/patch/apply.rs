//! Changes the text of one file by the hunks of its section.

use std::collections::BTreeMap;
use std::fmt;

use super::closest;
use super::lines::{Line, Text, unmarked};
use super::locate::{Place, find};
use super::section::{Hunk, HunkLine};

/// The most expected lines that an error repeats.
const MAX_REPEATED: usize = 60;

/// A hunk has no place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// The file, as the patch names it.
    path: String,
    /// Which hunk of its section, from 1.
    hunk: usize,
    /// Where the hunk begins in the patch.
    line: usize,
    missing: Missing,
    /// Where it nearly fits; may be empty.
    closest: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Missing {
    Anchor(String),
    Lines(Vec<String>),
}

impl std::error::Error for Misfit {}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.missing {
            Missing::Anchor(text) => write!(f, "Failed to find context '{text}' in {}", self.path)?,
            Missing::Lines(lines) => {
                write!(f, "Failed to find expected lines in {}:", self.path)?;
                for line in lines.iter().take(MAX_REPEATED) {
                    write!(f, "\n{line}")?;
                }
                if let Some(more) = lines.len().checked_sub(MAX_REPEATED).filter(|more| *more > 0) {
                    write!(f, "\n[… {more} more lines …]")?;
                }
            }
        }
        write!(f, "\n(hunk {} of {}, line {} of the patch)", self.hunk, self.path, self.line)?;
        if !self.closest.is_empty() {
            write!(f, "\n{}", self.closest)?;
        }
        Ok(())
    }
}

/// The content of the file after the hunks. Hunks are looked for one after another, each after the one before.
pub(crate) fn apply(path: &str, content: &str, hunks: &[Hunk]) -> Result<String, Misfit> {
    let text = Text::split(content);
    let mut edits = Edits { is_removed: vec![false; text.lines.len()], added: BTreeMap::new() };
    let mut cursor = 0;
    for (index, hunk) in hunks.iter().enumerate() {
        let misfit = |missing, wanted: &[&str], place| Misfit {
            path: path.to_owned(),
            hunk: index + 1,
            line: hunk.line,
            missing,
            closest: closest::explain(&text.lines, wanted, place),
        };
        if let Some(anchor) = &hunk.anchor {
            let (wanted, place) = ([anchor.as_str()], Place::From(cursor));
            let at = find(&text.lines, &wanted, place)
                .ok_or_else(|| misfit(Missing::Anchor(anchor.clone()), &wanted, place))?;
            cursor = at + 1;
        }
        let mut lines: Vec<Wanted<'_>> =
            hunk.lines.iter().map(|line| wanted(line, !text.mark.is_empty())).collect();
        let old = old_lines(&lines);
        if old.is_empty() {
            edits.note(text.lines.len(), &lines);
            continue;
        }
        let place = if hunk.is_at_end { Place::AtEnd(cursor) } else { Place::From(cursor) };
        let at = locate(&text.lines, &mut lines, place).ok_or_else(|| {
            let all = old.iter().map(|&line| line.to_owned()).collect();
            misfit(Missing::Lines(all), without_blank_end(&old), place)
        })?;
        cursor = edits.note(at, &lines);
    }
    Ok(edits.apply(content, &text))
}

/// A line of a hunk: on which side it stands, and its text.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    is_old: bool,
    is_new: bool,
    text: &'a str,
}

/// A hunk's line as the file would have it: if the file has a byte order mark, the model may have repeated it.
fn wanted(line: &HunkLine, is_marked: bool) -> Wanted<'_> {
    let text = if is_marked { unmarked(&line.text) } else { &line.text };
    Wanted { is_old: line.kind.is_old(), is_new: line.kind.is_new(), text }
}

fn old_lines<'a>(lines: &[Wanted<'a>]) -> Vec<&'a str> {
    lines.iter().filter(|line| line.is_old).map(|line| line.text).collect()
}

fn without_blank_end<'a, 'b>(lines: &'b [&'a str]) -> &'b [&'a str] {
    let end = lines.iter().rposition(|line| !line.is_empty()).map_or(lines.len(), |last| last + 1);
    &lines[..end]
}

/// Finds the old lines. If they are nowhere and end with empty ones, these may only separate the hunk from the
/// next, so they are taken off.
fn locate(file: &[Line<'_>], lines: &mut [Wanted<'_>], place: Place) -> Option<usize> {
    loop {
        if let Some(at) = find(file, &old_lines(lines), place) {
            return Some(at);
        }
        let last = lines.iter_mut().rfind(|line| line.is_old).filter(|line| line.text.is_empty())?;
        last.is_old = false;
        if let Some(last) = lines.iter_mut().rfind(|line| line.is_new).filter(|line| line.text.is_empty()) {
            last.is_new = false;
        }
    }
}

/// What becomes of a file's lines.
struct Edits<'a> {
    is_removed: Vec<bool>,
    /// Lines to add, by the line that they come before.
    added: BTreeMap<usize, Vec<&'a str>>,
}

impl<'a> Edits<'a> {
    /// Notes a hunk that stands at this line; returns the line after it.
    fn note(&mut self, mut at: usize, lines: &[Wanted<'a>]) -> usize {
        for line in lines {
            match (line.is_old, line.is_new) {
                (true, true) => at += 1,
                (true, false) => {
                    self.is_removed[at] = true;
                    at += 1;
                }
                (false, true) => self.added.entry(at).or_default().push(line.text),
                (false, false) => {}
            }
        }
        at
    }

    fn apply(&self, content: &str, text: &Text<'_>) -> String {
        if self.added.is_empty() && !self.is_removed.contains(&true) {
            return content.to_owned();
        }
        let ending = text.ending();
        let mut out = String::with_capacity(content.len());
        for at in 0..=text.lines.len() {
            for line in self.added.get(&at).into_iter().flatten() {
                out.push_str(line);
                out.push_str(ending);
            }
            if let Some(line) = text.lines.get(at).filter(|_| !self.is_removed[at]) {
                out.push_str(line.text);
                // Every line ends once a file was edited.
                out.push_str(if line.ending.is_empty() { ending } else { line.ending });
            }
        }
        if !out.is_empty() {
            out.insert_str(0, text.mark);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::super::section::Action;
    use super::*;
    use proptest::prelude::*;

    fn hunks(body: &str) -> Vec<Hunk> {
        let patch = format!("*** Begin Patch\n*** Update File: f\n{body}\n*** End Patch");
        match parse(&patch).expect("patch").sections.remove(0).action {
            Action::Update { hunks, .. } => hunks,
            other => panic!("{other:?}"),
        }
    }

    fn check(content: &str, body: &str, expected: &str) {
        let found = apply("f", content, &hunks(body)).map_err(|misfit| misfit.to_string());
        assert_eq!(found.as_deref(), Ok(expected), "{body}\nin {content:?}");
    }

    fn check_misfit(content: &str, body: &str, expected: &str) {
        let misfit = apply("f", content, &hunks(body)).expect_err("misfit").to_string();
        assert_eq!(misfit, expected, "{body}\nin {content:?}");
    }

    #[test]
    fn lines_are_changed_where_they_stand() {
        check("a\nb\nc\n", " a\n-b\n+B\n c", "a\nB\nc\n");
        check("a\nb\n", "+x\n a\n-b", "x\na\n");
        check("a\nb\n", "-a\n+A\n@@\n-b\n+B", "A\nB\n");
        check("a\nx\nb\nx\n", "@@ b\n-x\n+y", "a\nx\nb\ny\n");
        check("def f\n  x\ndef g\n  x\n", "@@ def g\n-  x\n+  y", "def f\n  x\ndef g\n  y\n");
        check("  def g\n x\n", "@@ def g\n- x\n+ y", "  def g\n y\n");
        check("x\nx\n", "-x\n+y\n@@\n-x\n+z", "y\nz\n");
        check("x\na\nx\n", "-x\n+y\n*** End of File", "x\na\ny\n");
    }

    #[test]
    fn context_keeps_the_bytes_of_the_file() {
        check("\tif a \u{2013} b: \n  c\n", " if a - b:\n-c\n+  d", "\tif a \u{2013} b: \n  d\n");
        check("a\nb", " a\n b", "a\nb");
    }

    #[test]
    fn lines_without_a_place_are_appended() {
        check("a\nb\n", "+c", "a\nb\nc\n");
        check("a\nb\n", "@@ a\n+c", "a\nb\nc\n");
        check("", "+c", "c\n");
        check("a", "+c", "a\nc\n");
        check("a\n", "+c\n@@\n+d", "a\nc\nd\n");
    }

    #[test]
    fn an_empty_line_at_the_end_may_only_separate() {
        check("a\nb\n", "-a\n+A\n\n@@\n-b\n+B", "A\nB\n");
        check("a\nb\n", "-a\n+A\n\n\n@@\n-b\n+B", "A\nB\n");
        check("a\n\nb\n", "-a\n+A\n\n@@\n-b\n+B", "A\n\nB\n");
        check("a\nb\n", " a\n-\n+x", "a\nx\nb\n");
    }

    #[test]
    fn endings_stay_and_new_lines_end_as_the_first_one_does() {
        check("a\r\nb\nc\r\n", "-b\n+x\n+y", "a\r\nx\r\ny\r\nc\r\n");
        check("a\rb\n", " a\n+x\n b", "a\rx\rb\n");
        check("a\nb", " a\n+x", "a\nx\nb\n");
        check("a\r\nb", "-b\n+x", "a\r\nx\r\n");
        check("a", "-a\n+b", "b\n");
        check("a\nb\n", "-a\n-b", "");
    }

    #[test]
    fn a_byte_order_mark_stays_and_is_not_in_the_way() {
        check("\u{feff}a\nb\n", "-a\n+x", "\u{feff}x\nb\n");
        check("\u{feff}a\nb\n", "+x\n a", "\u{feff}x\na\nb\n");
        check("\u{feff}a\nb\n", "-\u{feff}a\n+\u{feff}x", "\u{feff}x\nb\n");
        check("\u{feff}a\n", "-a", "");
    }

    #[test]
    fn a_misfit_names_hunk_line_and_the_closest_place() {
        check_misfit(
            "one\ntwo\nthree\n",
            " one\n@@\n two\n-thre\n+3",
            "Failed to find expected lines in f:\ntwo\nthre\n(hunk 2 of f, line 4 of the patch)\n\
             The closest place is line 2 of the file; `-` is what the patch expects, `+` what the file has:\n     \
             2|two\n-     |thre\n+    3|three",
        );
        check_misfit(
            "one\n",
            "@@ twenty\n one",
            "Failed to find context 'twenty' in f\n(hunk 1 of f, line 3 of the patch)",
        );
        check_misfit(
            "a\nb\n",
            "-b\n+c\n@@\n-a",
            "Failed to find expected lines in f:\na\n(hunk 2 of f, line 5 of the patch)\nThey stand at line 1 of \
             the file, but this hunk can begin at line 3 only: hunks must be in the order of the file.",
        );
        check_misfit(
            "a\nb\n",
            " a\n+x\n*** End of File",
            "Failed to find expected lines in f:\na\n(hunk 1 of f, line 3 of the patch)\nThey stand at line 1 of \
             the file, which is not its end.",
        );
    }

    /// A text of few different lines, so that places are easily mistaken.
    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof!["[ab]{0,2}", Just(" a".to_owned())], 0..12)
            .prop_map(|lines| lines.iter().map(|line| format!("{line}\n")).collect())
    }

    proptest! {
        #[test]
        fn the_whole_diff_of_two_texts_makes_one_of_the_other(old in text(), new in text()) {
            let diff = similar::TextDiff::from_lines(&old, &new);
            let body: String = diff
                .iter_all_changes()
                .map(|change| format!("{}{}", change.tag(), change.value()))
                .collect();
            // Without a line there is no hunk.
            prop_assume!(!body.is_empty());
            prop_assert_eq!(apply("f", &old, &hunks(format!("@@\n{body}").trim_end_matches('\n'))), Ok(new));
        }

        #[test]
        fn the_hunks_of_a_diff_make_one_text_of_the_other(
            old in proptest::sample::subsequence((0..30).collect::<Vec<u32>>(), 0..30),
            new in proptest::sample::subsequence((0..30).collect::<Vec<u32>>(), 0..30),
            ending in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
            radius in 1_usize..4,
        ) {
            let text = |lines: &[u32], ending: &str| -> String {
                lines.iter().map(|line| format!("line {line}{ending}")).collect()
            };
            let (plain_old, plain_new) = (text(&old, "\n"), text(&new, "\n"));
            let diff = similar::TextDiff::from_lines(&plain_old, &plain_new);
            let mut body = String::new();
            for hunk in diff.unified_diff().context_radius(radius).iter_hunks() {
                body.push_str("@@\n");
                body.extend(hunk.iter_changes().map(|change| format!("{}{}", change.tag(), change.value())));
            }
            prop_assume!(!body.is_empty());
            // A file without a line has no ending of its own.
            let ending = if old.is_empty() { "\n" } else { ending };
            let expected = text(&new, ending);
            prop_assert_eq!(apply("f", &text(&old, ending), &hunks(body.trim_end())), Ok(expected));
        }

        #[test]
        fn any_text_comes_out_of_its_lines_unchanged(content in "[a\u{feff}\r\n]{0,12}") {
            let text = Text::split(&content);
            let lines: String = text.lines.iter().flat_map(|line| [line.text, line.ending]).collect();
            prop_assert_eq!(format!("{}{lines}", text.mark), content);
        }

        #[test]
        fn no_patch_makes_it_panic(content in "[ab\r\n]{0,12}", body in "([-+ @]?[ab]?\n){1,8}") {
            let patch = format!("*** Begin Patch\n*** Update File: f\n{body}*** End Patch");
            if let Ok(patch) = parse(&patch)
                && let Action::Update { hunks, .. } = &patch.sections[0].action
            {
                let _ = apply("f", &content, hunks).map_err(|misfit| misfit.to_string());
            }
        }
    }
}

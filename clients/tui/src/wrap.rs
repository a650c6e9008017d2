//! Styled text in lines of a width. Knows how wide letters are on a terminal.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Blanks that a tab is shown as.
const TAB: &str = "    ";

/// Where a line may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// Between words.
    Words,
    /// Anywhere; every blank stays.
    Letters,
}

/// One letter as a person sees it.
struct Letter<'a> {
    text: &'a str,
    style: Style,
    width: usize,
}

/// Breaks one line of text into lines that are at most `width` wide. What stands before the first and before the
/// others counts.
pub(crate) fn wrap(
    spans: &[Span<'_>],
    width: u16,
    first: &[Span<'static>],
    rest: &[Span<'static>],
    at: Break,
) -> Vec<Line<'static>> {
    let letters: Vec<Letter<'_>> = spans.iter().flat_map(letters_of).collect();
    let mut lines = Vec::new();
    let mut from = 0;
    loop {
        let prefix = if lines.is_empty() { first } else { rest };
        let taken: usize = prefix.iter().map(|span| span.content.width()).sum();
        let room = usize::from(width).saturating_sub(taken).max(1);
        let to = end_of_line(&letters, from, room, at);
        let mut shown = to;
        if at == Break::Words && to < letters.len() {
            while shown > from && letters[shown - 1].text == " " {
                shown -= 1;
            }
        }
        let mut line = prefix.to_vec();
        push_letters(&mut line, &letters[from..shown]);
        lines.push(Line::from(line));
        if to >= letters.len() {
            return lines;
        }
        from = to;
    }
}

/// How wide a text is.
pub(crate) fn width_of(text: &str) -> usize {
    text.width()
}

/// As much of a text as fits, with `…` if something is missing.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut taken = 1;
    for letter in text.graphemes(true) {
        taken += letter.width();
        if taken > width {
            break;
        }
        out.push_str(letter);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

fn letters_of<'a>(span: &'a Span<'_>) -> impl Iterator<Item = Letter<'a>> {
    span.content.graphemes(true).map(|text| {
        let text = if text == "\t" { TAB } else { text };
        Letter { text, style: span.style, width: text.width() }
    })
}

/// The place after the last letter of the line, blanks at its end included.
fn end_of_line(letters: &[Letter<'_>], from: usize, room: usize, at: Break) -> usize {
    let mut taken = 0;
    let mut last_break = None;
    for (place, letter) in letters.iter().enumerate().skip(from) {
        let is_blank = letter.text == " ";
        // A blank that does not fit stands at the end of the line, unseen.
        if taken + letter.width > room && !(is_blank && at == Break::Words) {
            // Something must stand on each line, or it would never end.
            return last_break.unwrap_or(place).max(from + 1);
        }
        taken += letter.width;
        if is_blank && at == Break::Words {
            last_break = Some(place + 1);
        }
    }
    letters.len()
}

fn push_letters(line: &mut Vec<Span<'static>>, letters: &[Letter<'_>]) {
    let mut text = String::new();
    let mut style = None;
    for letter in letters {
        if style != Some(letter.style) {
            if let Some(style) = style.filter(|_| !text.is_empty()) {
                line.push(Span::styled(std::mem::take(&mut text), style));
            }
            style = Some(letter.style);
        }
        text.push_str(letter.text);
    }
    if let Some(style) = style.filter(|_| !text.is_empty()) {
        line.push(Span::styled(text, style));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, width: u16, at: Break, wanted: &[&str]) {
        let lines = wrap(&[Span::raw(text.to_owned())], width, &[], &[], at);
        let shown: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(shown, wanted, "{text:?}");
    }

    #[test]
    fn lines_end_between_words() {
        check("one two three", 8, Break::Words, &["one two", "three"]);
        check("one two three", 7, Break::Words, &["one two", "three"]);
        check("a verylongword b", 6, Break::Words, &["a", "verylo", "ngword", "b"]);
        check("", 6, Break::Words, &[""]);
    }

    #[test]
    fn code_keeps_every_blank() {
        check("ab  cd", 3, Break::Letters, &["ab ", " cd"]);
        check("\tx", 8, Break::Letters, &["    x"]);
    }

    #[test]
    fn wide_letters_are_not_cut_in_half() {
        check("日本語", 5, Break::Letters, &["日本", "語"]);
        check("日本語", 1, Break::Letters, &["日", "本", "語"]);
        check("👩\u{200d}💻x", 2, Break::Letters, &["👩\u{200d}💻", "x"]);
        assert_eq!(fit("日本語", 5), "日本…");
    }

    #[test]
    fn what_stands_before_a_line_counts() {
        let lines = wrap(&[Span::raw("aa bb")], 4, &[Span::raw("- ")], &[Span::raw("  ")], Break::Words);
        let shown: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["- aa", "  bb"]);
    }
}

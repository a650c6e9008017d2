//! Text of models, commands and files made harmless for a screen: what could move the cursor, change colours,
//! talk to the terminal, turn the reading direction or hide is shown, not done.

use std::borrow::Cow;

use protocol::text::is_invisible;

/// Combining marks that may stand on one letter; more would reach into other lines.
const MARKS: usize = 4;

/// Text of several lines: line breaks and tabs stay, and so does what words and emoji need.
#[must_use]
pub fn prose(text: &str) -> Cow<'_, str> {
    escape(text, Strictness::Prose)
}

/// What must be seen exactly and on one line, such as a command that somebody is asked to allow: also letters that
/// are not seen, and blanks that only look like one.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, Strictness::Line)
}

/// As `line`, but cut after so many letters, with what was left out told between head and tail.
#[must_use]
pub fn short_line(text: &str, most: usize) -> String {
    line(&shortened(text, most)).into_owned()
}

/// At most so many letters, from the head and the tail, with what was left out told between.
#[must_use]
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= most {
        return Cow::Borrowed(text);
    }
    let half = most / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(count - half).collect();
    Cow::Owned(format!("{head} … {} letters more … {tail}", count - 2 * half))
}

/// How many letters of a text act on a terminal or are never seen, where line ends, tabs and emoji are none of them.
#[must_use]
pub fn unseen(text: &str) -> usize {
    let is_line_end = |letter| matches!(letter, '\n' | '\t' | '\r');
    text.chars()
        .filter(|letter| !is_line_end(*letter) && !is_joiner(*letter) && is_dangerous(*letter))
        .count()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    Prose,
    Line,
}

fn escape(text: &str, strictness: Strictness) -> Cow<'_, str> {
    // Most text is plain; it costs one look and no copy.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut letters = text.chars().peekable();
    let mut marks = 0;
    while let Some(letter) = letters.next() {
        marks = if is_mark(letter) { marks + 1 } else { 0 };
        let is_harmless = marks <= MARKS
            && match strictness {
                Strictness::Prose => {
                    matches!(letter, '\n' | '\t') || is_joiner(letter) || !is_dangerous(letter)
                }
                Strictness::Line => !is_dangerous(letter) && !is_unseen(letter),
            };
        match letter {
            // The line end of other systems, where line ends stay.
            '\r' if strictness == Strictness::Prose && letters.peek() == Some(&'\n') => {}
            _ if is_harmless => out.push(letter),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{1b}' => out.push_str("\\e"),
            _ => out.extend(letter.escape_unicode()),
        }
    }
    Cow::Owned(out)
}

/// Letters that act on a terminal, or that are never seen.
fn is_dangerous(letter: char) -> bool {
    letter.is_control() || is_invisible(letter)
}

/// Letters that are not seen and that words and emoji need.
fn is_joiner(letter: char) -> bool {
    matches!(letter, '\u{200c}' | '\u{200d}')
}

/// Letters that look like nothing or like a blank, and are none.
fn is_unseen(letter: char) -> bool {
    (letter.is_whitespace() && letter != ' ')
        || matches!(letter,
            '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
            | '\u{180b}'..='\u{180f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{e0100}'..='\u{e01ef}')
}

/// Marks that stand on the letter before them, in the blocks that hold nothing else.
fn is_mark(letter: char) -> bool {
    matches!(letter,
        '\u{300}'..='\u{36f}'
        | '\u{483}'..='\u{489}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_gets_through() {
        for (text, shown) in [
            ("\u{1b}[31mred", "\\e[31mred"),
            ("\u{1b}]52;c;aGk=\u{7}", "\\e]52;c;aGk=\\u{7}"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("a\rb", "a\\rb"),
            ("a\u{8}b", "a\\u{8}b"),
            ("rm \u{202e}fdp.exe", "rm \\u{202e}fdp.exe"),
            ("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
            ("tag\u{e0041}", "tag\\u{e0041}"),
        ] {
            assert_eq!(prose(text), shown);
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn a_command_shows_what_prose_may_hide() {
        for (text, shown) in [
            ("a\u{a0}b", "a\\u{a0}b"),
            ("a\u{3164}b", "a\\u{3164}b"),
            ("👩\u{200d}💻", "👩\\u{200d}💻"),
            ("a\u{fe0f}", "a\\u{fe0f}"),
            ("a\tb\nc", "a\\tb\\nc"),
        ] {
            assert_eq!(line(text), shown);
        }
        assert_eq!(prose("a\tb\r\nc\n"), "a\tb\nc\n");
    }

    #[test]
    fn what_hides_in_a_text_is_counted() {
        assert_eq!(unseen("plain\ttext\r\n👩\u{200d}💻"), 0);
        assert_eq!(unseen("a\u{200b}b\u{202e}\u{1b}[m\u{e0041}"), 4);
    }

    #[test]
    fn letters_of_all_languages_stay() {
        for text in ["naïve 日本語 العربية 🦆", "👩\u{200d}💻", "e\u{301}"] {
            assert_eq!(prose(text), text);
        }
    }

    #[test]
    fn a_tower_of_marks_is_cut_down() {
        let tower = format!("a{}", "\u{301}".repeat(20));
        assert_eq!(prose(&tower).matches('\u{301}').count(), MARKS);
        assert!(prose(&tower).contains("\\u{301}"));
    }

    #[test]
    fn what_is_shortened_shows_head_and_tail() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(short_line("abcdefghi\n", 4), "ab … 6 letters more … i\\n");
    }
}

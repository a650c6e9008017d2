//! Text of models, commands and files made harmless for a terminal: what could move the cursor, change colours,
//! talk to the terminal or turn the reading direction is shown, not done.

use std::borrow::Cow;

/// Text of several lines: line breaks and tabs stay.
pub(crate) fn prose(text: &str) -> Cow<'_, str> {
    escape(text, |letter| matches!(letter, '\n' | '\t') || is_joiner(letter))
}

/// What must be seen exactly and on one line, such as a command that somebody is asked to allow.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

fn escape(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_harmless = |letter: char| is_kept(letter) || !is_dangerous(letter);
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            // The line end of other systems, where line ends stay.
            '\r' if is_kept('\n') && letters.peek() == Some(&'\n') => {}
            _ if is_harmless(letter) => out.push(letter),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{1b}' => out.push_str("\\e"),
            _ => out.extend(letter.escape_unicode()),
        }
    }
    Cow::Owned(out)
}

/// Letters that act on a terminal, or that are not seen.
fn is_dangerous(letter: char) -> bool {
    letter.is_control()
        || is_joiner(letter)
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Letters that are not seen and that words and emoji need.
fn is_joiner(letter: char) -> bool {
    matches!(letter, '\u{200c}' | '\u{200d}')
}

/// At most so many letters, from the head and the tail, with what was left out told between.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= most {
        return Cow::Borrowed(text);
    }
    let half = most / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(count - half).collect();
    Cow::Owned(format!("{head} … {} letters more … {tail}", count - 2 * half))
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
    fn prose_keeps_its_lines_and_a_command_is_one() {
        assert_eq!(prose("a\tb\r\nc\n"), "a\tb\nc\n");
        assert_eq!(line("a\tb\nc"), "a\\tb\\nc");
    }

    #[test]
    fn letters_of_all_languages_stay() {
        for text in ["naïve 日本語 العربية 🦆", "👩\u{200d}💻"] {
            assert_eq!(prose(text), text);
        }
        assert_eq!(line("👩\u{200d}💻"), "👩\\u{200d}💻");
    }

    #[test]
    fn what_is_shortened_shows_head_and_tail() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefghij", 4), "ab … 6 letters more … ij");
    }
}

//! Makes text harmless: what a terminal would obey is taken out or shown, so that neither a model nor a screen is
//! fooled by it.

use std::borrow::Cow;

/// What a terminal would show of an output: escape sequences are gone, a line that was written over is its last
/// state, and other control characters are named.
pub(crate) fn spoken(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    // Where the line begins that is written now.
    let mut line = 0;
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\n' => {
                out.push('\n');
                line = out.len();
            }
            '\r' => match rest.peek() {
                Some('\n' | '\r') => {}
                // The end of what is there: what is written over it is not known yet.
                None => {}
                Some(_) => out.truncate(line),
            },
            '\u{8}' => {
                if out.len() > line {
                    out.pop();
                }
            }
            '\u{7}' | '\0' => {}
            '\u{1b}' => {
                skip_sequence(&mut rest);
            }
            // The one-character form of the same.
            '\u{9b}' => {
                skip_to_final(&mut rest);
            }
            other if is_odd(other) => push_named(&mut out, other),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// Makes an output harmless that comes piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// A sequence whose end is not there yet.
    cut: String,
}

/// The longest sequence that is waited for.
const MAX_CUT_BYTES: usize = 4 * 1024;

impl Pieces {
    /// What can be shown now. A line that is written over in a later piece is not taken back.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        let text = std::mem::take(&mut self.cut) + piece;
        let mut end = text.len();
        if let Some(start) = text.rfind(['\u{1b}', '\u{9b}']) {
            let mut rest = text[start..].chars().peekable();
            let sequence = match rest.next() {
                Some('\u{1b}') => skip_sequence(&mut rest),
                _ => skip_to_final(&mut rest),
            };
            if sequence == Sequence::Cut && text.len() - start <= MAX_CUT_BYTES {
                end = start;
            }
        } else if text.ends_with('\r') {
            end -= 1;
        }
        self.cut = text[end..].to_owned();
        spoken(&text[..end]).into_owned()
    }
}

/// The text with everything named that can't be seen; nothing is taken out.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_odd) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for next in text.chars() {
        if is_odd(next) { push_named(&mut out, next) } else { out.push(next) }
    }
    Cow::Owned(out)
}

/// Control characters but line ends and tabs, and those that turn the direction of what is read.
fn is_odd(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    }
}

fn push_named(out: &mut String, character: char) {
    out.extend(character.escape_unicode());
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Whether a sequence is over, or the text was over first.
#[derive(Clone, Copy, PartialEq)]
enum Sequence {
    Whole,
    Cut,
}

/// Goes over what follows an ESC.
fn skip_sequence(rest: &mut Rest<'_>) -> Sequence {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_to_final(rest)
        }
        // A text for the terminal (OSC, DCS, SOS, PM, APC): up to BEL or ESC \.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(next) = rest.next() {
                match next {
                    // A line end: it was never ended, and what comes is the output again.
                    '\u{7}' | '\u{9c}' | '\n' => return Sequence::Whole,
                    '\u{1b}' => {
                        if rest.peek() == Some(&'\\') {
                            rest.next();
                        }
                        return Sequence::Whole;
                    }
                    _ => {}
                }
            }
            Sequence::Cut
        }
        // A character set: one more character.
        Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
            rest.next();
            rest.next().map_or(Sequence::Cut, |_| Sequence::Whole)
        }
        Some(other) if !other.is_control() => {
            rest.next();
            Sequence::Whole
        }
        Some(_) => Sequence::Whole,
        None => Sequence::Cut,
    }
}

/// Goes over parameters, then one final character.
fn skip_to_final(rest: &mut Rest<'_>) -> Sequence {
    while let Some(next) = rest.peek() {
        match next {
            '\u{20}'..='\u{3f}' => {
                rest.next();
            }
            '\u{40}'..='\u{7e}' => {
                rest.next();
                return Sequence::Whole;
            }
            _ => return Sequence::Whole,
        }
    }
    Sequence::Cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_what_a_terminal_would_show() {
        for (text, expected) in [
            ("plain\tgrün €\n", "plain\tgrün €\n"),
            ("\u{1b}[1;31mred\u{1b}[0m\n", "red\n"),
            ("a\r\nb\r\n", "a\nb\n"),
            ("10%\r50%\r100%\ndone", "100%\ndone"),
            ("10%\r50%\r", "50%"),
            ("abc\u{8}\u{8}\u{8}\u{8}x", "x"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]52;c;c2VjcmV0\u{1b}\\after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}Pq#0;2\u{1b}\\x", "x"),
            ("\u{1b}]never ended\nnext", "next"),
            ("\u{1b}(Bx\u{1b}7y\u{1b}", "xy"),
            ("\u{9b}31mx\u{1b}[6n", "x"),
            ("\u{202e}evil\u{1}", "\\u{202e}evil\\u{1}"),
        ] {
            assert_eq!(spoken(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_sequence_in_two_pieces_is_one() {
        let mut pieces = Pieces::default();
        let whole = "a\u{1b}[1;31mred\u{1b}[0m\r\nb\u{1b}]0;title\u{7}c\n";
        let shown: String = whole.chars().map(|piece| pieces.push(&piece.to_string())).collect();
        assert_eq!(shown, "ared\nbc\n");
    }

    #[test]
    fn what_can_not_be_seen_is_named() {
        assert_eq!(visible("a\tb\u{1b}[0m\u{202e}"), "a\tb\\u{1b}[0m\\u{202e}");
    }

    #[test]
    fn no_text_whatever_keeps_a_control_character() {
        use proptest::prelude::*;
        proptest!(|(text in "(\u{1b}|\\[|\\]|[0-9;]|m|\r|\n|\u{7}|\u{8}|\u{9b}|a|ü|\u{202e}){0,40}")| {
            prop_assert!(!spoken(&text).chars().any(is_odd));
            prop_assert!(!visible(&text).chars().any(is_odd));
        });
    }
}

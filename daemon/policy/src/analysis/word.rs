//! One word of a script as the shell would pass it on: quotes removed, or open where the shell would put something
//! in. Knows nothing of commands.

use std::borrow::Cow;

use crate::analysis::result::base;

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// The shell passes on exactly this.
    Plain(String),
    /// The shell puts something in, so what it passes on is not known; it may be no word or several.
    Open {
        /// As it stands in the script.
        raw: String,
        /// What the first of the words surely begins with.
        prefix: String,
    },
}

impl Word {
    /// The text, if it is known.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Open { .. } => None,
        }
    }

    /// The text, or what stands in the script instead.
    #[must_use]
    pub fn shown(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Open { raw, .. } => raw,
        }
    }

    /// What it surely begins with.
    #[must_use]
    pub fn beginning(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Open { prefix, .. } => prefix,
        }
    }

    /// What stands behind the last `/`, if that is known even where the rest is not: as in `"$x/bin/cargo"`, which is
    /// one word whatever `x` is.
    #[must_use]
    pub fn base_name(&self) -> Option<&str> {
        let raw = match self {
            Self::Plain(text) => return Some(base(text)),
            Self::Open { raw, .. } => raw,
        };
        let quoted = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
        let whole = quoted.or_else(|| raw.strip_prefix("~/").and(Some(raw.as_str())))?;
        let is_name = |name: &str| {
            !name.is_empty()
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
        };
        let is_one_word = match quoted {
            Some(quoted) => !quoted.contains(['"', '@']),
            None => whole.split('/').skip(1).all(is_name),
        };
        whole.rsplit_once('/').map(|(_, name)| name).filter(|name| is_one_word && is_name(name))
    }

    /// A word of which nothing is known.
    pub(crate) fn unknown(raw: &str) -> Self {
        Self::Open { raw: raw.to_owned(), prefix: String::new() }
    }
}

/// Reads a word as it stands in a script.
pub(crate) fn read(raw: &str) -> Word {
    let behind = |end: &str| raw.rfind(end).map_or(usize::MAX, |at| raw.len().saturating_sub(at));
    let ends = Ends { bracket: behind("]"), comma: behind(","), dots: behind("..") };
    let mut reader = Reader { rest: raw, ends, text: String::new() };
    match reader.run() {
        Some(()) => Word::Plain(reader.text),
        None => Word::Open { raw: raw.to_owned(), prefix: reader.text },
    }
}

/// Splits a text into words at blanks, as a shell does with quotes and backslashes, and expands nothing. `None` if a
/// quote is not closed.
pub(crate) fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(character) = chars.next() {
        match character {
            blank if blank.is_ascii_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        other => word.push(other),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            escaped @ ('"' | '\\' | '$' | '`') => word.push(escaped),
                            other => word.extend(['\\', other]),
                        },
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

/// Every piece of the text that could become the name of a command or one of its words: cut at blanks, quotes and
/// whatever else means something to a shell, with and without the quotes taken out first.
pub(crate) fn pieces(text: &str, found: &mut Vec<String>) {
    let joined: Cow<'_, str> = if text.contains(['\'', '"', '\\']) {
        Cow::Owned(text.replace("\\\n", "").replace(['\'', '"', '\\'], ""))
    } else {
        Cow::Borrowed(text)
    };
    let is_cut = |character: char| {
        character.is_whitespace()
            || character.is_control()
            || ";|&()<>{}[]$`\"'\\=,:!*?#@".contains(character)
    };
    // What stands in for a variable: `${x:-rm}`, `${x+rm}`, `${x/%a/rm}`.
    let is_operator = |character: char| is_cut(character) || "-+%^/".contains(character);
    let expanded =
        joined.split("${").skip(1).map(|part| part.split_once('}').map_or(part, |(inside, _)| inside));
    let inside = expanded.flat_map(|part| part.split(is_operator));
    let cut = text.split(is_cut).chain(joined.split(is_cut)).chain(joined.split_whitespace()).chain(inside);
    for piece in cut.filter(|piece| !piece.is_empty()) {
        found.push(piece.to_owned());
        if let Some((_, name)) = piece.rsplit_once('/')
            && !name.is_empty()
        {
            found.push(name.to_owned());
        }
    }
}

/// How much is left of a word where these stand for the last time.
struct Ends {
    bracket: usize,
    comma: usize,
    dots: usize,
}

struct Reader<'a> {
    rest: &'a str,
    ends: Ends,
    text: String,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = self.rest.get(character.len_utf8()..).unwrap_or_default();
        Some(character)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// `None` where the shell would put something in.
    fn run(&mut self) -> Option<()> {
        // zsh: `=name` is the path of that program.
        if self.rest.len() > 1 && self.rest.starts_with('=') {
            return None;
        }
        let mut before = None;
        while let Some(character) = self.next() {
            match character {
                '\\' => match self.next() {
                    Some('\n') => {}
                    Some(escaped) => self.text.push(escaped),
                    None => self.text.push('\\'),
                },
                '\'' => self.single_quoted()?,
                '"' => self.double_quoted()?,
                '$' => self.dollar()?,
                '~' if matches!(before, None | Some('=' | ':')) => return None,
                '[' if self.rest.len() >= self.ends.bracket => return None,
                '{' if self.peek() == Some('}') => {
                    self.next();
                    self.text.push_str("{}");
                }
                '{' if self.rest.len() >= self.ends.comma.min(self.ends.dots) => return None,
                '`' | '*' | '?' | '(' | ')' | '<' | '>' | ';' | '|' | '&' | ' ' | '\t' | '\n' | '\0' => {
                    return None;
                }
                plain => self.text.push(plain),
            }
            before = Some(character);
        }
        Some(())
    }

    fn single_quoted(&mut self) -> Option<()> {
        loop {
            match self.next()? {
                '\'' => return Some(()),
                '\0' => return None,
                other => self.text.push(other),
            }
        }
    }

    fn double_quoted(&mut self) -> Option<()> {
        loop {
            match self.next()? {
                '"' => return Some(()),
                '\\' => match self.next()? {
                    '\n' => {}
                    escaped @ ('$' | '`' | '"' | '\\') => self.text.push(escaped),
                    other => self.text.extend(['\\', other]),
                },
                '$' if self.peek().is_some_and(expands) => return None,
                '`' | '\0' => return None,
                other => self.text.push(other),
            }
        }
    }

    /// What stands after a `$` outside of quotes.
    fn dollar(&mut self) -> Option<()> {
        match self.peek() {
            Some('\'') => {
                self.next();
                self.ansi_quoted()
            }
            Some('"') => {
                self.next();
                self.double_quoted()
            }
            Some(character) if expands(character) => None,
            Some(_) | None => {
                self.text.push('$');
                Some(())
            }
        }
    }

    /// The inside of `$'…'`. What does not come out as a character is left open.
    fn ansi_quoted(&mut self) -> Option<()> {
        loop {
            let character = match self.next()? {
                '\'' => return Some(()),
                '\\' => self.ansi_escape()?,
                other => other,
            };
            if character == '\0' {
                return None;
            }
            self.text.push(character);
        }
    }

    fn ansi_escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            'a' => '\x07',
            'b' => '\x08',
            'e' | 'E' => '\x1b',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            same @ ('\\' | '\'' | '"' | '?') => same,
            'x' => self.ascii(16, 2, 0)?,
            'u' => char::from_u32(self.number(16, 4, 0)?)?,
            'U' => char::from_u32(self.number(16, 8, 0)?)?,
            octal @ '0'..='7' => self.ascii(8, 2, octal.to_digit(8)?)?,
            _ => return None,
        })
    }

    /// A byte by its number; one that is no ASCII character is only part of one.
    fn ascii(&mut self, radix: u32, most: usize, first: u32) -> Option<char> {
        self.number(radix, most, first).filter(|number| *number < 128).and_then(char::from_u32)
    }

    fn number(&mut self, radix: u32, most: usize, first: u32) -> Option<u32> {
        let mut number = first;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|character| character.to_digit(radix)) else { break };
            self.next();
            number = number.checked_mul(radix)?.checked_add(digit)?;
        }
        Some(number)
    }
}

/// Whether a `$` before this character starts an expansion.
fn expands(character: char) -> bool {
    character.is_alphanumeric() || "_{([@*#?$!-".contains(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_are_removed() {
        for (raw, text) in [
            ("rm", "rm"),
            ("\\rm", "rm"),
            ("r\\\nm", "rm"),
            ("'rm'", "rm"),
            ("r''m", "rm"),
            ("\"r\"m", "rm"),
            ("$'rm'", "rm"),
            ("$'\\x72\\155'", "rm"),
            ("$'\\u0072m'", "rm"),
            ("$\"rm\"", "rm"),
            ("\"a \\\"b\\\" \\$x \\n\"", "a \"b\" $x \\n"),
            ("HEAD~1", "HEAD~1"),
            ("stash@{0}", "stash@{0}"),
            ("{}", "{}"),
            ("a$", "a$"),
            ("''", ""),
        ] {
            assert_eq!(read(raw), Word::Plain(text.to_owned()), "{raw}");
        }
    }

    #[test]
    fn what_the_shell_fills_in_is_open() {
        for (raw, prefix) in [
            ("$x", ""),
            ("a$x", "a"),
            ("\"$x\"", ""),
            ("${x}", ""),
            ("$(x)", ""),
            ("`x`", ""),
            ("r*", "r"),
            ("r?", "r"),
            ("r[m]", "r"),
            ("{rm,x}", ""),
            ("{a..c}", ""),
            ("~/x", ""),
            ("a=~/x", "a="),
            ("=rm", ""),
            ("<(rm)", ""),
            ("@(rm)", "@"),
            ("$'rm\\0x'", "rm"),
            ("'x", "x"),
        ] {
            assert_eq!(read(raw), Word::Open { raw: raw.to_owned(), prefix: prefix.to_owned() }, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn quoting_round_trips(text in "[^\0]{0,30}") {
            let single = format!("'{}'", text.replace('\'', "'\\''"));
            prop_assert_eq!(read(&single), Word::Plain(text.clone()));
            prop_assert_eq!(split(&single), Some(vec![text.clone()]));
            let double: String = text
                .chars()
                .map(|c| if "$`\"\\".contains(c) { format!("\\{c}") } else { c.to_string() })
                .collect();
            prop_assert_eq!(read(&format!("\"{double}\"")), Word::Plain(text.clone()));
            let ansi: String = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
            prop_assert_eq!(read(&format!("$'{ansi}'")), Word::Plain(text.clone()));
            let escaped: String =
                text.chars().filter(|c| *c != '\n').map(|c| format!("\\{c}")).collect();
            prop_assert_eq!(read(&escaped), Word::Plain(text.replace('\n', "")));
        }

        #[test]
        fn any_text_is_read(text in ".{0,60}") {
            let _ = read(&text);
            let _ = split(&text);
            pieces(&text, &mut Vec::new());
        }
    }
}

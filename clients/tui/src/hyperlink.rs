//! Links that a terminal opens when they are clicked on (OSC 8). What is opened is what stands there: a link is the text
//! of its own address, and only an address that is plain to read is one. Knows nothing of markdown.
//!
//! A link that is broken into several lines is still one. So its letters carry a number that is made of the address, as
//! the colour behind them, which no theme sets; where letters that carry one give the address again, they are the link.
//! The number is never written to the terminal.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use ratatui::style::{Color, Style};
use ratatui::text::Line;

use crate::wrap::width_of;

/// The longest address that terminals take.
const MOST_BYTES: usize = 2000;
/// What may be opened.
const SCHEMES: [&str; 3] = ["https://", "http://", "file:///"];
/// Letters with which a sentence goes on behind an address.
const AFTER: [char; 12] = ['.', ',', ';', ':', '!', '?', ')', ']', '}', '*', '_', '~'];

/// Whether the terminal is told of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hyperlinks {
    Told,
    Plain,
}

impl Hyperlinks {
    /// As the terminal of this process takes them, as far as that is known.
    pub(crate) fn of_environment() -> Self {
        Self::of(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let term = variable("TERM").unwrap_or_default();
        let is_unable =
            ["linux", "dumb", "eterm", "cygwin", "vt100"].iter().any(|name| term.starts_with(name));
        // GNU screen takes what it does not know for a title; tmux has a `TERM` that begins so too.
        let is_screen =
            variable("STY").is_some() || (term.starts_with("screen") && variable("TMUX").is_none());
        // VTE before 0.50 breaks off in the middle of some.
        let is_old_vte = variable("VTE_VERSION")
            .and_then(|version| version.parse::<u32>().ok())
            .is_some_and(|version| version < 5000);
        let is_apple = variable("TERM_PROGRAM").is_some_and(|program| program == "Apple_Terminal");
        if is_unable || is_screen || is_old_vte || is_apple || variable("INSIDE_EMACS").is_some() {
            Self::Plain
        } else {
            Self::Told
        }
    }
}

/// The look of an address, from which it is known again as a link; the look alone if it can't be opened.
pub(crate) fn linked(style: Style, address: &str) -> Style {
    if is_openable(address) { style.bg(number(address)) } else { style }
}

/// Whether an address is one that may be opened: of a known kind, and of letters that are plain to read. A name of other
/// letters may look like another one.
pub(crate) fn is_openable(address: &str) -> bool {
    let scheme = SCHEMES.iter().find(|scheme| address.starts_with(**scheme));
    scheme.is_some_and(|scheme| address.len() > scheme.len())
        && address.len() <= MOST_BYTES
        && address.chars().all(is_of_address)
}

/// The letters of RFC 3986, section 2.
fn is_of_address(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(letter)
}

/// The addresses that stand in a text.
pub(crate) fn addresses(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) =
        SCHEMES.iter().filter_map(|scheme| text[from..].find(scheme)).min().map(|at| from + at)
    {
        let is_part = |letter: char| is_of_address(letter) && letter != '\'';
        let length = text[at..].find(|letter| !is_part(letter)).unwrap_or(text.len() - at);
        let mut address = &text[at..at + length];
        while let Some(shorter) = address.strip_suffix(AFTER) {
            // A bracket that was opened in the address belongs to it.
            if address.ends_with(')') && address.matches('(').count() >= address.matches(')').count() {
                break;
            }
            address = shorter;
        }
        let before = text[..at].chars().next_back();
        if is_openable(address) && !before.is_some_and(char::is_alphanumeric) {
            found.push(at..at + address.len());
        }
        from = at + length.max(1);
    }
    found
}

/// The links of lines that follow each other.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Row, columns, address; in order.
    places: Vec<(usize, Range<usize>, Arc<str>)>,
}

/// A link of which not all was found yet.
#[derive(Default)]
struct Open {
    number: Color,
    text: String,
    places: Vec<(usize, Range<usize>)>,
}

impl Links {
    /// Puts the parts of each link together.
    pub(crate) fn of(lines: &[Line<'_>], hyperlinks: Hyperlinks) -> Self {
        let mut links = Self::default();
        if hyperlinks == Hyperlinks::Plain {
            return links;
        }
        let mut open: Vec<Open> = Vec::new();
        for (row, line) in lines.iter().enumerate() {
            let mut column = 0;
            for span in &line.spans {
                let width = width_of(&span.content);
                let columns = column..column + width;
                column += width;
                let Some(carried) = span.style.bg.filter(|carried| is_number(*carried)) else { continue };
                let known =
                    open.iter().position(|open| open.number == carried).map(|at| open.swap_remove(at));
                let mut part = known.unwrap_or_else(|| Open { number: carried, ..Open::default() });
                part.text.push_str(&span.content);
                part.places.push((row, columns));
                if is_openable(&part.text) && number(&part.text) == carried {
                    let address: Arc<str> = part.text.into();
                    links
                        .places
                        .extend(part.places.into_iter().map(|(row, place)| (row, place, address.clone())));
                } else if part.text.len() <= MOST_BYTES {
                    open.push(part);
                }
            }
        }
        links
    }

    /// The address that a cell belongs to.
    pub(crate) fn at(&self, row: usize, column: u16) -> Option<&Arc<str>> {
        let column = usize::from(column);
        let place = self.places.iter().find(|(at, columns, _)| *at == row && columns.contains(&column));
        place.map(|(.., address)| address)
    }
}

/// What is written before the letters of a link; after them it is that of no address.
pub(crate) fn begin(bytes: &mut Vec<u8>, address: &str) {
    let mut text = String::new();
    // Writing into a text can't fail. The same identity lets a terminal know the parts of a link as one.
    let _written = write!(text, "\x1b]8;id={:x};{address}\x1b\\", hash(address));
    bytes.extend_from_slice(text.as_bytes());
}

/// What is written after the letters of a link.
pub(crate) const END: &[u8] = b"\x1b]8;;\x1b\\";

/// Whether what stands behind a letter is the number of a link.
pub(crate) fn is_number(behind: Color) -> bool {
    matches!(behind, Color::Rgb(..))
}

fn number(address: &str) -> Color {
    let [first, second, third, ..] = hash(address).to_be_bytes();
    Color::Rgb(first, second, third)
}

fn hash(address: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use ratatui::text::Span;

    use super::*;
    use crate::wrap::{Break, wrap};

    #[test]
    fn only_plain_addresses_of_known_kinds_are_links() {
        for (address, is_link) in [
            ("https://a.b/c?d=e&f#g", true),
            ("http://localhost:8080", true),
            ("file:///repo/a.rs", true),
            ("https://", false),
            ("file://host/share", false),
            ("javascript:alert(1)", false),
            ("vscode://x", false),
            ("https://a.b/\u{1b}]8;;evil", false),
            ("https://a.b/ c", false),
            ("https://a.b/\\u{7}", false),
            ("https://a.b/{c}", false),
            ("https://аpple.com", false),
            ("https://a.b/\u{202e}", false),
        ] {
            assert_eq!(is_openable(address), is_link, "{address}");
        }
        assert!(!is_openable(&format!("https://a/{}", "x".repeat(MOST_BYTES))));
    }

    #[test]
    fn addresses_are_found_in_a_text_without_the_sentence_around_them() {
        let found =
            |text: &str| addresses(text).into_iter().map(|at| text[at].to_owned()).collect::<Vec<_>>();
        assert_eq!(found("see https://a.b/c, and (http://d.e/f(g))."), ["https://a.b/c", "http://d.e/f(g)"]);
        assert_eq!(found("日https://a.b日 xhttps://c.d https:// end"), [] as [&str; 0]);
        assert_eq!(found("日 https://a.b日"), ["https://a.b"]);
    }

    #[test]
    fn a_link_that_is_broken_into_lines_is_one() {
        let address = "https://example.org/a/long/way";
        let span = Span::styled(address, linked(Style::new(), address));
        let mut lines = wrap(&[span], 12, &[Span::raw("- ")], &[Span::raw("  ")], Break::Words);
        assert_eq!(lines.len(), 3);
        let links = Links::of(&lines, Hyperlinks::Told);
        for row in 0..3 {
            assert_eq!(links.at(row, 2).map(|it| &**it), Some(address));
            assert_eq!(links.at(row, 1), None);
        }
        assert!(Links::of(&lines, Hyperlinks::Plain).at(0, 2).is_none());
        lines.remove(1);
        assert!(Links::of(&lines, Hyperlinks::Told).at(0, 2).is_none(), "what can't be seen is not opened");
    }

    #[test]
    fn the_same_link_twice_is_two() {
        let span = || Span::styled("https://a.b", linked(Style::new(), "https://a.b"));
        let line = Line::from(vec![span(), Span::raw(" "), span()]);
        let links = Links::of(&[line], Hyperlinks::Told);
        assert_eq!(links.places.len(), 2);
    }

    #[test]
    fn terminals_that_take_no_links_get_none() {
        let of = |set: &[(&str, &str)]| {
            Hyperlinks::of(|name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        for (set, wanted) in [
            (&[("TERM", "xterm-256color")][..], Hyperlinks::Told),
            (&[("TERM", "screen-256color"), ("TMUX", "/tmp/x")], Hyperlinks::Told),
            (&[("TERM", "screen")], Hyperlinks::Plain),
            (&[("TERM", "xterm"), ("STY", "1.x")], Hyperlinks::Plain),
            (&[("TERM", "linux")], Hyperlinks::Plain),
            (&[("TERM", "xterm"), ("VTE_VERSION", "4602")], Hyperlinks::Plain),
            (&[("TERM", "xterm"), ("VTE_VERSION", "7600")], Hyperlinks::Told),
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "Apple_Terminal")], Hyperlinks::Plain),
        ] {
            assert_eq!(of(set), wanted, "{set:?}");
        }
    }
}

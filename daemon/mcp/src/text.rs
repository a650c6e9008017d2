//! Text of strangers, made harmless: no control characters, nothing that is invisible, bounded.

use protocol::text::is_invisible;

/// Whether a character may stay. What is not seen can tell a model what its person does not read.
fn is_visible(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        // Selectors of glyphs, and what stands for nothing yet: long texts were hidden in them.
        '\u{e0080}'..='\u{e0fff}' => false,
        c => !c.is_control() && !is_invisible(c),
    }
}

/// The text without what is not seen.
pub(crate) fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").chars().filter(|c| is_visible(*c)).collect()
}

/// The beginning of the text, without what is not seen, at most so many bytes.
pub(crate) fn short(text: &str, most: usize) -> String {
    // Each byte of the text makes at most one of the result.
    let cut = &text[..text.floor_char_boundary(4 * most)];
    let mut plain = plain(cut);
    if plain.len() > most || cut.len() < text.len() {
        plain.truncate(plain.floor_char_boundary(most.saturating_sub(3)));
        plain.push('…');
    }
    plain
}

/// The same as one line.
pub(crate) fn line(text: &str, most: usize) -> String {
    short(text, most).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Beginning and end of a long text; what lies between is counted.
pub(crate) fn bounded(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let head = &text[..text.floor_char_boundary(most / 2)];
    let tail = &text[text.ceil_char_boundary(text.len() - most / 2)..];
    let left_out = text.len() - head.len() - tail.len();
    format!("{head}\n[… {left_out} bytes left out …]\n{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_left_out() {
        let hidden = "a\u{1b}[31mb\u{202e}c\u{200b}d\u{e0041}e\u{7}\r\nf\tg\u{feff}";
        assert_eq!(plain(hidden), "a[31mbcde\nf\tg");
        assert_eq!(line("a\n b\tc", 100), "a b c");
    }

    #[test]
    fn long_text_is_cut() {
        let long = "ü".repeat(10_000);
        assert!(short(&long, 100).len() <= 100 && short(&long, 100).ends_with('…'));
        assert_eq!(short("short", 100), "short");
        let cut = bounded(&long, 1000);
        assert!(cut.len() < 1100 && cut.contains("19000 bytes left out"), "{cut}");
        assert_eq!(bounded("short", 1000), "short");
    }
}

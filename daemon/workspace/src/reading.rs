//! Shows a part of a text, line by line, however long the text or its lines are. Knows nothing of where it comes from.

use std::io::{self, Read};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::patience::Patience;

/// Bytes that are looked at to tell what it is.
const SNIFFED_BYTES: usize = 8 * 1024;
/// Bytes of one line that are shown.
const MAX_LINE_BYTES: usize = 2_000;
/// Bytes that are gone over to come to the first line.
const MAX_SKIPPED_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes behind the last line that are gone over to count the rest.
const MAX_COUNTED_BYTES: u64 = 16 * 1024 * 1024;
/// A text that is not UTF-8 is decoded as a whole; so many bytes of it.
const MAX_DECODED_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Which lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first one, from 1.
    pub first: u64,
    /// How many at most.
    pub lines: usize,
    /// How many bytes at most.
    pub bytes: usize,
}

/// What there is to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Lines.
    Text(Text),
    /// It is no text; what it is, as far as its first bytes tell.
    Binary(&'static str),
}

/// Lines of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Each with its number.
    pub lines: Vec<(u64, String)>,
    /// How many there are in all; `None` if that would take long.
    pub total_lines: Option<u64>,
    /// What the text is written in, if not plain UTF-8.
    pub encoding: Option<&'static str>,
    /// Whether bytes were replaced that are no text.
    pub is_lossy: bool,
}

/// Shows lines of what a reader gives.
///
/// # Errors
/// `TimedOut` when nobody waits any more before the lines are found, or what the reader says.
pub fn show(mut reader: impl Read, range: Range, patience: &Patience) -> io::Result<Shown> {
    let mut beginning = Vec::with_capacity(SNIFFED_BYTES);
    reader.by_ref().take(SNIFFED_BYTES as u64).read_to_end(&mut beginning)?;
    match Encoding::for_bom(&beginning) {
        Some((encoding, bom)) if encoding == UTF_8 => {
            let rest = (&beginning[bom..]).chain(reader);
            let text = Scan::new(range, patience).run(rest)?;
            Ok(Shown::Text(Text { encoding: Some("UTF-8 with a byte order mark"), ..text }))
        }
        Some((encoding, _)) => {
            let mut bytes = beginning;
            let is_cut =
                reader.by_ref().take(MAX_DECODED_BYTES).read_to_end(&mut bytes)? as u64 == MAX_DECODED_BYTES;
            let (decoded, _, is_lossy) = encoding.decode(&bytes);
            let text = Scan::new(range, patience).run(decoded.as_bytes())?;
            let total_lines = text.total_lines.filter(|_| !is_cut);
            let name = if encoding == UTF_16LE {
                "UTF-16, little endian"
            } else if encoding == UTF_16BE {
                "UTF-16, big endian"
            } else {
                encoding.name()
            };
            Ok(Shown::Text(Text { encoding: Some(name), is_lossy, total_lines, ..text }))
        }
        None => match binary(&beginning) {
            Some(kind) => Ok(Shown::Binary(kind)),
            None => Ok(Shown::Text(Scan::new(range, patience).run((&*beginning).chain(reader))?)),
        },
    }
}

/// What it is, if it is no text.
fn binary(beginning: &[u8]) -> Option<&'static str> {
    let known: &[(&[u8], &str)] = &[
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"%PDF-", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive, or a document in one"),
        (b"\x1f\x8b", "gzip data"),
        (b"\x28\xb5\x2f\xfd", "Zstandard data"),
        (b"\x7fELF", "an ELF executable or library"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"\0asm", "WebAssembly"),
    ];
    let found = known.iter().find(|(magic, _)| beginning.starts_with(magic)).map(|(_, kind)| *kind);
    let is_webp = beginning.starts_with(b"RIFF") && beginning.get(8..12) == Some(b"WEBP");
    found
        .or_else(|| is_webp.then_some("a WebP image"))
        .or_else(|| beginning.contains(&0).then_some("binary data"))
}

/// Goes over a text once.
struct Scan<'a> {
    range: Range,
    patience: &'a Patience,
    /// The line that the next byte belongs to.
    number: u64,
    lines: Vec<(u64, String)>,
    /// Of the line that is read now, as much as is shown.
    line: Vec<u8>,
    line_bytes: u64,
    shown_bytes: usize,
    is_lossy: bool,
}

impl<'a> Scan<'a> {
    fn new(range: Range, patience: &'a Patience) -> Self {
        let range = Range { first: range.first.max(1), ..range };
        Self {
            range,
            patience,
            number: 1,
            lines: Vec::new(),
            line: Vec::new(),
            line_bytes: 0,
            shown_bytes: 0,
            is_lossy: false,
        }
    }

    fn run(mut self, mut reader: impl Read) -> io::Result<Text> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let (mut gone_over, mut behind) = (0_u64, 0_u64);
        loop {
            let count = reader.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            self.take(&chunk[..count]);
            gone_over += count as u64;
            if self.is_full() {
                behind += count as u64;
                if behind > MAX_COUNTED_BYTES || self.patience.is_over() {
                    return Ok(self.text(None));
                }
            } else if gone_over > MAX_SKIPPED_BYTES || self.patience.is_over() {
                if self.lines.is_empty() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                return Ok(self.text(None));
            }
        }
        if self.line_bytes > 0 {
            self.end_line();
        }
        let total = self.number - 1;
        Ok(self.text(Some(total)))
    }

    fn text(self, total_lines: Option<u64>) -> Text {
        Text { lines: self.lines, total_lines, encoding: None, is_lossy: self.is_lossy }
    }

    /// Whether all lines that are wanted are there.
    fn is_full(&self) -> bool {
        self.lines.len() >= self.range.lines || self.shown_bytes >= self.range.bytes
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.add(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.add(bytes);
    }

    fn add(&mut self, bytes: &[u8]) {
        self.line_bytes += bytes.len() as u64;
        if self.number >= self.range.first && !self.is_full() {
            let room = MAX_LINE_BYTES.saturating_sub(self.line.len()).min(bytes.len());
            self.line.extend_from_slice(&bytes[..room]);
        }
    }

    fn end_line(&mut self) {
        if self.number >= self.range.first && !self.is_full() {
            let mut kept = &*self.line;
            let omitted = self.line_bytes - kept.len() as u64;
            if omitted == 0 {
                kept = kept.strip_suffix(b"\r").unwrap_or(kept);
            } else if let Err(error) = std::str::from_utf8(kept)
                && error.error_len().is_none()
            {
                // The cut went through a character.
                kept = &kept[..error.valid_up_to()];
            }
            let mut text = String::from_utf8_lossy(kept).into_owned();
            self.is_lossy |= text.len() != kept.len() || std::str::from_utf8(kept).is_err();
            if omitted > 0 {
                text.push_str(&format!(" [… {omitted} more bytes in this line]"));
            }
            self.shown_bytes += text.len() + 1;
            self.lines.push((self.number, text));
        }
        self.number += 1;
        self.line.clear();
        self.line_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    const ALL: Range = Range { first: 1, lines: 100, bytes: 10_000 };

    fn text(bytes: &[u8], range: Range) -> Text {
        let (patience, _waiting) = Patience::until(Instant::now() + Duration::from_secs(60));
        match show(bytes, range, &patience).expect("read") {
            Shown::Text(text) => text,
            Shown::Binary(kind) => panic!("{kind}"),
        }
    }

    /// The lines, and how many there are in all.
    fn check(bytes: &[u8], range: Range, expected: &[(u64, &str)], total: u64) {
        let text = text(bytes, range);
        let lines: Vec<_> = text.lines.iter().map(|(number, line)| (*number, line.as_str())).collect();
        assert_eq!((lines.as_slice(), text.total_lines), (expected, Some(total)));
    }

    #[test]
    fn lines_are_numbered_and_counted() {
        check(b"", ALL, &[], 0);
        check(b"a\nb\n", ALL, &[(1, "a"), (2, "b")], 2);
        check(b"a\r\n\r\nb", ALL, &[(1, "a"), (2, ""), (3, "b")], 3);
        check(b"a\nb\nc\nd\n", Range { first: 2, lines: 2, ..ALL }, &[(2, "b"), (3, "c")], 4);
        check(b"a\nb\n", Range { first: 9, ..ALL }, &[], 2);
        check(b"aaaa\nbbbb\ncccc\n", Range { bytes: 6, ..ALL }, &[(1, "aaaa"), (2, "bbbb")], 3);
    }

    #[test]
    fn encodings_are_told_apart() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let little = text(&[b"\xff\xfe".to_vec(), utf16("grün\nb")].concat(), ALL);
        assert_eq!(little.lines, [(1, "grün".to_owned()), (2, "b".to_owned())]);
        assert_eq!(little.encoding, Some("UTF-16, little endian"));
        let marked = text(b"\xef\xbb\xbfa\n", ALL);
        assert_eq!((marked.lines[0].1.as_str(), marked.encoding.is_some()), ("a", true));
        let latin = text(b"gr\xfcn\n", ALL);
        assert_eq!((latin.lines[0].1.as_str(), latin.is_lossy), ("gr\u{fffd}n", true));
        assert!(!text("grün\n".as_bytes(), ALL).is_lossy);
    }

    #[test]
    fn what_is_no_text_is_named() {
        let (patience, _waiting) = Patience::until(Instant::now() + Duration::from_secs(60));
        for (bytes, kind) in [
            (&b"\x89PNG\r\n\x1a\n\0"[..], "a PNG image"),
            (b"RIFF\x01\x02\x03\x04WEBPVP8 ", "a WebP image"),
            (b"text\0", "binary data"),
        ] {
            assert_eq!(show(bytes, ALL, &patience).expect("read"), Shown::Binary(kind));
        }
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let line = "ä".repeat(5_000_000);
        let text = text(line.as_bytes(), ALL);
        let (_, shown) = &text.lines[0];
        assert!(shown.len() < 2 * MAX_LINE_BYTES && shown.starts_with("ää") && !text.is_lossy);
        assert!(shown.ends_with(&format!(" [… {} more bytes in this line]", line.len() - MAX_LINE_BYTES)));
        assert_eq!(text.total_lines, Some(1));
    }

    #[test]
    fn an_endless_text_is_left_when_nobody_waits() {
        let (patience, waiting) = Patience::until(Instant::now() + Duration::from_secs(60));
        drop(waiting);
        let error = show(io::repeat(b'x'), ALL, &patience).expect_err("no line");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let lines = match show(b"a\n".chain(io::repeat(b'x')), ALL, &patience).expect("read") {
            Shown::Text(text) => text,
            Shown::Binary(kind) => panic!("{kind}"),
        };
        assert_eq!((lines.lines.len(), lines.total_lines), (1, None));
    }
}

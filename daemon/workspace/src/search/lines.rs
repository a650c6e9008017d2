//! The lines of one file that match, cut to what is worth showing.

use std::path::PathBuf;

use grep_matcher::Matcher;
use grep_regex::RegexMatcher;
use grep_searcher::{Searcher, Sink, SinkContext, SinkFinish, SinkMatch};

/// Bytes of a line that are shown.
const MAX_LINE_BYTES: usize = 400;
/// What is shown before a match that is far in its line.
const LEAD_BYTES: usize = 80;

/// What matched in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMatches {
    /// The file, from the root of the search; the root itself if that is a file.
    pub path: PathBuf,
    /// Matching lines, and those around them, in order. Empty if only files or counts are wanted.
    pub lines: Vec<Line>,
    /// How many lines match; at least, where the search in it was cut.
    pub count: u64,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// Its text without the line ending, cut if long.
    pub text: String,
    /// Whether it matches itself.
    pub is_match: bool,
}

/// Collects the lines of one file.
pub(super) struct Lines<'a> {
    pub(super) matcher: &'a RegexMatcher,
    pub(super) wants_text: bool,
    /// After so many matches the file is left.
    pub(super) limit: u64,
    pub(super) lines: Vec<Line>,
    pub(super) count: u64,
    pub(super) bytes: usize,
    /// After so many bytes of text the file is left.
    pub(super) room: usize,
    /// A NUL was found: it is no text.
    pub(super) is_binary: bool,
}

/// What a line is there for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Match,
    Context,
}

impl Lines<'_> {
    fn push(&mut self, number: Option<u64>, bytes: &[u8], part: Part) {
        let is_match = part == Part::Match;
        // A match may go over several lines.
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let number = number.unwrap_or(0) + index as u64;
            let text = self.cut(line.trim_ascii_end(), is_match);
            self.bytes += text.len() + size_of::<Line>();
            self.lines.push(Line { number, text, is_match });
        }
    }

    fn cut(&self, line: &[u8], is_match: bool) -> String {
        if line.len() <= MAX_LINE_BYTES {
            return String::from_utf8_lossy(line).into_owned();
        }
        let found = is_match.then(|| self.matcher.find(line).ok().flatten()).flatten();
        let at = found.map_or(0, |found| found.start());
        let is_boundary = |byte: &u8| byte & 0xC0 != 0x80;
        let mut start = if at + LEAD_BYTES < MAX_LINE_BYTES { 0 } else { at - LEAD_BYTES.min(at) };
        start += line[start..].iter().take(3).position(is_boundary).unwrap_or(0);
        let mut end = (start + MAX_LINE_BYTES).min(line.len());
        end -=
            line[..end].iter().rev().take(3).position(|byte| byte & 0xC0 == 0xC0).map_or(0, |back| back + 1);
        let text = String::from_utf8_lossy(&line[start..end.max(start)]);
        let before = if start > 0 { format!("[{start} bytes …] ") } else { String::new() };
        let after =
            if end < line.len() { format!(" [… {} bytes]", line.len() - end) } else { String::new() };
        format!("{before}{text}{after}")
    }
}

impl Sink for Lines<'_> {
    type Error = std::io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, Self::Error> {
        self.count += 1;
        if self.wants_text {
            self.push(found.line_number(), found.bytes(), Part::Match);
        }
        Ok(self.count < self.limit && self.bytes < self.room)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> Result<bool, Self::Error> {
        if self.wants_text {
            self.push(context.line_number(), context.bytes(), Part::Context);
        }
        Ok(true)
    }

    fn binary_data(&mut self, _: &Searcher, _: u64) -> Result<bool, Self::Error> {
        self.is_binary = true;
        Ok(false)
    }

    fn finish(&mut self, _: &Searcher, finish: &SinkFinish) -> Result<(), Self::Error> {
        self.is_binary |= finish.binary_byte_offset().is_some();
        Ok(())
    }
}

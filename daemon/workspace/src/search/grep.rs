//! Looks for a regular expression in the files of a tree, as ripgrep does and with its crates. Nothing that is found
//! in a file can make it slow or large: binary files are left, long lines cut, and there is a deadline.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, MmapChoice, Searcher, SearcherBuilder};

use super::error::SearchError;
use super::lines::{FileMatches, Lines};
use crate::path::Kind;
use crate::patience::Patience;
use crate::sight::Sight;
use crate::walk::{Entry, Filter, Ignored, Visitor, Walk, Walked, walk};

/// What one expression may become.
const MAX_REGEX_BYTES: usize = 10 * 1024 * 1024;
/// What one file may need in memory: its longest line, or all of it where matches go over lines.
const MAX_HEAP_BYTES: usize = 8 * 1024 * 1024;
/// A file of at most so many bytes is read in one go.
const SMALL_FILE_BYTES: u64 = 256 * 1024;
/// What is found in all, as text.
const MAX_FOUND_BYTES: usize = 2 * 1024 * 1024;
/// Matching lines in one file.
const MAX_PER_FILE: u64 = 2_000;

/// What to look for.
#[derive(Clone, Debug, Default)]
pub struct Grep {
    /// The expression, in Rust's syntax.
    pub pattern: String,
    /// Whether it is a plain text instead.
    pub is_literal: bool,
    /// Whether upper and lower case are told apart.
    pub case: Case,
    /// Whether a match may go over several lines.
    pub is_multiline: bool,
    /// Lines to show around each match.
    pub context: usize,
    /// What is wanted.
    pub want: Want,
    /// In which files.
    pub filter: Filter,
    /// Whether those that are ignored are among them.
    pub ignored: Ignored,
}

/// Whether upper and lower case are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// They are.
    #[default]
    Sensitive,
    /// They are not.
    Insensitive,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Want {
    /// The lines.
    #[default]
    Lines,
    /// The files alone.
    Files,
    /// How many lines match in each.
    Counts,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrepOutcome {
    /// By path.
    pub files: Vec<FileMatches>,
    /// Whether it ended before it was everywhere, as it took too long or found too much.
    pub is_cut: bool,
    /// Files and folders that could not be looked into.
    pub unreadable: u64,
    /// Files that were left, as a line of them is too long.
    pub too_long: u64,
}

/// Looks into a file, or into all files of a folder.
///
/// # Errors
/// What to look for, or where, can't be understood or seen.
pub fn grep(
    sight: &Sight,
    root: &Path,
    grep: &Grep,
    patience: &Patience,
) -> Result<GrepOutcome, SearchError> {
    let matcher = matcher(grep)?;
    let root = sight.real(root)?;
    let found_bytes = AtomicUsize::new(0);
    let grepper = || Grepper {
        matcher: &matcher,
        searcher: searcher(grep),
        root: &root,
        want: grep.want,
        patience,
        found_bytes: &found_bytes,
        buffer: Vec::new(),
        files: Vec::new(),
        unreadable: 0,
        too_long: 0,
    };
    if !root.is_dir() {
        let opened = sight.open(&root)?;
        let mut grepper = grepper();
        let flow = grepper.search(opened.file, opened.size_bytes, PathBuf::new);
        return Ok(gather(vec![grepper], Walked { is_cut: flow.is_break(), ..Walked::default() }));
    }
    let (filter, ignored) = (&grep.filter, grep.ignored);
    let (greppers, walked) = walk(&Walk { sight, root: &root, ignored, filter, patience }, grepper)?;
    Ok(gather(greppers, walked))
}

fn gather(greppers: Vec<Grepper<'_>>, walked: Walked) -> GrepOutcome {
    let mut outcome = GrepOutcome {
        files: Vec::new(),
        is_cut: walked.is_cut || walked.left_out > 0,
        unreadable: walked.unreadable,
        too_long: 0,
    };
    for grepper in greppers {
        outcome.files.extend(grepper.files);
        outcome.unreadable += grepper.unreadable;
        outcome.too_long += grepper.too_long;
    }
    outcome.files.sort_by(|one, other| one.path.cmp(&other.path));
    outcome
}

fn matcher(grep: &Grep) -> Result<RegexMatcher, SearchError> {
    let mut builder = RegexMatcherBuilder::new();
    builder
        .case_insensitive(grep.case == Case::Insensitive)
        .fixed_strings(grep.is_literal)
        .multi_line(true)
        .size_limit(MAX_REGEX_BYTES)
        .dfa_size_limit(MAX_REGEX_BYTES)
        .nest_limit(100);
    if !grep.is_multiline {
        builder.line_terminator(Some(b'\n'));
    }
    builder.build(&grep.pattern).map_err(|error| SearchError::Pattern { reason: error.to_string() })
}

fn searcher(grep: &Grep) -> Searcher {
    let context = if grep.want == Want::Lines { grep.context } else { 0 };
    SearcherBuilder::new()
        .binary_detection(BinaryDetection::quit(0))
        // Someone may cut a file short while it is mapped, which ends the process.
        .memory_map(MmapChoice::never())
        .heap_limit(Some(MAX_HEAP_BYTES))
        .multi_line(grep.is_multiline)
        .line_number(grep.want == Want::Lines)
        .before_context(context)
        .after_context(context)
        .build()
}

struct Grepper<'a> {
    matcher: &'a RegexMatcher,
    searcher: Searcher,
    root: &'a Path,
    want: Want,
    patience: &'a Patience,
    /// Of all threads.
    found_bytes: &'a AtomicUsize,
    /// A small file's content.
    buffer: Vec<u8>,
    files: Vec<FileMatches>,
    unreadable: u64,
    too_long: u64,
}

impl Visitor for Grepper<'_> {
    fn visit(&mut self, entry: &Entry<'_>) -> ControlFlow<()> {
        if entry.kind != Kind::File {
            return ControlFlow::Continue(());
        }
        match entry.folder.open_seen_file(entry.name) {
            Ok((file, found)) => {
                let parent = entry.parent.strip_prefix(self.root).unwrap_or(entry.parent);
                self.search(file, found.size, || parent.join(entry.name))
            }
            Err(_) => {
                self.unreadable += 1;
                ControlFlow::Continue(())
            }
        }
    }
}

impl Grepper<'_> {
    fn search(&mut self, mut file: File, size: u64, path: impl FnOnce() -> PathBuf) -> ControlFlow<()> {
        let room = MAX_FOUND_BYTES.saturating_sub(self.found_bytes.load(Ordering::Relaxed));
        let mut lines = Lines {
            matcher: self.matcher,
            wants_text: self.want == Want::Lines,
            limit: match self.want {
                Want::Lines => MAX_PER_FILE,
                Want::Files => 1,
                Want::Counts => u64::MAX,
            },
            lines: Vec::new(),
            count: 0,
            bytes: 0,
            room,
            is_binary: false,
        };
        let searched = if size <= SMALL_FILE_BYTES {
            self.buffer.clear();
            let read = (&mut file).take(SMALL_FILE_BYTES).read_to_end(&mut self.buffer);
            read.and_then(|_| self.searcher.search_slice(self.matcher, &self.buffer, &mut lines))
        } else {
            let guarded = Guarded { file, patience: self.patience };
            self.searcher.search_reader(self.matcher, guarded, &mut lines)
        };
        if let Err(error) = searched {
            match error.kind() {
                io::ErrorKind::TimedOut => return ControlFlow::Break(()),
                // The searcher's own, for a line that does not fit into its buffer.
                io::ErrorKind::Other => self.too_long += 1,
                _ => self.unreadable += 1,
            }
        }
        if lines.count > 0 && !lines.is_binary {
            let path = path();
            let bytes = lines.bytes + path.as_os_str().len() + size_of::<FileMatches>();
            self.files.push(FileMatches { path, lines: lines.lines, count: lines.count });
            if self.found_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes >= MAX_FOUND_BYTES {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

/// Reads a file for as long as somebody waits.
struct Guarded<'a> {
    file: File,
    patience: &'a Patience,
}

impl Read for Guarded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.patience.is_over() { Err(io::ErrorKind::TimedOut.into()) } else { self.file.read(buffer) }
    }
}

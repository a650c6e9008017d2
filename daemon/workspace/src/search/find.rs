//! Finds files by their names: by glob, or by a few letters as one types them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::error::SearchError;
use crate::path::Kind;
use crate::patience::Patience;
use crate::sight::Sight;
use crate::walk::{Entry, Filter, Ignored, Visitor, Walk, walk};

/// What to find.
#[derive(Clone, Debug, Default)]
pub struct Find {
    /// Letters that occur in this order in the path; words are looked for one by one. Empty: every file.
    pub letters: String,
    /// Among which files.
    pub filter: Filter,
    /// Whether those that are ignored are among them.
    pub ignored: Ignored,
    /// The most that are returned.
    pub limit: usize,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNames {
    /// From the root of the search; the best first, and those that are equally good by path.
    pub paths: Vec<PathBuf>,
    /// How many there are in all.
    pub total: u64,
    /// Whether it ended before it was everywhere.
    pub is_cut: bool,
    /// Folders that could not be looked into.
    pub unreadable: u64,
}

/// Finds files and links, not folders, in a folder.
///
/// # Errors
/// What to find, or where, can't be understood or seen.
pub fn find(sight: &Sight, root: &Path, find: &Find, patience: &Patience) -> Result<FoundNames, SearchError> {
    let root = sight.real(root)?;
    let pattern = Pattern::parse(&find.letters, CaseMatching::Smart, Normalization::Smart);
    let finder = || Finder {
        root: &root,
        pattern: &pattern,
        matcher: Matcher::new(Config::DEFAULT.match_paths()),
        limit: find.limit,
        best: BinaryHeap::new(),
        total: 0,
        characters: Vec::new(),
        text: String::new(),
    };
    let (filter, ignored) = (&find.filter, find.ignored);
    let (finders, walked) = walk(&Walk { sight, root: &root, ignored, filter, patience }, finder)?;
    let total = finders.iter().map(|finder| finder.total).sum();
    let mut best: Vec<Candidate> = finders.into_iter().flat_map(|finder| finder.best).collect();
    best.sort();
    best.truncate(find.limit);
    Ok(FoundNames {
        paths: best.into_iter().map(|candidate| candidate.path).collect(),
        total,
        is_cut: walked.is_cut || walked.left_out > 0,
        unreadable: walked.unreadable,
    })
}

/// The worse it is the greater: a worse score, then a longer path, then a later one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    score: Reverse<u32>,
    length: usize,
    path: PathBuf,
}

struct Finder<'a> {
    root: &'a Path,
    pattern: &'a Pattern,
    matcher: Matcher,
    limit: usize,
    /// The worst is on top.
    best: BinaryHeap<Candidate>,
    total: u64,
    characters: Vec<char>,
    text: String,
}

impl Visitor for Finder<'_> {
    fn visit(&mut self, entry: &Entry<'_>) -> ControlFlow<()> {
        if entry.kind == Kind::Folder {
            return ControlFlow::Continue(());
        }
        let parent = entry.parent.strip_prefix(self.root).unwrap_or(entry.parent);
        self.text.clear();
        if !parent.as_os_str().is_empty() {
            self.text.push_str(&parent.to_string_lossy());
            self.text.push('/');
        }
        self.text.push_str(&entry.name.to_string_lossy());
        let score = if self.pattern.atoms.is_empty() {
            Some(0)
        } else {
            let text = Utf32Str::new(&self.text, &mut self.characters);
            self.pattern.score(text, &mut self.matcher)
        };
        if let Some(score) = score {
            self.total += 1;
            let length = if self.pattern.atoms.is_empty() { 0 } else { self.text.len() };
            let is_wanted = self.best.len() < self.limit
                || self
                    .best
                    .peek()
                    .is_some_and(|worst| (Reverse(score), length) <= (worst.score, worst.length));
            if is_wanted {
                let path = parent.join(entry.name);
                self.best.push(Candidate { score: Reverse(score), length, path });
                if self.best.len() > self.limit {
                    self.best.pop();
                }
            }
        }
        ControlFlow::Continue(())
    }
}

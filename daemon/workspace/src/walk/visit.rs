//! The walk itself.

use std::ffi::{OsStr, OsString};
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::filter::{Filter, Sieve};
use super::ignoring::Ignoring;
use super::queue::Queue;
use crate::files::FileError;
use crate::path::{Folder, Kind};
use crate::patience::Patience;
use crate::search::SearchError;
use crate::sight::Sight;

/// Folders below each other that are gone into.
const MAX_DEPTH: usize = 200;
/// Folders in one folder that are gone into.
const MAX_FOLDERS: u64 = 50_000;
/// Files of one folder that one thread takes at a time.
const BATCH: usize = 256;
/// Jobs that may wait; beyond them a thread does its own work first.
const MAX_WAITING: usize = 256;
/// Folders that may wait in all; beyond them those that are found are left out.
const MAX_QUEUED: usize = 100_000;
/// Threads at most.
const MAX_THREADS: usize = 4;

/// Whether what the ignore files leave out is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ignored {
    /// It is.
    #[default]
    LeftOut,
    /// It is looked at like the rest.
    Included,
}

/// Where to go.
pub(crate) struct Walk<'a> {
    pub(crate) sight: &'a Sight,
    /// A folder by its real path, which may be seen.
    pub(crate) root: &'a Path,
    pub(crate) ignored: Ignored,
    pub(crate) filter: &'a Filter,
    pub(crate) patience: &'a Patience,
}

/// A name that was come across.
pub(crate) struct Entry<'a> {
    pub(crate) folder: &'a Folder,
    /// The folder's real path.
    pub(crate) parent: &'a Path,
    pub(crate) name: &'a OsStr,
    pub(crate) kind: Kind,
}

/// Looks at what a walk comes across; one per thread.
pub(crate) trait Visitor: Send {
    /// A file, a link, or a folder that will be gone into. Breaking ends the walk.
    fn visit(&mut self, entry: &Entry<'_>) -> ControlFlow<()>;
}

/// How a walk went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Whether it ended before it was everywhere.
    pub(crate) is_cut: bool,
    /// Folders that could not be looked into.
    pub(crate) unreadable: u64,
    /// Folders that were not gone into, as they are too deep or too many.
    pub(crate) left_out: u64,
}

enum Job {
    Folder(Place),
    Files { path: PathBuf, names: Vec<(OsString, Kind)> },
}

/// A folder to go into.
struct Place {
    path: PathBuf,
    above: Ignoring,
    depth: usize,
    /// Whether all below it may be seen.
    is_clear: bool,
}

/// Goes through the tree; returns the visitors with what they have seen.
///
/// # Errors
/// The filter can't be understood, or the root is no folder that can be looked into.
pub(crate) fn walk<V: Visitor>(
    walk: &Walk<'_>,
    mut visitor: impl FnMut() -> V,
) -> Result<(Vec<V>, Walked), SearchError> {
    let sieve = walk.filter.build(walk.root)?;
    Folder::open(walk.root).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotADirectory => SearchError::NotAFolder { path: walk.root.to_owned() },
        _ => FileError::io(walk.root, error).into(),
    })?;
    let above = match walk.ignored {
        Ignored::LeftOut => Ignoring::above(walk.root),
        Ignored::Included => Ignoring::default(),
    };
    let is_clear = walk.sight.is_clear_below(walk.root);
    let first = Job::Folder(Place { path: walk.root.to_owned(), above, depth: 0, is_clear });
    let shared = Shared {
        walk,
        sieve,
        queue: Queue::new(first),
        unreadable: AtomicU64::new(0),
        left_out: AtomicU64::new(0),
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS);
    let mut visitors: Vec<V> = (0..threads).map(|_| visitor()).collect();
    std::thread::scope(|scope| {
        for visitor in &mut visitors {
            scope.spawn(|| shared.queue.work(|job| shared.go(job, visitor)));
        }
    });
    let walked = Walked {
        is_cut: shared.queue.is_closed(),
        unreadable: shared.unreadable.into_inner(),
        left_out: shared.left_out.into_inner(),
    };
    Ok((visitors, walked))
}

struct Shared<'a> {
    walk: &'a Walk<'a>,
    sieve: Sieve,
    queue: Queue<Job>,
    unreadable: AtomicU64,
    left_out: AtomicU64,
}

impl Shared<'_> {
    fn go<V: Visitor>(&self, job: Job, visitor: &mut V) {
        let outcome = match job {
            Job::Folder(place) => self.enter(&place, visitor),
            Job::Files { path, names } => match Folder::open(&path) {
                Ok(folder) => self.visit(&folder, &path, &names, visitor),
                Err(_) => self.unreadable(),
            },
        };
        if outcome.is_break() {
            self.queue.close();
        }
    }

    fn enter<V: Visitor>(&self, place: &Place, visitor: &mut V) -> ControlFlow<()> {
        let path = &*place.path;
        let Ok(folder) = Folder::open(path) else { return self.unreadable() };
        let ignoring = match self.walk.ignored {
            Ignored::LeftOut => place.above.within(path, &folder),
            Ignored::Included => Ignoring::default(),
        };
        let mut outcome = ControlFlow::Continue(());
        let mut folders = Vec::new();
        let mut files = Vec::new();
        let mut full = path.join("x");
        let (mut count, mut subfolders) = (0_u64, 0_u64);
        let read = folder.each(|name, kind| {
            count += 1;
            if count.is_multiple_of(1024) && (self.walk.patience.is_over() || self.queue.is_closed()) {
                outcome = ControlFlow::Break(());
                return outcome;
            }
            full.set_file_name(name);
            let is_folder = kind == Kind::Folder;
            if kind == Kind::Special
                || (!place.is_clear && !self.walk.sight.is_visible(&full))
                || ignoring.leaves_out(&full, is_folder)
            {
                return ControlFlow::Continue(());
            }
            if is_folder {
                if name == ".git" || !self.sieve.enters(&full) {
                    return ControlFlow::Continue(());
                }
                subfolders += 1;
                if place.depth >= MAX_DEPTH || subfolders > MAX_FOLDERS {
                    self.left_out.fetch_add(1, Ordering::Relaxed);
                    return ControlFlow::Continue(());
                }
                let entry = Entry { folder: &folder, parent: path, name, kind };
                outcome = visitor.visit(&entry);
                folders.push(name.to_owned());
                if folders.len() >= BATCH && self.queue.waiting() < MAX_WAITING {
                    self.push_folders(place, &mut folders, &ignoring);
                }
            } else if self.sieve.takes(&full) {
                files.push((name.to_owned(), kind));
                if files.len() >= BATCH {
                    let names = std::mem::take(&mut files);
                    if self.queue.waiting() < MAX_WAITING {
                        self.queue.push([Job::Files { path: path.to_owned(), names }]);
                    } else {
                        outcome = self.visit(&folder, path, &names, visitor);
                    }
                }
            }
            outcome
        });
        // First the folders, so that others have something to do meanwhile.
        self.push_folders(place, &mut folders, &ignoring);
        if read.is_err() {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
        }
        outcome?;
        self.visit(&folder, path, &files, visitor)
    }

    fn push_folders(&self, place: &Place, names: &mut Vec<OsString>, ignoring: &Ignoring) {
        if names.is_empty() {
            return;
        }
        if self.queue.waiting() > MAX_QUEUED {
            self.left_out.fetch_add(names.len() as u64, Ordering::Relaxed);
            names.clear();
            return;
        }
        self.queue.push(names.drain(..).map(|name| {
            let path = place.path.join(name);
            let is_clear = place.is_clear || self.walk.sight.is_clear_below(&path);
            Job::Folder(Place { path, above: ignoring.clone(), depth: place.depth + 1, is_clear })
        }));
    }

    fn visit<V: Visitor>(
        &self,
        folder: &Folder,
        parent: &Path,
        names: &[(OsString, Kind)],
        visitor: &mut V,
    ) -> ControlFlow<()> {
        for (name, kind) in names {
            if self.walk.patience.is_over() || self.queue.is_closed() {
                return ControlFlow::Break(());
            }
            visitor.visit(&Entry { folder, parent, name, kind: *kind })?;
        }
        ControlFlow::Continue(())
    }

    fn unreadable(&self) -> ControlFlow<()> {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Continue(())
    }
}

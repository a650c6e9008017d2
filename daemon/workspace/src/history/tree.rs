//! A folder with all that is in it, as it was when it was last looked through.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::error::HistoryError;
use super::journal::{Journal, Page};
use super::pack::{Kept, Pack};
use super::version::{self, Version, VersionKind};
use crate::path::{Fingerprint, Folder};
use crate::walk::Queue;

/// Files and folders of one tree.
const MAX_ENTRIES: usize = 200_000;
/// Contents of one tree.
const MAX_PACK_BYTES: u64 = 512 * 1024 * 1024;
/// What a journal may grow by before a new tree is begun.
const MAX_JOURNAL_BYTES: u64 = 64 * 1024 * 1024;
/// Threads that look.
const MAX_THREADS: usize = 4;
/// So few folders are looked through sooner than threads start.
const FEW_FOLDERS: usize = 64;
/// How coarse the clocks of file systems are: what changed so short before it was read may change once more without
/// another time.
const COARSE: Duration = Duration::from_millis(50);
/// What belongs to git.
const GIT: &str = ".git";
/// Folders that are left out.
const LEFT_OUT: [&str; 15] = [
    GIT,
    ".hg",
    ".jj",
    ".svn",
    "node_modules",
    "target",
    ".venv",
    "__pycache__",
    ".tox",
    ".gradle",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".next",
    ".turbo",
];

/// A folder with all that is in it.
pub struct Tree {
    root: PathBuf,
    /// Folders that are left out beside those with a name of the list; absolute.
    hidden: Vec<PathBuf>,
    pack: Pack,
    /// What is in each folder, by its path below the root.
    folders: HashMap<PathBuf, Names>,
    is_known: bool,
    /// Folders that got a `.git`, which is left out itself, and were not asked for yet.
    working_trees: Vec<PathBuf>,
    /// Whether other folders have a `.git` than the journal says.
    is_git_unwritten: bool,
    /// The file system of the root, if its folders tell by their times which names are in them.
    device: Option<u64>,
    /// Bytes of contents that were there at first.
    first_bytes: u64,
    journal: Option<Journal>,
    /// What is to be written there; absent: all that is known.
    unwritten: Option<Vec<Page>>,
    /// Bytes of the journal that all that was known took.
    first_journal_bytes: u64,
}

/// What stood under a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it was.
    pub kind: VersionKind,
    /// Its permission bits; 0 for links.
    pub mode: u32,
    /// Bytes of its content.
    pub size_bytes: u64,
    /// Its content; `None` where it was too large.
    pub content: Option<Kept>,
}

/// What became different under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Absolute.
    pub path: PathBuf,
    /// What stood there.
    pub before: Option<Entry>,
    /// What stands there.
    pub after: Option<Entry>,
}

/// What is known of a folder.
#[derive(Default)]
struct Names {
    known: BTreeMap<OsString, Known>,
    /// The folder, if for as long as it looks like this the same names are in it.
    print: Option<Fingerprint>,
    /// Whether it has a `.git`; `None` if another process knew the folder, and that not.
    has_git: Option<bool>,
}

/// What is known of a name in a folder.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Known {
    entry: Entry,
    print: Fingerprint,
    /// Whether it changed so short before it was read that its times may not tell of the next change.
    is_fresh: bool,
}

/// What one folder has now.
struct Listing {
    folder: PathBuf,
    /// Names that are new or were changed, with what is there; others are as they were.
    seen: Vec<(OsString, Known)>,
    gone: Vec<OsString>,
    print: Option<Fingerprint>,
    has_git: Option<bool>,
}

/// One folder as it was listed.
struct Listed {
    listing: Listing,
    /// The folders in it.
    below: Vec<PathBuf>,
    /// How much is in it.
    count: usize,
}

impl Tree {
    /// Nothing known yet; contents go into this empty file.
    #[must_use]
    pub fn new(root: PathBuf, hidden: Vec<PathBuf>, file: File) -> Self {
        let pack = Pack::new(file, MAX_PACK_BYTES);
        Self {
            root,
            hidden,
            pack,
            folders: HashMap::new(),
            is_known: false,
            working_trees: Vec::new(),
            is_git_unwritten: true,
            device: None,
            first_bytes: 0,
            journal: None,
            unwritten: None,
            first_journal_bytes: 0,
        }
    }

    /// Writes marks into this empty file.
    #[must_use]
    pub fn with_journal(self, file: File) -> Self {
        Self { journal: Some(Journal::new(file)), ..self }
    }

    /// As it was known at the last mark that is wanted, by these two files of a tree of the same folder. `None` if there
    /// is no such mark.
    ///
    /// # Errors
    /// `Io`.
    pub fn recover(
        root: PathBuf,
        hidden: Vec<PathBuf>,
        contents: File,
        journal: File,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Self>, HistoryError> {
        let replayed = Journal::replay(journal, is_wanted).map_err(|error| HistoryError::io(&root, error))?;
        let Some((journal, replayed)) = replayed else { return Ok(None) };
        let mut tree = Self::new(root, hidden, contents);
        tree.pack = Pack::from(tree.pack.into_file(), replayed.end, MAX_PACK_BYTES);
        let mut changes = Vec::new();
        for Page { folder, seen, gone } in replayed.pages {
            let listing = Listing { folder: folder.into(), seen, gone, print: None, has_git: None };
            tree.take(listing, &mut changes);
            changes.clear();
        }
        if let Some(with_git) = replayed.git {
            tree.folders.values_mut().for_each(|names| names.has_git = Some(false));
            for folder in with_git {
                tree.folders.entry(folder.into()).or_default().has_git = Some(true);
            }
            tree.is_git_unwritten = false;
        }
        tree.device = tree.root_device()?;
        tree.is_known = true;
        tree.first_bytes = tree.pack.used();
        tree.first_journal_bytes = journal.bytes();
        tree.journal = Some(journal);
        tree.unwritten = Some(Vec::new());
        Ok(Some(tree))
    }

    /// Writes down what is known, under this mark, if there is a journal: from there on another process can go on.
    ///
    /// # Errors
    /// `Io`; then the journal must not be used any more.
    pub fn mark(&mut self, mark: &[u8]) -> Result<(), HistoryError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let is_first = self.unwritten.is_none();
        let pages = self.unwritten.replace(Vec::new()).unwrap_or_else(|| {
            let page = |(folder, names): (&PathBuf, &Names)| Page {
                folder: folder.clone().into_os_string(),
                seen: names.known.iter().map(|(name, known)| (name.clone(), known.clone())).collect(),
                gone: Vec::new(),
            };
            self.folders.iter().filter(|(_, names)| !names.known.is_empty()).map(page).collect()
        });
        let git = self.is_git_unwritten.then(|| {
            let with_git = self.folders.iter().filter(|(_, names)| names.has_git == Some(true));
            with_git.map(|(folder, _)| folder.clone().into_os_string()).collect()
        });
        self.is_git_unwritten = false;
        let written = journal.write(pages, git, mark, self.pack.used());
        written.map_err(|error| HistoryError::io(&self.root, error))?;
        if is_first {
            self.first_journal_bytes = journal.bytes();
        }
        Ok(())
    }

    /// Waits until what was marked is on the disk, with the contents that belong to it: then it outlives a loss of power.
    ///
    /// # Errors
    /// `Io`.
    pub fn sync(&self) -> Result<(), HistoryError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        // The contents first: a mark whose contents are missing would tell of what nobody has.
        self.pack.sync().and_then(|()| journal.sync()).map_err(|error| HistoryError::io(&self.root, error))
    }

    /// Looks through the folder, and tells what is different from the last time, in the order of the paths; the first
    /// time that is nothing. A change from one look to the next is told once.
    ///
    /// # Errors
    /// `TooLarge`, and `Io` for the root or where contents are kept; what is known is incomplete then, and the tree
    /// must not be used any more.
    pub fn look(&mut self) -> Result<Vec<Change>, HistoryError> {
        self.look_at(SystemTime::now())
    }

    /// The same, at this time.
    pub(super) fn look_at(&mut self, now: SystemTime) -> Result<Vec<Change>, HistoryError> {
        if !self.is_known {
            self.device = self.root_device()?;
        }
        let listings = self.listings(now)?;
        let mut changes = Vec::new();
        let is_known = std::mem::replace(&mut self.is_known, true);
        for listing in listings {
            self.take(listing, &mut changes);
        }
        if !is_known {
            changes.clear();
            self.working_trees.clear();
            self.first_bytes = self.pack.used();
        }
        changes.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(changes)
    }

    /// The folders that got a `.git` between two looks, since this was asked last.
    pub fn take_working_trees(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.working_trees)
    }

    /// The content of an entry; `None` if it is damaged, as a loss of power can leave it.
    ///
    /// # Errors
    /// `Io`.
    pub fn content(&self, kept: Kept) -> Result<Option<Vec<u8>>, HistoryError> {
        match self.pack.read(kept) {
            Ok(content) => Ok(Some(content)),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
                Ok(None)
            }
            Err(error) => Err(HistoryError::io(&self.root, error)),
        }
    }

    /// Whether changes have used up so much room for contents that a new tree should be begun. What was there at first
    /// does not count: a new tree would have it as well.
    #[must_use]
    pub fn is_worn_out(&self) -> bool {
        let journal_bytes = self.journal.as_ref().map_or(0, Journal::bytes);
        journal_bytes - self.first_journal_bytes > MAX_JOURNAL_BYTES
            || self.pack.used() - self.first_bytes > (self.pack.cap() - self.first_bytes) / 2
    }

    /// The file system of the root, if its folders tell by their times which names are in them.
    fn root_device(&self) -> Result<Option<u64>, HistoryError> {
        let failed = |error: io::Error| HistoryError::io(&self.root, error);
        let root = Folder::open(&self.root).map_err(failed)?;
        let device = root.found().map_err(failed)?.fingerprint().device();
        Ok(root.tells_of_names().then_some(device))
    }

    /// Every folder that is there, compared with what is known.
    fn listings(&self, now: SystemTime) -> Result<Vec<Listing>, HistoryError> {
        let queue = Queue::new(PathBuf::new());
        let (listings, failure) = (Mutex::new(Vec::new()), Mutex::new(None));
        let count = AtomicUsize::new(0);
        let work = || {
            queue.work(|folder| match self.list(&folder, now) {
                Ok(Some(Listed { listing, below, count: entries })) => {
                    if count.fetch_add(entries, Ordering::Relaxed) + entries > MAX_ENTRIES {
                        let root = self.root.clone();
                        note(&failure, HistoryError::TooLarge { root, limit: MAX_ENTRIES });
                        queue.close();
                        return;
                    }
                    queue.push(below);
                    let known = self.folders.get(&listing.folder);
                    let known = known.map_or((None, Some(false)), |names| (names.print, names.has_git));
                    if !listing.seen.is_empty()
                        || !listing.gone.is_empty()
                        || (listing.print, listing.has_git) != known
                    {
                        listings.lock().unwrap_or_else(PoisonError::into_inner).push(listing);
                    }
                }
                // What is known of a folder that went goes with its name; of one that may not be read, it stays.
                Ok(None) => {}
                Err(error) => {
                    note(&failure, error);
                    queue.close();
                }
            });
        };
        let most = if self.is_known && self.folders.len() < FEW_FOLDERS { 1 } else { MAX_THREADS };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(most);
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(listings.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// One folder; `None` for one below the root that can't be read. Where the folder itself tells that the same names
    /// are in it, they are not listed again, only looked at.
    fn list(&self, path: &Path, now: SystemTime) -> Result<Option<Listed>, HistoryError> {
        let absolute = self.root.join(path);
        let failed = |error: io::Error| HistoryError::io(&absolute, error);
        let known = self.folders.get(path);
        let listed = Folder::open(&absolute).and_then(|folder| {
            // Before its names are read, so that one that comes meanwhile makes it another.
            let print = folder.found()?.fingerprint();
            if known.is_some_and(|known| known.print == Some(print)) {
                return Ok((folder, Some(print), None));
            }
            let names = self.names(&absolute, &folder)?;
            let is_told = self.device == Some(print.device()) && !is_fresh(&print, now);
            Ok((folder, is_told.then_some(print), Some(names)))
        });
        let (folder, print, names) = match listed {
            Ok(listed) => listed,
            Err(_) if !path.as_os_str().is_empty() => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let (seen, gone) = (Vec::new(), Vec::new());
        let has_git = match &names {
            Some((_, has_git)) => Some(*has_git),
            None => known.and_then(|names| names.has_git),
        };
        let listing = Listing { folder: path.to_owned(), seen, gone, print, has_git };
        let mut listed = Listed { listing, below: Vec::new(), count: 0 };
        let mut known = known.into_iter().flat_map(|names| &names.known).peekable();
        match names {
            None => {
                for (name, old) in known {
                    self.see(&mut listed, &folder, name, Some(old), now).map_err(failed)?;
                }
            }
            Some((names, _)) => {
                for name in &names {
                    while let Some((gone, _)) = known.next_if(|(known, _)| *known < name) {
                        listed.listing.gone.push(gone.clone());
                    }
                    let old = known.next_if(|(known, _)| *known == name).map(|(_, old)| old);
                    self.see(&mut listed, &folder, name, old, now).map_err(failed)?;
                }
                listed.listing.gone.extend(known.map(|(gone, _)| gone.clone()));
            }
        }
        Ok(Some(listed))
    }

    /// Looks at a name in a folder.
    fn see(
        &self,
        listed: &mut Listed,
        folder: &Folder,
        name: &OsStr,
        old: Option<&Known>,
        now: SystemTime,
    ) -> io::Result<()> {
        listed.count += 1;
        let Listed { listing: Listing { folder: path, seen, gone, .. }, below, .. } = listed;
        // What went between two looks at it is gone.
        let Some(found) = folder.look(name).ok().flatten() else {
            gone.extend(old.map(|_| name.to_owned()));
            return Ok(());
        };
        let print = found.fingerprint();
        if VersionKind::of(found.kind) == Some(VersionKind::Folder) {
            below.push(path.join(name));
        }
        if old.is_some_and(|old| old.print.is_same(&print) && !old.is_fresh) {
            return Ok(());
        }
        let Some(version) = version::read(folder, name, &found).ok().flatten() else {
            gone.extend(old.map(|_| name.to_owned()));
            return Ok(());
        };
        let entry = self.keep(version, found.size, old)?;
        let is_fresh = is_fresh(&print, now);
        seen.push((name.to_owned(), Known { entry, print, is_fresh }));
        Ok(())
    }

    /// The names in a folder that are looked at, in order, and whether `.git` is one of the others.
    fn names(&self, path: &Path, folder: &Folder) -> io::Result<(Vec<OsString>, bool)> {
        let (mut names, mut has_git) = (Vec::new(), false);
        folder.each(|name, kind| {
            has_git |= name == GIT;
            if VersionKind::of(kind).is_some() && !self.is_left_out(path, name) {
                names.push(name.to_owned());
            }
            if names.len() > MAX_ENTRIES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        names.sort_unstable();
        Ok((names, has_git))
    }

    /// Keeps what was read, if it is not kept already.
    fn keep(&self, version: Version, size: u64, old: Option<&Known>) -> io::Result<Entry> {
        let Version { kind, mode, content } = version;
        let content = match content {
            None => None,
            Some(bytes) => {
                let old = old.filter(|old| old.entry.kind == kind).and_then(|old| old.entry.content);
                let is_same = |old: &Kept| {
                    old.length() == bytes.len() as u64 && self.pack.read(*old).is_ok_and(|old| old == bytes)
                };
                match old.filter(is_same) {
                    Some(same) => Some(same),
                    None => self.pack.add(&bytes)?,
                }
            }
        };
        let size_bytes = content.map_or(size, Kept::length);
        Ok(Entry { kind, mode, size_bytes, content })
    }

    fn is_left_out(&self, folder: &Path, name: &OsStr) -> bool {
        LEFT_OUT.iter().any(|left_out| name == *left_out)
            || (!self.hidden.is_empty() && self.hidden.iter().any(|hidden| *hidden == folder.join(name)))
    }

    /// Makes what a folder has now what is known of it.
    fn take(&mut self, listing: Listing, changes: &mut Vec<Change>) {
        let Listing { folder, seen, gone, print, has_git } = listing;
        let had_git = self.folders.get(&folder).map_or(Some(false), |names| names.has_git);
        if has_git == Some(true) && had_git == Some(false) {
            self.working_trees.push(self.root.join(&folder));
        }
        self.is_git_unwritten |= has_git != had_git;
        if let Some(unwritten) = &mut self.unwritten
            && !(seen.is_empty() && gone.is_empty())
        {
            let (folder, seen, gone) = (folder.clone().into_os_string(), seen.clone(), gone.clone());
            unwritten.push(Page { folder, seen, gone });
        }
        for name in gone {
            self.forget(&folder, &name, changes);
        }
        for (name, found) in seen {
            let path = folder.join(&name);
            let old = self.folders.get(&folder).and_then(|names| names.known.get(&name));
            let before = old.map(|old| old.entry);
            let after = found.entry;
            // Of what is not kept only the times can tell.
            let is_same = before == Some(after)
                && (after.content.is_some() || old.is_some_and(|old| old.print.is_same(&found.print)));
            if before.is_some_and(|before| before.kind == VersionKind::Folder)
                && after.kind != VersionKind::Folder
            {
                self.forget_below(&path, changes);
            }
            if !is_same {
                changes.push(Change { path: self.root.join(path), before, after: Some(after) });
            }
            self.folders.entry(folder.clone()).or_default().known.insert(name, found);
        }
        let names = self.folders.entry(folder).or_default();
        (names.print, names.has_git) = (print, has_git);
    }

    /// A name is gone, with all below it.
    fn forget(&mut self, folder: &Path, name: &OsStr, changes: &mut Vec<Change>) {
        let Some(names) = self.folders.get_mut(folder) else { return };
        let Some(old) = names.known.remove(name) else { return };
        let path = folder.join(name);
        if old.entry.kind == VersionKind::Folder {
            self.forget_below(&path, changes);
        }
        changes.push(Change { path: self.root.join(path), before: Some(old.entry), after: None });
    }

    fn forget_below(&mut self, folder: &Path, changes: &mut Vec<Change>) {
        let names = self.folders.remove(folder).unwrap_or_default();
        self.is_git_unwritten |= names.has_git == Some(true);
        for (name, old) in names.known {
            let path = folder.join(name);
            if old.entry.kind == VersionKind::Folder {
                self.forget_below(&path, changes);
            }
            changes.push(Change { path: self.root.join(path), before: Some(old.entry), after: None });
        }
    }
}

/// Whether it was changed so short before that it may be changed once more without another time.
fn is_fresh(print: &Fingerprint, now: SystemTime) -> bool {
    now.duration_since(print.changed_at()).map_or(true, |age| age < COARSE)
}

fn note(failure: &Mutex<Option<HistoryError>>, error: HistoryError) {
    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

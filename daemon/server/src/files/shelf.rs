//! Where trees are kept on disk: a folder for each, which goes with it, unless the daemon dies. Then the next one finds
//! it and goes on from there. Knows nothing of what a tree is looked at for.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use protocol::ids::{ItemId, SessionId, TurnId};
use serde::{Deserialize, Serialize};
use store::Durability;
use workspace::history::{self, HistoryError, Tree};

/// Folders of a daemon that died that are kept; of more the oldest go.
const MAX_LEFT: usize = 8;
/// What their names begin with; the session follows.
const PREFIX: &str = "tree-";
const CONTENTS: &str = "contents";
const JOURNAL: &str = "journal";
const ROOT: &str = "root";

/// The folder of all trees.
pub(super) struct Shelf {
    folder: PathBuf,
    durability: Durability,
    left: Mutex<Vec<Left>>,
}

/// The place of one tree. It goes from the disk when it is dropped.
pub(super) struct Slot {
    folder: PathBuf,
    durability: Durability,
}

/// What a daemon that died has left of a tree.
pub(super) struct Left {
    root: PathBuf,
    /// Stays on the disk until somebody asks for it.
    folder: PathBuf,
    session: String,
    durability: Durability,
}

/// Why a tree was looked at last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) root: PathBuf,
    pub(super) turn: TurnId,
    pub(super) item: ItemId,
    pub(super) kind: MarkKind,
}

/// What goes on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MarkKind {
    /// A call begins.
    Call,
    /// No call, but a command in the background.
    Background,
    /// Nothing.
    Quiet,
}

impl Shelf {
    /// Finds what another daemon has left in a folder. What can't be read is left out.
    pub(super) fn open(folder: &Path, durability: Durability) -> Self {
        let mut left: Vec<(SystemTime, Left)> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                let session = name.strip_prefix(PREFIX)?.rsplit_once('-')?.0.to_owned();
                let changed =
                    fs::metadata(entry.path().join(JOURNAL)).and_then(|file| file.modified()).ok()?;
                let root = serde_json::from_slice(&fs::read(entry.path().join(ROOT)).ok()?).ok()?;
                Some((changed, Left { root, folder: entry.path(), session, durability }))
            })
            .collect();
        left.sort_by_key(|(changed, _)| std::cmp::Reverse(*changed));
        for (_, Left { folder, .. }) in left.drain(MAX_LEFT.min(left.len())..) {
            drop(Slot { folder, durability });
        }
        let left = left.into_iter().map(|(_, left)| left).collect();
        Self { folder: folder.to_owned(), durability, left: Mutex::new(left) }
    }

    /// A place for a tree of a session, with the files for its contents and its journal.
    pub(super) fn slot(&self, session: SessionId, root: &Path) -> Result<(Slot, File, File), HistoryError> {
        let failed = |source: io::Error| HistoryError::Io { path: self.folder.clone(), source };
        let prefix = format!("{PREFIX}{session}-");
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(&self.folder).map_err(failed)?;
        let slot = Slot { folder: folder.keep(), durability: self.durability };
        wire::folders::make_private(&slot.folder).map_err(|error| failed(io::Error::other(error)))?;
        let new = |name: &str| -> io::Result<File> {
            let file = tempfile::Builder::new().prefix(name).rand_bytes(0).tempfile_in(&slot.folder)?;
            file.keep().map(|(file, _)| file).map_err(|error| error.error)
        };
        let open = || -> io::Result<(File, File)> {
            let root = serde_json::to_vec(root).map_err(io::Error::other)?;
            let mut file = new(ROOT)?;
            io::Write::write_all(&mut file, &root)?;
            let files = (new(CONTENTS)?, new(JOURNAL)?);
            if self.durability == Durability::Power {
                file.sync_all()?;
            }
            Ok(files)
        };
        let (contents, journal) = open().map_err(failed)?;
        if self.durability == Durability::Power {
            for folder in [&slot.folder, &self.folder] {
                history::sync_names(folder)?;
            }
        }
        Ok((slot, contents, journal))
    }

    /// What another daemon has left of a session's trees; each is told once.
    pub(super) fn left(&self, session: SessionId) -> Vec<Left> {
        let session = session.to_string();
        // A poisoned list is whole: each change is one call.
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.extract_if(.., |left| left.session == session).collect()
    }
}

impl Slot {
    /// Writes a mark of a tree that is kept here. Where the log of the session outlives a loss of power, so does what was
    /// known before a call: it is waited for.
    pub(super) fn mark(&self, tree: &mut Tree, mark: &Mark) -> Result<(), HistoryError> {
        let failed = |source: io::Error| HistoryError::Io { path: self.folder.clone(), source };
        let bytes = serde_json::to_vec(mark).map_err(|error| failed(io::Error::other(error)))?;
        tree.mark(&bytes)?;
        match (self.durability, mark.kind) {
            (Durability::Power, MarkKind::Call) => tree.sync(),
            // A command in the background does not outlive that.
            (Durability::Power, MarkKind::Background | MarkKind::Quiet) | (Durability::Process, _) => Ok(()),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::debug!(%error, "what was kept of a tree is still there");
        }
    }
}

impl Left {
    /// The tree, as it was before one of these calls; else as it was last seen, if a command went on in the background
    /// then. Blocks.
    pub(super) fn recover(
        self,
        open: &BTreeSet<ItemId>,
        hidden: Vec<PathBuf>,
    ) -> Result<Option<(Mark, Tree, Slot)>, HistoryError> {
        let Self { root, folder, session: _, durability } = self;
        let slot = Slot { folder, durability };
        let is_call = |mark: &Mark| mark.kind == MarkKind::Call && open.contains(&mark.item);
        if let Some((mark, tree)) = slot.tree(&root, hidden.clone(), is_call)? {
            return Ok(Some((mark, tree, slot)));
        }
        let last = slot.tree(&root, hidden, |_| true)?;
        let busy = last.filter(|(mark, _)| mark.kind == MarkKind::Background);
        Ok(busy.map(|(mark, tree)| (mark, tree, slot)))
    }
}

impl Slot {
    /// The tree as it was at the last mark that is wanted.
    fn tree(
        &self,
        root: &Path,
        hidden: Vec<PathBuf>,
        is_wanted: impl Fn(&Mark) -> bool,
    ) -> Result<Option<(Mark, Tree)>, HistoryError> {
        let failed = |source: io::Error| HistoryError::Io { path: self.folder.clone(), source };
        let open = |name: &str| OpenOptions::new().read(true).write(true).open(self.folder.join(name));
        let (contents, journal) = (open(CONTENTS).map_err(failed)?, open(JOURNAL).map_err(failed)?);
        let found = RefCell::new(None);
        let tree = Tree::recover(root.to_owned(), hidden, contents, journal, |mark| {
            let mark: Option<Mark> = serde_json::from_slice(mark).ok();
            let mark = mark.filter(|mark| mark.root == root && is_wanted(mark));
            let is_wanted = mark.is_some();
            if is_wanted {
                found.replace(mark);
            }
            is_wanted
        })?;
        Ok(found.into_inner().zip(tree))
    }
}

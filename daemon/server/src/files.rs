//! Watches what calls change in the folders of sessions, keeps what was there, and brings it back. How a folder is
//! looked through and a file put back is `workspace`'s; contents go to the store's blobs, under their session.
//!
//! Each session has trees of its own, so that what another one does meanwhile is not taken for its work. What changes
//! between two calls is nobody's here: a rewind meets it as a conflict.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::{BlobId, SessionId};
use protocol::profile::{Access, NetworkAccess, PathRule, Profile, SandboxMode};
use protocol::rewind::{ChangedFile, FileKind, FileVersion, FilesChanged, LeftFile, RewindEnded};
use protocol::session::SessionSettings;
use session::file_history::{Call, FileHistory};
use store::{Blobs, Store};
use workspace::history::{self, Change, Entry, HistoryError, Tree, Version, VersionKind};

use crate::late;

/// Trees that are kept; the one that was not used for the longest time goes first.
const MAX_TREES: usize = 8;
/// Bytes of contents that one call may have kept; what is beyond can't be taken back.
const MAX_KEPT_BYTES: usize = 256 * 1024 * 1024;
/// Paths that an event names.
const MAX_PATHS: usize = 100;
/// Files that a rewind could not bring back, as an event names them.
const MAX_LEFT: usize = 1000;

/// What changes in files.
pub(crate) struct Files {
    store: Store,
    /// Where contents of trees lie, in files without a name.
    folder: PathBuf,
    /// Folders of the daemon's own.
    hidden: Vec<PathBuf>,
    trees: Mutex<VecDeque<Held>>,
}

/// A folder of a session.
struct Held {
    session: SessionId,
    root: PathBuf,
    watched: Arc<Mutex<Watched>>,
}

/// A folder, as it was last seen.
enum Watched {
    Never,
    Known(Box<Tree>),
    /// It can't be looked through.
    Not,
}

/// One path, with what was there and what is.
struct Difference {
    path: PathBuf,
    before: Option<(Entry, Option<Vec<u8>>)>,
    after: Option<(Entry, Option<Vec<u8>>)>,
}

impl Files {
    pub(crate) fn new(store: Store, folder: PathBuf, hidden: Vec<PathBuf>) -> Self {
        Self { store, folder, hidden, trees: Mutex::default() }
    }

    fn tree(&self, session: SessionId, root: &Path) -> Arc<Mutex<Watched>> {
        // A poisoned queue is whole: each change is one call.
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        let at = trees.iter().position(|held| held.session == session && held.root == root);
        let held = at.and_then(|at| trees.remove(at)).unwrap_or_else(|| {
            let watched = Arc::new(Mutex::new(Watched::Never));
            Held { session, root: root.to_owned(), watched }
        });
        let tree = Arc::clone(&held.watched);
        trees.push_back(held);
        if trees.len() > MAX_TREES {
            trees.pop_front();
        }
        tree
    }

    /// Looks at one folder; says what is different from the last time.
    async fn look(&self, session: SessionId, root: PathBuf) -> Result<Vec<Difference>, HistoryError> {
        let tree = self.tree(session, &root);
        let (folder, hidden) = (self.folder.clone(), self.hidden.clone());
        let work = move || {
            // What a panic left half done is not looked at again.
            let mut watched = match tree.lock() {
                Ok(watched) => watched,
                Err(poisoned) => {
                    let mut watched = poisoned.into_inner();
                    *watched = Watched::Never;
                    watched
                }
            };
            let was_known = matches!(*watched, Watched::Known(_));
            let outcome = look(&mut watched, &root, &folder, hidden);
            if outcome.is_err() {
                // What was known is looked at from the start by the next call, which says if it can't be.
                *watched = if was_known { Watched::Never } else { Watched::Not };
            }
            outcome
        };
        // The runtime ends.
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Ok(Vec::new()))
    }

    async fn keep(&self, call: &Call, found: Vec<Difference>) -> Result<FilesChanged, ProtocolError> {
        let mut contents = Vec::new();
        let mut room = MAX_KEPT_BYTES;
        let mut noted = Vec::with_capacity(found.len());
        for Difference { path, before, after } in found {
            let mut take = |side: Option<(Entry, Option<Vec<u8>>)>| {
                side.map(|(entry, content)| {
                    let content = content.filter(|bytes| bytes.len() <= room).map(|bytes| {
                        room -= bytes.len();
                        contents.push(bytes);
                        contents.len() - 1
                    });
                    (entry, content)
                })
            };
            noted.push((path, take(before), take(after)));
        }
        let ids = self.store.blobs().put_all(call.session_id, contents).await?;
        let version = |side: Option<(Entry, Option<usize>)>| {
            side.map(|(entry, content)| FileVersion {
                kind: kind(entry.kind),
                mode: entry.mode,
                size_bytes: entry.size_bytes,
                content: content.and_then(|at| ids.get(at).cloned()),
            })
        };
        let changes: Vec<ChangedFile> = noted
            .into_iter()
            .map(|(path, before, after)| ChangedFile { path, before: version(before), after: version(after) })
            .collect();
        let late = changes.iter().filter(|changed| {
            let is_file = changed.after.as_ref().is_some_and(|after| after.kind == FileKind::File);
            is_file && late::runs_later(&changed.path, &call.roots)
        });
        Ok(FilesChanged {
            turn_id: call.turn_id,
            item_id: call.item_id,
            count: u32::try_from(changes.len()).unwrap_or(u32::MAX),
            paths: changes.iter().take(MAX_PATHS).map(|changed| changed.path.clone()).collect(),
            runs_later: late.take(MAX_PATHS).map(|changed| changed.path.clone()).collect(),
            changes: put_changes(&self.store, call.session_id, &changes).await?,
        })
    }
}

impl FileHistory for Files {
    fn before<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Vec<String>> {
        async move {
            let mut notices = Vec::new();
            for root in outermost(&call.roots) {
                if let Err(error) = self.look(call.session_id, root.clone()).await {
                    notices.push(format!(
                        "What commands change in `{}` can't be taken back: {error}",
                        root.display()
                    ));
                }
            }
            notices
        }
        .boxed()
    }

    fn after<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Option<FilesChanged>> {
        async move {
            let mut found = Vec::new();
            for root in outermost(&call.roots) {
                match self.look(call.session_id, root.clone()).await {
                    Ok(more) => found.extend(more),
                    Err(error) => tracing::warn!(%error, "what a call changed is not known"),
                }
            }
            if found.is_empty() {
                return None;
            }
            match self.keep(call, found).await {
                Ok(changed) => Some(changed),
                Err(error) => {
                    tracing::warn!(%error, "what a call changed could not be kept");
                    None
                }
            }
        }
        .boxed()
    }

    fn restore<'a>(
        &'a self,
        session: SessionId,
        settings: &'a SessionSettings,
        changes: &'a BlobId,
    ) -> BoxFuture<'a, RewindEnded> {
        async move {
            let (store, changes, profile) = (self.store.clone(), changes.clone(), own_profile(settings));
            let work = move || {
                let changes = read_changes(store.blobs(), &changes)?;
                Ok::<_, ProtocolError>(restore(store.blobs(), &profile, &changes))
            };
            let reason = match tokio::task::spawn_blocking(work).await {
                Ok(Ok(ended)) => return ended,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::error!(%session, reason, "what a rewind is to bring back can't be read");
            RewindEnded { restored: 0, left: vec![LeftFile { path: settings.cwd.clone(), reason }] }
        }
        .boxed()
    }
}

/// Keeps a list of changes.
pub(crate) async fn put_changes(
    store: &Store,
    session: SessionId,
    changes: &[ChangedFile],
) -> Result<BlobId, ProtocolError> {
    let list = serde_json::to_vec(changes).map_err(|error| broken(&error.to_string()))?;
    let mut ids = store.blobs().put_all(session, vec![list]).await?;
    ids.pop().ok_or_else(|| broken("it was not kept"))
}

/// Reads a list of changes. Blocks.
pub(crate) fn read_changes(blobs: &Blobs, id: &BlobId) -> Result<Vec<ChangedFile>, ProtocolError> {
    let list = blobs.read(id)?.ok_or_else(|| broken("it is gone"))?;
    serde_json::from_slice(&list).map_err(|error| broken(&error.to_string()))
}

/// Whether this version is what stands there.
pub(crate) fn is_same(known: Option<&FileVersion>, found: Option<&Version>) -> bool {
    match (known, found) {
        (None, None) => true,
        (Some(known), Some(found)) => {
            known.kind == kind(found.kind)
                && known.mode == found.mode
                && match &found.content {
                    _ if found.kind == VersionKind::Folder => true,
                    Some(bytes) => known.content.as_ref().is_some_and(|id| *id == Blobs::name(bytes)),
                    None => false,
                }
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// What a version is called in the log.
pub(crate) fn kind(kind: VersionKind) -> FileKind {
    match kind {
        VersionKind::File => FileKind::File,
        VersionKind::Link => FileKind::Link,
        VersionKind::Folder => FileKind::Folder,
    }
}

/// Changes in the order in which they can be carried out: what goes, the deepest first; then what comes.
fn in_order(changes: &[ChangedFile]) -> Vec<&ChangedFile> {
    let (mut coming, mut going): (Vec<_>, Vec<_>) =
        changes.iter().partition(|changed| changed.after.is_some());
    going.sort_by(|one, other| other.path.cmp(&one.path));
    coming.sort_by(|one, other| one.path.cmp(&other.path));
    going.into_iter().chain(coming).collect()
}

fn restore(blobs: &Blobs, profile: &Profile, changes: &[ChangedFile]) -> RewindEnded {
    let mut ended = RewindEnded { restored: 0, left: Vec::new() };
    tidy(blobs, profile, changes);
    for changed in in_order(changes) {
        match restore_one(blobs, profile, changed) {
            Ok(()) => ended.restored += 1,
            Err(reason) if ended.left.len() < MAX_LEFT => {
                ended.left.push(LeftFile { path: changed.path.clone(), reason });
            }
            Err(_) => {}
        }
    }
    ended
}

/// Removes what a rewind that was cut off left under names of its own. What can't be removed is only untidy.
fn tidy(blobs: &Blobs, profile: &Profile, changes: &[ChangedFile]) {
    let mut folders: BTreeMap<&Path, Vec<&ChangedFile>> = BTreeMap::new();
    for changed in changes {
        if let Some(folder) = changed.path.parent() {
            folders.entry(folder).or_default().push(changed);
        }
    }
    for (folder, changes) in folders {
        let is_kept = |left: &Version| {
            changes.iter().any(|changed| {
                is_same(changed.before.as_ref(), Some(left))
                    || is_same(changed.after.as_ref(), Some(left))
                    || changed.after.as_ref().is_some_and(|after| is_begun(blobs, after, left))
            })
        };
        if let Err(error) = history::tidy(profile, folder, is_kept) {
            tracing::warn!(%error, "what a rewind that was cut off left is still there");
        }
    }
}

/// Whether this file is another one that was not written to its end.
fn is_begun(blobs: &Blobs, whole: &FileVersion, begun: &Version) -> bool {
    whole.kind == FileKind::File
        && begun.kind == VersionKind::File
        && begun.content.as_ref().is_some_and(|begun| {
            let whole = load(blobs, whole).ok().and_then(|whole| whole.content);
            whole.is_some_and(|whole| whole.starts_with(begun))
        })
}

fn restore_one(blobs: &Blobs, profile: &Profile, changed: &ChangedFile) -> Result<(), String> {
    let current = history::look(&changed.path).map_err(|error| error.to_string())?;
    if is_same(changed.after.as_ref(), current.as_ref()) {
        return Ok(());
    }
    if !is_same(changed.before.as_ref(), current.as_ref()) {
        return Err(format!("`{}` was changed meanwhile", changed.path.display()));
    }
    let target = match &changed.after {
        None => None,
        Some(version) => Some(load(blobs, version)?),
    };
    history::restore(profile, &changed.path, current.as_ref(), target.as_ref())
        .map_err(|error| error.to_string())
}

fn load(blobs: &Blobs, version: &FileVersion) -> Result<Version, String> {
    let kind = match &version.kind {
        FileKind::File => VersionKind::File,
        FileKind::Link => VersionKind::Link,
        FileKind::Folder => VersionKind::Folder,
        FileKind::Unknown(kind) => return Err(format!("`{kind}` is no kind that this daemon knows")),
    };
    let content = match &version.content {
        Some(id) => blobs.read(id).map_err(|error| error.to_string())?,
        None if kind == VersionKind::Folder => Some(Vec::new()),
        None => None,
    };
    Ok(Version { kind, mode: version.mode, content })
}

/// What a rewind may write: the session's folders.
fn own_profile(settings: &SessionSettings) -> Profile {
    let roots = std::iter::once(&settings.cwd).chain(&settings.additional_roots);
    let rules = roots.map(|root| PathRule { path: root.clone(), access: Access::Write }).collect();
    Profile::new(SandboxMode::WorkspaceWrite, Access::Read, rules, NetworkAccess::Off)
}

/// The folders without those that are in another one.
fn outermost(roots: &[PathBuf]) -> impl Iterator<Item = &PathBuf> {
    roots
        .iter()
        .enumerate()
        .filter(|(at, root)| {
            let holds = |other: &Path| root.starts_with(other) && root.as_path() != other;
            !roots.iter().any(|other| holds(other)) && !roots[..*at].contains(root)
        })
        .map(|(_, root)| root)
}

fn look(
    watched: &mut Watched,
    root: &Path,
    folder: &Path,
    hidden: Vec<PathBuf>,
) -> Result<Vec<Difference>, HistoryError> {
    if matches!(watched, Watched::Known(tree) if tree.is_worn_out()) {
        *watched = Watched::Never;
    }
    match watched {
        Watched::Not => Ok(Vec::new()),
        Watched::Known(tree) => {
            let changes = tree.look()?;
            changes.into_iter().map(|change| difference(tree, change)).collect()
        }
        Watched::Never => {
            if is_home(root) {
                return Err(HistoryError::Home { root: root.to_owned() });
            }
            let mut tree = Tree::new(root.to_owned(), hidden, pack(folder)?);
            tree.look()?;
            *watched = Watched::Known(Box::new(tree));
            Ok(Vec::new())
        }
    }
}

/// Whether it is the user's home, or holds it: then far too much else is in it.
fn is_home(root: &Path) -> bool {
    let home = std::env::var_os("HOME").map(PathBuf::from).and_then(|home| home.canonicalize().ok());
    home.is_some_and(|home| home.starts_with(root))
}

fn pack(folder: &Path) -> Result<File, HistoryError> {
    tempfile::tempfile_in(folder).map_err(|source| HistoryError::Io { path: folder.to_owned(), source })
}

fn difference(tree: &Tree, change: Change) -> Result<Difference, HistoryError> {
    let side = |entry: Option<Entry>| match entry {
        None => Ok(None),
        // A folder's content is that it is there.
        Some(entry) if entry.kind == VersionKind::Folder => Ok(Some((entry, None))),
        Some(entry) => {
            let content = entry.content.map(|kept| tree.content(kept)).transpose()?;
            Ok::<_, HistoryError>(Some((entry, content)))
        }
    };
    Ok(Difference { path: change.path, before: side(change.before)?, after: side(change.after)? })
}

fn broken(reason: &str) -> ProtocolError {
    ProtocolError::new(ErrorCode::Internal, format!("A list of changed files can't be used: {reason}"))
}

#[cfg(test)]
mod tests;

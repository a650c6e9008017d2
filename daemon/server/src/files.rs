//! Watches what calls change in the folders of sessions, keeps what was there, and brings it back. How a folder is
//! looked through and a file put back is `workspace`'s; contents go to the store's blobs, under their session.
//!
//! Each session has trees of its own, so that what another one does meanwhile is not taken for its work. What changes
//! between two calls is nobody's here: a rewind meets it as a conflict. But where a command went on in the background, it
//! is kept as what changed meanwhile, so that it can be taken back by whoever chooses to. What was known before each call
//! is on disk, so that the next daemon finds what a call changed that was cut off.

mod git;
mod restoring;
mod shelf;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use policy::profile::PROTECTED_NAMES;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::{BlobId, ItemId, SessionId, TurnId};
use protocol::profile::{Access, NetworkAccess, PathRule, Profile, SandboxMode};
use protocol::rewind::{ChangedFile, FileKind, FileVersion, FilesChanged, LeftFile, RewindEnded};
use protocol::session::SessionSettings;
use session::file_history::{Background, Before, Call, FileHistory, Restored};
use store::{Blobs, Durability, Store};
use workspace::git::KEYSTONES;
use workspace::history::{Change, Entry, HistoryError, Tree, Version, VersionKind};

use self::git::Rebases;
use self::restoring::{restore, settle};
use self::shelf::{Mark, MarkKind, Shelf, Slot};
use crate::reach::Reach;

/// Trees that are kept; the one that was not used for the longest time goes first.
const MAX_TREES: usize = 8;
/// Bytes of contents that one call may have kept; what is beyond can't be taken back.
const MAX_KEPT_BYTES: usize = 256 * 1024 * 1024;
/// Paths that an event names.
const MAX_PATHS: usize = 100;
/// Of so many paths a session is told what is wrong with them.
const MAX_TOLD: usize = 20;

/// What changes in files.
pub(crate) struct Files {
    store: Store,
    shelf: Arc<Shelf>,
    /// Folders of the daemon's own.
    hidden: Vec<PathBuf>,
    trees: Mutex<VecDeque<Held>>,
    /// What knows which folders were not searched to their end.
    reach: Option<Arc<Reach>>,
}

/// A folder of a session.
struct Held {
    session: SessionId,
    root: PathBuf,
    watched: Arc<Mutex<Watched>>,
    /// Of what it was said that it is not protected, or not opened.
    told: BTreeSet<PathBuf>,
}

/// A folder, as it was last seen.
enum Watched {
    Never,
    Known(Box<Known>),
    /// It can't be looked through.
    Not,
}

/// A folder that is looked through.
struct Known {
    tree: Tree,
    /// What is in its git directories, beside what the tree knows.
    rebases: Rebases,
    /// Where it is kept.
    slot: Slot,
    /// The call that left a command in the background, and the last turn since, if one went on at the last look.
    left: Option<(TurnId, ItemId)>,
}

/// Why a folder is looked at.
#[derive(Clone, Copy)]
enum Look {
    Before(TurnId, ItemId),
    After(TurnId, ItemId, Background),
    /// Only if a command went on in the background.
    Between(TurnId, Background),
    /// The same, after the daemon itself changed what is there.
    Again,
}

/// What a look has found.
#[derive(Default)]
struct Found {
    differences: Vec<Difference>,
    /// Settings of git directories that came, which are not among the differences.
    git: Vec<PathBuf>,
    /// The call that had left a command in the background, and the last turn since.
    left: Option<(TurnId, ItemId)>,
}

/// What became of a folder since another daemon looked.
struct Recovered {
    mark: Mark,
    known: Known,
    differences: Vec<Difference>,
    /// Settings of git directories that came, which are not among the differences.
    git: Vec<PathBuf>,
}

/// Whose changes are kept.
struct Changer<'a> {
    session: SessionId,
    turn: TurnId,
    item: ItemId,
    roots: &'a [PathBuf],
    is_meanwhile: bool,
}

/// One path, with what was there and what is.
struct Difference {
    path: PathBuf,
    before: Option<(Entry, Option<Vec<u8>>)>,
    after: Option<(Entry, Option<Vec<u8>>)>,
}

impl Files {
    pub(crate) fn new(store: Store, folder: &Path, hidden: Vec<PathBuf>) -> Self {
        let shelf = Arc::new(Shelf::open(folder, store.blobs().durability()));
        Self { store, shelf, hidden, trees: Mutex::default(), reach: None }
    }

    /// Has it told where folders had too much in them to find all that is to be protected.
    pub(crate) fn telling(self, reach: Arc<Reach>) -> Self {
        Self { reach: Some(reach), ..self }
    }

    /// What is to be said of a session's folder, each thing once.
    fn problems(&self, session: SessionId, root: &PathBuf) -> Vec<String> {
        let Some(reach) = &self.reach else { return Vec::new() };
        let mut problems = reach.problems(root);
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        let held = trees.iter_mut().find(|held| held.session == session && held.root == *root);
        let Some(held) = held else { return Vec::new() };
        problems.retain(|(path, _)| held.told.len() < MAX_TOLD && held.told.insert(path.clone()));
        problems.into_iter().map(|(path, what)| format!("`{}`: {what}", path.display())).collect()
    }

    /// The folders of a session that are looked at.
    fn roots(&self, session: SessionId) -> Vec<PathBuf> {
        let trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        trees.iter().filter(|held| held.session == session).map(|held| held.root.clone()).collect()
    }

    /// Takes over a folder as another daemon knew it.
    fn hold(&self, session: SessionId, root: PathBuf, known: Known) {
        let watched = Arc::new(Mutex::new(Watched::Known(Box::new(known))));
        self.trees.lock().unwrap_or_else(PoisonError::into_inner).push_back(Held {
            session,
            root,
            watched,
            told: BTreeSet::new(),
        });
    }

    fn tree(&self, session: SessionId, root: &Path) -> Arc<Mutex<Watched>> {
        // A poisoned queue is whole: each change is one call.
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        let at = trees.iter().position(|held| held.session == session && held.root == root);
        let held = at.and_then(|at| trees.remove(at)).unwrap_or_else(|| {
            let watched = Arc::new(Mutex::new(Watched::Never));
            Held { session, root: root.to_owned(), watched, told: BTreeSet::new() }
        });
        let tree = Arc::clone(&held.watched);
        trees.push_back(held);
        if trees.len() > MAX_TREES {
            trees.pop_front();
        }
        tree
    }

    /// Looks at one folder; says what is different from the last time.
    async fn look(&self, session: SessionId, root: PathBuf, why: Look) -> Result<Found, HistoryError> {
        let tree = self.tree(session, &root);
        let (shelf, hidden) = (Arc::clone(&self.shelf), self.hidden.clone());
        let committed = self.reach.as_ref().map(|reach| reach.committed(&root)).unwrap_or_default();
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
            let outcome = look(&mut watched, &root, &committed, why, || {
                let (slot, contents, journal) = shelf.slot(session, &root)?;
                let tree = Tree::new(root.clone(), hidden, contents).with_journal(journal);
                Ok(Known { tree, rebases: Rebases::new(), slot, left: None })
            });
            if outcome.is_err() {
                // What was known is looked at from the start by the next call, which says if it can't be.
                *watched = if was_known { Watched::Never } else { Watched::Not };
            }
            outcome
        };
        // The runtime ends.
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Ok(Found::default()))
    }

    async fn keep(
        &self,
        by: &Changer<'_>,
        found: Vec<Difference>,
        git: Vec<PathBuf>,
    ) -> Result<FilesChanged, ProtocolError> {
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
        let ids = self.store.blobs().put_all(by.session, contents).await?;
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
            is_file && policy::late::runs_later(&changed.path, by.roots)
        });
        let late = git.into_iter().chain(late.map(|changed| changed.path.clone()));
        Ok(FilesChanged {
            turn_id: by.turn,
            item_id: by.item,
            count: u32::try_from(changes.len()).unwrap_or(u32::MAX),
            paths: changes.iter().take(MAX_PATHS).map(|changed| changed.path.clone()).collect(),
            runs_later: late.take(MAX_PATHS).collect(),
            changes: put_changes(&self.store, by.session, &changes).await?,
            is_meanwhile: by.is_meanwhile,
        })
    }
}

impl Files {
    /// Keeps what was found, if anything was; what can't be kept is in the daemon's log.
    async fn note(
        &self,
        by: &Changer<'_>,
        found: Vec<Difference>,
        git: Vec<PathBuf>,
    ) -> Option<FilesChanged> {
        if found.is_empty() && git.is_empty() {
            return None;
        }
        match self.keep(by, found, git).await {
            Ok(changed) => Some(changed),
            Err(error) => {
                tracing::warn!(%error, "what changed could not be kept");
                None
            }
        }
    }
}

impl Files {
    /// What a command in the background changed while a rewind went on; not what the rewind did itself.
    async fn beside(&self, session: SessionId, changes: &[ChangedFile]) -> Option<FilesChanged> {
        let roots = self.roots(session);
        let (mut found, mut git, mut left) = (Vec::new(), Vec::new(), None);
        for root in &roots {
            match self.look(session, root.clone(), Look::Again).await {
                Ok(more) => {
                    left = left.or(more.left);
                    found.extend(more.differences);
                    git.extend(more.git);
                }
                Err(error) => tracing::warn!(%error, "what changed meanwhile is not known"),
            }
        }
        let own: BTreeMap<&Path, Option<&FileVersion>> =
            changes.iter().map(|changed| (changed.path.as_path(), changed.after.as_ref())).collect();
        found.retain(|difference| {
            let after = difference.after.clone().map(|(entry, content)| {
                let content = content.or((entry.kind == VersionKind::Folder).then(Vec::new));
                Version { kind: entry.kind, mode: entry.mode, content }
            });
            own.get(difference.path.as_path()).is_none_or(|own| !is_same(*own, after.as_ref()))
        });
        let (turn, item) = left?;
        let by = Changer { session, turn, item, roots: &roots, is_meanwhile: true };
        self.note(&by, found, git).await
    }
}

impl FileHistory for Files {
    fn before<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Before> {
        async move {
            let (mut notices, mut found, mut git, mut left) = (Vec::new(), Vec::new(), Vec::new(), None);
            for root in outermost(&call.roots) {
                let why = Look::Before(call.turn_id, call.item_id);
                match self.look(call.session_id, root.clone(), why).await {
                    // What changed while nothing went on was not the session's doing.
                    Ok(more) if more.left.is_some() => {
                        left = left.or(more.left);
                        found.extend(more.differences);
                        git.extend(more.git);
                    }
                    Ok(_) => {}
                    Err(error) => notices.push(format!(
                        "What commands change in `{}` can't be taken back: {error}",
                        root.display()
                    )),
                }
                notices.extend(self.problems(call.session_id, root));
            }
            let by = Changer {
                item: left.map_or(call.item_id, |(_, item)| item),
                is_meanwhile: true,
                ..Changer::of(call)
            };
            Before { notices, meanwhile: self.note(&by, found, git).await }
        }
        .boxed()
    }

    fn after<'a>(&'a self, call: &'a Call, background: Background) -> BoxFuture<'a, Option<FilesChanged>> {
        async move {
            let (mut found, mut git) = (Vec::new(), Vec::new());
            for root in outermost(&call.roots) {
                let why = Look::After(call.turn_id, call.item_id, background);
                match self.look(call.session_id, root.clone(), why).await {
                    Ok(more) => {
                        found.extend(more.differences);
                        git.extend(more.git);
                    }
                    Err(error) => tracing::warn!(%error, "what a call changed is not known"),
                }
            }
            self.note(&Changer::of(call), found, git).await
        }
        .boxed()
    }

    fn meanwhile(
        &self,
        session: SessionId,
        turn: TurnId,
        background: Background,
    ) -> BoxFuture<'_, Option<FilesChanged>> {
        async move {
            let roots = self.roots(session);
            let (mut found, mut git, mut left) = (Vec::new(), Vec::new(), None);
            for root in &roots {
                match self.look(session, root.clone(), Look::Between(turn, background)).await {
                    Ok(more) => {
                        left = left.or(more.left);
                        found.extend(more.differences);
                        git.extend(more.git);
                    }
                    Err(error) => tracing::warn!(%error, "what changed meanwhile is not known"),
                }
            }
            let by = Changer { session, turn, item: left?.1, roots: &roots, is_meanwhile: true };
            self.note(&by, found, git).await
        }
        .boxed()
    }

    fn recover(&self, session: SessionId, open: BTreeSet<ItemId>) -> BoxFuture<'_, Vec<FilesChanged>> {
        async move {
            let mut all = Vec::new();
            for left in self.shelf.left(session) {
                let (open, hidden) = (open.clone(), self.hidden.clone());
                let work = move || left.recover(&open, hidden).map(|found| found.map(recovered).transpose());
                let found = match tokio::task::spawn_blocking(work).await {
                    Ok(Ok(Ok(found))) => found,
                    Ok(Ok(Err(error)) | Err(error)) => {
                        tracing::warn!(%error, "what a call changed that was cut off is not known");
                        None
                    }
                    // The runtime ends.
                    Err(_) => None,
                };
                let Some(Recovered { mark, known, differences, git }) = found else { continue };
                let Mark { root, turn, item, kind } = mark;
                let is_meanwhile = kind == MarkKind::Background;
                let roots = std::slice::from_ref(&root);
                let by = Changer { session, turn, item, roots, is_meanwhile };
                all.extend(self.note(&by, differences, git).await);
                self.hold(session, root.clone(), known);
            }
            all
        }
        .boxed()
    }

    fn restore<'a>(
        &'a self,
        session: SessionId,
        settings: &'a SessionSettings,
        changes: &'a BlobId,
    ) -> BoxFuture<'a, Restored> {
        async move {
            let (store, changes, profile) = (self.store.clone(), changes.clone(), own_profile(settings));
            let roots: Vec<_> =
                std::iter::once(&settings.cwd).chain(&settings.additional_roots).cloned().collect();
            let work = move || {
                let changes = read_changes(store.blobs(), &changes)?;
                let ended = restore(store.blobs(), &profile, &changes);
                if store.blobs().durability() == Durability::Power {
                    settle(&changes, &roots);
                }
                Ok::<_, ProtocolError>((ended, changes))
            };
            let reason = match tokio::task::spawn_blocking(work).await {
                Ok(Ok((ended, changes))) => {
                    let meanwhile = self.beside(session, &changes).await;
                    return Restored { ended, meanwhile };
                }
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            tracing::error!(%session, reason, "what a rewind is to bring back can't be read");
            let left = vec![LeftFile { path: settings.cwd.clone(), reason }];
            Restored { ended: RewindEnded { restored: 0, left }, meanwhile: None }
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

impl<'a> Changer<'a> {
    fn of(call: &'a Call) -> Self {
        let Call { session_id, turn_id, item_id, roots } = call;
        Self { session: *session_id, turn: *turn_id, item: *item_id, roots, is_meanwhile: false }
    }
}

fn look(
    watched: &mut Watched,
    root: &Path,
    committed: &[PathBuf],
    why: Look,
    begin: impl FnOnce() -> Result<Known, HistoryError>,
) -> Result<Found, HistoryError> {
    if matches!(watched, Watched::Known(known) if known.tree.is_worn_out()) {
        *watched = Watched::Never;
    }
    match watched {
        Watched::Not => Ok(Found::default()),
        Watched::Known(known) => {
            if known.left.is_none() && matches!(why, Look::Between(..) | Look::Again) {
                return Ok(Found::default());
            }
            let changes = without_places(root, known.tree.look()?);
            let mut git = git::settings(root, &changes, &known.tree.take_working_trees());
            let rebases = git::rebases(committed);
            git.extend(git::new_rebases(&known.rebases, &rebases));
            known.rebases = rebases;
            let differences = differences(&known.tree, changes)?;
            let left = known.left;
            known.mark(root, why)?;
            Ok(Found { differences, git, left })
        }
        Watched::Never if matches!(why, Look::Between(..) | Look::Again) => Ok(Found::default()),
        Watched::Never => {
            if is_home(root) {
                return Err(HistoryError::Home { root: root.to_owned() });
            }
            let mut known = begin()?;
            known.tree.look()?;
            known.rebases = git::rebases(committed);
            known.mark(root, why)?;
            *watched = Watched::Known(Box::new(known));
            Ok(Found::default())
        }
    }
}

impl Known {
    /// Writes down why it was looked at, where the next daemon would have to know.
    fn mark(&mut self, root: &Path, why: Look) -> Result<(), HistoryError> {
        let had_left = self.left.is_some();
        let (kind, turn, item) = match why {
            Look::Before(turn, item) => (MarkKind::Call, turn, item),
            Look::After(turn, item, Background::Busy) => {
                let item = self.left.map_or(item, |(_, item)| item);
                self.left = Some((turn, item));
                (MarkKind::Background, turn, item)
            }
            Look::Between(turn, Background::Busy) => match &mut self.left {
                Some((last, item)) => {
                    *last = turn;
                    (MarkKind::Background, turn, *item)
                }
                None => return Ok(()),
            },
            Look::Again => match self.left {
                Some((turn, item)) => (MarkKind::Background, turn, item),
                None => return Ok(()),
            },
            Look::After(turn, item, Background::Quiet) => {
                self.left = None;
                if !had_left {
                    return Ok(());
                }
                (MarkKind::Quiet, turn, item)
            }
            Look::Between(turn, Background::Quiet) => match self.left.take() {
                Some((_, item)) => (MarkKind::Quiet, turn, item),
                None => return Ok(()),
            },
        };
        self.slot.mark(&mut self.tree, &Mark { root: root.to_owned(), turn, item, kind })
    }
}

/// What changed since another daemon looked.
fn recovered((mark, mut tree, slot): (Mark, Tree, Slot)) -> Result<Recovered, HistoryError> {
    let changes = without_places(&mark.root, tree.look()?);
    let git = git::settings(&mark.root, &changes, &tree.take_working_trees());
    let differences = differences(&tree, changes)?;
    Ok(Recovered { mark, known: Known { tree, rebases: Rebases::new(), slot, left: None }, differences, git })
}

/// Without the empty folders that are there while a command runs, so that it can't make them.
fn without_places(root: &Path, changes: Vec<Change>) -> Vec<Change> {
    let is_empty_folder = |change: &Change| {
        let ((Some(entry), None) | (None, Some(entry))) = (change.before, change.after) else {
            return false;
        };
        let name = change.path.strip_prefix(root).ok();
        let is_place =
            name.is_some_and(|name| PROTECTED_NAMES.iter().chain(&KEYSTONES).any(|place| name == *place));
        let holds = |other: &Change| other.path != change.path && other.path.starts_with(&change.path);
        is_place && entry.kind == VersionKind::Folder && !changes.iter().any(holds)
    };
    let places: Vec<bool> = changes.iter().map(is_empty_folder).collect();
    changes.into_iter().zip(places).filter(|(_, is_place)| !is_place).map(|(change, _)| change).collect()
}

fn differences(tree: &Tree, changes: Vec<Change>) -> Result<Vec<Difference>, HistoryError> {
    changes.into_iter().map(|change| difference(tree, change)).collect()
}

/// Whether it is the user's home, or holds it: then far too much else is in it.
fn is_home(root: &Path) -> bool {
    let home = std::env::var_os("HOME").map(PathBuf::from).and_then(|home| home.canonicalize().ok());
    home.is_some_and(|home| home.starts_with(root))
}

fn difference(tree: &Tree, change: Change) -> Result<Difference, HistoryError> {
    let side = |entry: Option<Entry>| match entry {
        None => Ok(None),
        // A folder's content is that it is there.
        Some(entry) if entry.kind == VersionKind::Folder => Ok(Some((entry, None))),
        Some(entry) => {
            let content = entry.content.map(|kept| tree.content(kept)).transpose()?.flatten();
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

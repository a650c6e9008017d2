//! What a rewind would do: what the log says of files, held against what stands there now.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};

use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::SessionId;
use protocol::rewind::{
    ChangedFile, ConflictChoice, FileKind, FileVersion, LeftFile, RewindAction, RewindParams, RewindResult,
    RewindScope, RewindTarget, RewoundFile,
};
use session::input::RewindPlan;
use store::{Blobs, Store};
use workspace::history::{self, Version, VersionKind};

use crate::files::{is_same, kind, put_changes, read_changes};
use crate::story::{Goal, Story, together};

/// Files of an answer.
pub(crate) const MAX_FILES: usize = 1000;
/// Names that are tried for what is put beside.
const MAX_NAMES: u32 = 100;

/// A rewind that is not done yet.
pub(crate) struct Planned {
    goal: Goal,
    story_seq: protocol::ids::Seq,
    files: Vec<PlannedFile>,
    left: Vec<LeftFile>,
}

/// Who changed a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Calls,
    /// A command in the background, or a person.
    Unknown,
}

/// One path that a rewind would change.
struct PlannedFile {
    path: PathBuf,
    now: Option<Version>,
    target: Option<FileVersion>,
    is_conflict: bool,
}

impl Planned {
    /// Looks at the files. Blocks.
    ///
    /// # Errors
    /// `Conflict` when there is nothing to go back to, `NotFound` for a turn that is not there, `InvalidRequest`.
    pub(crate) fn new(blobs: &Blobs, story: &Story, params: &RewindParams) -> Result<Self, ProtocolError> {
        let goal = goal(story, params)?;
        let mut planned = Self { story_seq: story.seq, goal, files: Vec::new(), left: Vec::new() };
        if !planned.goal.scope.has_code() {
            return Ok(planned);
        }
        let (mut lists, mut doubtful) = (Vec::new(), BTreeSet::new());
        for told in story.changes.iter().filter(|told| told.seq >= planned.goal.since) {
            let list = read_changes(blobs, &told.list)?;
            if told.is_meanwhile {
                doubtful.extend(list.iter().map(|changed| changed.path.clone()));
            }
            lists.push(list);
        }
        for (path, (target, expected)) in together(lists) {
            let whose = if doubtful.contains(&path) { Whose::Unknown } else { Whose::Calls };
            planned.compare(path, target, expected.as_ref(), whose);
        }
        planned.spare_folders();
        Ok(planned)
    }

    fn compare(
        &mut self,
        path: PathBuf,
        target: Option<FileVersion>,
        expected: Option<&FileVersion>,
        whose: Whose,
    ) {
        let now = match history::look(&path) {
            Ok(now) => now,
            Err(error) => return self.left.push(LeftFile { path, reason: error.to_string() }),
        };
        if is_same(target.as_ref(), now.as_ref()) {
            return;
        }
        let is_kept = |version: &FileVersion| version.content.is_some() || version.kind == FileKind::Folder;
        if target.as_ref().is_some_and(|target| !is_kept(target)) {
            let reason = "What was there was too large to be kept, or was lost with the power".to_owned();
            return self.left.push(LeftFile { path, reason });
        }
        if now.as_ref().is_some_and(|now| now.content.is_none()) {
            let reason = "What is there is too large to be kept, so it could not be brought again".to_owned();
            return self.left.push(LeftFile { path, reason });
        }
        let is_conflict = whose == Whose::Unknown || !is_same(expected, now.as_ref());
        self.files.push(PlannedFile { path, now, target, is_conflict });
    }

    /// A folder in which something else is stays.
    fn spare_folders(&mut self) {
        let gone = self.files.iter().filter(|file| file.target.is_none());
        let mut gone: BTreeSet<PathBuf> = gone.map(|file| file.path.clone()).collect();
        let mut spared = BTreeSet::new();
        // What is in a folder comes before it.
        for PlannedFile { path, now, target, .. } in self.files.iter().rev() {
            let goes = now.as_ref().is_some_and(|now| now.kind == VersionKind::Folder)
                && target.as_ref().is_none_or(|target| target.kind != FileKind::Folder);
            let is_gone =
                |entry: std::io::Result<DirEntry>| entry.is_ok_and(|entry| gone.contains(&entry.path()));
            if goes && !fs::read_dir(path).is_ok_and(|mut entries| entries.all(is_gone)) {
                gone.remove(path);
                spared.insert(path.clone());
            }
        }
        self.files.retain(|file| !spared.contains(&file.path));
        let reason = || "Something else is in the folder".to_owned();
        self.left.extend(spared.into_iter().map(|path| LeftFile { path, reason: reason() }));
    }

    /// Decides about conflicts. `false`: there are some, and nobody chose.
    ///
    /// # Errors
    /// `InvalidRequest` for a choice that is not known.
    pub(crate) fn settle(&mut self, choice: Option<&ConflictChoice>) -> Result<bool, ProtocolError> {
        match choice {
            None => return Ok(self.conflicts() == 0),
            Some(ConflictChoice::Theirs) => {}
            Some(ConflictChoice::Keep) => self.files.retain(|file| !file.is_conflict),
            Some(ConflictChoice::Both) => {
                let conflicts = self.files.iter().filter(|file| file.is_conflict);
                let beside: Vec<_> =
                    conflicts.filter_map(|file| beside(&file.path, file.now.as_ref()?)).collect();
                self.files.extend(beside);
            }
            Some(ConflictChoice::Unknown(word)) => {
                let message = format!("`{word}` is no choice that this daemon knows");
                let error = ProtocolError::new(ErrorCode::InvalidRequest, message);
                return Err(error.with_hint("Choices are `keep`, `theirs` and `both`"));
            }
        }
        Ok(true)
    }

    /// What a client is told.
    pub(crate) fn result(&self, is_done: bool) -> RewindResult {
        let file = |file: &PlannedFile| RewoundFile {
            path: file.path.clone(),
            action: action(file.now.is_some(), file.target.is_some()),
            is_conflict: file.is_conflict,
        };
        RewindResult {
            is_done,
            turns: self.goal.turns.clone(),
            files: self.files.iter().take(MAX_FILES).map(file).collect(),
            count: u32::try_from(self.files.len()).unwrap_or(u32::MAX),
            conflicts: self.conflicts(),
            left: self.left.iter().take(MAX_FILES).cloned().collect(),
        }
    }

    /// Keeps what is there now, and makes it a request for the session.
    ///
    /// # Errors
    /// What the store says.
    pub(crate) async fn keep(self, store: &Store, session: SessionId) -> Result<RewindPlan, ProtocolError> {
        let contents = self.files.iter().filter_map(|file| file.now.as_ref());
        let contents = contents.filter(|now| now.kind != VersionKind::Folder);
        let contents = contents.map(|now| now.content.clone().unwrap_or_default()).collect();
        let mut ids = store.blobs().put_all(session, contents).await?.into_iter();
        let mut changes = Vec::with_capacity(self.files.len());
        for PlannedFile { path, now, target, .. } in self.files {
            let before = now.map(|now| {
                let content = if now.kind == VersionKind::Folder { None } else { ids.next() };
                let size_bytes = now.content.map_or(0, |bytes| bytes.len() as u64);
                FileVersion { kind: kind(now.kind), mode: now.mode, size_bytes, content }
            });
            changes.push(ChangedFile { path, before, after: target });
        }
        let list = if changes.is_empty() { None } else { Some(put_changes(store, session, &changes).await?) };
        let Goal { scope, turns, undoes, since: _ } = self.goal;
        let count = u32::try_from(changes.len()).unwrap_or(u32::MAX);
        Ok(RewindPlan { seq: self.story_seq, scope, turns, undoes, count, changes: list })
    }

    fn conflicts(&self) -> u32 {
        u32::try_from(self.files.iter().filter(|file| file.is_conflict).count()).unwrap_or(u32::MAX)
    }
}

/// What happens to a path.
pub(crate) fn action(is_there: bool, comes: bool) -> RewindAction {
    match (is_there, comes) {
        (_, false) => RewindAction::Removed,
        (false, true) => RewindAction::Recreated,
        (true, true) => RewindAction::Restored,
    }
}

fn goal(story: &Story, params: &RewindParams) -> Result<Goal, ProtocolError> {
    let conflict =
        |message: &str, hint: &str| ProtocolError::new(ErrorCode::Conflict, message).with_hint(hint);
    if let RewindScope::Unknown(word) = &params.scope {
        let message = format!("`{word}` is no scope that this daemon knows");
        let error = ProtocolError::new(ErrorCode::InvalidRequest, message);
        return Err(error.with_hint("Scopes are `code`, `chat` and `both`"));
    }
    match &params.target {
        RewindTarget::LastTurn => story.last_turn(params.scope.clone()).ok_or_else(|| {
            conflict("No turn is left to take back", "See the turns with `skein sessions show`")
        }),
        RewindTarget::Turn { turn_id } => story.turn(*turn_id, params.scope.clone()).ok_or_else(|| {
            ProtocolError::new(ErrorCode::NotFound, format!("There is no turn `{turn_id}` in the session"))
                .with_hint("See the turns with `skein sessions show`")
        }),
        RewindTarget::Undo => {
            let goal = story.undo().ok_or_else(|| {
                conflict("There is no rewind to undo", "Take turns back with `skein rewind SESSION`")
            })?;
            if story.goes_on_after(goal.since, &goal.scope) {
                return Err(conflict("Turns came after the rewind", "Take those back first"));
            }
            Ok(goal)
        }
        RewindTarget::Unknown(_) => {
            Err(ProtocolError::new(ErrorCode::InvalidRequest, "The target is none that this daemon knows"))
        }
    }
}

/// A copy of what is there, under a name that is free; `None` for what is no file, and where no name is.
fn beside(path: &Path, now: &Version) -> Option<PlannedFile> {
    if now.kind == VersionKind::Folder {
        return None;
    }
    let content = Blobs::name(now.content.as_deref()?);
    let size_bytes = now.content.as_ref().map_or(0, |bytes| bytes.len() as u64);
    let target = FileVersion { kind: kind(now.kind), mode: now.mode, size_bytes, content: Some(content) };
    (1..=MAX_NAMES).find_map(|number| {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 1 { ".kept".to_owned() } else { format!(".kept{number}") });
        let path = PathBuf::from(name);
        let is_free =
            matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound);
        is_free.then(|| PlannedFile { path, now: None, target: Some(target.clone()), is_conflict: false })
    })
}

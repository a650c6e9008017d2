//! Brings files back as a rewind says: in an order that works, each only where what was planned for still stands there.
//! Knows nothing of sessions and trees.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::profile::Profile;
use protocol::rewind::{ChangedFile, FileKind, FileVersion, LeftFile, RewindEnded};
use store::Blobs;
use workspace::history::{self, Version, VersionKind};

use super::is_same;

/// Files that could not be brought back, as an event names them.
const MAX_LEFT: usize = 1000;

/// Brings files back as these changes of a rewind say; tells which it could not. Blocks.
pub(super) fn restore(blobs: &Blobs, profile: &Profile, changes: &[ChangedFile]) -> RewindEnded {
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

/// Has what a rewind brought back outlive a loss of power, as the log will that says it is back.
pub(super) fn settle(changes: &[ChangedFile], roots: &[PathBuf]) {
    let is_touched = |root: &&PathBuf| changes.iter().any(|changed| changed.path.starts_with(root));
    for root in roots.iter().filter(is_touched) {
        if let Err(error) = history::sync(root) {
            tracing::warn!(%error, "what a rewind brought back may not outlive a loss of power");
        }
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

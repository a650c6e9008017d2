//! Puts an earlier version back, where the session may write, without following a link.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use protocol::profile::{Access, Profile};

use super::error::HistoryError;
use super::version::{Version, VersionKind, has_no_folder, read};
use crate::path::{Folder, Found, Kind, Mode, is_random_name};

/// Names looked at in one folder; a killed `restore` leaves one.
const MAX_LEFT: usize = 64;

/// Makes the path what `target` says, if `expected` stands there now; folders on the way are made. A folder goes only
/// when it is empty.
///
/// # Errors
/// `ReadOnly`, `Changed`, `NotKept`: the path is as it was. `Io`: it is too, or nothing stands there.
pub fn restore(
    profile: &Profile,
    path: &Path,
    expected: Option<&Version>,
    target: Option<&Version>,
) -> Result<(), HistoryError> {
    let failed = |error: io::Error| HistoryError::io(path, error);
    let changed = || HistoryError::Changed { path: path.to_owned() };
    let not_kept = || HistoryError::NotKept { path: path.to_owned() };
    if profile.access(path) != Access::Write {
        return Err(HistoryError::ReadOnly { path: path.to_owned() });
    }
    let (parent, name) = split(path)?;
    let folder = match Folder::open(parent) {
        Ok(folder) => folder,
        Err(error) if has_no_folder(&error) && target.is_none() => return Ok(()),
        Err(_) if target.is_some() => make(profile, parent)?,
        Err(error) => return Err(failed(error)),
    };
    let found = folder.look(name).map_err(failed)?;
    let current = match &found {
        Some(found) => {
            read(&folder, name, found).map_err(failed)?.map_or_else(|| Err(changed()), |v| Ok(Some(v)))?
        }
        None => None,
    };
    if current.as_ref() != expected {
        return Err(changed());
    }
    let place = Place { folder: &folder, name, path };
    match target {
        None => place.clear(found.as_ref(), expected),
        Some(Version { kind: VersionKind::Folder, mode, .. }) => {
            if expected.is_some_and(|expected| expected.kind != VersionKind::Folder) {
                place.clear(found.as_ref(), expected)?;
            }
            let (made, _) = folder.enter_or_make(name).map_err(failed)?;
            made.set_mode(Mode::from_bits(*mode)).map_err(failed)
        }
        Some(Version { kind: VersionKind::Link, content, .. }) => {
            let target = link(content.as_deref().ok_or_else(not_kept)?);
            place.put(found.as_ref(), expected, || folder.create_link(&target))
        }
        Some(Version { kind: VersionKind::File, mode, content }) => {
            let bytes = content.as_deref().ok_or_else(not_kept)?;
            place.put(found.as_ref(), expected, || write(&folder, bytes, *mode))
        }
    }
}

/// Removes what a `restore` that was killed left in a folder under a name of its own, where `is_kept` says that nothing
/// is lost with it. A folder that is gone has nothing.
///
/// # Errors
/// `ReadOnly`, `Io`.
pub fn tidy(profile: &Profile, path: &Path, is_kept: impl Fn(&Version) -> bool) -> Result<(), HistoryError> {
    let failed = |error: io::Error| HistoryError::io(path, error);
    let folder = match Folder::open(path) {
        Ok(folder) => folder,
        Err(error) if has_no_folder(&error) => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let mut left = Vec::new();
    folder
        .each(|name, kind| {
            if kind != Kind::Folder && is_random_name(name) {
                left.push(name.to_owned());
            }
            if left.len() < MAX_LEFT { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .map_err(failed)?;
    for name in left {
        if profile.access(&path.join(&name)) != Access::Write {
            return Err(HistoryError::ReadOnly { path: path.to_owned() });
        }
        let Some(found) = folder.look(&name).map_err(failed)? else { continue };
        if read(&folder, &name, &found).map_err(failed)?.is_some_and(|version| is_kept(&version)) {
            folder.remove(&name).map_err(failed)?;
        }
    }
    Ok(())
}

struct Place<'a> {
    folder: &'a Folder,
    name: &'a OsStr,
    /// For what is said of it.
    path: &'a Path,
}

impl Place<'_> {
    /// Removes what is there, if it is still what was looked at.
    fn clear(&self, found: Option<&Found>, expected: Option<&Version>) -> Result<(), HistoryError> {
        let (Some(found), Some(expected)) = (found, expected) else { return Ok(()) };
        if expected.kind == VersionKind::Folder {
            return self.folder.remove_folder(self.name).map_err(self.failed());
        }
        let aside = self.folder.set_aside(self.name).map_err(self.failed())?;
        match self.folder.look(&aside).map_err(self.failed())? {
            Some(set_aside) if set_aside.is_same(found) => self.folder.remove(&aside).map_err(self.failed()),
            Some(_) | None => {
                self.folder.rename_new(&aside, self.folder, self.name).map_err(self.failed())?;
                Err(self.changed())
            }
        }
    }

    /// Puts what is written in the place of what was looked at.
    fn put(
        &self,
        found: Option<&Found>,
        expected: Option<&Version>,
        write: impl FnOnce() -> io::Result<OsString>,
    ) -> Result<(), HistoryError> {
        let written = write().map_err(self.failed())?;
        let replaced =
            found.filter(|_| expected.is_some_and(|expected| expected.kind != VersionKind::Folder));
        let exchanged = replaced.map(|found| (found, self.folder.exchange(&written, self.folder, self.name)));
        let outcome = match exchanged {
            Some((found, Ok(true))) => return self.settle(&written, found),
            Some((_, Err(error))) => Err(self.failed()(error)),
            Some((_, Ok(false))) | None => self.clear(found, expected).and_then(|()| {
                self.folder.rename_new(&written, self.folder, self.name).map_err(self.failed())
            }),
        };
        if outcome.is_err() {
            let _ = self.folder.remove(&written);
        }
        outcome
    }

    /// After an exchange: what stood there goes if it is what was looked at, and else comes back.
    fn settle(&self, old: &OsStr, found: &Found) -> Result<(), HistoryError> {
        if matches!(self.folder.look(old), Ok(Some(stood)) if stood.is_same(found)) {
            return self.folder.remove(old).map_err(self.failed());
        }
        // Where it can't come back it must not be tidied away.
        if self.folder.exchange(old, self.folder, self.name).map_err(self.failed())? {
            let _ = self.folder.remove(old);
        }
        Err(self.changed())
    }

    fn changed(&self) -> HistoryError {
        HistoryError::Changed { path: self.path.to_owned() }
    }

    fn failed(&self) -> impl Fn(io::Error) -> HistoryError {
        |error| HistoryError::io(self.path, error)
    }
}

fn write(folder: &Folder, bytes: &[u8], mode: u32) -> io::Result<OsString> {
    let (mut file, name) = folder.create_file(Some(Mode::from_bits(mode)), None)?;
    if let Err(error) = file.write_all(bytes) {
        let _ = folder.remove(&name);
        return Err(error);
    }
    Ok(name)
}

/// Opens a folder, making what is missing of it.
fn make(profile: &Profile, path: &Path) -> Result<Folder, HistoryError> {
    match Folder::open(path) {
        Ok(folder) => return Ok(folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(HistoryError::io(path, error)),
    }
    if profile.access(path) != Access::Write {
        return Err(HistoryError::ReadOnly { path: path.to_owned() });
    }
    let (parent, name) = split(path)?;
    let outer = make(profile, parent)?;
    Ok(outer.enter_or_make(name).map_err(|error| HistoryError::io(path, error))?.0)
}

fn link(bytes: &[u8]) -> PathBuf {
    crate::path::from_bytes(bytes)
}

fn split(path: &Path) -> Result<(&Path, &OsStr), HistoryError> {
    let no_name = || HistoryError::io(path, io::ErrorKind::InvalidInput.into());
    path.parent().zip(path.file_name()).ok_or_else(no_name)
}

#[cfg(test)]
mod tests {
    use protocol::profile::{NetworkAccess, PathRule, SandboxMode};

    use super::*;

    #[test]
    fn what_somebody_put_there_meanwhile_comes_back_or_stays() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        let write = |name: &str, text: &str| std::fs::write(root.join(name), text).expect("write");
        let read = |name: &str| std::fs::read_to_string(root.join(name)).ok();
        write("looked at", "one");
        let folder = Folder::open(&root).expect("folder");
        let found = folder.look("looked at".as_ref()).expect("look").expect("there");
        let path = root.join("file");
        let place = Place { folder: &folder, name: "file".as_ref(), path: &path };
        write("aside", "theirs");
        write("file", "ours");
        let outcome = place.settle("aside".as_ref(), &found);
        assert!(matches!(outcome, Err(HistoryError::Changed { .. })), "{outcome:?}");
        assert_eq!((read("file").as_deref(), read("aside")), (Some("theirs"), None));
        // The name went at the same moment.
        write("aside", "theirs");
        std::fs::remove_file(&path).expect("remove");
        let outcome = place.settle("aside".as_ref(), &found);
        assert!(matches!(outcome, Err(HistoryError::Io { .. })), "{outcome:?}");
        assert_eq!((read("file"), read("aside").as_deref()), (None, Some("theirs")));
    }

    #[test]
    fn what_a_killed_restore_left_goes_only_where_it_is_kept_elsewhere() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        for (name, text) in [
            (".skein-0123456789abcdef.tmp", "kept"),
            (".skein-0123456789abcdee.tmp", "somebody's"),
            (".skein-notes.tmp", "kept"),
        ] {
            std::fs::write(root.join(name), text).expect("write");
        }
        let rules = |access| vec![PathRule { path: root.clone(), access }];
        let profile = |access| {
            Profile::new(SandboxMode::WorkspaceWrite, Access::Read, rules(access), NetworkAccess::Off)
        };
        let is_kept = |version: &Version| version.content.as_deref() == Some(b"kept");
        let outcome = tidy(&profile(Access::Read), &root, is_kept);
        assert!(matches!(outcome, Err(HistoryError::ReadOnly { .. })), "{outcome:?}");
        tidy(&profile(Access::Write), &root, is_kept).expect("tidied");
        tidy(&profile(Access::Write), &root.join("gone"), is_kept).expect("nothing to tidy");
        let there = |name: &str| root.join(name).exists();
        assert!(!there(".skein-0123456789abcdef.tmp"));
        assert!(there(".skein-0123456789abcdee.tmp") && there(".skein-notes.tmp"));
    }
}

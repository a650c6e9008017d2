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

/// Brings what was written on the file system of a folder to the disk, so that it outlives a loss of power.
///
/// # Errors
/// `Io`.
pub fn sync(path: &Path) -> Result<(), HistoryError> {
    Folder::open(path).and_then(|folder| folder.sync_all()).map_err(|error| HistoryError::io(path, error))
}

/// Brings the names that are in a folder to the disk; links on the way to it are followed.
///
/// # Errors
/// `Io`.
pub fn sync_names(path: &Path) -> Result<(), HistoryError> {
    let open = || Folder::open(&path.canonicalize()?)?.sync();
    open().map_err(|error| HistoryError::io(path, error))
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
            Some(set_aside) if self.is_expected(&aside, &set_aside, found, expected) => {
                self.folder.remove(&aside).map_err(self.failed())
            }
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
        let replaced = replaced.zip(expected);
        let exchanged = replaced.map(|known| (known, self.folder.exchange(&written, self.folder, self.name)));
        let outcome = match exchanged {
            Some(((found, expected), Ok(true))) => return self.settle(&written, found, expected),
            Some((_, Err(error))) => Err(self.failed()(error)),
            Some((_, Ok(false))) | None => self.clear(found, expected).and_then(|()| {
                let named = self.folder.rename_new(&written, self.folder, self.name);
                named.map_err(|error| match error.kind() {
                    // Somebody made it while it was written.
                    io::ErrorKind::AlreadyExists => self.changed(),
                    _ => self.failed()(error),
                })
            }),
        };
        if outcome.is_err() {
            let _ = self.folder.remove(&written);
        }
        outcome
    }

    /// After an exchange: what stood there goes if it is what was looked at, and else comes back.
    fn settle(&self, old: &OsStr, found: &Found, expected: &Version) -> Result<(), HistoryError> {
        if matches!(self.folder.look(old), Ok(Some(stood)) if self.is_expected(old, &stood, found, expected))
        {
            return self.folder.remove(old).map_err(self.failed());
        }
        // Where it can't come back it must not be tidied away.
        if self.folder.exchange(old, self.folder, self.name).map_err(self.failed())? {
            let _ = self.folder.remove(old);
        }
        Err(self.changed())
    }

    /// Whether what stands under another name now is what was looked at. It is read once more: the clocks of file systems
    /// are coarse, so what was written at this very moment may have the same times.
    fn is_expected(&self, name: &OsStr, stood: &Found, found: &Found, expected: &Version) -> bool {
        stood.is_same(found)
            && read(self.folder, name, stood).is_ok_and(|version| version.as_ref() == Some(expected))
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
        let outcome = place.settle("aside".as_ref(), &found, &file("one"));
        assert!(matches!(outcome, Err(HistoryError::Changed { .. })), "{outcome:?}");
        assert_eq!((read("file").as_deref(), read("aside")), (Some("theirs"), None));
        // The name went at the same moment.
        write("aside", "theirs");
        std::fs::remove_file(&path).expect("remove");
        let outcome = place.settle("aside".as_ref(), &found, &file("one"));
        assert!(matches!(outcome, Err(HistoryError::Io { .. })), "{outcome:?}");
        assert_eq!((read("file"), read("aside").as_deref()), (None, Some("theirs")));
    }

    fn file(text: &str) -> Version {
        Version { kind: VersionKind::File, mode: 0o644, content: Some(text.into()) }
    }

    #[test]
    fn what_is_written_while_it_is_put_back_is_seen_also_where_no_time_tells() {
        for target in [Some("old"), None] {
            let scratch = tempfile::tempdir().expect("scratch");
            let root = scratch.path().canonicalize().expect("real");
            let path = root.join("file");
            std::fs::write(&path, "one").expect("write");
            let folder = Folder::open(&root).expect("folder");
            rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o644)).expect("mode");
            let found = folder.look("file".as_ref()).expect("look").expect("there");
            let time = std::fs::metadata(&path).expect("file").modified().expect("time");
            let place = Place { folder: &folder, name: "file".as_ref(), path: &path };
            // As long, at the same time, in the same file, after the last look at it.
            let meanwhile = || {
                let mut file = std::fs::File::options().write(true).open(&path).expect("open");
                file.write_all(b"two").and_then(|()| file.set_modified(time)).expect("written");
            };
            let outcome = match target {
                Some(text) => place.put(Some(&found), Some(&file("one")), || {
                    meanwhile();
                    super::write(&folder, text.as_bytes(), 0o644)
                }),
                None => {
                    meanwhile();
                    place.clear(Some(&found), Some(&file("one")))
                }
            };
            assert!(matches!(outcome, Err(HistoryError::Changed { .. })), "{target:?} {outcome:?}");
            assert_eq!(std::fs::read_to_string(&path).expect("file"), "two", "{target:?}");
            assert_eq!(std::fs::read_dir(&root).expect("folder").count(), 1, "{target:?}");
        }
    }

    #[test]
    fn what_somebody_makes_while_it_is_written_stays() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        let path = root.join("file");
        let folder = Folder::open(&root).expect("folder");
        let place = Place { folder: &folder, name: "file".as_ref(), path: &path };
        let outcome = place.put(None, None, || {
            std::fs::write(&path, "theirs").expect("written");
            super::write(&folder, b"old", 0o644)
        });
        assert!(matches!(outcome, Err(HistoryError::Changed { .. })), "{outcome:?}");
        assert_eq!(std::fs::read_to_string(&path).expect("file"), "theirs");
        assert_eq!(std::fs::read_dir(&root).expect("folder").count(), 1);
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

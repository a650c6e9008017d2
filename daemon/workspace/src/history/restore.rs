//! Puts an earlier version back, where the session may write, without following a link.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use protocol::profile::{Access, Profile};

use super::error::HistoryError;
use super::version::{Version, VersionKind, read};
use crate::path::{Folder, Found, Mode};

/// Makes the path what `target` says, if `expected` stands there now; folders on the way are made. A folder goes only
/// when it is empty.
///
/// # Errors
/// `ReadOnly`, `Changed`, `NotKept`, `Io`: the path is as it was.
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
        Err(error) if error.kind() == io::ErrorKind::NotFound && target.is_none() => return Ok(()),
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
    let place = Place { folder: &folder, name };
    match target {
        None => place.clear(found.as_ref(), expected).map_err(failed),
        Some(Version { kind: VersionKind::Folder, mode, .. }) => {
            if expected.is_some_and(|expected| expected.kind != VersionKind::Folder) {
                place.clear(found.as_ref(), expected).map_err(failed)?;
            }
            let (made, _) = folder.enter_or_make(name).map_err(failed)?;
            made.set_mode(Mode::from_bits(*mode)).map_err(failed)
        }
        Some(Version { kind: VersionKind::Link, content, .. }) => {
            let target = link(content.as_deref().ok_or_else(not_kept)?);
            place.put(found.as_ref(), expected, || folder.create_link(&target)).map_err(failed)
        }
        Some(Version { kind: VersionKind::File, mode, content }) => {
            let bytes = content.as_deref().ok_or_else(not_kept)?;
            place.put(found.as_ref(), expected, || write(&folder, bytes, *mode)).map_err(failed)
        }
    }
}

struct Place<'a> {
    folder: &'a Folder,
    name: &'a OsStr,
}

impl Place<'_> {
    /// Removes what is there, if it is still what was looked at.
    fn clear(&self, found: Option<&Found>, expected: Option<&Version>) -> io::Result<()> {
        let (Some(found), Some(expected)) = (found, expected) else { return Ok(()) };
        if expected.kind == VersionKind::Folder {
            return self.folder.remove_folder(self.name);
        }
        let aside = self.folder.set_aside(self.name)?;
        match self.folder.look(&aside)? {
            Some(set_aside) if set_aside.is_same(found) => self.folder.remove(&aside),
            Some(_) | None => {
                self.folder.rename_new(&aside, self.folder, self.name)?;
                Err(moved())
            }
        }
    }

    /// Puts what is written in the place of what was looked at.
    fn put(
        &self,
        found: Option<&Found>,
        expected: Option<&Version>,
        write: impl FnOnce() -> io::Result<OsString>,
    ) -> io::Result<()> {
        let written = write()?;
        let outcome = self.place(&written, found, expected);
        if outcome.is_err() {
            let _ = self.folder.remove(&written);
        }
        outcome
    }

    fn place(&self, written: &OsStr, found: Option<&Found>, expected: Option<&Version>) -> io::Result<()> {
        let replaced =
            found.filter(|_| expected.is_some_and(|expected| expected.kind != VersionKind::Folder));
        let Some(found) = replaced else {
            self.clear(found, expected)?;
            return self.folder.rename_new(written, self.folder, self.name);
        };
        if self.folder.exchange(written, self.folder, self.name)? {
            return match self.folder.look(written)? {
                Some(old) if old.is_same(found) => self.folder.remove(written),
                Some(_) | None => {
                    self.folder.exchange(written, self.folder, self.name)?;
                    Err(moved())
                }
            };
        }
        self.clear(Some(found), expected)?;
        self.folder.rename_new(written, self.folder, self.name)
    }
}

fn moved() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "it was changed at this very moment")
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

//! What stands under one path.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::HistoryError;
use crate::path::{Folder, Found, Kind, is_link};

/// The most that is kept of one file.
pub(crate) const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// What stands under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// What it is.
    pub kind: VersionKind,
    /// Its permission bits; 0 for links.
    pub mode: u32,
    /// A file's content, or where a link leads; empty for folders. `None` where it is too large.
    pub content: Option<Vec<u8>>,
}

/// What can stand there; all else is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VersionKind {
    /// A file.
    File,
    /// A symbolic link.
    Link,
    /// A folder.
    Folder,
}

impl VersionKind {
    /// `None` for pipes, sockets and devices.
    pub(crate) fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::File => Some(Self::File),
            Kind::Link => Some(Self::Link),
            Kind::Folder => Some(Self::Folder),
            Kind::Special => None,
        }
    }
}

/// What stands under an absolute path now, no link followed; `None` for nothing, and for what is not looked at.
///
/// # Errors
/// `Io`, also where a folder on the way is a link.
pub fn look(path: &Path) -> Result<Option<Version>, HistoryError> {
    let Some((parent, name)) = path.parent().zip(path.file_name()) else { return Ok(None) };
    let folder = match Folder::open(parent) {
        Ok(folder) => folder,
        Err(error) if has_no_folder(&error) => return Ok(None),
        Err(error) => return Err(HistoryError::io(path, error)),
    };
    let found = folder.look(name).map_err(|error| HistoryError::io(path, error))?;
    let Some(found) = found else { return Ok(None) };
    match read(&folder, name, &found) {
        Ok(version) => Ok(version),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(HistoryError::io(path, error)),
    }
}

/// Whether a folder could not be opened because there is none. Where a link leads is another place.
pub(crate) fn has_no_folder(error: &io::Error) -> bool {
    is_gone(error) || is_link(error)
}

/// What stands under a name in a folder that was looked at.
pub(crate) fn read(folder: &Folder, name: &OsStr, found: &Found) -> io::Result<Option<Version>> {
    let Some(kind) = VersionKind::of(found.kind) else { return Ok(None) };
    let mode = if kind == VersionKind::Link { 0 } else { found.mode.bits() };
    let content = match kind {
        VersionKind::Folder => Some(Vec::new()),
        VersionKind::Link => Some(folder.link(name)?.into_os_string().into_encoded_bytes()),
        VersionKind::File if found.size > MAX_FILE_BYTES => None,
        VersionKind::File => match folder.open_seen_file(name) {
            Ok((file, _)) => {
                // One byte more, so that the end is found by the first read.
                let mut bytes = Vec::with_capacity(usize::try_from(found.size).map_or(0, |size| size + 1));
                file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
                Some(bytes).filter(|bytes| bytes.len() as u64 <= MAX_FILE_BYTES)
            }
            // It may be looked at and not read; so it is not kept either.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            Err(error) => return Err(error),
        },
    };
    Ok(Some(Version { kind, mode, content }))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

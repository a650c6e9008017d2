//! Changes of files, collected in memory before any is made. What is read through a draft is what it would be
//! once the draft was carried out.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::profile::{Access, Profile, SandboxMode};

use super::commit;
use super::error::{CommitError, FileError};
use crate::path::{Folder, Found, Kind, Last, Mode, link_target, resolve_with};
use crate::sight::Stamp;

/// The largest file that can be read.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The most that a draft holds.
const MAX_HELD_BYTES: u64 = 256 * 1024 * 1024;

/// Changes of files that are not made yet, within what a profile allows.
///
/// Paths are absolute; links are followed as the system would. The profile is asked about real paths, so its
/// rules must name real paths too.
pub struct Draft {
    profile: Arc<Profile>,
    entries: BTreeMap<PathBuf, Entry>,
    held_bytes: u64,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its permission bits; `None` for a file that the draft makes.
    pub mode: Option<Mode>,
}

/// A real path that the draft knows of.
pub(super) struct Entry {
    /// What is there before the draft is carried out.
    pub(super) before: Option<Found>,
    /// What shall be there then.
    pub(super) after: After,
}

/// What shall be under a path.
pub(super) enum After {
    /// What is there now.
    Same,
    /// A file.
    File(Content),
    /// A link that leads there.
    Link(PathBuf),
    /// Nothing.
    Nothing,
}

impl Draft {
    /// Changes nothing yet.
    #[must_use]
    pub fn new(profile: Arc<Profile>) -> Self {
        Self { profile, entries: BTreeMap::new(), held_bytes: 0 }
    }

    /// What a file holds.
    ///
    /// # Errors
    /// There is no file, it is too large, or it may not be seen.
    pub fn read(&mut self, path: &Path) -> Result<Content, FileError> {
        let real = self.real(path, Last::Followed)?;
        self.read_real(&real)
    }

    /// The real path of a file, and what it was like when the draft looked at it; `None` if it did not.
    #[must_use]
    pub fn stamp(&self, path: &Path) -> Option<(PathBuf, Stamp)> {
        let real = self.real(path, Last::Followed).ok()?;
        let stamp = Stamp::new(self.entries.get(&real)?.before?);
        Some((real, stamp))
    }

    /// Where a path leads, if it is a link itself.
    ///
    /// # Errors
    /// It may not be seen.
    pub fn link_target(&self, path: &Path) -> Result<Option<PathBuf>, FileError> {
        let real = self.real(path, Last::Kept)?;
        self.visible(&real)?;
        self.target_of(&real)
    }

    /// Gives a file these bytes, following links; makes it, and folders on the way, if need be. An existing one
    /// keeps its permissions.
    ///
    /// # Errors
    /// It may not be written, or it is no file.
    pub fn write(&mut self, path: &Path, bytes: Vec<u8>) -> Result<(), FileError> {
        let real = self.writable(path, Last::Followed)?;
        let mode = self.entry(&real)?.mode();
        self.put(&real, After::File(Content { bytes, mode }))
    }

    /// Removes a file, or a link itself.
    ///
    /// # Errors
    /// It may not be written, or is neither.
    pub fn remove(&mut self, path: &Path) -> Result<(), FileError> {
        let real = self.writable(path, Last::Kept)?;
        if self.entry(&real)?.kind().is_none() {
            return Err(FileError::Missing { path: real });
        }
        self.put(&real, After::Nothing)
    }

    /// Moves a file to another path, whatever is there, and gives it these bytes; its permissions go with it. A
    /// link that is moved stays a link if the bytes are what is there already. Moved onto itself, under any
    /// name, a file changes its content only.
    ///
    /// # Errors
    /// Either path may not be written, or is no file.
    pub fn move_file(&mut self, from: &Path, to: &Path, bytes: Vec<u8>) -> Result<(), FileError> {
        let source = self.writable(from, Last::Kept)?;
        let target = self.writable(to, Last::Kept)?;
        if source == target {
            return self.write(from, bytes);
        }
        let behind_source = self.real(from, Last::Followed)?;
        let current = self.read_real(&behind_source)?;
        match self.target_of(&source)? {
            Some(link) if current.bytes == bytes => {
                // A link that is moved onto the file it leads to would lead to itself.
                if target != behind_source {
                    self.put(&target, After::Link(link))?;
                }
            }
            _ => {
                let behind_target = self.writable(to, Last::Followed)?;
                // A file that is moved onto a link to it takes the link's place.
                let place = if behind_target == source { target } else { behind_target };
                self.put(&place, After::File(Content { bytes, mode: current.mode }))?;
            }
        }
        self.put(&source, After::Nothing)
    }

    /// Makes all changes or none. Files are replaced in one step each, so that nobody sees half of one.
    ///
    /// # Errors
    /// What went wrong, and whether everything could be put back.
    pub fn commit(self) -> Result<(), CommitError> {
        commit::commit(&self.profile, self.entries)
    }

    fn read_real(&mut self, real: &Path) -> Result<Content, FileError> {
        self.visible(real)?;
        let entry = self.entry(real)?;
        match (&entry.after, entry.kind()) {
            (After::File(content), _) => Ok(content.clone()),
            (_, None) => Err(FileError::Missing { path: real.to_owned() }),
            (_, Some(Kind::File)) => {
                let (content, found) = read_file(real)?;
                // What is replaced later must be what was read now.
                entry.before = Some(found);
                Ok(content)
            }
            (_, Some(kind)) => Err(FileError::not_a_file(real, kind)),
        }
    }

    /// Notes a change, if what is there can be replaced. The caller asked the profile.
    fn put(&mut self, real: &Path, after: After) -> Result<(), FileError> {
        let size = |after: &After| match after {
            After::File(content) => content.bytes.len() as u64,
            After::Same | After::Link(_) | After::Nothing => 0,
        };
        let entry = self.entry(real)?;
        if let Some(kind @ (Kind::Folder | Kind::Special)) = entry.kind() {
            return Err(FileError::not_a_file(real, kind));
        }
        let (less, more) = (size(&entry.after), size(&after));
        entry.after = after;
        self.held_bytes = self.held_bytes - less + more;
        if self.held_bytes > MAX_HELD_BYTES {
            return Err(FileError::TooMuch { limit_bytes: MAX_HELD_BYTES });
        }
        Ok(())
    }

    /// What the draft knows of a real path, after a look at the disk if that is nothing yet.
    fn entry(&mut self, real: &Path) -> Result<&mut Entry, FileError> {
        let is_gone = |folder| matches!(self.entries.get(folder), Some(Entry { after: After::Nothing, .. }));
        let before = match self.entries.get(real) {
            Some(known) => known.before,
            // What the draft removes may be in the way of a look at what it puts there instead.
            None if real.ancestors().any(is_gone) => None,
            None => look(real)?,
        };
        Ok(self.entries.entry(real.to_owned()).or_insert(Entry { before, after: After::Same }))
    }

    fn visible(&self, real: &Path) -> Result<(), FileError> {
        match self.profile.access(real) {
            Access::Read | Access::Write => Ok(()),
            Access::Hidden => Err(FileError::Hidden { path: real.to_owned() }),
        }
    }

    /// The real path, if the profile lets it be written.
    fn writable(&self, path: &Path, last: Last) -> Result<PathBuf, FileError> {
        let real = self.real(path, last)?;
        match self.profile.access(&real) {
            Access::Write if is_of_git(&real) && self.profile.mode != SandboxMode::DangerFullAccess => {
                Err(FileError::ReadOnly { path: real })
            }
            Access::Write => Ok(real),
            Access::Read => Err(FileError::ReadOnly { path: real }),
            Access::Hidden => Err(FileError::Hidden { path: real }),
        }
    }

    fn real(&self, path: &Path, last: Last) -> Result<PathBuf, FileError> {
        resolve_with(path, last, |place| {
            let target = self.target_of(place)?;
            if target.is_some() {
                self.visible(place)?;
            }
            Ok(target)
        })?
        .ok_or_else(|| FileError::TooManyLinks { path: path.to_owned() })
    }

    /// Where a real path leads, if it is a link.
    fn target_of(&self, real: &Path) -> Result<Option<PathBuf>, FileError> {
        match self.entries.get(real).map(|entry| &entry.after) {
            Some(After::Link(target)) => Ok(Some(target.clone())),
            Some(After::File(_) | After::Nothing) => Ok(None),
            Some(After::Same) | None => link_target(real).map_err(|error| FileError::io(real, error)),
        }
    }
}

impl Entry {
    /// What is there, as the draft has it.
    fn kind(&self) -> Option<Kind> {
        match &self.after {
            After::Same => self.before.map(|found| found.kind),
            After::File(_) => Some(Kind::File),
            After::Link(_) => Some(Kind::Link),
            After::Nothing => None,
        }
    }

    fn mode(&self) -> Option<Mode> {
        match &self.after {
            After::Same => self.before.filter(|found| found.kind == Kind::File).map(|found| found.mode),
            After::File(content) => content.mode,
            After::Link(_) | After::Nothing => None,
        }
    }
}

/// Whether it belongs to git, also where a folder is no working tree before it is written: git runs programs by what
/// stands there, and git alone has to write it.
fn is_of_git(real: &Path) -> bool {
    real.components().any(|part| part.as_os_str().eq_ignore_ascii_case(".git"))
}

/// What is at a real path on the disk; nothing, too, where a folder on the way is missing.
fn look(real: &Path) -> Result<Option<Found>, FileError> {
    let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(FileError::not_a_file(real, Kind::Folder));
    };
    match Folder::open(parent).and_then(|folder| folder.look(name)) {
        Ok(found) => Ok(found),
        Err(error) => match FileError::io(real, error) {
            FileError::Missing { .. } => Ok(None),
            FileError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotADirectory => Ok(None),
            other => Err(other),
        },
    }
}

fn read_file(real: &Path) -> Result<(Content, Found), FileError> {
    let (Some(parent), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(FileError::not_a_file(real, Kind::Folder));
    };
    let io = |error| FileError::io(real, error);
    let (file, found) = Folder::open(parent).and_then(|folder| folder.open_file(name)).map_err(io)?;
    let mut bytes = Vec::new();
    if found.size <= MAX_FILE_BYTES {
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    }
    let size_bytes = found.size.max(bytes.len() as u64);
    if size_bytes > MAX_FILE_BYTES {
        return Err(FileError::TooLarge { path: real.to_owned(), size_bytes, limit_bytes: MAX_FILE_BYTES });
    }
    Ok((Content { bytes, mode: Some(found.mode) }, found))
}

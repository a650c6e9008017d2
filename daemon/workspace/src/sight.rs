//! What a session may see of the files on this machine. Reads no content; every way to content, to names and to
//! searches goes through here.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::profile::{Access, Profile, SandboxMode};

use crate::files::FileError;
use crate::path::{Folder, Found, Kind, Last, link_target, resolve_with};

/// What a session may see. Paths that it is given are absolute; links are followed as the system would, if every
/// place that they lead through may be seen.
#[derive(Clone, Debug)]
pub struct Sight {
    profile: Arc<Profile>,
}

/// A file that is open to be read.
#[derive(Debug)]
pub struct Opened {
    /// Its content.
    pub file: File,
    /// Its real path.
    pub path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
    /// Tells whether it is still the same later.
    pub stamp: Stamp,
}

/// What a file was like when it was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Stamp(Found);

impl Stamp {
    pub(crate) fn new(found: Found) -> Self {
        Self(found)
    }

    /// Whether it is the same file with the same content, as far as size and times tell.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.is_same(&other.0)
    }
}

impl Sight {
    /// What this profile lets be seen. Its rules name real paths.
    #[must_use]
    pub fn new(profile: Arc<Profile>) -> Self {
        Self { profile }
    }

    /// The real path of what may be seen, whether or not it exists.
    ///
    /// # Errors
    /// `Hidden`, `TooManyLinks`, `Io`.
    pub fn real(&self, path: &Path) -> Result<PathBuf, FileError> {
        let real = resolve_with(path, Last::Followed, |place| {
            let target = link_target(place).map_err(|error| FileError::io(place, error))?;
            if target.is_some() {
                self.check(place)?;
            }
            Ok(target)
        })?
        .ok_or_else(|| FileError::TooManyLinks { path: path.to_owned() })?;
        self.check(&real)?;
        Ok(real)
    }

    /// Opens a file to read it. Never waits, whatever it is.
    ///
    /// # Errors
    /// As `real`, and `Missing`, `NotAFile`, `Changed`.
    pub fn open(&self, path: &Path) -> Result<Opened, FileError> {
        let path = self.real(path)?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(FileError::not_a_file(&path, Kind::Folder));
        };
        let io = |error| FileError::io(&path, error);
        let folder = Folder::open(parent).map_err(io)?;
        let found = folder.look(name).map_err(io)?;
        let found = found.ok_or_else(|| FileError::Missing { path: path.clone() })?;
        if found.kind != Kind::File {
            return Err(FileError::not_a_file(&path, found.kind));
        }
        let (file, found) = folder.open_seen_file(name).map_err(io)?;
        Ok(Opened { file, size_bytes: found.size, stamp: Stamp(found), path })
    }

    /// The real path of a file and what it is like now; `None` where there is none, or it may not be seen.
    #[must_use]
    pub fn stamp(&self, path: &Path) -> Option<(PathBuf, Stamp)> {
        let real = self.real(path).ok()?;
        let found = Folder::open(real.parent()?).ok()?.look(real.file_name()?).ok()??;
        (found.kind == Kind::File).then_some((real, Stamp(found)))
    }

    /// Whether a real path may be seen.
    pub(crate) fn is_visible(&self, real: &Path) -> bool {
        self.profile.access(real) != Access::Hidden
    }

    /// Whether everything below a folder that may be seen may be seen, too; then nobody has to ask.
    pub(crate) fn is_clear_below(&self, real: &Path) -> bool {
        let is_below = |path: &Path| path != real && path.starts_with(real);
        self.profile.mode == SandboxMode::DangerFullAccess
            || (self.profile.globs.is_empty() && !self.profile.paths.iter().any(|rule| is_below(&rule.path)))
    }

    fn check(&self, real: &Path) -> Result<(), FileError> {
        if self.is_visible(real) { Ok(()) } else { Err(FileError::Hidden { path: real.to_owned() }) }
    }
}

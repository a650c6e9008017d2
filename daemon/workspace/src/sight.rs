//! What a session may see of the files on this machine. Reads no content; every way to content, to names and to
//! searches goes through here.
//!
//! It looks with the daemon's eyes, so it does not look into `/proc`: what is there of a process that reads is the
//! daemon's, and the rest is that of the whole machine. A command sees what its sandbox shows it there.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::profile::{Access, Profile, SandboxMode};

use crate::files::FileError;
use crate::path::{Folder, Found, Kind, Last, link_target, resolve_with};

/// Where the system tells of processes.
const PROC: &str = "/proc";

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
        !real.starts_with(PROC) && self.profile.access(real) != Access::Hidden
    }

    /// Whether everything below a folder that may be seen may be seen, too; then nobody has to ask.
    pub(crate) fn is_clear_below(&self, real: &Path) -> bool {
        let is_below = |path: &Path| path != real && path.starts_with(real);
        let has_rules =
            || !self.profile.globs.is_empty() || self.profile.paths.iter().any(|rule| is_below(&rule.path));
        !is_below(Path::new(PROC)) && (self.profile.mode == SandboxMode::DangerFullAccess || !has_rules())
    }

    fn check(&self, real: &Path) -> Result<(), FileError> {
        if self.is_visible(real) { Ok(()) } else { Err(FileError::Hidden { path: real.to_owned() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::NetworkAccess;
    use rustix::fs::symlink;

    #[test]
    fn nothing_is_seen_of_what_the_system_tells_of_processes() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        for (to, name) in [("/proc/self/maps", "maps"), ("/proc/self/cwd", "here"), ("/proc", "all")] {
            symlink(to, root.join(name)).expect("link");
        }
        let at = |name: &str| root.join(name).display().to_string();
        for mode in [SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess] {
            let profile = Profile::new(mode, Access::Read, Vec::new(), NetworkAccess::Off);
            let sight = Sight::new(Arc::new(profile));
            for path in [
                "/proc/self/maps",
                "/proc/1/environ",
                "/proc/net/unix",
                "/proc",
                "/dev/fd/0",
                "/etc/../proc/self/status",
                "/proc/self/root/etc/passwd",
                &at("maps"),
                &at("here/Cargo.toml"),
                &at("all/self/maps"),
            ] {
                let seen = sight.real(Path::new(path));
                assert!(matches!(seen, Err(FileError::Hidden { .. })), "{path}: {seen:?}");
                assert!(
                    sight.open(Path::new(path)).is_err() && sight.stamp(Path::new(path)).is_none(),
                    "{path}"
                );
            }
            assert!(!sight.is_clear_below(Path::new("/")) && sight.is_clear_below(&root));
            assert!(sight.real(Path::new("/process")).is_ok());
        }
    }
}

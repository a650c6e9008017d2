//! Unix: a folder held by its descriptor, and what is done in it by name. No operation here follows a link.

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, FileType, Gid, OFlags, RawMode, RenameFlags, Stat, Uid};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Paths are shorter (limits.h, `PATH_MAX`), and so folders are not found deeper than that allows.
const MAX_PATH_BYTES: usize = 4096;

/// What a random name begins and ends with; between them stand sixteen hexadecimal digits.
const RANDOM_NAME_START: &str = ".skein-";
const RANDOM_NAME_END: &str = ".tmp";

/// How a folder is opened: to work in it, and so that it can be synced.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Kinds of local file systems (linux/magic.h; the last two are ZFS and bcachefs): ext4, XFS, Btrfs, tmpfs, overlay,
/// F2FS.
#[cfg(target_os = "linux")]
const TELL_OF_NAMES: [u32; 8] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0xF2F5_2010, 0x2FC1_2FC1, 0xCA45_1A4E];

/// The permission bits of a file; set-user-id and its like are not among them, as no write keeps those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode(RawMode);

/// A folder, held open: it stays this one, whatever becomes of its name.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    /// A pipe, a socket, a device.
    Special,
}

/// What was found under a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) mode: Mode,
    /// Whether only owners remove what is in it.
    pub(crate) is_sticky: bool,
    /// The owner, for files that are replaced.
    owner: (u32, u32),
    /// Changes when another file takes the name, or the content changes.
    stamp: (u64, u64, u64, i64, i64),
    /// When anything about it was changed.
    changed: (i64, i64),
}

/// Tells whether something was changed since it was looked at, by all that its system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    kind: Kind,
    mode: Mode,
    stamp: (u64, u64, u64, i64, i64),
    /// When anything about it was changed; nobody can set that.
    changed: (i64, i64),
}

impl Mode {
    /// As a number, 0 to 0o777.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Of a number; more than permission bits is left out.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & 0o777)
    }
}

impl Fingerprint {
    /// Whether nothing was changed. Of a folder, what is in it does not count.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        if self.kind == Kind::Folder {
            return self.kind == other.kind && self.mode == other.mode;
        }
        self == other
    }

    /// The file system that it is on.
    pub(crate) fn device(&self) -> u64 {
        self.stamp.0
    }

    /// When it was changed last.
    pub(crate) fn changed_at(&self) -> SystemTime {
        let seconds = u64::try_from(self.changed.0).unwrap_or(0);
        let nanoseconds = u32::try_from(self.changed.1).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }
}

/// The path of these bytes.
pub(crate) fn from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Whether the error means that a link stands where none may.
pub(crate) fn is_link(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::LOOP)
}

/// Where a link leads; `None` for all that is no link, and for what is missing.
pub(crate) fn link_target(path: &Path) -> io::Result<Option<PathBuf>> {
    match std::fs::read_link(path) {
        Ok(target) => Ok(Some(target)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Kind {
    fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            _ => Self::Special,
        }
    }
}

impl Found {
    /// Whether both are the same file with the same content.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.stamp == other.stamp
    }

    /// For a look at it later.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint { kind: self.kind, mode: self.mode, stamp: self.stamp, changed: self.changed }
    }

    #[expect(clippy::useless_conversion, clippy::unnecessary_cast, reason = "systems differ")]
    fn of(stat: &Stat) -> Self {
        let kind = Kind::of(FileType::from_raw_mode(stat.st_mode));
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Self {
            kind,
            size,
            mode: Mode(stat.st_mode & 0o777),
            is_sticky: stat.st_mode & 0o1000 != 0,
            owner: (stat.st_uid, stat.st_gid),
            // The types differ between systems.
            stamp: (
                stat.st_dev as u64,
                stat.st_ino.into(),
                size,
                stat.st_mtime.into(),
                stat.st_mtime_nsec as i64,
            ),
            changed: (stat.st_ctime.into(), stat.st_ctime_nsec as i64),
        }
    }
}

impl Folder {
    /// Opens a folder by its real path. If any part of it is a link, the error is one that `is_link` knows.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::ResolveFlags;
            let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(CWD, path, FOLDER, rustix::fs::Mode::empty(), resolve) {
                Ok(fd) => return Ok(Self { fd }),
                // An old kernel, or a container that does not know the call.
                Err(Errno::NOSYS | Errno::PERM) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Self::walk(path)
    }

    /// The same, part by part, for paths of the same length.
    fn walk(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() >= MAX_PATH_BYTES {
            return Err(Errno::NAMETOOLONG.into());
        }
        #[cfg(target_os = "linux")]
        let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        #[cfg(not(target_os = "linux"))]
        let step = FOLDER | OFlags::NOFOLLOW;
        let none = rustix::fs::Mode::empty();
        let mut fd = rustix::fs::open("/", step, none)?;
        for part in path.components().skip(1) {
            fd = match rustix::fs::openat(&fd, part.as_os_str(), step, none) {
                Err(Errno::NOTDIR) if Self { fd: fd.try_clone()? }.is_link(part.as_os_str()) => {
                    return Err(Errno::LOOP.into());
                }
                other => other?,
            };
        }
        Ok(Self { fd: rustix::fs::openat(&fd, ".", FOLDER, none)? })
    }

    fn is_link(&self, name: &OsStr) -> bool {
        matches!(self.look(name), Ok(Some(found)) if found.kind == Kind::Link)
    }

    /// What it is itself.
    pub(crate) fn found(&self) -> io::Result<Found> {
        Ok(Found::of(&rustix::fs::fstat(&self.fd)?))
    }

    /// Whether a folder on this file system always tells by its times that a name in it came, went, or became
    /// something else. Others are not asked to: on a network one they may lag behind.
    pub(crate) fn tells_of_names(&self) -> bool {
        #[cfg(target_os = "linux")]
        {
            rustix::fs::fstatfs(&self.fd).is_ok_and(|found| TELL_OF_NAMES.contains(&(found.f_type as u32)))
        }
        #[cfg(not(target_os = "linux"))]
        {
            false
        }
    }

    /// What stands under a name.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<Option<Found>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Found::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a file to read it, and says what it is. Never waits for a pipe; refuses all that is no file.
    pub(crate) fn open_file(&self, name: &OsStr) -> io::Result<(File, Found)> {
        // Looks first, as opening a device can have effects of its own.
        if self.look(name)?.ok_or(io::ErrorKind::NotFound)?.kind != Kind::File {
            return Err(not_a_file());
        }
        self.open_seen_file(name)
    }

    /// As `open_file`, for a name that was seen to be a file's.
    pub(crate) fn open_seen_file(&self, name: &OsStr) -> io::Result<(File, Found)> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, rustix::fs::Mode::empty())?;
        let found = Found::of(&rustix::fs::fstat(&fd)?);
        if found.kind != Kind::File {
            return Err(not_a_file());
        }
        Ok((File::from(fd), found))
    }

    /// Tells every name in it and what it stands for, in no order, until the visitor has enough.
    pub(crate) fn each(&self, mut visit: impl FnMut(&OsStr, Kind) -> ControlFlow<()>) -> io::Result<()> {
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match self.look(name) {
                    Ok(Some(found)) => found.kind,
                    // It went meanwhile.
                    Ok(None) | Err(_) => continue,
                },
                known => Kind::of(known),
            };
            if visit(name, kind).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Where the link under a name leads.
    pub(crate) fn link(&self, name: &OsStr) -> io::Result<PathBuf> {
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new())?;
        Ok(PathBuf::from(OsStr::from_bytes(target.to_bytes())))
    }

    /// Makes a file under a random name, to be put in place later: with this mode, or that of any new file; and
    /// with the owner of what it replaces, as far as the system lets us.
    pub(crate) fn create_file(
        &self,
        mode: Option<Mode>,
        replaced: Option<&Found>,
    ) -> io::Result<(File, OsString)> {
        let name = random_name();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let at_first = rustix::fs::Mode::from_raw_mode(if mode.is_some() { 0o600 } else { 0o666 });
        let fd = rustix::fs::openat(&self.fd, &name, flags, at_first)?;
        if let Some(replaced) = replaced
            && replaced.owner != Found::of(&rustix::fs::fstat(&fd)?).owner
        {
            let (uid, gid) = replaced.owner;
            // Only root may give files away; everybody else's replacement is their own.
            let _ = rustix::fs::fchown(&fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        }
        if let Some(Mode(bits)) = mode {
            rustix::fs::fchmod(&fd, rustix::fs::Mode::from_raw_mode(bits))?;
        }
        Ok((File::from(fd), name))
    }

    /// Makes a link under a random name.
    pub(crate) fn create_link(&self, target: &Path) -> io::Result<OsString> {
        let name = random_name();
        rustix::fs::symlinkat(target, &self.fd, &name)?;
        Ok(name)
    }

    /// Opens a folder in this one; a link is none.
    pub(crate) fn enter(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let flags = FOLDER | OFlags::NOFOLLOW;
        Ok(Self { fd: rustix::fs::openat(&self.fd, name.as_ref(), flags, rustix::fs::Mode::empty())? })
    }

    /// Opens a folder in this one, making it if it is missing; says whether it was.
    pub(crate) fn enter_or_make(&self, name: &OsStr) -> io::Result<(Self, bool)> {
        let is_new = match rustix::fs::mkdirat(&self.fd, name, rustix::fs::Mode::from_raw_mode(0o777)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error.into()),
        };
        Ok((self.enter(name)?, is_new))
    }

    /// Gives what stands under `from` a name in another folder that nothing has yet.
    pub(crate) fn rename_new(&self, from: &OsStr, folder: &Self, to: &OsStr) -> io::Result<()> {
        match rustix::fs::renameat_with(&self.fd, from, &folder.fd, to, RenameFlags::NOREPLACE) {
            Err(error) if is_unsupported(error) => {
                if folder.look(to)?.is_some() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                self.rename_over(from, folder, to)
            }
            other => Ok(other?),
        }
    }

    /// Gives what stands under `from` another name, whatever has it.
    pub(crate) fn rename_over(&self, from: &OsStr, folder: &Self, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, from, &folder.fd, to)?)
    }

    /// Sets what stands under a name aside, under a random name.
    pub(crate) fn set_aside(&self, name: &OsStr) -> io::Result<OsString> {
        let aside = random_name();
        self.rename_new(name, self, &aside)?;
        Ok(aside)
    }

    /// Lets two names change places in one step. `false` where the file system can't.
    pub(crate) fn exchange(&self, one: &OsStr, folder: &Self, other: &OsStr) -> io::Result<bool> {
        match rustix::fs::renameat_with(&self.fd, one, &folder.fd, other, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(error) if is_unsupported(error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a file or a link.
    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    pub(crate) fn remove_folder(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)?)
    }

    /// Sets its own permission bits.
    pub(crate) fn set_mode(&self, Mode(bits): Mode) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.fd, rustix::fs::Mode::from_raw_mode(bits))?)
    }

    /// Brings the names in it to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// Brings all that was written on its file system to the disk; one call, however many files that are.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&self.fd)?;
        #[cfg(not(target_os = "linux"))]
        rustix::fs::sync();
        Ok(())
    }
}

/// Whether a name is one of those that are made here for a moment, and only left where the program was killed in it.
pub(crate) fn is_random_name(name: &OsStr) -> bool {
    let digits = name
        .to_str()
        .and_then(|name| name.strip_prefix(RANDOM_NAME_START))
        .and_then(|rest| rest.strip_suffix(RANDOM_NAME_END));
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "It is not a file")
}

fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

/// A name that nobody can guess; hidden, so that few tools look at it while it is there.
fn random_name() -> OsString {
    let random = RandomState::new().build_hasher().finish();
    format!("{RANDOM_NAME_START}{random:016x}{RANDOM_NAME_END}").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::symlink;

    /// Where to open, and whether it is let in, kept out for a link, or not there.
    fn check(open: fn(&Path) -> io::Result<Folder>) {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        std::fs::create_dir_all(root.join("a/b")).expect("folders");
        std::fs::write(root.join("file"), "").expect("file");
        symlink("a", root.join("link")).expect("link");
        assert!(open(&root.join("a/b")).is_ok());
        assert!(open(&root.join("link")).is_err_and(|error| is_link(&error)));
        assert!(open(&root.join("link/b")).is_err_and(|error| is_link(&error)));
        let kind = |path: &str| open(&root.join(path)).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(kind("a/c"), Err(io::ErrorKind::NotFound));
        assert_eq!(kind("file/c"), Err(io::ErrorKind::NotADirectory));
        let error = open(&root.join("a/".repeat(MAX_PATH_BYTES / 2))).map(|_| ()).expect_err("too long");
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NAMETOOLONG));
    }

    #[test]
    fn no_link_is_followed_to_a_folder() {
        check(Folder::open);
        check(Folder::walk);
    }

    #[test]
    fn a_pipe_is_refused_without_waiting() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, root.join("pipe"), FileType::Fifo, mode, 0).expect("pipe");
        let folder = Folder::open(&root).expect("folder");
        let error = folder.open_file(OsStr::new("pipe")).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_changed_file_is_told_apart() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        let folder = Folder::open(&root).expect("folder");
        let look = || folder.look(OsStr::new("file")).expect("look").expect("file");
        std::fs::write(root.join("file"), "one").expect("write");
        let first = look();
        assert!(first.is_same(&look()));
        std::fs::write(root.join("file"), "more").expect("write");
        assert!(!first.is_same(&look()));
    }
}

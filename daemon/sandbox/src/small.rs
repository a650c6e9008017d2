//! The small executable that holds nothing but the helper, where it stands beside the large one. Starting it for each
//! command costs a fraction: it has less to load and to relocate. Knows nothing of what it does.
//!
//! It is copied into memory and sealed when the daemon starts, and run from there: what an upgrade or a command does to
//! the file matters no more.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use tokio::process::Command;
use tokio::time::timeout;

/// The longest one.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// How long an executable may take to tell its build.
const PATIENCE: Duration = Duration::from_secs(5);

/// A copy of it.
#[derive(Debug)]
pub(crate) struct Small {
    copy: OwnedFd,
}

impl Small {
    /// The one beside an executable; none if there is none, or none that can be trusted as much as that.
    pub(crate) fn beside(executable: &Path) -> Option<Self> {
        // Fails for one that was removed or replaced: then what is beside it is not of its build.
        let executable = fs::canonicalize(executable).ok()?;
        let path = executable.with_file_name(helper_protocol::NAME);
        match copy(&executable, &path) {
            Ok(copy) => Some(Self { copy }),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "the small helper is not used");
                None
            }
        }
    }

    /// What it is started by, for as long as this lives and in this process and its children.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.copy.as_raw_fd()))
    }

    /// Whether it holds the same helper as that executable.
    pub(crate) async fn is_of_the_build_of(&self, executable: &Path) -> bool {
        let path = self.path();
        let (own, other) = tokio::join!(build(&path), build(executable));
        let is_same = own.is_some() && own == other;
        if !is_same {
            tracing::info!(?own, ?other, "the small helper is of another build and is not used");
        }
        is_same
    }
}

/// The build of the helper in an executable; none if it does not tell.
async fn build(executable: &Path) -> Option<Vec<u8>> {
    let mut command = Command::new(executable);
    command.arg(helper_protocol::BUILD_ARGUMENT).env_clear().kill_on_drop(true);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let output = timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    (output.status.success() && !output.stdout.is_empty()).then_some(output.stdout)
}

/// A sealed copy of a file that nobody can change who could not change the executable too.
fn copy(executable: &Path, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !is_as_safe_as(&file.metadata()?, &fs::metadata(executable)?) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others can change it"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    let mut copy = File::from(memory()?);
    copy.write_all(&bytes)?;
    rustix::fs::fcntl_add_seals(
        &copy,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    // What is open for writing can't be executed.
    let own = format!("/proc/self/fd/{}", copy.as_raw_fd());
    Ok(rustix::fs::open(own, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

fn is_as_safe_as(small: &Metadata, large: &Metadata) -> bool {
    let writable_by_others = |meta: &Metadata| meta.mode() & 0o022;
    small.is_file()
        && [0, large.uid()].contains(&small.uid())
        && writable_by_others(small) & !writable_by_others(large) == 0
}

/// A file in memory that may be executed. Kernels before 6.3 know no other.
fn memory() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(helper_protocol::NAME, flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(helper_protocol::NAME, flags),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    /// Both print their argument, and so tell a build; they differ in how.
    const ONE: &str = "/bin/echo";
    const OTHER: &str = "/usr/bin/printf";
    const SILENT: &str = "/bin/true";

    /// A folder with copies of two programs, in place of the large executable and the small one.
    fn folder(large: &str, small: &str) -> TempDir {
        let folder = tempfile::tempdir().expect("folder");
        for (name, program) in [("skein", large), (helper_protocol::NAME, small)] {
            fs::copy(program, folder.path().join(name)).expect("copy");
        }
        folder
    }

    #[tokio::test]
    async fn it_is_taken_only_if_it_is_of_the_same_build() {
        for (large, small, is_same) in
            [(ONE, ONE, true), (ONE, OTHER, false), (SILENT, SILENT, false), (ONE, SILENT, false)]
        {
            let folder = folder(large, small);
            let path = folder.path().join("skein");
            let beside = Small::beside(&path).expect("small");
            assert_eq!(beside.is_of_the_build_of(&path).await, is_same, "{large} {small}");
        }
    }

    #[tokio::test]
    async fn it_stays_what_it_was_when_the_file_is_replaced() {
        let folder = folder(ONE, ONE);
        let large = folder.path().join("skein");
        let small = Small::beside(&large).expect("small");
        fs::write(folder.path().join(helper_protocol::NAME), "another").expect("write");
        assert!(small.is_of_the_build_of(&large).await);
        let change = rustix::fs::open(small.path(), OFlags::WRONLY, Mode::empty());
        assert!(change.and_then(|file| rustix::io::write(file, b"x")).is_err(), "it can be changed");
    }

    #[test]
    fn one_that_others_can_change_is_not_taken() {
        let folder = folder(ONE, ONE);
        let (large, small) = (folder.path().join("skein"), folder.path().join(helper_protocol::NAME));
        let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).expect("mode");
        for (of_large, of_small, is_taken) in
            [(0o755, 0o775, false), (0o755, 0o757, false), (0o775, 0o775, true), (0o755, 0o755, true)]
        {
            mode(&large, of_large);
            mode(&small, of_small);
            assert_eq!(Small::beside(&large).is_some(), is_taken, "{of_large:o} {of_small:o}");
        }
        fs::rename(&small, folder.path().join("moved")).expect("move");
        assert!(Small::beside(&large).is_none(), "it is not there");
        symlink(folder.path().join("moved"), &small).expect("link");
        assert!(Small::beside(&large).is_none(), "it is a link");
    }
}

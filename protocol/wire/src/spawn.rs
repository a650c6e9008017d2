//! Starting a daemon that outlives its starter: one starter at a time, and what the daemon said if it ended at
//! once. Knows nothing of what the daemon does.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::error::WireError;
use crate::folders::Folders;
use crate::platform;

/// How much of a start-up log is shown.
const SHOWN_BYTES: usize = 4096;

/// Held by the one client that starts the daemon; the others wait and connect. The kernel lets go when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct StartLock {
    _file: File,
    folders: Folders,
}

/// A daemon on its way up. Dropping it leaves the daemon alone.
#[derive(Debug)]
pub struct Starting {
    child: Child,
    log: PathBuf,
}

/// How a daemon ended that should have stayed.
#[derive(Debug)]
pub struct EarlyEnd {
    /// What the system tells of it.
    pub status: ExitStatus,
    /// The end of what it said.
    pub text: String,
}

impl StartLock {
    /// Takes the lock, making the home's folders; `None` while another process has it.
    ///
    /// # Errors
    /// `Folder`, `ForeignFolder`.
    pub fn try_take(folders: &Folders) -> Result<Option<Self>, WireError> {
        folders.prepare()?;
        let path = folders.state.join("start.lock");
        let wrap = |source| WireError::Folder { path: folders.state.clone(), source };
        let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(wrap)?;
        platform::own_file(&path).map_err(wrap)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file, folders: folders.clone() })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(wrap(source)),
        }
    }

    /// Starts the executable as the daemon of this home, without a terminal's input or output, its standard error
    /// in a log that begins empty. The terminal's session it must leave itself, first thing; a process group of
    /// its own would keep it from that. It sees only the variables that it needs itself: what commands and
    /// credentials need, clients tell it, and what it sees, everybody on the machine might.
    ///
    /// # Errors
    /// When the log or the process can't be made.
    pub fn start<A: AsRef<OsStr>>(&self, executable: &Path, arguments: &[A]) -> io::Result<Starting> {
        let log = self.folders.start_log();
        let said = File::options().append(true).create(true).open(&log)?;
        platform::own_file(&log)?;
        // A daemon before may still write here; appending, it goes on at the new end.
        said.set_len(0)?;
        let mut command = Command::new(executable);
        command.args(arguments).current_dir(&self.folders.state);
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| is_for_the_daemon(name)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        Ok(Starting { child: command.spawn()?, log })
    }
}

/// Whether a variable says where things are or how to reach them, and holds no secret by its meaning.
fn is_for_the_daemon(name: &OsStr) -> bool {
    const NAMES: [&str; 18] = [
        "ALL_PROXY",
        "DBUS_SESSION_BUS_ADDRESS",
        "HOME",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "NO_PROXY",
        "PATH",
        "SHELL",
        "SKEIN_HOME",
        "TMPDIR",
        "TZ",
        "USER",
        "all_proxy",
        "https_proxy",
        "no_proxy",
    ];
    const BEGINNINGS: [&str; 3] = ["LC_", "SSL_CERT_", "XDG_"];
    name.to_str().is_some_and(|name| {
        NAMES.contains(&name) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
    })
}

impl Starting {
    /// How it ended, if it did.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&mut self) -> io::Result<Option<EarlyEnd>> {
        Ok(self.child.try_wait()?.map(|status| EarlyEnd { status, text: self.said() }))
    }

    /// The end of what it said so far.
    #[must_use]
    pub fn said(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let shown = &bytes[bytes.len().saturating_sub(SHOWN_BYTES)..];
        String::from_utf8_lossy(shown).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folders::FolderEnvironment;

    fn folders(scratch: &tempfile::TempDir) -> Folders {
        let skein_home = Some(scratch.path().to_owned());
        Folders::resolve_from(&FolderEnvironment { skein_home, runtime_dir: None }).expect("folders")
    }

    #[test]
    fn one_client_starts_and_the_others_wait() {
        let scratch = tempfile::tempdir().expect("scratch");
        let folders = folders(&scratch);
        let first = StartLock::try_take(&folders).expect("lock");
        assert!(first.is_some());
        assert!(StartLock::try_take(&folders).expect("lock").is_none());
        drop(first);
        assert!(StartLock::try_take(&folders).expect("lock").is_some());
    }

    #[test]
    fn a_daemon_sees_no_secrets() {
        for name in ["PATH", "HOME", "SKEIN_HOME", "LC_ALL", "XDG_RUNTIME_DIR", "https_proxy"] {
            assert!(is_for_the_daemon(name.as_ref()), "{name}");
        }
        for name in ["OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK", "LD_PRELOAD"]
        {
            assert!(!is_for_the_daemon(name.as_ref()), "{name}");
        }
    }

    #[test]
    fn what_a_daemon_said_before_it_ended_is_kept() {
        let scratch = tempfile::tempdir().expect("scratch");
        let folders = folders(&scratch);
        let lock = StartLock::try_take(&folders).expect("lock").expect("free");
        for word in ["first", "second"] {
            let script = format!("echo {word} >&2; exit 7");
            let mut starting = lock.start(Path::new("/bin/sh"), &["-c", script.as_str()]).expect("start");
            starting.child.wait().expect("wait");
            let end = starting.ended().expect("status").expect("ended");
            assert_eq!((end.status.code(), end.text.as_str()), (Some(7), word));
        }
    }
}

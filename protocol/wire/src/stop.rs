//! Ending a daemon that can't be talked to: the process that holds the home's lock gets SIGTERM. Knows nothing of
//! what the daemon does then.

use std::fs::{self, File, TryLockError};
use std::io;

use crate::error::WireError;
use crate::folders::Folders;
use crate::platform;

/// The words with which every daemon is started, whatever its version.
const DAEMON_WORDS: [&str; 2] = ["daemon", "run"];

/// Asks the daemon of a home to end, without a connection to it, and tells its process; `None` if none runs. It is
/// the process that the lock file names, if the lock is held, the process is this user's, and its command line is
/// that of a daemon.
///
/// # Errors
/// `Folder` when the lock file can't be read, `NotTheDaemon` when the process is another one or can't be signalled.
pub fn terminate(folders: &Folders) -> Result<Option<u32>, WireError> {
    let Some(pid) = holder(folders)? else { return Ok(None) };
    let wrap = |source| WireError::NotTheDaemon { pid, source };
    let process = platform::Process::open(pid).map_err(wrap)?;
    let words = process.arguments().map_err(wrap)?;
    if !is_daemon(&words) {
        return Err(wrap(io::Error::other("its command line is not that of a daemon")));
    }
    // The process can't be exchanged for another one since it was opened; that the lock still names it shows that it
    // was the right one then.
    if holder(folders)? != Some(pid) {
        return Ok(None);
    }
    process.terminate().map_err(wrap)?;
    Ok(Some(pid))
}

/// The process of the daemon that has the home; `None` if none has it, or if it comes or goes at this moment.
///
/// # Errors
/// `Folder` when the lock file can't be read.
pub fn holder(folders: &Folders) -> Result<Option<u32>, WireError> {
    if !is_held(folders)? {
        return Ok(None);
    }
    let text = fs::read_to_string(folders.lock())
        .map_err(|source| WireError::Folder { path: folders.state.clone(), source })?;
    Ok(text.trim().parse().ok())
}

/// Whether a daemon has the home.
fn is_held(folders: &Folders) -> Result<bool, WireError> {
    let wrap = |source| WireError::Folder { path: folders.state.clone(), source };
    let file = match File::open(folders.lock()) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(wrap(source)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(wrap(source)),
    }
}

fn is_daemon(words: &[String]) -> bool {
    words.windows(DAEMON_WORDS.len()).any(|pair| pair == DAEMON_WORDS)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Child, Command, Stdio};

    use super::*;
    use crate::folders::FolderEnvironment;

    /// A process that ends with the test.
    struct Played(Child);

    impl Drop for Played {
        fn drop(&mut self) {
            let _gone_already = self.0.kill();
            let _gone_already = self.0.wait();
        }
    }

    fn folders(scratch: &tempfile::TempDir) -> Folders {
        let skein_home = Some(scratch.path().to_owned());
        let folders =
            Folders::resolve_from(&FolderEnvironment { skein_home, runtime_dir: None }).expect("folders");
        folders.prepare().expect("prepare");
        folders
    }

    /// A process with these further words on its command line, which has begun and waits.
    fn played(words: &[&str]) -> Played {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo; read line", "skein"]).args(words);
        let mut played = Played(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sh"));
        played.0.stdout.take().expect("stdout").read_exact(&mut [0]).expect("it begins");
        played
    }

    /// Takes the home in the name of another process.
    fn held_by(folders: &Folders, pid: u32) -> File {
        let mut file = File::create(folders.lock()).expect("lock file");
        file.try_lock().expect("lock");
        writeln!(file, "{pid}").expect("pid");
        file
    }

    #[test]
    fn the_daemon_that_holds_the_home_is_ended() {
        use std::os::unix::process::ExitStatusExt;
        let scratch = tempfile::tempdir().expect("scratch");
        let folders = folders(&scratch);
        let mut daemon = played(&["daemon", "run", "--detached"]);
        let _lock = held_by(&folders, daemon.0.id());
        assert_eq!(terminate(&folders).expect("terminate"), Some(daemon.0.id()));
        assert_eq!(daemon.0.wait().expect("wait").signal(), Some(15));
    }

    #[test]
    fn another_process_is_left_alone() {
        let scratch = tempfile::tempdir().expect("scratch");
        let folders = folders(&scratch);
        let mut other = played(&["make", "coffee"]);
        let _lock = held_by(&folders, other.0.id());
        assert!(matches!(terminate(&folders), Err(WireError::NotTheDaemon { .. })));
        assert!(other.0.try_wait().expect("wait").is_none(), "it lives");
    }

    #[test]
    fn a_process_that_does_not_hold_the_lock_is_left_alone() {
        let scratch = tempfile::tempdir().expect("scratch");
        let folders = folders(&scratch);
        assert_eq!(terminate(&folders).expect("no lock file"), None);
        let mut daemon = played(&["daemon", "run"]);
        drop(held_by(&folders, daemon.0.id()));
        assert_eq!(terminate(&folders).expect("stale lock file"), None);
        assert!(daemon.0.try_wait().expect("wait").is_none(), "it lives");
    }
}

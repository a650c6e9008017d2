//! The daemon's side: one daemon per home, one socket, only its own user's connections.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::time::Duration;

use interprocess::local_socket::tokio::Listener as RawListener;
use interprocess::local_socket::traits::tokio::Listener as _;
use tracing::{info, warn};

use crate::Stream;
use crate::error::WireError;
use crate::folders::Folders;
use crate::platform::{self, SocketWatch};

/// Holds the home: while it lives, no other daemon can have it. The kernel lets go when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct HomeLock {
    file: File,
}

impl HomeLock {
    /// Takes the home, making its folders.
    ///
    /// # Errors
    /// `AlreadyRunning` when another daemon has it; `Folder` and `ForeignFolder` from making the folders.
    pub fn take(folders: &Folders) -> Result<Self, WireError> {
        folders.prepare()?;
        let path = folders.lock();
        let wrap = |source| WireError::Folder { path: folders.state.clone(), source };
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(wrap)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(WireError::AlreadyRunning { home: folders.state.clone(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(wrap(source)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(wrap)?;
        writeln!(file, "{}", std::process::id()).map_err(wrap)?;
        platform::own_file(&path).map_err(wrap)?;
        Ok(Self { file })
    }
}

impl Drop for HomeLock {
    fn drop(&mut self) {
        // Only so that a reader finds no stale process id; the lock itself goes with the descriptor.
        if let Err(error) = self.file.set_len(0) {
            warn!(%error, "could not empty the lock file");
        }
    }
}

/// The daemon's socket.
pub struct Listener {
    raw: RawListener,
    /// Absent where a service manager made the socket: it stays when the daemon goes.
    watch: Option<SocketWatch>,
    path: PathBuf,
    folders: Folders,
    _lock: HomeLock,
}

impl Listener {
    /// Takes the socket that a service manager handed over, else binds it. What a dead daemon left is replaced; that
    /// this is safe, the lock proves.
    ///
    /// # Errors
    /// `Socket`.
    pub fn bind(folders: &Folders, lock: HomeLock) -> Result<Self, WireError> {
        let path = folders.socket();
        let wrap = |source| WireError::Socket { path: path.clone(), source };
        let (raw, watch) = match platform::inherited(&path).map_err(wrap)? {
            Some(raw) => {
                info!("a service manager made the socket");
                (raw, None)
            }
            None => {
                let (raw, watch) = bind_watched(folders).map_err(wrap)?;
                (raw, Some(watch))
            }
        };
        Ok(Self { raw, watch, path, folders: folders.clone(), _lock: lock })
    }

    /// The next connection of this user, and not from another user namespace, which is where sandboxed commands are.
    /// Others are closed before a byte is read, and logged. If somebody removes the socket, it is bound again. Cancel
    /// safe.
    pub async fn accept(&mut self) -> Stream {
        loop {
            tokio::select! {
                accepted = self.raw.accept() => match accepted {
                    Ok(stream) => match platform::check_peer(&stream) {
                        Ok(()) if platform::is_of_this_namespace(&stream) => return stream,
                        Ok(()) => warn!("refused a connection out of another user namespace, a sandbox perhaps"),
                        Err(peer) => warn!(?peer, "refused a connection of another user"),
                    },
                    Err(error) => {
                        // Out of descriptors, most likely: give others time to close some.
                        warn!(%error, "could not accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                gone = removed(&mut self.watch) => {
                    if let Err(error) = gone {
                        warn!(%error, "could not watch the socket");
                    }
                    self.rebind().await;
                }
            }
        }
    }

    async fn rebind(&mut self) {
        let rebound =
            self.folders.prepare().map_err(io::Error::other).and_then(|()| bind_watched(&self.folders));
        match rebound {
            Ok((raw, watch)) => {
                info!(path = %self.path.display(), "the socket was removed; bound it again");
                self.raw = raw;
                self.watch = Some(watch);
            }
            Err(error) => {
                warn!(%error, "the socket was removed and can't be bound again yet");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.watch.is_some()
            && let Err(error) = fs::remove_file(&self.path)
        {
            warn!(%error, "could not remove the socket");
        }
    }
}

/// Waits until the socket may be gone. Cancel safe.
async fn removed(watch: &mut Option<SocketWatch>) -> io::Result<()> {
    match watch {
        Some(watch) => watch.removed().await,
        None => std::future::pending().await,
    }
}

fn bind_watched(folders: &Folders) -> io::Result<(RawListener, SocketWatch)> {
    let path = folders.socket();
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let raw = platform::bind(&path)?;
    let watch = SocketWatch::new(&path)?;
    Ok((raw, watch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial;
    use crate::folders::FolderEnvironment;

    fn folders(scratch: &tempfile::TempDir) -> Folders {
        let skein_home = Some(scratch.path().to_owned());
        Folders::resolve_from(&FolderEnvironment { skein_home, runtime_dir: None }).expect("folders")
    }

    #[test]
    fn a_home_has_one_daemon() {
        let scratch = tempfile::tempdir().expect("scratch");
        let folders = folders(&scratch);
        let first = HomeLock::take(&folders).expect("first");
        let Err(WireError::AlreadyRunning { pid, .. }) = HomeLock::take(&folders) else {
            panic!("the second one got the home");
        };
        assert_eq!(pid, Some(std::process::id()));
        drop(first);
        HomeLock::take(&folders).expect("the home is free again");
    }

    #[tokio::test]
    async fn a_removed_socket_comes_back() {
        let scratch = tempfile::tempdir().expect("scratch");
        let folders = folders(&scratch);
        let lock = HomeLock::take(&folders).expect("lock");
        let mut listener = Listener::bind(&folders, lock).expect("listener");
        fs::remove_file(folders.socket()).expect("remove");
        let client = async {
            loop {
                match dial::connect(&folders).await {
                    Ok(stream) => return stream,
                    Err(error) if error.is_absent() => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let (_server, _client) = tokio::join!(listener.accept(), client);
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let scratch = tempfile::tempdir().expect("scratch");
        let folders = folders(&scratch);
        folders.prepare().expect("folders");
        drop(std::os::unix::net::UnixListener::bind(folders.socket()).expect("stale"));
        assert!(dial::connect(&folders).await.is_err_and(|error| error.is_absent()));
        let lock = HomeLock::take(&folders).expect("lock");
        let mut listener = Listener::bind(&folders, lock).expect("listener");
        let (_server, client) = tokio::join!(listener.accept(), dial::connect(&folders));
        client.expect("client");
    }

    /// What the test below runs in another user namespace: connects, and succeeds if it is closed at once.
    #[test]
    fn a_connection_from_a_sandbox() {
        use std::io::Read;
        let Some(socket) = std::env::var_os("SKEIN_TEST_SOCKET") else { return };
        let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("connect");
        assert_eq!(stream.read(&mut [0]).expect("read"), 0, "it was not closed");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_sandboxed_command_that_gets_at_the_socket_is_closed_unheard() {
        let scratch = tempfile::tempdir().expect("scratch");
        let folders = folders(&scratch);
        let lock = HomeLock::take(&folders).expect("lock");
        let mut listener = Listener::bind(&folders, lock).expect("listener");
        let own = std::env::current_exe().expect("own path");
        let mut sandboxed = tokio::process::Command::new("unshare");
        sandboxed
            .args(["--user", "--"])
            .arg(own)
            .args(["--exact", "listen::tests::a_connection_from_a_sandbox"])
            .env("SKEIN_TEST_SOCKET", folders.socket());
        let output = tokio::select! {
            output = sandboxed.output() => output.expect("unshare"),
            _stream = listener.accept() => panic!("it was let in"),
        };
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if errors.starts_with("unshare:") {
            eprintln!("SKIPPED: there are no user namespaces here: {errors}");
            return;
        }
        assert!(output.status.success() && said.contains("1 passed"), "{said}{errors}");
        let (_server, client) = tokio::join!(listener.accept(), dial::connect(&folders));
        client.expect("others are served");
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_socket_of_another_user() {
        if !rustix::process::geteuid().is_root() {
            return; // Only root can make a socket of another user here.
        }
        let scratch = tempfile::tempdir().expect("scratch");
        let folders = folders(&scratch);
        folders.prepare().expect("folders");
        let foreign = std::os::unix::net::UnixListener::bind(folders.socket()).expect("foreign");
        std::os::unix::fs::chown(folders.socket(), Some(65534), None).expect("chown");
        foreign.set_nonblocking(true).expect("nonblocking");
        let result = dial::connect(&folders).await;
        assert!(matches!(result, Err(WireError::ForeignDaemon { owner: 65534, .. })));
        assert!(foreign.accept().is_err(), "no connection was even made");
    }
}

//! Unix: modes, owners, Unix domain sockets, and watching that a socket's name stays.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use interprocess::local_socket::tokio::prelude::*;
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::{ConnectOptions, GenericFilePath, ListenerOptions};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use interprocess::os::unix::uds_local_socket::tokio::Listener as UnixSocket;
use rustix::fs::{Mode, OFlags};

use crate::error::WireError;

/// The longest socket path that every supported system takes, in bytes.
const MAX_SOCKET_PATH: usize = 100;

/// Our effective user id.
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The folder for sockets of this login, if the system has one.
pub(crate) fn runtime_dir(from_environment: Option<&Path>) -> Option<PathBuf> {
    if cfg!(target_os = "macos") { Some(std::env::temp_dir()) } else { from_environment.map(Path::to_owned) }
}

/// Whether the path is a folder, not a link, that this user owns and nobody else may write.
pub(crate) fn is_private_folder(path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == user() && meta.mode() & 0o022 == 0)
}

/// Makes the folder with mode 0700.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)
}

/// Checks that the folder is this user's and no link, and takes away what others may do there.
pub(crate) fn own_folder(path: &Path) -> Result<(), WireError> {
    let wrap = |source: io::Error| WireError::Folder { path: path.to_owned(), source };
    let meta = fs::symlink_metadata(path).map_err(wrap)?;
    if !meta.is_dir() || meta.uid() != user() {
        let found = if meta.is_symlink() {
            "a symbolic link".to_owned()
        } else if meta.is_dir() {
            format!("a folder of user `{}`", meta.uid())
        } else {
            "not a folder".to_owned()
        };
        return Err(WireError::ForeignFolder { path: path.to_owned(), user: user(), found });
    }
    if meta.mode() & 0o777 != 0o700 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(wrap)?;
    }
    Ok(())
}

/// Takes away what others may do with a file.
pub(crate) fn own_file(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// Refuses a socket that another user made. Absent is `NoDaemon`.
pub(crate) fn check_socket_owner(path: &Path) -> Result<(), WireError> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(WireError::NoDaemon(path.to_owned()));
        }
        Err(source) => return Err(WireError::Socket { path: path.to_owned(), source }),
    };
    if meta.uid() != user() {
        return Err(WireError::ForeignDaemon { path: path.to_owned(), owner: meta.uid(), user: user() });
    }
    if !meta.file_type().is_socket() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a socket");
        return Err(WireError::Socket { path: path.to_owned(), source });
    }
    Ok(())
}

/// The user behind a connection, if it is not this one.
pub(crate) fn check_peer(stream: &Stream) -> Result<(), Option<u32>> {
    match stream.peer_creds().ok().and_then(|creds| creds.euid()) {
        Some(peer) if peer == user() => Ok(()),
        other => Err(other),
    }
}

/// Whether a client is in our user namespace; commands in a sandbox are in others. One that can't be looked at is
/// not: it has ended, or is somewhere else.
#[cfg(target_os = "linux")]
pub(crate) fn is_of_this_namespace(client: &Stream) -> bool {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/user"));
    // Without `/proc`, or without user namespaces, there is nothing to compare.
    let Ok(own) = namespace("self") else { return true };
    let client = client.peer_creds().ok().and_then(|creds| creds.pid());
    client.is_some_and(|pid| namespace(&pid.to_string()).is_ok_and(|its| its == own))
}

/// Whether a client is in our user namespace: no other system has such.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_of_this_namespace(_client: &Stream) -> bool {
    true
}

/// A name for the socket that fits into an address: the path itself, or on Linux, if it is too long, the same
/// file through a descriptor of its folder, which must stay open while the name is used.
fn short_name(path: &Path) -> io::Result<(OsString, Option<OwnedFd>)> {
    if path.as_os_str().len() <= MAX_SOCKET_PATH || !cfg!(target_os = "linux") {
        return Ok((path.as_os_str().to_owned(), None));
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let fd = rustix::fs::open(folder, flags, Mode::empty())?;
    let mut short = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    short.push(name);
    Ok((short.into_os_string(), Some(fd)))
}

/// Binds the socket with mode 0600. The caller holds the lock of the home and has removed what was there.
pub(crate) fn bind(path: &Path) -> io::Result<Listener> {
    let (short, _folder) = short_name(path)?;
    ListenerOptions::new()
        .name(short.to_fs_name::<GenericFilePath>()?)
        .mode(0o600)
        .reclaim_name(false)
        .create_tokio()
}

/// The socket of this path that a service manager bound and handed over when it started this process; `None` if it
/// handed over none.
pub(crate) fn inherited(path: &Path) -> io::Result<Option<Listener>> {
    // Without the process that is meant, the variables may be left over from another one.
    if std::env::var_os("LISTEN_PID").is_none() {
        return Ok(None);
    }
    let Some(listener) = listenfd::ListenFd::from_env().take_unix_listener(0)? else { return Ok(None) };
    adopt(listener, path).map(Some)
}

fn adopt(listener: UnixListener, path: &Path) -> io::Result<Listener> {
    let bound = listener.local_addr()?;
    if bound.as_pathname() != Some(path) {
        let message = format!("the service manager handed over {bound:?} in its place");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(UnixSocket::try_from(OwnedFd::from(listener))?.into())
}

/// Connects.
pub(crate) async fn connect(path: &Path) -> io::Result<Stream> {
    let (short, _folder) = short_name(path)?;
    ConnectOptions::new().name(short.to_fs_name::<GenericFilePath>()?).connect_tokio().await
}

/// Tells when the socket's name may have vanished from its folder. Costs nothing while it stays.
pub(crate) struct SocketWatch {
    #[cfg(target_os = "linux")]
    inotify: tokio::net::unix::pipe::Receiver,
    socket: PathBuf,
}

impl SocketWatch {
    /// Watches the folder of the socket.
    #[cfg(target_os = "linux")]
    pub(crate) fn new(socket: &Path) -> io::Result<Self> {
        use rustix::fs::inotify;
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let folder = socket.parent().unwrap_or(Path::new("/"));
        let events = inotify::WatchFlags::DELETE
            | inotify::WatchFlags::MOVED_FROM
            | inotify::WatchFlags::DELETE_SELF
            | inotify::WatchFlags::MOVE_SELF;
        inotify::add_watch(&fd, folder, events)?;
        // An inotify descriptor is read like a pipe; "unchecked" only leaves out the look at its file type.
        let inotify = tokio::net::unix::pipe::Receiver::from_owned_fd_unchecked(fd)?;
        Ok(Self { inotify, socket: socket.to_owned() })
    }

    /// Nothing to set up where the system has no inotify: `removed` looks every few seconds.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new(socket: &Path) -> io::Result<Self> {
        Ok(Self { socket: socket.to_owned() })
    }

    /// Returns when the socket is not there any more.
    pub(crate) async fn removed(&mut self) -> io::Result<()> {
        loop {
            if fs::symlink_metadata(&self.socket).is_err() {
                return Ok(());
            }
            self.wait().await?;
        }
    }

    #[cfg(target_os = "linux")]
    async fn wait(&mut self) -> io::Result<()> {
        self.inotify.readable().await?;
        let mut buffer = [0_u8; 4096];
        match self.inotify.try_read(&mut buffer) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    #[cfg(not(target_os = "linux"))]
    async fn wait(&mut self) -> io::Result<()> {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbolic_link_in_place_of_a_folder_is_refused() {
        let scratch = tempfile::tempdir().expect("scratch");
        let link = scratch.path().join("run");
        std::os::unix::fs::symlink("/tmp", &link).expect("link");
        assert!(matches!(own_folder(&link), Err(WireError::ForeignFolder { .. })));
    }

    #[test]
    fn a_folder_that_others_may_enter_is_tightened() {
        let scratch = tempfile::tempdir().expect("scratch");
        let folder = scratch.path().join("run");
        fs::create_dir(&folder).expect("folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("mode");
        own_folder(&folder).expect("own");
        assert_eq!(fs::metadata(&folder).expect("meta").mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        if user() != 0 {
            return; // Only root can give a folder away; the same check is tested with a link above.
        }
        let scratch = tempfile::tempdir().expect("scratch");
        let folder = scratch.path().join("run");
        fs::create_dir(&folder).expect("folder");
        std::os::unix::fs::chown(&folder, Some(65534), None).expect("chown");
        assert!(matches!(own_folder(&folder), Err(WireError::ForeignFolder { .. })));
        assert!(!is_private_folder(&folder));
    }

    #[tokio::test]
    async fn a_socket_of_a_service_manager_is_served_if_it_is_the_one_that_clients_look_at() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("daemon.sock");
        let handed = UnixListener::bind(&path).expect("bind");
        let refused = adopt(handed.try_clone().expect("clone"), &scratch.path().join("other.sock"));
        assert!(refused.expect_err("another one").to_string().contains("daemon.sock"));
        let listener = adopt(handed, &path).expect("adopt");
        let (accepted, connected) = tokio::join!(listener.accept(), connect(&path));
        assert_eq!(check_peer(&accepted.expect("accept")), Ok(()));
        connected.expect("connect");
    }

    #[test]
    fn long_paths_get_a_short_name() {
        let scratch = tempfile::tempdir().expect("scratch");
        let folder = scratch.path().join("x".repeat(120));
        fs::create_dir(&folder).expect("folder");
        let (name, fd) = short_name(&folder.join("daemon.sock")).expect("name");
        assert!(name.len() < MAX_SOCKET_PATH);
        assert!(fd.is_some());
    }
}

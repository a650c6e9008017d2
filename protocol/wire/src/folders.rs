//! Where settings, state and the socket live. Knows nothing of what is in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::WireError;
use crate::platform;

/// The three folders of one home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// `config.toml` and what belongs to it.
    pub config: PathBuf,
    /// Database, blobs, logs, lock.
    pub state: PathBuf,
    /// The socket.
    pub runtime: PathBuf,
}

/// What of the environment decides.
#[derive(Clone, Debug, Default)]
pub struct FolderEnvironment {
    /// `SKEIN_HOME`.
    pub skein_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
}

impl Folders {
    /// Decides from the environment; makes nothing.
    ///
    /// `SKEIN_HOME` puts all under one folder. Else `directories` tells configuration and state, and the socket
    /// is in `$XDG_RUNTIME_DIR/skein` if that folder is this user's alone, in `run` of the state folder if not.
    ///
    /// # Errors
    /// `NoHome`, `RelativeHome`.
    pub fn resolve() -> Result<Self, WireError> {
        let read = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self::resolve_from(&FolderEnvironment {
            skein_home: read("SKEIN_HOME"),
            runtime_dir: read("XDG_RUNTIME_DIR"),
        })
    }

    /// As `resolve`, with the variables given.
    ///
    /// # Errors
    /// `NoHome`, `RelativeHome`.
    pub fn resolve_from(environment: &FolderEnvironment) -> Result<Self, WireError> {
        if let Some(home) = &environment.skein_home {
            if !home.is_absolute() {
                return Err(WireError::RelativeHome(home.clone()));
            }
            return Ok(Self { config: home.clone(), state: home.join("state"), runtime: home.join("run") });
        }
        let project = directories::ProjectDirs::from("", "", "skein").ok_or(WireError::NoHome)?;
        let state = project.data_local_dir().to_owned();
        let runtime = match platform::runtime_dir(environment.runtime_dir.as_deref()) {
            Some(dir) if platform::is_private_folder(&dir) => dir.join("skein"),
            Some(_) | None => state.join("run"),
        };
        Ok(Self { config: project.config_dir().to_owned(), state, runtime })
    }

    /// The daemon's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("daemon.sock")
    }

    /// The file whose lock makes the daemon the only one of this home.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.state.join("daemon.lock")
    }

    /// The daemon's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("log").join("daemon.log")
    }

    /// What the daemon said on standard error, from its last start on.
    #[must_use]
    pub fn start_log(&self) -> PathBuf {
        self.state.join("log").join("start.log")
    }

    /// The user's settings.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// Makes the state and runtime folders, for this user alone (0700, whatever the umask), and checks that
    /// they are. The configuration folder is the user's own business.
    ///
    /// # Errors
    /// `Folder`, `ForeignFolder`.
    pub fn prepare(&self) -> Result<(), WireError> {
        for folder in [&self.state, &self.runtime, &self.state.join("log")] {
            make_private(folder)?;
        }
        Ok(())
    }
}

/// Makes a folder for this user alone (0700, whatever the umask), or checks and tightens the one there is.
///
/// # Errors
/// `Folder`, `ForeignFolder`.
pub fn make_private(folder: &Path) -> Result<(), WireError> {
    let wrap = |source: io::Error| WireError::Folder { path: folder.to_owned(), source };
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(wrap)?;
    }
    match platform::create_private_folder(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(wrap(error)),
    }
    platform::own_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skein_home_holds_everything() {
        let environment = FolderEnvironment { skein_home: Some("/x/y".into()), runtime_dir: None };
        let folders = Folders::resolve_from(&environment).expect("folders");
        assert_eq!(folders.config_file(), Path::new("/x/y/config.toml"));
        assert_eq!(folders.socket(), Path::new("/x/y/run/daemon.sock"));
        assert_eq!(folders.lock(), Path::new("/x/y/state/daemon.lock"));
    }

    #[test]
    fn a_relative_home_is_refused() {
        let environment = FolderEnvironment { skein_home: Some("x".into()), runtime_dir: None };
        assert!(matches!(Folders::resolve_from(&environment), Err(WireError::RelativeHome(_))));
    }
}

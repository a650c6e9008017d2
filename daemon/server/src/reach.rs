//! What the commands of sessions may touch: the profile of a session, made of its settings and of what stands in the
//! file system.

use std::path::{Path, PathBuf};

use policy::profile::Surroundings;
use protocol::profile::Profile;
use protocol::session::SessionSettings;
use wire::folders::Folders;
use workspace::git::{self, Repositories};

/// What profiles are made of, beside settings.
pub(crate) struct Reach {
    /// The folders that no command may see.
    own_folders: Vec<PathBuf>,
    /// The temporary folders of the machine.
    temporary: Vec<PathBuf>,
    /// What was found in folders of sessions stays protected, whatever a command puts beside it.
    repositories: Repositories,
}

impl Reach {
    /// That of a home with these folders.
    pub(crate) fn new(folders: &Folders) -> Self {
        let own_folders = [&folders.config, &folders.state, &folders.runtime].map(|folder| real(folder));
        Self {
            own_folders: own_folders.into(),
            temporary: temporary(),
            repositories: Repositories::default(),
        }
    }

    /// What a session's commands may touch. Looks at the file system.
    pub(crate) fn profile(&self, settings: &SessionSettings) -> Profile {
        let roots = std::iter::once(&settings.cwd).chain(&settings.additional_roots);
        let (git_directories, git_pointers) = roots
            .flat_map(|root| git::root(root).into_iter().chain(self.repositories(root)))
            .flat_map(|root| git::directories(&root))
            .partition(|path| path.is_dir());
        let surroundings = Surroundings {
            git_directories,
            git_pointers,
            closed: closed(),
            temporary: self.temporary.clone(),
            own_folders: self.own_folders.clone(),
        };
        policy::profile::resolve(settings, &surroundings)
    }

    fn repositories(&self, root: &Path) -> Vec<PathBuf> {
        let below = self.repositories.below(root);
        if below.is_cut {
            let folder = root.display();
            tracing::warn!(%folder, "it has too much in it to look for all repositories that are to be protected");
        }
        below.repositories
    }

    /// The folders that no command may see.
    pub(crate) fn own_folders(&self) -> &[PathBuf] {
        &self.own_folders
    }
}

/// What is there of sockets and folders of programs that can do more than a command may, and of keys and credentials
/// of the user and of other agents. A person can open one by naming it in a profile of the settings.
fn closed() -> Vec<PathBuf> {
    const OF_THE_MACHINE: [&str; 6] =
        ["/run/dbus", "/run/docker.sock", "/run/containerd", "/run/podman", "/run/crio", "/run/libvirt"];
    const OF_THE_USER: [&str; 10] = [
        ".ssh",
        ".gnupg",
        ".docker/run",
        ".codex/auth.json",
        ".claude/.credentials.json",
        ".gemini/oauth_creds.json",
        ".copilot/config.json",
        ".local/share/opencode/auth.json",
        ".config/gh/hosts.yml",
        ".local/share/keyrings",
    ];
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let of_the_user = home.iter().flat_map(|home| OF_THE_USER.map(|name| home.join(name)));
    // Each user's own: the bus, agents that hold keys, containers without root.
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|folder| folder.is_absolute() && folder.parent().is_some());
    let agents = ["SSH_AUTH_SOCK"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    OF_THE_MACHINE
        .into_iter()
        .map(PathBuf::from)
        .chain(of_the_user)
        .chain(runtime)
        .chain(agents)
        .filter_map(|path| std::fs::canonicalize(path).ok())
        .collect()
}

fn temporary() -> Vec<PathBuf> {
    let mut folders = vec![real(Path::new("/tmp"))];
    let own = real(&std::env::temp_dir());
    if own.is_absolute() && own.parent().is_some() && !folders.contains(&own) {
        folders.push(own);
    }
    folders
}

/// The path without links, or as it is if it does not exist.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

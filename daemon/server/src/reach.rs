//! What the commands of sessions may touch: the profile of a session, made of its settings and of what stands in the
//! file system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use policy::profile::{PROTECTED_NAMES, Surroundings, roots};
use protocol::profile::{Access, Profile, SandboxMode};
use protocol::session::SessionSettings;
use wire::folders::Folders;
use workspace::git::{self, Repositories};

/// What is to be said of a folder that was not searched to its end.
const UNSEARCHED: &str = "it has too much in it to look for all repositories that are to be protected: in those \
    that are not found, commands may change `.git/config` and `.git/hooks`, which git runs programs by";

/// What is to be said of a git directory that is not opened to commits.
const FOREIGN: &str = "`git_commit` does not open it: a `.git` leads there that a command may have written, and it does not \
    name the folder of that itself, as it does for `git worktree` and submodules. If it belongs there, \
    `git -C FOLDER config core.worktree FOLDER` says so";

/// Folders whose git directories are remembered, and such directories of one, opened ones and others.
const MAX_COMMITTED: usize = 256;
const MAX_OPENED: usize = 64;
const MAX_FOREIGN: usize = 8;

/// What profiles are made of, beside settings.
pub(crate) struct Reach {
    /// The folders that no command may see.
    own_folders: Vec<PathBuf>,
    /// The temporary folders of the machine.
    temporary: Vec<PathBuf>,
    /// What was found in folders of sessions stays protected, whatever a command puts beside it.
    repositories: Repositories,
    /// Of each folder in which commits are allowed, what came of that the last time.
    committed: Mutex<BTreeMap<PathBuf, Committed>>,
}

/// Git directories of one folder.
#[derive(Debug, Default)]
struct Committed {
    /// Those that commits may write.
    opened: Vec<PathBuf>,
    /// Those that they may not, though a `.git` leads there.
    foreign: Vec<PathBuf>,
}

impl Reach {
    /// That of a home with these folders.
    pub(crate) fn new(folders: &Folders) -> Self {
        let own_folders = [&folders.config, &folders.state, &folders.runtime].map(|folder| real(folder));
        Self {
            own_folders: own_folders.into(),
            temporary: temporary(),
            repositories: Repositories::default(),
            committed: Mutex::default(),
        }
    }

    /// What a session's commands may touch, if a person let it write these too. Looks at the file system.
    pub(crate) fn profile(&self, settings: &SessionSettings, granted: &[PathBuf]) -> Profile {
        let permissions = settings.permissions.as_ref();
        let roots = roots(settings);
        let theirs = permissions.into_iter().flat_map(|permissions| &permissions.paths);
        let theirs = theirs.filter(|rule| rule.access == Access::Write).map(|rule| &rule.path);
        let mut opened: Vec<PathBuf> =
            theirs.chain(granted).filter(|path| is_opened(path, settings.sandbox, &roots)).cloned().collect();
        opened.sort();
        opened.dedup();
        let is_commit_allowed = permissions.is_some_and(|permissions| permissions.is_commit_allowed);
        let mut inside: Vec<PathBuf> = roots.iter().copied().chain(&opened).map(|path| real(path)).collect();
        if settings.sandbox == SandboxMode::WorkspaceWrite && settings.is_tmp_writable {
            inside.extend(self.temporary.iter().cloned());
        }
        let (mut git_directories, mut git_pointers, mut committed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut bare, mut keystones) = (Vec::new(), Vec::new());
        for (folder, is_root) in
            roots.iter().map(|root| (*root, true)).chain(opened.iter().map(|folder| (folder, false)))
        {
            let around = git::root(folder);
            let is_tree = around.as_ref() == Some(folder);
            if !is_tree || is_commit_allowed {
                match git::keystones(folder) {
                    Some(of_folder) => keystones.extend(of_folder),
                    None => bare.push(folder.clone()),
                }
            }
            // What is around an opened folder was not opened.
            let around = around.filter(|_| is_root || is_tree);
            let mut of_folder = Committed::default();
            for tree in around.into_iter().chain(self.repositories(folder)) {
                let (directories, pointers): (Vec<_>, Vec<_>) =
                    git::directories(&tree).into_iter().partition(|path| path.is_dir());
                git_pointers.extend(pointers);
                if is_commit_allowed {
                    let (own, others) = own_of(&tree, directories, &inside);
                    of_folder.opened.extend(own);
                    of_folder.foreign.extend(others);
                } else {
                    git_directories.extend(directories);
                }
            }
            git_directories.extend(of_folder.opened.iter().cloned());
            committed.push((folder, of_folder));
        }
        let mut git_foreign = Vec::new();
        for (folder, mut of_folder) in committed {
            // One that is not this tree's may be another's.
            of_folder.foreign.retain(|directory| !git_directories.contains(directory));
            of_folder.foreign.sort();
            of_folder.foreign.dedup();
            git_foreign.extend(of_folder.foreign.iter().cloned());
            self.remember(folder, of_folder);
        }
        let surroundings = Surroundings {
            opened,
            git_directories,
            git_foreign,
            git_pointers,
            bare,
            keystones,
            closed: closed(),
            temporary: self.temporary.clone(),
            own_folders: self.own_folders.clone(),
        };
        policy::profile::resolve(settings, &surroundings)
    }

    /// What is to be said of a folder, as it was when a profile was made: that it may hold repositories which are not known,
    /// and so not protected, as it had too much in it, and which git directories are not opened.
    pub(crate) fn problems(&self, folder: &Path) -> Vec<(PathBuf, &'static str)> {
        let known = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let foreign = known.get(folder).into_iter().flat_map(|known| &known.foreign);
        let foreign = foreign.map(|directory| (directory.clone(), FOREIGN));
        let unsearched = self.repositories.is_cut(folder).then(|| (folder.to_owned(), UNSEARCHED));
        unsearched.into_iter().chain(foreign).collect()
    }

    /// The git directories of a folder that commits might write when a profile was made.
    pub(crate) fn committed(&self, folder: &Path) -> Vec<PathBuf> {
        let known = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(folder).map(|known| known.opened.clone()).unwrap_or_default()
    }

    fn remember(&self, folder: &Path, mut of_folder: Committed) {
        let mut known = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        if of_folder.opened.is_empty() && of_folder.foreign.is_empty() {
            known.remove(folder);
        } else if known.len() < MAX_COMMITTED || known.contains_key(folder) {
            of_folder.opened.truncate(MAX_OPENED);
            of_folder.foreign.truncate(MAX_FOREIGN);
            known.insert(folder.to_owned(), of_folder);
        }
    }

    fn repositories(&self, root: &Path) -> Vec<PathBuf> {
        self.repositories.below(root).repositories
    }

    /// The folders that no command may see.
    pub(crate) fn own_folders(&self) -> &[PathBuf] {
        &self.own_folders
    }
}

/// Which of a working tree's git directories commits may write, and the others: that a `.git` leads there, a command may
/// have seen to. One that lies inside of another belongs to that one, unless it says that it belongs to this tree.
fn own_of(tree: &Path, directories: Vec<PathBuf>, inside: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let answering = git::answering(tree);
    let is_inside = |directory: &PathBuf| {
        let mut below = inside.iter().filter_map(|folder| directory.strip_prefix(folder).ok());
        below.any(|below| below.parent().is_none_or(|above| above.iter().all(|part| part != ".git")))
    };
    directories.into_iter().partition(|directory| answering.contains(directory) || is_inside(directory))
}

/// Whether a path that a person made writable is a folder in which the same is protected as in the session's own. Whoever
/// names what is protected means it.
fn is_opened(path: &Path, mode: SandboxMode, roots: &[&PathBuf]) -> bool {
    let is_protected = path.file_name().is_some_and(|name| PROTECTED_NAMES.iter().any(|it| name == *it));
    let is_in_git = path.components().any(|part| part.as_os_str() == ".git");
    mode != SandboxMode::DangerFullAccess
        && !is_protected
        && !is_in_git
        && !roots.iter().any(|root| path.starts_with(root))
        && path.is_dir()
}

/// Keys and credentials, below the user's home. Not what tools need for honest work though it may hold some, as `.npmrc`
/// and `.gitconfig` do.
const OF_THE_USER: [&str; 23] = [
    ".ssh",
    ".gnupg",
    ".password-store",
    ".local/share/keyrings",
    ".netrc",
    ".git-credentials",
    ".config/git/credentials",
    ".config/gh",
    ".aws",
    ".azure",
    ".config/gcloud",
    ".kube",
    ".terraform.d/credentials.tfrc.json",
    ".docker/run",
    ".docker/config.json",
    ".cargo/credentials.toml",
    ".pypirc",
    ".pgpass",
    ".codex/auth.json",
    ".claude/.credentials.json",
    ".gemini/oauth_creds.json",
    ".copilot/config.json",
    ".local/share/opencode/auth.json",
];

/// What is there of sockets and folders of programs that can do more than a command may, and of keys and credentials
/// of the user and of other agents. A person can open one by naming it in a profile of the settings.
fn closed() -> Vec<PathBuf> {
    const OF_THE_MACHINE: [&str; 6] =
        ["/run/dbus", "/run/docker.sock", "/run/containerd", "/run/podman", "/run/crio", "/run/libvirt"];
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

#[cfg(test)]
mod tests {
    use super::*;
    use config::Settings;
    use protocol::profile::{PathRule, Permissions};
    use protocol::session::Environment;
    use std::fs;

    use crate::settings;

    /// A home with repositories: `root`, `other`, `granted`, and `granted/deep`.
    struct Scratch {
        _folder: tempfile::TempDir,
        home: PathBuf,
    }

    impl Scratch {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("scratch");
            let home = folder.path().canonicalize().expect("real");
            for name in ["root", "other", "granted", "granted/deep"] {
                for part in ["objects", "refs"] {
                    fs::create_dir_all(home.join(name).join(".git").join(part)).expect("folder");
                }
                fs::write(home.join(name).join(".git/HEAD"), "ref: refs/heads/main\n").expect("file");
            }
            fs::create_dir(home.join("plain")).expect("folder");
            fs::write(home.join("file"), "").expect("file");
            Self { _folder: folder, home }
        }

        fn profile(&self, root: &str, opened: &[&str], granted: &[&str], change: Change) -> Profile {
            let folder = |name: &str| self.home.join(name);
            let folders =
                Folders { config: folder("skein"), state: folder("skein"), runtime: folder("skein") };
            let write = |name: &&str| PathRule { path: folder(name), access: Access::Write };
            let permissions =
                Permissions { paths: opened.iter().map(write).collect(), ..Permissions::default() };
            let mut settings = settings::of_folder(&Settings::default(), folder(root), &Environment::new())
                .expect("settings");
            settings.sandbox = SandboxMode::WorkspaceWrite;
            settings.is_tmp_writable = false;
            settings.permissions = Some(permissions);
            change(&mut settings);
            let granted: Vec<_> = granted.iter().map(|name| folder(name)).collect();
            let mut profile = Reach::new(&folders).profile(&settings, &granted);
            // What the session does with what was granted.
            profile.paths.extend(granted.into_iter().map(|path| PathRule { path, access: Access::Write }));
            profile
        }
    }

    type Change = fn(&mut SessionSettings);

    #[test]
    fn what_was_opened_and_granted_is_protected_where_it_is_a_folder() {
        let scratch = Scratch::new();
        let opened = ["other", "file", "root/src", "gone", "plain/.claude"];
        for change in [(|_| {}) as Change, |settings| settings.sandbox = SandboxMode::ReadOnly] {
            let profile = scratch.profile("root", &opened, &["granted"], change);
            for (path, expected) in [
                ("other/x", Access::Write),
                ("other/.git/config", Access::Read),
                ("other/.vscode", Access::Read),
                ("other/HEAD", Access::Write),
                ("granted/x", Access::Write),
                ("granted/.git/hooks/pre-commit", Access::Read),
                ("granted/deep/.git/config", Access::Read),
                ("granted/.claude", Access::Read),
                ("file", Access::Write),
                ("plain/.claude/x", Access::Write),
                ("plain/.claude/.git/x", Access::Write),
            ] {
                assert_eq!(profile.access(&scratch.home.join(path)), expected, "{path}");
            }
            let is_named = |path: &str| profile.paths.iter().any(|rule| rule.path == scratch.home.join(path));
            // To protect it would mean to look into a file, or to keep the folder from being made.
            assert!(!is_named("file/.git") && !is_named("gone/.git"), "{:?}", profile.paths);
        }
    }

    #[test]
    fn commits_open_no_git_directory_to_which_only_a_command_leads() {
        let scratch = Scratch::new();
        let at = |path: &str| scratch.home.join(path);
        let commits: Change =
            |settings| settings.permissions.get_or_insert_default().is_commit_allowed = true;
        for folder in ["root/pointed", "root/linked", "root/own/.git/objects", "root/own/.git/refs"] {
            fs::create_dir_all(at(folder)).expect("folder");
        }
        let victim = at("other/.git");
        fs::write(at("root/pointed/.git"), format!("gitdir: {}\n", victim.display())).expect("pointer");
        rustix::fs::symlink(&victim, at("root/linked/.git")).expect("link");
        fs::write(at("root/own/.git/HEAD"), "ref: refs/heads/main\n").expect("HEAD");
        fs::write(at("root/own/.git/commondir"), victim.display().to_string()).expect("common");
        // The folder of another working tree of the same repository.
        let inner = at("root/.git/worktrees/elsewhere");
        fs::create_dir_all(&inner).expect("folder");
        for (name, text) in
            [("HEAD", "ref: refs/heads/x\n"), ("commondir", "../..\n"), ("gitdir", "/else/.git\n")]
        {
            fs::write(inner.join(name), text).expect("file");
        }
        fs::create_dir(at("root/stolen")).expect("folder");
        fs::write(at("root/stolen/.git"), format!("gitdir: {}\n", inner.display())).expect("pointer");
        let profile = scratch.profile("root", &[], &[], commits);
        for (path, expected) in [
            ("other/.git/HEAD", Access::Read),
            ("other/.git/objects/x", Access::Read),
            ("root/.git/HEAD", Access::Write),
            ("root/own/.git/HEAD", Access::Write),
            ("root/.git/worktrees/elsewhere/HEAD", Access::Read),
        ] {
            assert_eq!(profile.access(&at(path)), expected, "{path}");
        }
        // What the profile says of it, and what a person is told.
        let folders = Folders { config: at("skein"), state: at("skein"), runtime: at("skein") };
        let reach = Reach::new(&folders);
        let mut settings =
            settings::of_folder(&Settings::default(), at("root"), &Environment::new()).expect("settings");
        settings.sandbox = SandboxMode::WorkspaceWrite;
        settings.is_tmp_writable = false;
        commits(&mut settings);
        reach.profile(&settings, &[]);
        let told: Vec<_> = reach.problems(&at("root")).into_iter().map(|(path, _)| path).collect();
        assert!(told.contains(&victim) && told.contains(&inner), "{told:?}");
        // Where it says itself that it belongs there, it is opened.
        fs::write(victim.join("config"), format!("[core]\n\tworktree = {}\n", at("root/pointed").display()))
            .expect("config");
        let profile = scratch.profile("root", &[], &[], commits);
        for (path, expected) in [("other/.git/HEAD", Access::Write), ("other/.git/config", Access::Read)] {
            assert_eq!(profile.access(&at(path)), expected, "{path}");
        }
        // A session below a repository's root.
        fs::create_dir(at("root/below")).expect("folder");
        let profile = scratch.profile("root/below", &[], &[], commits);
        assert_eq!(profile.access(&at("root/.git/HEAD")), Access::Write);
    }

    #[test]
    fn no_folder_that_may_be_written_becomes_a_git_directory() {
        let scratch = Scratch::new();
        fs::create_dir(scratch.home.join("root/below")).expect("folder");
        let commits: Change =
            |settings| settings.permissions.get_or_insert_default().is_commit_allowed = true;
        for (root, change, protected, free) in [
            ("root", (|_| {}) as Change, &[][..], &["HEAD", "commondir", "refs"][..]),
            ("root", commits, &["commondir", "refs"], &["HEAD"]),
            ("root/below", |_| {}, &["commondir", "refs"], &["HEAD"]),
        ] {
            let profile = scratch.profile(root, &[], &[], change);
            let access = |name: &&str| profile.access(&scratch.home.join(root).join(name));
            assert!(protected.iter().all(|name| access(name) == Access::Read), "{root} {protected:?}");
            assert!(free.iter().all(|name| access(name) == Access::Write), "{root} {free:?}");
        }
        let profile = scratch.profile("other/.git", &[], &[], |_| {});
        assert_eq!(profile.access(&scratch.home.join("other/.git/config")), Access::Read);
    }
}

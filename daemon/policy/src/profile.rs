//! Resolves a session's settings to the profile that is enforced.

use std::path::{Path, PathBuf};

use protocol::profile::{Access, NetworkAccess, PathRule, Profile, SandboxMode};
use protocol::session::SessionSettings;

/// Names that are read-only inside every writable root, whether or not they exist: what they hold runs later,
/// or decides what may run.
pub const PROTECTED_NAMES: [&str; 6] = [".git", ".skein", ".codex", ".claude", ".agents", ".vscode"];

/// What of the machine the resolution needs to know.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Git directories outside the roots' own `.git`: those that a `.git` file points to.
    pub git_directories: Vec<PathBuf>,
    /// Temporary folders.
    pub temporary: Vec<PathBuf>,
    /// Folders that no command may see: the daemon's socket, database and settings.
    pub own_folders: Vec<PathBuf>,
}

/// Resolves the settings.
#[must_use]
pub fn resolve(settings: &SessionSettings, surroundings: &Surroundings) -> Profile {
    let mut paths = Vec::new();
    let network = match settings.sandbox {
        SandboxMode::ReadOnly => NetworkAccess::Off,
        SandboxMode::WorkspaceWrite => settings.network,
        SandboxMode::DangerFullAccess => return unrestricted(),
    };
    if settings.sandbox == SandboxMode::WorkspaceWrite {
        let roots = std::iter::once(&settings.cwd).chain(&settings.additional_roots);
        for root in roots {
            add_root(&mut paths, root);
        }
        if settings.is_tmp_writable {
            for folder in &surroundings.temporary {
                paths.push(PathRule { path: folder.clone(), access: Access::Write });
            }
        }
        for directory in &surroundings.git_directories {
            paths.push(PathRule { path: directory.clone(), access: Access::Read });
        }
    }
    for folder in &surroundings.own_folders {
        paths.push(PathRule { path: folder.clone(), access: Access::Hidden });
    }
    Profile { mode: settings.sandbox, default_access: Access::Read, paths, network }
}

/// The profile of a command that a person let out of the sandbox.
#[must_use]
pub fn unrestricted() -> Profile {
    Profile {
        mode: SandboxMode::DangerFullAccess,
        default_access: Access::Write,
        paths: Vec::new(),
        network: NetworkAccess::Full,
    }
}

fn add_root(paths: &mut Vec<PathRule>, root: &Path) {
    paths.push(PathRule { path: root.to_owned(), access: Access::Write });
    for name in PROTECTED_NAMES {
        paths.push(PathRule { path: root.join(name), access: Access::Read });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::ApprovalPolicy;

    fn settings(sandbox: SandboxMode) -> SessionSettings {
        SessionSettings {
            cwd: "/repo".into(),
            additional_roots: vec!["/data".into()],
            provider: "p".into(),
            model: "m".into(),
            reasoning_effort: None,
            reasoning_summary: None,
            sandbox,
            network: NetworkAccess::Off,
            approval: ApprovalPolicy::OnRequest,
            is_tmp_writable: true,
            limits: protocol::turn::TurnLimits::default(),
            price: None,
            is_ephemeral: false,
            after_crash: protocol::session::AfterCrash::default(),
            question_timeout_ms: None,
        }
    }

    fn surroundings() -> Surroundings {
        Surroundings {
            git_directories: vec!["/main/.git".into()],
            temporary: vec!["/tmp".into()],
            own_folders: vec!["/home/me/.skein".into()],
        }
    }

    #[test]
    fn each_mode_means_what_it_says() {
        let cases = [
            ("/repo/src/a.rs", Access::Read, Access::Write),
            ("/repo/.git/config", Access::Read, Access::Read),
            ("/repo/.skein/x", Access::Read, Access::Read),
            ("/repo/.github/x", Access::Read, Access::Write),
            ("/data/x", Access::Read, Access::Write),
            ("/data/.git", Access::Read, Access::Read),
            ("/main/.git/hooks", Access::Read, Access::Read),
            ("/tmp/x", Access::Read, Access::Write),
            ("/etc/passwd", Access::Read, Access::Read),
            ("/home/me/.skein/state/skein.db", Access::Hidden, Access::Hidden),
        ];
        let read_only = resolve(&settings(SandboxMode::ReadOnly), &surroundings());
        let workspace = resolve(&settings(SandboxMode::WorkspaceWrite), &surroundings());
        let danger = resolve(&settings(SandboxMode::DangerFullAccess), &surroundings());
        for (path, in_read_only, in_workspace) in cases {
            let path = Path::new(path);
            assert_eq!(read_only.access(path), in_read_only, "read-only {path:?}");
            assert_eq!(workspace.access(path), in_workspace, "workspace-write {path:?}");
            assert_eq!(danger.access(path), Access::Write, "danger {path:?}");
        }
    }

    #[test]
    fn the_network_is_open_only_where_it_was_allowed() {
        let mut open = settings(SandboxMode::WorkspaceWrite);
        open.network = NetworkAccess::Full;
        assert_eq!(resolve(&open, &surroundings()).network, NetworkAccess::Full);
        open.sandbox = SandboxMode::ReadOnly;
        assert_eq!(resolve(&open, &surroundings()).network, NetworkAccess::Off);
    }
}

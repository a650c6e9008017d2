//! Resolves a session's settings to the profile that is enforced.

use std::path::{Path, PathBuf};

use protocol::profile::{Access, GlobRule, NetworkAccess, PathRule, Profile, SandboxMode};
use protocol::session::SessionSettings;

use crate::late;

/// Names that are read-only inside every writable root, whether or not they exist: what they hold runs later,
/// or decides what may run.
pub const PROTECTED_NAMES: [&str; 6] = [".git", ".skein", ".codex", ".claude", ".agents", ".vscode"];

/// What stays read-only in a git directory where commits are allowed: what names programs, or leads to another
/// directory that does.
const GIT_PROTECTED: [&str; 8] =
    ["hooks", "config", "config.worktree", "commondir", "gitdir", "modules", "worktrees", "info/attributes"];

/// What of the machine the resolution needs to know.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Git directories: the roots' own, and those that a `.git` file points to.
    pub git_directories: Vec<PathBuf>,
    /// `.git` files that point to such.
    pub git_pointers: Vec<PathBuf>,
    /// Temporary folders.
    pub temporary: Vec<PathBuf>,
    /// Sockets and folders of other programs that can do more than a command may, and where keys lie.
    pub closed: Vec<PathBuf>,
    /// Folders that no command may see: the daemon's socket, database and settings.
    pub own_folders: Vec<PathBuf>,
}

/// Resolves the settings. Of two rules on one path the later one holds: what a person says of a path goes before what
/// is protected or closed, but nothing opens the daemon's own folders.
#[must_use]
pub fn resolve(settings: &SessionSettings, surroundings: &Surroundings) -> Profile {
    let (mut paths, mut closed_later) = (Vec::new(), Vec::new());
    let permissions = settings.permissions.as_ref();
    let network = match settings.sandbox {
        SandboxMode::ReadOnly if permissions.is_none() => NetworkAccess::Off,
        SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => settings.network,
        SandboxMode::DangerFullAccess => return unrestricted(),
    };
    if settings.sandbox == SandboxMode::WorkspaceWrite {
        let roots = std::iter::once(&settings.cwd).chain(&settings.additional_roots);
        for root in roots.clone() {
            add_root(&mut paths, root);
        }
        if let Some(permissions) = permissions.filter(|permissions| permissions.is_strict) {
            let opened = permissions.paths.iter().filter(|rule| rule.access == Access::Write);
            for root in roots.chain(opened.map(|rule| &rule.path)) {
                let (folders, globs) = late::rules(root);
                paths.extend(folders);
                closed_later.extend(globs);
            }
        }
        if settings.is_tmp_writable {
            for folder in &surroundings.temporary {
                paths.push(rule(folder, Access::Write));
            }
        }
        let is_commit_allowed = permissions.is_some_and(|permissions| permissions.is_commit_allowed);
        for directory in &surroundings.git_directories {
            if is_commit_allowed {
                add_git_directory(&mut paths, directory);
            } else {
                paths.push(rule(directory, Access::Read));
            }
        }
        paths.extend(surroundings.git_pointers.iter().map(|pointer| rule(pointer, Access::Read)));
    }
    paths.extend(surroundings.closed.iter().map(|path| rule(path, Access::Hidden)));
    let is_own = |path: &Path| surroundings.own_folders.iter().any(|folder| path.starts_with(folder));
    let theirs = permissions.into_iter().flat_map(|permissions| &permissions.paths);
    paths.extend(theirs.filter(|rule| !is_own(&rule.path)).cloned());
    paths.extend(surroundings.own_folders.iter().map(|folder| rule(folder, Access::Hidden)));
    let mut profile = Profile::new(settings.sandbox, Access::Read, paths, network);
    if let Some(permissions) = permissions {
        profile.is_making_refused = !closed_later.is_empty();
        profile.globs = permissions.globs.iter().flat_map(|rule| globs(rule, settings)).collect();
        profile.globs.extend(closed_later);
        profile.network_rules.clone_from(&permissions.network_rules);
        profile.unix_sockets =
            permissions.unix_sockets.iter().filter(|path| !is_own(path)).cloned().collect();
        profile.limits = permissions.limits;
        profile.has_own_tmp = permissions.has_own_tmp;
        // What a person has hidden is what a command may well want; what is closed to all is seldom asked for.
        let hides = |access: Access| access == Access::Hidden;
        profile.is_reading_told = permissions.paths.iter().any(|rule| hides(rule.access))
            || profile.globs.iter().any(|rule| hides(rule.access));
    }
    profile
}

/// The profile of a command that a person let out of the sandbox.
#[must_use]
pub fn unrestricted() -> Profile {
    Profile::new(SandboxMode::DangerFullAccess, Access::Write, Vec::new(), NetworkAccess::Full)
}

fn rule(path: &Path, access: Access) -> PathRule {
    PathRule { path: path.to_owned(), access }
}

/// A pattern, below each of the session's folders if it is relative.
fn globs(rule: &GlobRule, settings: &SessionSettings) -> Vec<GlobRule> {
    if rule.is_absolute() {
        return vec![rule.clone()];
    }
    let roots = std::iter::once(&settings.cwd).chain(&settings.additional_roots);
    let below = |root: &PathBuf| GlobRule::pattern_below(root, &rule.pattern);
    roots.map(|root| GlobRule { pattern: below(root), ..rule.clone() }).collect()
}

fn add_root(paths: &mut Vec<PathRule>, root: &Path) {
    paths.push(rule(root, Access::Write));
    for name in PROTECTED_NAMES {
        paths.push(rule(&root.join(name), Access::Read));
    }
}

/// A directory that git may write, but not what makes it run something.
fn add_git_directory(paths: &mut Vec<PathRule>, directory: &Path) {
    paths.push(rule(directory, Access::Write));
    for name in GIT_PROTECTED {
        paths.push(rule(&directory.join(name), Access::Read));
    }
}

#[cfg(test)]
mod tests;

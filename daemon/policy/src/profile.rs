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
    /// Folders that a person made writable by their path, in the settings or by an answer, beside the session's own.
    pub opened: Vec<PathBuf>,
    /// Git directories of the folders that may be written, and those elsewhere that say themselves that they belong to
    /// a working tree there.
    pub git_directories: Vec<PathBuf>,
    /// Git directories elsewhere to which a `.git` leads and that say nothing of it. A command may have made that `.git`,
    /// so these stay as they are.
    pub git_foreign: Vec<PathBuf>,
    /// `.git` files that point to such.
    pub git_pointers: Vec<PathBuf>,
    /// Folders that may be written and are git directories themselves.
    pub bare: Vec<PathBuf>,
    /// What has to stay as it is, so that no other folder that may be written becomes one.
    pub keystones: Vec<PathBuf>,
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
    let (mut paths, mut guards, mut closed_later) = (Vec::new(), Vec::new(), Vec::new());
    let permissions = settings.permissions.as_ref();
    let network = match settings.sandbox {
        SandboxMode::ReadOnly if permissions.is_none() => NetworkAccess::Off,
        SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite => settings.network,
        SandboxMode::DangerFullAccess => return unrestricted(),
    };
    let roots = roots(settings);
    let is_commit_allowed = permissions.is_some_and(|permissions| permissions.is_commit_allowed);
    paths.extend(roots.iter().map(|root| rule(root, Access::Write)));
    for folder in roots.iter().copied().chain(&surroundings.opened) {
        guards.extend(PROTECTED_NAMES.map(|name| rule(&folder.join(name), Access::Read)));
    }
    // A root of such a name is meant.
    guards.retain(|guard| !roots.contains(&&guard.path));
    if permissions.is_some_and(|permissions| permissions.is_strict) {
        let git = if is_commit_allowed { late::Git::Open } else { late::Git::Closed };
        for folder in roots.iter().copied().chain(&surroundings.opened) {
            let (folders, globs) = late::rules(folder, git);
            guards.extend(folders);
            closed_later.extend(globs);
        }
    }
    if settings.sandbox == SandboxMode::WorkspaceWrite && settings.is_tmp_writable {
        paths.extend(surroundings.temporary.iter().map(|folder| rule(folder, Access::Write)));
    }
    for directory in &surroundings.git_directories {
        if is_commit_allowed {
            guards.push(rule(directory, Access::Write));
            protect_git(&mut guards, directory);
        } else {
            guards.push(rule(directory, Access::Read));
        }
    }
    for directory in &surroundings.bare {
        protect_git(&mut guards, directory);
    }
    let read_only =
        surroundings.git_pointers.iter().chain(&surroundings.git_foreign).chain(&surroundings.keystones);
    guards.extend(read_only.map(|path| rule(path, Access::Read)));
    let is_own = |path: &Path| surroundings.own_folders.iter().any(|folder| path.starts_with(folder));
    let theirs = permissions.into_iter().flat_map(|permissions| &permissions.paths);
    let mut last: Vec<_> = surroundings.closed.iter().map(|path| rule(path, Access::Hidden)).collect();
    last.extend(theirs.filter(|rule| !is_own(&rule.path)).cloned());
    last.extend(surroundings.own_folders.iter().map(|folder| rule(folder, Access::Hidden)));
    // What is read-only so that it can't be changed is no way into what is hidden around it.
    let around = [paths.as_slice(), &last].concat();
    let around = Profile::new(settings.sandbox, Access::Read, around, network);
    paths.extend(guards.into_iter().filter(|guard| around.access(&guard.path) != Access::Hidden));
    paths.extend(last);
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

/// The session's own folders, if it may write them.
#[must_use]
pub fn roots(settings: &SessionSettings) -> Vec<&PathBuf> {
    match settings.sandbox {
        SandboxMode::WorkspaceWrite => {
            std::iter::once(&settings.cwd).chain(&settings.additional_roots).collect()
        }
        SandboxMode::ReadOnly | SandboxMode::DangerFullAccess => Vec::new(),
    }
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

/// What makes git run something stays as it is in a git directory.
fn protect_git(paths: &mut Vec<PathRule>, directory: &Path) {
    paths.extend(GIT_PROTECTED.map(|name| rule(&directory.join(name), Access::Read)));
}

#[cfg(test)]
mod tests;

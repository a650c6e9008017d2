//! Files that something runs later without a word: who builds, opens an editor, changes into the folder or pushes runs
//! what stands in them. Knows names only.

use std::path::{Path, PathBuf};

use protocol::profile::{Access, GlobRule, PathRule};

/// Files of this name, wherever they are.
const NAMES: [&str; 30] = [
    "package.json",
    "build.rs",
    "Makefile",
    "makefile",
    "GNUmakefile",
    "CMakeLists.txt",
    "Justfile",
    "justfile",
    "Taskfile.yml",
    "Rakefile",
    "Gemfile",
    "setup.py",
    "pyproject.toml",
    "conftest.py",
    "noxfile.py",
    "tox.ini",
    "build.gradle",
    "build.gradle.kts",
    "settings.gradle",
    "pom.xml",
    "Dockerfile",
    "docker-compose.yml",
    "compose.yaml",
    "Jenkinsfile",
    ".envrc",
    ".gitlab-ci.yml",
    ".pre-commit-config.yaml",
    ".gitmodules",
    ".gitattributes",
    ".npmrc",
];
/// Everything in folders of this name, wherever they are.
const FOLDERS: [&str; 10] =
    [GIT, ".vscode", ".idea", ".husky", ".circleci", ".cargo", ".devcontainer", ".zed", ".claude", ".codex"];
/// Here commits write, where they are allowed, but not into these.
const GIT: &str = ".git";
/// Also the list of a rebase, with what `git rebase --continue` runs.
const IN_GIT: [&str; 5] = ["config", "config.worktree", "commondir", "hooks", "rebase-merge"];

/// Everything in these folders of a root.
const FOLDERS_OF_ROOTS: [&str; 2] = [".github/workflows", ".github/actions"];
/// Folders of what was fetched or built. All in them runs as it is, so to close some names there would close nothing, and
/// whoever fetches or builds makes files of these names.
const FETCHED: [&str; 5] = ["node_modules", "site-packages", ".venv", "venv", "target"];

/// Whether a file in one of the folders is run later.
#[must_use]
pub fn runs_later(path: &Path, roots: &[PathBuf]) -> bool {
    let below = roots.iter().find_map(|root| path.strip_prefix(root).ok()).unwrap_or(path);
    let mut names = below.iter().rev();
    let is_named = names.next().is_some_and(|name| NAMES.iter().any(|late| name == *late));
    let in_folder = names.any(|name| FOLDERS.iter().any(|late| name == *late));
    is_named || in_folder || FOLDERS_OF_ROOTS.iter().any(|folder| below.starts_with(folder))
}

/// What of git directories is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Git {
    /// All of it.
    Closed,
    /// What commits do not write.
    Open,
}

/// What closes all of that below a root: folders, whether they are there or not, and patterns for the rest.
pub(crate) fn rules(root: &Path, git: Git) -> (Vec<PathRule>, Vec<GlobRule>) {
    let folders: Vec<_> = match git {
        Git::Closed => FOLDERS.into(),
        Git::Open => FOLDERS.into_iter().filter(|name| *name != GIT).collect(),
    };
    let paths = folders.iter().chain(&FOLDERS_OF_ROOTS);
    let paths = paths.map(|name| PathRule { path: root.join(name), access: Access::Read }).collect();
    let glob = |below: &str, names: &[&str]| GlobRule {
        pattern: GlobRule::pattern_below(root, &format!("**/{below}{{{}}}", names.join(","))),
        access: Access::Read,
        except: FETCHED.map(str::to_owned).into(),
    };
    let mut globs = vec![glob("", &NAMES), glob("", &folders)];
    match git {
        Git::Closed => {}
        Git::Open => globs.push(glob(".git/", &IN_GIT)),
    }
    (paths, globs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_later_is_closed_but_where_it_was_fetched() {
        let root = Path::new("/home/node_modules/a{b");
        let (paths, globs) = rules(root, Git::Closed);
        let is_closed = |below: &str| {
            let path = root.join(below);
            paths.iter().any(|rule| path.starts_with(&rule.path))
                || globs.iter().any(|rule| rule.matches(&path))
        };
        for name in NAMES.iter().chain(&FOLDERS) {
            for folder in ["", "a/", "a/b/c/"] {
                assert!(is_closed(&format!("{folder}{name}")), "{folder}{name}");
            }
            assert!(!is_closed(&format!("a/node_modules/x/{name}")), "{name}");
            assert!(!is_closed(&format!("a/{name}x")), "{name}x");
        }
        for (below, expected) in [
            (".github/workflows/ci.yml", true),
            (".github/CODEOWNERS", false),
            ("a/.husky/_/pre-commit", true),
            ("a/.husky/target/x", true),
            ("target/debug/build/x/out/Makefile", false),
            ("src/lib.rs", false),
        ] {
            assert_eq!(is_closed(below), expected, "{below}");
        }
    }

    #[test]
    fn commits_write_git_directories_but_not_what_git_runs() {
        let root = Path::new("/repo");
        let (paths, globs) = rules(root, Git::Open);
        let is_closed = |below: &str| {
            let path = root.join(below);
            paths.iter().any(|rule| path.starts_with(&rule.path))
                || globs.iter().any(|rule| rule.matches(&path))
        };
        for (below, expected) in [
            (".git/index", false),
            ("sub/.git/objects/x", false),
            (".git/config", true),
            ("sub/.git/config", true),
            ("sub/.git/hooks/pre-commit", true),
            (".git/rebase-merge/git-rebase-todo", true),
            ("sub/.vscode/tasks.json", true),
            ("sub/config", false),
        ] {
            assert_eq!(is_closed(below), expected, "{below}");
        }
    }

    /// Threat R20.
    #[test]
    fn what_tools_run_is_told_from_what_is_only_there() {
        let roots = [PathBuf::from("/repo/.vscode/mine")];
        for (below, expected) in [
            ("Makefile", true),
            ("web/package.json", true),
            (".github/workflows/ci.yml", true),
            ("a/.vscode/tasks.json", true),
            ("a/.git/config", true),
            ("src/lib.rs", false),
            (".github/CODEOWNERS", false),
            ("Makefile/notes.md", false),
        ] {
            assert_eq!(runs_later(&roots[0].join(below), &roots), expected, "{below}");
        }
    }
}

//! Files that something runs later without a word: who builds, opens an editor, changes into the folder or pushes runs
//! what stands in them. Knows names only.

use std::path::{Path, PathBuf};

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
/// Everything in folders of this name.
const FOLDERS: [&str; 9] =
    [".vscode", ".idea", ".husky", ".circleci", ".cargo", ".devcontainer", ".zed", ".claude", ".codex"];

/// Whether a file in one of the folders is run later.
pub(crate) fn runs_later(path: &Path, roots: &[PathBuf]) -> bool {
    let below = roots.iter().find_map(|root| path.strip_prefix(root).ok()).unwrap_or(path);
    let mut names = below.iter().rev();
    let is_named = names.next().is_some_and(|name| NAMES.iter().any(|late| name == *late));
    let in_folder = names.any(|name| FOLDERS.iter().any(|late| name == *late));
    is_named || in_folder || below.starts_with(".github/workflows") || below.starts_with(".github/actions")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threat R20.
    #[test]
    fn what_tools_run_is_told_from_what_is_only_there() {
        let roots = [PathBuf::from("/repo/.vscode/mine")];
        for (below, expected) in [
            ("Makefile", true),
            ("web/package.json", true),
            (".github/workflows/ci.yml", true),
            ("a/.vscode/tasks.json", true),
            ("src/lib.rs", false),
            (".github/CODEOWNERS", false),
            ("Makefile/notes.md", false),
        ] {
            assert_eq!(runs_later(&roots[0].join(below), &roots), expected, "{below}");
        }
    }
}

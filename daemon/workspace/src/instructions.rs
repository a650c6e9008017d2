//! Finds what a repository says to agents. What it finds is shown to a model, so nothing from outside of the
//! repository may come in: no link leads out, and none into git's own folder. Nor anything that the session may not
//! see, as what an agent made is read for the next one.

use std::path::Path;

use protocol::session::{InstructionFile, InstructionKind};

use crate::files::{read_beginning, read_text};
use crate::git;
use crate::sight::{Opened, Sight};

/// The names, by preference; one file per folder.
const NAMES: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];

/// The most that is read of one file.
const MAX_FILE_BYTES: u64 = 32 * 1024;

/// The most that is read of all.
const MAX_BYTES: u64 = 64 * 1024;

/// The instruction files from the repository's root down to this folder, the most general first, as far as they may be
/// seen; outside of a repository, this folder's own. A file for which there is no room any more is still named, without
/// text.
#[must_use]
pub fn find(cwd: &Path, sight: &Sight) -> Vec<InstructionFile> {
    let root = git::root(cwd).unwrap_or_else(|| cwd.to_owned());
    let Ok(real_root) = root.canonicalize() else { return Vec::new() };
    let mut folders: Vec<&Path> = cwd.ancestors().take_while(|folder| folder.starts_with(&root)).collect();
    folders.reverse();
    let mut found = Vec::new();
    let mut room = MAX_BYTES;
    for folder in folders {
        let mut files = NAMES.iter().map(|name| folder.join(name));
        let Some((path, content)) = files.find_map(|path| {
            let opened = sight.open(&path).ok().filter(|opened| is_inside(opened, &real_root))?;
            let content = read_beginning(opened.file, room.min(MAX_FILE_BYTES))?;
            Some((path, content))
        }) else {
            continue;
        };
        room -= content.text.len() as u64;
        if content.is_truncated || !content.text.trim().is_empty() {
            found.push(InstructionFile {
                path,
                text: content.text,
                is_truncated: content.is_truncated,
                kind: InstructionKind::File,
            });
        }
    }
    found
}

/// The instruction file of a person, which holds in every folder: the one beside their settings.
#[must_use]
pub fn of_person(settings: &Path) -> Option<InstructionFile> {
    let path = settings.join(NAMES[0]);
    let content = read_text(&path.canonicalize().ok()?, MAX_FILE_BYTES)?;
    let is_there = content.is_truncated || !content.text.trim().is_empty();
    is_there.then_some(InstructionFile {
        path,
        text: content.text,
        is_truncated: content.is_truncated,
        kind: InstructionKind::File,
    })
}

/// Whether the file is really in the repository.
fn is_inside(opened: &Opened, real_root: &Path) -> bool {
    let inside = opened.path.strip_prefix(real_root);
    inside.is_ok_and(|inside| inside.components().all(|part| part.as_os_str() != ".git"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::{Access, GlobRule, NetworkAccess, PathRule, Profile, SandboxMode};
    use rustix::fs::symlink;
    use std::fs;
    use std::path::PathBuf;
    use std::sync::Arc;

    fn sight(paths: Vec<PathRule>, globs: Vec<GlobRule>) -> Sight {
        let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Off);
        Sight::new(Arc::new(Profile { globs, ..profile }))
    }

    fn repository() -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real").join("repo");
        for folder in [".git/objects", ".git/refs", "a/b"] {
            fs::create_dir_all(root.join(folder)).expect("folder");
        }
        fs::write(root.join(".git/HEAD"), "ref: refs/heads/main\n").expect("HEAD");
        (scratch, root)
    }

    /// Paths within the root, with the length of the text and whether it is cut.
    fn check(root: &Path, cwd: &str, expected: &[(&str, usize, bool)]) {
        let found = find(&root.join(cwd), &sight(Vec::new(), Vec::new()));
        let found: Vec<_> = found
            .iter()
            .map(|file| {
                let path = file.path.strip_prefix(root).expect("inside").to_str().expect("text");
                (path, file.text.len(), file.is_truncated)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn files_are_found_from_the_root_down() {
        let (_scratch, root) = repository();
        fs::write(root.join("AGENTS.md"), "all").expect("write");
        fs::write(root.join("CLAUDE.md"), "not taken").expect("write");
        fs::write(root.join("a/CLAUDE.md"), "a").expect("write");
        fs::write(root.join("a/b/AGENTS.md"), " \n").expect("empty");
        check(&root, "a/b", &[("AGENTS.md", 3, false), ("a/CLAUDE.md", 1, false)]);
        check(&root, "", &[("AGENTS.md", 3, false)]);
    }

    #[test]
    fn what_is_too_long_is_cut_and_said_so() {
        let (_scratch, root) = repository();
        let cut = usize::try_from(MAX_FILE_BYTES).expect("small");
        fs::write(root.join("AGENTS.md"), "x".repeat(cut + 1)).expect("write");
        fs::write(root.join("a/AGENTS.md"), format!("x{}", "ü".repeat(cut / 2))).expect("write");
        fs::write(root.join("a/b/AGENTS.md"), "no room").expect("write");
        let expected = [("AGENTS.md", cut, true), ("a/AGENTS.md", cut - 1, true), ("a/b/AGENTS.md", 1, true)];
        check(&root, "a/b", &expected);
    }

    #[test]
    fn nothing_from_outside_comes_in() {
        let (scratch, root) = repository();
        let secret = scratch.path().join("secret");
        fs::write(&secret, "secret").expect("write");
        fs::write(root.join(".git/config"), "token").expect("write");
        fs::write(root.join("a/text.md"), "inside").expect("write");
        symlink(&secret, root.join("AGENTS.md")).expect("link");
        symlink(".git/config", root.join("CLAUDE.md")).expect("link");
        symlink("text.md", root.join("a/AGENTS.md")).expect("link");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let pipe = root.join("a/b/AGENTS.md");
        rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, mode, 0).expect("pipe");
        check(&root, "a/b", &[("a/AGENTS.md", 6, false)]);
    }

    #[test]
    fn what_a_session_may_not_see_says_nothing_to_it() {
        let (_scratch, root) = repository();
        for (path, text) in [(".env", "secret"), ("a/hidden/x.md", "secret"), ("a/b/CLAUDE.md", "seen")] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("folder")).expect("folder");
            fs::write(path, text).expect("write");
        }
        symlink(".env", root.join("AGENTS.md")).expect("link");
        symlink("hidden/x.md", root.join("a/AGENTS.md")).expect("link");
        // Through a link that may not be seen itself.
        symlink("../text.md", root.join("a/hidden/link")).expect("link");
        symlink("hidden/link", root.join("a/CLAUDE.md")).expect("link");
        fs::write(root.join("a/text.md"), "inside").expect("write");
        fs::hard_link(root.join("a/text.md"), root.join("a/b/AGENTS.md")).expect("hard link");
        let hides = |pattern: &str| GlobRule {
            pattern: GlobRule::pattern_below(&root, pattern),
            access: Access::Hidden,
            except: Vec::new(),
        };
        let hidden = PathRule { path: root.join("a/hidden"), access: Access::Hidden };
        let sight = sight(vec![hidden], vec![hides("**/.env"), hides("a/b/AGENTS.md")]);
        let found: Vec<_> = find(&root.join("a/b"), &sight).into_iter().map(|file| file.text).collect();
        assert_eq!(found, ["seen"]);
    }

    #[test]
    fn a_person_has_instructions_of_their_own() {
        let scratch = tempfile::tempdir().expect("scratch");
        assert_eq!(of_person(scratch.path()), None);
        fs::write(scratch.path().join("AGENTS.md"), " \n").expect("empty");
        assert_eq!(of_person(scratch.path()), None);
        fs::write(scratch.path().join("AGENTS.md"), "Be brief.").expect("write");
        assert_eq!(of_person(scratch.path()).expect("there").text, "Be brief.");
    }

    #[test]
    fn a_folder_outside_of_a_repository_has_its_own_only() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real");
        fs::create_dir(root.join("a")).expect("folder");
        fs::write(root.join("AGENTS.md"), "above").expect("write");
        fs::write(root.join("a/AGENTS.md"), "here").expect("write");
        check(&root, "a", &[("a/AGENTS.md", 4, false)]);
    }
}

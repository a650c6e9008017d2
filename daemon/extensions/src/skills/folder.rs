//! Finds skills below a folder. What is found may be hostile: links, pipes, huge files, folders without end.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{Skill, SkillProblem, understand};
use crate::files;

/// The file that makes a folder a skill.
const FILE: &str = "SKILL.md";
/// A larger one is not used.
const MAX_BYTES: u64 = 128 * 1024;
/// How deep below the folder a skill may lie: in a folder of its own, or in one of a group of skills.
const MAX_DEPTH: usize = 2;
/// Skills of one folder.
const MAX_SKILLS: usize = 200;
/// Entries of folders that are looked at for one folder.
const MAX_ENTRIES: usize = 4_000;
/// Files beside one `SKILL.md`.
const MAX_BESIDE: usize = 200;
/// How deep they may lie.
const MAX_BESIDE_DEPTH: usize = 8;

/// A skill where it was found.
pub(crate) struct Found {
    /// Its folder, as it was reached.
    pub(crate) folder: PathBuf,
    /// The whole of its file.
    pub(crate) whole: String,
    /// What it says.
    pub(crate) skill: Skill,
}

/// What lies in the folder of a skill.
#[derive(Default)]
pub(crate) struct Beside {
    /// Files, `SKILL.md` among them, in a stable order.
    pub(crate) files: Vec<PathBuf>,
    /// Folders, the skill's own included.
    pub(crate) folders: Vec<PathBuf>,
}

impl Beside {
    /// All that lies in this folder.
    ///
    /// # Errors
    /// What the system says, and when it is too much.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let mut beside = Self::default();
        let mut waiting = VecDeque::from([(folder.to_owned(), 0)]);
        while let Some((folder, depth)) = waiting.pop_front() {
            for (path, kind) in entries(&folder)? {
                if !kind.is_dir() {
                    beside.files.push(path);
                } else if depth < MAX_BESIDE_DEPTH {
                    waiting.push_back((path, depth + 1));
                } else {
                    return Err(io::Error::other(format!("it has folders deeper than {MAX_BESIDE_DEPTH}")));
                }
                if beside.files.len() + beside.folders.len() + waiting.len() > MAX_BESIDE {
                    return Err(io::Error::other(format!("it has more than {MAX_BESIDE} files and folders")));
                }
            }
            beside.folders.push(folder);
        }
        beside.files.sort();
        Ok(beside)
    }
}

/// The skills of a person below a folder, by name. A folder of a skill may be a link to elsewhere; its file may not.
#[must_use]
pub fn read(folder: &Path) -> (Vec<Skill>, Vec<SkillProblem>) {
    let (found, problems) = find(folder, None);
    (found.into_iter().map(|found| found.skill).collect(), problems)
}

/// The skills below a folder, by name; of those in a repository, whose real path this is, nothing lies outside of it.
pub(crate) fn find(folder: &Path, root: Option<&Path>) -> (Vec<Found>, Vec<SkillProblem>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    let mut waiting = VecDeque::from([(folder.to_owned(), 0)]);
    let mut room = MAX_ENTRIES;
    while let Some((folder, depth)) = waiting.pop_front() {
        let told = |message: String| SkillProblem { path: folder.clone(), line: None, message };
        if depth > 0 {
            match one(&folder, root) {
                Ok(Some(skill)) => {
                    found.push(skill);
                    continue;
                }
                Ok(None) => {}
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            }
        }
        if depth >= MAX_DEPTH {
            continue;
        }
        match entries(&folder) {
            Ok(inside) => {
                let folders = inside.into_iter().filter(|(path, _)| !is_hidden(path) && path.is_dir());
                waiting.extend(folders.take(room).map(|(path, _)| (path, depth + 1)));
            }
            // A link at the top that leads nowhere, say. That there is none is not worth a word.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => problems.push(told(error.to_string())),
        }
        room = MAX_ENTRIES.saturating_sub(found.len() + waiting.len());
        if found.len() + waiting.len() > MAX_ENTRIES || found.len() > MAX_SKILLS {
            problems
                .push(told(format!("There are more than {MAX_SKILLS} skills; the rest is not looked at")));
            break;
        }
    }
    found.truncate(MAX_SKILLS);
    found.sort_by(|one, other| one.skill.name.cmp(&other.skill.name));
    (found, problems)
}

/// The skill of this folder; `None` if it is none.
fn one(folder: &Path, root: Option<&Path>) -> Result<Option<Found>, SkillProblem> {
    let file = folder.join(FILE);
    let told = |error: io::Error| SkillProblem { path: file.clone(), line: None, message: capital(&error) };
    let own;
    let within = match root {
        Some(root) => root,
        None => {
            own = folder.canonicalize().map_err(told)?;
            &own
        }
    };
    let Some(real) = files::inside(within, &file).map_err(told)? else { return Ok(None) };
    let bytes = files::read(&real, MAX_BYTES).map_err(told)?;
    let whole = String::from_utf8(bytes).map_err(|_| told(io::Error::other("it is not UTF-8")))?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let skill =
        understand(real, &name, &whole).map_err(|problem| SkillProblem { path: file.clone(), ..problem })?;
    Ok(Some(Found { folder: folder.to_owned(), whole, skill }))
}

/// What is in a folder, by name, with what it is; a link is a link.
fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, std::fs::FileType)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(MAX_ENTRIES) {
        let entry = entry?;
        all.push((entry.path(), entry.file_type()?));
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(all)
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// As a sentence begins.
fn capital(error: &io::Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        fs::write(path, text).expect("write");
    }

    fn skill(name: &str) -> String {
        format!("---\nname: {name}\ndescription: Does {name}.\n---\nText of {name}\n")
    }

    #[test]
    fn skills_lie_in_folders_of_their_own_or_in_groups() {
        let scratch = tempfile::tempdir().expect("scratch");
        for (folder, name) in
            [("b", "b"), ("a", "a"), ("group/c", "c"), ("x/y/deep", "d"), (".hidden/e", "e")]
        {
            write(&scratch.path().join(folder).join(FILE), &skill(name));
        }
        write(&scratch.path().join(FILE), &skill("top"));
        write(&scratch.path().join("b/inner/SKILL.md"), &skill("inner"));
        let (found, problems) = read(scratch.path());
        let names: Vec<_> = found.iter().map(|skill| skill.name.as_str()).collect();
        assert_eq!((names, problems), (vec!["a", "b", "c"], vec![]));
        assert_eq!(read(&scratch.path().join("none")), (vec![], vec![]));
    }

    #[test]
    fn one_that_is_malformed_leaves_the_others() {
        let scratch = tempfile::tempdir().expect("scratch");
        write(&scratch.path().join("a/SKILL.md"), "nothing");
        write(&scratch.path().join("b/SKILL.md"), &skill("b"));
        write(&scratch.path().join("c/SKILL.md"), &"x".repeat(200 * 1024));
        let (found, problems) = read(scratch.path());
        assert_eq!(found.len(), 1);
        assert_eq!(problems.len(), 2);
        assert_eq!(
            (problems[0].path.clone(), problems[0].line),
            (scratch.path().join("a/SKILL.md"), Some(1))
        );
        assert!(problems[1].message.contains("more than"), "{}", problems[1].message);
    }

    #[cfg(unix)]
    #[test]
    fn nothing_from_outside_comes_in() {
        let scratch = tempfile::tempdir().expect("scratch");
        let real = scratch.path().canonicalize().expect("real");
        let (root, outside) = (real.join("repo"), real.join("outside"));
        write(&outside.join("s/SKILL.md"), &skill("secret"));
        let skills = root.join(".skein/skills");
        fs::create_dir_all(skills.join("one")).expect("folder");
        rustix::fs::symlink(outside.join("s"), skills.join("linked")).expect("link");
        rustix::fs::symlink(outside.join("s/SKILL.md"), skills.join("one/SKILL.md")).expect("link");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        fs::create_dir(skills.join("pipe")).expect("folder");
        let pipe = skills.join("pipe/SKILL.md");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("pipe");
        let (found, problems) = find(&skills, Some(&root));
        assert!(found.is_empty());
        let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(
            messages,
            ["It lies outside of the folder", "It lies outside of the folder", "It is not a regular file"]
        );
        // A person may keep their own elsewhere, but a file in it leads nowhere else.
        let (found, problems) = read(&skills);
        assert_eq!((found.len(), problems.len()), (1, 2));
        assert_eq!(found[0].file, outside.join("s/SKILL.md"));
    }
}

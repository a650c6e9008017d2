//! What git runs programs by, in git directories that came while a call ran: whoever uses git there runs what stands in
//! it. A look at changes leaves out what is in a `.git`, so that is looked at here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use workspace::git::{KEYSTONES, is_git_directory, rebase_that_runs};
use workspace::history::Change;

/// Entries of `hooks` that are looked at.
const MAX_HOOKS: usize = 100;

/// Settings and hooks of these new working trees, and of folders that the changes made git directories themselves. The
/// root's own can't be made by a command, and what is there instead while one runs is none. Looks at the file system.
pub(super) fn settings(root: &Path, changes: &[Change], working_trees: &[PathBuf]) -> Vec<PathBuf> {
    let below = working_trees.iter().filter(|tree| *tree != root);
    let mut found: Vec<PathBuf> = below.flat_map(|tree| of_working_tree(tree)).collect();
    let changed = changes.iter().filter(|change| change.after.is_some()).filter_map(|change| {
        let name = change.path.file_name()?;
        let is_part = name == "config" || KEYSTONES.iter().any(|part| name == *part);
        is_part.then(|| change.path.parent()).flatten()
    });
    let mut bare: Vec<&Path> = changed.filter(|folder| is_git_directory(folder)).collect();
    bare.dedup();
    found.extend(bare.into_iter().flat_map(in_directory));
    found
}

/// Lists of rebases that run something, with what they say.
pub(super) type Rebases = BTreeMap<PathBuf, String>;

/// Those in git directories that commits may write.
pub(super) fn rebases(directories: &[PathBuf]) -> Rebases {
    directories.iter().filter_map(|directory| rebase_that_runs(directory)).collect()
}

/// Those of them that came or changed.
pub(super) fn new_rebases(before: &Rebases, now: &Rebases) -> Vec<PathBuf> {
    let is_new = |(path, text): &(&PathBuf, &String)| before.get(*path) != Some(*text);
    now.iter().filter(is_new).map(|(path, _)| path.clone()).collect()
}

fn of_working_tree(tree: &Path) -> Vec<PathBuf> {
    let dot_git = tree.join(".git");
    let settings = in_directory(&dot_git);
    // One that is still empty, or leads elsewhere.
    if settings.is_empty() { vec![dot_git] } else { settings }
}

/// What is there of it in a git directory.
fn in_directory(directory: &Path) -> Vec<PathBuf> {
    let hooks = std::fs::read_dir(directory.join("hooks")).into_iter().flatten().take(MAX_HOOKS);
    let hooks = hooks.filter_map(|entry| Some(entry.ok()?.path()));
    // What `git init` puts there is not run.
    let hooks = hooks.filter(|hook| hook.extension().is_none_or(|ending| ending != "sample"));
    let config = Some(directory.join("config")).filter(|config| config.exists());
    config.into_iter().chain(hooks).collect()
}

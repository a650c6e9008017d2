//! Sessions in a git worktree of their own: made below the data folder on a branch of its own, kept as long as the
//! session, and removed with it when it holds no work, or when the user says so.

use std::fs;
use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use client::{Connection, Folders};
use protocol::api::session::SessionClient;
use protocol::ids::SessionId;
use protocol::session::SessionListParams;
use view::{escape, words};

use crate::error::CliError;
use crate::git::Git;
use crate::output::Output;

/// The folder of all worktrees, below the data folder.
const FOLDER: &str = "worktrees";
/// How branches begin.
const BRANCH: &str = "skein/";
/// Beside git's own files of a worktree: the commit that its work began at.
const BASE: &str = "skein-base";
/// The longest name.
const MAX_NAME: usize = 64;
/// Sessions that are looked through for others in a worktree.
const MOST_SESSIONS: u32 = 10_000;

/// The folder to work in: the same one in a worktree of this name, which is made if there is none. An empty name means
/// a new one.
pub(crate) fn enter(folder: &Path, name: &str, output: Output) -> Result<PathBuf, CliError> {
    let name = if name.is_empty() { new_name() } else { name.to_owned() };
    check_name(&name)?;
    let git = Git::new(folder)?;
    let root = PathBuf::from(git.run(["rev-parse", "--show-toplevel"])?);
    let below = git.run(["rev-parse", "--show-prefix"])?;
    let folders =
        Folders::resolve().map_err(|error| CliError::usage(error.to_string(), "Set `SKEIN_HOME`"))?;
    let path = folders.state.join(FOLDER).join(repository_name(&root)).join(&name);
    let branch = format!("{BRANCH}{name}");
    if path.join(".git").exists() {
        let text = format!("worktree `{}` on branch `{branch}`, as it is", path.display());
        output.note(output.err.dim(text));
    } else {
        make(&git, &path, &branch, output)?;
    }
    let inner = path.join(&below);
    Ok(if inner.is_dir() { inner } else { path })
}

fn make(git: &Git, path: &Path, branch: &str, output: Output) -> Result<(), CliError> {
    let base = git.commit("HEAD")?;
    let on = git.run(["symbolic-ref", "--short", "--quiet", "HEAD"]).unwrap_or_else(|_| "HEAD".to_owned());
    if let Some(parent) = path.parent() {
        let wrap = |source| CliError::File { action: "write", path: parent.to_owned(), source };
        fs::create_dir_all(parent).map_err(wrap)?;
    }
    let at = path.to_string_lossy();
    let is_known = git.run(["show-ref", "--verify", "--quiet", &format!("refs/heads/{branch}")]).is_ok();
    if is_known {
        git.run(["worktree", "add", "--quiet", &at, branch])?;
    } else {
        git.run(["worktree", "add", "--quiet", "-b", branch, &at, &base])?;
    }
    let own = Git::new(path)?;
    let base = if is_known { own.run(["merge-base", "HEAD", &base]).unwrap_or(base) } else { base };
    let note = PathBuf::from(own.run(["rev-parse", "--absolute-git-dir"])?).join(BASE);
    fs::write(&note, format!("{base}\n")).map_err(|source| CliError::File {
        action: "write",
        path: note.clone(),
        source,
    })?;
    let short = base.get(..10).unwrap_or(&base);
    let text = format!("worktree `{at}` on branch `{branch}`, from `{on}` ({short})");
    output.note(output.err.dim(escape::prose(&text).into_owned()));
    Ok(())
}

/// A worktree that a session works in.
pub(crate) struct Held {
    path: PathBuf,
    git: Git,
    branch: String,
    changed: u32,
    commits: u32,
}

impl Held {
    /// That of a session's folder, if it is one of ours and no other session works there.
    pub(crate) async fn of(
        connection: &mut Connection,
        session: SessionId,
        cwd: &Path,
    ) -> Result<Option<Self>, CliError> {
        let all = connection.folders().state.join(FOLDER);
        let Some(path) = own_path(&all, cwd).filter(|path| path.join(".git").is_file()) else {
            return Ok(None);
        };
        let params = SessionListParams {
            with_archived: true,
            limit: Some(MOST_SESSIONS),
            ..SessionListParams::default()
        };
        let sessions =
            connection.call(async |rpc| SessionClient::list(rpc, params.clone()).await).await?.sessions;
        let is_other = |other: &protocol::session::SessionSummary| {
            other.id != session && other.settings.cwd.starts_with(&path)
        };
        if sessions.iter().any(is_other) {
            return Ok(None);
        }
        let git = Git::new(&path)?;
        let branch = git.run(["symbolic-ref", "--short", "--quiet", "HEAD"]).unwrap_or_default();
        let changed = lines(&git.run(["status", "--porcelain", "--untracked-files=all"])?);
        let note = PathBuf::from(git.run(["rev-parse", "--absolute-git-dir"])?).join(BASE);
        let base = fs::read_to_string(note).unwrap_or_default();
        // Where nobody knows where it began, all that no other branch has is work.
        let since = match git.commit(base.trim()) {
            Ok(base) if !base.is_empty() => vec![format!("{base}..HEAD")],
            Ok(_) | Err(_) => {
                vec![
                    "HEAD".to_owned(),
                    "--not".to_owned(),
                    format!("--exclude=refs/heads/{branch}"),
                    "--all".to_owned(),
                ]
            }
        };
        let count = ["rev-list", "--count"].into_iter().map(str::to_owned).chain(since);
        let commits = git.run(count)?.parse().unwrap_or(u32::MAX);
        Ok(Some(Self { path, git, branch, changed, commits }))
    }

    /// Says where it stays.
    pub(crate) fn keep(&self, output: Output) {
        output.note(output.err.dim(format!(
            "the worktree `{}` stays; `skein sessions delete` removes it",
            self.path.display()
        )));
    }

    /// Removes it if it holds no work; else asks, where somebody is there, and keeps it.
    pub(crate) fn settle(&self, output: Output) -> Result<(), CliError> {
        let is_empty = self.changed == 0 && self.commits == 0;
        let what = format!(
            "{} and {} on `{}`",
            words::count(self.changed, "changed file", "changed files"),
            words::count(self.commits, "commit", "commits"),
            escape::line(&self.branch)
        );
        let path = self.path.display();
        if !is_empty
            && !is_told_to(&format!("The worktree `{path}` holds work: {what}. Remove it? [y/N] "), output)
        {
            output.note(output.err.yellow(format!("the worktree `{path}` stays: it holds {what}")));
            return Ok(());
        }
        let common = self.git.run(["rev-parse", "--path-format=absolute", "--git-common-dir"])?;
        let main = Git::new(Path::new(&common))?;
        let at = self.path.to_string_lossy();
        main.run(["worktree", "remove", "--force", &at])?;
        // Commits are never lost: their branch stays.
        if self.commits == 0 && self.branch.starts_with(BRANCH) {
            main.run(["branch", "--quiet", "-D", &self.branch])?;
            output.note(output.err.dim(format!("removed the worktree `{path}` and its branch")));
        } else {
            output.note(
                output.err.dim(format!("removed the worktree `{path}`; the branch `{}` stays", self.branch)),
            );
        }
        Ok(())
    }
}

/// The folder of the worktree that a folder is in.
fn own_path(all: &Path, cwd: &Path) -> Option<PathBuf> {
    let all = all.canonicalize().unwrap_or_else(|_| all.to_owned());
    let mut names = cwd.strip_prefix(&all).ok()?.components();
    Some(all.join(names.next()?).join(names.next()?))
}

fn is_told_to(question: &str, output: Output) -> bool {
    if !io::stdin().is_terminal() || !output.is_err_terminal {
        return false;
    }
    output.note_part(question);
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn lines(text: &str) -> u32 {
    u32::try_from(text.lines().count()).unwrap_or(u32::MAX)
}

fn check_name(name: &str) -> Result<(), CliError> {
    let is_fine = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let is_wrong = name.len() > MAX_NAME
        || !name.chars().all(is_fine)
        || name.starts_with(['-', '.'])
        || name.ends_with('.')
        || name.contains("..")
        || name.ends_with(".lock");
    if is_wrong {
        return Err(CliError::usage(
            format!("`{name}` can't name a worktree"),
            "Take letters, digits, `-`, `_` and `.`, as for a branch",
        ));
    }
    Ok(())
}

/// A name that no other one has: the time to the millisecond.
fn new_name() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("w{:x}", since.as_millis())
}

/// The name of a repository's folder, with what tells it from others of that name.
fn repository_name(root: &Path) -> String {
    // FNV-1a: the same in every build.
    let hash = root.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let name = root.file_name().unwrap_or_default().to_string_lossy();
    format!("{name}-{:08x}", hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_git_takes_and_no_way_out() {
        for name in ["fix-1", "a.b", "X_y"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["../a", "-f", ".git", "a..b", "a/b", "a.lock", "a b", "a."] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name(&new_name()).is_ok());
    }

    #[test]
    fn a_worktree_is_found_from_any_folder_in_it() {
        let all = Path::new("/state/worktrees");
        assert_eq!(
            own_path(all, Path::new("/state/worktrees/repo-1/fix/src")),
            Some("/state/worktrees/repo-1/fix".into())
        );
        assert_eq!(own_path(all, Path::new("/state/worktrees/repo-1")), None);
        assert_eq!(own_path(all, Path::new("/repo")), None);
    }
}

//! The change that is reviewed, as git tells it.

use crate::error::CliError;
use crate::git::Git;

/// Bytes of a change that the model is shown; the rest it reads itself.
const MAX_BYTES: usize = 200 * 1024;
/// What there is before the first commit.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// Which change.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// What is not committed.
    Uncommitted,
    /// All since the branch left another one, committed or not.
    Base(String),
    /// One commit.
    Commit(String),
}

/// A change.
#[derive(Debug)]
pub(crate) struct Change {
    /// What it is, in a few words.
    pub(crate) name: String,
    /// The diff; empty for none.
    pub(crate) text: String,
}

impl Change {
    /// Asks git.
    pub(crate) fn read(git: &Git, subject: &Subject) -> Result<Self, CliError> {
        let diff = |rest: &[&str]| {
            let fixed = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--find-renames"];
            git.run(fixed.iter().chain(rest))
        };
        let (name, mut text) = match subject {
            Subject::Uncommitted => {
                let head = git.commit("HEAD").unwrap_or_else(|_| EMPTY_TREE.to_owned());
                ("what is not committed".to_owned(), diff(&[&head])?)
            }
            Subject::Base(base) => {
                let commit = git.commit(base)?;
                let since = git.run(["merge-base", "HEAD", &commit])?;
                (format!("what was changed since `{base}`"), diff(&[&since])?)
            }
            Subject::Commit(name) => {
                let commit = git.commit(name)?;
                let fixed = ["show", "--no-ext-diff", "--no-textconv", "--no-color", "--format=medium"];
                (format!("the commit `{name}`"), git.run(fixed.iter().chain(&[commit.as_str()]))?)
            }
        };
        if !matches!(subject, Subject::Commit(_)) {
            let new = git.run(["ls-files", "--others", "--exclude-standard"])?;
            if !new.is_empty() {
                text = format!("{text}\n\nNew files that git does not know yet; read them:\n{new}\n");
            }
        }
        if text.len() > MAX_BYTES {
            let shown = text.floor_char_boundary(MAX_BYTES);
            let left_out = text.len() - shown;
            text.truncate(shown);
            text.push_str(&format!(
                "\n[{left_out} more bytes of the change are left out; look at the files]\n"
            ));
        }
        Ok(Self { name, text: text.trim().to_owned() })
    }
}

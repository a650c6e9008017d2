//! Carries out a patch on files, within what a profile allows.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use protocol::item::{ChangeKind, ChangedFile};
use protocol::profile::Profile;
use workspace::files::{CommitError, Draft, FileError};
use workspace::path::normalise;
use workspace::sight::Sight;

use crate::diagnostics::Edited;
use crate::patch::apply::{Misfit, apply};
use crate::patch::diff;
use crate::patch::parse::{ParseError, parse};
use crate::patch::section::{Action, Hunk, Patch, Section};
use crate::seen::SeenFiles;

/// What happens if a section of a patch can't be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is changed.
    AllOrNothing,
    /// What comes before it stays changed, what comes after it is not tried.
    Sequential,
}

/// Why a patch was not applied. The text is for a model or a person.
#[derive(Debug)]
pub struct PatchError {
    problem: Problem,
    /// The sections that were carried out all the same, as the success text has them.
    done: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error("No files were modified.")]
    Empty,
    #[error("Failed to read file to update {path} (line {line} of the patch): {source}")]
    Read { path: String, line: usize, source: FileError },
    #[error("Failed to read file to update {path} (line {line} of the patch): {source}")]
    NotText { path: String, line: usize, source: std::str::Utf8Error },
    #[error(transparent)]
    Misfit(#[from] Misfit),
    #[error("Failed to write file {path} (line {line} of the patch): {source}")]
    Write { path: String, line: usize, source: FileError },
    #[error("Failed to delete file {path} (line {line} of the patch): {source}")]
    Delete { path: String, line: usize, source: FileError },
    #[error("Failed to write the files: {0}")]
    Commit(#[from] CommitError),
}

impl std::error::Error for PatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.problem)
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.problem)?;
        match &self.problem {
            Problem::Empty => Ok(()),
            Problem::Commit(error) if !error.left_changed.is_empty() => Ok(()),
            _ if self.done.is_empty() => f.write_str("\nNothing was changed."),
            _ => write!(f, "\nChanged before that:\n{}", self.done.join("\n")),
        }
    }
}

impl From<Problem> for PatchError {
    fn from(problem: Problem) -> Self {
        Self { problem, done: Vec::new() }
    }
}

/// What a patch did.
pub(crate) struct Applied {
    pub(crate) changes: Vec<ChangedFile>,
    /// The success text that models and scripts know.
    pub(crate) summary: String,
    /// The files with what they held and hold, each once; those that hold no text are left out.
    pub(crate) edited: Vec<Edited>,
}

/// Reads a patch that does something.
pub(crate) fn read(text: &str) -> Result<Patch, PatchError> {
    let patch = parse(text).map_err(Problem::from)?;
    if patch.sections.is_empty() { Err(Problem::Empty.into()) } else { Ok(patch) }
}

/// What a patch would do, as far as it says so itself: the files are not looked at.
pub(crate) fn preview(patch: &Patch, cwd: &Path) -> Vec<ChangedFile> {
    let preview = |section: &Section| {
        let diff = match &section.action {
            Action::Add { content } => diff::unified(b"", content.as_bytes()),
            Action::Delete => String::new(),
            Action::Update { hunks, .. } => all_as_written(hunks),
        };
        changed_file(section, cwd, diff)
    };
    patch.sections.iter().map(preview).collect()
}

/// Carries a patch out. Relative paths start from this folder. Says which files are not what they were when they
/// were last seen, and sees them anew.
pub(crate) fn carry_out(
    patch: &Patch,
    cwd: &Path,
    profile: &Arc<Profile>,
    seen: &SeenFiles,
    mode: Mode,
) -> Result<Applied, PatchError> {
    let mut changes = Vec::new();
    let mut texts = Texts::default();
    let mut surprises = Vec::new();
    let mut draft = Draft::new(Arc::clone(profile));
    for (index, section) in patch.sections.iter().enumerate() {
        let planned = plan(&mut draft, cwd, section, &mut texts).and_then(|change| {
            if let Some((real, stamp)) = draft.stamp(&cwd.join(&section.path))
                && seen.is_changed(&real, &stamp)
            {
                surprises.push(section.path.clone());
            }
            if mode == Mode::Sequential {
                std::mem::replace(&mut draft, Draft::new(Arc::clone(profile))).commit()?;
            }
            Ok(change)
        });
        let done = || match mode {
            Mode::AllOrNothing => Vec::new(),
            Mode::Sequential => summary_lines(&patch.sections[..index]),
        };
        changes.push(planned.map_err(|problem| PatchError { problem, done: done() })?);
    }
    draft.commit().map_err(Problem::from)?;
    let mut summary = vec!["Success. Updated the following files:".to_owned()];
    summary.extend(summary_lines(&patch.sections));
    surprises.dedup();
    summary.extend(surprises.iter().map(|path| {
        format!("Note: {path} had been changed by something else since it was last read; read it again.")
    }));
    let sight = Sight::new(Arc::clone(profile));
    let paths = changes.iter().flat_map(|change| [Some(&change.path), change.moved_to.as_ref()]).flatten();
    for (real, stamp) in paths.filter_map(|path| sight.stamp(path)) {
        seen.note(real, stamp);
    }
    Ok(Applied { changes, summary: summary.join("\n"), edited: texts.into_edited(&sight) })
}

/// What files held and will hold.
#[derive(Default)]
struct Texts(Vec<Edited>);

impl Texts {
    fn note(&mut self, path: &Path, before: Option<&[u8]>, after: Option<&[u8]>) {
        let text = |bytes: Option<&[u8]>| bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        let path = normalise(path);
        let after = text(after);
        match self.0.iter_mut().find(|edited| edited.path == path) {
            // An earlier section has changed it already.
            Some(edited) => edited.after = after,
            None => self.0.push(Edited { path, before: text(before), after }),
        }
    }

    fn into_edited(self, sight: &Sight) -> Vec<Edited> {
        let mut edited = self.0;
        for file in &mut edited {
            if let Some((real, _)) = sight.stamp(&file.path) {
                file.path = real;
            }
        }
        edited.retain(|file| file.before != file.after);
        edited
    }
}

/// Notes in the draft what a section does.
fn plan(draft: &mut Draft, cwd: &Path, section: &Section, texts: &mut Texts) -> Result<ChangedFile, Problem> {
    let (name, line) = (section.path.clone(), section.line);
    let path = cwd.join(&section.path);
    let diff = match &section.action {
        Action::Add { content } => {
            let old = shown_content(draft, &path);
            let written = draft.write(&path, content.clone().into_bytes());
            written.map_err(|source| Problem::Write { path: name, line, source })?;
            texts.note(&path, Some(&*old).filter(|old| !old.is_empty()), Some(content.as_bytes()));
            diff::unified(&old, content.as_bytes())
        }
        Action::Delete => {
            let old = match draft.link_target(&path) {
                // The link is removed, not what it leads to.
                Ok(Some(target)) => format!("{}\n", target.display()).into_bytes(),
                Ok(None) | Err(_) => shown_content(draft, &path),
            };
            draft.remove(&path).map_err(|source| Problem::Delete { path: name, line, source })?;
            texts.note(&path, Some(&*old), None);
            diff::unified(&old, b"")
        }
        Action::Update { move_to, hunks } => {
            let read = draft.read(&path);
            let old = read.map_err(|source| Problem::Read { path: name.clone(), line, source })?.bytes;
            let text = std::str::from_utf8(&old);
            let text = text.map_err(|source| Problem::NotText { path: name.clone(), line, source })?;
            let new = apply(&section.path, text, hunks)?.into_bytes();
            let diff = if diff::is_too_large(&old, &new) {
                all_as_written(hunks)
            } else {
                diff::unified(&old, &new)
            };
            let moved_to = move_to.as_ref().map(|to| cwd.join(to)).filter(|to| *to != path);
            texts.note(&path, Some(&*old), moved_to.is_none().then_some(&*new));
            if let Some(to) = &moved_to {
                texts.note(to, None, Some(&*new));
            }
            let written = match move_to {
                Some(to) => draft.move_file(&path, &cwd.join(to), new),
                None => draft.write(&path, new),
            };
            written.map_err(|source| Problem::Write {
                path: move_to.clone().unwrap_or(name),
                line,
                source,
            })?;
            diff
        }
    };
    Ok(changed_file(section, cwd, diff))
}

/// What a file holds that is replaced or removed, for people to see. Nothing if it can't be read, as it need not
/// be.
fn shown_content(draft: &mut Draft, path: &Path) -> Vec<u8> {
    draft.read(path).map(|content| content.bytes).unwrap_or_default()
}

fn changed_file(section: &Section, cwd: &Path, diff: String) -> ChangedFile {
    let absolute = |path: &str| normalise(&cwd.join(path));
    let path = absolute(&section.path);
    let (kind, moved_to) = match &section.action {
        Action::Add { .. } => (ChangeKind::Add, None),
        Action::Delete => (ChangeKind::Delete, None),
        Action::Update { move_to, .. } => (ChangeKind::Update, move_to.as_deref().map(absolute)),
    };
    let moved_to = moved_to.filter(|to| *to != path);
    ChangedFile { path, kind, moved_to, diff }
}

/// Hunks as the patch has them, bounded.
fn all_as_written(hunks: &[Hunk]) -> String {
    diff::bounded(hunks.iter().map(as_written).collect())
}

/// A hunk as the patch has it.
fn as_written(hunk: &Hunk) -> String {
    let mut text = hunk.anchor.as_ref().map_or("@@\n".to_owned(), |anchor| format!("@@ {anchor}\n"));
    for line in &hunk.lines {
        text.push(line.kind.sign());
        text.push_str(&line.text);
        text.push('\n');
    }
    text
}

/// Added, modified and deleted files, in this order, each with the path as the patch has it.
fn summary_lines(sections: &[Section]) -> Vec<String> {
    let line = |section: &Section| match &section.action {
        Action::Add { .. } => (0, format!("A {}", section.path)),
        Action::Update { move_to, .. } => (1, format!("M {}", move_to.as_ref().unwrap_or(&section.path))),
        Action::Delete => (2, format!("D {}", section.path)),
    };
    let mut lines: Vec<_> = sections.iter().map(line).collect();
    lines.sort_by_key(|(group, _)| *group);
    lines.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests;

//! What changed in files, as a text: the unified diff, with a head as git writes it. Knows nothing of logs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use protocol::diff::{FileChangeKind, FileDiff};
use protocol::rewind::{FileKind, FileVersion};
use similar::{ChangeTag, TextDiff};
use store::{Blobs, StoreError};

/// Texts that are longer are not compared.
const MAX_TEXT_BYTES: usize = 1024 * 1024;
/// How long two texts are compared; after that the comparison is coarser.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(500);

/// What changed under a path, which is shown as below `cwd` if it is. Blocks.
///
/// # Errors
/// What the store says.
pub(crate) fn file_diff(
    blobs: &Blobs,
    cwd: &Path,
    path: PathBuf,
    before: Option<&FileVersion>,
    after: Option<&FileVersion>,
) -> Result<FileDiff, StoreError> {
    let shown = path.strip_prefix(cwd).unwrap_or(&path).to_string_lossy().into_owned();
    let shown = shown.trim_start_matches('/');
    let change = match (before, after) {
        (None, _) => FileChangeKind::Added,
        (_, None) => FileChangeKind::Deleted,
        (Some(_), Some(_)) => FileChangeKind::Modified,
    };
    let mut text = format!("diff --git a/{shown} b/{shown}\n");
    // Writing to a string does not fail.
    match (before, after) {
        (None, Some(after)) => drop(writeln!(text, "new file mode {}", mode(after))),
        (Some(before), None) => drop(writeln!(text, "deleted file mode {}", mode(before))),
        (Some(before), Some(after)) if mode(before) != mode(after) => {
            let _ = write!(text, "old mode {}\nnew mode {}\n", mode(before), mode(after));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    let (mut added, mut removed) = (0, 0);
    match (content(blobs, before)?, content(blobs, after)?) {
        (Content::Text(old), Content::Text(new)) if old != new => {
            let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&old, &new);
            for change in diff.iter_all_changes() {
                match change.tag() {
                    ChangeTag::Insert => added += 1,
                    ChangeTag::Delete => removed += 1,
                    ChangeTag::Equal => {}
                }
            }
            let from = before.map_or("/dev/null".to_owned(), |_| format!("a/{shown}"));
            let to = after.map_or("/dev/null".to_owned(), |_| format!("b/{shown}"));
            let _ = write!(text, "{}", diff.unified_diff().header(&from, &to));
        }
        (Content::Text(_), Content::Text(_)) => {}
        (Content::Other, _) | (_, Content::Other) => {
            let _ = writeln!(text, "Binary files a/{shown} and b/{shown} differ");
        }
    }
    Ok(FileDiff { path, change, added, removed, text })
}

enum Content {
    Text(String),
    /// No text, or too long, or not kept.
    Other,
}

fn content(blobs: &Blobs, version: Option<&FileVersion>) -> Result<Content, StoreError> {
    let Some(version) = version.filter(|version| version.kind != FileKind::Folder) else {
        return Ok(Content::Text(String::new()));
    };
    let Some(id) = &version.content else { return Ok(Content::Other) };
    let bytes = blobs.read(id)?.filter(|bytes| bytes.len() <= MAX_TEXT_BYTES && !bytes.contains(&0));
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()).map_or(Content::Other, Content::Text))
}

/// As git writes it.
fn mode(version: &FileVersion) -> String {
    match &version.kind {
        FileKind::Link => "120000".to_owned(),
        FileKind::Folder => "040000".to_owned(),
        FileKind::File | FileKind::Unknown(_) => format!("100{:o}", version.mode),
    }
}

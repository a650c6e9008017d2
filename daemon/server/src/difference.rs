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
    let shown = path.strip_prefix(cwd).unwrap_or(&path).as_os_str().as_encoded_bytes();
    let shown = shown.strip_prefix(b"/").unwrap_or(shown);
    let (old_name, new_name) = (named("a/", shown), named("b/", shown));
    let change = match (before, after) {
        (None, _) => FileChangeKind::Added,
        (_, None) => FileChangeKind::Deleted,
        (Some(_), Some(_)) => FileChangeKind::Modified,
    };
    let mut text = format!("diff --git {old_name} {new_name}\n");
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
            let from = before.map_or("/dev/null", |_| &old_name);
            let to = after.map_or("/dev/null", |_| &new_name);
            let _ = write!(text, "{}", diff.unified_diff().header(from, to));
        }
        (Content::Text(_), Content::Text(_)) => {}
        (Content::Other, _) | (_, Content::Other) => {
            let _ = writeln!(text, "Binary files {old_name} and {new_name} differ");
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

/// A name as git writes it: in quotes where a sign in it would end the line, or do something to a terminal.
fn named(prefix: &str, name: &[u8]) -> String {
    let is_plain = |text: &str| !text.chars().any(|letter| letter.is_control() || "\"\\".contains(letter));
    if let Ok(text) = str::from_utf8(name)
        && is_plain(text)
    {
        return format!("{prefix}{text}");
    }
    let mut quoted = format!("\"{prefix}");
    for chunk in name.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' | '\\' => quoted.extend(['\\', letter]),
                letter if letter.is_control() => {
                    octal(&mut quoted, letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                letter => quoted.push(letter),
            }
        }
        octal(&mut quoted, chunk.invalid());
    }
    quoted.push('"');
    quoted
}

fn octal(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "\\{byte:03o}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_git_does_where_they_must_be() {
        for (name, expected) in [
            (&b"src/a b.rs"[..], "a/src/a b.rs"),
            ("größe".as_bytes(), "a/größe"),
            (b"a\x1b]52;c;x\x07", r#""a/a\033]52;c;x\007""#),
            (b"a\nb\t\"\\", r#""a/a\012b\011\"\\""#),
            ("\u{85}".as_bytes(), r#""a/\302\205""#),
            (b"\xff.txt", r#""a/\377.txt""#),
        ] {
            assert_eq!(named("a/", name), expected);
        }
    }
}

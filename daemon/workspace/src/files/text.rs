//! Reads the beginning of small text files that a repository brings along.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::path::Folder;

/// A text, or the beginning of it.
pub(crate) struct Beginning {
    pub(crate) text: String,
    pub(crate) is_truncated: bool,
}

/// Reads at most `limit` bytes of a file by its real path; invalid UTF-8 is replaced. `None` if there is no
/// file, also when there is a link, a folder or a pipe.
pub(crate) fn read_text(real: &Path, limit: u64) -> Option<Beginning> {
    let folder = Folder::open(real.parent()?).ok()?;
    let (file, _) = folder.open_file(real.file_name()?).ok()?;
    read_beginning(file, limit)
}

/// Reads at most `limit` bytes of a file that is open.
pub(crate) fn read_beginning(file: File, limit: u64) -> Option<Beginning> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).ok()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_truncated = bytes.len() > limit;
    bytes.truncate(limit);
    if let (true, Err(error)) = (is_truncated, std::str::from_utf8(&bytes))
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
    Some(Beginning { text: String::from_utf8_lossy(&bytes).into_owned(), is_truncated })
}

//! What is known of a tree, on disk, so that another process can go on from where this one was. Pages of what was seen,
//! with marks between them; each with a checksum. It outlives the process, and a loss of power where somebody waited for
//! the disk; what is not whole is not used.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};

use super::tree::Known;

/// A larger journal is not read.
const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// Length and checksum of what follows.
const HEAD_BYTES: usize = 8;

/// What a folder had, or what became different in it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Page {
    /// Its path below the root.
    pub(crate) folder: OsString,
    pub(crate) seen: Vec<(OsString, Known)>,
    pub(crate) gone: Vec<OsString>,
}

/// What stands in it.
#[derive(Serialize, Deserialize)]
enum Record {
    Page(Page),
    Mark {
        mark: Vec<u8>,
        /// How much is kept of contents.
        end: u64,
    },
    /// The folders that have a `.git`, all of them, by their paths below the root. Written where they became others.
    Git(Vec<OsString>),
}

/// What was read up to a mark.
pub(crate) struct Replayed {
    pub(crate) pages: Vec<Page>,
    /// The folders that had a `.git`; absent where nobody wrote that down.
    pub(crate) git: Option<Vec<OsString>>,
    pub(crate) end: u64,
}

/// The file, written to its end.
pub(crate) struct Journal {
    file: File,
    bytes: u64,
}

impl Journal {
    /// In this empty file.
    pub(crate) fn new(file: File) -> Self {
        Self { file, bytes: 0 }
    }

    /// Goes back to the last mark that is wanted; what came after it is forgotten. `None` if there is none.
    pub(crate) fn replay(
        mut file: File,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Option<(Self, Replayed)>> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        (&mut file).take(MAX_BYTES).read_to_end(&mut bytes)?;
        let (mut pages, mut at, mut found) = (Vec::new(), 0, None);
        let mut kept = 0;
        let (mut git, mut found_git) = (None, None);
        while let Some((record, next)) = record(&bytes, at) {
            at = next;
            match record {
                Record::Page(page) => pages.push(page),
                Record::Git(folders) => git = Some(folders),
                Record::Mark { mark, end } => {
                    kept = kept.max(end);
                    if is_wanted(&mark) {
                        found = Some((pages.len(), at));
                        found_git.clone_from(&git);
                    }
                }
            }
        }
        let Some((count, at)) = found else { return Ok(None) };
        pages.truncate(count);
        let bytes = at as u64;
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        Ok(Some((Self { file, bytes }, Replayed { pages, git: found_git, end: kept })))
    }

    /// Writes what is known now, and that it is.
    pub(crate) fn write(
        &mut self,
        pages: Vec<Page>,
        git: Option<Vec<OsString>>,
        mark: &[u8],
        end: u64,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        for page in pages {
            push(&mut bytes, &Record::Page(page))?;
        }
        if let Some(folders) = git {
            push(&mut bytes, &Record::Git(folders))?;
        }
        push(&mut bytes, &Record::Mark { mark: mark.to_owned(), end })?;
        self.file.write_all(&bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Waits until it is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// How long it is.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn push(bytes: &mut Vec<u8>, record: &Record) -> io::Result<()> {
    let body = postcard::to_stdvec(record).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    bytes.extend(length.to_le_bytes());
    bytes.extend(crc32fast::hash(&body).to_le_bytes());
    bytes.extend(body);
    Ok(())
}

/// The record at a place, and where the next one is; `None` at the end, and for what is not whole.
fn record(bytes: &[u8], at: usize) -> Option<(Record, usize)> {
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (length, sum) = (number(at)?, number(at + 4)?);
    let start = at + HEAD_BYTES;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    let body = bytes.get(start..end).filter(|body| crc32fast::hash(body) == sum)?;
    Some((postcard::from_bytes(body).ok()?, end))
}

//! Contents, one after the other in one file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Where a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    at: u64,
    length: u64,
    /// Tells whether it is still what was kept.
    sum: u32,
}

/// The file.
pub(crate) struct Pack {
    state: Mutex<State>,
    cap_bytes: u64,
}

struct State {
    file: File,
    end: u64,
    /// How much is known to be on the disk.
    synced: u64,
}

impl Kept {
    pub(crate) fn length(self) -> u64 {
        self.length
    }
}

impl Pack {
    /// Nothing yet, in this empty file, of which at most so much is used.
    pub(crate) fn new(file: File, cap_bytes: u64) -> Self {
        Self::from(file, 0, cap_bytes)
    }

    /// One of which so much is used.
    pub(crate) fn from(file: File, end: u64, cap_bytes: u64) -> Self {
        Self { state: Mutex::new(State { file, end, synced: 0 }), cap_bytes }
    }

    /// Keeps a content; `None` if there is no more room.
    pub(crate) fn add(&self, bytes: &[u8]) -> io::Result<Option<Kept>> {
        let mut state = self.state();
        let (at, length) = (state.end, bytes.len() as u64);
        if at + length > self.cap_bytes {
            return Ok(None);
        }
        state.file.seek(SeekFrom::Start(at))?;
        state.file.write_all(bytes)?;
        state.end += length;
        Ok(Some(Kept { at, length, sum: crc32fast::hash(bytes) }))
    }

    /// Reads a content.
    pub(crate) fn read(&self, kept: Kept) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        let mut bytes = vec![0; usize::try_from(kept.length).map_err(io::Error::other)?];
        state.file.seek(SeekFrom::Start(kept.at))?;
        state.file.read_exact(&mut bytes)?;
        if crc32fast::hash(&bytes) != kept.sum {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "What was kept is damaged"));
        }
        Ok(bytes)
    }

    /// Waits until all contents are on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.synced < state.end {
            state.file.sync_data()?;
            state.synced = state.end;
        }
        Ok(())
    }

    /// The file.
    pub(crate) fn into_file(self) -> File {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).file
    }

    /// How much is used.
    pub(crate) fn used(&self) -> u64 {
        self.state().end
    }

    /// How much may be used.
    pub(crate) fn cap(&self) -> u64 {
        self.cap_bytes
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned state is whole: `end` moves last.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

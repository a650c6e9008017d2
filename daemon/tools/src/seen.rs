//! Which files a session has read, and what they were like then, so that it can be told when somebody else changed
//! one meanwhile.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use workspace::sight::Stamp;

/// Files that are remembered; those that were read first are forgotten first.
const MAX_FILES: usize = 2_000;

/// Which files a session has read.
#[derive(Debug, Default)]
pub(crate) struct SeenFiles(Mutex<Files>);

#[derive(Debug, Default)]
struct Files {
    stamps: HashMap<PathBuf, Stamp>,
    order: VecDeque<PathBuf>,
}

impl SeenFiles {
    /// The session knows this file, by its real path, as it is now.
    pub(crate) fn note(&self, real: PathBuf, stamp: Stamp) {
        let mut files = self.files();
        if files.stamps.insert(real.clone(), stamp).is_none() {
            files.order.push_back(real);
            if files.order.len() > MAX_FILES
                && let Some(first) = files.order.pop_front()
            {
                files.stamps.remove(&first);
            }
        }
    }

    /// Whether the session knows the file as something else than this.
    pub(crate) fn is_changed(&self, real: &Path, now: &Stamp) -> bool {
        self.files().stamps.get(real).is_some_and(|known| !known.is_same(now))
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        // A poisoned memory has at worst one file too many.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What is kept of servers beyond the life of a daemon: their tools as they were known last, and which definitions a
//! person let pass. In a file that its user alone can read.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::definition::Offer;

/// The largest file that is read.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Servers whose tools are kept; those of others are forgotten.
const MAX_SERVERS: usize = 64;
/// Tools that are remembered as let pass, and as called.
const MAX_PASSED: usize = 4096;

/// What is kept.
pub struct Memory {
    file: PathBuf,
    kept: Mutex<Kept>,
    /// Held while the file is written, so that the last state of it is the last one there.
    writing: Mutex<()>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// By the server's identity.
    offers: BTreeMap<String, Offer>,
    /// By the server's name and the model's name of the tool: the digest that was let pass.
    passed: BTreeMap<String, String>,
    /// By the same: the digest that was called last without a question.
    called: BTreeMap<String, String>,
}

impl Memory {
    /// Reads what was kept; nothing, if it can't be read. Blocks for as long as reading a file takes.
    #[must_use]
    pub fn open(file: PathBuf) -> Arc<Self> {
        let kept = read(&file).unwrap_or_default();
        Arc::new(Self { file, kept: Mutex::new(kept), writing: Mutex::default() })
    }

    pub(crate) fn offer(&self, identity: &str) -> Option<Offer> {
        self.lock().offers.get(identity).cloned()
    }

    /// Keeps what a server offers.
    pub(crate) fn keep(self: &Arc<Self>, identity: &str, offer: &Offer) {
        {
            let mut kept = self.lock();
            if kept.offers.get(identity).is_some_and(|known| known == offer) {
                return;
            }
            if kept.offers.len() >= MAX_SERVERS && !kept.offers.contains_key(identity) {
                kept.offers.pop_first();
            }
            kept.offers.insert(identity.to_owned(), offer.clone());
        }
        self.save();
    }

    /// What was let pass of a tool, if anything was.
    pub(crate) fn passed(&self, server: &str, tool: &str) -> Option<String> {
        self.lock().passed.get(&key(server, tool)).cloned()
    }

    /// Lets a definition of a tool pass, in place of an earlier one.
    pub fn pass(self: &Arc<Self>, server: &str, tool: &str, definition: &str) {
        let is_news = note(&mut self.lock().passed, key(server, tool), definition);
        if is_news {
            self.save();
        }
    }

    /// What was called last of a tool without a question, if anything was.
    pub(crate) fn called(&self, server: &str, tool: &str) -> Option<String> {
        self.lock().called.get(&key(server, tool)).cloned()
    }

    /// Keeps what is called without a question; later definitions are held against it.
    pub(crate) fn call(self: &Arc<Self>, server: &str, tool: &str, definition: &str) {
        let is_news = note(&mut self.lock().called, key(server, tool), definition);
        if is_news {
            self.save();
        }
    }

    /// Keeps what a person let pass for once, if nothing is known so far: a description that comes later is another one,
    /// also if it says that the tool only reads.
    pub(crate) fn meet(self: &Arc<Self>, server: &str, tool: &str, definition: &str) {
        let is_news = {
            let mut kept = self.lock();
            let key = key(server, tool);
            !kept.called.contains_key(&key) && note(&mut kept.called, key, definition)
        };
        if is_news {
            self.save();
        }
    }

    /// Writes beside the runtime's own threads, where there is one. What can't be written is asked about again.
    fn save(self: &Arc<Self>) {
        let memory = Arc::clone(self);
        let write = move || {
            let _writing = memory.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = memory.lock().clone();
            if let Err(error) = write(&memory.file, &kept) {
                tracing::warn!(%error, "what is known of MCP servers could not be written down");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(write)),
            Err(_) => write(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A poisoned map is whole: each change is one call.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it was another one before.
fn note(digests: &mut BTreeMap<String, String>, key: String, digest: &str) -> bool {
    if digests.len() >= MAX_PASSED && !digests.contains_key(&key) {
        digests.pop_first();
    }
    digests.insert(key, digest.to_owned()).as_deref() != Some(digest)
}

fn key(server: &str, tool: &str) -> String {
    format!("{server} {tool}")
}

fn read(file: &Path) -> Option<Kept> {
    if std::fs::metadata(file).ok()?.len() > MAX_BYTES {
        return None;
    }
    let bytes = std::fs::read(file).ok()?;
    serde_json::from_slice(&bytes)
        .inspect_err(|error| tracing::warn!(%error, "what is known of MCP servers is malformed"))
        .ok()
}

/// A file that is made anew belongs to its user alone, and takes the place of the old one at once.
fn write(file: &Path, kept: &Kept) -> std::io::Result<()> {
    let folder = file.parent().ok_or_else(|| std::io::Error::other("it has no folder"))?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(&serde_json::to_vec(kept)?)?;
    new.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_again_and_a_malformed_file_is_nothing() {
        let scratch = tempfile::tempdir().expect("scratch");
        let file = scratch.path().join("mcp.json");
        let memory = Memory::open(file.clone());
        memory.pass("docs", "mcp__docs__a", "one");
        memory.call("docs", "mcp__docs__b", "two");
        memory.keep("id", &Offer::default());
        let again = Memory::open(file.clone());
        assert_eq!(again.passed("docs", "mcp__docs__a").as_deref(), Some("one"));
        assert_eq!(again.passed("docs", "mcp__docs__b"), None, "called, but not let pass");
        assert_eq!(again.called("docs", "mcp__docs__b").as_deref(), Some("two"));
        assert_eq!(again.offer("id"), Some(Offer::default()));
        std::fs::write(&file, "{").expect("write");
        assert_eq!(Memory::open(file).passed("docs", "mcp__docs__a"), None);
    }
}

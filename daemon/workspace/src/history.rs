//! What stood in a folder before something changed it, and how to bring it back. A `Tree` is looked through before and
//! after a command and tells what became different; `Version` is what stands under one path; `restore` puts an earlier
//! one back. Knows nothing of sessions, and never touches what belongs to git.
//!
//! The contents of a tree are kept in a file without a name, one after the other, so that a change can be told with
//! what was there before. Files are told apart by device, inode, size and times; those that changed a moment ago, and
//! those whose times say that they did, are read. A folder is listed again only when its own times say that a name came,
//! went or became something else, as far as it is on a file system that is known to tell.
//!
//! By name are left out, wherever they stand: `.git`, `.hg`, `.jj`, `.svn`, `node_modules`, `target`, `.venv`,
//! `__pycache__`, `.tox`, `.gradle`, `.mypy_cache`, `.pytest_cache`, `.ruff_cache`, `.next` and `.turbo`. Nothing that a
//! command can write decides about it, ignore files neither, so that `.env` is covered.

mod error;
mod journal;
mod pack;
mod restore;
mod tree;
mod version;

pub use error::HistoryError;
pub use pack::Kept;
pub use restore::{restore, sync, sync_names, tidy};
pub use tree::{Change, Entry, Tree};
pub use version::{Version, VersionKind, look};

#[cfg(test)]
mod tests;

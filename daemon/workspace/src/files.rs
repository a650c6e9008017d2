//! Files that the daemon reads and changes itself, on behalf of a session.

mod commit;
mod draft;
mod error;
mod text;

pub use draft::{Content, Draft};
pub use error::{CommitError, FileError, LeftChanged};
pub(crate) use text::{read_beginning, read_text};

#[cfg(test)]
mod tests;

//! The patch format that models write: its grammar, and where its hunks belong in a text. Pure: looks at no
//! file. `apply_patch` carries patches out.
//!
//! `parse` turns a text into `section`s; `apply` changes the text of one file by the hunks of its section, with
//! `lines` (line endings), `locate` (the four passes) and `closest` (what an error shows); `heredoc` knows
//! patches that come as a shell command; `diff` shows what changed.

pub(crate) mod apply;
mod closest;
pub(crate) mod diff;
pub(crate) mod heredoc;
mod lines;
mod locate;
pub(crate) mod parse;
pub(crate) mod section;

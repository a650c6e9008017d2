//! Searches through a tree of files.

mod error;
mod find;
mod grep;
mod lines;

pub use error::SearchError;
pub use find::{Find, FoundNames, find};
pub use grep::{Case, Grep, GrepOutcome, Want, grep};
pub use lines::{FileMatches, Line};

#[cfg(test)]
mod tests;

//! What keeps the repository tidy: who imports whom, how long files are, what every file must have and none may.
//! Knows files and manifests, nothing of what the code does.
//!
//! Each module is one rule: a function from texts to complaints, tests that show what it catches, and one test
//! that runs it over the repository. A complaint names the place and says what is wanted instead.

#![expect(clippy::unwrap_used, clippy::panic, reason = "all of this crate is tests, its helpers too")]

mod generated;
mod habits;
mod layers;
mod modules;
mod package;
mod reachable;
mod size;
mod source;
mod top_level;

/// Fails with all complaints, one per line.
fn expect_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaint(s):\n{}", complaints.len(), complaints.join("\n"));
}

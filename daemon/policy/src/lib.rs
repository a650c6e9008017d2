//! What the agent may do. Pure: looks at no file, clock or process.
//!
//! `profile` resolves a session's settings to what commands may touch; `decision` says of one action whether
//! it runs, is asked about, or is refused; `harmless` knows the commands that `untrusted` lets pass.
//!
//! A command is judged by what it would run: `analysis` finds every command in it, inside scripts and wrappers too;
//! `rules` reads what people wrote and matches it against those; `danger` names what does damage; `verdict` puts them
//! together.

pub mod analysis;
mod danger;
pub mod decision;
pub mod harmless;
pub mod profile;
pub mod rules;
pub mod verdict;

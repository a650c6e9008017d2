//! What the agent may do. Pure: looks at no file or process, and at a clock only to give up on a script that takes too
//! long to parse.
//!
//! `profile` resolves a session's settings to what commands may touch; `decision` names what can be asked about;
//! `harmless` knows the commands that `untrusted` lets pass; `late` the files that something runs later.
//!
//! A command is judged by what it would run: `analysis` finds every command in it, inside scripts and wrappers too;
//! `rules` holds what people wrote and matches it against those; `danger` names what does damage, seen from its
//! `workplace`, `download` whether a script runs what it fetches; `verdict` puts them together. `started` says what the
//! rules say of a program that a running command starts.
//!
//! `network` finds the rule that decides about a connection.

pub mod analysis;
mod danger;
pub mod decision;
mod download;
mod harmless;
pub mod late;
pub mod network;
pub mod profile;
pub mod rules;
pub mod started;
pub mod verdict;
mod workplace;

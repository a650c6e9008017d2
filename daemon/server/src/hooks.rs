//! Hooks: the programs that people, and folders that they trust, have run in the course of a session. `book` knows
//! which there are, `told` what each is told and which names its matcher is held against, `run` runs one, `costs`
//! counts what that took, and `ask` puts what all of them say together for a session.
//!
//! They run outside of any sandbox, as the user's own programs, so a folder's are run only as they were trusted, which
//! is looked at before each run, and sessions' commands can't write the files that they name. They are given no keys.
//! What a model made of text comes to them as JSON on their standard input and never in their command.

mod ask;
mod book;
mod costs;
mod run;
mod told;

pub(crate) use ask::Hooks;
pub(crate) use book::problems;

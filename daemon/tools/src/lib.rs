//! The tools that a model can call.
//!
//! A tool (`tool::Tool`) has three parts. Its **specification** is what the model is told: a name, a few words,
//! a schema or a grammar; every byte of it is sent with every request. Its **handler**, `prepare`, understands a
//! call and makes an item of it; it is pure, so that the item is in the log before anything happens, and what
//! is asked of a person is what will run. Its **runtime**, `run`, carries the item out and fills in the outcome,
//! within a profile that it is given; it always ends. The `registry` holds the tools by name, and gives an item
//! to the runtime that it belongs to, whichever call it came from.
//!
//! `standard` puts together those that every session has. `shell` runs a command to its end through the crate
//! `sandbox`, with `output` keeping what it prints in bounds and `plain` making it harmless. `exec_command` starts one
//! that may go on and `write_stdin` goes back to it; `processes` keeps them. `apply_patch` changes files: `patch` is its
//! format, `changes` carries a patch out through the crate `workspace`, and `diagnostics` tells the errors that came with
//! it. A patch that a model gives to the shell becomes
//! the same item. `read_file`, `list_dir`, `grep`, `find_files` and `view_image` look at files, also through
//! `workspace`, which asks the profile about each. These and the tools that ask a person are each a `function`, with
//! its `arguments` as one type; every tool has its description in an `.md` of its name.
//!
//! Where rules have a say in the programs that a command starts, those wait: `interception` has the `judge` of the
//! session decide, asks a person, and runs outside what may leave; `program` knows whether that is what its name says.
//! A command that may leave as a `whole` is held to the same before it begins.
//! What the sandbox stopped may run `again`, if a person or a rule says so: the programs that were stopped outside of it
//! and the rest inside, or the whole outside where they can't be told apart (`way_out`).
//!
//! `spawn_agent` and its like reach the `agents` of the session, other sessions that work for it; what those are is known
//! elsewhere.
//!
//! A tool that runs may call others (`tool::Caller`); those of other crates are handed to `standard`.
//!
//! What a session's tools keep between calls, processes and the files that were `seen`, are its `belongings`. The
//! session owns them, so nothing of them is within reach of another one, and they end with it.
//!
//! Where the profile opens the network by rule, `network` decides about the connections of a command.
//!
//! What is wrong with a call is a `CallError`, or a message in the item; both are for the model. Nothing here
//! knows of sessions, of providers, or decides what is allowed.

mod again;
pub mod agents;
pub mod apply_patch;
mod arguments;
pub mod belongings;
mod changes;
mod close_agent;
pub mod diagnostics;
mod exec_command;
mod find_files;
mod function;
mod grep;
mod interception;
pub mod judge;
mod leave;
mod list_agents;
mod list_dir;
mod network;
pub mod output;
pub mod own_model;
mod patch;
mod plain;
mod processes;
mod program;
mod read_file;
pub mod registry;
mod request_permissions;
mod request_user_input;
mod seen;
mod send_agent;
pub mod shell;
mod spawn_agent;
pub mod standard;
mod stopped;
mod terminal;
pub mod tool;
pub mod tool_search;
pub mod tool_suggest;
mod update_plan;
pub mod view_image;
mod wait_agent;
mod wait_for;
mod way_out;
mod whole;
mod write_stdin;

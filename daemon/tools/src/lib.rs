//! The tools that a model can call.
//!
//! A tool (`tool::Tool`) has three parts. Its **specification** is what the model is told: a name, a few words,
//! a schema or a grammar; every byte of it is sent with every request. Its **handler**, `prepare`, understands a
//! call and makes an item of it; it is pure, so that the item is in the log before anything happens, and what
//! is asked of a person is what will run. Its **runtime**, `run`, carries the item out and fills in the outcome,
//! within a profile that it is given; it always ends. The `registry` holds the tools by name, and gives an item
//! to the runtime that it belongs to, whichever call it came from.
//!
//! `shell` runs commands through the crate `sandbox`, with `output` keeping what they print in bounds.
//! `apply_patch` changes files: `patch` is its format, `changes` carries a patch out through the crate
//! `workspace`. A patch that a model gives to the shell becomes the same item.
//!
//! What is wrong with a call is a `CallError`, or a message in the item; both are for the model. Nothing here
//! knows of sessions, of providers, or decides what is allowed.

pub mod apply_patch;
mod changes;
pub mod output;
mod patch;
pub mod registry;
pub mod shell;
pub mod tool;

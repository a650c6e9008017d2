//! The wire: every type and every call that clients and the daemon exchange. Imports nothing of ours, does no
//! IO. What this crate says is what the domain means: the daemon works with these types, there is no second
//! copy.
//!
//! # Words
//! - **session**: a conversation in a folder, with its settings. Lives until it is archived or deleted.
//! - **turn**: from an input to the model's last word. A session runs one turn at a time.
//! - **item**: one thing in a turn: a message, reasoning, a command, a change of files, a tool call, a notice.
//! - **event**: a durable fact about a session, numbered without a gap by its **seq**.
//! - **delta**: a volatile piece of an item that grows.
//! - **snapshot**: a session as of a seq. **attach**: a snapshot, or the events since a seq, and then the rest.
//! - **question**: anything that waits for a person. **answer**: a decision, who made it, and when.
//! - **rewind**: turns are taken back: what they changed in files, what was said, or both. The log keeps them.
//! - **review**: what a session that may only read found wrong with a change, as **findings**.
//! - **agent**: a session that the model of another session, its **parent**, started to work for it.
//! - **profile**: what a command may touch. **approval**: when a person is asked.
//!
//! # Lifecycle
//! JSON-RPC 2.0 over WebSocket over a local socket. `initialize` comes first; every other call is refused
//! before it. Calls on one connection may be answered in any order. A connection that closes cancels nothing
//! but its own subscriptions.
//!
//! # One session
//! ```text
//! → initialize      {clientName: "skein exec", protocol: {min: 1, max: 1}, …}
//! ← {protocol: 1, clientId, epoch, …}
//! → session/create  {cwd: "/repo"}
//! ← {summary: {id, seq: 1, …}}
//! → session/attach  {sessionId}
//! ← session/feed    snapshot, seq 1
//! → turn/start      {sessionId, input: [{type: "text", text: "make the test pass"}]}
//! ← {turnId, seq: 2}
//! ← session/feed    batch: turnStarted, itemStarted (userMessage), modelRequested, …, turnEnded
//! ```
//!
//! # Versions
//! Adding a method, a field or a variant keeps the version: readers ignore fields they do not know, and every
//! enum that is read from the wire has an `Unknown` variant that survives a round trip. Removing or changing
//! needs a new number.

pub mod account;
pub mod agent;
pub mod api;
pub mod catalogue;
pub mod client_tool;
pub mod config;
pub mod context;
pub mod daemon;
pub mod delta;
pub mod diff;
pub mod error;
pub mod event;
pub mod hook;
pub mod ids;
pub mod initialize;
pub mod item;
pub mod language_server;
pub mod mcp;
pub mod model;
mod number;
pub mod output;
pub mod profile;
pub mod question;
pub mod queue;
pub mod review;
pub mod rewind;
pub mod session;
pub mod skill;
pub mod text;
pub mod tool;
pub mod trust;
pub mod turn;
pub mod usage;
pub mod version;
pub mod web;

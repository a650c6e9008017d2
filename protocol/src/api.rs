//! The one method table. Each resource has a trait that jsonrpsee turns into a server and a client.
//! Parameters are one JSON object, `"params": {…}`, which may also stand alone in an array, as jsonrpsee's clients
//! send it; `methods` lists all of them for documents and tests.

pub mod account;
pub mod agent;
pub mod config;
pub mod daemon;
pub mod diff;
pub mod hook;
pub mod initialize;
pub mod language_server;
pub mod mcp;
pub mod methods;
pub mod model;
pub mod output;
pub mod question;
pub mod queue;
pub mod rewind;
pub mod session;
pub mod skill;
pub mod tool;
pub mod trust;
pub mod turn;
pub mod usage;

//! The real binary over a real socket, against a model server that follows a script. One module per promise
//! that a user can see. Knows nothing of the daemon's insides.

#![expect(clippy::unwrap_used, clippy::panic, reason = "all of this crate is tests, its helpers too")]

mod activation;
mod approvals;
mod background;
mod budgets;
mod cli;
mod crash;
mod daemon;
mod demo;
mod disk;
mod exec;
mod exec_json;
mod failures;
mod hands;
mod login;
mod many;
mod models;
mod network;
mod notify;
mod permissions;
mod policy;
mod provider;
mod replay;
mod sandbox;
mod scene;
mod sdk;
mod secrets;
mod security;
mod sessions;
mod threats;
mod tools;
mod tui;
mod typing;
mod upgrade;
mod usage;
mod wire_apis;

//! The real binary over a real socket, against a model server that follows a script. One module per promise
//! that a user can see. Knows nothing of the daemon's insides.

#![expect(clippy::unwrap_used, clippy::panic, reason = "all of this crate is tests, its helpers too")]

mod acp;
mod activation;
mod approvals;
mod background;
mod budgets;
mod cli;
mod crash;
mod daemon;
mod demo;
mod disk;
mod escalation;
mod exec;
mod exec_json;
mod failures;
mod hands;
mod hooks;
mod interception;
mod login;
mod many;
mod mcp;
mod mcp_server;
mod models;
mod network;
mod notify;
mod permissions;
mod policy;
mod provider;
mod published;
mod replay;
mod review;
mod rewind;
mod sandbox;
mod scene;
mod sdk;
mod secrets;
mod security;
mod sessions;
mod threats;
mod tools;
mod trust;
mod tui;
mod typing;
mod upgrade;
mod usage;
mod wire_apis;
mod worktree;

//! The daemon: the only crate of it that knows JSON-RPC, and the place where its parts are put together.
//!
//! How a call travels: `lifecycle` takes the home, opens the store, recovers sessions and listens. `listener`
//! accepts a connection of the same user, wraps it so that it pushes back, and upgrades it to WebSocket;
//! `connection` is who it is. Each call passes the guard of `middleware` (initialize first, a limit of calls under
//! way, a deadline, a span) and comes to a file of `handlers`, which asks a session through its handle and shapes
//! the answer. A client that follows a session is served by `subscription`.
//!
//! What sessions need of the world is in `wiring`: providers, profiles (made in `reach`), environments. Who a provider
//! knows its user as is in `accounts` and `logins` (with MCP servers in `mcp_logins`), how it is reached in `route`,
//! what is known of models in `models`, and which one is taken when nobody chooses in `choice`. The world is made of
//! `settings` (from `config.toml` and what a client asks for), `circumstances` (what is known of a session in memory
//! only), `environment` (what commands see) and `rules` (the files that people write rules in). `recovery` lets turns
//! of the daemon before go on, `notify` tells a person who looks elsewhere. `input` takes in what people say, `logs`
//! writes the log, `process` and `signals` are the daemon's own process.
//!
//! `agents` says how many agents a session may have, and what these have of it.
//! `offered` says which tools models have, and why not others.
//! `skills` finds the instructions for particular tasks that a session has.
//! `diagnostics` chooses the language servers that look at what was changed.
//! `files` watches what calls change in files. `story` reads out of
//! a log what there is to take back, `rewind` holds it against what stands there now, `difference` shows it as text.
//!
//! `local` is what the command line does without a daemon, over the same parts.

mod accounts;
mod agents;
mod by_hand;
mod check;
mod choice;
mod circumstances;
mod connection;
mod daemon;
mod diagnostics;
mod difference;
mod environment;
mod error;
mod files;
mod handlers;
mod hooks;
mod input;
mod lifecycle;
mod listener;
mod loads;
pub mod local;
mod logins;
mod logs;
mod mcp;
mod mcp_logins;
mod mcp_prompts;
mod middleware;
mod models;
mod notify;
mod offered;
mod own_tools;
mod process;
mod projects;
mod reach;
mod recovery;
mod rewind;
mod route;
mod rules;
mod settings;
mod signals;
mod skills;
mod stop;
mod story;
pub mod subscription;
mod trust;
mod wiring;

pub use ::javascript::run_if_interpreter as run_if_javascript;
pub use ::rules::run_if_reader as run_if_rule_reader;
pub use error::ServerError;
pub use lifecycle::{DaemonOptions, run_daemon};
pub use logs::LogError;

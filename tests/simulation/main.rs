//! A daemon's sessions against everything at once: clients that write, lag, vanish and come back, a disk that is slow
//! or full, a model and tools that fail, and a daemon that crashes between any two effects.
//!
//! One seed is one run: a paused clock, one thread, and all chance from the seed, so that a seed that fails fails
//! again. `run` is the course of a run, with several lives of a daemon; `universe` is what outlives them. `disk`,
//! `model`, `tool` and `world` stand in for what the daemon hands to its sessions; everything between them and the
//! clients is the real code. `client` does what people do, `view` is what a client knows, `ledger` is a session's
//! log with what must hold of it. What the seeds found is in `found`, each the shortest way.
//!
//! `SKEIN_SEED=7 cargo test -p skein-tests --test simulation one_seed -- --nocapture` tells one run line by line.
//! Knows nothing of sockets, JSON-RPC, SQL, sandboxes and processes; the end-to-end tests have those.

#![expect(clippy::unwrap_used, reason = "all of this crate is tests, its helpers too")]

mod actions;
mod client;
mod clock;
mod dice;
mod disk;
mod found;
mod fuse;
mod ledger;
mod model;
mod plan;
mod requests;
mod run;
mod seeds;
mod tool;
mod trace;
mod universe;
mod view;
mod wire;
mod world;

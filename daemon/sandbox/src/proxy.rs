//! The way of commands into the network: HTTP, CONNECT and SOCKS5 on one listener, each connection checked. Knows
//! neither rules nor people: a [`Gate`] decides. Local sockets are none of its business.
//!
//! `server` takes connections and tells by the first byte what they speak; `http` and `socks` read whom a command wants
//! to reach; `host` takes no spelling but the plain one; `reach` asks the gate, resolves the name once, refuses what
//! the internet does not have, and connects to the very address that it checked.

mod activity;
mod address;
mod gate;
mod host;
mod http;
mod reach;
mod resolver;
mod server;
mod socks;
mod target;

pub use gate::{Attempt, Gate, Verdict};
pub use resolver::{Resolver, SystemResolver};
pub use server::{ProxyLimits, ProxyServer};
pub use target::{Local, Target};

//! The proxy of commands, over real sockets on loopback: what goes through it, what does not, and that nothing piles up.

#![expect(clippy::expect_used, reason = "all of this crate is tests, its helpers too")]

mod bounds;
mod bridge;
mod gate;
mod http;
mod scene;
mod socks;
mod tricks;

//! The launcher with the real helper on the real machine: what is confined, from outside and from inside.
//! Each test runs on every rung that it applies to. A rung that the machine does not have is said loudly and
//! recorded as skipped.

#![expect(clippy::expect_used, clippy::panic, reason = "all of this crate is tests, its helpers too")]

mod files;
mod interception;
mod isolation;
mod launcher;
mod limits;
mod people;
mod processes;
mod reach;
mod reap;
mod replaced;
mod site;
mod terminals;

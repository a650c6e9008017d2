//! What commands in the sandbox try in order to get out, judged by what it did, seen from outside; and honest work that
//! has to go on inside. Each on every rung that the machine has, as root and as an ordinary user. Knows the command
//! line's `skein sandbox`, which runs what a session would; knows nothing of how it confines.

#![expect(clippy::unwrap_used, reason = "all of this crate is tests, its helpers too")]

mod attempt;
mod attempts;
mod bombs;
mod honest;
mod suite;
mod witness;
mod yard;

//! Keys: one type that hides them, where they are kept, and clients whose key changes while they live.

pub mod command;
pub mod error;
mod keyring;
pub mod renewing;
pub mod secret;
pub mod source;
pub mod vault;

//! What the agent may do. Pure: looks at no file, clock or process.
//!
//! `profile` resolves a session's settings to what commands may touch; `decision` says of one action whether
//! it runs, is asked about, or is refused; `harmless` knows the commands that `untrusted` lets pass.

pub mod decision;
pub mod harmless;
pub mod profile;

//! What the model is shown: the system prompt, and the session's items as a conversation. Knows nothing of
//! providers, storage or how a session runs.
//!
//! `instructions` makes the system prompt; `history` turns items into the model's input. Both are functions of
//! the log alone, so that the same session always gives the same bytes, and one request is a prefix of the
//! next.

pub mod history;
pub mod instructions;

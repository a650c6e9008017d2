//! What the model is shown: the system prompt, and the session's items as a conversation. Knows nothing of
//! providers, storage or how a session runs.
//!
//! `instructions` makes the system prompt; `history` turns items into the model's input. Both are functions of
//! the log alone, so that the same session always gives the same bytes, and one request is a prefix of the
//! next. A session that outgrows its model's context is compacted: `compaction` asks for a summary and says what the
//! model is shown in place of all before it, `carried` is what stands beside the summary as it was, `transcript` a
//! conversation as text, cut to a size, for where it can't be sent as it is. `size` tells how large a request is.

pub mod carried;
pub mod compaction;
pub mod history;
pub mod instructions;
pub mod size;
pub mod transcript;

mod shorten;

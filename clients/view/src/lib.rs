//! What a screen shows of a session: a pure fold of snapshots, events, deltas and presence.
//!
//! `View` takes what the daemon sends and keeps two things: blocks, in the order they are read, and a `Status`. A block
//! that can't change any more is handed out once, by `View::take_finished`, and forgotten; what is left is small
//! however long the session is. A long message is handed out in pieces, cut where the text says and not when it came,
//! so that all screens show the same. A snapshot or an event that was seen before changes nothing, so attaching again
//! never shows anything twice. `escape`, `fold` and `words` turn content into harmless text, in the words that people
//! read, `reviews` those of reviews; `replies` reads what was filled into a form. Knows nothing of terminals, colours
//! and widths.

mod block;
mod changes;
pub mod escape;
pub mod fold;
pub mod replies;
pub mod reviews;
mod settled;
mod status;
mod view;
pub mod words;

pub use block::{Block, BlockBody, Joint, Message, MessageEnd};
pub use changes::{Change, NamedInstructions};
pub use status::{Activity, Link, Status, effort_text};
pub use view::View;

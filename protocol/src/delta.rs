//! Deltas: volatile pieces of items that grow; and the feed that carries events and deltas to a client.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::ProtocolError;
use crate::event::EventRecord;
use crate::ids::{ItemId, Seq};
use crate::session::{Presence, SessionSnapshot};
use crate::usage::BudgetUse;

/// A piece of an item in progress. May be merged or left out for a slow client; the completed item has it all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    /// The item.
    pub item_id: ItemId,
    /// Where the text goes in the item's text (message, reasoning summary, or command output), in bytes of
    /// UTF-8. A client that is there already skips the overlap.
    pub offset_bytes: u64,
    /// The text.
    pub text: String,
}

/// One notification of `session/attach`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum SessionFeed {
    /// All there is so far. First, unless `since` was given.
    Snapshot(Box<SessionSnapshot>),
    /// What happened next.
    Batch(FeedBatch),
    /// The client fell behind; the subscription ends. Attach again with `since` = `from` - 1.
    Lagged(Lagged),
    /// The subscription ends for another reason: the session was deleted, the log can't be written.
    Closed(ProtocolError),
    /// A notification of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// What happened next, in order. A batch holds no more than fits in a frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FeedBatch {
    /// Events and deltas, as they happened.
    pub entries: Vec<FeedEntry>,
}

/// An event or a delta.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "nearly all entries that are kept are events")]
pub enum FeedEntry {
    /// Durable.
    Event(EventRecord),
    /// Volatile.
    Delta(Delta),
    /// Who is there now. Volatile: only the last one counts.
    Presence(Presence),
    /// How much of the session's ceilings is spent. Volatile: only the last one counts.
    Budget(BudgetUse),
    /// An entry of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// The client fell behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lagged {
    /// The first event that was not sent.
    pub from: Seq,
    /// The last event there is.
    pub to: Seq,
}

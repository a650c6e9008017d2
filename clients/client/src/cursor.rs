//! Where a client is in a session's log, and what of a feed's messages is new to it. Pure: knows no connection.

use protocol::delta::{FeedEntry, SessionFeed};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::Seq;

use crate::attached::Update;

/// The last event that was handed out; none until a snapshot came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    last: Option<Seq>,
}

/// What comes of a message.
#[derive(Debug)]
pub enum Taken {
    /// This is new, in order.
    New(Vec<Update>),
    /// The feed is over, and the session may go on: attach again, after [`Cursor::since`]. With the daemon's word for
    /// it, if it gave one.
    AttachAgain(Option<ProtocolError>),
    /// The session can't be followed any more.
    Over(ProtocolError),
}

impl Cursor {
    /// One that has seen everything up to `since`, or nothing yet.
    #[must_use]
    pub fn new(since: Option<Seq>) -> Self {
        Self { last: since }
    }

    /// From where to attach.
    #[must_use]
    pub fn since(&self) -> Option<Seq> {
        self.last
    }

    /// Takes the next message of the feed.
    pub fn take(&mut self, message: SessionFeed) -> Taken {
        match message {
            SessionFeed::Snapshot(snapshot) => {
                self.last = Some(snapshot.summary.seq);
                Taken::New(vec![Update::Snapshot(snapshot)])
            }
            SessionFeed::Batch(batch) => Taken::New(self.unseen(batch.entries)),
            SessionFeed::Lagged(lagged) => {
                tracing::debug!(from = lagged.from.0, to = lagged.to.0, "fell behind; attaching again");
                Taken::AttachAgain(None)
            }
            // The daemon stops, or could not write; attaching again tells whether the session goes on.
            SessionFeed::Closed(error) if error.code == ErrorCode::Unavailable => {
                tracing::debug!(%error, "the feed was closed; attaching again");
                Taken::AttachAgain(Some(error))
            }
            SessionFeed::Closed(error) => Taken::Over(error),
            SessionFeed::Unknown(_) => Taken::New(Vec::new()),
        }
    }

    /// Events that were not handed out before, deltas, and the last word on who is there.
    fn unseen(&mut self, entries: Vec<FeedEntry>) -> Vec<Update> {
        let mut last = self.last.unwrap_or(Seq::ZERO);
        let mut presence = None;
        let mut unseen = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry {
                FeedEntry::Event(record) if record.seq <= last => {}
                FeedEntry::Event(record) => {
                    last = record.seq;
                    unseen.push(FeedEntry::Event(record));
                }
                FeedEntry::Presence(now) => presence = Some(now),
                FeedEntry::Delta(_) | FeedEntry::Budget(_) | FeedEntry::Unknown(_) => unseen.push(entry),
            }
        }
        self.last = Some(last);
        let mut updates = Vec::new();
        if !unseen.is_empty() {
            updates.push(Update::Entries(unseen));
        }
        updates.extend(presence.map(Update::Presence));
        updates
    }
}

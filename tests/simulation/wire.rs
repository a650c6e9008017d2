//! The way from a daemon to a client that follows a session: what the real subscription sends, as JSON, a few messages
//! at a time. A client that does not read holds it up; one that goes away closes it.

use std::sync::Arc;

use protocol::delta::SessionFeed;
use serde_json::value::RawValue;
use server::subscription::{self, Gone, Sink};
use session::handle::{Feed, FeedStart};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::universe::Universe;

/// Messages under way.
const MESSAGES: usize = 4;

/// The client's end.
pub(crate) struct Wire {
    messages: mpsc::Receiver<Box<RawValue>>,
    /// Events that the client missed and that have not come yet.
    pub(crate) missed: usize,
    _sending: AbortOnDropHandle<()>,
}

impl Wire {
    /// Sends a feed from now on.
    pub(crate) fn of(feed: Feed, universe: &Arc<Universe>) -> Self {
        let (sender, messages) = mpsc::channel(MESSAGES);
        let missed = match &feed.first {
            FeedStart::Snapshot(_) => 0,
            FeedStart::Events(records) => records.len(),
        };
        let end = DaemonEnd { sender, universe: Arc::clone(universe) };
        let sending = AbortOnDropHandle::new(tokio::spawn(subscription::run(end, feed)));
        Self { messages, missed, _sending: sending }
    }

    /// The next message; `None` at the end of the feed. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<SessionFeed> {
        let message = self.messages.recv().await?;
        Some(serde_json::from_str(message.get()).unwrap())
    }
}

struct DaemonEnd {
    sender: mpsc::Sender<Box<RawValue>>,
    universe: Arc<Universe>,
}

impl Sink for DaemonEnd {
    async fn send(&self, message: Box<RawValue>) -> Result<(), Gone> {
        self.universe.fuse.point().await;
        self.sender.send(message).await.map_err(|_| Gone)
    }

    async fn closed(&self) {
        self.sender.closed().await;
    }
}

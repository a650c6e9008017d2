//! Following one session without a gap: every event once and in order, over lag, lost connections and restarts
//! of the daemon.

use std::time::{Duration, Instant};

use jsonrpsee::core::client::Subscription;
use protocol::api::session::SessionClient;
use protocol::delta::{FeedEntry, SessionFeed};
use protocol::error::ErrorCode;
use protocol::ids::{Seq, SessionId};
use protocol::session::{SessionAttachParams, SessionSnapshot};
use tracing::debug;

use crate::connection::Connection;
use crate::error::ClientError;

/// How long a lost daemon is looked for.
const RECONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Feeds that end one after the other without a word.
const EMPTY_FEEDS: u32 = 5;

/// What happened.
#[derive(Debug)]
pub enum Update {
    /// All there is so far; replaces what was known.
    Snapshot(Box<SessionSnapshot>),
    /// What happened next.
    Entries(Vec<FeedEntry>),
    /// The connection broke; the next call looks for the daemon.
    Lost,
    /// The daemon was found again. Events go on where they stopped; deltas in between are missing.
    Back {
        /// Whether it is another process than before.
        is_new_daemon: bool,
    },
}

/// A session that is followed.
pub struct Attached {
    connection: Connection,
    session: SessionId,
    can_answer: bool,
    /// The last event that was handed out; absent until a snapshot came.
    last: Option<Seq>,
    feed: Option<Subscription<SessionFeed>>,
    empty_feeds: u32,
    lost_at: Option<Instant>,
}

impl Attached {
    /// Attaches: after `since`, or with a snapshot first.
    ///
    /// # Errors
    /// When the daemon refuses, or is lost at once.
    pub async fn open(
        connection: Connection,
        session: SessionId,
        since: Option<Seq>,
        can_answer: bool,
    ) -> Result<Self, ClientError> {
        let mut attached =
            Self { connection, session, can_answer, last: since, feed: None, empty_feeds: 0, lost_at: None };
        attached.feed = Some(attached.attach().await?);
        Ok(attached)
    }

    /// The connection of this moment; another one after `Update::Back`.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What happened next. Cancel safe: dropping it loses nothing.
    ///
    /// # Errors
    /// When the session is gone, or the daemon can't be found within 30 s.
    pub async fn next(&mut self) -> Result<Update, ClientError> {
        loop {
            if let Some(lost_at) = self.lost_at {
                return self.reconnect(lost_at).await;
            }
            let Some(feed) = &mut self.feed else {
                match self.attach().await {
                    Ok(feed) => self.feed = Some(feed),
                    Err(error) if error.is_lost() => return Ok(self.lose(&error)),
                    Err(error) => return Err(error),
                }
                continue;
            };
            let Some(notification) = feed.next().await else {
                // Fell behind, or the connection is gone; attaching again tells which.
                self.feed = None;
                self.empty_feeds += 1;
                if self.empty_feeds > EMPTY_FEEDS {
                    return Err(ClientError::Lost { reason: "the session's feed ends at once".to_owned() });
                }
                continue;
            };
            self.empty_feeds = 0;
            match notification.map_err(|error| ClientError::Unreadable { reason: error.to_string() })? {
                SessionFeed::Snapshot(snapshot) => {
                    self.last = Some(snapshot.summary.seq);
                    return Ok(Update::Snapshot(snapshot));
                }
                SessionFeed::Batch(batch) => {
                    let entries = self.unseen(batch.entries);
                    if !entries.is_empty() {
                        return Ok(Update::Entries(entries));
                    }
                }
                SessionFeed::Lagged(lagged) => {
                    debug!(from = lagged.from.0, to = lagged.to.0, "fell behind; attaching again");
                    self.feed = None;
                }
                // The daemon stops, or could not write; attaching again tells whether the session goes on.
                SessionFeed::Closed(error) if error.code == ErrorCode::Unavailable => {
                    debug!(%error, "the feed was closed; attaching again");
                    self.feed = None;
                }
                SessionFeed::Closed(error) => return Err(error.into()),
                SessionFeed::Unknown(_) => {}
            }
        }
    }

    async fn attach(&self) -> Result<Subscription<SessionFeed>, ClientError> {
        let params =
            SessionAttachParams { session_id: self.session, since: self.last, can_answer: self.can_answer };
        Ok(SessionClient::attach(self.connection.rpc(), params).await?)
    }

    /// Leaves out events that were handed out before, and notes the last one.
    fn unseen(&mut self, entries: Vec<FeedEntry>) -> Vec<FeedEntry> {
        let mut last = self.last.unwrap_or(Seq::ZERO);
        let is_unseen = |entry: &FeedEntry| match entry {
            FeedEntry::Event(record) if record.seq <= last => false,
            FeedEntry::Event(record) => {
                last = record.seq;
                true
            }
            FeedEntry::Delta(_) | FeedEntry::Unknown(_) => true,
        };
        let entries = entries.into_iter().filter(is_unseen).collect();
        self.last = Some(last);
        entries
    }

    fn lose(&mut self, error: &ClientError) -> Update {
        debug!(%error, "lost the daemon");
        self.feed = None;
        self.lost_at = Some(Instant::now());
        Update::Lost
    }

    async fn reconnect(&mut self, lost_at: Instant) -> Result<Update, ClientError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let (folders, options) = (self.connection.folders(), self.connection.options());
            let error = match Connection::open_at(folders.clone(), options.clone()).await {
                Ok(connection) => {
                    let is_new_daemon = connection.welcome().epoch != self.connection.welcome().epoch;
                    self.connection = connection;
                    self.lost_at = None;
                    return Ok(Update::Back { is_new_daemon });
                }
                Err(error) => error,
            };
            if !error.is_lost() || lost_at.elapsed() > RECONNECT_LIMIT {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests;

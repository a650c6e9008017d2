//! Following one session without a gap: every event once and in order, over lag, lost connections and restarts
//! of the daemon.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jsonrpsee::core::client::{Error as RpcError, Subscription};
use protocol::api::session::SessionClient;
use protocol::delta::{FeedEntry, SessionFeed};
use protocol::ids::{Seq, SessionId};
use protocol::session::{ClientRole, Presence, SessionAttachParams, SessionRef, SessionSnapshot};
use tracing::debug;

use crate::connection::{Connection, DaemonChange, Rpc};
use crate::cursor::{Cursor, Taken};
use crate::error::ClientError;

/// Feeds that end one after the other without a word.
const EMPTY_FEEDS: u32 = 5;

/// How long the daemon may be away before anybody is told of it. A restart is over by then, and one line says so.
const UNSAID: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Debug)]
pub enum Update {
    /// All there is so far; replaces what was known.
    Snapshot(Box<SessionSnapshot>),
    /// What happened next. Who is there is not among it.
    Entries(Vec<FeedEntry>),
    /// Who is there now. What a snapshot says of it counts as well.
    Presence(Presence),
    /// The connection broke, and the daemon is not back at once; the next call looks on. Not told of a daemon that said
    /// that it goes.
    Lost,
    /// The daemon was found again. Events go on where they stopped; deltas in between are missing.
    Back(DaemonChange),
}

/// A session that is followed.
pub struct Attached {
    connection: Connection,
    session: SessionId,
    can_answer: bool,
    role: ClientRole,
    /// Whether it is to be the only driver, on each connection anew.
    is_sole: bool,
    cursor: Cursor,
    feed: Option<Subscription<SessionFeed>>,
    /// Updates that are ready.
    ready: VecDeque<Update>,
    empty_feeds: u32,
    lost: Option<Lost>,
}

/// A daemon that is looked for.
#[derive(Clone, Copy)]
struct Lost {
    at: Instant,
    /// When that is to be told, if it is.
    told_at: Option<Instant>,
}

impl Attached {
    /// Attaches as a driver: after `since`, or with a snapshot first.
    ///
    /// # Errors
    /// When the daemon refuses, or can't be found.
    pub async fn open(
        connection: Connection,
        session: SessionId,
        since: Option<Seq>,
        can_answer: bool,
    ) -> Result<Self, ClientError> {
        Self::open_as(ClientRole::Driver, connection, session, since, can_answer).await
    }

    /// Attaches as a viewer, who can change nothing: after `since`, or with a snapshot first.
    ///
    /// # Errors
    /// When the daemon refuses, or can't be found.
    pub async fn watch(
        connection: Connection,
        session: SessionId,
        since: Option<Seq>,
    ) -> Result<Self, ClientError> {
        Self::open_as(ClientRole::Viewer, connection, session, since, false).await
    }

    async fn open_as(
        role: ClientRole,
        mut connection: Connection,
        session_id: SessionId,
        since: Option<Seq>,
        can_answer: bool,
    ) -> Result<Self, ClientError> {
        let params = SessionAttachParams { session_id, since, can_answer, role: role.clone() };
        let feed = connection.call(async |rpc| SessionClient::attach(rpc, params.clone()).await).await?;
        Ok(Self {
            connection,
            session: session_id,
            can_answer,
            role,
            is_sole: false,
            cursor: Cursor::new(since),
            feed: Some(feed),
            ready: VecDeque::new(),
            empty_feeds: 0,
            lost: None,
        })
    }

    /// Makes this client the only driver, until it leaves; on the connections that follow this one, too.
    ///
    /// # Errors
    /// When another client took over before.
    pub async fn take_over(&mut self) -> Result<(), ClientError> {
        let params = SessionRef::new(self.session);
        self.connection.rpc().take_over(params).await?;
        self.is_sole = true;
        Ok(())
    }

    /// The session.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// Makes a call as `Connection::call` does. If that led to another connection, the feed is taken up again there.
    ///
    /// # Errors
    /// Those of `Connection::call`.
    pub async fn call<T>(
        &mut self,
        call: impl AsyncFn(&Rpc) -> Result<T, RpcError>,
    ) -> Result<T, ClientError> {
        let before = self.connection.welcome().clone();
        let result = self.connection.call(call).await;
        if self.connection.welcome().client_id != before.client_id {
            self.feed = None;
            self.lost = None;
            self.ready.push_back(Update::Back(self.connection.change_since(&before)));
        }
        result
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
            if let Some(update) = self.ready.pop_front() {
                return Ok(update);
            }
            if let Some(lost) = self.lost {
                let telling = async {
                    match lost.told_at {
                        Some(at) => tokio::time::sleep_until(at.into()).await,
                        None => std::future::pending().await,
                    }
                };
                return tokio::select! {
                    change = self.connection.reconnect(lost.at) => {
                        let change = change?;
                        self.lost = None;
                        Ok(Update::Back(change))
                    }
                    () = telling => {
                        self.lost = Some(Lost { told_at: None, ..lost });
                        Ok(Update::Lost)
                    }
                };
            }
            let Some(feed) = &mut self.feed else {
                match self.attach().await {
                    Ok(feed) => self.feed = Some(feed),
                    Err(error) if error.is_lost() => self.lose(&error, Some(UNSAID)),
                    Err(error) if self.connection.is_gone(&error).await => self.lose(&error, None),
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
            let message =
                notification.map_err(|error| ClientError::Unreadable { reason: error.to_string() })?;
            match self.cursor.take(message) {
                Taken::New(updates) => self.ready.extend(updates),
                Taken::AttachAgain(reason) => {
                    self.feed = None;
                    if let Some(error) = reason.map(ClientError::from)
                        && self.connection.is_gone(&error).await
                    {
                        self.lose(&error, None);
                    }
                }
                Taken::Over(error) => return Err(error.into()),
            }
        }
    }

    async fn attach(&self) -> Result<Subscription<SessionFeed>, ClientError> {
        let session_id = self.session;
        let params = SessionAttachParams {
            session_id,
            since: self.cursor.since(),
            can_answer: self.can_answer,
            role: self.role.clone(),
        };
        let rpc = self.connection.rpc();
        let feed = SessionClient::attach(rpc, params).await?;
        if self.is_sole
            && let Err(error) = rpc.take_over(SessionRef::new(session_id)).await
        {
            // Somebody else was faster; who is there tells it.
            debug!(%error, "could not take over again");
        }
        Ok(feed)
    }

    /// Looks for the daemon from now on, and tells of it after a while, if at all.
    fn lose(&mut self, error: &ClientError, told_after: Option<Duration>) {
        debug!(%error, "lost the daemon");
        self.feed = None;
        let at = Instant::now();
        self.lost = Some(Lost { at, told_at: told_after.map(|after| at + after) });
    }
}

#[cfg(test)]
mod tests;

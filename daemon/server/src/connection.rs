//! Who is connected: one `Connection` per socket connection, and the register of all of them with its limit.
//! Knows nothing of JSON-RPC.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::ClientId;
use protocol::session::Environment;
use protocol::turn::Actor;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SetOnce, watch};
use tokio_util::sync::CancellationToken;

/// Connections at once.
pub(crate) const MAX_CONNECTIONS: usize = 256;
/// Calls of one connection that may be under way at once.
pub(crate) const MAX_IN_FLIGHT: usize = 64;
/// How long a connection may take to say who it is.
pub(crate) const INITIALIZE_LIMIT: Duration = Duration::from_secs(10);

/// What a client said of itself.
#[derive(Debug)]
pub(crate) struct Client {
    /// The name that people see.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// The environment it was started in. Holds secrets; is never logged or stored.
    pub(crate) environment: Arc<Environment>,
}

/// One connection.
pub(crate) struct Connection {
    id: ClientId,
    client: SetOnce<Client>,
    in_flight: Arc<Semaphore>,
    close: CancellationToken,
    /// Feeds that begin, and whether the client has left them since.
    beginning: Mutex<BTreeMap<String, bool>>,
}

impl Connection {
    fn new() -> Self {
        Self {
            id: ClientId::generate(),
            client: SetOnce::new(),
            in_flight: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
            close: CancellationToken::new(),
            beginning: Mutex::default(),
        }
    }

    /// Who the client is to others.
    pub(crate) fn id(&self) -> ClientId {
        self.id
    }

    /// Notes what the client said of itself.
    ///
    /// # Errors
    /// `InvalidRequest` if it said so before.
    pub(crate) fn initialize(&self, client: Client) -> Result<(), ProtocolError> {
        self.client.set(client).map_err(|_| {
            ProtocolError::new(ErrorCode::InvalidRequest, "This connection is initialized already")
        })
    }

    /// What the client said of itself.
    ///
    /// # Errors
    /// `InvalidRequest` before `initialize`.
    pub(crate) fn client(&self) -> Result<&Client, ProtocolError> {
        self.client.get().ok_or_else(|| {
            ProtocolError::new(ErrorCode::InvalidRequest, "The connection is not initialized")
                .with_hint("Call `initialize` first")
        })
    }

    /// The client as others see it.
    ///
    /// # Errors
    /// `InvalidRequest` before `initialize`.
    pub(crate) fn actor(&self) -> Result<Actor, ProtocolError> {
        Ok(Actor { client_id: self.id, name: self.client()?.name.clone() })
    }

    /// Room for one more call; it is taken until the permit is dropped.
    ///
    /// # Errors
    /// `Unavailable` when there is none.
    pub(crate) fn enter(&self) -> Result<OwnedSemaphorePermit, ProtocolError> {
        Arc::clone(&self.in_flight).try_acquire_owned().map_err(|_| {
            let message = format!("{MAX_IN_FLIGHT} calls of this connection are under way");
            ProtocolError::new(ErrorCode::Unavailable, message).with_hint("Wait for answers first")
        })
    }

    /// Notes that the client is being told of a feed. It may leave the feed as soon as it hears of it, which is before
    /// this side has put it down.
    pub(crate) fn begin(&self, feed: String) -> Beginning<'_> {
        self.beginnings().insert(feed.clone(), false);
        Beginning { connection: self, feed }
    }

    /// Notes that the client left a feed, if that is just beginning.
    pub(crate) fn leave(&self, feed: &str) {
        if let Some(is_left) = self.beginnings().get_mut(feed) {
            *is_left = true;
        }
    }

    fn beginnings(&self) -> MutexGuard<'_, BTreeMap<String, bool>> {
        // A poisoned map is whole: each change is one call.
        self.beginning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when the connection is to be closed from this side: another one needs its place, or it took too
    /// long to say who it is.
    pub(crate) async fn unwanted(&self) {
        tokio::select! {
            () = self.close.cancelled() => {
                tracing::warn!("closed a connection that had not said who it is, to make room for another");
            }
            () = self.never_initialized() => {
                tracing::warn!("closed a connection that did not say who it is");
            }
        }
    }

    async fn never_initialized(&self) {
        if tokio::time::timeout(INITIALIZE_LIMIT, self.client.wait()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }
}

/// A feed that begins. Dropping it forgets that.
pub(crate) struct Beginning<'a> {
    connection: &'a Connection,
    feed: String,
}

impl Beginning<'_> {
    /// Whether the client has left it by now.
    pub(crate) fn is_left(&self) -> bool {
        self.connection.beginnings().get(&self.feed).copied().unwrap_or_default()
    }
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        self.connection.beginnings().remove(&self.feed);
    }
}

/// The register of connections.
pub(crate) struct Connections {
    /// By age: ids sort by the time they were made.
    all: Mutex<BTreeMap<ClientId, Arc<Connection>>>,
    limit: usize,
    count: watch::Sender<u32>,
}

impl Connections {
    /// An empty register with room for so many.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { all: Mutex::default(), limit, count: watch::Sender::new(0) })
    }

    /// Registers a connection. If there is no room, the oldest one that has not said who it is gives way; `None`
    /// if all have.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Admitted> {
        let mut all = self.lock();
        if all.len() >= self.limit {
            let silent = all.values().find(|connection| connection.client.get().is_none())?;
            silent.close.cancel();
            let id = silent.id;
            all.remove(&id);
        }
        let connection = Arc::new(Connection::new());
        all.insert(connection.id, Arc::clone(&connection));
        self.tell(&all);
        Some(Admitted { connection, register: Arc::clone(self) })
    }

    /// How many there are, as it changes.
    pub(crate) fn count(&self) -> watch::Receiver<u32> {
        self.count.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ClientId, Arc<Connection>>> {
        // A poisoned register is whole: each change is one call.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, all: &BTreeMap<ClientId, Arc<Connection>>) {
        self.count.send_replace(u32::try_from(all.len()).unwrap_or(u32::MAX));
    }
}

/// A registered connection. Dropping it takes it off the register.
pub(crate) struct Admitted {
    connection: Arc<Connection>,
    register: Arc<Connections>,
}

impl Admitted {
    /// The connection.
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut all = self.register.lock();
        all.remove(&self.connection.id);
        self.register.tell(&all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client { name: "test".into(), version: "0".into(), environment: Arc::default() }
    }

    #[tokio::test]
    async fn at_the_limit_the_oldest_silent_connection_gives_way() {
        let register = Connections::new(3);
        let known = register.admit().expect("first");
        known.connection().initialize(client()).expect("initialize");
        let oldest = register.admit().expect("second");
        let newer = register.admit().expect("third");
        let _newest = register.admit().expect("fourth");
        oldest.connection().unwanted().await;
        assert!(!newer.connection().close.is_cancelled());
        assert!(!known.connection().close.is_cancelled());
        assert_eq!(*register.count().borrow(), 3);
    }

    #[test]
    fn at_the_limit_of_known_clients_nobody_else_is_let_in() {
        let register = Connections::new(1);
        let known = register.admit().expect("first");
        known.connection().initialize(client()).expect("initialize");
        assert!(register.admit().is_none());
        drop(known);
        assert!(register.admit().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_stays_silent_is_unwanted() {
        let register = Connections::new(1);
        let silent = register.admit().expect("connection");
        silent.connection().unwanted().await;
    }

    #[test]
    fn a_connection_is_initialized_once() {
        let connection = Connection::new();
        assert_eq!(connection.actor().expect_err("too early").code, ErrorCode::InvalidRequest);
        connection.initialize(client()).expect("first");
        assert_eq!(connection.initialize(client()).expect_err("second").code, ErrorCode::InvalidRequest);
        assert_eq!(connection.actor().expect("actor").client_id, connection.id());
    }

    #[test]
    fn a_feed_that_is_left_while_it_begins_is_known() {
        let connection = Connection::new();
        connection.leave("1");
        let (one, other) = (connection.begin("1".to_owned()), connection.begin("2".to_owned()));
        connection.leave("1");
        assert_eq!((one.is_left(), other.is_left()), (true, false));
        drop((one, other));
        assert!(connection.beginnings().is_empty());
        assert!(!connection.begin("1".to_owned()).is_left());
    }

    #[test]
    fn calls_under_way_are_limited() {
        let connection = Connection::new();
        let mut permits: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| connection.enter().expect("room")).collect();
        assert_eq!(connection.enter().expect_err("full").code, ErrorCode::Unavailable);
        permits.pop();
        assert!(connection.enter().is_ok());
    }
}

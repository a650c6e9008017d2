//! One connection: reached, upgraded to WebSocket, initialized.

use std::time::{Duration, Instant};

use jsonrpsee::client_transport::ws::{Url, WsHandshakeError, WsTransportClientBuilder};
use jsonrpsee::core::client::{Client, ClientBuilder, Error as RpcError};
use jsonrpsee::core::middleware::RpcServiceBuilder;
use protocol::api::daemon::DaemonClient;
use protocol::api::initialize::InitializeClient;
use protocol::daemon::DaemonStatusParams;
use protocol::error::ErrorCode;
use protocol::initialize::{InitializeParams, InitializeResult};
use protocol::session::Environment;
use protocol::version::SUPPORTED;
use tracing::debug;
use wire::build;
use wire::folders::Folders;

use crate::bounded::{Bounded, MAX_MESSAGE_BYTES};
use crate::error::ClientError;
use crate::start::{StartDaemon, reach};
use crate::stop::STOP_LIMIT;
use crate::upgrade::{self, Upgrade};

/// How long a call may take. Calls that start work return when it has begun.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(60);
/// How long the daemon may take for the upgrade.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Notifications that may wait for a reader; beyond them the feed ends as lagged and is taken up again.
const WAITING_NOTIFICATIONS: usize = 256;
/// How long a daemon is greeted that goes away in the middle.
const GREETING_LIMIT: Duration = Duration::from_secs(10);
/// How long a lost daemon is looked for.
const RECONNECT_LIMIT: Duration = Duration::from_secs(30);
/// Between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often one call may lose its daemon, before it is taken for the reason.
const MAX_LOSSES: u32 = 3;

/// The calls: every `*Client` trait of `protocol::api` is implemented for it.
pub type Rpc = Client<Bounded>;

/// What a connection is made with.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The program's name, which others see.
    pub client_name: String,
    /// What to do when no daemon listens.
    pub start: StartDaemon,
    /// For commands and credentials of sessions that this client makes.
    pub environment: Environment,
}

/// A connection that the daemon knows.
#[derive(Debug)]
pub struct Connection {
    rpc: Rpc,
    welcome: InitializeResult,
    options: ConnectOptions,
    folders: Folders,
    upgrade: Option<Upgrade>,
}

/// What became of the daemon while the connection was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonChange {
    /// It is the same process.
    Same,
    /// It is another process of the same build.
    Restarted,
    /// It is another build.
    Upgraded {
        /// The version and what tells its build from others.
        build: String,
    },
}

impl ConnectOptions {
    /// For this process: with all of its environment that is UTF-8, starting the daemon if there is none.
    pub fn new(client_name: impl Into<String>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { client_name: client_name.into(), start: StartDaemon::IfAbsent, environment }
    }

    /// Does not start a daemon.
    #[must_use]
    pub fn without_start(mut self) -> Self {
        self.start = StartDaemon::Never;
        self
    }

    pub(crate) fn may_start(&self) -> bool {
        self.start == StartDaemon::IfAbsent
    }
}

impl Connection {
    /// Connects to the daemon of this user's home.
    ///
    /// # Errors
    /// All of `ClientError` but `TooLong`.
    pub async fn open(options: ConnectOptions) -> Result<Self, ClientError> {
        Self::open_at(Folders::resolve()?, options).await
    }

    /// Connects to the daemon of a home. One that runs an older build of this very executable hands over first.
    pub(crate) async fn open_at(folders: Folders, options: ConnectOptions) -> Result<Self, ClientError> {
        let mut connection = Self::greet(folders, options).await?;
        if let Some(upgrade) = upgrade::make(&connection).await? {
            connection = Self::greet(connection.folders, connection.options).await?;
            connection.upgrade = Some(upgrade);
        }
        Ok(connection)
    }

    async fn greet(folders: Folders, options: ConnectOptions) -> Result<Self, ClientError> {
        let begun = Instant::now();
        loop {
            match Self::try_open(&folders, &options).await {
                Ok((rpc, welcome)) => return Ok(Self { rpc, welcome, options, folders, upgrade: None }),
                // It was there and went: it is being stopped, or it crashed. The next one is another.
                Err(error)
                    if error.is_lost()
                        && !error.is_turned_away()
                        && options.may_start()
                        && begun.elapsed() < GREETING_LIMIT =>
                {
                    debug!(%error, "the daemon went away while it was greeted");
                    tokio::time::sleep(FIRST_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_open(
        folders: &Folders,
        options: &ConnectOptions,
    ) -> Result<(Rpc, InitializeResult), ClientError> {
        let stream = reach(folders, options.start).await?;
        let url = Url::parse("ws://localhost/").map_err(|error| {
            ClientError::Handshake(Box::new(WsHandshakeError::Url(error.to_string().into())))
        })?;
        let upgrade = WsTransportClientBuilder::default()
            .max_request_size(MAX_MESSAGE_BYTES)
            .max_response_size(MAX_MESSAGE_BYTES)
            .build_with_stream(url, stream);
        let (sender, receiver) = tokio::time::timeout(HANDSHAKE_LIMIT, upgrade)
            .await
            .map_err(|_| ClientError::Silent { after: HANDSHAKE_LIMIT })?
            .map_err(|error| ClientError::Handshake(Box::new(error)))?;
        let rpc = ClientBuilder::new()
            .request_timeout(CALL_LIMIT)
            .max_buffer_capacity_per_subscription(WAITING_NOTIFICATIONS)
            .set_rpc_middleware(RpcServiceBuilder::new().layer_fn(Bounded))
            .build_with_tokio(sender, receiver);
        let welcome = rpc
            .initialize(InitializeParams {
                client_name: options.client_name.clone(),
                client_version: env!("CARGO_PKG_VERSION").to_owned(),
                client_build: Some(upgrade::own_build().to_owned()),
                protocol: SUPPORTED,
                environment: options.environment.clone(),
            })
            .await?;
        Ok((rpc, welcome))
    }

    /// Makes a call that survives its daemon: if the connection is lost, or the daemon stops, the next daemon is looked
    /// for, for 30 s, and the same call is made there, over a connection that takes the place of this one. So it must
    /// be a call that may come twice: one that reads, or one whose parameters name it by a `RequestId` or a `SessionId`
    /// made before.
    ///
    /// # Errors
    /// When the daemon refuses, can't be found again, or is lost at each attempt.
    pub async fn call<T>(
        &mut self,
        call: impl AsyncFn(&Rpc) -> Result<T, RpcError>,
    ) -> Result<T, ClientError> {
        let mut losses = 0;
        loop {
            let error = match call(&self.rpc).await {
                Ok(result) => return Ok(result),
                Err(error) => ClientError::from(error),
            };
            losses += 1;
            if losses > MAX_LOSSES || !self.is_gone(&error).await {
                return Err(error);
            }
            debug!(%error, losses, "the daemon was lost in a call; making it again");
            self.reconnect(Instant::now()).await?;
        }
    }

    /// Whether an error means that the daemon went away. One that is about to is waited for.
    pub(crate) async fn is_gone(&self, error: &ClientError) -> bool {
        let is_refused_for_now =
            error.refusal().is_some_and(|refusal| refusal.code == ErrorCode::Unavailable);
        if !is_refused_for_now {
            return error.is_lost();
        }
        match self.rpc.status(DaemonStatusParams::default()).await {
            Ok(status) if status.is_draining => {
                tokio::time::timeout(STOP_LIMIT, self.rpc.on_disconnect()).await.is_ok()
            }
            Ok(_) => false,
            Err(error) => ClientError::from(error).is_lost(),
        }
    }

    /// Looks for the daemon, which was lost at this time; starts it if that is allowed.
    pub(crate) async fn reconnect(&mut self, lost_at: Instant) -> Result<DaemonChange, ClientError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match Self::open_at(self.folders.clone(), self.options.clone()).await {
                Ok(connection) => {
                    let change = connection.change_since(&self.welcome);
                    *self = connection;
                    return Ok(change);
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

    /// What became of the daemon since one said this of itself.
    pub(crate) fn change_since(&self, before: &InitializeResult) -> DaemonChange {
        let now = &self.welcome;
        if before.epoch == now.epoch {
            DaemonChange::Same
        } else if build::is_same(&before.daemon_build, &now.daemon_build) {
            DaemonChange::Restarted
        } else {
            DaemonChange::Upgraded { build: now.daemon_build.clone() }
        }
    }

    /// The calls, each made once.
    #[must_use]
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// What the daemon said of itself.
    #[must_use]
    pub fn welcome(&self) -> &InitializeResult {
        &self.welcome
    }

    /// The upgrade that this connection found and made, if it did.
    #[must_use]
    pub fn upgrade(&self) -> Option<&Upgrade> {
        self.upgrade.as_ref()
    }

    /// Whether the daemon is another build than this executable.
    #[must_use]
    pub fn is_other_build(&self) -> bool {
        !build::is_same(&self.welcome.daemon_build, upgrade::own_build())
    }

    /// Where this home's things are.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// What it was made with.
    #[must_use]
    pub fn options(&self) -> &ConnectOptions {
        &self.options
    }
}

#[cfg(test)]
mod tests;

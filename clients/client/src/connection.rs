//! One connection: reached, upgraded to WebSocket, initialized.

use std::time::Duration;

use jsonrpsee::client_transport::ws::{Url, WsHandshakeError, WsTransportClientBuilder};
use jsonrpsee::core::client::{Client, ClientBuilder};
use jsonrpsee::core::middleware::RpcServiceBuilder;
use protocol::api::initialize::InitializeClient;
use protocol::initialize::{InitializeParams, InitializeResult};
use protocol::session::Environment;
use protocol::version::SUPPORTED;
use tracing::debug;
use wire::folders::Folders;

use crate::bounded::{Bounded, MAX_MESSAGE_BYTES};
use crate::error::ClientError;
use crate::start::{StartDaemon, reach};

/// How long a call may take. Calls that start work return when it has begun.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(60);
/// How long the daemon may take for the upgrade.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Notifications that may wait for a reader; beyond them the feed ends as lagged and is taken up again.
const WAITING_NOTIFICATIONS: usize = 256;
/// Connections to a daemon that goes away in the middle.
const ATTEMPTS: u32 = 3;

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
}

impl Connection {
    /// Connects to the daemon of this user's home.
    ///
    /// # Errors
    /// All of `ClientError` but `TooLong`.
    pub async fn open(options: ConnectOptions) -> Result<Self, ClientError> {
        Self::open_at(Folders::resolve()?, options).await
    }

    /// Connects to the daemon of a home.
    pub(crate) async fn open_at(folders: Folders, options: ConnectOptions) -> Result<Self, ClientError> {
        let mut attempt = 1;
        loop {
            match Self::try_open(&folders, &options).await {
                Ok((rpc, welcome)) => return Ok(Self { rpc, welcome, options, folders }),
                // It was there and went: it is being stopped, or it crashed. The next one is another.
                Err(error) if error.is_lost() && is_startable(&options) && attempt < ATTEMPTS => {
                    debug!(%error, attempt, "the daemon went away while it was greeted");
                    attempt += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
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
                client_build: None,
                protocol: SUPPORTED,
                environment: options.environment.clone(),
            })
            .await?;
        Ok((rpc, welcome))
    }

    /// The calls.
    #[must_use]
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// What the daemon said of itself.
    #[must_use]
    pub fn welcome(&self) -> &InitializeResult {
        &self.welcome
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

fn is_startable(options: &ConnectOptions) -> bool {
    options.start == StartDaemon::IfAbsent
}

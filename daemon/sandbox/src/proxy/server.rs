//! Takes the connections of one command and serves each on its own. Knows what they speak by their first byte.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::proxy::activity::{Activity, Watched};
use crate::proxy::gate::Gate;
use crate::proxy::reach::Way;
use crate::proxy::resolver::{Resolver, SystemResolver};
use crate::proxy::{http, socks};

/// Bytes on their way through a tunnel, in each direction.
const TUNNEL_BYTES: usize = 16 * 1024;

/// How long to rest when the system gives no more connections.
const PAUSE: Duration = Duration::from_millis(50);

/// What the connections of one command may use up.
#[derive(Clone, Copy, Debug)]
pub struct ProxyLimits {
    /// So many at a time; further ones wait until one ends.
    pub connections: usize,
    /// The longest head of a request or an answer.
    pub header_bytes: usize,
    /// How long a client may take to say whom it wants to reach.
    pub header_time: Duration,
    /// How long resolving a name may take, and connecting to one address.
    pub connect_time: Duration,
    /// A connection on which nothing moves ends after this, or at most twice this. Waiting for a person does not count.
    pub idle_time: Duration,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        Self {
            connections: 128,
            header_bytes: 64 * 1024,
            header_time: Duration::from_secs(15),
            connect_time: Duration::from_secs(20),
            idle_time: Duration::from_secs(5 * 60),
        }
    }
}

/// The proxy of one command.
pub struct ProxyServer {
    way: Arc<Way>,
    limits: ProxyLimits,
}

impl ProxyServer {
    /// A proxy whose connections a gate decides about.
    #[must_use]
    pub fn new(gate: Arc<dyn Gate>) -> Self {
        Self::with(gate, Arc::new(SystemResolver), ProxyLimits::default())
    }

    /// A proxy that resolves names in its own way, with other limits.
    #[must_use]
    pub fn with(gate: Arc<dyn Gate>, resolver: Arc<dyn Resolver>, limits: ProxyLimits) -> Self {
        Self { way: Arc::new(Way { gate, resolver, patience: limits.connect_time }), limits }
    }

    /// Serves what connects until cancelled. When it returns or is dropped, every connection ends.
    pub async fn serve(&self, listener: TcpListener, cancel: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept(), if connections.len() < self.limits.connections => match accepted {
                    Ok((client, _)) => {
                        connections.spawn(serve(client, Arc::clone(&self.way), self.limits));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the proxy can't take a connection");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
    }
}

/// Serves one client.
async fn serve(client: TcpStream, way: Arc<Way>, limits: ProxyLimits) {
    let activity = Activity::default();
    tokio::select! {
        () = speak(client, &way, &activity, &limits) => {}
        () = activity.rested(limits.idle_time) => tracing::debug!("nothing moves on a command's connection"),
    }
}

async fn speak(client: TcpStream, way: &Arc<Way>, activity: &Activity, limits: &ProxyLimits) {
    let mut first = [0];
    let Ok(Ok(1)) = timeout(limits.header_time, client.peek(&mut first)).await else { return };
    let mut client = Watched::new(client, activity.clone());
    if first == [socks::VERSION] {
        match socks::open(&mut client, way, activity, limits.header_time).await {
            Ok(Some(server)) => tunnel(client, server).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a command's connection to the proxy broke"),
        }
    } else if let Some((client, server)) = http::serve(client, way, activity, limits).await {
        tunnel(client, server).await;
    }
}

/// Carries bytes both ways until both sides are at their end.
async fn tunnel<S: AsyncRead + AsyncWrite + Unpin>(mut client: S, mut server: TcpStream) {
    let carried =
        tokio::io::copy_bidirectional_with_sizes(&mut client, &mut server, TUNNEL_BYTES, TUNNEL_BYTES);
    let ended: io::Result<_> = carried.await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a command's tunnel broke");
    }
}

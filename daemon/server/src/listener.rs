//! Connections: accepted, limited, upgraded to WebSocket, served until they close. A connection's task owns all
//! that belongs to it; dropping the task closes the connection. Knows nothing of the methods that are served.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::server::middleware::rpc::RpcServiceBuilder;
use jsonrpsee::server::{
    BatchRequestConfig, ConnectionState, HttpBody, HttpRequest, HttpResponse, Methods, ServerConfig,
    StopHandle, ws,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use wire::gate::{Gate, STALL_LIMIT};
use wire::listen::Listener;

use crate::connection::{Admitted, Connection, Connections, INITIALIZE_LIMIT, MAX_CONNECTIONS};
use crate::middleware::GuardLayer;

/// The largest message in either direction.
pub(crate) const MAX_FRAME_BYTES: u32 = 16 * 1024 * 1024;
/// Messages of one connection that may wait to be sent; then whoever sends waits.
const MESSAGE_BUFFER: u32 = 64;
/// Feeds that one connection may follow.
const MAX_SUBSCRIPTIONS: u32 = 128;
/// The largest HTTP head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long connections may take to say goodbye.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// What is told to a connection that finds no room.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves connections with one table of methods.
#[derive(Clone)]
pub(crate) struct Front {
    methods: Methods,
    connections: Arc<Connections>,
    stop: StopHandle,
    /// jsonrpsee wants a permit for each connection. The register limits them already.
    permits: Arc<Semaphore>,
    /// Numbers connections for jsonrpsee, which tells subscriptions apart by it.
    next: Arc<AtomicU32>,
}

impl Front {
    /// Serves these methods until `stop`.
    pub(crate) fn new(methods: Methods, connections: Arc<Connections>, stop: StopHandle) -> Self {
        let permits = Arc::new(Semaphore::new(2 * MAX_CONNECTIONS));
        Self { methods, connections, stop, permits, next: Arc::default() }
    }

    /// Accepts and serves until `closing`; then gives connections a moment to say goodbye and drops the rest.
    pub(crate) async fn run(&self, listener: &mut Listener, closing: CancellationToken) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                stream = listener.accept() => {
                    tasks.spawn(self.clone().take(stream));
                }
                Some(ended) = tasks.join_next() => log_panic(ended),
                () = closing.cancelled() => break,
            }
        }
        let goodbye = async {
            while let Some(ended) = tasks.join_next().await {
                log_panic(ended);
            }
        };
        if tokio::time::timeout(GOODBYE_LIMIT, goodbye).await.is_err() {
            tracing::warn!("dropped connections that did not close in time");
        }
        tasks.shutdown().await;
    }

    /// Serves a stream to its end, if there is room for it.
    async fn take<I>(self, mut stream: I)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match self.connections.admit() {
            Some(admitted) => self.serve(stream, admitted).await,
            None => {
                tracing::warn!(limit = MAX_CONNECTIONS, "refused a connection: there are too many");
                let refusal = async {
                    stream.write_all(NO_ROOM).await?;
                    stream.shutdown().await
                };
                if tokio::time::timeout(GOODBYE_LIMIT, refusal).await.is_err() {
                    tracing::debug!("a refused connection did not take the refusal");
                }
            }
        }
    }

    /// Serves a stream to its end. Dropping the future closes the connection; calls that are under way end, what
    /// they asked of sessions goes on.
    pub(crate) async fn serve<I>(&self, stream: I, admitted: Admitted)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = admitted.connection();
        let span = tracing::info_span!("connection", id = %connection.id());
        async {
            tokio::select! {
                () = self.speak(stream, connection) => {}
                () = connection.unwanted() => {}
            }
        }
        .instrument(span)
        .await;
    }

    async fn speak<I>(&self, stream: I, connection: &Arc<Connection>)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let upgraded = Arc::new(Mutex::new(None));
        let service = service_fn(|request| {
            let answer = self.answer(request, connection, &upgraded);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let http = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(INITIALIZE_LIMIT)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(Gate::new(stream, STALL_LIMIT)), service)
            .with_upgrades();
        if let Err(error) = http.await {
            tracing::debug!(%error, "a connection failed before it was upgraded");
            return;
        }
        let messages = upgraded.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(messages) = messages {
            messages.await;
        }
    }

    async fn answer(
        &self,
        request: HttpRequest<Incoming>,
        connection: &Arc<Connection>,
        upgraded: &Mutex<Option<Messages>>,
    ) -> HttpResponse {
        if let Some(status) = refusal(&request) {
            tracing::warn!(%status, "refused a request that is not a client's");
            return empty(status);
        }
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let state = ConnectionState::new(self.stop.clone(), number, permit);
        let guard = RpcServiceBuilder::new().layer(GuardLayer::new(Arc::clone(connection)));
        match ws::connect(request, config(), self.methods.clone(), state, guard).await {
            Ok((response, messages)) => {
                *upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(messages));
                response
            }
            Err(response) => response,
        }
    }
}

/// The life of an upgraded connection.
type Messages = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Only a client's upgrade to WebSocket is served. A web page's requests carry an `Origin`, a client's never do; nor
/// does a client take the daemon for another host, as a page may that had its name resolved to this machine.
fn refusal<B>(request: &HttpRequest<B>) -> Option<StatusCode> {
    if request.headers().contains_key(http::header::ORIGIN) {
        Some(StatusCode::FORBIDDEN)
    } else if !request.headers().get_all(http::header::HOST).iter().all(is_this_machine) {
        Some(StatusCode::MISDIRECTED_REQUEST)
    } else if !ws::is_upgrade_request(request) {
        Some(StatusCode::UPGRADE_REQUIRED)
    } else {
        None
    }
}

fn is_this_machine(host: &http::HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        Some(_) | None => (host, ""),
    };
    port.bytes().all(|digit| digit.is_ascii_digit()) && ["localhost", "127.0.0.1", "[::1]"].contains(&name)
}

fn empty(status: StatusCode) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::empty());
    *response.status_mut() = status;
    response
}

/// jsonrpsee's `ws::connect` bounds what comes in by the limit of what goes out, so both are the same.
fn config() -> ServerConfig {
    ServerConfig::builder()
        .ws_only()
        .max_request_body_size(MAX_FRAME_BYTES)
        .max_response_body_size(MAX_FRAME_BYTES)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
        .set_message_buffer_capacity(MESSAGE_BUFFER)
        .set_batch_request_config(BatchRequestConfig::Disabled)
        .build()
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

#[cfg(test)]
mod tests;

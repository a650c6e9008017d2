//! Answers over a WebSocket (RFC 6455). The connection is made by the same HTTP client as any other, so that
//! certificates and proxies are the same. Knows messages, nothing of their content.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use reqwest::header::{
    CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::{Client, StatusCode, Upgraded, Url};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tracing::{info, trace};

use crate::failure::cause;
use crate::sse::{EVENT_BYTES, SseError};

/// How long a connection waits for the next request. Servers close idle ones after a few minutes.
const IDLE_TIME: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<Upgraded>;

/// The WebSockets of one provider.
#[derive(Default)]
pub(crate) struct Sockets {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Has no answer to give, since that moment.
    idle: Option<(Socket, Instant)>,
    /// The server has none.
    is_refused: bool,
}

impl Sockets {
    /// Sends a message and gives what comes back; `None` where the server has no WebSocket, or its connection is
    /// broken. Then the same can be asked over HTTP, which also tells what is wrong.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        client: &Client,
        url: Url,
        headers: HeaderMap,
        message: &Bytes,
    ) -> Option<Messages> {
        let message = Message::Text(Utf8Bytes::try_from(message.clone()).ok()?);
        if let Some(mut socket) = self.take_idle()
            && socket.send(message.clone()).await.is_ok()
        {
            return Some(Messages { socket, sockets: Arc::clone(self) });
        }
        if self.lock().is_refused {
            return None;
        }
        let mut socket = match open(client, url, headers).await {
            Ok(socket) => socket,
            Err(Unopened::Refused(status)) => {
                // What passes, or is about the key, says nothing of WebSockets.
                let is_final = status.is_client_error() && !matches!(status.as_u16(), 401 | 403 | 408 | 429);
                if is_final || status.is_success() {
                    info!(status = status.as_u16(), "the provider has no WebSocket; answers come as events");
                    self.lock().is_refused = true;
                }
                return None;
            }
            Err(Unopened::Broken(cause)) => {
                trace!(cause, "no WebSocket could be opened");
                return None;
            }
        };
        socket.send(message).await.ok()?;
        Some(Messages { socket, sockets: Arc::clone(self) })
    }

    fn take_idle(&self) -> Option<Socket> {
        let (socket, since) = self.lock().idle.take()?;
        (since.elapsed() < IDLE_TIME).then_some(socket)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A poisoned state is whole: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages of one answer. Dropping it closes the connection.
pub(crate) struct Messages {
    socket: Socket,
    sockets: Arc<Sockets>,
}

impl Messages {
    /// The next message with text; `None` when the server closed the connection. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Result<String, SseError>> {
        loop {
            return match self.socket.next().await? {
                Ok(Message::Text(text)) => Some(Ok(text.as_str().to_owned())),
                Ok(Message::Close(_)) => None,
                // Pings are answered by the library when it is polled.
                Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(error) => Some(Err(SseError::Broken(cause(&error)))),
            };
        }
    }

    /// The answer is over: the connection waits for the next request.
    pub(crate) fn release(self) {
        let idle = (self.socket, Instant::now());
        self.sockets.lock().idle = Some(idle);
    }
}

/// Why there is no WebSocket.
enum Unopened {
    /// The server does not want to.
    Refused(StatusCode),
    /// The connection or what came over it is broken.
    Broken(String),
}

async fn open(client: &Client, url: Url, headers: HeaderMap) -> Result<Socket, Unopened> {
    let broken = |error: reqwest::Error| Unopened::Broken(cause(&error));
    let key = generate_key();
    let request = client
        .get(url)
        .headers(headers)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key);
    let response = request.send().await.map_err(broken)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Unopened::Refused(response.status()));
    }
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(|value| value.as_bytes().to_vec());
    if accepted.as_deref() != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        return Err(Unopened::Broken("the server did not answer to the key that was sent".to_owned()));
    }
    let upgraded = response.upgrade().await.map_err(broken)?;
    let config =
        WebSocketConfig::default().max_message_size(Some(EVENT_BYTES)).max_frame_size(Some(EVENT_BYTES));
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}

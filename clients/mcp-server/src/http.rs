//! The same server over streamable HTTP: on the loopback alone, and only for who knows the token.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client::ConnectOptions;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet};
use tower::Service;
use tracing::debug;

use crate::desk::Desk;
use crate::error::McpServerError;
use crate::server::Skein;

/// Where the protocol is spoken.
const PATH: &str = "/mcp";
/// Connections at the same time; beyond them, who comes is let go.
const MAX_CONNECTIONS: usize = 64;
/// How long a client may take for the head of a request.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// The shortest token that is taken.
const MIN_TOKEN_BYTES: usize = 16;

type Mcp<S> = StreamableHttpService<S, LocalSessionManager>;
type Body = http_body_util::combinators::BoxBody<hyper::body::Bytes, Infallible>;

/// What a client must know. It is not shown by `Debug`.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// A new one, from the operating system's randomness.
    ///
    /// # Errors
    /// `Randomness`.
    pub fn generate() -> Result<Self, McpServerError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(McpServerError::Randomness)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()))
    }

    /// One that a person chose.
    ///
    /// # Errors
    /// `ShortToken`.
    pub fn of(text: &str) -> Result<Self, McpServerError> {
        if text.len() < MIN_TOKEN_BYTES {
            return Err(McpServerError::ShortToken { least: MIN_TOKEN_BYTES });
        }
        Ok(Self(text.into()))
    }

    /// The token itself, for who is to know it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether a request carries it. Takes as long whatever is wrong with what it carries.
    fn is_in<B>(&self, request: &Request<B>) -> bool {
        let header = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let given = header.strip_prefix(b"Bearer ").unwrap_or_default();
        let differences = given.iter().zip(self.0.bytes()).fold(0, |sum, (one, other)| sum | (one ^ other));
        given.len() == self.0.len() && differences == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Serves clients over HTTP, for ever. `ready` is told the address of the protocol.
///
/// # Errors
/// When the address is not of this machine alone, or can't be listened on.
pub async fn listen(
    options: ConnectOptions,
    address: SocketAddr,
    token: Token,
    ready: impl FnOnce(&str),
) -> Result<(), McpServerError> {
    listen_with(options, address, token, ready, |skein| skein).await
}

/// As `listen`, for what `extend` makes of the server of each client: one that has more to offer.
///
/// # Errors
/// As `listen`.
pub async fn listen_with<S: ServerHandler>(
    options: ConnectOptions,
    address: SocketAddr,
    token: Token,
    ready: impl FnOnce(&str),
    extend: impl Fn(Skein) -> S + Send + Sync + 'static,
) -> Result<(), McpServerError> {
    if !address.ip().is_loopback() {
        return Err(McpServerError::NotLoopback { address });
    }
    let failed = |source| McpServerError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    ready(&format!("http://{address}{PATH}"));
    let (desk, work) = Desk::new();
    // Nothing but what claims to come from this very address: a page of another one has no business here.
    let own = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("http://{host}:{}", address.port()));
    let config = StreamableHttpServerConfig::default().with_allowed_origins(own).enforce_origin_validation();
    let make = move || Ok(extend(Skein::new(desk.clone(), options.clone())));
    let mcp = StreamableHttpService::new(make, Arc::default(), config);
    LocalSet::new()
        .run_until(async {
            tokio::select! {
                served = accept(&listener, &mcp, &token) => served.map_err(failed),
                () = work => Ok(()),
            }
        })
        .await
}

async fn accept<S: ServerHandler>(
    listener: &TcpListener,
    mcp: &Mcp<S>,
    token: &Token,
) -> std::io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                    connections.spawn(connection(stream, mcp.clone(), token.clone()));
                }
                Ok(_) => debug!("too many connections"),
                // One that went away while it came; the next one may be well.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection<S: ServerHandler>(stream: TcpStream, mcp: Mcp<S>, token: Token) {
    let service = service_fn(move |request| answer(request, mcp.clone(), token.clone()));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "a connection ended badly");
    }
}

async fn answer<S: ServerHandler>(
    request: Request<Incoming>,
    mut mcp: Mcp<S>,
    token: Token,
) -> Result<Response<Body>, Infallible> {
    if !token.is_in(&request) {
        let mut refused = plain(StatusCode::UNAUTHORIZED, "The token is missing or wrong\n");
        refused.headers_mut().insert(WWW_AUTHENTICATE, hyper::header::HeaderValue::from_static("Bearer"));
        return Ok(refused);
    }
    if request.uri().path() != PATH {
        return Ok(plain(StatusCode::NOT_FOUND, "The protocol is spoken at /mcp\n"));
    }
    mcp.call(request).await
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::from(text).boxed());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(authorization: Option<&str>) -> Request<()> {
        let mut builder = Request::builder();
        if let Some(text) = authorization {
            builder = builder.header(AUTHORIZATION, text);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn only_the_whole_token_is_taken() {
        let token = Token::of("0123456789abcdef").unwrap();
        assert!(token.is_in(&request(Some("Bearer 0123456789abcdef"))));
        for wrong in [
            None,
            Some(""),
            Some("Bearer "),
            Some("Bearer 0123456789abcde"),
            Some("Bearer 0123456789abcdef0"),
            Some("Bearer 0123456789abcdeF"),
            Some("Basic 0123456789abcdef"),
            Some("0123456789abcdef"),
        ] {
            assert!(!token.is_in(&request(wrong)), "{wrong:?}");
        }
    }

    #[test]
    fn tokens_are_long_and_not_shown() {
        assert!(Token::of("short").is_err());
        let token = Token::generate().unwrap();
        assert_eq!(token.reveal().len(), 64);
        assert_ne!(token.reveal(), Token::generate().unwrap().reveal());
        assert_eq!(format!("{token:?}"), "Token");
    }
}

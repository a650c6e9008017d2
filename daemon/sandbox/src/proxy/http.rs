//! HTTP/1.1 as a proxy speaks it (RFC 9110, 9112): CONNECT, and requests in absolute form. Every request is checked and
//! has a connection of its own, so that one to an open host carries none to another.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::profile::NetworkProtocol;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::proxy::activity::Activity;
use crate::proxy::host;
use crate::proxy::reach::{ReachError, Way};
use crate::proxy::server::ProxyLimits;
use crate::proxy::target::Target;

/// Headers that are between two neighbours (RFC 9110, 7.6.1), and those that only proxies understand.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// So many headers are taken, each way.
const MAX_HEADERS: usize = 128;

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// A client that asked for a tunnel, and whom it leads to.
struct Tunnel {
    client: OnUpgrade,
    server: TcpStream,
}

/// Why a request is not carried out as it stands.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("This is a proxy: a request names its host, as in `http://example.com/`")]
    NoHost,
    #[error("This proxy speaks plain HTTP, and CONNECT for all else")]
    Scheme,
    #[error("A host with a user's name before it is not taken")]
    User,
    #[error(transparent)]
    Host(#[from] host::HostError),
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("The server's answer can't be read: {0}")]
    Server(#[from] hyper::Error),
}

/// Serves a client until it has no more requests, or has a tunnel: then both its ends.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    client: S,
    way: &Arc<Way>,
    activity: &Activity,
    limits: &ProxyLimits,
) -> Option<(TokioIo<hyper::upgrade::Upgraded>, TcpStream)> {
    let tunnel = Arc::new(Mutex::new(None));
    let service = service_fn(|request| {
        let (way, activity, tunnel) = (Arc::clone(way), activity.clone(), Arc::clone(&tunnel));
        let header_bytes = limits.header_bytes;
        async move {
            let answer = answer(request, &way, &activity, &tunnel, header_bytes).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|error| refusal(&error)))
        }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(limits.header_bytes)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a command's connection to the proxy broke");
        return None;
    }
    let Tunnel { client, server } = tunnel.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    Some((TokioIo::new(client.await.ok()?), server))
}

async fn answer(
    request: Request<Incoming>,
    way: &Way,
    activity: &Activity,
    tunnel: &Mutex<Option<Tunnel>>,
    header_bytes: usize,
) -> Result<Answer, RequestError> {
    if request.method() == Method::CONNECT {
        let server = way.open(target(request.uri(), NetworkProtocol::Https, None)?, activity).await?;
        let client = hyper::upgrade::on(request);
        *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(Tunnel { client, server });
        return Ok(Response::new(text("")));
    }
    match request.uri().scheme_str() {
        None => return Err(RequestError::NoHost),
        Some("http") => {}
        Some(_) => return Err(RequestError::Scheme),
    }
    let target = target(request.uri(), NetworkProtocol::Http, Some(80))?;
    let server = way.open(target.clone(), activity).await?;
    forward(request, &target, server, header_bytes).await
}

/// Whom a request is for. The `Host` header has no say.
fn target(uri: &Uri, protocol: NetworkProtocol, port: Option<u16>) -> Result<Target, RequestError> {
    let authority = uri.authority().ok_or(RequestError::NoHost)?.as_str();
    if authority.contains('@') {
        return Err(RequestError::User);
    }
    let (host, port) = host::with_port(authority, port)?;
    Ok(Target { protocol, host, port })
}

/// Sends a request on, without what was meant for the proxy.
async fn forward(
    request: Request<Incoming>,
    target: &Target,
    server: TcpStream,
    header_bytes: usize,
) -> Result<Answer, RequestError> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse().map_err(|_| RequestError::NoHost)?;
    remove_hop_by_hop(&mut head.headers);
    // It was answered here, if it was asked for.
    head.headers.remove(header::EXPECT);
    let name = if target.port == 80 && !target.host.contains(':') {
        target.host.clone()
    } else {
        target.to_string()
    };
    let name = HeaderValue::try_from(name).map_err(|_| RequestError::NoHost)?;
    head.headers.insert(header::HOST, name);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(header_bytes)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(server))
        .await?;
    // Ends with the answer's body, which holds it, or with this future.
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a command's connection to a server broke");
        }
    }));
    let (mut head, body) = sender.send_request(Request::from_parts(head, body)).await?.into_parts();
    remove_hop_by_hop(&mut head.headers);
    Ok(Response::from_parts(head, BodyExt::boxed(Relayed { body, _connection: connection })))
}

/// Takes out what is between neighbours: the known ones, and those that `Connection` names.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let values: Vec<HeaderValue> = headers.get_all(header::CONNECTION).iter().cloned().collect();
    let named = values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    for name in named.filter_map(|name| HeaderName::try_from(name.trim()).ok()) {
        // The length belongs to the message, whatever is said of it.
        if name != header::CONTENT_LENGTH && name != header::HOST {
            headers.remove(name);
        }
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn refusal(error: &RequestError) -> Answer {
    let status = match error {
        RequestError::NoHost | RequestError::Scheme | RequestError::User | RequestError::Host(_) => {
            StatusCode::BAD_REQUEST
        }
        RequestError::Reach(ReachError::Denied { .. } | ReachError::NotPublic { .. }) => {
            StatusCode::FORBIDDEN
        }
        RequestError::Reach(ReachError::Name { .. } | ReachError::Unreachable { .. })
        | RequestError::Server(_) => StatusCode::BAD_GATEWAY,
    };
    let mut answer = Response::new(text(&format!("Skein: {error}\n")));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn text(text: &str) -> BoxBody<Bytes, hyper::Error> {
    Full::new(Bytes::copy_from_slice(text.as_bytes())).map_err(|never| match never {}).boxed()
}

/// A server's answer, with the connection that it comes over.
struct Relayed {
    body: Incoming,
    _connection: AbortOnDropHandle<()>,
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

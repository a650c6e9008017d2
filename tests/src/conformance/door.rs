//! A door to a server that wants a token, for who can't show one: passes requests on as they are, with the token.
//! Knows HTTP, not what is said over it.

use std::io;
use std::net::Ipv4Addr;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The door.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    authorization: HeaderValue,
}

impl Door {
    /// Listens on a free port of the loopback.
    ///
    /// # Errors
    /// When that can't be.
    pub async fn open(token: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let authorization = HeaderValue::try_from(format!("Bearer {token}")).map_err(io::Error::other)?;
        Ok(Self { listener, authorization })
    }

    /// Where what is at `inside` is reached.
    #[must_use]
    pub fn address(&self, inside: &str) -> String {
        let port = self.listener.local_addr().map(|address| address.port()).unwrap_or_default();
        let path = inside.splitn(4, '/').nth(3).unwrap_or_default();
        format!("http://127.0.0.1:{port}/{path}")
    }

    /// Passes on what comes, for ever.
    ///
    /// # Errors
    /// When the door can't be listened at any more.
    pub async fn pass(&self, inside: &str) -> io::Result<()> {
        let inside = inside.split('/').nth(2).unwrap_or_default().to_owned();
        let outside = self.listener.local_addr()?.to_string();
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = self.listener.accept().await?;
            while connections.try_join_next().is_some() {}
            let way = Way {
                outside: outside.clone(),
                inside: inside.clone(),
                authorization: self.authorization.clone(),
            };
            connections.spawn(connection(stream, way));
        }
    }
}

/// From where to where.
#[derive(Clone)]
struct Way {
    outside: String,
    inside: String,
    authorization: HeaderValue,
}

async fn connection(stream: TcpStream, way: Way) {
    let service = service_fn(move |request| pass_on(request, way.clone()));
    // Whoever sees less than the whole answer knows that it broke.
    let _ended =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn pass_on(mut request: Request<Incoming>, way: Way) -> io::Result<Response<Incoming>> {
    let headers = request.headers_mut();
    for name in [HOST, ORIGIN] {
        // Who means the door means what is behind it.
        if let Some(value) = headers.get(&name).and_then(|value| value.to_str().ok())
            && value.ends_with(&way.outside)
            && let Ok(value) = HeaderValue::try_from(value.replace(&way.outside, &way.inside))
        {
            headers.insert(name, value);
        }
    }
    headers.insert(AUTHORIZATION, way.authorization);
    let stream = TcpStream::connect(&way.inside).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the answer, or when who asked goes away.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(io::Error::other)
}

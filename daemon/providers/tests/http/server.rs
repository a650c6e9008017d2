//! A server on the loopback that sends bytes as it is told, so that a test decides where they break off. Knows
//! just enough of HTTP to take a request.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use tokio_rustls::TlsAcceptor;

/// What is done with one request.
pub(crate) struct Reply {
    bytes: Vec<u8>,
    /// What follows, each after the pause.
    pieces: Vec<Vec<u8>>,
    pause: Duration,
    then: Then,
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// Waits for the next request.
    Keep,
    /// Closes the connection.
    Close,
    /// Sends nothing more and takes note when the client closes.
    Stall,
    /// Closes the connection so that the client is told of an error (RST).
    Reset,
}

impl Reply {
    /// A whole stream of events.
    pub(crate) fn stream(events: &[&str]) -> Self {
        let mut reply = Self::broken_stream(events);
        reply.bytes.extend_from_slice(b"0\r\n\r\n");
        Self { then: Then::Keep, ..reply }
    }

    /// A stream whose connection breaks after these events.
    pub(crate) fn broken_stream(events: &[&str]) -> Self {
        let mut bytes =
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                .to_vec();
        for event in events {
            let event = format!("data: {event}\n\n");
            bytes.extend_from_slice(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
        }
        Self::of(bytes, Then::Close)
    }

    /// A stream of these bytes, one chunk, after which the connection breaks.
    pub(crate) fn cut_body(body: &[u8]) -> Self {
        let mut bytes = Self::broken_stream(&[]).bytes;
        if !body.is_empty() {
            bytes.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(b"\r\n");
        }
        Self::of(bytes, Then::Close)
    }

    /// A stream after these events of which nothing more comes.
    pub(crate) fn stalled_stream(events: &[&str]) -> Self {
        Self { then: Then::Stall, ..Self::broken_stream(events) }
    }

    /// No byte, ever.
    pub(crate) fn silence() -> Self {
        Self::of(Vec::new(), Then::Stall)
    }

    /// No byte, and a closed connection.
    pub(crate) fn hang_up() -> Self {
        Self::of(Vec::new(), Then::Close)
    }

    /// A status with headers, each with its line end, and a body.
    pub(crate) fn status(status: u16, headers: &str, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n", body.len());
        Self::of([head.as_bytes(), body.as_bytes()].concat(), Then::Keep)
    }

    /// A stream that comes in these pieces, with a pause before each.
    pub(crate) fn pieces(pieces: &[&[u8]], pause: Duration) -> Self {
        let chunk = |piece: &&[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        let last = b"0\r\n\r\n".to_vec();
        let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(chunk).chain([last]).collect();
        Self { pieces, pause, then: Then::Keep, ..Self::broken_stream(&[]) }
    }

    /// A whole body with any bytes, and with headers, each with its line end.
    pub(crate) fn body(headers: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\n\r\n", body.len());
        Self::of([head.as_bytes(), body].concat(), Then::Keep)
    }

    /// What was said, and then an error of the connection.
    pub(crate) fn reset(self) -> Self {
        Self { then: Then::Reset, ..self }
    }

    fn of(bytes: Vec<u8>, then: Then) -> Self {
        Self { bytes, pieces: Vec::new(), pause: Duration::ZERO, then }
    }
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Received {
    /// Which connection it came over, from 0.
    pub(crate) connection: usize,
    /// The request line.
    pub(crate) line: String,
    /// The header lines, names in lower case as the client writes them.
    pub(crate) headers: Vec<String>,
    /// The body.
    pub(crate) body: String,
}

/// The server. Dropping it closes every connection.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    requests: UnboundedReceiver<Received>,
    closed: UnboundedReceiver<usize>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers with these replies, one to each request, in this order.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::listen(replies, None).await
    }

    /// The same over TLS. A connection that comes to nothing is told of as closed.
    pub(crate) async fn start_secure(replies: impl IntoIterator<Item = Reply>, tls: TlsAcceptor) -> Self {
        Self::listen(replies, Some(tls)).await
    }

    async fn listen(replies: impl IntoIterator<Item = Reply>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let replies = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let (request_tx, requests) = unbounded_channel();
        let (closed_tx, closed) = unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (request_tx, closed_tx, replies, tls) =
                    (request_tx.clone(), closed_tx.clone(), Arc::clone(&replies), tls.clone());
                connections.spawn(async move {
                    match tls {
                        Some(tls) => {
                            if let Ok(mut stream) = tls.accept(stream).await {
                                serve(&mut stream, number, &request_tx, &replies).await;
                            }
                        }
                        None if serve(&mut stream, number, &request_tx, &replies).await == Then::Reset => {
                            stream.set_zero_linger().unwrap();
                        }
                        None => {}
                    }
                    let _ = closed_tx.send(number);
                });
            }
        });
        Self { address, requests, closed, _tasks: tasks }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The requests so far.
    pub(crate) fn received(&mut self) -> Vec<Received> {
        let mut all = Vec::new();
        while let Ok(request) = self.requests.try_recv() {
            all.push(request);
        }
        all
    }

    /// Waits until a connection is closed; its number.
    pub(crate) async fn closed(&mut self) -> usize {
        self.closed.recv().await.unwrap()
    }
}

/// Serves one connection until one side closes it; how it is to be closed.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    connection: usize,
    requests: &UnboundedSender<Received>,
    replies: &Mutex<VecDeque<Reply>>,
) -> Then {
    while let Some(request) = read(stream, connection).await {
        let reply = replies.lock().unwrap().pop_front();
        let _ = requests.send(request);
        let Some(reply) = reply else { return Then::Close };
        if send(stream, &reply).await.is_err() {
            return Then::Close;
        }
        match reply.then {
            Then::Keep => {}
            Then::Close | Then::Reset => return reply.then,
            Then::Stall => {
                // Comes back when the client closes, with an end or a reset.
                let _ = stream.read(&mut [0]).await;
                return Then::Close;
            }
        }
    }
    Then::Close
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, reply: &Reply) -> std::io::Result<()> {
    stream.write_all(&reply.bytes).await?;
    stream.flush().await?;
    if reply.pieces.is_empty() {
        return Ok(());
    }
    let mut pace = interval_at(Instant::now() + reply.pause, reply.pause);
    for piece in &reply.pieces {
        pace.tick().await;
        stream.write_all(piece).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// A request, or `None` when the client has no more.
async fn read<S: AsyncRead + Unpin>(stream: &mut S, connection: usize) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut lines = head.split("\r\n").map(str::to_owned);
            let line = lines.next().unwrap();
            let headers: Vec<String> = lines.collect();
            let length =
                headers.iter().find_map(|header| header.strip_prefix("content-length: ")).unwrap_or("0");
            let whole = end + 4 + length.parse::<usize>().unwrap();
            while bytes.len() < whole {
                if stream.read_buf(&mut bytes).await.ok()? == 0 {
                    return None;
                }
            }
            let body = String::from_utf8(bytes[end + 4..whole].to_vec()).unwrap();
            return Some(Received { connection, line, headers, body });
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

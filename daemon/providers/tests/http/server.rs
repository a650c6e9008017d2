//! A server on the loopback that sends bytes as it is told, so that a test decides where they break off. Knows
//! just enough of HTTP to take a request.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

/// What is done with one request.
pub(crate) struct Reply {
    bytes: Vec<u8>,
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
        Self { bytes, then: Then::Close }
    }

    /// A stream of these bytes, one chunk, after which the connection breaks.
    pub(crate) fn cut_body(body: &[u8]) -> Self {
        let mut bytes = Self::broken_stream(&[]).bytes;
        if !body.is_empty() {
            bytes.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(b"\r\n");
        }
        Self { bytes, then: Then::Close }
    }

    /// A stream after these events of which nothing more comes.
    pub(crate) fn stalled_stream(events: &[&str]) -> Self {
        Self { then: Then::Stall, ..Self::broken_stream(events) }
    }

    /// No byte, ever.
    pub(crate) fn silence() -> Self {
        Self { bytes: Vec::new(), then: Then::Stall }
    }

    /// No byte, and a closed connection.
    pub(crate) fn hang_up() -> Self {
        Self { bytes: Vec::new(), then: Then::Close }
    }

    /// A status with headers, each with its line end, and a body.
    pub(crate) fn status(status: u16, headers: &str, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\n\r\n", body.len());
        Self { bytes: [head.as_bytes(), body.as_bytes()].concat(), then: Then::Keep }
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
    address: SocketAddr,
    requests: UnboundedReceiver<Received>,
    closed: UnboundedReceiver<usize>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answers with these replies, one to each request, in this order.
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let replies = Arc::new(Mutex::new(replies.into_iter().collect::<VecDeque<_>>()));
        let (request_tx, requests) = unbounded_channel();
        let (closed_tx, closed) = unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (request_tx, closed_tx, replies) =
                    (request_tx.clone(), closed_tx.clone(), Arc::clone(&replies));
                connections.spawn(async move {
                    serve(stream, number, &request_tx, &replies).await;
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

/// Serves one connection until one side closes it.
async fn serve(
    mut stream: TcpStream,
    connection: usize,
    requests: &UnboundedSender<Received>,
    replies: &Mutex<VecDeque<Reply>>,
) {
    while let Some(request) = read(&mut stream, connection).await {
        let reply = replies.lock().unwrap().pop_front();
        let _ = requests.send(request);
        let Some(reply) = reply else { return };
        if stream.write_all(&reply.bytes).await.is_err() || reply.then == Then::Close {
            return;
        }
        if reply.then == Then::Stall {
            // Comes back when the client closes, with an end or a reset.
            let _ = stream.read(&mut [0]).await;
            return;
        }
    }
}

/// A request, or `None` when the client has no more.
async fn read(stream: &mut TcpStream, connection: usize) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut lines = head.split("\r\n").map(str::to_owned);
            let line = lines.next().unwrap();
            let headers: Vec<String> = lines.collect();
            let length = headers.iter().find_map(|header| header.strip_prefix("content-length: ")).unwrap();
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

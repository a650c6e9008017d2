//! A proxy that runs, a server that it can lead to, and a way to talk to both.

use std::sync::Arc;

use sandbox::proxy::{Attempt, ProxyLimits, ProxyServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::gate::{Say, ToldGate, ToldResolver};

/// A proxy.
pub(crate) struct Scene {
    port: u16,
    gate: Arc<ToldGate>,
    pub(crate) cancel: CancellationToken,
    pub(crate) serving: AbortOnDropHandle<()>,
}

impl Scene {
    /// A proxy with this gate, for which every name is on this machine.
    pub(crate) async fn new(say: Say) -> Self {
        Self::with(say, &["127.0.0.1"], ProxyLimits::default()).await
    }

    pub(crate) async fn with(say: Say, addresses: &[&str], limits: ProxyLimits) -> Self {
        let (listener, port) = listener().await;
        let gate = Arc::new(ToldGate::new(say));
        let cancel = CancellationToken::new();
        let server = ProxyServer::with(gate.clone(), Arc::new(ToldResolver::new(addresses)), limits);
        let stop = cancel.clone();
        let serving = tokio::spawn(async move { server.serve(listener, stop).await });
        Self { port, gate, cancel, serving: AbortOnDropHandle::new(serving) }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.expect("the proxy listens")
    }

    /// Sends these bytes, and returns all that is answered until the proxy hangs up.
    pub(crate) async fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.expect("sent");
        until_end(&mut stream).await
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.gate.attempts.lock().expect("attempts").clone()
    }
}

/// A listener on loopback, and its port.
pub(crate) async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
    let port = listener.local_addr().expect("address").port();
    (listener, port)
}

/// Whether somebody has connected to a listener.
pub(crate) async fn was_reached(listener: &TcpListener) -> bool {
    tokio::select! {
        biased;
        accepted = listener.accept() => accepted.is_ok(),
        () = tokio::task::yield_now() => false,
    }
}

/// All that comes until the other side hangs up, in whichever way.
pub(crate) async fn until_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads up to the empty line that ends a head.
pub(crate) async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    String::from_utf8(head).expect("text")
}

/// Answers the next connection with this, and returns the head of its request.
pub(crate) async fn answer(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.expect("a connection");
    let head = head(&mut stream).await;
    stream.write_all(answer.as_bytes()).await.expect("answered");
    head
}

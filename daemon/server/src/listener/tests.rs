//! Connections over an in-memory stream: what is served, what is refused, what is limited.

use futures_util::future::join_all;
use jsonrpsee::RpcModule;
use jsonrpsee::client_transport::ws::{Url, WsTransportClientBuilder};
use jsonrpsee::core::client::{Client as RpcClient, ClientBuilder, ClientT, Error};
use jsonrpsee::core::params::BatchRequestBuilder;
use jsonrpsee::rpc_params;
use jsonrpsee::server::stop_channel;
use protocol::error::{ErrorCode, ProtocolError};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::connection::{Client, MAX_IN_FLIGHT};
use crate::middleware::CALL_LIMIT;

/// `initialize`; `length`, which tells that of its parameter; and `wait`, which never answers.
fn methods() -> Methods {
    let mut module = RpcModule::new(());
    module
        .register_method("initialize", |_, (), extensions| {
            let connection = extensions.get::<Arc<Connection>>().expect("the guard puts it there");
            connection
                .initialize(Client { name: "test".into(), version: "0".into(), environment: Arc::default() })
                .map_err(jsonrpsee::types::ErrorObjectOwned::from)
        })
        .expect("initialize");
    module
        .register_method("length", |params, (), _| params.one::<String>().map(|text| text.len()))
        .expect("length");
    module
        .register_async_method("wait", |_, _, _| async { std::future::pending::<()>().await })
        .expect("wait");
    module.into()
}

/// Serves one end of a stream; the other end is the client's.
fn serve() -> (DuplexStream, JoinHandle<()>) {
    let (near, far) = duplex(64 * 1024);
    let served = tokio::spawn(async move {
        // Kept until the connection ends, for a dropped handle stops the server.
        let (stop, _handle) = stop_channel();
        let front = Front::new(methods(), Connections::new(4), stop);
        let admitted = front.connections.admit().expect("room");
        front.serve(near, admitted).await;
    });
    (far, served)
}

async fn connect(stream: DuplexStream) -> RpcClient {
    let (sender, receiver) = WsTransportClientBuilder::default()
        .max_request_size(64 * 1024 * 1024)
        .build_with_stream(Url::parse("ws://localhost/").expect("url"), stream)
        .await
        .expect("upgrade");
    ClientBuilder::new().request_timeout(10 * CALL_LIMIT).build_with_tokio(sender, receiver)
}

/// A client that has said who it is.
async fn initialized() -> RpcClient {
    let client = connect(serve().0).await;
    client.request::<(), _>("initialize", rpc_params![]).await.expect("initialize");
    client
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> ProtocolError {
    match result {
        Err(Error::Call(object)) => object.into(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn initialize_comes_first_and_once() {
    let client = connect(serve().0).await;
    let early = client.request::<usize, _>("length", rpc_params!["abc"]).await;
    assert_eq!(refused(early).code, ErrorCode::InvalidRequest);
    client.request::<(), _>("initialize", rpc_params![]).await.expect("initialize");
    assert_eq!(client.request::<usize, _>("length", rpc_params!["abc"]).await.expect("length"), 3);
    let again = client.request::<(), _>("initialize", rpc_params![]).await;
    assert_eq!(refused(again).code, ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn calls_under_way_are_limited_per_connection() {
    let client = Arc::new(initialized().await);
    let waiting: Vec<_> = (0..MAX_IN_FLIGHT)
        .map(|_| {
            let client = Arc::clone(&client);
            tokio::spawn(async move { client.request::<(), _>("wait", rpc_params![]).await })
        })
        .collect();
    // Calls are served in any order: wait until the last place is taken.
    while client.request::<usize, _>("length", rpc_params!["abc"]).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let one_more = client.request::<usize, _>("length", rpc_params!["abc"]).await;
    assert_eq!(refused(one_more).code, ErrorCode::Unavailable);
    waiting.iter().for_each(JoinHandle::abort);
    assert!(join_all(waiting).await.iter().all(Result::is_err), "none was answered");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_answered_all_the_same() {
    let client = initialized().await;
    let begun = tokio::time::Instant::now();
    let answer = client.request::<(), _>("wait", rpc_params![]).await;
    assert_eq!(refused(answer).code, ErrorCode::Unavailable);
    assert!(begun.elapsed() < 2 * CALL_LIMIT);
    assert_eq!(client.request::<usize, _>("length", rpc_params!["abc"]).await.expect("the next call"), 3);
}

#[tokio::test]
async fn batches_are_refused() {
    let client = initialized().await;
    let mut batch = BatchRequestBuilder::new();
    batch.insert("length", rpc_params!["abc"]).expect("batch");
    assert!(client.batch_request::<usize>(batch).await.is_err());
}

#[tokio::test]
async fn a_message_may_be_large_but_not_larger_than_a_frame() {
    let limit = MAX_FRAME_BYTES as usize;
    let client = initialized().await;
    let text = "x".repeat(limit - 1024);
    assert_eq!(client.request::<usize, _>("length", rpc_params![text]).await.expect("fits"), limit - 1024);
    let text = "x".repeat(limit);
    assert!(client.request::<usize, _>("length", rpc_params![text]).await.is_err());
}

/// Sends raw bytes and returns the first line of the answer; empty if the connection was closed without one.
async fn first_line(request: &str) -> String {
    let (mut far, _served) = serve();
    far.write_all(request.as_bytes()).await.expect("write");
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') {
        if far.read_buf(&mut answer).await.expect("read") == 0 {
            break;
        }
    }
    let text = String::from_utf8(answer).expect("text");
    text.lines().next().unwrap_or_default().to_owned()
}

const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test]
async fn a_web_page_is_refused_whatever_it_says_it_is() {
    for origin in ["http://localhost", "null", "file://", "https://evil.example", ""] {
        let request = format!("GET / HTTP/1.1\r\nhost: localhost\r\norigin: {origin}\r\n{UPGRADE}\r\n");
        assert_eq!(first_line(&request).await, "HTTP/1.1 403 Forbidden", "{origin}");
    }
    let plain = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{UPGRADE}\r\n");
    assert_eq!(first_line(&plain).await, "HTTP/1.1 101 Switching Protocols");
}

#[tokio::test]
async fn who_takes_the_daemon_for_another_host_is_refused() {
    let upgrade = |host: &str| format!("GET / HTTP/1.1\r\nhost: {host}\r\n{UPGRADE}\r\n");
    for host in
        ["evil.example", "localhost.evil.example", "localhost:1@evil.example", "127.0.0.1.nip.io", "[::2]:1"]
    {
        assert_eq!(first_line(&upgrade(host)).await, "HTTP/1.1 421 Misdirected Request", "{host}");
    }
    for host in ["localhost", "localhost:80", "127.0.0.1:4000", "[::1]", "[::1]:80"] {
        assert_eq!(first_line(&upgrade(host)).await, "HTTP/1.1 101 Switching Protocols", "{host}");
    }
}

#[tokio::test]
async fn plain_http_is_refused() {
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#;
    let post = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{call}",
        call.len()
    );
    assert_eq!(first_line(&post).await, "HTTP/1.1 426 Upgrade Required");
    assert_eq!(
        first_line("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await,
        "HTTP/1.1 426 Upgrade Required"
    );
}

#[tokio::test]
async fn other_protocols_get_nothing_done() {
    for said in [
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}\n\n",
        "EHLO there\r\n\r\n",
        "\x16\x03\x01\r\n\r\n",
    ] {
        let answer = first_line(said).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{said:?}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_closes_the_connection() {
    let (mut far, served) = serve();
    far.write_all(b"GET / HTTP/1.1\r\nhost: local").await.expect("write");
    served.await.expect("the connection's task ends");
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_that_stays_silent_is_closed() {
    let (far, served) = serve();
    let _client = connect(far).await;
    tokio::time::timeout(10 * INITIALIZE_LIMIT, served).await.expect("in time").expect("the task ends");
}

#[tokio::test]
async fn a_connection_ends_with_its_client() {
    let (far, served) = serve();
    let client = connect(far).await;
    client.request::<(), _>("initialize", rpc_params![]).await.expect("initialize");
    drop(client);
    served.await.expect("the connection's task ends");
}

#[tokio::test]
async fn a_connection_that_finds_no_room_is_told_so() {
    let (stop, _handle) = stop_channel();
    let front = Front::new(methods(), Connections::new(0), stop);
    let (near, mut far) = duplex(1024);
    front.take(near).await;
    let mut answer = String::new();
    far.read_to_string(&mut answer).await.expect("answer");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

//! That slow, silent and many connections do not pile up.

use std::time::Duration;

use sandbox::proxy::ProxyLimits;
use tokio::io::AsyncWriteExt;

use crate::gate::anywhere;
use crate::scene::{Scene, head, listener, until_end, was_reached};

const SHORT: Duration = Duration::from_millis(60);

#[tokio::test]
async fn a_client_that_does_not_say_whom_it_wants_is_given_up() {
    let limits = ProxyLimits { header_time: SHORT, ..ProxyLimits::default() };
    let scene = Scene::with(anywhere, &["127.0.0.1"], limits).await;
    for beginning in [&b""[..], b"GET http://open.ex", b"\x05", b"\x05\x02\x00", b"\x05\x01\x00\x05\x01"] {
        let mut client = scene.connect().await;
        client.write_all(beginning).await.expect("sent");
        until_end(&mut client).await;
    }
    assert_eq!(scene.attempts(), []);
}

#[tokio::test]
async fn a_tunnel_on_which_nothing_moves_ends() {
    let limits = ProxyLimits { idle_time: SHORT, ..ProxyLimits::default() };
    let scene = Scene::with(anywhere, &["127.0.0.1"], limits).await;
    let (listener, port) = listener().await;
    let mut client = scene.connect().await;
    let connect = format!("CONNECT open.example:{port} HTTP/1.1\r\nHost: x\r\n\r\n");
    client.write_all(connect.as_bytes()).await.expect("sent");
    let (mut server, _) = listener.accept().await.expect("a connection");
    head(&mut client).await;
    assert_eq!(until_end(&mut server).await, "");
    assert_eq!(until_end(&mut client).await, "");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let limits = ProxyLimits { idle_time: SHORT, ..ProxyLimits::default() };
    let scene = Scene::with(anywhere, &["127.0.0.1"], limits).await;
    let (listener, port) = listener().await;
    let mut client = scene.connect().await;
    let get = format!("GET http://open.example:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n");
    client.write_all(get.as_bytes()).await.expect("sent");
    let (mut server, _) = listener.accept().await.expect("a connection");
    head(&mut server).await;
    assert_eq!(until_end(&mut client).await, "");
    assert_eq!(until_end(&mut server).await, "");
}

#[tokio::test]
async fn more_connections_than_are_allowed_wait_for_one_to_end() {
    let limits = ProxyLimits { connections: 1, ..ProxyLimits::default() };
    let scene = Scene::with(anywhere, &["127.0.0.1"], limits).await;
    let (listener, port) = listener().await;
    let connect = format!("CONNECT open.example:{port} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut one = scene.connect().await;
    one.write_all(connect.as_bytes()).await.expect("sent");
    let (server, _) = listener.accept().await.expect("a connection");
    head(&mut one).await;
    let mut other = scene.connect().await;
    other.write_all(connect.as_bytes()).await.expect("sent");
    for _ in 0..100 {
        assert!(!was_reached(&listener).await);
    }
    drop((one, server));
    listener.accept().await.expect("now the other one");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let limits = ProxyLimits { header_bytes: 8 * 1024, ..ProxyLimits::default() };
    let scene = Scene::with(anywhere, &["127.0.0.1"], limits).await;
    let long = "x".repeat(20_000);
    let told =
        scene.exchange(format!("GET http://open.example/ HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n")).await;
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 431"), "{told}");
    assert_eq!(scene.attempts(), []);
}

#[tokio::test]
async fn an_endless_head_of_a_server_is_given_up() {
    let limits = ProxyLimits { header_bytes: 8 * 1024, ..ProxyLimits::default() };
    let scene = Scene::with(anywhere, &["127.0.0.1"], limits).await;
    let (listener, port) = listener().await;
    let flood = async {
        let (mut server, _) = listener.accept().await.expect("a connection");
        head(&mut server).await;
        let mut bytes = 0_usize;
        server.write_all(b"HTTP/1.1 200 OK\r\nX: ").await.expect("sent");
        while server.write_all(&[b'x'; 4096]).await.is_ok() {
            bytes += 4096;
            assert!(bytes < 64 * 1024 * 1024, "nobody stops it");
        }
    };
    let get = format!("GET http://open.example:{port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let (told, ()) = tokio::join!(scene.exchange(get), flood);
    assert!(told.starts_with("HTTP/1.1 502"), "{told}");
}

#[tokio::test]
async fn cancelling_ends_every_connection() {
    let mut scene = Scene::new(anywhere).await;
    let (listener, port) = listener().await;
    let mut client = scene.connect().await;
    let connect = format!("CONNECT open.example:{port} HTTP/1.1\r\nHost: x\r\n\r\n");
    client.write_all(connect.as_bytes()).await.expect("sent");
    let (mut server, _) = listener.accept().await.expect("a connection");
    head(&mut client).await;
    scene.cancel.cancel();
    (&mut scene.serving).await.expect("it returns");
    assert_eq!(until_end(&mut server).await, "");
    assert_eq!(until_end(&mut client).await, "");
}

//! SOCKS5.

use protocol::profile::NetworkProtocol;
use sandbox::proxy::{ProxyLimits, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::gate::anywhere;
use crate::scene::{Scene, listener, until_end, was_reached};

/// Hello without authentication, then CONNECT to a host in this form.
fn connect(kind: u8, host: &[u8], port: u16) -> Vec<u8> {
    [&[5, 1, 0, 5, 1, 0, kind], host, &port.to_be_bytes()[..]].concat()
}

fn by_name(name: &str, port: u16) -> Vec<u8> {
    let length = u8::try_from(name.len()).expect("short");
    connect(3, &[&[length], name.as_bytes()].concat(), port)
}

#[tokio::test]
async fn a_host_is_reached_by_name_and_by_address() {
    let scene = Scene::new(anywhere).await;
    let (listener, port) = listener().await;
    let mapped = [&[0; 10][..], &[0xff, 0xff, 127, 0, 0, 1]].concat();
    for request in
        [by_name("Open.Example.", port), connect(1, &[127, 0, 0, 1], port), connect(4, &mapped, port)]
    {
        let mut client = scene.connect().await;
        client.write_all(&request).await.expect("sent");
        let (mut server, _) = listener.accept().await.expect("a connection");
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(answer, [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        client.write_all(b"ping").await.expect("sent");
        server.read_exact(&mut [0; 4]).await.expect("received");
        server.write_all(b"pong").await.expect("sent");
        drop(server);
        assert_eq!(until_end(&mut client).await, "pong");
    }
    let attempts = scene.attempts();
    let hosts: Vec<_> = attempts.iter().map(|attempt| attempt.target.host.as_str()).collect();
    assert_eq!(hosts, ["open.example", "127.0.0.1", "127.0.0.1"]);
    assert!(attempts.iter().all(|attempt| attempt.target.protocol == NetworkProtocol::Socks5Tcp));
}

#[tokio::test]
async fn what_is_refused_is_told_by_its_number() {
    let scene = Scene::new(|host| match host {
        "closed.example" => Verdict::Deny { reason: "a rule".to_owned() },
        _ => anywhere(host),
    })
    .await;
    let (listener, port) = listener().await;
    let (gone, gone_port) = crate::scene::listener().await;
    drop(gone);
    let mut udp = connect(1, &[127, 0, 0, 1], port);
    udp[4] = 3;
    let mut bind = udp.clone();
    bind[4] = 2;
    for (request, expected) in [
        (by_name("closed.example", port), 2),
        (by_name("127.1", port), 2),
        (by_name("bücher.example", port), 2),
        (by_name("open.example", 0), 2),
        (by_name("open.example", gone_port), 5),
        (udp, 7),
        (bind, 7),
        (connect(9, &[], port), 8),
    ] {
        let told = scene.exchange(&request).await.into_bytes();
        assert_eq!(told[..4], [5, 0, 5, expected], "{request:?}");
    }
    // With a password only; and the version before.
    assert_eq!(scene.exchange([5, 1, 2]).await.as_bytes()[0], 5);
    assert!(!scene.exchange([4, 1, 0, 80, 127, 0, 0, 1, 0]).await.starts_with('\0'));
    assert!(!was_reached(&listener).await);
}

#[tokio::test]
async fn a_name_is_resolved_once_and_the_address_that_was_checked_is_the_one() {
    let scene = Scene::with(anywhere, &["127.0.0.1", "127.0.0.2"], ProxyLimits::default()).await;
    let (listener, port) = listener().await;
    let other = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.expect("listener");
    let mut client = scene.connect().await;
    client.write_all(&by_name("open.example", port)).await.expect("sent");
    listener.accept().await.expect("the first address");
    assert!(!was_reached(&other).await);
}

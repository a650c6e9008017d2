//! Requests and tunnels by HTTP.

use protocol::profile::NetworkProtocol;
use sandbox::proxy::{Attempt, Target, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::gate::{anywhere, public};
use crate::scene::{Scene, answer, head, listener, until_end, was_reached};

#[tokio::test]
async fn a_request_goes_through_without_what_was_for_the_proxy() {
    let scene = Scene::new(anywhere).await;
    let (listener, port) = listener().await;
    let request = format!(
        "GET http://Allowed.Example.:{port}/a?b HTTP/1.1\r\nHost: other.example\r\nX-Mine: 1\r\nX-Named: 1\r\n\
         Connection: close, X-Named\r\nProxy-Authorization: Basic eA==\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n\r\n"
    );
    let (told, sent) = tokio::join!(
        scene.exchange(request),
        answer(
            &listener,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Hop: 1\r\nConnection: X-Hop\r\n\r\nhello"
        ),
    );
    assert!(sent.starts_with("GET /a?b HTTP/1.1\r\n"), "{sent}");
    let sent = sent.to_ascii_lowercase();
    assert!(
        sent.contains(&format!("host: allowed.example:{port}\r\n")) && sent.contains("x-mine: 1"),
        "{sent}"
    );
    for gone in ["other.example", "x-named", "proxy-", "te:"] {
        assert!(!sent.contains(gone), "{gone} in {sent}");
    }
    assert!(told.starts_with("HTTP/1.1 200 OK") && told.ends_with("hello"), "{told}");
    assert!(!told.to_ascii_lowercase().contains("x-hop"), "{told}");
    let target = Target { protocol: NetworkProtocol::Http, host: "allowed.example".into(), port };
    let attempt = Attempt { target, is_allowed: true, reason: "it is listed".into() };
    assert_eq!(scene.attempts(), [attempt]);
}

#[tokio::test]
async fn a_body_goes_through_both_ways_however_long() {
    let scene = Scene::new(anywhere).await;
    let (listener, port) = listener().await;
    let body = "x".repeat(300_000);
    let request = format!(
        "POST http://127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let sent = head(&mut stream).await;
        assert!(sent.starts_with("POST / HTTP/1.1\r\n"), "{sent}");
        let mut received = vec![0; body.len()];
        stream.read_exact(&mut received).await.expect("the body");
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.expect("head");
        stream.write_all(format!("{:x}\r\n", received.len()).as_bytes()).await.expect("length");
        stream.write_all(&received).await.expect("body");
        stream.write_all(b"\r\n0\r\n\r\n").await.expect("end");
    };
    let (told, ()) = tokio::join!(scene.exchange(request), serve);
    assert_eq!(told.matches('x').count(), body.len());
}

#[tokio::test]
async fn every_request_of_a_connection_is_checked() {
    let scene = Scene::new(|host| match host {
        "open.example" => anywhere(host),
        _ => Verdict::Deny { reason: "no rule opens it".to_owned() },
    })
    .await;
    let ((open, open_port), (closed, closed_port)) = (listener().await, listener().await);
    let mut client = scene.connect().await;
    let get = format!("GET http://open.example:{open_port}/ HTTP/1.1\r\nHost: x\r\n\r\n");
    client.write_all(get.as_bytes()).await.expect("sent");
    answer(&open, "HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(head(&mut client).await.starts_with("HTTP/1.1 204"));
    let get = format!(
        "GET http://closed.example:{closed_port}/ HTTP/1.1\r\nHost: open.example\r\nConnection: close\r\n\r\n"
    );
    client.write_all(get.as_bytes()).await.expect("sent");
    let told = until_end(&mut client).await;
    assert!(told.starts_with("HTTP/1.1 403"), "{told}");
    assert!(
        told.contains(&format!("`closed.example:{closed_port}` is not open"))
            && told.contains("no rule opens it"),
        "{told}"
    );
    assert!(!was_reached(&closed).await);
    assert_eq!(scene.attempts().iter().map(|attempt| attempt.is_allowed).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_ends_when_both_do() {
    let scene = Scene::new(anywhere).await;
    let (listener, port) = listener().await;
    let mut client = scene.connect().await;
    let connect = format!("CONNECT open.example:{port} HTTP/1.1\r\nHost: other.example:1\r\n\r\n");
    client.write_all(connect.as_bytes()).await.expect("sent");
    let (mut server, _) = listener.accept().await.expect("a connection");
    assert!(head(&mut client).await.starts_with("HTTP/1.1 200"));
    client.write_all(b"\x16\x03\x01ping").await.expect("sent");
    client.shutdown().await.expect("one direction ends");
    assert_eq!(until_end(&mut server).await, "\x16\x03\x01ping");
    server.write_all(b"pong").await.expect("sent");
    drop(server);
    assert_eq!(until_end(&mut client).await, "pong");
    assert_eq!(scene.attempts()[0].target.protocol, NetworkProtocol::Https);
}

#[tokio::test]
async fn a_host_that_is_not_there_is_a_bad_gateway() {
    let scene = Scene::new(anywhere).await;
    let (gone, port) = listener().await;
    drop(gone);
    let told = scene
        .exchange(format!("CONNECT open.example:{port} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        .await;
    assert!(told.starts_with("HTTP/1.1 502") && told.contains("can't be reached"), "{told}");
    assert!(scene.attempts()[0].is_allowed);
}

#[tokio::test]
async fn what_is_no_request_to_a_proxy_is_refused() {
    let scene = Scene::new(anywhere).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: open.example\r\nConnection: close\r\n\r\n",
        "GET https://open.example/ HTTP/1.1\r\nHost: open.example\r\nConnection: close\r\n\r\n",
        "GET file:///etc/passwd HTTP/1.1\r\nHost: open.example\r\nConnection: close\r\n\r\n",
        "CONNECT open.example HTTP/1.1\r\nHost: open.example\r\nConnection: close\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "SSH-2.0-x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let told = scene.exchange(request).await;
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 400"), "{request:?}: {told}");
    }
    assert_eq!(scene.attempts(), []);
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_told_with_its_address() {
    let scene = Scene::new(public).await;
    let told =
        scene.exchange("GET http://innocent.example/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(
        told.starts_with("HTTP/1.1 403") && told.contains("127.0.0.1 is no address of the internet"),
        "{told}"
    );
    assert!(!scene.attempts()[0].is_allowed);
}

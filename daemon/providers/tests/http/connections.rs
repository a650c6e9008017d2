//! How a provider is reached: refused, over TLS that is trusted or not, with a certificate of the client's, through a
//! proxy, and over one connection for many requests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use model::event::ModelEvent;
use protocol::model::ProviderFailureKind::{Cut, Unreachable};
use providers::settings::{ProviderSettings, ProxySettings};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::apis::APIS;
use crate::faults::{TEXT, recorded, text};
use crate::secure::{Authority, Clients};
use crate::server::{Reply, Server};
use crate::{ask, outline, settings};

fn good(api: &crate::apis::Api) -> Reply {
    Reply::body("content-type: text/event-stream\r\n", recorded(api).as_bytes())
}

fn secure_url(address: SocketAddr) -> String {
    format!("https://localhost:{}/v1", address.port())
}

/// Settings of a client that trusts an authority.
fn trusting(authority: &Authority, base_url: String) -> ProviderSettings {
    ProviderSettings { ca_bundles: vec![authority.bundle()], ..settings(base_url) }
}

#[tokio::test(start_paused = true)]
async fn refused_connection_is_tried_again_and_told() {
    for api in &APIS {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let client = (api.make)(settings(format!("http://{address}/v1"))).unwrap();
        let (retries, last) = outline(ask(&client).await);
        let failure = last.unwrap_err();
        assert_eq!((retries.len(), failure.kind), (2, Unreachable), "{}", api.name);
        assert!(failure.message.contains("Connection refused"), "{}", failure.message);
    }
}

#[tokio::test(start_paused = true)]
async fn certificate_that_nobody_trusts_is_refused_and_said() {
    let authority = Authority::new();
    for api in &APIS {
        let tls = authority.acceptor("localhost", Clients::Any, &[]);
        let mut server = Server::start_secure((0..9).map(|_| good(api)), tls).await;
        let client = (api.make)(settings(secure_url(server.address))).unwrap();
        let (_, last) = outline(ask(&client).await);
        let failure = last.unwrap_err();
        assert_eq!(failure.kind, Unreachable, "{}", api.name);
        assert!(failure.message.contains("certificate"), "{} {}", api.name, failure.message);
        assert!(server.received().is_empty(), "{}: a request went to a stranger", api.name);
    }
}

#[tokio::test(start_paused = true)]
async fn certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let api = &APIS[0];
    let tls = authority.acceptor("elsewhere.example", Clients::Any, &[]);
    let mut server = Server::start_secure((0..9).map(|_| good(api)), tls).await;
    let client = (api.make)(trusting(&authority, secure_url(server.address))).unwrap();
    let (_, last) = outline(ask(&client).await);
    assert_eq!(last.unwrap_err().kind, Unreachable);
    assert!(server.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn server_without_tls_is_a_failure_to_connect() {
    for api in &APIS {
        let server = Server::start((0..9).map(|_| good(api))).await;
        // What it reads is no request: it waits for the end of a head that never comes, or hangs up.
        let address = server.address;
        let once = ProviderSettings {
            request_max_retries: 0,
            stream_max_retries: 0,
            ..settings(secure_url(address))
        };
        let (_, last) = outline(ask(&(api.make)(once).unwrap()).await);
        let failure = last.unwrap_err();
        assert!(matches!(failure.kind, Unreachable | Cut), "{} {failure:?}", api.name);
    }
}

#[tokio::test]
async fn bundle_of_ones_own_is_trusted_among_other_things_in_the_file() {
    let (authority, other) = (Authority::new(), Authority::new());
    let pem = std::fs::read_to_string(authority.bundle()).unwrap();
    let stranger = std::fs::read_to_string(other.bundle()).unwrap();
    let revocations = include_str!("../../src/certificates/revocations.pem");
    let trusted = include_str!("../../src/certificates/trusted.pem");
    let bundle = authority.file("bundle.pem", &format!("# Ours\n{stranger}{revocations}{trusted}\n{pem}"));
    for api in &APIS {
        let tls = authority.acceptor("localhost", Clients::Any, &[]);
        let server = Server::start_secure([good(api)], tls).await;
        let trusting =
            ProviderSettings { ca_bundles: vec![bundle.clone()], ..settings(secure_url(server.address)) };
        let events = ask(&(api.make)(trusting).unwrap()).await;
        assert_eq!(text(&events), TEXT, "{} {events:?}", api.name);
    }
}

#[tokio::test(start_paused = true)]
async fn server_that_asks_for_a_certificate_gets_the_clients() {
    let authority = Authority::new();
    let (certificate, key) = authority.signed("client");
    let identity = authority.file("client.pem", &format!("{certificate}{key}"));
    assert!(identity.starts_with(authority.folder()));
    for api in &APIS {
        let tls = authority.acceptor("localhost", Clients::Signed, &[]);
        let mut server = Server::start_secure((0..9).map(|_| good(api)), tls).await;
        let base = || trusting(&authority, secure_url(server.address));
        let without = ask(&(api.make)(base()).unwrap()).await;
        assert!(without.last().unwrap().is_err(), "{} {without:?}", api.name);
        let with = ProviderSettings { client_certificate: Some(identity.clone()), ..base() };
        let events = ask(&(api.make)(with).unwrap()).await;
        assert_eq!(text(&events), TEXT, "{} {events:?}", api.name);
        assert_eq!(server.received().len(), 1, "{}", api.name);
    }
}

/// A proxy that opens tunnels (RFC 9110, 9.3.6) to one server, whatever it is asked for. Tells of the lines of each
/// request.
async fn proxy(server: SocketAddr, tasks: &mut JoinSet<()>) -> (SocketAddr, UnboundedReceiver<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = unbounded_channel();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                if line.trim().is_empty() {
                    break;
                }
                lines.push(line.trim().to_owned());
            }
            tell.send(lines).unwrap();
            let mut onward = TcpStream::connect(server).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 x\r\n\r\n").await.unwrap();
            // Ends with the client.
            let _ = copy_bidirectional(&mut stream, &mut onward).await;
        }
    });
    (address, told)
}

#[tokio::test]
async fn proxy_is_asked_for_a_tunnel_and_sees_neither_key_nor_request() {
    let authority = Authority::new();
    for api in &APIS {
        let tls = authority.acceptor("models.example", Clients::Any, &[]);
        let mut server = Server::start_secure([good(api)], tls).await;
        let mut tasks = JoinSet::new();
        let (address, mut told) = proxy(server.address, &mut tasks).await;
        let url = format!("http://me:secret@{address}");
        let through = ProviderSettings {
            proxy: Some(ProxySettings { url, no_proxy: None }),
            ..trusting(&authority, "https://models.example/v1".to_owned())
        };
        let events = ask(&(api.make)(through).unwrap()).await;
        assert_eq!(text(&events), TEXT, "{} {events:?}", api.name);
        let lines = told.recv().await.unwrap();
        assert_eq!(lines[0], "CONNECT models.example:443 HTTP/1.1", "{}", api.name);
        assert!(lines.iter().any(|line| line.to_lowercase().starts_with("proxy-authorization: basic")));
        assert!(!lines.iter().any(|line| line.contains(crate::KEY)), "{lines:?}");
        assert_eq!(server.received().len(), 1, "{}", api.name);
    }
}

#[tokio::test]
async fn host_without_proxy_and_the_loopback_are_reached_directly() {
    let authority = Authority::new();
    let api = &APIS[0];
    let tls = authority.acceptor("localhost", Clients::Any, &[]);
    let server = Server::start_secure([good(api)], tls).await;
    let mut tasks = JoinSet::new();
    let (address, mut told) = proxy(server.address, &mut tasks).await;
    let past = ProviderSettings {
        proxy: Some(ProxySettings { url: format!("http://{address}"), no_proxy: None }),
        ..trusting(&authority, secure_url(server.address))
    };
    let events = ask(&(api.make)(past).unwrap()).await;
    assert_eq!(text(&events), TEXT, "{events:?}");
    assert!(told.try_recv().is_err());
}

/// A server of HTTP/2 that says the same to everybody; counts its connections.
async fn second_version(
    tls: TlsAcceptor,
    body: String,
    tasks: &mut JoinSet<()>,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let (tls, body) = (tls.clone(), body.clone());
            connections.spawn(async move {
                let stream = tls.accept(stream).await.unwrap();
                let say = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    assert_eq!(request.version(), hyper::Version::HTTP_2);
                    let body = Full::new(Bytes::from(body.clone()));
                    async move { Response::builder().header("content-type", "text/event-stream").body(body) }
                });
                let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                // Ends with the client.
                let _ = serving.serve_connection(TokioIo::new(stream), say).await;
            });
        }
    });
    (address, count)
}

#[tokio::test]
async fn turns_share_one_connection_that_was_opened_ahead() {
    let authority = Authority::new();
    for api in &APIS {
        let mut tasks = JoinSet::new();
        let tls = authority.acceptor("localhost", Clients::Any, &["h2"]);
        let (address, count) = second_version(tls, recorded(api), &mut tasks).await;
        let client = (api.make)(trusting(&authority, secure_url(address))).unwrap();
        client.warm_up().await;
        assert_eq!(count.load(Ordering::Relaxed), 1, "{}", api.name);
        for _ in 0..3 {
            let events = ask(&client).await;
            assert!(matches!(events.last(), Some(Ok(ModelEvent::Completed { .. }))), "{events:?}");
            assert_eq!(text(&events), TEXT, "{}", api.name);
        }
        assert_eq!(count.load(Ordering::Relaxed), 1, "{}", api.name);
    }
}

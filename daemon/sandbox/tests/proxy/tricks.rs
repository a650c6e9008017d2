//! Spellings and names that shall make the proxy reach this machine although only one host of the internet is open.
//! Every name is on this machine, as with a hostile server of names.

use sandbox::proxy::{ProxyLimits, Verdict};
use tokio::net::TcpListener;

use crate::gate::{anywhere, public};
use crate::scene::{Scene, was_reached};

/// Hosts as they stand in URLs; `PORT` is the listener's.
const HOSTS: [&str; 46] = [
    "127.0.0.1:PORT",
    "127.0.0.1.:PORT",
    "127.1:PORT",
    "127.0.1:PORT",
    "2130706433:PORT",
    "0x7f000001:PORT",
    "0x7f.0.0.1:PORT",
    "0x7F.0x0.0x0.0x1:PORT",
    "0177.0.0.1:PORT",
    "017700000001:PORT",
    "00000177.0.0.01:PORT",
    "127.0.0.1.nip.example:PORT",
    "0:PORT",
    "0.0.0.0:PORT",
    "127.255.255.254:PORT",
    "[::1]:PORT",
    "[0:0:0:0:0:0:0:1]:PORT",
    "[::]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "[::ffff:7f00:1]:PORT",
    "[::127.0.0.1]:PORT",
    "[64:ff9b::7f00:1]:PORT",
    "[2002:7f00:1::]:PORT",
    "[::1%25lo]:PORT",
    "localhost:PORT",
    "LOCALHOST:PORT",
    "localhost.:PORT",
    "localhost.localdomain:PORT",
    "allowed.example:PORT",
    "ALLOWED.example.:PORT",
    "allowed.example.evil.example:PORT",
    "allowed.example@127.0.0.1:PORT",
    "user:allowed.example@127.0.0.1:PORT",
    "allowed.example:80@127.0.0.1:PORT",
    "127.0.0.1:PORT@allowed.example:PORT",
    "127.0.0.1%2eallowed.example:PORT",
    "127.0.0.1%00.allowed.example:PORT",
    "127.0.0.1\\.allowed.example:PORT",
    "127.0.0.1#.allowed.example:PORT",
    "127.0.0.1?.allowed.example:PORT",
    "xn--localhost-.example:PORT",
    "\u{ff11}\u{ff12}\u{ff17}.0.0.1:PORT",
    "\u{24db}ocalhost:PORT",
    "127\u{3002}0\u{3002}0\u{3002}1:PORT",
    "169.254.169.254:PORT",
    "metadata.google.internal:PORT",
];

/// A listener at every address of this machine, by IPv6 and IPv4.
async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("[::]:0").await.expect("listener");
    let port = listener.local_addr().expect("address").port();
    (listener, port)
}

/// Each host in a plain request, in CONNECT, and as a name in SOCKS5.
fn requests(host: &str, port: u16) -> [Vec<u8>; 4] {
    let host = host.replace("PORT", &port.to_string());
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    let length = u8::try_from(name.len()).expect("short");
    let socks = [&[5, 1, 0, 5, 1, 0, 3, length], name.as_bytes(), &port.to_be_bytes()[..]].concat();
    [
        format!("GET http://{host}/ HTTP/1.1\r\nHost: allowed.example\r\nConnection: close\r\n\r\n").into(),
        format!("CONNECT {host} HTTP/1.1\r\nHost: allowed.example:443\r\nConnection: close\r\n\r\n").into(),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").into(),
        socks,
    ]
}

/// Threat R21.
#[tokio::test]
async fn no_spelling_of_this_machine_is_reached() {
    let only_one: crate::gate::Say = |host| match host {
        "allowed.example" => public(host),
        _ => Verdict::Deny { reason: "no rule opens it".to_owned() },
    };
    for say in [public, only_one] {
        let scene = Scene::new(say).await;
        let (listener, port) = listener().await;
        for host in HOSTS {
            for request in requests(host, port) {
                tokio::select! {
                    _told = scene.exchange(&request) => {}
                    _reached = listener.accept() => panic!("{host} reaches this machine"),
                }
                assert!(!was_reached(&listener).await, "{host} reaches this machine");
            }
        }
        assert!(scene.attempts().iter().all(|attempt| !attempt.is_allowed));
    }
}

#[tokio::test]
async fn the_listener_of_these_tests_can_be_reached() {
    let scene = Scene::with(anywhere, &["127.0.0.1"], ProxyLimits::default()).await;
    let (listener, port) = listener().await;
    let [get, ..] = requests("127.0.0.1:PORT", port);
    let accept = async { listener.accept().await.map(drop).expect("a connection") };
    tokio::join!(scene.exchange(get), accept);
}

#[tokio::test]
async fn a_redirect_to_this_machine_is_a_request_like_any_other() {
    let scene =
        Scene::new(|host| if host == "allowed.example" { anywhere(host) } else { public(host) }).await;
    let (listener, port) = crate::scene::listener().await;
    let get =
        |host: &str| format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let location =
        format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n");
    let (told, _) =
        tokio::join!(scene.exchange(get("allowed.example")), crate::scene::answer(&listener, &location));
    assert!(told.starts_with("HTTP/1.1 302"), "the client follows it, the proxy does not: {told}");
    assert!(scene.exchange(get("127.0.0.1")).await.starts_with("HTTP/1.1 403"));
    assert!(!was_reached(&listener).await);
}

//! The listener that a browser is sent to with the code. On the loopback only, for one answer: a hit that is not of
//! this sign-in is refused and changes nothing, the first that is closes the listener. Knows nothing of who signs in
//! with whom.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The port that OpenAI knows.
const USUAL_PORT: u16 = 1455;
/// Where the browser is sent by OpenAI's server of accounts, which knows the address by this name.
const USUAL_PLACE: Redirect = Redirect { host: "localhost", path: "/auth/callback" };
/// Where it is sent by others.
const PLACE: Redirect = Redirect { host: "127.0.0.1", path: "/callback" };
/// A request's head is no longer.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long a request may take to come, or a page to go.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// Connections at a time; one more is closed.
const MAX_CONNECTIONS: usize = 16;

/// Waits for a browser.
pub struct Callback {
    listener: TcpListener,
    port: u16,
    place: Redirect,
}

/// What a browser brought.
pub struct Hit {
    /// The code, or what went wrong, in the server's words.
    pub(crate) result: Result<String, String>,
    /// The whole address that it was sent to.
    pub address: String,
    stream: TcpStream,
}

/// Host and path of the address.
#[derive(Clone, Copy)]
struct Redirect {
    host: &'static str,
    path: &'static str,
}

impl Callback {
    /// On the usual port, or on any if that is taken.
    pub(crate) async fn bind() -> std::io::Result<Self> {
        let on = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let listener = match on(USUAL_PORT).await {
            Ok(listener) => listener,
            Err(_) => on(0).await?,
        };
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port, place: USUAL_PLACE })
    }

    /// On any port, for a server of accounts that takes each.
    ///
    /// # Errors
    /// When the system gives no port.
    pub async fn bind_any() -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port, place: PLACE })
    }

    /// Where the server is to send the browser.
    #[must_use]
    pub fn redirect(&self) -> String {
        format!("http://{}:{}{}", self.place.host, self.port, self.place.path)
    }

    /// Waits for the browser that has this state. The listener is closed when this returns or is dropped.
    pub async fn hit(self, state: &str) -> Hit {
        let mut requests = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    if let Ok((stream, peer)) = accepted
                        && peer.ip().is_loopback()
                        && requests.len() < MAX_CONNECTIONS
                    {
                        requests.spawn(timeout(REQUEST_LIMIT, target(stream)));
                    }
                }
                Some(request) = requests.join_next() => {
                    // One that broke off, took too long or is no request is forgotten.
                    let Ok(Ok(Some((stream, target)))) = request else { continue };
                    match judge(&target, state, self.place.path) {
                        Judgement::Ours(result) => {
                            let address = format!("http://{}:{}{target}", self.place.host, self.port);
                            return Hit { result, address, stream };
                        }
                        Judgement::Refused(status, words) => {
                            requests.spawn(async move {
                                respond(stream, status, words).await;
                                Ok(None)
                            });
                        }
                    }
                }
            }
        }
    }
}

impl Hit {
    /// Tells the browser how it ended.
    pub async fn respond(self, outcome: Result<(), &str>) {
        match outcome {
            Ok(()) => respond(self.stream, "200 OK", "You are signed in. You can close this window.").await,
            Err(reason) => respond(self.stream, "400 Bad Request", reason).await,
        }
    }
}

/// What a request is.
enum Judgement {
    /// The answer that was waited for.
    Ours(Result<String, String>),
    /// Somebody else's; status and words.
    Refused(&'static str, &'static str),
}

fn judge(target: &str, state: &str, path: &str) -> Judgement {
    let url = Url::parse("http://localhost").and_then(|base| base.join(target));
    let Ok(url) = url else { return Judgement::Refused("400 Bad Request", "This is no address.") };
    if url.host_str() != Some("localhost") || url.path() != path {
        return Judgement::Refused("404 Not Found", "There is nothing here.");
    }
    let value =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    // Whoever does not know the state was not sent here by this sign-in.
    if !value("state").is_some_and(|given| is_same(&given, state)) {
        return Judgement::Refused("400 Bad Request", "This is not the sign-in that was begun here.");
    }
    if let Some(error) = value("error") {
        let words = value("error_description").unwrap_or(error);
        return Judgement::Ours(Err(words.chars().filter(|letter| !letter.is_control()).take(300).collect()));
    }
    match value("code").filter(|code| !code.is_empty()) {
        Some(code) => Judgement::Ours(Ok(code)),
        None => Judgement::Refused("400 Bad Request", "The code is missing."),
    }
}

/// Compares in a time that does not tell where they differ.
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// Reads the head of a request and gives what it asks for; `None` if it is no `GET` for this machine.
async fn target(mut stream: TcpStream) -> Option<(TcpStream, String)> {
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        head.extend_from_slice(&piece[..read]);
        if head.len() > MAX_HEAD_BYTES {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.lines();
    let target = lines.next()?.strip_prefix("GET ")?.split(' ').next()?.to_owned();
    // A page elsewhere whose name leads here has another host in its requests.
    let host =
        lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.map(|(_, value)| value.trim()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    (target.starts_with('/') && matches!(name, "localhost" | "127.0.0.1")).then_some((stream, target))
}

async fn respond(mut stream: TcpStream, status: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Skein</title>\
         <body style=\"font-family: sans-serif; margin: 4em\"><h1>Skein</h1><p>{words}</p>"
    );
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n",
        page.len()
    );
    let work = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(page.as_bytes()).await?;
        stream.shutdown().await
    };
    // A browser that went away need not be told.
    let _ = timeout(REQUEST_LIMIT, work).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(port: u16, target: &str, host: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    #[tokio::test]
    async fn a_wrong_state_is_refused_and_the_listener_goes_on_until_the_right_one() {
        let callback = Callback::bind().await.unwrap();
        let port = callback.port;
        let waiting = tokio::spawn(async move { callback.hit("right").await });
        for (target, wanted) in [
            ("/auth/callback?code=evil&state=wrong", "400"),
            ("/auth/callback?code=evil", "400"),
            ("/auth/callback?error=evil&state=", "400"),
            ("/auth/callback?state=right", "400"),
            ("/elsewhere?code=evil&state=right", "404"),
            ("//evil.example/auth/callback?code=evil&state=wrong", "4"),
        ] {
            let text = get(port, target, "localhost").await.unwrap();
            assert!(text.starts_with(&format!("HTTP/1.1 {wanted}")), "{target}: {text}");
        }
        let foreign = get(port, "/auth/callback?code=evil&state=right", "evil.example").await;
        assert_eq!(foreign.unwrap_or_default(), "", "another host is not answered");
        assert!(!waiting.is_finished());
        let good =
            tokio::spawn(
                async move { get(port, "/auth/callback?code=c%2B1&state=right", "localhost:1").await },
            );
        let hit = waiting.await.unwrap();
        assert_eq!(hit.result, Ok("c+1".to_owned()));
        // Somebody else may have the port by now; an open listener of ours would leave this one waiting.
        let second =
            timeout(REQUEST_LIMIT, get(port, "/auth/callback?code=c&state=right", "localhost")).await;
        let second = second.expect("the listener is closed").unwrap_or_default();
        assert!(!second.contains("signed in"), "a second hit is refused: {second}");
        hit.respond(Ok(())).await;
        assert!(good.await.unwrap().unwrap().contains("You are signed in"));
    }

    #[tokio::test]
    async fn an_error_of_the_server_ends_it() {
        let callback = Callback::bind().await.unwrap();
        let port = callback.port;
        let waiting = tokio::spawn(async move { callback.hit("s").await });
        let told = tokio::spawn(async move {
            get(
                port,
                "/auth/callback?error=access_denied&error_description=No%20%3Cb%3E&state=s",
                "localhost",
            )
            .await
        });
        let hit = waiting.await.unwrap();
        assert_eq!(hit.result, Err("No <b>".to_owned()));
        hit.respond(Err("No <b>")).await;
        assert!(told.await.unwrap().unwrap().contains("No &lt;b&gt;"));
    }

    #[tokio::test]
    async fn the_whole_address_is_handed_on() {
        let callback = Callback::bind_any().await.unwrap();
        let (port, redirect) = (callback.port, callback.redirect());
        assert_eq!(redirect, format!("http://127.0.0.1:{port}/callback"));
        let waiting = tokio::spawn(async move { callback.hit("s").await });
        let told = tokio::spawn(async move {
            get(port, "/callback?code=c&state=s&iss=https%3A%2F%2Fa.org", "127.0.0.1").await
        });
        let hit = waiting.await.unwrap();
        assert_eq!(hit.address, format!("{redirect}?code=c&state=s&iss=https%3A%2F%2Fa.org"));
        hit.respond(Ok(())).await;
        assert!(told.await.unwrap().unwrap().contains("You are signed in"));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_no_obstacle() {
        let first = Callback::bind().await.unwrap();
        let second = Callback::bind().await.unwrap();
        assert_ne!(first.port, second.port);
        assert!(second.listener.local_addr().unwrap().ip().is_loopback());
    }
}

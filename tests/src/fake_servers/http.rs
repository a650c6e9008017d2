//! A small HTTP server on a thread of its own. Each connection serves one request; what is asked is written down.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::error::HarnessError;

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Such as `POST`.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// Names in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Asked {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Method and path.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Given {
    /// The status.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// What comes after it.
    pub then: Then,
}

/// What comes after the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The end.
    End,
    /// Nothing, until the client goes away.
    Hold,
}

impl Given {
    /// A good answer in JSON.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self::status(200, value)
    }

    /// An answer in JSON with this status.
    #[must_use]
    pub fn status(status: u16, value: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, body: value.to_string(), then: Then::End }
    }

    /// Lines of JSON, as Ollama sends them.
    #[must_use]
    pub fn lines(lines: &[Value], then: Then) -> Self {
        let body = lines.iter().map(|line| format!("{line}\n")).collect();
        let headers = vec![("content-type", "application/x-ndjson".to_owned())];
        Self { status: 200, headers, body, then }
    }

    /// An answer of the Chat Completions API that says something.
    #[must_use]
    pub fn chat(words: &str) -> Self {
        let chunk = |delta: Value, finish: Value| {
            let choice = serde_json::json!({"index": 0, "delta": delta, "finish_reason": finish});
            format!("data: {}\n\n", serde_json::json!({"id": "c", "choices": [choice]}))
        };
        let body = chunk(serde_json::json!({"content": words}), Value::Null)
            + &chunk(serde_json::json!({}), "stop".into())
            + "data: [DONE]\n\n";
        let headers = vec![("content-type", "text/event-stream".to_owned())];
        Self { status: 200, headers, body, then: Then::End }
    }

    /// Nothing, until the client goes away.
    #[must_use]
    pub fn silence() -> Self {
        Self { status: 200, headers: Vec::new(), body: String::new(), then: Then::Hold }
    }
}

/// A server. Dropping it closes its port.
pub struct FakeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    answer: Box<dyn Fn(&Asked) -> Given + Send + Sync>,
    log: Mutex<Log>,
    changed: Condvar,
    is_over: AtomicBool,
}

#[derive(Default)]
struct Log {
    asked: Vec<Asked>,
    /// Paths of answers whose client went away before their end.
    dropped: Vec<String>,
}

impl FakeServer {
    /// Starts one. The closure is called for each request, on a thread of the request's own.
    ///
    /// # Errors
    /// `Server`.
    pub fn start(answer: impl Fn(&Asked) -> Given + Send + Sync + 'static) -> Result<Self, HarnessError> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(HarnessError::Server)?;
        let address = listener.local_addr().map_err(HarnessError::Server)?;
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            log: Mutex::default(),
            changed: Condvar::new(),
            is_over: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        let accepting = std::thread::Builder::new()
            .name("fake-server".to_owned())
            .spawn(move || accept(&listener, &served))
            .map_err(HarnessError::Server)?;
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// Where it is: scheme, host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked, in the order of arrival.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    /// What was asked with this method and path.
    #[must_use]
    pub fn asked_for(&self, line: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.line() == line).collect()
    }

    /// Waits until something was asked for; whether it was in time.
    #[must_use]
    pub fn wait_for(&self, line: &str, limit: Duration) -> bool {
        self.wait(limit, |log| log.asked.iter().any(|asked| asked.line() == line))
    }

    /// Waits until a client went away in the middle of an answer of this path; whether it did in time.
    #[must_use]
    pub fn wait_for_drop(&self, path: &str, limit: Duration) -> bool {
        self.wait(limit, |log| log.dropped.iter().any(|dropped| dropped == path))
    }

    fn wait(&self, limit: Duration, until: impl Fn(&Log) -> bool) -> bool {
        let waited = self.shared.changed.wait_timeout_while(self.lock(), limit, |log| !until(log));
        until(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        lock(&self.shared)
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Wakes the thread that accepts; an error means that it is gone already.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Log> {
    shared.log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads of connections end with their clients.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.is_over.load(Ordering::Acquire) {
            return;
        }
        let shared = Arc::clone(shared);
        // A client that goes away in the middle is none of the server's business.
        std::thread::spawn(move || serve(stream, &shared));
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let asked = read(&mut stream)?;
    let path = asked.path.clone();
    lock(shared).asked.push(asked.clone());
    shared.changed.notify_all();
    let Given { status, headers, body, then } = (shared.answer)(&asked);
    let mut head = format!("HTTP/1.1 {status} Status\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match then {
        Then::End => {
            write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len())?;
            stream.flush()
        }
        Then::Hold => {
            if !body.is_empty() {
                write!(stream, "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len())?;
                stream.flush()?;
            }
            // Ends when the client closes, in whichever way.
            let _ = stream.read(&mut [0]);
            lock(shared).dropped.push(path);
            shared.changed.notify_all();
            Ok(())
        }
    }
}

fn read(stream: &mut TcpStream) -> io::Result<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = target.split('?').next().unwrap_or_default().to_owned();
    Ok(Asked { method, path, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

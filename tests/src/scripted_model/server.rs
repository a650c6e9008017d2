//! The server: accepts, records, checks, and answers as the script says. Knows nothing of what is in a reply.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::error::HarnessError;
use crate::scripted_model::body::{Rhythm, ScriptedBody};
use crate::scripted_model::check::{self, Invalid};
use crate::scripted_model::render::render;
use crate::scripted_model::reply::{Reply, StatusReply};
use crate::scripted_model::request::Request;
use crate::scripted_model::script::{Next, Script};

pub use crate::scripted_model::script::WhenEmpty;

/// How long a request may take from its arrival to the choice of its reply.
const DECISION_LIMIT: Duration = Duration::from_secs(5);

/// Whether request bodies are held against the wire format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checks {
    /// A request that the provider would refuse is refused, does not use up a reply, and is a complaint.
    #[default]
    Strict,
    /// Any request is answered.
    Off,
}

/// What a server is like, apart from its script.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether requests are checked.
    pub checks: Checks,
    /// What an empty queue answers.
    pub when_empty: WhenEmpty,
    /// The key that requests must carry; absent: any or none.
    pub api_key: Option<String>,
    /// The models that `GET models` lists; `scripted` if empty.
    pub models: Vec<String>,
}

/// A model server on the loopback, on a thread of its own, so that it serves tests with and without a runtime.
/// Dropping it closes every connection and waits for the thread.
#[derive(Debug)]
pub struct ScriptedModel {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ScriptedModel {
    /// Starts a server that gives these replies, one to each valid request, in this order.
    ///
    /// # Errors
    /// `Server`.
    pub fn start<R: Into<Reply>>(replies: impl IntoIterator<Item = R>) -> Result<Self, HarnessError> {
        Self::start_with(Options::default(), replies)
    }

    /// As `start`, with options.
    ///
    /// # Errors
    /// `Server`.
    pub fn start_with<R: Into<Reply>>(
        options: Options,
        replies: impl IntoIterator<Item = R>,
    ) -> Result<Self, HarnessError> {
        let replies: VecDeque<_> = replies.into_iter().map(|reply| Arc::new(reply.into())).collect();
        let when_empty = options.when_empty;
        Self::launch(options, Script::Queue { replies, last: None, when_empty })
    }

    /// Starts a server whose replies a closure decides. It is called for one valid request at a time, on the
    /// server's thread; while it runs nothing else is served.
    ///
    /// # Errors
    /// `Server`.
    pub fn answering(
        options: Options,
        answering: impl FnMut(&Request) -> Reply + Send + 'static,
    ) -> Result<Self, HarnessError> {
        Self::launch(options, Script::Closure(Box::new(answering)))
    }

    fn launch(options: Options, script: Script) -> Result<Self, HarnessError> {
        let shared = Arc::new(Shared {
            options,
            script: Mutex::new(script),
            log: Mutex::new(Log::default()),
            changed: Condvar::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(HarnessError::Server)?;
        // A test may have a runtime of its own, in which another one must not block.
        let listener = std::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .map_err(HarnessError::Server)?;
        listener.set_nonblocking(true).map_err(HarnessError::Server)?;
        let address = listener.local_addr().map_err(HarnessError::Server)?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener).map_err(HarnessError::Server)?
        };
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("scripted-model".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(listener, served) => {}
                    }
                });
            })
            .map_err(HarnessError::Server)?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// What a provider's `base_url` must be.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Adds a reply to the end of a queue; a closure takes no notice.
    pub fn push(&self, reply: impl Into<Reply>) {
        if let Script::Queue { replies, .. } = &mut *lock(&self.shared.script) {
            replies.push_back(Arc::new(reply.into()));
        }
    }

    /// The requests so far, in the order of their arrival, refused ones and those for models included.
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<Request>> {
        lock(&self.shared.log).requests.clone()
    }

    /// Waits until there are so many requests, and returns all there are.
    ///
    /// # Errors
    /// `TooFewRequests`.
    pub fn wait_for_requests(
        &self,
        wanted: usize,
        waited: Duration,
    ) -> Result<Vec<Arc<Request>>, HarnessError> {
        let log = self.wait(waited, |log| log.requests.len() >= wanted);
        let seen = log.requests.len();
        if seen < wanted {
            Err(HarnessError::TooFewRequests { wanted, seen, waited })
        } else {
            Ok(log.requests.clone())
        }
    }

    /// Waits until the client has given up a request before its answer was complete.
    ///
    /// # Errors
    /// `NotDropped`.
    pub fn wait_for_drop_of(&self, number: usize, waited: Duration) -> Result<(), HarnessError> {
        let log = self.wait(waited, |log| log.dropped.contains(&number));
        if log.dropped.contains(&number) { Ok(()) } else { Err(HarnessError::NotDropped { number, waited }) }
    }

    /// Whether all went by the script: every request was valid, none came when the script was empty, and no
    /// reply is left. Requests that have arrived are given the time to be decided upon.
    ///
    /// # Errors
    /// `Complaints`.
    pub fn verify(&self) -> Result<(), HarnessError> {
        drop(self.wait(DECISION_LIMIT, |log| log.undecided == 0));
        let mut complaints = lock(&self.shared.log).complaints.clone();
        let left = lock(&self.shared.script).left();
        if left > 0 {
            complaints.push(format!("{left} reply(s) of the script were never asked for"));
        }
        if complaints.is_empty() { Ok(()) } else { Err(HarnessError::Complaints(complaints)) }
    }

    fn wait(&self, limit: Duration, until: impl Fn(&Log) -> bool) -> MutexGuard<'_, Log> {
        let log = lock(&self.shared.log);
        let waited = self.shared.changed.wait_timeout_while(log, limit, |log| !until(log));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // An error means that the thread has ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by it; a second one in a drop would abort the tests.
            let _ = thread.join();
        }
    }
}

struct Shared {
    options: Options,
    script: Mutex<Script>,
    log: Mutex<Log>,
    changed: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What happened so far. Grows with every request; a server lives as long as a test.
#[derive(Default)]
struct Log {
    requests: Vec<Arc<Request>>,
    /// Requests that no reply was chosen for yet.
    undecided: usize,
    /// Numbers of requests whose client did not wait for the end.
    dropped: Vec<usize>,
    complaints: Vec<String>,
}

/// Belongs to one answer; dropped before it is finished, it says that the client went away.
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    number: usize,
    is_finished: bool,
}

impl Ticket {
    pub(crate) fn finish(&mut self) {
        self.is_finished = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.is_finished {
            lock(&self.shared.log).dropped.push(self.number);
            self.shared.changed.notify_all();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accepts connections for ever. Dropping it closes all of them.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An accept fails when the client is gone again or descriptors are short; the next may do.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
    // An error is a client that went away or a reply that breaks; both are what tests are about.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: hyper::Request<Incoming>,
    shared: Arc<Shared>,
) -> io::Result<Response<ScriptedBody>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let request = record(&shared, head, body);
    let ticket = Ticket { shared: Arc::clone(&shared), number: request.number, is_finished: false };
    let decision = decide(&shared, &request);
    lock(&shared.log).undecided -= 1;
    shared.changed.notify_all();
    match decision {
        Decision::Models => models(&shared.options, ticket),
        Decision::Refuse(reply) => status(&reply, ticket),
        Decision::Perform(reply) => perform(&reply, &request, ticket).await,
    }
}

/// What a request gets.
enum Decision {
    Models,
    Refuse(StatusReply),
    Perform(Arc<Reply>),
}

fn decide(shared: &Shared, request: &Request) -> Decision {
    if request.method == Method::GET && request.path == "/v1/models" {
        return Decision::Models;
    }
    if let Err(refusal) = admit(&shared.options, request) {
        complain(shared, format!("request {}: {}", request.number, refusal.complaint));
        return Decision::Refuse(refusal.reply);
    }
    match lock(&shared.script).next(request) {
        Next::Reply(reply) => Decision::Perform(reply),
        Next::Exhausted(reply) => {
            complain(shared, format!("request {}: the script was empty", request.number));
            Decision::Perform(reply)
        }
    }
}

fn record(shared: &Shared, head: hyper::http::request::Parts, body: Bytes) -> Arc<Request> {
    let mut log = lock(&shared.log);
    let request = Arc::new(Request::new(log.requests.len(), head, body));
    log.requests.push(Arc::clone(&request));
    log.undecided += 1;
    shared.changed.notify_all();
    request
}

fn complain(shared: &Shared, complaint: String) {
    lock(&shared.log).complaints.push(complaint);
}

async fn perform(reply: &Reply, request: &Request, mut ticket: Ticket) -> io::Result<Response<ScriptedBody>> {
    match reply {
        Reply::Silence => {
            let never: Infallible = pending().await;
            match never {}
        }
        Reply::HangUp => {
            ticket.finish();
            Err(io::Error::other("The script hangs up here"))
        }
        Reply::Status(reply) => status(reply, ticket),
        Reply::Answer(answer) => {
            let rendered = render(answer, request);
            let rhythm = Rhythm::new(answer.pause, answer.pace);
            let body = ScriptedBody::stream(rendered.frames, rhythm, rendered.then, ticket);
            let mut response = Response::new(body);
            let content_type = HeaderValue::from_str(&answer.content_type).map_err(io::Error::other)?;
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            let id =
                HeaderValue::from_str(&format!("req_{:08x}", request.number)).map_err(io::Error::other)?;
            response.headers_mut().insert("x-request-id", id);
            Ok(response)
        }
    }
}

fn status(reply: &StatusReply, ticket: Ticket) -> io::Result<Response<ScriptedBody>> {
    let mut response = Response::new(ScriptedBody::whole(reply.body.clone(), ticket));
    *response.status_mut() = StatusCode::from_u16(reply.status).map_err(io::Error::other)?;
    for (name, value) in &reply.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
        response.headers_mut().append(name, HeaderValue::from_str(value).map_err(io::Error::other)?);
    }
    Ok(response)
}

fn models(options: &Options, ticket: Ticket) -> io::Result<Response<ScriptedBody>> {
    let scripted = ["scripted".to_owned()];
    let names = if options.models.is_empty() { &scripted[..] } else { &options.models };
    let model = |name| json!({"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "script"});
    let list: Vec<_> = names.iter().map(model).collect();
    let reply = StatusReply::new(200, json!({"object": "list", "data": list}).to_string());
    status(&reply.header("content-type", "application/json"), ticket)
}

/// Why a request does not get as far as the script.
struct Refusal {
    complaint: String,
    reply: StatusReply,
}

fn admit(options: &Options, request: &Request) -> Result<(), Refusal> {
    let refuse = |status: u16, message: String, code: Option<&str>| Refusal {
        reply: StatusReply::error(status, &message, "invalid_request_error", code),
        complaint: message,
    };
    if request.method != Method::POST || request.path != "/v1/responses" {
        let message = format!("Invalid URL ({} {})", request.method, request.path);
        return Err(refuse(404, message, None));
    }
    if let Some(key) = &options.api_key {
        let given = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if given != Some(key) {
            let message = "Incorrect API key provided.".to_owned();
            return Err(refuse(401, message, Some("invalid_api_key")));
        }
    }
    if options.checks == Checks::Off {
        return Ok(());
    }
    let media_type = request.header("content-type").and_then(|value| value.split(';').next()).map(str::trim);
    if media_type != Some("application/json") {
        let message = format!("Unsupported content type: {media_type:?}, expected `application/json`.");
        return Err(refuse(415, message, None));
    }
    check::check(request.json())
        .map_err(|invalid| Refusal { complaint: invalid.message.clone(), reply: bad_request(&invalid) })
}

fn bad_request(invalid: &Invalid) -> StatusReply {
    let body = json!({"error": {
        "message": invalid.message,
        "type": "invalid_request_error",
        "param": invalid.param,
        "code": invalid.code,
    }});
    StatusReply::new(400, body.to_string()).header("content-type", "application/json")
}

#[cfg(test)]
mod tests;

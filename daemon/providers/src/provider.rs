//! One provider, as its settings describe it: its URL, its headers and what must not be told. Sends a request and
//! judges the head of the answer. Knows HTTP, nothing of the content.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use model::limits::RateLimit;
use model::request::ModelRequest;
use protocol::model::{ProviderFailure, ProviderFailureKind};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Identity, NoProxy, Proxy, Response, StatusCode, Url};
use tokio::time::timeout;
use tracing::debug;

use crate::certificates::{self, Unusable};
use crate::connection::{Connection, Trust};
use crate::failure::{Failure, cause};
use crate::limits;
use crate::recording::{End, Form, Place, Player, Recorder, Tape};
use crate::retry::Again;
use crate::settings::{
    Compaction, Key, MAX_RETRIES, ProviderError, ProviderSettings, RequestOptions, Secret, Transport,
};
use crate::socket::Sockets;
use crate::sse::{Events, SseError};
use crate::wire_api::WireApi;

/// How much of the body of a failed answer is read.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// The most bytes of an answer that is one object.
const OBJECT_BYTES: usize = 2 * 1024 * 1024;

/// How long the body of a failed answer may take.
const ERROR_BODY_TIME: Duration = Duration::from_secs(10);

/// Headers of the settings shorter than this hold no secret.
const SECRET_BYTES: usize = 8;

/// What is asked of a provider.
pub(crate) struct Asked {
    pub(crate) url: Url,
    pub(crate) body: Bytes,
    /// The same for a WebSocket, where the wire API has one.
    pub(crate) message: Option<Bytes>,
    pub(crate) model: String,
    /// What it is asked after, and for.
    pub(crate) place: Place,
}

/// An answer that begins.
pub(crate) struct Reply {
    pub(crate) events: Events,
    /// What it is recorded on.
    pub(crate) tape: Option<Tape>,
}

/// A provider that can be asked.
pub(crate) struct Provider<A> {
    pub(crate) api: A,
    pub(crate) options: RequestOptions,
    id: String,
    pub(crate) name: String,
    /// With the query; each request appends its path.
    base_url: Url,
    headers: HeaderMap,
    /// The variable that should hold the key and does not.
    missing_key: Option<String>,
    /// What no message may contain.
    secrets: Vec<Secret>,
    connection: Connection,
    sockets: Option<Arc<Sockets>>,
    recorder: Option<Arc<Recorder>>,
    player: Option<Player>,
    limits: Mutex<Vec<RateLimit>>,
    pub(crate) request_max_retries: u32,
    pub(crate) stream_max_retries: u32,
    idle_timeout: Duration,
}

impl<A: WireApi> Provider<A> {
    /// # Errors
    /// What is wrong with the settings.
    pub(crate) fn new(api: A, settings: ProviderSettings) -> Result<Self, ProviderError> {
        let base_url = base_url(&api, &settings)?;
        let trust = trust(&settings)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        // Who compresses a stream holds back events. What is compressed all the same is read.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in api.headers() {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let (mut secrets, mut missing_key) = (Vec::new(), None);
        match settings.key {
            Key::None => {}
            Key::Missing { variable } => missing_key = Some(variable),
            Key::Present(key) => {
                let (name, value) = api.key_header(key.reveal());
                let value = HeaderValue::try_from(value);
                let mut value = value.map_err(|_| ProviderError::Key { provider: settings.id.clone() })?;
                value.set_sensitive(true);
                headers.insert(name, value);
                if !key.reveal().is_empty() {
                    secrets.push(key);
                }
            }
        }
        for (name, value) in settings.http_headers {
            let parsed = HeaderName::try_from(&name).ok().zip(HeaderValue::try_from(&value).ok());
            let Some((header, mut content)) = parsed else {
                return Err(ProviderError::Header { provider: settings.id, name });
            };
            content.set_sensitive(true);
            headers.insert(header, content);
            if value.len() >= SECRET_BYTES {
                secrets.push(Secret::new(value));
            }
        }
        let recorder = settings.recording.map(|file| Recorder::new(file, A::RECORDED, secrets.clone()));
        Ok(Self {
            connection: Connection::new(&base_url, trust, settings.connect_timeout),
            sockets: (settings.transport == Transport::WebSocket).then(Arc::default),
            recorder,
            player: None,
            limits: Mutex::default(),
            api,
            options: settings.options,
            id: settings.id,
            name: settings.name,
            base_url,
            headers,
            missing_key,
            secrets,
            request_max_retries: settings.request_max_retries.min(MAX_RETRIES),
            stream_max_retries: settings.stream_max_retries.min(MAX_RETRIES),
            idle_timeout: settings.stream_idle_timeout,
        })
    }

    /// The same, but what it says was recorded.
    pub(crate) fn playing(self, player: Player) -> Self {
        Self { player: Some(player), ..self }
    }

    /// A failure if the key is not there.
    pub(crate) fn check_key(&self) -> Result<(), Failure> {
        let Some(variable) = &self.missing_key else { return Ok(()) };
        let message = format!("`{variable}` is not set");
        Err(Failure::new(ProviderFailureKind::Unauthorized, Again::Never, message))
    }

    /// The request as a message, where answers may come over a WebSocket.
    pub(crate) fn message(&self, request: &ModelRequest) -> Result<Option<Bytes>, Failure> {
        if self.sockets.is_none() {
            return Ok(None);
        }
        self.api.message(request, &self.options).transpose()
    }

    /// Whether it puts conversations into less itself.
    pub(crate) fn compacts(&self) -> bool {
        match &self.player {
            Some(player) => player.compacts(),
            None => self.options.compaction == Compaction::Provider,
        }
    }

    /// The limits that the last answer with any told of.
    pub(crate) fn rate_limits(&self) -> Vec<RateLimit> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where requests for this model go.
    pub(crate) fn url(&self, model: &str) -> Url {
        self.below(&self.api.path(model))
    }

    /// The place with this path below the base URL.
    pub(crate) fn below(&self, path: &str) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    /// Gets ready for the first request: the certificates are read and a connection is open. Nothing is sent where
    /// nothing is encrypted, since a plain connection costs nothing to open.
    pub(crate) async fn warm_up(&self) {
        let Ok(client) = self.connection.client().await else { return };
        if self.base_url.scheme() == "https" {
            let mut url = self.base_url.clone();
            url.set_query(None);
            let answer = self.in_time(client.head(url).send()).await;
            debug!(
                provider = self.id,
                is_open = matches!(answer, Ok(Ok(_))),
                "a connection was opened ahead"
            );
        }
    }

    /// Sends a request, up to the headers of a good answer. `time` numbers the requests that are made of one, from 0.
    pub(crate) async fn send(&self, asked: &Asked, body: Bytes, time: usize) -> Result<Reply, Failure> {
        let tape = self.recorder.as_ref().map(|recorder| recorder.tape(&asked.place, &asked.model));
        if let Some(player) = &self.player {
            return Ok(Reply { events: self.played(player, asked, time)?, tape });
        }
        if let Some((sockets, message)) = self.sockets.as_ref().zip(asked.message.as_ref())
            // What goes on with an answer that paused is a request of its own.
            && body == asked.body
        {
            let client = self.connection.upgrading_client().await?;
            let mut headers = self.headers.clone();
            headers.remove(CONTENT_TYPE);
            headers.remove(ACCEPT);
            headers.remove(ACCEPT_ENCODING);
            let asking = sockets.ask(client, asked.url.clone(), headers, message);
            if let Some(messages) = self.in_time(asking).await? {
                return Ok(Reply { events: Events::Messages(Box::new(messages)), tape });
            }
        }
        let client = self.connection.client().await?;
        let mut headers = self.headers.clone();
        if asked.place.form == Form::Object {
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        }
        let request = client.post(asked.url.clone()).headers(headers).body(body);
        let response = self
            .in_time(request.send())
            .await?
            .map_err(|error| Failure::unsent(&error.without_url(), &self.name))?;
        let told = limits::told(response.headers(), SystemTime::now());
        if !told.is_empty() {
            // A poisoned list is whole: it is only ever replaced.
            *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = told;
        }
        let status = response.status();
        if status.is_success() && asked.place.form == Form::Object {
            let whole = self.in_time(self.whole(response)).await??;
            return Ok(Reply { events: Events::new(stream::iter([Ok(frame(&whole))]).boxed()), tape });
        }
        if status.is_success() {
            return match other_type(&response) {
                None => Ok(Reply { events: events_of(response), tape }),
                Some(other) => Err(self.not_a_stream(&other, response).await),
            };
        }
        let headers = response.headers().clone();
        let body = beginning(response).await;
        let failure = Failure::refused(status, &headers, &body, SystemTime::now());
        if let Some(tape) = tape {
            tape.refused(status.as_u16(), &body);
        }
        Err(failure)
    }

    /// The answer that was recorded.
    fn played(&self, player: &Player, asked: &Asked, time: usize) -> Result<Events, Failure> {
        let Some(exchange) = player.take(&asked.place, time) else {
            let number = asked.place.answers_before + 1;
            let message = format!("The recording holds no further answer to request {number}");
            return Err(Failure::new(ProviderFailureKind::Rejected, Again::Never, message));
        };
        let status = StatusCode::from_u16(exchange.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if !status.is_success() {
            let (headers, body) = (HeaderMap::new(), exchange.body.as_bytes());
            return Err(Failure::refused(status, &headers, body, SystemTime::now()));
        }
        let mut frames: Vec<_> = exchange.events.iter().map(|data| Ok(frame(data))).collect();
        if exchange.end == End::Cut {
            frames.push(Err(SseError::Broken("the recording ends here".to_owned())));
        }
        Ok(Events::new(stream::iter(frames).boxed()))
    }

    /// Waits for something of the provider, but not for ever.
    pub(crate) async fn in_time<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let stalled = |_| Failure::stalled(&self.name, self.idle_timeout);
        timeout(self.idle_timeout, future).await.map_err(stalled)
    }

    /// A failure as it is shown.
    pub(crate) fn show(&self, failure: Failure) -> ProviderFailure {
        failure.shown(&self.id, &self.secrets)
    }

    /// All of a body.
    async fn whole(&self, mut response: Response) -> Result<String, Failure> {
        let mut body = Vec::new();
        let cut = |error: reqwest::Error| Failure::cut(&self.name, &cause(&error));
        while let Some(piece) = response.chunk().await.map_err(cut)? {
            if body.len() + piece.len() > OBJECT_BYTES {
                let message = format!("The answer is longer than {OBJECT_BYTES} bytes");
                return Err(Failure::malformed(message));
            }
            body.extend_from_slice(&piece);
        }
        String::from_utf8(body).map_err(|_| Failure::malformed("The answer is not UTF-8".to_owned()))
    }

    /// A good status with a page or an object in place of a stream: a proxy's, or an error's.
    async fn not_a_stream(&self, content_type: &str, response: Response) -> Failure {
        let status = response.status();
        let told = Failure::refused(status, &HeaderMap::new(), &beginning(response).await, SystemTime::now());
        let message = format!("{} sent `{content_type}`, not a stream: {}", self.name, told.message);
        Failure { status: Some(status.as_u16()), ..Failure::malformed(message) }
    }
}

fn base_url(api: &impl WireApi, settings: &ProviderSettings) -> Result<Url, ProviderError> {
    let wrong = |reason: String| {
        let (provider, url) = (settings.id.clone(), settings.base_url.clone());
        ProviderError::Url { provider, url, reason }
    };
    let mut url = Url::parse(&settings.base_url).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(format!("its scheme is `{}`", url.scheme())));
    }
    if !api.query().is_empty() || !settings.query_params.is_empty() {
        url.query_pairs_mut().extend_pairs(api.query()).extend_pairs(&settings.query_params);
    }
    Ok(url)
}

pub(crate) fn trust(settings: &ProviderSettings) -> Result<Trust, ProviderError> {
    let unusable = |(path, reason): Unusable| {
        let provider = settings.id.clone();
        ProviderError::CaBundle { provider, path, reason }
    };
    let certificates = certificates::read(&settings.ca_bundles).map_err(unusable)?;
    let identity = settings.client_certificate.as_ref().map(|path| {
        let pem = std::fs::read(path).map_err(|error| error.to_string());
        let identity = pem.and_then(|pem| Identity::from_pem(&pem).map_err(|error| cause(&error)));
        identity.map_err(|reason| unusable((path.clone(), reason)))
    });
    let proxy = settings.proxy.as_ref().map(|proxy| {
        let wrong = |error: reqwest::Error| {
            let (provider, reason) = (settings.id.clone(), cause(&error.without_url()));
            ProviderError::Proxy { provider, reason }
        };
        let no_proxy = proxy.no_proxy.as_deref().and_then(NoProxy::from_string);
        Ok(Proxy::all(&proxy.url).map_err(wrong)?.no_proxy(no_proxy))
    });
    Ok(Trust { certificates, identity: identity.transpose()?, proxy: proxy.transpose()? })
}

/// An event with this data.
fn frame(data: &str) -> Bytes {
    let lines = data.split('\n').map(|line| format!("data: {line}\n"));
    Bytes::from(lines.collect::<String>() + "\n")
}

fn events_of(response: Response) -> Events {
    let broken = |error: reqwest::Error| SseError::Broken(cause(&error));
    Events::new(response.bytes_stream().map_err(broken).boxed())
}

/// The content type, if it is certainly not a stream of events. Others are read as one, since not every server
/// names it rightly.
fn other_type(response: &Response) -> Option<String> {
    let content_type = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = content_type.split(';').next()?.trim().to_ascii_lowercase();
    matches!(essence.as_str(), "text/html" | "application/json").then_some(essence)
}

/// The first bytes of a body, as far as they come in time.
async fn beginning(mut response: Response) -> Bytes {
    let mut body = BytesMut::new();
    let read = async {
        while body.len() < ERROR_BODY_BYTES
            && let Ok(Some(piece)) = response.chunk().await
        {
            body.extend_from_slice(&piece);
        }
    };
    // What is there when the time is over is better than nothing.
    let _ = timeout(ERROR_BODY_TIME, read).await;
    body.truncate(ERROR_BODY_BYTES);
    body.freeze()
}

#[cfg(test)]
mod tests;

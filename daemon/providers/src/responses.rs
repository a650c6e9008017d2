//! The OpenAI Responses API (API reference, "Create a model response", with `stream`): one request, its answer,
//! and what is tried again. Stateless: nothing is stored at the provider, the whole conversation is sent.

mod request;
mod stream;

use std::future::Future;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::stream::unfold;
use futures_util::{StreamExt, TryStreamExt};
use model::client::{ModelClient, ModelStream};
use model::event::ModelEvent;
use model::request::ModelRequest;
use protocol::model::{ProviderFailure, ProviderFailureKind};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Response, Url};
use tokio::time::timeout;
use tracing::debug;

use crate::connection::Connection;
use crate::failure::{Failure, cause};
use crate::responses::stream::Decoder;
use crate::retry::{Again, Budget};
use crate::settings::{Key, MAX_RETRIES, ProviderError, ProviderSettings, Secret};
use crate::sse::{Events, SseError};

/// What this wire API is called in `OpaqueReasoning`.
const WIRE_API: &str = "responses";

/// How much of the body of a failed answer is read.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// How long the body of a failed answer may take.
const ERROR_BODY_TIME: Duration = Duration::from_secs(10);

/// How long the end of the body may take after the answer is complete. Only a body that has ended leaves its
/// connection to the next request.
const END_OF_BODY_TIME: Duration = Duration::from_millis(50);

/// Headers of the settings shorter than this hold no secret.
const SECRET_BYTES: usize = 8;

/// A client of one provider.
pub(crate) struct Responses(Arc<Provider>);

struct Provider {
    id: String,
    name: String,
    url: Url,
    headers: HeaderMap,
    /// The variable that should hold the key and does not.
    missing_key: Option<String>,
    /// What no message may contain.
    secrets: Vec<Secret>,
    connection: Connection,
    request_max_retries: u32,
    stream_max_retries: u32,
    idle_timeout: Duration,
}

impl Responses {
    /// # Errors
    /// What is wrong with the settings.
    pub(crate) fn new(settings: ProviderSettings) -> Result<Self, ProviderError> {
        let url = endpoint(&settings)?;
        let certificates = certificates(&settings)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let (mut secrets, mut missing_key) = (Vec::new(), None);
        match settings.key {
            Key::None => {}
            Key::Missing { variable } => missing_key = Some(variable),
            Key::Present(key) => {
                let value = HeaderValue::try_from(format!("Bearer {}", key.reveal()));
                let mut value = value.map_err(|_| ProviderError::Key { provider: settings.id.clone() })?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
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
        Ok(Self(Arc::new(Provider {
            connection: Connection::new(&url, certificates, settings.connect_timeout),
            id: settings.id,
            name: settings.name,
            url,
            headers,
            missing_key,
            secrets,
            request_max_retries: settings.request_max_retries.min(MAX_RETRIES),
            stream_max_retries: settings.stream_max_retries.min(MAX_RETRIES),
            idle_timeout: settings.stream_idle_timeout,
        })))
    }
}

fn endpoint(settings: &ProviderSettings) -> Result<Url, ProviderError> {
    let wrong = |reason: String| {
        let (provider, url) = (settings.id.clone(), settings.base_url.clone());
        ProviderError::Url { provider, url, reason }
    };
    let mut url = Url::parse(&settings.base_url).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(format!("its scheme is `{}`", url.scheme())));
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("responses");
    }
    if !settings.query_params.is_empty() {
        url.query_pairs_mut().extend_pairs(&settings.query_params);
    }
    Ok(url)
}

fn certificates(settings: &ProviderSettings) -> Result<Vec<Certificate>, ProviderError> {
    let Some(path) = &settings.ca_bundle else { return Ok(Vec::new()) };
    let wrong = |reason: String| {
        let (provider, path) = (settings.id.clone(), path.clone());
        ProviderError::CaBundle { provider, path, reason }
    };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(cause(&error)))?;
    if certificates.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    Ok(certificates)
}

impl ModelClient for Responses {
    fn stream(&self, request: ModelRequest) -> ModelStream {
        let asking = Asking {
            requests: Budget::new(self.0.request_max_retries),
            answers: Budget::new(self.0.stream_max_retries),
            provider: Arc::clone(&self.0),
            body: Bytes::new(),
            phase: Phase::Begin(Box::new(request)),
        };
        Box::pin(unfold(asking, Asking::next).fuse())
    }
}

/// A request that is being answered. Dropping it closes the connection, unless the answer was complete.
struct Asking {
    provider: Arc<Provider>,
    body: Bytes,
    phase: Phase,
    /// Retries of requests that got no answer.
    requests: Budget,
    /// Retries of requests whose answer broke off.
    answers: Budget,
}

enum Phase {
    Begin(Box<ModelRequest>),
    Send,
    Read(Box<Reading>),
    Pause(Duration),
    End,
}

/// Which part of a try failed.
#[derive(Clone, Copy)]
enum Stage {
    Request,
    Answer,
}

impl Asking {
    async fn next(mut self) -> Option<(Result<ModelEvent, ProviderFailure>, Self)> {
        loop {
            let event = match mem::replace(&mut self.phase, Phase::End) {
                Phase::End => return None,
                Phase::Begin(request) => match self.provider.body(&request) {
                    Ok(body) => {
                        self.body = body;
                        self.phase = Phase::Send;
                        continue;
                    }
                    Err(failure) => Err(self.provider.show(failure)),
                },
                Phase::Pause(pause) => {
                    tokio::time::sleep(pause).await;
                    self.phase = Phase::Send;
                    continue;
                }
                Phase::Send => match Box::pin(self.provider.send(self.body.clone())).await {
                    Ok(reading) => {
                        self.phase = Phase::Read(Box::new(reading));
                        continue;
                    }
                    Err(failure) => self.failed(Stage::Request, failure),
                },
                Phase::Read(mut reading) => match reading.next(&self.provider).await {
                    Ok(completed @ ModelEvent::Completed { .. }) => Ok(completed),
                    Ok(event) => {
                        self.phase = Phase::Read(reading);
                        Ok(event)
                    }
                    Err(failure) => {
                        // The broken connection is not to be there during the pause.
                        drop(reading);
                        self.failed(Stage::Answer, failure)
                    }
                },
            };
            return Some((event, self));
        }
    }

    /// What a failure means: another try, or the end.
    fn failed(&mut self, stage: Stage, failure: Failure) -> Result<ModelEvent, ProviderFailure> {
        let budget = match stage {
            Stage::Request => &mut self.requests,
            Stage::Answer => &mut self.answers,
        };
        let pause = budget.take(failure.again);
        let failure = self.provider.show(failure);
        debug!(provider = failure.provider, kind = ?failure.kind, status = failure.status, ?pause, "a try failed");
        let Some(delay) = pause else { return Err(failure) };
        self.phase = Phase::Pause(delay);
        Ok(ModelEvent::Retrying { attempt: budget.used, max_attempts: budget.max, delay, failure })
    }
}

impl Provider {
    fn show(&self, failure: Failure) -> ProviderFailure {
        failure.shown(&self.id, &self.secrets)
    }

    fn body(&self, request: &ModelRequest) -> Result<Bytes, Failure> {
        if let Some(variable) = &self.missing_key {
            let message = format!("`{variable}` is not set");
            return Err(Failure::new(ProviderFailureKind::Unauthorized, Again::Never, message));
        }
        request::body(request).map_err(|error| {
            let message = format!("The request can't be written: {error}");
            Failure::new(ProviderFailureKind::Rejected, Again::Never, message)
        })
    }

    /// Sends a request, up to the headers of a good answer.
    async fn send(&self, body: Bytes) -> Result<Reading, Failure> {
        let client = self.connection.client().await?;
        let request = client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let response = self
            .in_time(request.send())
            .await?
            .map_err(|error| Failure::unsent(&error.without_url(), &self.name))?;
        let status = response.status();
        if status.is_success() {
            return match other_type(&response) {
                None => Ok(Reading::new(response)),
                Some(other) => Err(self.not_a_stream(&other, response).await),
            };
        }
        let headers = response.headers().clone();
        Err(Failure::refused(status, &headers, &beginning(response).await, SystemTime::now()))
    }

    /// A good status with a page or an object in place of a stream: a proxy's, or an error's.
    async fn not_a_stream(&self, content_type: &str, response: Response) -> Failure {
        let status = response.status();
        let told = Failure::refused(status, &HeaderMap::new(), &beginning(response).await, SystemTime::now());
        let message = format!("{} sent `{content_type}`, not a stream: {}", self.name, told.message);
        Failure { status: Some(status.as_u16()), ..Failure::malformed(message) }
    }

    async fn in_time<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let stalled = |_| Failure::stalled(&self.name, self.idle_timeout);
        timeout(self.idle_timeout, future).await.map_err(stalled)
    }
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

/// An answer that is being read.
struct Reading {
    events: Events,
    decoder: Decoder,
}

impl Reading {
    fn new(response: Response) -> Self {
        let broken = |error: reqwest::Error| SseError::Broken(cause(&error));
        let bytes = response.bytes_stream().map_err(broken).boxed();
        Self { events: Events::new(bytes), decoder: Decoder::default() }
    }

    async fn next(&mut self, provider: &Provider) -> Result<ModelEvent, Failure> {
        loop {
            // A comment is not an event: a server that only says that it lives does not answer.
            let data = match provider.in_time(self.events.next()).await? {
                Some(Ok(data)) => data,
                Some(Err(SseError::Broken(cause))) => return Err(Failure::cut(&provider.name, &cause)),
                Some(Err(error @ (SseError::TooLong | SseError::NotText))) => {
                    return Err(Failure::malformed(error.to_string()));
                }
                None => return Err(Failure::cut(&provider.name, "the stream ended before the answer did")),
            };
            if let Some(event) = self.decoder.event(&data)? {
                if let ModelEvent::Completed { .. } = event {
                    self.finish().await;
                }
                return Ok(event);
            }
        }
    }

    /// Reads to the end of the body, which has come already or comes now, but for servers that keep it open.
    async fn finish(&mut self) {
        let end = async { while let Some(Ok(_)) = self.events.next().await {} };
        if timeout(END_OF_BODY_TIME, end).await.is_err() {
            debug!("the provider keeps a finished stream open; the connection is closed");
        }
    }
}

#[cfg(test)]
mod tests;

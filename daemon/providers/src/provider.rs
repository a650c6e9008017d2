//! One provider, as its settings describe it: its URL, its headers and what must not be told. Sends a request and
//! judges the head of the answer. Knows HTTP, nothing of the content.

use std::future::Future;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use protocol::model::{ProviderFailure, ProviderFailureKind};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Response, Url};
use tokio::time::timeout;

use crate::connection::Connection;
use crate::failure::{Failure, cause};
use crate::retry::Again;
use crate::settings::{Key, MAX_RETRIES, ProviderError, ProviderSettings, Secret};
use crate::wire_api::WireApi;

/// How much of the body of a failed answer is read.
const ERROR_BODY_BYTES: usize = 64 * 1024;

/// How long the body of a failed answer may take.
const ERROR_BODY_TIME: Duration = Duration::from_secs(10);

/// Headers of the settings shorter than this hold no secret.
const SECRET_BYTES: usize = 8;

/// A provider that can be asked.
pub(crate) struct Provider<A> {
    pub(crate) api: A,
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
    pub(crate) request_max_retries: u32,
    pub(crate) stream_max_retries: u32,
    idle_timeout: Duration,
}

impl<A: WireApi> Provider<A> {
    /// # Errors
    /// What is wrong with the settings.
    pub(crate) fn new(api: A, settings: ProviderSettings) -> Result<Self, ProviderError> {
        let base_url = base_url(&api, &settings)?;
        let certificates = certificates(&settings)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
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
        Ok(Self {
            connection: Connection::new(&base_url, certificates, settings.connect_timeout),
            api,
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

    /// A failure if the key is not there.
    pub(crate) fn check_key(&self) -> Result<(), Failure> {
        let Some(variable) = &self.missing_key else { return Ok(()) };
        let message = format!("`{variable}` is not set");
        Err(Failure::new(ProviderFailureKind::Unauthorized, Again::Never, message))
    }

    /// Where requests for this model go.
    pub(crate) fn url(&self, model: &str) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(self.api.path(model).split('/'));
        }
        url
    }

    /// Sends a request, up to the headers of a good answer.
    pub(crate) async fn send(&self, url: Url, body: Bytes) -> Result<Response, Failure> {
        let client = self.connection.client().await?;
        let request = client.post(url).headers(self.headers.clone()).body(body);
        let response = self
            .in_time(request.send())
            .await?
            .map_err(|error| Failure::unsent(&error.without_url(), &self.name))?;
        let status = response.status();
        if status.is_success() {
            return match other_type(&response) {
                None => Ok(response),
                Some(other) => Err(self.not_a_stream(&other, response).await),
            };
        }
        let headers = response.headers().clone();
        Err(Failure::refused(status, &headers, &beginning(response).await, SystemTime::now()))
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

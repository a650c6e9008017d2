//! Small requests whose answers are read whole: of accounts, of lists, of servers of this machine. Everything is
//! bounded: the time to connect, the time of an answer, its size. Knows nothing of what is asked.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response, Url};
use serde::de::DeserializeOwned;

use crate::connection::{Connection, Trust};
use crate::failure::cause;

/// No answer that is read whole is larger.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// What of an answer is shown that was not expected.
const SHOWN_BYTES: usize = 300;

/// A server that is asked.
pub(crate) struct Plain {
    base: Url,
    headers: HeaderMap,
    connection: Connection,
    limit: Duration,
}

/// An answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    body: Bytes,
}

/// Why there is none, for a person.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nobody is there.
    Unreachable(String),
    /// It took too long, or broke off, or was too large.
    Broken(String),
}

impl NoAnswer {
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Unreachable(reason) | Self::Broken(reason) => reason,
        }
    }
}

impl Plain {
    /// A server at this address; each answer may take so long. `None` if it is no HTTP address.
    pub(crate) fn new(address: &str, trust: Trust, connect: Duration, limit: Duration) -> Option<Self> {
        let base = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let connection = Connection::new(&base, trust, connect);
        Some(Self { base, headers: HeaderMap::new(), connection, limit })
    }

    /// With headers in every request.
    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The address, without what may be secret in it.
    pub(crate) fn address(&self) -> String {
        let mut url = self.base.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.to_string().trim_end_matches('/').to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, NoAnswer> {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &serde_json::Value) -> Result<Answer, NoAnswer> {
        self.ask(Method::POST, path, Some(("application/json", body.to_string()))).await
    }

    pub(crate) async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer, NoAnswer> {
        let mut form = Url::parse("http://form").map_err(|error| NoAnswer::Broken(error.to_string()))?;
        form.query_pairs_mut().extend_pairs(fields);
        let body = form.query().unwrap_or_default().to_owned();
        self.ask(Method::POST, path, Some(("application/x-www-form-urlencoded", body))).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<Answer, NoAnswer> {
        let work = async {
            let mut response = self.send(method, path, body).await?;
            let status = response.status().as_u16();
            let mut read = BytesMut::new();
            while let Some(piece) = response.chunk().await.map_err(|error| broken(&error))? {
                if read.len() + piece.len() > MAX_ANSWER_BYTES {
                    return Err(NoAnswer::Broken("its answer is too large".to_owned()));
                }
                read.extend_from_slice(&piece);
            }
            Ok(Answer { status, body: read.freeze() })
        };
        let late = |_| NoAnswer::Broken(format!("it did not answer within {} s", self.limit.as_secs_f32()));
        tokio::time::timeout(self.limit, work).await.map_err(late)?
    }

    /// Sends, up to the head of the answer. Who reads the rest bounds it.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
    ) -> Result<Response, NoAnswer> {
        let client = self.connection.client().await;
        let client = client.map_err(|failure| NoAnswer::Unreachable(failure.message))?;
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        let mut request = client.request(method, url).headers(self.headers.clone());
        if let Some((media_type, body)) = body {
            request = request.header(CONTENT_TYPE, media_type).body(body);
        }
        request.send().await.map_err(|error| {
            let error = error.without_url();
            match error.is_connect() {
                true if error.is_timeout() => NoAnswer::Unreachable("connecting took too long".to_owned()),
                true => NoAnswer::Unreachable(cause(&error)),
                false => broken(&error),
            }
        })
    }
}

fn broken(error: &reqwest::Error) -> NoAnswer {
    NoAnswer::Broken(format!("it broke off: {}", cause(error)))
}

impl Answer {
    pub(crate) fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as what it should be; else why it is not, without quoting it, since it may hold a secret.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => error.to_string(),
            _ => format!("it is no JSON (line {}, column {})", error.line(), error.column()),
        })
    }

    /// What an answer says that is an error: its message where it has one, else its beginning, on one line.
    pub(crate) fn complaint(&self) -> String {
        let value: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let in_json =
            ["error_description", "message", "error"].into_iter().find_map(|key| match &value[key] {
                serde_json::Value::String(text) => Some(text.clone()),
                serde_json::Value::Object(object) => ["message", "code", "type"]
                    .iter()
                    .find_map(|key| object.get(*key)?.as_str().map(str::to_owned)),
                _ => None,
            });
        let text = in_json.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut shown: String = words.chars().filter(|letter| !letter.is_control()).collect();
        if let Some((end, _)) = shown.char_indices().nth(SHOWN_BYTES) {
            shown.truncate(end);
        }
        match shown.is_empty() {
            true => format!("status {}", self.status),
            false => format!("{shown} (status {})", self.status),
        }
    }

    /// A word of an error's own, such as `refresh_token_expired`.
    pub(crate) fn error_code(&self) -> Option<String> {
        let value: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let error = &value["error"];
        let code = error.as_str().or_else(|| error["code"].as_str()).or_else(|| value["code"].as_str())?;
        Some(code.to_owned())
    }
}

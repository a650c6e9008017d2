//! What a failure is, in the provider's words where it has any, and whether it may pass. Knows how providers
//! word their errors, nothing of when they come.

use std::error::Error;
use std::time::{Duration, SystemTime};

use protocol::model::{ProviderFailure, ProviderFailureKind};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::retry::{Again, LONGEST_ASKED_PAUSE, allowed};
use crate::settings::Secret;

/// The longest message that is passed on, in bytes.
const MESSAGE_BYTES: usize = 2048;

/// One failed try.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) kind: ProviderFailureKind,
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
    pub(crate) again: Again,
}

impl Failure {
    /// One without a status.
    pub(crate) fn new(kind: ProviderFailureKind, again: Again, message: String) -> Self {
        Self { kind, status: None, message, again }
    }

    /// The request could not be sent, or no answer came to it. `provider` is its name.
    pub(crate) fn unsent(error: &reqwest::Error, provider: &str) -> Self {
        let cause = cause(error);
        if error.is_builder() {
            return Self::new(
                ProviderFailureKind::Rejected,
                Again::Never,
                format!("The request can't be sent: {cause}"),
            );
        }
        if error.is_connect() {
            let message = if error.is_timeout() {
                format!("{provider} can't be reached: connecting took too long")
            } else {
                format!("{provider} can't be reached: {cause}")
            };
            return Self::new(ProviderFailureKind::Unreachable, Again::Soon, message);
        }
        let message = format!("{provider} closed the connection without an answer: {cause}");
        Self::new(ProviderFailureKind::Cut, Again::Soon, message)
    }

    /// Nothing came in time.
    pub(crate) fn stalled(provider: &str, timeout: Duration) -> Self {
        let message = format!("{provider} sent nothing for {} s", timeout.as_secs_f64());
        Self::new(ProviderFailureKind::Stalled, Again::Soon, message)
    }

    /// The answer broke off.
    pub(crate) fn cut(provider: &str, cause: &str) -> Self {
        let message = format!("{provider} broke off its answer: {cause}");
        Self::new(ProviderFailureKind::Cut, Again::Soon, message)
    }

    /// The answer can't be read.
    pub(crate) fn malformed(message: String) -> Self {
        Self::new(ProviderFailureKind::Malformed, Again::Never, message)
    }

    /// An answer with a status other than 2xx.
    pub(crate) fn refused(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let said = Said::in_body(body);
        let (kind, usual) = match said.code.as_deref().and_then(known_code) {
            // Whatever the code means, these stay what they are.
            Some(known) if !matches!(status.as_u16(), 401 | 403) => known,
            _ => of_status(status),
        };
        let never = matches!(status.as_u16(), 400 | 401 | 403 | 404);
        let again = allowed(headers, now, if never { Again::Never } else { usual });
        let mut message = said.into_message();
        if message.is_empty() {
            message = format!("{status}, and nothing else");
        }
        Self { kind, status: Some(status.as_u16()), message, again }
    }

    /// An error that came in place of an answer or within it: an object with `message` and `code`, or with such
    /// an object as `error`.
    pub(crate) fn reported(error: &Value) -> Self {
        let said = Said::in_value(error);
        let known = said.code.as_deref().and_then(known_code);
        let (kind, usual) = known.unwrap_or((ProviderFailureKind::Failed, Again::Soon));
        // There are no headers here, so the pause stands in the message.
        let asked = asked_in_words(&said.message).filter(|_| usual == Again::Soon);
        let again = asked.map_or(usual, Again::After);
        let mut message = said.into_message();
        if message.is_empty() {
            "It gives no reason".clone_into(&mut message);
        }
        Self::new(kind, again, message)
    }

    /// As it is shown: cleaned, bounded, and without secrets.
    pub(crate) fn shown(self, provider: &str, secrets: &[Secret]) -> ProviderFailure {
        let mut message = self.message;
        for secret in secrets {
            message = message.replace(secret.reveal(), "[secret]");
        }
        let mut message = clean(&message);
        if let Again::After(pause) = self.again
            && pause > LONGEST_ASKED_PAUSE
        {
            let (asked, most) = (pause.as_secs(), LONGEST_ASKED_PAUSE.as_secs());
            message.push_str(&format!(" (asks to wait {asked} s; at most {most} s are waited)"));
        }
        ProviderFailure { provider: provider.to_owned(), kind: self.kind, status: self.status, message }
    }
}

/// The innermost cause of an error, which is what a person understands; never its URL, which may hold a key.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.downcast_ref::<reqwest::Error>().map_or_else(
        || innermost.to_string(),
        |error| {
            if error.is_timeout() { "it took too long".to_owned() } else { "no cause is known".to_owned() }
        },
    )
}

fn of_status(status: StatusCode) -> (ProviderFailureKind, Again) {
    match status.as_u16() {
        401 | 403 => (ProviderFailureKind::Unauthorized, Again::Never),
        429 => (ProviderFailureKind::RateLimited, Again::Soon),
        408 => (ProviderFailureKind::Failed, Again::Soon),
        500.. => (ProviderFailureKind::Failed, Again::Soon),
        _ => (ProviderFailureKind::Rejected, Again::Never),
    }
}

/// What is known of an error code (OpenAI API reference, error codes and `response.error.code`; llama.cpp's
/// server for the second name of a request that is too long).
fn known_code(code: &str) -> Option<(ProviderFailureKind, Again)> {
    Some(match code {
        "context_length_exceeded" | "exceed_context_size_error" => {
            (ProviderFailureKind::ContextTooLong, Again::Never)
        }
        "rate_limit_exceeded" => (ProviderFailureKind::RateLimited, Again::Soon),
        "insufficient_quota" | "billing_hard_limit_reached" | "usage_limit_reached" => {
            (ProviderFailureKind::RateLimited, Again::Never)
        }
        "invalid_api_key" => (ProviderFailureKind::Unauthorized, Again::Never),
        "server_error" | "server_is_overloaded" | "slow_down" | "vector_store_timeout" => {
            (ProviderFailureKind::Failed, Again::Soon)
        }
        code if is_about_the_request(code) => (ProviderFailureKind::Rejected, Again::Never),
        _ => return None,
    })
}

fn is_about_the_request(code: &str) -> bool {
    ["invalid_", "unsupported_", "image_", "empty_image_", "failed_to_download_", "model_not_found"]
        .iter()
        .any(|start| code.starts_with(start))
}

/// The pause of "Please try again in 6.5s." (OpenAI, rate limits).
fn asked_in_words(message: &str) -> Option<Duration> {
    let (_, rest) = message.split_once("try again in ")?;
    let word = rest.split_whitespace().next()?.trim_end_matches('.');
    let seconds = match word.strip_suffix("ms") {
        Some(number) => number.parse::<f64>().ok()? / 1000.0,
        None => word.strip_suffix('s')?.parse().ok()?,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

/// What a provider says of an error.
struct Said {
    code: Option<String>,
    message: String,
}

impl Said {
    /// In a body of any type.
    fn in_body(body: &[u8]) -> Self {
        if let Ok(value) = serde_json::from_slice(body) {
            return Self::in_value(&value);
        }
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        let message = if text.starts_with('<') { text_of_markup(text) } else { text.to_owned() };
        Self { code: None, message }
    }

    fn in_value(value: &Value) -> Self {
        let value = value.get(0).unwrap_or(value);
        let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
        let text = |name: &str| error.get(name).filter(|value| !value.is_null()).map(text_of);
        let message = ["message", "detail"].into_iter().find_map(text);
        // `error` is the type of every error event and tells nothing.
        let code = ["code", "type"].into_iter().find_map(|name| error.get(name)?.as_str());
        let code = code.filter(|code| *code != "error").map(str::to_owned);
        let message = match (&code, message) {
            (_, Some(message)) => message,
            (Some(_), None) => String::new(),
            (None, None) => text_of(error),
        };
        Self { code, message }
    }

    /// The message and, if it does not name it, the code.
    fn into_message(self) -> String {
        match self.code {
            Some(code) if self.message.is_empty() => code,
            Some(code) if !self.message.contains(&code) => format!("{} ({code})", self.message),
            Some(_) | None => self.message,
        }
    }
}

/// A string as it is, nothing as nothing, anything else as JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// The title of a page, or else its text.
fn text_of_markup(page: &str) -> String {
    let lower = page.to_ascii_lowercase();
    let title = lower.find("<title>").zip(lower.find("</title>"));
    if let Some((from, to)) = title
        && let Some(title) = page.get(from + "<title>".len()..to)
    {
        return title.to_owned();
    }
    let mut text = String::new();
    for piece in page.split('<') {
        if let Some((_, after)) = piece.split_once('>') {
            text.push(' ');
            text.push_str(after);
        }
    }
    text
}

/// One line without control characters, bounded.
fn clean(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|letter: char| letter.is_whitespace() || letter.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > MESSAGE_BYTES {
            line.truncate(line.floor_char_boundary(MESSAGE_BYTES));
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests;

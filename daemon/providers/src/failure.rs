//! What a failure is, in the provider's words where it has any, and whether it may pass. Knows how providers
//! word their errors, nothing of when they come.

use std::error::Error;
use std::time::{Duration, SystemTime};

use protocol::model::{ProviderFailure, ProviderFailureKind};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::limits::{self, all_reset};
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
        let (kind, usual) = match said.known() {
            // Whatever the code means, these stay what they are.
            Some(known) if !matches!(status.as_u16(), 401 | 403) => known,
            _ => of_status(status.as_u16()),
        };
        let never = matches!(status.as_u16(), 400 | 401 | 403 | 404);
        let usual = said.pause.filter(|_| usual == Again::Soon).map_or(usual, Again::After);
        // Limits that are used up say when it makes sense to come back, unless something says it outright.
        let reset = || all_reset(&limits::told(headers, now))?.duration_since(now).ok();
        let usual = match usual {
            Again::Soon if status == StatusCode::TOO_MANY_REQUESTS => reset().map_or(usual, Again::After),
            Again::Never | Again::Soon | Again::After(_) => usual,
        };
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
        let known = said.known().or_else(|| said.status.map(of_status));
        let (kind, usual) = known.unwrap_or((ProviderFailureKind::Failed, Again::Soon));
        // There are no headers here, so the pause stands in the error or in its message.
        let asked = said.pause.or_else(|| asked_in_words(&said.message)).filter(|_| usual == Again::Soon);
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

fn of_status(status: u16) -> (ProviderFailureKind, Again) {
    match status {
        401 | 403 => (ProviderFailureKind::Unauthorized, Again::Never),
        429 => (ProviderFailureKind::RateLimited, Again::Soon),
        408 => (ProviderFailureKind::Failed, Again::Soon),
        500.. => (ProviderFailureKind::Failed, Again::Soon),
        _ => (ProviderFailureKind::Rejected, Again::Never),
    }
}

/// What is known of an error code (OpenAI API reference, error codes and `response.error.code`; llama.cpp's
/// server for the second name of a request that is too long; Anthropic API reference, "Errors"; `google.rpc.Code`,
/// of which the names are in capitals, and `ErrorInfo.reason`).
fn known_code(code: &str) -> Option<(ProviderFailureKind, Again)> {
    Some(match code {
        "context_length_exceeded" | "exceed_context_size_error" => {
            (ProviderFailureKind::ContextTooLong, Again::Never)
        }
        "rate_limit_exceeded" | "rate_limit_error" | "RESOURCE_EXHAUSTED" => {
            (ProviderFailureKind::RateLimited, Again::Soon)
        }
        "insufficient_quota" | "billing_hard_limit_reached" | "usage_limit_reached" | "billing_error" => {
            (ProviderFailureKind::RateLimited, Again::Never)
        }
        "invalid_api_key"
        | "authentication_error"
        | "permission_error"
        | "UNAUTHENTICATED"
        | "PERMISSION_DENIED"
        | "API_KEY_INVALID" => (ProviderFailureKind::Unauthorized, Again::Never),
        "server_error"
        | "server_is_overloaded"
        | "slow_down"
        | "vector_store_timeout"
        | "overloaded_error"
        | "api_error"
        | "timeout_error"
        | "INTERNAL"
        | "UNAVAILABLE"
        | "DEADLINE_EXCEEDED" => (ProviderFailureKind::Failed, Again::Soon),
        "not_found_error"
        | "request_too_large"
        | "INVALID_ARGUMENT"
        | "FAILED_PRECONDITION"
        | "NOT_FOUND"
        | "OUT_OF_RANGE" => (ProviderFailureKind::Rejected, Again::Never),
        code if is_about_the_request(code) => (ProviderFailureKind::Rejected, Again::Never),
        _ => return None,
    })
}

fn is_about_the_request(code: &str) -> bool {
    ["invalid_", "unsupported_", "image_", "empty_image_", "failed_to_download_", "model_not_found"]
        .iter()
        .any(|start| code.starts_with(start))
}

/// Whether a message says that the request is longer than the model takes, for providers that have no code for it:
/// Anthropic, Gemini, and vLLM and others that word it as OpenAI does.
fn is_too_long(message: &str) -> bool {
    message.contains("prompt is too long")
        || message.contains("maximum context length")
        || (message.contains("input token count") && message.contains("exceeds the maximum"))
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
    /// The HTTP status that it would have, where that is its code.
    status: Option<u16>,
    /// How long it asks to wait.
    pause: Option<Duration>,
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
        Self { code: None, status: None, pause: None, message }
    }

    fn in_value(value: &Value) -> Self {
        let value = value.get(0).unwrap_or(value);
        let error = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
        let text = |name: &str| error.get(name).filter(|value| !value.is_null()).map(text_of);
        let message = ["message", "detail"].into_iter().find_map(text);
        // `error` is the type of every error event and tells nothing.
        let word = |name: &str| error.get(name)?.as_str();
        // Google's has capitals only; other things have a status too.
        let status_word = || word("status").filter(|word| !word.contains(|c: char| c.is_ascii_lowercase()));
        let code = word("code").or_else(|| word("type")).or_else(status_word);
        let (reason, pause) = details(error);
        let code = reason.or(code).filter(|code| *code != "error").map(str::to_owned);
        let status = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let status = status.filter(|status| (400..600).contains(status));
        let message = match (&code, message) {
            (_, Some(message)) => message,
            (Some(_), None) => String::new(),
            (None, None) => text_of(error),
        };
        Self { code, status, pause, message }
    }

    /// What is known of it from its words alone.
    fn known(&self) -> Option<(ProviderFailureKind, Again)> {
        let known = self.code.as_deref().and_then(known_code);
        let may_be_too_long = known.as_ref().is_none_or(|(kind, _)| *kind == ProviderFailureKind::Rejected);
        if may_be_too_long && is_too_long(&self.message) {
            return Some((ProviderFailureKind::ContextTooLong, Again::Never));
        }
        known
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

/// What the details of an error say that its status does not (Google, `google.rpc.ErrorInfo` and `RetryInfo`): that
/// the key is wrong, and how long to wait.
fn details(error: &Value) -> (Option<&str>, Option<Duration>) {
    let all = || error.get("details").and_then(Value::as_array).into_iter().flatten();
    let reason = all().find_map(|detail| detail.get("reason")?.as_str());
    let pause = all().find_map(|detail| detail.get("retryDelay")?.as_str()?.strip_suffix('s')?.parse().ok());
    let pause = pause.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    (reason.filter(|reason| *reason == "API_KEY_INVALID"), pause)
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

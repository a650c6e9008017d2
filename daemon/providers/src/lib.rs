//! Clients of model providers, one folder per wire API. Knows HTTP and the providers' formats; knows nothing of
//! sessions, tools or settings files.
//!
//! `responses`, `chat`, `messages` and `gemini` each say what one wire API is: where requests go, their bytes, and
//! what the events of an answer mean (`wire_api`). All else is written once. `provider` is made of
//! `ProviderSettings`, knows URL and headers, and sends. `exchange` is the small machine behind every
//! `ModelStream`: send, read, and after a failure that may pass pause and send again. What a failure is and whether
//! it may pass is decided in `failure`, how long the pause is in `retry`. `connection` makes the HTTP client at the
//! first request; nothing is made before, so that a daemon that starts pays for neither certificates nor sockets.
//! `functions` is what the three APIs share that know no freeform tools, `searches` what those share that search the web.
//!
//! A history that one wire API made can be sent over any other: calls keep their ids, freeform calls become calls
//! of a function with one string, and reasoning that another API made is left out.
//!
//! Every wait has a bound: connecting, the time until the headers, the time between two events, every pause,
//! and the number of retries. A key is held by `Secret` and struck out of every message.

mod certificates;
mod chat;
mod connection;
pub mod credentials;
mod draft;
mod exchange;
mod failure;
#[cfg(test)]
mod fixtures;
mod functions;
mod gemini;
mod limits;
pub mod listing;
pub mod local;
pub mod login;
mod messages;
mod plain;
mod provider;
mod recording;
mod responses;
mod retry;
mod searches;
pub mod settings;
mod socket;
mod sse;
mod wire_api;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::client::ModelClient;

use crate::chat::Chat;
use crate::exchange::Client;
use crate::gemini::Gemini;
use crate::messages::Messages;
use crate::responses::Responses;
use crate::settings::{Key, ProviderError, ProviderSettings, RecordedApi, RequestOptions, Transport};

/// A client of the OpenAI Responses API. Keeps its connections for the next request.
///
/// # Errors
/// Settings that no request can be made of.
pub fn responses(settings: ProviderSettings) -> Result<Arc<dyn ModelClient>, ProviderError> {
    Ok(Arc::new(Client::new(Responses::new(&settings.id), settings)?))
}

/// A client of the Chat Completions API, as OpenAI has it and as the many servers have it that follow.
///
/// # Errors
/// Settings that no request can be made of.
pub fn chat_completions(settings: ProviderSettings) -> Result<Arc<dyn ModelClient>, ProviderError> {
    Ok(Arc::new(Client::new(Chat::new(&settings.id), settings)?))
}

/// A client of the Anthropic Messages API.
///
/// # Errors
/// Settings that no request can be made of.
pub fn messages(settings: ProviderSettings) -> Result<Arc<dyn ModelClient>, ProviderError> {
    Ok(Arc::new(Client::new(Messages, settings)?))
}

/// A client of the Gemini API, `streamGenerateContent`.
///
/// # Errors
/// Settings that no request can be made of.
pub fn gemini(settings: ProviderSettings) -> Result<Arc<dyn ModelClient>, ProviderError> {
    Ok(Arc::new(Client::new(Gemini::new(&settings.base_url), settings)?))
}

/// Whether a file is a recording that `replay` plays. Reads it.
#[must_use]
pub fn is_recording(path: &Path) -> bool {
    recording::is_recording(path)
}

/// A client that plays a recording (see `ProviderSettings::recording`) through the same reading that it was made with.
/// The answer is found by the conversation: how many answers it holds, and where there are several with so many, how it
/// begins and ends. So any number of sessions can follow it.
///
/// # Errors
/// The file can't be read or is no recording.
pub fn replay(path: &Path) -> Result<Arc<dyn ModelClient>, ProviderError> {
    let unplayable = |reason| ProviderError::Recording { path: path.to_owned(), reason };
    let (wire_api, player) = recording::read(path).map_err(unplayable)?;
    let settings = ProviderSettings {
        id: "replay".to_owned(),
        name: "The recording".to_owned(),
        // Nothing is ever sent there.
        base_url: "http://localhost".to_owned(),
        key: Key::None,
        http_headers: BTreeMap::new(),
        query_params: BTreeMap::new(),
        request_max_retries: settings::MAX_RETRIES,
        stream_max_retries: settings::MAX_RETRIES,
        stream_idle_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        ca_bundles: Vec::new(),
        client_certificate: None,
        proxy: None,
        transport: Transport::Events,
        recording: None,
        options: RequestOptions::default(),
    };
    Ok(match wire_api {
        RecordedApi::Responses => Arc::new(Client::playing(Responses::new(&settings.id), settings, player)?),
        RecordedApi::Chat => Arc::new(Client::playing(Chat::new(&settings.id), settings, player)?),
        RecordedApi::Messages => Arc::new(Client::playing(Messages, settings, player)?),
        RecordedApi::Gemini => Arc::new(Client::playing(Gemini::new(""), settings, player)?),
    })
}

//! Clients of model providers, one folder per wire API. Knows HTTP and the providers' formats; knows nothing of
//! sessions, tools or settings files.
//!
//! `responses`, `chat`, `messages` and `gemini` each say what one wire API is: where requests go, their bytes, and
//! what the events of an answer mean (`wire_api`). All else is written once. `provider` is made of
//! `ProviderSettings`, knows URL and headers, and sends. `exchange` is the small machine behind every
//! `ModelStream`: send, read, and after a failure that may pass pause and send again. What a failure is and whether
//! it may pass is decided in `failure`, how long the pause is in `retry`. `connection` makes the HTTP client at the
//! first request; nothing is made before, so that a daemon that starts pays for neither certificates nor sockets.
//! `functions` is what the three APIs share that know no freeform tools.
//!
//! A history that one wire API made can be sent over any other: calls keep their ids, freeform calls become calls
//! of a function with one string, and reasoning that another API made is left out.
//!
//! Every wait has a bound: connecting, the time until the headers, the time between two events, every pause,
//! and the number of retries. A key is held by `Secret` and struck out of every message.

mod chat;
mod connection;
mod draft;
mod exchange;
mod failure;
#[cfg(test)]
mod fixtures;
mod functions;
mod gemini;
mod messages;
mod provider;
mod responses;
mod retry;
pub mod settings;
mod sse;
mod wire_api;

use std::sync::Arc;

use model::client::ModelClient;

use crate::chat::Chat;
use crate::exchange::Client;
use crate::gemini::Gemini;
use crate::messages::Messages;
use crate::responses::Responses;
use crate::settings::{ProviderError, ProviderSettings};

/// A client of the OpenAI Responses API. Keeps its connections for the next request.
///
/// # Errors
/// Settings that no request can be made of.
pub fn responses(settings: ProviderSettings) -> Result<Arc<dyn ModelClient>, ProviderError> {
    Ok(Arc::new(Client::new(Responses, settings)?))
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
    Ok(Arc::new(Client::new(Gemini, settings)?))
}

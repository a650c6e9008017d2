//! Clients of model providers, one folder per wire API. Knows HTTP and the providers' formats; knows nothing of
//! sessions, tools or settings files.
//!
//! `responses` speaks the OpenAI Responses API over server-sent events. A client is made of `ProviderSettings`
//! and gives a `ModelStream` per request, which is a small machine: send, read, and after a failure that may
//! pass pause and send again. What a failure is and whether it may pass is decided in `failure`, how long the
//! pause is in `retry`. `connection` makes the HTTP client at the first request; nothing is made before, so
//! that a daemon that starts pays for neither certificates nor sockets.
//!
//! Every wait has a bound: connecting, the time until the headers, the time between two events, every pause,
//! and the number of retries. A key is held by `Secret` and struck out of every message.

mod connection;
mod failure;
mod responses;
mod retry;
pub mod settings;
mod sse;

use std::sync::Arc;

use model::client::ModelClient;

use crate::responses::Responses;
use crate::settings::{ProviderError, ProviderSettings};

/// A client of the OpenAI Responses API. Keeps its connections for the next request.
///
/// # Errors
/// Settings that no request can be made of.
pub fn responses(settings: ProviderSettings) -> Result<Arc<dyn ModelClient>, ProviderError> {
    Ok(Arc::new(Responses::new(settings)?))
}

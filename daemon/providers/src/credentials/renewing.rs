//! A client whose key is fetched at the first request and may change: one that a program prints, one of an account
//! that is renewed, one that stands in the keyring. Everything else is the business of the client within.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, future, stream};
use model::client::{ModelClient, ModelStream, UnfitTool};
use model::event::ModelEvent;
use model::limits::RateLimit;
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;
use protocol::model::{ProviderFailure, ProviderFailureKind};
use protocol::tool::ToolSpecification;

use crate::credentials::error::CredentialError;
use crate::credentials::secret::Secret;
use crate::credentials::source::{Granted, KeySource};
use crate::settings::ProviderError;

/// Makes a client; without a key, one that is asked nothing.
type Make = Box<dyn Fn(Option<&Granted>) -> Result<Arc<dyn ModelClient>, ProviderError> + Send + Sync>;

/// A client that has its key fetched, and fetched anew when it is refused.
///
/// # Errors
/// Settings that no client can be made of.
pub fn renewing(
    provider: String,
    source: Arc<dyn KeySource>,
    make: impl Fn(Option<&Granted>) -> Result<Arc<dyn ModelClient>, ProviderError> + Send + Sync + 'static,
) -> Result<Arc<dyn ModelClient>, ProviderError> {
    let blank = make(None)?;
    let inner = Inner { provider, source, make: Box::new(make), current: Mutex::default() };
    Ok(Arc::new(Renewing { blank, inner: Arc::new(inner) }))
}

struct Renewing {
    /// Knows what the API can, without a key.
    blank: Arc<dyn ModelClient>,
    inner: Arc<Inner>,
}

struct Inner {
    provider: String,
    source: Arc<dyn KeySource>,
    make: Make,
    current: Mutex<Option<Keyed>>,
}

/// A client and what it was made with.
#[derive(Clone)]
struct Keyed {
    granted: Granted,
    client: Arc<dyn ModelClient>,
}

impl ModelClient for Renewing {
    fn stream(&self, request: ModelRequest) -> ModelStream {
        let inner = Arc::clone(&self.inner);
        inner.opened(move |client| client.stream(request.clone()))
    }

    fn compact(&self, request: ModelRequest) -> Option<ModelStream> {
        // Nothing is asked before it is polled.
        drop(self.blank.compact(request.clone())?);
        let nothing = || Box::pin(stream::empty()) as ModelStream;
        let inner = Arc::clone(&self.inner);
        Some(inner.opened(move |client| client.compact(request.clone()).unwrap_or_else(nothing)))
    }

    fn takes_back(&self, opaque: &OpaqueReasoning) -> bool {
        self.blank.takes_back(opaque)
    }

    fn left_out(&self, request: &ModelRequest) -> Vec<String> {
        self.blank.left_out(request)
    }

    fn check_tool(&self, tool: &ToolSpecification) -> Result<(), UnfitTool> {
        self.blank.check_tool(tool)
    }

    fn rate_limits(&self) -> Vec<RateLimit> {
        self.inner.known().map_or_else(Vec::new, |keyed| keyed.client.rate_limits())
    }

    fn warm_up(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            // The request tells why there is no key.
            if let Ok(keyed) = inner.keyed(None).await {
                keyed.client.warm_up().await;
            }
        })
    }
}

impl Inner {
    /// What comes of asking a client with the key as it is.
    fn opened(
        self: Arc<Self>,
        ask: impl Fn(&dyn ModelClient) -> ModelStream + Send + Sync + 'static,
    ) -> ModelStream {
        let opened = stream::once(async move { self.open(ask).await });
        Box::pin(opened.flat_map(|opened| match opened {
            Ok(stream) => stream,
            Err(failure) => Box::pin(stream::once(future::ready(Err(failure)))) as ModelStream,
        }))
    }

    /// Asks, and once more with another key if the first one is refused before anything came.
    async fn open(
        &self,
        ask: impl Fn(&dyn ModelClient) -> ModelStream,
    ) -> Result<ModelStream, ProviderFailure> {
        let first = self.keyed(None).await?;
        let mut events = ask(&*first.client);
        let mut begun = Vec::new();
        while let Some(event) = events.next().await {
            let is_preface = matches!(event, Ok(ModelEvent::ReasoningDropped));
            begun.push(event);
            if !is_preface {
                break;
            }
        }
        if let Some(Err(failure)) = begun.last()
            && failure.kind == ProviderFailureKind::Unauthorized
        {
            let second = self.keyed(Some(&first.granted.key)).await?;
            if second.granted.key != first.granted.key {
                tracing::info!(provider = self.provider, "the key was refused; asking again with a new one");
                return Ok(ask(&*second.client));
            }
        }
        Ok(Box::pin(stream::iter(begun).chain(events)))
    }

    /// A client with the key as it is now.
    async fn keyed(&self, refused: Option<&Secret>) -> Result<Keyed, ProviderFailure> {
        let granted = self.source.key(refused).await.map_err(|error| self.failure(&error))?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keyed) = &*current
            && keyed.granted == granted
        {
            return Ok(keyed.clone());
        }
        let client = (self.make)(Some(&granted)).map_err(|error| ProviderFailure {
            provider: self.provider.clone(),
            kind: ProviderFailureKind::Rejected,
            status: None,
            message: error.to_string(),
        })?;
        let keyed = Keyed { granted, client };
        *current = Some(keyed.clone());
        Ok(keyed)
    }

    fn known(&self) -> Option<Keyed> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failure(&self, error: &CredentialError) -> ProviderFailure {
        let kind = match error {
            CredentialError::Missing { .. }
            | CredentialError::SignedOut { .. }
            | CredentialError::Ended { .. }
            | CredentialError::File { .. }
            | CredentialError::Command { .. } => ProviderFailureKind::Unauthorized,
            CredentialError::Unreachable { .. }
            | CredentialError::Refused { .. }
            | CredentialError::Malformed { .. }
            | CredentialError::TooLate { .. }
            | CredentialError::Unready { .. } => ProviderFailureKind::Unreachable,
        };
        let mut message = error.full_message();
        if let Some(hint) = error.hint() {
            message = format!("{message}. {hint}");
        }
        ProviderFailure { provider: self.provider.clone(), kind, status: None, message }
    }
}

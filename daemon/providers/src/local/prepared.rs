//! A client of a model on this machine that sees to it, before the first request, that the server runs and that the
//! model is in memory with the context that the settings want.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{StreamExt, future, stream};
use model::client::{ModelClient, ModelStream, UnfitTool};
use model::limits::RateLimit;
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;
use protocol::model::{ProviderFailure, ProviderFailureKind};
use protocol::tool::ToolSpecification;
use tokio::sync::Mutex;

use crate::local::server::{LocalError, LocalServer};

/// Wraps a client of the server's Chat Completions API.
#[must_use]
pub fn prepared(
    provider: String,
    server: LocalServer,
    client: Arc<dyn ModelClient>,
    context: Option<u64>,
) -> Arc<dyn ModelClient> {
    let inner = Inner { provider, server, context, ready: Mutex::default() };
    Arc::new(Prepared { client, inner: Arc::new(inner) })
}

struct Prepared {
    client: Arc<dyn ModelClient>,
    inner: Arc<Inner>,
}

struct Inner {
    provider: String,
    server: LocalServer,
    context: Option<u64>,
    /// The model that was seen to, and what it is asked for as.
    ready: Mutex<Option<(String, String)>>,
}

impl ModelClient for Prepared {
    fn stream(&self, request: ModelRequest) -> ModelStream {
        let (client, inner) = (Arc::clone(&self.client), Arc::clone(&self.inner));
        let opened = stream::once(async move {
            match inner.prepare(&request.model).await {
                Ok(model) => client.stream(ModelRequest { model, ..request }),
                Err(error) => {
                    Box::pin(stream::once(future::ready(Err(inner.failure(&error))))) as ModelStream
                }
            }
        });
        Box::pin(opened.flatten())
    }

    fn takes_back(&self, opaque: &OpaqueReasoning) -> bool {
        self.client.takes_back(opaque)
    }

    fn left_out(&self, request: &ModelRequest) -> Vec<String> {
        self.client.left_out(request)
    }

    fn check_tool(&self, tool: &ToolSpecification) -> Result<(), UnfitTool> {
        self.client.check_tool(tool)
    }

    fn rate_limits(&self) -> Vec<RateLimit> {
        self.client.rate_limits()
    }

    fn warm_up(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.client.warm_up()
    }
}

impl Inner {
    /// What the model is asked for as.
    async fn prepare(&self, model: &str) -> Result<String, LocalError> {
        // Held while it is loaded: of sessions that begin together one loads it.
        let mut ready = self.ready.lock().await;
        if let Some((known, name)) = &*ready
            && known == model
        {
            return Ok(name.clone());
        }
        self.server.probe().await?;
        let name = match self.context {
            Some(context) => self.server.load(model, Some(context)).await?,
            None => model.to_owned(),
        };
        *ready = Some((model.to_owned(), name.clone()));
        Ok(name)
    }

    fn failure(&self, error: &LocalError) -> ProviderFailure {
        let kind = match error {
            LocalError::NotRunning { .. } | LocalError::Address { .. } => ProviderFailureKind::Unreachable,
            LocalError::TooOld { .. } | LocalError::NoModel { .. } | LocalError::Refused { .. } => {
                ProviderFailureKind::Rejected
            }
            LocalError::Malformed { .. } => ProviderFailureKind::Malformed,
        };
        let mut message = error.to_string();
        if let Some(hint) = error.hint() {
            message = format!("{message}. {hint}");
        }
        ProviderFailure { provider: self.provider.clone(), kind, status: None, message }
    }
}

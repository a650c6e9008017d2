//! `model/*`.

use std::time::Duration;

use ::config::{ModelProvider, Settings, WireApi};
use futures_util::StreamExt;
use futures_util::future::join_all;
use jsonrpsee::core::{RpcResult, SubscriptionResult, async_trait};
use jsonrpsee::server::SubscriptionSink;
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::{Extensions, PendingSubscriptionSink};
use protocol::account::Credential;
use protocol::api::model::ModelServer;
use protocol::catalogue::{
    ModelChoice, ModelChoiceParams, ModelListParams, ModelListResult, ModelLoadParams, ModelLoadResult,
    ModelPullParams, ModelUnloadParams, ProviderModels, ProviderState, PullProgress,
};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::session::Done;
use providers::listing::{self, ListForm};
use providers::local::server::{LocalError, LocalServer};
use providers::settings::Key;
use serde_json::value::to_raw_value;
use tokio::time::Instant;

use super::{Handlers, accept, caller};
use crate::accounts::key_command;
use crate::circumstances::Variables;
use crate::route::Route;
use crate::{choice, models, wiring};

/// Between two messages of a pull.
const PULSE: Duration = Duration::from_millis(100);
/// The longest name of a model.
const MAX_NAME_BYTES: usize = 512;

#[async_trait]
impl ModelServer for Handlers {
    async fn list_models(
        &self,
        extensions: &Extensions,
        params: ModelListParams,
    ) -> RpcResult<ModelListResult> {
        let (settings, variables) = self.knowledge(caller(extensions)?).await?;
        let choice = choice::choose(&settings, &variables, &self.0.accounts).await?;
        let providers = match &params.provider {
            Some(id) => {
                let provider = wiring::provider(&settings, id)?;
                vec![self.provider_models(&settings, &variables, id, provider, Depth::Asked).await]
            }
            None => {
                let listed = settings
                    .model_providers
                    .iter()
                    .filter(|(_, provider)| provider.wire_api != WireApi::Replay)
                    .map(|(id, provider)| {
                        self.provider_models(&settings, &variables, id, provider, Depth::Known)
                    });
                join_all(listed).await
            }
        };
        Ok(ModelListResult { choice, providers })
    }

    async fn choice(&self, extensions: &Extensions, _params: ModelChoiceParams) -> RpcResult<ModelChoice> {
        let (settings, variables) = self.knowledge(caller(extensions)?).await?;
        Ok(choice::choose(&settings, &variables, &self.0.accounts).await?)
    }

    async fn load(&self, extensions: &Extensions, params: ModelLoadParams) -> RpcResult<ModelLoadResult> {
        let ModelLoadParams { provider: id, model, context_window } = params;
        let (settings, variables) = self.knowledge(caller(extensions)?).await?;
        check_name(&model)?;
        let provider = wiring::provider(&settings, &id)?;
        let server = models::server(&settings, &id, &variables)?;
        let context = context_window.or_else(|| models::local_context(&settings, provider, &model));
        Ok(ModelLoadResult { is_loaded: self.0.loads.load(server, model, context).await? })
    }

    async fn unload(&self, extensions: &Extensions, params: ModelUnloadParams) -> RpcResult<Done> {
        let ModelUnloadParams { provider: id, model } = params;
        let (settings, variables) = self.knowledge(caller(extensions)?).await?;
        check_name(&model)?;
        let server = models::server(&settings, &id, &variables)?;
        server.unload(&model).await.map_err(|error| models::refused(&error))?;
        Ok(Done {})
    }

    /// Runs as long as the pull does, on a task that ends with the connection. Ending it closes the way to the server.
    async fn pull(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
        params: ModelPullParams,
    ) -> SubscriptionResult {
        match self.begin_pull(extensions, &params).await {
            Ok((provider, server)) => {
                if let Some(sink) = accept(pending, caller(extensions)?).await {
                    follow(&sink, provider, &server, &params.model).await;
                }
            }
            Err(error) => pending.reject(ErrorObjectOwned::from(error)).await,
        }
        Ok(())
    }
}

/// How far a list goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// What is known here, and what servers of this machine have.
    Known,
    /// The provider is asked, over the network.
    Asked,
}

impl Handlers {
    async fn provider_models(
        &self,
        settings: &Settings,
        variables: &Variables,
        id: &str,
        provider: &ModelProvider,
        depth: Depth,
    ) -> ProviderModels {
        let (state, listed) = match provider.local {
            Some(_) => of_this_machine(settings, variables, id).await,
            None => self.elsewhere(&Route::new(id, provider, variables), variables, depth).await,
        };
        let known = match provider.local {
            Some(_) => Vec::new(),
            None => models::known(settings, id),
        };
        let models = models::completed(settings, id, listed, known);
        ProviderModels { id: id.to_owned(), name: provider.name.clone(), state, models }
    }

    /// Of a provider that is not on this machine.
    async fn elsewhere(
        &self,
        route: &Route,
        variables: &Variables,
        depth: Depth,
    ) -> (ProviderState, Vec<protocol::catalogue::Model>) {
        let provider = route.provider();
        let needs_key = provider.env_key.is_some() || provider.auth.is_some() || provider.oauth.is_some();
        let through = match self.0.accounts.credential(route, variables).await {
            Err(error) => return (ProviderState::Failed { message: error.message }, Vec::new()),
            Ok(None) if needs_key => return (no_credential(route), Vec::new()),
            Ok(None) => provider.base_url.clone(),
            Ok(Some(credential)) => through(&credential),
        };
        // The accounts of a provider have no list of their own; the catalogue knows what they may use.
        if depth == Depth::Known || provider.oauth.is_some() || provider.wire_api == WireApi::Replay {
            return (ProviderState::Ready { through }, Vec::new());
        }
        match self.asked(route, variables).await {
            Ok(listed) => (ProviderState::Ready { through }, listed),
            Err(message) => (ProviderState::Failed { message }, Vec::new()),
        }
    }

    /// What a provider lists.
    async fn asked(
        &self,
        route: &Route,
        variables: &Variables,
    ) -> Result<Vec<protocol::catalogue::Model>, String> {
        let form = match route.provider().wire_api {
            WireApi::Messages => ListForm::Anthropic,
            WireApi::Gemini => ListForm::Gemini,
            WireApi::Responses | WireApi::ChatCompletions | WireApi::Replay => ListForm::OpenAi,
        };
        let mut asking = route.settings();
        let command = key_command(route.provider(), variables);
        let source = self.0.accounts.source(route, command).map_err(|error| error.message)?;
        if let Some(source) = source {
            let granted = source.key(None).await.map_err(|error| error.full_message())?;
            asking.key = Key::Present(granted.key);
            asking.http_headers.extend(granted.headers);
        }
        listing::models(form, &asking).await
    }

    async fn begin_pull(
        &self,
        extensions: &Extensions,
        params: &ModelPullParams,
    ) -> Result<(String, LocalServer), ProtocolError> {
        let (settings, variables) = self.knowledge(caller(extensions)?).await?;
        check_name(&params.model)?;
        match &params.provider {
            Some(id) => {
                let server = models::server(&settings, id, &variables)?;
                server.probe().await.map_err(|error| models::refused(&error))?;
                Ok((id.clone(), server))
            }
            None => choice::running(&settings, &variables).await,
        }
    }
}

/// Of a server of this machine.
async fn of_this_machine(
    settings: &Settings,
    variables: &Variables,
    id: &str,
) -> (ProviderState, Vec<protocol::catalogue::Model>) {
    let failed = |message: String| (ProviderState::Failed { message }, Vec::new());
    let server = match models::server(settings, id, variables) {
        Ok(server) => server,
        Err(error) => return failed(error.message),
    };
    let looked = async {
        let version = server.probe().await?;
        Ok::<_, LocalError>((version, server.models().await?))
    };
    match looked.await {
        Ok((version, listed)) => {
            let version = version.map(|version| format!(", version {version}")).unwrap_or_default();
            (ProviderState::Ready { through: format!("{}{version}", server.address()) }, listed)
        }
        Err(error @ LocalError::NotRunning { .. }) => {
            let hint = error.hint().unwrap_or_default();
            (ProviderState::NotRunning { message: error.to_string(), hint }, Vec::new())
        }
        Err(error) => failed(error.to_string()),
    }
}

fn no_credential(route: &Route) -> ProviderState {
    let id = route.id();
    let hint = match &route.provider().env_key {
        Some(variable) => format!("Set `{variable}`, or store a key with `skein login {id}`"),
        None => format!("Sign in with `skein login {id}`"),
    };
    ProviderState::NoCredential { hint }
}

/// Where a credential comes from, for a person.
fn through(credential: &Credential) -> String {
    match credential {
        Credential::Environment { variable } => format!("the key in `{variable}`"),
        Credential::Stored { .. } => "a stored key".to_owned(),
        Credential::Command { program } => format!("the key that `{program}` prints"),
        Credential::SignedIn { email: Some(email), .. } => format!("the account of {email}"),
        Credential::SignedIn { email: None, .. } => "an account".to_owned(),
        Credential::Unknown(_) => "a credential".to_owned(),
    }
}

fn check_name(model: &str) -> Result<(), ProtocolError> {
    if model.trim().is_empty() || model.len() > MAX_NAME_BYTES || model.contains(char::is_control) {
        return Err(ProtocolError::new(ErrorCode::InvalidRequest, "This is no name of a model"));
    }
    Ok(())
}

/// Tells how far the pull is, until it ends or the client is gone.
async fn follow(sink: &SubscriptionSink, provider: String, server: &LocalServer, model: &str) {
    if send(sink, &PullProgress::Started { provider }).await.is_none() {
        return;
    }
    let mut pull = server.pull(model);
    let mut told: Option<Instant> = None;
    loop {
        let progress = tokio::select! {
            progress = pull.next() => progress,
            () = sink.closed() => return,
        };
        let Some(progress) = progress else { return };
        // A server tells more often than anybody can read.
        let is_news = match progress {
            PullProgress::Fetching { .. } => told.is_none_or(|at| at.elapsed() >= PULSE),
            PullProgress::Started { .. }
            | PullProgress::Completed
            | PullProgress::Failed { .. }
            | PullProgress::Unknown(_) => true,
        };
        if is_news {
            told = Some(Instant::now());
            if send(sink, &progress).await.is_none() {
                return;
            }
        }
    }
}

/// Sends one message; nothing if the client is gone.
async fn send(sink: &SubscriptionSink, progress: &PullProgress) -> Option<()> {
    match to_raw_value(progress) {
        Ok(message) => sink.send(message).await.ok(),
        Err(error) => {
            tracing::error!(%error, "the progress of a pull can't be written");
            None
        }
    }
}

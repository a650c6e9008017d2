//! What is known of models, and where the servers of this machine are. The settings go before what a provider tells,
//! and that before the catalogue.

use std::collections::BTreeMap;

use config::{CHATGPT, LocalProgram, ModelProvider, OPENAI, Settings, WireApi};
use model::catalogue::built_in;
use protocol::catalogue::{Model, ModelFacts};
use protocol::context::ModelContext;
use protocol::error::{ConfigurationProblem, ErrorCode, ProtocolError};
use protocol::model::ReasoningEffort;
use protocol::session::{ModelPrice, SessionSettings};
use providers::credentials::secret::Secret;
use providers::local::server::{LocalError, LocalKind, LocalServer, ollama_address};

use crate::accounts::Accounts;
use crate::circumstances::Variables;

/// The context that a model of this machine is loaded with where nobody says another, in tokens. What the servers take
/// themselves is too small for the instructions and tools of an agent, and they cut off what is too long silently.
const USUAL_CONTEXT: u64 = 32_768;

/// What is known of a model without asking its provider.
pub(crate) fn facts(settings: &Settings, provider: &str, model: &str) -> ModelFacts {
    let described = settings.model_providers.get(provider);
    let is_local = described.is_some_and(|provider| provider.local.is_some());
    let known = match is_at_home(provider, described) {
        true => built_in().facts(provider, model),
        false => None,
    };
    let known = known.or_else(|| built_in().open_facts(model).filter(|_| is_local)).unwrap_or_default();
    // What runs here costs nothing for a token.
    let free = is_local.then_some(ModelPrice {
        input: 0.0,
        cached_input: 0.0,
        cache_write_input: None,
        output: 0.0,
    });
    own(settings, model).or(known).or(ModelFacts { price: free, ..ModelFacts::default() })
}

/// What a model can be shown. The size that it is loaded with goes before the most that it could take.
pub(crate) fn context(settings: &Settings, provider: &str, model: &str) -> ModelContext {
    let ModelFacts { context_window, has_images, .. } = facts(settings, provider, model);
    let described = settings.model_providers.get(provider);
    let loaded = described.and_then(|provider| local_context(settings, provider, model));
    ModelContext {
        window_tokens: loaded.or(context_window),
        compact_at_tokens: settings.model_auto_compact_token_limit,
        has_images,
    }
}

/// What the settings say of a model.
fn own(settings: &Settings, model: &str) -> ModelFacts {
    let own = settings.models.get(model).cloned().unwrap_or_default();
    let price = settings.model_prices.get(model).copied();
    ModelFacts { price: price.or(own.price), ..own }
}

/// Whether what the catalogue says of a provider holds: one that was sent elsewhere may ask other prices.
fn is_at_home(provider: &str, described: Option<&ModelProvider>) -> bool {
    let defaults = Settings::default();
    let home = defaults.model_providers.get(provider).map(|home| &home.base_url);
    described.map(|described| &described.base_url) == home
}

/// Whether a provider puts conversations into less itself. Of others than OpenAI's that is not known.
pub(crate) fn has_compaction(id: &str, provider: &ModelProvider) -> bool {
    let is_known = || [OPENAI, CHATGPT].contains(&id) && is_at_home(id, Some(provider));
    provider.wire_api == WireApi::Responses && provider.supports_compaction.unwrap_or_else(is_known)
}

/// What a person is told once of a model of which nothing is known.
pub(crate) fn notice(
    accounts: &Accounts,
    settings: &Settings,
    provider: &str,
    model: &str,
) -> Option<ConfigurationProblem> {
    let is_ours = built_in().has_provider(provider) && provider != "openrouter";
    let is_at_home = is_at_home(provider, settings.model_providers.get(provider));
    let is_known = facts(settings, provider, model) != ModelFacts::default();
    if !is_ours || !is_at_home || is_known || !accounts.is_news(provider, model) {
        return None;
    }
    Some(ConfigurationProblem {
        origin: "catalogue".to_owned(),
        line: None,
        column: None,
        key: None,
        message: format!(
            "Nothing is known here of the model `{model}`; it is used with safe defaults, and what it costs is not \
             counted. `[models.\"{model}\"]` in `config.toml` can tell"
        ),
        suggestion: None,
        excerpt: None,
    })
}

/// The server of models of a provider that is one of this machine.
///
/// # Errors
/// `InvalidRequest` when it is none, or its address can't be one.
pub(crate) fn server(
    settings: &Settings,
    id: &str,
    variables: &Variables,
) -> Result<LocalServer, ProtocolError> {
    let invalid = |message: String| ProtocolError::new(ErrorCode::InvalidRequest, message);
    let provider = settings.model_providers.get(id);
    let provider = provider.ok_or_else(|| invalid(format!("There is no provider `{id}` in the settings")))?;
    let Some(program) = provider.local else {
        let hint = "Those are `ollama` and `lmstudio`";
        return Err(
            invalid(format!("The provider `{id}` is no server of models on this machine")).with_hint(hint)
        );
    };
    let kind = match program {
        LocalProgram::Ollama => LocalKind::Ollama,
        LocalProgram::LmStudio => LocalKind::LmStudio,
    };
    let base = base_url(provider, variables);
    let root = base.strip_suffix("/v1").unwrap_or(&base);
    let names: Vec<&str> = provider.env_keys().collect();
    let key = variables.value(&names).map(|key| Secret::new(key.to_owned()));
    LocalServer::new(kind, root, key.as_ref()).map_err(|error| invalid(error.to_string()))
}

/// Where a provider is: where the settings say, and Ollama else where its own variable says.
pub(crate) fn base_url(provider: &ModelProvider, variables: &Variables) -> String {
    let usual = Settings::default().model_providers.remove("ollama").map(|usual| usual.base_url);
    let is_free = provider.local == Some(LocalProgram::Ollama) && usual.as_ref() == Some(&provider.base_url);
    match variables.value(&["OLLAMA_HOST"]).filter(|host| is_free && !host.trim().is_empty()) {
        Some(host) => format!("{}/v1", ollama_address(host)),
        None => provider.base_url.clone(),
    }
}

/// The context that a model of this machine is loaded with; absent: as its server does it.
pub(crate) fn local_context(settings: &Settings, provider: &ModelProvider, model: &str) -> Option<u64> {
    provider.local?;
    let own = settings.models.get(model).and_then(|own| own.context_window);
    let known = || built_in().open_facts(model)?.context_window;
    own.or_else(|| known().map(|most| most.min(USUAL_CONTEXT)))
}

/// Checks what a session asks of its model against what is known of it.
///
/// # Errors
/// `InvalidRequest` when it can't think as hard as it is asked to.
pub(crate) fn check(settings: &Settings, session: &SessionSettings) -> Result<(), ProtocolError> {
    let SessionSettings { provider, model, reasoning_effort, .. } = session;
    let efforts = facts(settings, provider, model).efforts;
    let Some(wanted) =
        reasoning_effort.as_ref().filter(|wanted| !efforts.is_empty() && !efforts.contains(wanted))
    else {
        return Ok(());
    };
    let known = efforts.iter().map(|effort| format!("`{}`", word(effort))).collect::<Vec<_>>().join(", ");
    let message = format!("The model `{model}` knows no reasoning effort `{}`", word(wanted));
    let hint = format!(
        "It knows {known}; if it has learnt more, `efforts` of `[models.\"{model}\"]` in `config.toml` says so"
    );
    Err(ProtocolError::new(ErrorCode::InvalidRequest, message).with_hint(hint))
}

/// Refuses images for a model of which it is known that it sees none.
///
/// # Errors
/// `InvalidRequest`.
pub(crate) fn check_images(settings: &Settings, session: &SessionSettings) -> Result<(), ProtocolError> {
    let SessionSettings { provider, model, .. } = session;
    if facts(settings, provider, model).has_images != Some(false) {
        return Ok(());
    }
    let message = format!("The model `{model}` sees no images");
    let hint =
        format!("Choose another model; if it does see them, `[models.\"{model}\"] images = true` says so");
    Err(ProtocolError::new(ErrorCode::InvalidRequest, message).with_hint(hint))
}

/// Models as they are shown: what is known here fills in what the provider does not tell, and the settings go before
/// both.
pub(crate) fn completed(
    settings: &Settings,
    provider: &str,
    listed: Vec<Model>,
    also: Vec<Model>,
) -> Vec<Model> {
    let mut all: BTreeMap<String, Model> = BTreeMap::new();
    for model in listed.into_iter().chain(also) {
        all.entry(model.name.clone()).or_insert(model);
    }
    let complete = |mut model: Model| {
        model.facts = own(settings, &model.name).or(model.facts).or(facts(settings, provider, &model.name));
        model
    };
    all.into_values().map(complete).collect()
}

/// The models of a provider that are known without asking it.
pub(crate) fn known(settings: &Settings, provider: &str) -> Vec<Model> {
    match is_at_home(provider, settings.model_providers.get(provider)) {
        true => built_in().models(provider),
        false => Vec::new(),
    }
}

/// An error of a server of this machine, as the wire has it.
pub(crate) fn refused(error: &LocalError) -> ProtocolError {
    let code = match error {
        LocalError::NoModel { .. } => ErrorCode::NotFound,
        LocalError::Address { .. } => ErrorCode::InvalidRequest,
        LocalError::NotRunning { .. }
        | LocalError::TooOld { .. }
        | LocalError::Refused { .. }
        | LocalError::Malformed { .. } => ErrorCode::Provider,
    };
    let refused = ProtocolError::new(code, error.to_string());
    match error.hint() {
        Some(hint) => refused.with_hint(hint),
        None => refused,
    }
}

/// The word of an effort.
fn word(effort: &ReasoningEffort) -> String {
    match serde_json::to_value(effort) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => format!("{effort:?}"),
    }
}

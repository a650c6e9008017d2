//! Which model is taken when nobody chooses one, and why. Looks at the environment first, then at what is stored, then
//! whether a server of this machine runs, and stops where something is found.

use std::time::Duration;

use config::{CHATGPT, LOCAL, OPENAI, Settings};
use model::catalogue::built_in;
use protocol::account::Credential;
use protocol::catalogue::{Model, ModelChoice};
use protocol::error::{ErrorCode, ProtocolError};
use providers::local::server::{LocalError, LocalServer};

use crate::accounts::Accounts;
use crate::circumstances::Variables;
use crate::models;
use crate::route::Route;

/// In which order providers are looked at that have keys.
const KEYED: [&str; 4] = [OPENAI, "anthropic", "gemini", "openrouter"];
/// In which order servers of this machine are.
const SERVERS: [&str; 2] = ["ollama", "lmstudio"];
/// What a server of this machine is proposed to fetch that has nothing.
const PROPOSED: &str = "gpt-oss:20b";
/// How servers of this machine are started.
const START: &str = "Start one with `ollama serve` or `lms server start`; `OLLAMA_HOST` says where Ollama is if it is \
                     elsewhere";
/// How long servers of this machine may take to say that they are there.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// Why a server of this machine offers nothing.
struct NoOffer {
    /// Whether the server is there at all.
    runs: bool,
    reason: String,
    hint: Option<String>,
}

/// What a session gets whose client chooses nothing more than the settings say.
///
/// # Errors
/// When what is stored can't be read.
pub(crate) async fn choose(
    settings: &Settings,
    variables: &Variables,
    accounts: &Accounts,
) -> Result<ModelChoice, ProtocolError> {
    let model = settings.model.clone();
    let chosen = |provider: &str, reason: String| ModelChoice {
        provider: Some(provider.to_owned()),
        model: model.clone().or_else(|| built_in().default_model(provider).map(str::to_owned)),
        reason,
        hint: None,
    };
    if settings.is_provider_chosen && settings.model_provider == LOCAL {
        return Ok(local(settings, variables).await);
    }
    if settings.is_provider_chosen {
        let id = &settings.model_provider;
        let choice = chosen(id, "`model_provider` of the settings says so".to_owned());
        let is_local = settings.model_providers.get(id).is_some_and(|provider| provider.local.is_some());
        if choice.model.is_none() && is_local {
            return Ok(of_server(settings, id, variables).await.unwrap_or_else(ModelChoice::from));
        }
        return Ok(choice);
    }
    let knows = |id: &str| model.as_ref().is_none_or(|model| built_in().facts(id, model).is_some());
    // A model that is known belongs to who has it; of one that nobody knows anybody may be asked.
    let is_known = model.as_ref().is_some_and(|_| KEYED.iter().chain([&CHATGPT]).any(|id| knows(id)));
    let fits = |id: &str| !is_known || knows(id);
    for id in KEYED.into_iter().filter(|id| fits(id)) {
        let Some(provider) = settings.model_providers.get(id) else { continue };
        if let Some(variable) = variables.name(provider.env_keys()) {
            return Ok(chosen(id, format!("there is a key in `{variable}`")));
        }
        if let Some(auth) = &provider.auth {
            return Ok(chosen(id, format!("`{}` of the settings prints a key", auth.program)));
        }
    }
    for id in KEYED.into_iter().chain([CHATGPT]).filter(|id| fits(id)) {
        let Some(provider) = settings.model_providers.get(id) else { continue };
        let route = Route::new(id, provider, variables);
        match accounts.credential(&route, variables).await? {
            Some(Credential::Stored { .. }) => {
                return Ok(chosen(id, "a key was stored with `skein login`".to_owned()));
            }
            Some(Credential::SignedIn { email, .. }) => {
                let whom = email.map(|email| format!(" as {email}")).unwrap_or_default();
                return Ok(chosen(id, format!("somebody signed in{whom}")));
            }
            Some(Credential::Environment { .. } | Credential::Command { .. } | Credential::Unknown(_))
            | None => {}
        }
    }
    if is_known {
        let owner = KEYED.into_iter().chain([CHATGPT]).find(|id| knows(id)).unwrap_or(OPENAI);
        let variable = settings.model_providers.get(owner).and_then(|provider| provider.env_key.clone());
        return Ok(ModelChoice {
            provider: None,
            model: model.clone(),
            reason: format!("There is no key for `{owner}`, which has the model"),
            hint: Some(match variable {
                Some(variable) => format!("Set `{variable}`, or store a key with `skein login {owner}`"),
                None => format!("Sign in with `skein login {owner}`"),
            }),
        });
    }
    let found = local(settings, variables).await;
    if found.provider.is_some() {
        return Ok(found);
    }
    Ok(ModelChoice {
        provider: None,
        model,
        reason: "There is no model to use: no key, no account, and no server of models on this machine"
            .to_owned(),
        hint: Some(format!(
            "One of these helps: set `OPENAI_API_KEY`, `ANTHROPIC_API_KEY`, `GEMINI_API_KEY` or `OPENROUTER_API_KEY`, or \
             store a key with `skein login NAME`; sign in with a ChatGPT account by `skein login`; start \
             Ollama or LM Studio and fetch a model with `skein models pull {PROPOSED}`"
        )),
    })
}

/// The settings with a choice made. Nothing is looked up if the settings made it.
///
/// # Errors
/// `InvalidRequest` with what to do when there is nothing to choose.
pub(crate) async fn settle(
    mut settings: Settings,
    variables: &Variables,
    accounts: &Accounts,
) -> Result<Settings, ProtocolError> {
    let is_chosen = settings.is_provider_chosen && settings.model_provider != LOCAL;
    let is_local = settings
        .model_providers
        .get(&settings.model_provider)
        .is_some_and(|provider| provider.local.is_some());
    if is_chosen && (settings.model.is_some() || !is_local) {
        return Ok(settings);
    }
    let choice = choose(&settings, variables, accounts).await?;
    let refused = |reason: String, hint: Option<String>| {
        let refused = ProtocolError::new(ErrorCode::InvalidRequest, reason);
        match hint {
            Some(hint) => refused.with_hint(hint),
            None => refused,
        }
    };
    let Some(provider) = choice.provider else { return Err(refused(choice.reason, choice.hint)) };
    if is_local && choice.model.is_none() {
        return Err(refused(choice.reason, choice.hint));
    }
    tracing::info!(provider, model = choice.model, reason = choice.reason, "chose a model");
    settings.model_provider = provider;
    settings.model = choice.model;
    Ok(settings)
}

/// The first server of this machine that runs, and its provider's id.
///
/// # Errors
/// `Provider` when none does.
pub(crate) async fn running(
    settings: &Settings,
    variables: &Variables,
) -> Result<(String, LocalServer), ProtocolError> {
    let mut reasons = Vec::new();
    for id in SERVERS {
        let server = models::server(settings, id, variables)?;
        match server.probe().await {
            Ok(_) => return Ok((id.to_owned(), server)),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    let message = format!("No server of models runs on this machine. {}", reasons.join("; "));
    Err(ProtocolError::new(ErrorCode::Provider, message).with_hint(START))
}

/// What the first server of this machine offers that has something; else why none does.
async fn local(settings: &Settings, variables: &Variables) -> ModelChoice {
    let [ollama, lm_studio] = SERVERS.map(|id| of_server(settings, id, variables));
    match tokio::join!(ollama, lm_studio) {
        (Ok(choice), _) | (Err(_), Ok(choice)) => choice,
        // Of both that one is told of that runs.
        (Err(first), Err(second)) if second.runs && !first.runs => second.into(),
        (Err(first), Err(second)) if !first.runs => NoOffer {
            runs: false,
            reason: format!("No server of models runs on this machine. {}; {}", first.reason, second.reason),
            hint: Some(START.to_owned()),
        }
        .into(),
        (Err(first), Err(_)) => first.into(),
    }
}

/// What a server of this machine offers; else why it offers nothing.
async fn of_server(settings: &Settings, id: &str, variables: &Variables) -> Result<ModelChoice, NoOffer> {
    let server = models::server(settings, id, variables).map_err(|error| NoOffer {
        runs: false,
        reason: error.message,
        hint: error.hint,
    })?;
    let look = async {
        server.probe().await?;
        server.models().await
    };
    let (name, address) = (server.kind().name(), server.address());
    let missing = |reason: String, hint: String| NoOffer { runs: true, reason, hint: Some(hint) };
    let found = match tokio::time::timeout(PROBE_LIMIT, look).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => {
            let reason = format!("{name} does not answer at {address}");
            return Err(NoOffer { runs: true, reason, hint: None });
        }
    };
    let offer = |model: &Model| ModelChoice {
        provider: Some(id.to_owned()),
        model: Some(model.name.clone()),
        reason: format!("{name} runs at {address}"),
        hint: None,
    };
    match &settings.model {
        Some(wanted) => {
            found.iter().find(|model| is_named(&model.name, wanted)).map(offer).ok_or_else(|| {
                missing(
                    format!("{name} has no model `{wanted}`"),
                    format!("Fetch it with `skein models pull {wanted}`"),
                )
            })
        }
        None => best(&found).map(offer).ok_or_else(|| {
            missing(
                format!("{name} runs and has no model yet"),
                format!("Fetch one with `skein models pull {PROPOSED}`"),
            )
        }),
    }
}

/// Whether a model is meant by this name: `qwen3` is `qwen3:latest`.
fn is_named(name: &str, wanted: &str) -> bool {
    name == wanted || name.strip_suffix(":latest") == Some(wanted)
}

/// The model that is taken of a server: one that calls tools before others, one in memory before others.
fn best(models: &[Model]) -> Option<&Model> {
    let worth = |model: &&Model| {
        let tools = model.facts.has_tools.or_else(|| built_in().open_facts(&model.name)?.has_tools);
        let is_loaded = model.local.as_ref().is_some_and(|local| local.is_loaded);
        (tools == Some(true), tools.is_none(), is_loaded, model.facts.context_window)
    };
    models.iter().rev().max_by_key(worth)
}

impl From<LocalError> for NoOffer {
    fn from(error: LocalError) -> Self {
        let runs = !matches!(error, LocalError::NotRunning { .. } | LocalError::Address { .. });
        Self { runs, hint: error.hint(), reason: error.to_string() }
    }
}

impl From<NoOffer> for ModelChoice {
    fn from(NoOffer { reason, hint, .. }: NoOffer) -> Self {
        Self { provider: None, model: None, reason, hint }
    }
}

//! Samples of `account/*` and `model/*`.

use protocol::account::{
    Account, AccountListParams, AccountListResult, AccountLoginParams, AccountLoginResult,
    AccountLogoutParams, AccountLogoutResult, AccountSetKeyParams, AccountSetKeyResult, Credential,
    CredentialPlace, LoginId, LoginMethod, LoginRef, LoginStatus, SecretText,
};
use protocol::catalogue::{
    LocalModel, Model, ModelChoice, ModelChoiceParams, ModelFacts, ModelListParams, ModelListResult,
    ModelLoadParams, ModelLoadResult, ModelPullParams, ModelUnloadParams, ProviderModels, ProviderState,
    PullProgress,
};
use protocol::model::ReasoningEffort;
use protocol::session::{Done, ModelPrice};

use super::{Sample, at, sample, uuid};

pub(super) fn samples() -> Vec<Sample> {
    accounts().into_iter().chain(models()).collect()
}

fn accounts() -> Vec<Sample> {
    let reference = LoginRef { login_id: LoginId(uuid(0x9)) };
    vec![
        sample("account.list.params", &AccountListParams {}),
        sample(
            "account.list.result",
            &AccountListResult {
                accounts: vec![
                    account("anthropic", "Anthropic", None),
                    signed_in(),
                    account("openai", "OpenAI", Some(stored())),
                ],
            },
        ),
        sample(
            "account.setKey.params",
            &AccountSetKeyParams { provider: "openai".to_owned(), key: SecretText("sk-…".to_owned()) },
        ),
        sample(
            "account.setKey.result",
            &AccountSetKeyResult { place: file(), hidden_by: Some("OPENAI_API_KEY".to_owned()) },
        ),
        sample(
            "account.login.params",
            &AccountLoginParams { provider: "chatgpt".to_owned(), method: LoginMethod::Device },
        ),
        sample(
            "account.login.result",
            &AccountLoginResult {
                login_id: LoginId(uuid(0x9)),
                url: "https://auth.openai.com/codex/device".to_owned(),
                user_code: Some("ABCD-1234".to_owned()),
                expires_at: at(900),
            },
        ),
        sample("account.awaitLogin.params", &reference),
        sample("account.awaitLogin.result", &LoginStatus::Completed { account: signed_in() }),
        sample("account.cancelLogin.params", &reference),
        sample("account.cancelLogin.result", &Done {}),
        sample("account.logout.params", &AccountLogoutParams { provider: "openai".to_owned() }),
        sample(
            "account.logout.result",
            &AccountLogoutResult {
                was_stored: true,
                left: Some(Credential::Environment { variable: "OPENAI_API_KEY".to_owned() }),
            },
        ),
    ]
}

fn models() -> Vec<Sample> {
    let (provider, model) = ("ollama".to_owned(), "qwen3:8b".to_owned());
    let choice = ModelChoice {
        provider: Some("ollama".to_owned()),
        model: Some("qwen3:8b".to_owned()),
        reason: "Ollama runs at http://127.0.0.1:11434".to_owned(),
        hint: None,
    };
    let mut all = vec![
        sample("model.list.params", &ModelListParams { provider: Some(provider.clone()) }),
        sample(
            "model.list.result",
            &ModelListResult { choice: choice.clone(), providers: vec![here(), elsewhere()] },
        ),
        sample("model.choice.params", &ModelChoiceParams {}),
        sample("model.choice.result", &choice),
        sample(
            "model.load.params",
            &ModelLoadParams {
                provider: provider.clone(),
                model: model.clone(),
                context_window: Some(32_768),
            },
        ),
        sample("model.load.result", &ModelLoadResult { is_loaded: true }),
        sample(
            "model.unload.params",
            &ModelUnloadParams { provider: provider.clone(), model: model.clone() },
        ),
        sample("model.unload.result", &Done {}),
        sample("model.pull.params", &ModelPullParams { provider: Some(provider), model }),
        sample("model.pull.result", &7_u64),
    ];
    all.extend(progress().map(|(variant, progress)| sample(format!("model.progress.{variant}"), &progress)));
    all
}

fn here() -> ProviderModels {
    let model = Model {
        name: "qwen3:8b".to_owned(),
        title: None,
        facts: ModelFacts {
            context_window: Some(40_960),
            has_tools: Some(true),
            has_reasoning: Some(true),
            ..ModelFacts::default()
        },
        local: Some(LocalModel {
            size_bytes: Some(5_225_388_164),
            parameters: Some("8.2B".to_owned()),
            quantization: Some("Q4_K_M".to_owned()),
            format: Some("gguf".to_owned()),
            is_loaded: true,
            loaded_context: Some(32_768),
        }),
    };
    let through = "http://127.0.0.1:11434, version 0.12.6".to_owned();
    ProviderModels {
        id: "ollama".to_owned(),
        name: "Ollama".to_owned(),
        state: ProviderState::Ready { through },
        models: vec![model],
    }
}

fn elsewhere() -> ProviderModels {
    let model = Model {
        name: "gpt-5.5".to_owned(),
        title: Some("GPT-5.5".to_owned()),
        facts: ModelFacts {
            context_window: Some(1_050_000),
            max_output_tokens: Some(128_000),
            price: Some(ModelPrice { input: 5.0, cached_input: 0.5, cache_write_input: None, output: 30.0 }),
            has_tools: Some(true),
            has_images: Some(true),
            has_reasoning: Some(true),
            efforts: vec![ReasoningEffort::Low, ReasoningEffort::High],
            has_structured_output: Some(true),
        },
        local: None,
    };
    ProviderModels {
        id: "openai".to_owned(),
        name: "OpenAI".to_owned(),
        state: ProviderState::NoCredential { hint: "Set `OPENAI_API_KEY`".to_owned() },
        models: vec![model],
    }
}

fn progress() -> [(&'static str, PullProgress); 4] {
    [
        ("started", PullProgress::Started { provider: "ollama".to_owned() }),
        (
            "fetching",
            PullProgress::Fetching {
                status: "pulling 6488c96fa5fa".to_owned(),
                completed_bytes: Some(1_048_576),
                total_bytes: Some(5_225_388_164),
            },
        ),
        ("completed", PullProgress::Completed),
        (
            "failed",
            PullProgress::Failed {
                message: "Ollama refused: there is no space left".to_owned(),
                hint: Some("Free some space, and pull again".to_owned()),
            },
        ),
    ]
}

fn account(provider: &str, name: &str, credential: Option<Credential>) -> Account {
    let has_sign_in = provider == "chatgpt";
    Account { provider: provider.to_owned(), name: name.to_owned(), has_sign_in, credential }
}

fn signed_in() -> Account {
    let credential = Credential::SignedIn {
        place: CredentialPlace::Keyring,
        email: Some("ada@example.org".to_owned()),
        plan: Some("plus".to_owned()),
        expires_at: Some(at(3600)),
    };
    account("chatgpt", "ChatGPT", Some(credential))
}

fn stored() -> Credential {
    Credential::Stored { place: file() }
}

fn file() -> CredentialPlace {
    CredentialPlace::File {
        path: "/home/ada/.local/share/skein/credentials.json".into(),
        reason: Some("there is no session bus, and so no Secret Service".to_owned()),
    }
}

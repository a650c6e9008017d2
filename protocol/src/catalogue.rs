//! Models: what is known of each, where they are, which one is taken when nobody chooses, and how one is fetched
//! onto this machine. Knows nothing of any provider's format.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::ReasoningEffort;
use crate::session::ModelPrice;

/// What is known of a model; what is absent is not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelFacts {
    /// Tokens of input and output together, or of input alone where the provider counts so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Tokens that one answer may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// What it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<ModelPrice>,
    /// Whether it calls tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_tools: Option<bool>,
    /// Whether it sees images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_images: Option<bool>,
    /// Whether it thinks before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_reasoning: Option<bool>,
    /// How hard it may be asked to think; empty: not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub efforts: Vec<ReasoningEffort>,
    /// Whether its answer can be held to a schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_structured_output: Option<bool>,
}

impl ModelFacts {
    /// These, and where they say nothing, those.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            context_window: self.context_window.or(other.context_window),
            max_output_tokens: self.max_output_tokens.or(other.max_output_tokens),
            price: self.price.or(other.price),
            has_tools: self.has_tools.or(other.has_tools),
            has_images: self.has_images.or(other.has_images),
            has_reasoning: self.has_reasoning.or(other.has_reasoning),
            efforts: if self.efforts.is_empty() { other.efforts } else { self.efforts },
            has_structured_output: self.has_structured_output.or(other.has_structured_output),
        }
    }
}

/// A model of a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// The name that the provider knows it by.
    pub name: String,
    /// What people call it, where that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is known of it.
    pub facts: ModelFacts,
    /// How it lies on a server of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalModel>,
}

/// How a model lies on a server of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalModel {
    /// Its size on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// How many parameters it has, such as `7.6B`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<String>,
    /// How they are stored, such as `Q4_K_M`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<String>,
    /// The form of its file, such as `gguf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Whether it is in memory now.
    pub is_loaded: bool,
    /// The context that it was loaded with, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded_context: Option<u64>,
}

/// Parameters of `model/list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelListParams {
    /// Only this provider, which is then asked over the network. Without one, only servers of this machine are
    /// asked, and of the others the catalogue tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// Result of `model/list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelListResult {
    /// What a session gets whose client chooses nothing.
    pub choice: ModelChoice,
    /// The providers, by their ids.
    pub providers: Vec<ProviderModels>,
}

/// A provider and its models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderModels {
    /// Its id in the settings.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether it can be used.
    pub state: ProviderState,
    /// Its models, by their names.
    pub models: Vec<Model>,
}

/// Whether a provider can be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ProviderState {
    /// It can.
    #[serde(rename_all = "camelCase")]
    Ready {
        /// By what, for a person: where the key comes from, or the server's address and version.
        through: String,
    },
    /// There is no key and nobody is signed in.
    #[serde(rename_all = "camelCase")]
    NoCredential {
        /// What to do.
        hint: String,
    },
    /// The server does not run.
    #[serde(rename_all = "camelCase")]
    NotRunning {
        /// Where it was looked for, and what came of it.
        message: String,
        /// What to do.
        hint: String,
    },
    /// It was asked and failed.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// What it said.
        message: String,
    },
    /// A state of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// Parameters of `model/choice`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelChoiceParams {}

/// What a session gets whose client chooses nothing, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelChoice {
    /// The provider's id; absent: there is none that could be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model; absent: one must be chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why, for a person.
    pub reason: String,
    /// What to do where something is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Parameters of `model/load`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelLoadParams {
    /// A provider that is a server of this machine.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The context that it is to have, in tokens; absent: as the settings or the server say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
}

/// Result of `model/load`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelLoadResult {
    /// Whether it is in memory; else it is still on its way.
    pub is_loaded: bool,
}

/// Parameters of `model/unload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelUnloadParams {
    /// A provider that is a server of this machine.
    pub provider: String,
    /// The model.
    pub model: String,
}

/// Parameters of `model/pull`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelPullParams {
    /// A provider that is a server of this machine; absent: the one that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model, as the server's own library calls it.
    pub model: String,
}

/// How far a pull is. The subscription ends after `completed` and `failed`; ending it earlier cancels the pull, and
/// the next one of the same model goes on where it stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum PullProgress {
    /// It began.
    #[serde(rename_all = "camelCase")]
    Started {
        /// The provider that fetches it.
        provider: String,
    },
    /// It goes on.
    #[serde(rename_all = "camelCase")]
    Fetching {
        /// What the server does, in its words; bounded.
        status: String,
        /// What is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        completed_bytes: Option<u64>,
        /// What it will be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total_bytes: Option<u64>,
    },
    /// It is there.
    Completed,
    /// It is not.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Why.
        message: String,
        /// What to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// Progress of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

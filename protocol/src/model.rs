//! What is said of models and their providers on the wire. Knows nothing of any provider's format.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens spent. Input includes cached input; output includes reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Tokens of all input.
    pub input_tokens: u64,
    /// Of these, tokens that were read from the provider's cache.
    pub cached_input_tokens: u64,
    /// Tokens that were written to the provider's cache, where it says so.
    #[serde(default)]
    pub cache_write_input_tokens: u64,
    /// Tokens of all output.
    pub output_tokens: u64,
    /// Of these, tokens of reasoning.
    pub reasoning_output_tokens: u64,
}

impl Usage {
    /// Input and output together.
    #[must_use]
    pub fn total_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

/// What a provider says it counted may be anything; sums end at the largest number there is.
impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cached_input_tokens = self.cached_input_tokens.saturating_add(other.cached_input_tokens);
        self.cache_write_input_tokens =
            self.cache_write_input_tokens.saturating_add(other.cache_write_input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.reasoning_output_tokens =
            self.reasoning_output_tokens.saturating_add(other.reasoning_output_tokens);
    }
}

/// How hard the model should think.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReasoningEffort {
    /// Hardly.
    Minimal,
    /// Little.
    Low,
    /// As usual.
    Medium,
    /// Long.
    High,
    /// As long as it likes.
    #[serde(rename = "xhigh")]
    XHigh,
    /// A word of the provider's own.
    #[serde(untagged)]
    Other(String),
}

/// How the provider is to tell of its reasoning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReasoningSummary {
    /// The provider chooses.
    Auto,
    /// Short.
    Concise,
    /// At length.
    Detailed,
    /// Not at all.
    None,
    /// A word of the provider's own.
    #[serde(untagged)]
    Other(String),
}

/// What a failure of a provider was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ProviderFailureKind {
    /// No connection: refused, no such host, TLS.
    Unreachable,
    /// The key is missing, wrong or not allowed (401, 403).
    Unauthorized,
    /// Too many requests, or the account's limit (429).
    RateLimited,
    /// The provider refused the request (other 4xx).
    Rejected,
    /// The request is longer than the model takes.
    ContextTooLong,
    /// The provider failed (5xx, overloaded, `response.failed`).
    Failed,
    /// The stream ended before the answer was complete.
    Cut,
    /// Nothing came within the idle timeout.
    Stalled,
    /// The provider's safety rules refused the prompt or the answer.
    Blocked,
    /// The answer can't be read.
    Malformed,
    /// A kind of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// A failure of a provider, after or before a retry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderFailure {
    /// The provider's id in the settings.
    pub provider: String,
    /// What it was.
    pub kind: ProviderFailureKind,
    /// The HTTP status, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's own message, or ours where it gave none; bounded.
    pub message: String,
}

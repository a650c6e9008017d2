//! What a provider does in the web for a model that may search there. Knows nothing of how it is asked to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::item::OpaqueReasoning;

/// A search of the web, or a page of it that was read, by the provider and not by Skein. All of it is what the provider
/// tells, bounded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebSearch {
    /// What was looked for; may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<String>,
    /// The page that was read, if it was no search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// What was found, in the provider's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<WebSource>,
    /// Why nothing came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the provider wants to see again, unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque: Option<OpaqueReasoning>,
}

/// A page that a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebSource {
    /// Its address.
    pub url: String,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

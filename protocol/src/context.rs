//! What a model can be shown, and what becomes of a session that outgrows it: what was said and done before is put into
//! few words, beside what is carried over as it was. Knows nothing of how tokens are counted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{RequestId, SessionId, TurnId};
use crate::item::OpaqueReasoning;

/// What a session's model can be shown, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelContext {
    /// Tokens that a request may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_tokens: Option<u64>,
    /// A request of more tokens than these is not made before the session was compacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compact_at_tokens: Option<u64>,
    /// Whether it sees images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_images: Option<bool>,
}

/// What was said and done before, in few words. The model is shown this in place of all that stands before it; the log
/// keeps everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compaction {
    /// Why.
    pub reason: CompactionReason,
    /// What the summary should dwell on, in the words of who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// About how many tokens the request had that was too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_before: Option<u64>,
    /// The model's summary; empty where the provider did it in its own form.
    pub summary: String,
    /// What stands beside the summary as it was: what people said, the plan, changed files, checks that fail, and what
    /// was done. Markdown, bounded; what was left out of it is named in it. Absent until the summary is there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub carried: String,
    /// What a provider made of all before in place of a summary, sent back unchanged to who can read it; others are
    /// shown what is carried. Empty where the model wrote a summary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opaque: Vec<OpaqueReasoning>,
    /// Why it was not done, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Why a session is compacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CompactionReason {
    /// The next request would be too long.
    Full,
    /// The provider refused a request as too long.
    Refused,
    /// Somebody asked for it.
    Requested,
    /// A reason of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Parameters of `session/compact`; a running turn is a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCompactParams {
    /// The session.
    pub session_id: SessionId,
    /// What the summary should dwell on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// Result of `session/compact`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionCompactResult {
    /// The turn that does it; its end says whether it was done.
    pub turn_id: TurnId,
}

//! The queue of a session: inputs that wait their turn, which every client may edit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{QueuedId, RequestId, SessionId};
use crate::session::QueuedInput;
use crate::turn::InputPart;

/// Parameters of `queue/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueListParams {
    /// The session.
    pub session_id: SessionId,
}

/// Result of `queue/list`: the next one first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueListResult {
    /// What waits.
    pub queue: Vec<QueuedInput>,
}

/// Parameters of `queue/update`. What is absent stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueUpdateParams {
    /// The session.
    pub session_id: SessionId,
    /// The input; one that has begun or was cancelled is `NotFound`.
    pub queued_id: QueuedId,
    /// What will be said instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Vec<InputPart>>,
    /// Where it goes, from 0; beyond the end is the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// Parameters of `queue/cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueCancelParams {
    /// The session.
    pub session_id: SessionId,
    /// The input; one that has begun or was cancelled is `NotFound`.
    pub queued_id: QueuedId,
    /// Names the request, so that it can be sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

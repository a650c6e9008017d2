//! The whole of what a command printed, where its item has the beginning and the end only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{BlobId, SessionId};

/// Parameters of `output/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputReadParams {
    /// The session in which the command ran.
    pub session_id: SessionId,
    /// What its output is kept as, of the command's item.
    pub blob: BlobId,
    /// Bytes that are left out before; 0, or a `nextOffsetBytes`.
    #[serde(default)]
    pub offset_bytes: u64,
    /// Bytes to read, 1 MiB at most; absent: 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_bytes: Option<u64>,
}

/// Result of `output/read`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputReadResult {
    /// The part; what is no UTF-8 is replaced.
    pub text: String,
    /// Where what follows begins; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_offset_bytes: Option<u64>,
    /// Bytes that are kept in all.
    pub total_bytes: u64,
}

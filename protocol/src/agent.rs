//! Agents: sessions that the model of another session started, so that they work for it. An agent is a session like any
//! other; this is what it has beside, and the call that shows a tree of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{ItemId, SessionId, TurnId};
use crate::model::Usage;
use crate::session::SessionSummary;

/// Where an agent's session comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentOrigin {
    /// The session whose model started it.
    pub parent: SessionId,
    /// The call that did, an item of that session.
    pub item_id: ItemId,
    /// The session at the top of the tree, which is no agent.
    pub root: SessionId,
    /// How far it is below that, from 1.
    pub depth: u32,
    /// What its parent calls it.
    pub name: String,
}

/// What an agent is doing, or how its last turn ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AgentStatus {
    /// A turn runs.
    Running,
    /// Its turn waits for an answer.
    Waiting,
    /// The model had its last word.
    Completed,
    /// The turn could not go on.
    Failed,
    /// The turn was stopped.
    Interrupted,
    /// A ceiling ended the turn.
    LimitReached,
    /// It was put away, or is gone.
    Closed,
    /// A status of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

impl AgentStatus {
    /// Whether something is still to be expected of it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        match self {
            Self::Running | Self::Waiting => true,
            Self::Completed
            | Self::Failed
            | Self::Interrupted
            | Self::LimitReached
            | Self::Closed
            | Self::Unknown(_) => false,
        }
    }
}

/// What an agent tells the session that started it: that it waits for an answer, or that a turn of it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentReport {
    /// The agent's session.
    pub session_id: SessionId,
    /// The agent's turn.
    pub turn_id: TurnId,
    /// What its parent calls it.
    pub name: String,
    /// What it came to.
    pub status: AgentStatus,
    /// Its last message, why it did not come so far, or what it waits for; bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the turn took so far.
    pub usage: Usage,
    /// The same in US dollars, where the price is known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::number::optional")]
    pub cost: Option<f64>,
}

/// Parameters of `agent/list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentListParams {
    /// Any session of the tree; absent: all trees in which an agent works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
}

/// Result of `agent/list`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentListResult {
    /// Each session of the tree after its parent and before its parent's next one, in the order they were started. The
    /// first one of a tree is no agent.
    pub agents: Vec<AgentNode>,
}

/// A session of a tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentNode {
    /// The session. `agent` in it tells where it stands.
    pub summary: SessionSummary,
    /// What it is doing, or how its last turn ended.
    pub status: AgentStatus,
    /// The beginning of its last message, or what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it spent in US dollars, where prices are known; without those below it.
    #[serde(deserialize_with = "crate::number::required")]
    pub cost: f64,
}

//! What was spent: tokens, money, time and calls of tools, and the call that tells of it; and how much of a session's
//! ceilings that is.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::SessionId;
use crate::model::Usage;
use crate::turn::{BudgetLevel, LimitKind};

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Spending {
    /// Answers of models.
    pub requests: u64,
    /// Of these, those whose price is not known.
    pub unpriced_requests: u64,
    /// Of these, those of which the provider told nothing, because they broke off before it does that, or because it
    /// never does: their tokens and cost are in no sum.
    #[serde(default, skip_serializing_if = "is_none")]
    pub untold_requests: u64,
    /// Calls of tools that were begun.
    pub tool_calls: u64,
    /// Milliseconds in which turns worked, less those in which they waited for a person.
    #[serde(default)]
    pub time_ms: u64,
    /// Tokens.
    pub usage: Usage,
    /// US dollars, of the answers whose price is known.
    #[serde(deserialize_with = "crate::number::required")]
    pub cost: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as `serde` has it")]
fn is_none(number: &u64) -> bool {
    *number == 0
}

impl AddAssign for Spending {
    fn add_assign(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.unpriced_requests = self.unpriced_requests.saturating_add(other.unpriced_requests);
        self.untold_requests = self.untold_requests.saturating_add(other.untold_requests);
        self.tool_calls = self.tool_calls.saturating_add(other.tool_calls);
        self.time_ms = self.time_ms.saturating_add(other.time_ms);
        self.usage += other.usage;
        self.cost += other.cost;
    }
}

/// What sums are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UsageGrouping {
    /// Days (UTC).
    #[default]
    Day,
    /// Sessions.
    Session,
    /// Providers and models.
    Model,
    /// Providers.
    Provider,
    /// A session with the agents below it.
    Agent,
    /// A grouping of a newer protocol.
    #[serde(untagged)]
    Unknown(String),
}

/// Parameters of `usage/read`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageReadParams {
    /// What the rows are of.
    #[serde(default)]
    pub by: UsageGrouping,
    /// Only what this session spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Only the last so many days, today included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// One sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageRow {
    /// Of what.
    pub key: UsageKey,
    /// How much.
    pub spending: Spending,
}

/// What a sum is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum UsageKey {
    /// A day (UTC).
    #[serde(rename_all = "camelCase")]
    Day {
        /// As `2026-11-25`.
        date: String,
    },
    /// A session, or one with the agents below it.
    #[serde(rename_all = "camelCase")]
    Session {
        /// Which; all zeros stands for those that were deleted together.
        session_id: SessionId,
        /// What it is called, if it is still there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// A model.
    #[serde(rename_all = "camelCase")]
    Model {
        /// The provider's id in the settings.
        provider: String,
        /// The model's name.
        model: String,
    },
    /// A provider.
    #[serde(rename_all = "camelCase")]
    Provider {
        /// Its id in the settings.
        provider: String,
    },
    /// A key of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// Result of `usage/read`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageReadResult {
    /// Days: the last one first. Others: what cost most first.
    pub rows: Vec<UsageRow>,
    /// All of it.
    pub total: Spending,
}

/// How much of a session's ceilings is spent. Volatile; a client that follows the session is told of it when it comes and
/// whenever that is another share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetUse {
    /// All ceilings that hold now, the one first of which the largest share is spent. Those of a turn only while one
    /// runs.
    pub ceilings: Vec<CeilingUse>,
}

/// How much of a ceiling is spent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CeilingUse {
    /// Whose it is.
    pub level: BudgetLevel,
    /// Of the level `provider`: which one, by its id in the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What it is on.
    pub limit: LimitKind,
    /// What is spent: tokens, US dollars, milliseconds or calls.
    #[serde(deserialize_with = "crate::number::required")]
    pub used: f64,
    /// What is allowed, in the same unit.
    #[serde(deserialize_with = "crate::number::required")]
    pub allowed: f64,
}

impl CeilingUse {
    /// The share that is spent, from 0 to 1, and beyond if more was spent than is allowed.
    #[must_use]
    pub fn share(&self) -> f64 {
        // Where nothing is allowed all of it is spent.
        if self.allowed > 0.0 { self.used / self.allowed } else { 1.0 }
    }
}

//! How much a provider says may still be asked of it.

use std::time::SystemTime;

/// One of a provider's limits, as its last answer told it.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// What is limited, in the provider's word, such as `requests` or `input-tokens`.
    pub name: String,
    /// How much there is of it.
    pub amount: Amount,
    /// When it is whole again, where the provider says so.
    pub resets_at: Option<SystemTime>,
}

/// How much there is of something limited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// So many.
    Count {
        /// What is left.
        remaining: u64,
        /// What there is in all, where the provider says so.
        limit: Option<u64>,
    },
    /// A share of 100.
    UsedPercent(f64),
}

//! Samples of `usage/*`.

use protocol::turn::{BudgetLevel, LimitKind};
use protocol::usage::{
    BudgetUse, CeilingUse, Spending, UsageGrouping, UsageKey, UsageReadParams, UsageReadResult, UsageRow,
};

use super::{Sample, sample, session_id, usage};

pub(super) fn samples() -> Vec<Sample> {
    let spending = Spending {
        requests: 3,
        unpriced_requests: 0,
        untold_requests: 1,
        tool_calls: 1,
        time_ms: 45_000,
        usage: usage(),
        cost: 0.25,
    };
    let row = |key| UsageRow { key, spending };
    let rows = vec![
        row(UsageKey::Day { date: "2026-11-25".to_owned() }),
        row(UsageKey::Session { session_id: session_id(), title: Some("Mend the test".to_owned()) }),
        row(UsageKey::Provider { provider: "openai".to_owned() }),
        row(UsageKey::Model { provider: "openai".to_owned(), model: "gpt-5.5".to_owned() }),
    ];
    vec![
        sample(
            "usage.read.params",
            &UsageReadParams { by: UsageGrouping::Session, session_id: Some(session_id()), days: Some(30) },
        ),
        sample("usage.read.result", &UsageReadResult { rows, total: spending }),
    ]
}

/// What a client that follows a session is told of its ceilings.
pub(super) fn budget_use() -> BudgetUse {
    let ceiling = |level, provider: Option<&str>, limit, used, allowed| CeilingUse {
        level,
        provider: provider.map(str::to_owned),
        limit,
        used,
        allowed,
    };
    BudgetUse {
        ceilings: vec![
            ceiling(BudgetLevel::Provider, Some("openai"), LimitKind::Cost, 4.5, 5.0),
            ceiling(BudgetLevel::Turn, None, LimitKind::Time, 45_000.0, 300_000.0),
        ],
    }
}

//! Samples of `usage/*`.

use protocol::usage::{Spending, UsageGrouping, UsageKey, UsageReadParams, UsageReadResult, UsageRow};

use super::{Sample, sample, session_id, usage};

pub(super) fn samples() -> Vec<Sample> {
    let spending = Spending {
        requests: 3,
        unpriced_requests: 0,
        untold_requests: 1,
        tool_calls: 1,
        usage: usage(),
        cost: 0.25,
    };
    let row = |key| UsageRow { key, spending };
    let rows = vec![
        row(UsageKey::Day { date: "2026-11-25".to_owned() }),
        row(UsageKey::Session { session_id: session_id(), title: Some("Mend the test".to_owned()) }),
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

//! Samples of `hook/*`.

use protocol::hook::{HookListParams, HookListResult, HookOutcome, HookRun, HookStatus};
use protocol::ids::Timestamp;

use super::{Sample, sample};

pub(super) fn samples() -> Vec<Sample> {
    let hook = |outcome| HookStatus {
        event: "PreToolUse".to_owned(),
        matcher: "Bash".to_owned(),
        command: "./check".to_owned(),
        is_own: true,
        is_async: false,
        timeout_ms: 60_000,
        runs: 2,
        failures: 1,
        total_ms: 31,
        last: Some(HookRun { at: Timestamp(1_760_000_000_000), took_ms: 12, outcome }),
    };
    let outcomes = [
        HookOutcome::Nothing,
        HookOutcome::Allowed,
        HookOutcome::Asked,
        HookOutcome::Blocked,
        HookOutcome::Ended,
        HookOutcome::Failed,
    ];
    let result = HookListResult {
        hooks: outcomes.into_iter().map(hook).collect(),
        problems: vec!["`hooks.json`: The matcher `(` is no regular expression".to_owned()],
    };
    vec![
        sample("hook.list.params", &HookListParams { cwd: "/repo".into() }),
        sample("hook.list.result", &result),
    ]
}

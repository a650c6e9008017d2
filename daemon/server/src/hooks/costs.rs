//! What each hook cost since the daemon started.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use extensions::hooks::{HookEvent, Verdict};
use protocol::hook::{HookOutcome, HookRun, HookStatus};

use super::book::{Origin, Ready};
use super::run::Ran;
use crate::daemon::now;

/// Hooks that are known; of more nothing is noted.
const MAX_HOOKS: usize = 1000;

/// What each hook cost.
#[derive(Default)]
pub(super) struct Costs(Mutex<HashMap<Key, Cost>>);

/// Which hook.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    event: HookEvent,
    matcher: String,
    command: String,
    /// The folder; absent for the user's own.
    root: Option<PathBuf>,
}

#[derive(Clone, Default)]
struct Cost {
    runs: u64,
    failures: u64,
    total_ms: u64,
    last: Option<HookRun>,
}

impl Costs {
    /// Notes a run.
    pub(super) fn note(&self, ready: &Ready, ran: &Ran) {
        let took_ms = u64::try_from(ran.took.as_millis()).unwrap_or(u64::MAX);
        let is_failed = ran.answer.failure.is_some();
        let outcome = match &ran.answer.verdict {
            _ if is_failed => HookOutcome::Failed,
            Verdict::None => HookOutcome::Nothing,
            Verdict::Allow => HookOutcome::Allowed,
            Verdict::Ask(_) => HookOutcome::Asked,
            Verdict::Block(_) => HookOutcome::Blocked,
            Verdict::End(_) => HookOutcome::Ended,
        };
        // A poisoned table is whole: what is lost is a count.
        let mut costs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Key::of(ready);
        if costs.len() >= MAX_HOOKS && !costs.contains_key(&key) {
            return;
        }
        let cost = costs.entry(key).or_default();
        cost.runs += 1;
        cost.failures += u64::from(is_failed);
        cost.total_ms = cost.total_ms.saturating_add(took_ms);
        cost.last = Some(HookRun { at: now(), took_ms, outcome });
    }

    /// A hook with what it cost.
    pub(super) fn status(&self, ready: &Ready) -> HookStatus {
        let key = Key::of(ready);
        let costs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Cost { runs, failures, total_ms, last } = costs.get(&key).cloned().unwrap_or_default();
        HookStatus {
            event: key.event.as_str().to_owned(),
            matcher: key.matcher,
            command: key.command,
            is_own: key.root.is_none(),
            is_async: ready.hook.is_async,
            timeout_ms: u64::try_from(ready.hook.timeout.as_millis()).unwrap_or(u64::MAX),
            runs,
            failures,
            total_ms,
            last,
        }
    }
}

impl Key {
    fn of(ready: &Ready) -> Self {
        let root = match &ready.origin {
            Origin::User => None,
            Origin::Folder { parts, .. } => Some(parts.root.clone()),
        };
        let (event, command) = (ready.hook.event, ready.hook.command.clone());
        Self { event, matcher: ready.hook.matcher.text().to_owned(), command, root }
    }
}

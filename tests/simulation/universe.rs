//! What outlives the daemon: the time, what was done to the outside, what people allowed for good; and what is found
//! to be wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use session::moment::Rules;

use crate::clock::Clock;
use crate::dice::Dice;
use crate::fuse::Fuse;
use crate::trace::{Trace, Tracing};

/// More than these tell nothing new.
const MAX_VIOLATIONS: usize = 10;

/// One run's.
pub(crate) struct Universe {
    pub(crate) dice: Dice,
    pub(crate) clock: Clock,
    pub(crate) fuse: Fuse,
    pub(crate) trace: Trace,
    /// What was allowed for good.
    pub(crate) rules: Mutex<Rules>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    violations: Vec<String>,
    /// How often each call did what it does.
    effects: BTreeMap<String, u32>,
    /// Calls that run, and answers that are listened to.
    going_on: BTreeMap<&'static str, u32>,
    /// How often what happened.
    counts: BTreeMap<&'static str, u64>,
}

impl Universe {
    /// Of a seed.
    pub(crate) fn new(seed: u64, tracing: Tracing) -> Arc<Self> {
        Arc::new(Self {
            dice: Dice::of(seed),
            clock: Clock::default(),
            fuse: Fuse::default(),
            trace: Trace::new(tracing),
            rules: Mutex::default(),
            inner: Mutex::default(),
        })
    }

    /// Notes what happened.
    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        self.trace.line(self.clock.elapsed_ms(), text);
    }

    /// Notes what must not happen.
    pub(crate) fn violation(&self, text: &str) {
        self.note(|| format!("VIOLATION {text}"));
        let mut inner = self.inner();
        if inner.violations.len() < MAX_VIOLATIONS {
            inner.violations.push(text.to_owned());
        }
    }

    /// Counts something, so that a test can tell whether it ever happens.
    pub(crate) fn count(&self, what: &'static str) {
        *self.inner().counts.entry(what).or_default() += 1;
    }

    /// A call does what it does to the outside.
    pub(crate) fn effect(&self, call_id: &str) {
        let times = {
            let mut inner = self.inner();
            let times = inner.effects.entry(call_id.to_owned()).or_default();
            *times += 1;
            *times
        };
        self.count("effects");
        self.note(|| format!("tool     {call_id} has its effect"));
        if times > 1 {
            self.violation(&format!("call `{call_id}` was carried out {times} times"));
        }
    }

    /// Whether a call did anything.
    pub(crate) fn had_effect(&self, call_id: &str) -> bool {
        self.inner().effects.contains_key(call_id)
    }

    /// Something begins of which only one may go on at a time.
    pub(crate) fn alone(self: &Arc<Self>, what: &'static str) -> Alone {
        let number = {
            let mut inner = self.inner();
            let number = inner.going_on.entry(what).or_default();
            *number += 1;
            *number
        };
        if number > 1 {
            self.violation(&format!("{number} go on at once: {what}"));
        }
        Alone { universe: Arc::clone(self), what }
    }

    /// What was found and counted.
    pub(crate) fn findings(&self) -> (Vec<String>, BTreeMap<&'static str, u64>) {
        let inner = self.inner();
        (inner.violations.clone(), inner.counts.clone())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

/// Goes on until it is dropped.
pub(crate) struct Alone {
    universe: Arc<Universe>,
    what: &'static str,
}

impl Drop for Alone {
    fn drop(&mut self) {
        *self.universe.inner().going_on.entry(self.what).or_default() -= 1;
    }
}

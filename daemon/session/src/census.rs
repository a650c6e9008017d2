//! How many sessions are loaded, run or are watched: what the daemon's idle exit and `daemon/status` need.

use tokio::sync::watch;

/// What all loaded sessions add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions in memory.
    pub loaded: u32,
    /// Turns that run or wait for an answer.
    pub running: u32,
    /// Attached clients.
    pub attached: u32,
}

/// Adds up the shares of all sessions.
#[derive(Debug)]
pub(crate) struct Census(watch::Sender<Counts>);

impl Census {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Counts::default()))
    }

    /// As they are now.
    pub(crate) fn counts(&self) -> Counts {
        *self.0.borrow()
    }

    /// As they change.
    pub(crate) fn watch(&self) -> watch::Receiver<Counts> {
        self.0.subscribe()
    }

    /// Replaces a session's share.
    pub(crate) fn change(&self, before: Counts, after: Counts) {
        if before == after {
            return;
        }
        self.0.send_modify(|all| {
            all.loaded = all.loaded + after.loaded - before.loaded;
            all.running = all.running + after.running - before.running;
            all.attached = all.attached + after.attached - before.attached;
        });
    }
}

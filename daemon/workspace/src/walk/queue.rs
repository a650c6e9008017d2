//! Work that several threads share, until all of it is done or somebody says that it is enough.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Jobs that wait; the newest goes first, so that few wait.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

struct State<J> {
    jobs: Vec<J>,
    /// Threads that work on one, and may add more.
    busy: usize,
    is_closed: bool,
}

impl<J> Queue<J> {
    pub(crate) fn new(first: J) -> Self {
        let state = State { jobs: vec![first], busy: 0, is_closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Adds jobs.
    pub(crate) fn push(&self, jobs: impl IntoIterator<Item = J>) {
        self.state().jobs.extend(jobs);
        self.changed.notify_all();
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.state().jobs.len()
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// No more is to be done.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_all();
    }

    /// Does one job after the other, until none is left anywhere.
    pub(crate) fn work(&self, mut work: impl FnMut(J)) {
        let mut state = self.state();
        loop {
            if state.is_closed {
                return;
            }
            if let Some(job) = state.jobs.pop() {
                state.busy += 1;
                drop(state);
                work(job);
                state = self.state();
                state.busy -= 1;
            } else if state.busy == 0 {
                self.changed.notify_all();
                return;
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<J>> {
        // A poisoned state is whole: each change is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

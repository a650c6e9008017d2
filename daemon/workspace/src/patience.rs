//! How long somebody waits for a search. Knows nothing of what is searched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How long somebody waits: until a moment, or until they go.
#[derive(Clone, Debug)]
pub struct Patience {
    until: Instant,
    is_gone: Arc<AtomicBool>,
}

/// Somebody who waits. Dropping it says that they are gone.
#[derive(Debug)]
pub struct Waiting(Arc<AtomicBool>);

impl Patience {
    /// Somebody waits until this moment.
    #[must_use]
    pub fn until(until: Instant) -> (Self, Waiting) {
        let is_gone = Arc::new(AtomicBool::new(false));
        (Self { until, is_gone: Arc::clone(&is_gone) }, Waiting(is_gone))
    }

    /// Whether nobody waits any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed) || Instant::now() >= self.until
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

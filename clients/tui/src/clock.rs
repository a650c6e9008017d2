//! The time, as screens count it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::ids::Timestamp;
use tokio::time::Instant;

/// Milliseconds since 1970 that never go back.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    begun: Instant,
    begun_at: u64,
}

impl Clock {
    /// Starts now.
    pub(crate) fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { begun: Instant::now(), begun_at: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX) }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp(self.begun_at.saturating_add(elapsed))
    }

    /// When a time will have come.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        // A little later rather than a little earlier, when it would not be time yet.
        self.begun + Duration::from_millis(at.0.saturating_sub(self.begun_at) + 1)
    }
}

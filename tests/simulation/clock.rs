//! The time of a run, over all lives of its daemon. All pauses are virtual: the clock jumps to the next one when
//! nothing else is left to do.

use std::sync::Mutex;
use std::time::Duration;

use protocol::ids::Timestamp;
use tokio::time::Instant;

/// When every run begins.
const BEGINNING_MS: u64 = 1_700_000_000_000;

/// The time of a run.
#[derive(Default)]
pub(crate) struct Clock(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// What earlier lives took.
    before: Duration,
    /// When this life began.
    life: Option<Instant>,
}

impl Clock {
    /// A life begins. Inside its runtime.
    pub(crate) fn begin_life(&self) {
        self.0.lock().unwrap().life = Some(Instant::now());
    }

    /// A life ends, and the next one begins after a while. Inside its runtime.
    pub(crate) fn end_life(&self, gap: Duration) {
        let mut inner = self.0.lock().unwrap();
        let lived = inner.life.take().map_or(Duration::ZERO, |begun| begun.elapsed());
        inner.before += lived + gap;
    }

    /// Milliseconds since the run began.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        let inner = self.0.lock().unwrap();
        let elapsed = inner.before + inner.life.map_or(Duration::ZERO, |begun| begun.elapsed());
        u64::try_from(elapsed.as_millis()).unwrap()
    }

    /// Milliseconds since this life began.
    pub(crate) fn life_ms(&self) -> u64 {
        let lived = self.0.lock().unwrap().life.map_or(Duration::ZERO, |begun| begun.elapsed());
        u64::try_from(lived.as_millis()).unwrap()
    }

    /// The time as the daemon sees it.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(BEGINNING_MS + self.elapsed_ms())
    }
}

/// Lets virtual time go by; lets the others go first if there is none.
pub(crate) async fn pause(ms: u64) {
    if ms == 0 {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

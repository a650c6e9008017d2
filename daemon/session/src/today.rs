//! What all sessions together spent on this day, as decisions need it: at hand, without a look into the store.

use std::sync::{Mutex, PoisonError};

use protocol::ids::Timestamp;
use protocol::usage::Spending;
use store::{StoreError, day_of};

use crate::log::Log;

/// The day and what was spent on it; nothing before it was read.
#[derive(Debug, Default)]
pub(crate) struct Today(Mutex<Option<(u64, Spending)>>);

impl Today {
    /// Reads what was spent before this daemon. Comes before anything is added; more than once is no harm.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn load(&self, log: &dyn Log, now: Timestamp) -> Result<(), StoreError> {
        if self.with(|known| known.is_some()) {
            return Ok(());
        }
        let day = day_of(now);
        let spent = log.spent_on(day).await?;
        self.with(|known| *known.get_or_insert((day, spent)));
        Ok(())
    }

    /// As of now.
    pub(crate) fn spent(&self, now: Timestamp) -> Spending {
        self.with(|known| {
            known.filter(|(day, _)| *day == day_of(now)).map_or_else(Spending::default, |known| known.1)
        })
    }

    /// Adds something.
    pub(crate) fn add(&self, at: Timestamp, spending: Spending) {
        let day = day_of(at);
        self.with(|known| {
            let known = known.get_or_insert((day, Spending::default()));
            if known.0 < day {
                *known = (day, Spending::default());
            }
            known.1 += spending;
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut Option<(u64, Spending)>) -> T) -> T {
        // Each change is done at once, so a poisoned one is whole.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

//! What all sessions together spent on this day, as decisions need it: at hand, without a look into the store. Also which
//! of them work right now, since the time that they do is told only later.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use protocol::ids::{SessionId, Timestamp};
use protocol::usage::Spending;
use store::{StoreError, day_of};

use crate::log::Log;

/// Nothing of a day before it was read.
#[derive(Debug, Default)]
pub(crate) struct Today(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    day: Option<Day>,
    working: HashMap<SessionId, (String, Timestamp)>,
}

/// A day, and what was spent on it, by provider.
#[derive(Debug)]
struct Day {
    day: u64,
    spent: BTreeMap<String, Spending>,
}

/// What a session knows of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    /// What all spent, itself included; the time too that the others work right now.
    pub(crate) all: Spending,
    /// Of that, what the session's provider was asked for.
    pub(crate) by_provider: Spending,
    /// How many of the others work right now.
    pub(crate) working: u32,
}

impl Today {
    /// Reads what was spent before this daemon. Comes before anything is added; more than once is no harm.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn load(&self, log: &dyn Log, now: Timestamp) -> Result<(), StoreError> {
        if self.with(|known| known.day.is_some()) {
            return Ok(());
        }
        let day = day_of(now);
        let spent = log.spent_on(day).await?.into_iter().collect();
        self.with(|known| {
            known.day.get_or_insert(Day { day, spent });
        });
        Ok(())
    }

    /// As of now, for a session and its provider.
    pub(crate) fn spent(&self, now: Timestamp, session: SessionId, provider: &str) -> Spent {
        self.with(|known| {
            let mut spent = Spent::default();
            let mut add = |asked: &str, spending: Spending| {
                spent.all += spending;
                if asked == provider {
                    spent.by_provider += spending;
                }
            };
            for day in known.day.iter().filter(|known| known.day == day_of(now)) {
                day.spent.iter().for_each(|(asked, spending)| add(asked, *spending));
            }
            let others = known.working.iter().filter(|(other, _)| **other != session);
            let mut working = 0;
            for (_, (asked, since)) in others {
                add(asked, Spending { time_ms: now.since(*since), ..Spending::default() });
                working += 1;
            }
            Spent { working, ..spent }
        })
    }

    /// Adds something that a session spent, and notes since when it works.
    pub(crate) fn add(
        &self,
        at: Timestamp,
        session: SessionId,
        provider: &str,
        (spending, working): (Spending, Option<Timestamp>),
    ) {
        let day = day_of(at);
        self.with(|known| {
            match working {
                Some(since) => {
                    known.working.insert(session, (provider.to_owned(), since));
                }
                None => {
                    known.working.remove(&session);
                }
            }
            if spending == Spending::default() {
                return;
            }
            let known = known.day.get_or_insert_with(|| Day { day, spent: BTreeMap::new() });
            if known.day < day {
                *known = Day { day, spent: BTreeMap::new() };
            }
            *known.spent.entry(provider.to_owned()).or_default() += spending;
        });
    }

    /// Notes that a session is not in memory any more.
    pub(crate) fn leave(&self, session: SessionId) {
        self.with(|known| known.working.remove(&session));
    }

    fn with<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        // Each change is done at once, so a poisoned one is whole.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

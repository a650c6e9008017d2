//! Chance. All of a run's comes from its seed.

use std::ops::RangeInclusive;
use std::sync::Mutex;

use fastrand::Rng;
use uuid::Uuid;

/// A source of chance. Each participant has its own.
pub(crate) struct Dice(Mutex<Rng>);

impl Dice {
    /// Of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        Self(Mutex::new(Rng::with_seed(seed)))
    }

    /// For another participant.
    pub(crate) fn fork(&self) -> Self {
        Self(Mutex::new(self.0.lock().unwrap().fork()))
    }

    /// Whether something happens that happens so often in a hundred.
    pub(crate) fn percent(&self, percent: u64) -> bool {
        self.between(1..=100) <= percent
    }

    /// A number.
    pub(crate) fn between(&self, range: RangeInclusive<u64>) -> u64 {
        self.0.lock().unwrap().u64(range)
    }

    /// One of them.
    pub(crate) fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        let last = u64::try_from(from.len()).unwrap().checked_sub(1)?;
        from.get(usize::try_from(self.between(0..=last)).unwrap())
    }

    /// An identity.
    pub(crate) fn uuid(&self) -> Uuid {
        Uuid::from_u128(self.0.lock().unwrap().u128(..))
    }
}

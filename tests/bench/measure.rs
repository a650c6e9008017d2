//! One run of a program, and what many runs come to. Knows clocks, nothing of what is measured.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use skein_tests::environment::process::{Invocation, Output};
use skein_tests::error::HarnessError;

/// What went wrong with a measurement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// In the harness.
    #[error(transparent)]
    Harness(#[from] HarnessError),
    /// A program that must succeed did not.
    #[error("`{what}` ended with {code:?}: {stderr}")]
    Program {
        /// Which.
        what: String,
        /// How.
        code: Option<i32>,
        /// What it said.
        stderr: String,
    },
    /// Something else did not go as it must.
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// From any error.
    pub(crate) fn of(error: impl std::fmt::Display) -> Self {
        Self::Other(error.to_string())
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    /// Enough for figures that are to be believed.
    Full,
    /// Enough to see that it works.
    Quick,
}

impl Runs {
    /// One number or the other.
    pub(crate) fn pick<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }
}

/// What a run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// From start to end.
    pub(crate) wall: Duration,
    /// Of the program and of those it waited for.
    pub(crate) cpu: Duration,
}

/// Runs a program that must succeed. Only one may be measured at a time.
pub(crate) fn cost(invocation: Invocation, what: &str) -> Result<(Cost, Output), Failure> {
    let before = children()?;
    let output = invocation.run()?;
    let cpu = children()?.saturating_sub(before);
    if output.code() == Some(0) {
        return Ok((Cost { wall: output.duration, cpu }, output));
    }
    Err(Failure::Program { what: what.to_owned(), code: output.code(), stderr: output.stderr })
}

/// Processor time of all children that have ended.
pub(crate) fn children() -> Result<Duration, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(Failure::of)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros.unsigned_abs()))
}

/// The middle one; zero of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        length if length % 2 == 1 => values[length / 2],
        length => f64::midpoint(values[length / 2 - 1], values[length / 2]),
    }
}

/// The value that so many of a hundred are not above; zero of none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place in a list that is far shorter than 2^52"
)]
pub(crate) fn percentile(values: &[f64], of_hundred: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * of_hundred / 100.0).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

/// The median of durations, in milliseconds.
pub(crate) fn median_ms(durations: impl IntoIterator<Item = Duration>) -> f64 {
    median(durations.into_iter().map(|duration| duration.as_secs_f64() * 1e3).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 100.0]), 3.0);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!((percentile(&values, 50.0), percentile(&values, 99.0)), (100.0, 198.0));
        assert_eq!((percentile(&values, 100.0), percentile(&[], 50.0)), (200.0, 0.0));
    }
}

//! Whether and when a failed request is made again. Knows headers, nothing of any wire API.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The pause before the first retry; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause that we choose.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The longest pause that a provider may ask for. Who must wait longer should hear of it now.
pub(crate) const LONGEST_ASKED_PAUSE: Duration = Duration::from_secs(120);

/// What may be done after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Nothing; the same request would fail again.
    Never,
    /// Try again after a pause of our choice.
    Soon,
    /// Try again after the pause that the provider asked for.
    After(Duration),
}

/// How many retries there may be and how many there were.
#[derive(Debug)]
pub(crate) struct Budget {
    /// How many there were.
    pub(crate) used: u32,
    /// How many there may be.
    pub(crate) max: u32,
}

impl Budget {
    pub(crate) fn new(max: u32) -> Self {
        Self { used: 0, max }
    }

    /// Takes one retry: the pause before it, or `None` if there is to be none.
    pub(crate) fn take(&mut self, again: Again) -> Option<Duration> {
        if self.used >= self.max {
            return None;
        }
        let pause = match again {
            Again::Never => return None,
            Again::After(pause) if pause > LONGEST_ASKED_PAUSE => return None,
            Again::After(pause) if !pause.is_zero() => pause,
            Again::After(_) | Again::Soon => pause(self.used, fastrand::f64()),
        };
        self.used += 1;
        Some(pause)
    }
}

/// The pause after so many retries. `random` is in 0..1 and shortens it by up to a quarter, so that clients that
/// failed together do not come back together.
fn pause(retries: u32, random: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(retries));
    doubled.min(LONGEST_PAUSE).mul_f64(1.0 - random / 4.0)
}

/// What the headers of a failed answer allow; `usual` is what its status alone would allow. `retry-after` is
/// seconds or a date (RFC 9110, 10.2.3); `retry-after-ms` and `x-should-retry` are OpenAI's.
pub(crate) fn allowed(headers: &HeaderMap, now: SystemTime, usual: Again) -> Again {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if usual == Again::Never || text("x-should-retry") == Some("false") {
        return Again::Never;
    }
    let milliseconds = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()).map(|ms| ms / 1000.0);
    let asked = milliseconds.and_then(seconds).or_else(|| retry_after(text(RETRY_AFTER.as_str())?, now));
    asked.map_or(usual, Again::After)
}

fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(number) = text.parse() {
        return seconds(number);
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// So many seconds; `None` if that is no time to wait. What is too long for a `Duration` is its longest.
fn seconds(number: f64) -> Option<Duration> {
    (number >= 0.0).then(|| Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        all.iter().map(pair).collect()
    }

    #[test]
    fn the_pause_doubles_up_to_its_bound_and_is_never_lengthened() {
        let milliseconds = |retries, random| pause(retries, random).as_millis();
        assert_eq!(
            [0, 1, 2, 7, 8, 99].map(|n| milliseconds(n, 0.0)),
            [200, 400, 800, 25_600, 30_000, 30_000]
        );
        assert_eq!(milliseconds(0, 1.0), 150);
    }

    #[test]
    fn a_budget_ends() {
        let mut budget = Budget::new(2);
        assert!(budget.take(Again::Soon).is_some());
        assert_eq!(budget.take(Again::Never), None);
        assert_eq!(budget.take(Again::After(Duration::from_secs(121))), None);
        assert_eq!(budget.take(Again::After(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(budget.take(Again::Soon), None);
    }

    #[test]
    fn a_pause_of_nothing_is_one_of_our_choice() {
        let taken = Budget::new(1).take(Again::After(Duration::ZERO)).unwrap();
        assert!(taken >= Duration::from_millis(150), "{taken:?}");
    }

    #[test]
    fn every_form_of_retry_after_is_understood() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let ask = |all: &[_]| allowed(&headers(all), now, Again::Soon);
        let after = |ms| Again::After(Duration::from_millis(ms));
        assert_eq!(ask(&[]), Again::Soon);
        assert_eq!(ask(&[("retry-after", "3")]), after(3000));
        assert_eq!(ask(&[("retry-after", " 1.5 ")]), after(1500));
        assert_eq!(ask(&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")]), after(10_000));
        assert_eq!(ask(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), after(0));
        assert_eq!(ask(&[("retry-after", "9"), ("retry-after-ms", "20")]), after(20));
        assert_eq!(ask(&[("retry-after", "1e300")]), Again::After(Duration::MAX));
        for nonsense in ["-1", "NaN", "soon", ""] {
            assert_eq!(ask(&[("retry-after", nonsense)]), Again::Soon, "{nonsense}");
        }
    }

    #[test]
    fn the_provider_can_forbid_a_retry_but_not_ask_for_one() {
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(allowed(&headers(&[("x-should-retry", "false")]), now, Again::Soon), Again::Never);
        assert_eq!(allowed(&headers(&[("x-should-retry", "true")]), now, Again::Never), Again::Never);
        assert_eq!(allowed(&headers(&[("retry-after", "1")]), now, Again::Never), Again::Never);
    }
}

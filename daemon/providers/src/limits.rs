//! What the headers of an answer tell of limits. Knows the providers' headers, nothing of requests.

use std::time::{Duration, SystemTime};

use model::limits::{Amount, RateLimit};
use reqwest::header::HeaderMap;

/// The most limits that are kept of one answer.
const MOST: usize = 16;

/// The limits that headers tell of: OpenAI's `x-ratelimit-remaining-requests` and its like, which many servers have
/// (API reference, "Rate limits in headers"), Anthropic's `anthropic-ratelimit-requests-remaining` ("Rate limits",
/// response headers), and `x-codex-primary-used-percent` of signed-in accounts.
pub(crate) fn told(headers: &HeaderMap, now: SystemTime) -> Vec<RateLimit> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<u64>().ok();
    let limit = |name: &str| {
        if let Some(name) = name.strip_prefix("x-ratelimit-remaining-") {
            let remaining = number(&format!("x-ratelimit-remaining-{name}"))?;
            let limit = number(&format!("x-ratelimit-limit-{name}"));
            let resets_at = text(&format!("x-ratelimit-reset-{name}")).and_then(|text| moment(text, now));
            let amount = Amount::Count { remaining, limit };
            return Some(RateLimit { name: name.to_owned(), amount, resets_at });
        }
        if let Some(name) =
            name.strip_prefix("anthropic-ratelimit-").and_then(|rest| rest.strip_suffix("-remaining"))
        {
            let field = |field: &str| format!("anthropic-ratelimit-{name}-{field}");
            let amount =
                Amount::Count { remaining: number(&field("remaining"))?, limit: number(&field("limit")) };
            let resets_at = text(&field("reset")).and_then(|text| moment(text, now));
            return Some(RateLimit { name: name.to_owned(), amount, resets_at });
        }
        let name = name.strip_prefix("x-codex-")?.strip_suffix("-used-percent")?;
        let percent: f64 = text(&format!("x-codex-{name}-used-percent"))?.parse().ok()?;
        let reset = number(&format!("x-codex-{name}-reset-after-seconds"));
        let resets_at = reset.and_then(|seconds| now.checked_add(Duration::from_secs(seconds)));
        let amount = Amount::UsedPercent(percent);
        Some(RateLimit { name: name.to_owned(), amount, resets_at })
    };
    headers.keys().filter_map(|name| limit(name.as_str())).take(MOST).collect()
}

/// When all of what is used up is there again; `None` if nothing is, or nothing says when.
pub(crate) fn all_reset(limits: &[RateLimit]) -> Option<SystemTime> {
    let is_used_up = |limit: &&RateLimit| match limit.amount {
        Amount::Count { remaining, .. } => remaining == 0,
        Amount::UsedPercent(percent) => percent >= 100.0,
    };
    limits.iter().filter(is_used_up).filter_map(|limit| limit.resets_at).max()
}

/// A moment as headers tell it: a duration such as `6m0s` or `20ms`, seconds, or a date (RFC 3339).
fn moment(text: &str, now: SystemTime) -> Option<SystemTime> {
    if let Ok(seconds) = text.parse::<f64>() {
        return now.checked_add(Duration::try_from_secs_f64(seconds).ok()?);
    }
    match duration(text) {
        Some(duration) => now.checked_add(duration),
        None => date(text),
    }
}

fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        let factor = match &rest[..unit] {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        seconds += number * factor;
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// `2026-11-25T13:00:00Z`, to the second and in UTC, as Anthropic sends it.
fn date(text: &str) -> Option<SystemTime> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut day = day.splitn(3, '-').map(|word| word.parse::<u64>().ok());
    let (year, month, day) = (day.next()??, day.next()??, day.next()??);
    let mut time = time.split(['.', ':']).map(|word| word.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !(is_date && hour < 24 && minute < 60 && second <= 60) {
        return None;
    }
    // Years that begin with March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    // Days from the first of March of the year 0 to 1970-01-01.
    let since_epoch = days.checked_sub(719_468)?;
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(since_epoch * 86_400 + hour * 3600 + minute * 60 + second))
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

    fn now() -> SystemTime {
        httpdate::parse_http_date("Wed, 25 Nov 2026 13:00:00 GMT").unwrap()
    }

    #[test]
    fn each_providers_headers_are_understood() {
        let told = told(
            &headers(&[
                ("x-ratelimit-limit-requests", "60"),
                ("x-ratelimit-remaining-requests", "59"),
                ("x-ratelimit-reset-requests", "6m0.5s"),
                ("anthropic-ratelimit-input-tokens-remaining", "0"),
                ("anthropic-ratelimit-input-tokens-reset", "2026-11-25T13:00:09Z"),
                ("x-codex-primary-used-percent", "41.5"),
                ("x-ratelimit-remaining-nonsense", "many"),
            ]),
            now(),
        );
        let limit = |name: &str| told.iter().find(|limit| limit.name == name).unwrap().clone();
        let after = |ms| Some(now() + Duration::from_millis(ms));
        let requests = limit("requests");
        assert_eq!(requests.amount, Amount::Count { remaining: 59, limit: Some(60) });
        assert_eq!(requests.resets_at, after(360_500));
        let tokens = limit("input-tokens");
        assert_eq!(
            (tokens.amount, tokens.resets_at),
            (Amount::Count { remaining: 0, limit: None }, after(9000))
        );
        assert_eq!(limit("primary").amount, Amount::UsedPercent(41.5));
        assert_eq!(told.len(), 3);
        assert_eq!(all_reset(&told), after(9000));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("2000-02-29T23:59:59Z", "Tue, 29 Feb 2000 23:59:59 GMT"),
            ("2026-12-31T01:02:03.999Z", "Thu, 31 Dec 2026 01:02:03 GMT"),
        ] {
            assert_eq!(date(text), Some(httpdate::parse_http_date(wanted).unwrap()), "{text}");
        }
        for nonsense in [
            "",
            "Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T00:00:00",
            "9999999-01-01T00:00:00Z",
            "x-y-zT1:2:3Z",
        ] {
            assert_eq!(date(nonsense), None, "{nonsense}");
        }
        for nonsense in ["", "1x", "m", "-1", "1e400", "NaN"] {
            assert!(moment(nonsense, now()).is_none_or(|at| at == now()), "{nonsense}");
        }
    }
}

//! Spans of time as a person types them. How they are shown stands in `view::words`.

use std::time::Duration;

/// Reads `90s`, `15m`, `1h30m`, `500ms`, `2d`; a bare number is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span of time; write it as in `90s`, `15m`, `1h30m`");
    if let Ok(seconds) = text.parse::<f64>() {
        return positive(Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?, text);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => 0.001,
            "s" | "sec" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    positive(total, text)
}

fn positive(span: Duration, text: &str) -> Result<Duration, String> {
    if span.as_millis() == 0 { Err(format!("`{text}` is no time at all")) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        for (text, ms) in [
            ("90", 90_000),
            ("0.5", 500),
            ("500ms", 500),
            ("90s", 90_000),
            ("15m", 900_000),
            ("15min", 900_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in
            ["", "0", "0s", "-1", "x", "5 m", "5y", "m5", "1h30", "inf", "1e400", "9999999999999999999d"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

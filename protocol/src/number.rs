//! Reading numbers with a fraction. Another crate of the same executable may switch on `arbitrary_precision` of
//! `serde_json` (starlark does), and then a plain `f64` inside a tagged enum can't be read; a `serde_json::Number` can
//! be, either way.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

pub(crate) fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    finite::<D>(&Number::deserialize(deserializer)?)
}

pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Option::<Number>::deserialize(deserializer)?.map(|number| finite::<D>(&number)).transpose()
}

fn finite<'de, D: Deserializer<'de>>(number: &Number) -> Result<f64, D::Error> {
    number
        .as_f64()
        .filter(|number| number.is_finite())
        .ok_or_else(|| D::Error::custom("a number out of range"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::event::Event;
    use crate::turn::TurnLimits;

    #[test]
    fn fractions_are_read_inside_tagged_enums() {
        let text = json!({"type": "turnStarted", "turnId": "01a21334-510b-7a2a-b351-93ac37598fff",
            "actor": {"clientId": "01a21334-510b-7a2a-b351-93ac37598fff", "name": "a"}, "limits": {"maxCost": 1.5}});
        let event: Event = serde_json::from_str(&text.to_string()).unwrap();
        let Event::TurnStarted(started) = event else { panic!("{event:?}") };
        assert_eq!(started.limits, TurnLimits { max_cost: Some(1.5), ..TurnLimits::default() });
        for number in ["1", "-0.25", "1e3"] {
            let limits: TurnLimits = serde_json::from_str(&format!("{{\"maxCost\":{number}}}")).unwrap();
            assert_eq!(limits.max_cost, Some(number.parse().unwrap()));
        }
    }
}

//! The hooks of `config.toml`, as they stand in `hooks.json` too. What they mean is not known here.

use serde_json::{Map, Number, Value as Json};
use toml::de::DeValue;

use crate::value::Value;

/// The value as JSON.
pub(crate) fn read(value: &Value<'_>) -> Option<Json> {
    if value.table().is_none() {
        return value.refuse("a table", None);
    }
    Some(json(value.node()))
}

fn json(node: &DeValue<'_>) -> Json {
    match node {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Json::Null, Json::from)
        }
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            number.map_or(Json::Null, Json::Number)
        }
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Datetime(time) => Json::String(time.to_string()),
        DeValue::Array(values) => Json::Array(values.iter().map(|value| json(value.get_ref())).collect()),
        DeValue::Table(table) => {
            let entries = table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())));
            Json::Object(entries.collect::<Map<_, _>>())
        }
    }
}

//! The arguments of tools that take a JSON object: their schema and how they are read, both from one type.

use protocol::tool::{CallInput, ToolCall, ToolInput};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::tool::CallError;

/// Bytes of a reason that are told.
const MAX_REASON: usize = 500;

/// The schema of a type, without what costs tokens and tells the model nothing.
pub(crate) fn input<T: JsonSchema>() -> ToolInput {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    // What the type itself is for stands in the tool's description.
    if let Value::Object(map) = &mut schema {
        map.remove("description");
    }
    ToolInput::Json { schema }
}

/// Reads the arguments of a call.
///
/// # Errors
/// What is wrong with them, for the model to mend.
pub(crate) fn read<T: DeserializeOwned>(call: &ToolCall) -> Result<T, CallError> {
    let bad = |reason: String| CallError::BadArguments { tool: call.name.clone(), reason };
    let CallInput::Json(text) = &call.input else {
        return Err(bad("A JSON object is expected".to_owned()));
    };
    // Some models send nothing where nothing is needed.
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| bad(short(error.to_string())))
}

/// The beginning of a reason: it may repeat what the model wrote, however long.
fn short(reason: String) -> String {
    let end = reason.floor_char_boundary(MAX_REASON);
    if end == reason.len() { reason } else { format!("{}…", &reason[..end]) }
}

fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            // What a call may not hold is told when it does: by name, with what it may.
            for useless in
                ["$schema", "title", "format", "minimum", "maximum", "default", "additionalProperties"]
            {
                // A property may have such a name; what it holds is an object then.
                if map.get(useless).is_some_and(|value| !value.is_object()) {
                    map.remove(useless);
                }
            }
            // What is not required may be left out; `null` need not be spelled for that.
            if let Some(Value::Array(kinds)) = map.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [kind] = kinds.as_slice() {
                    let kind = kind.clone();
                    map.insert("type".to_owned(), kind);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("enum") {
                choices.retain(|choice| !choice.is_null());
            }
            if let Some(Value::Array(choices)) = map.get("anyOf") {
                let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
                let others: Vec<_> = choices.iter().filter(|choice| !is_null(choice)).cloned().collect();
                if let [Value::Object(only)] = others.as_slice() {
                    map.remove("anyOf");
                    let own = std::mem::replace(map, only.clone());
                    map.extend(own);
                }
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(values) => values.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// Not shown.
    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by nobody")]
    struct Arguments {
        /// Where
        path: String,
        #[serde(default)]
        limit: Option<u32>,
        #[serde(default)]
        mode: Option<Mode>,
        /// Such as a title
        #[serde(default)]
        title: bool,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        One,
        Two,
    }

    #[test]
    fn a_schema_says_no_more_than_it_must() {
        let ToolInput::Json { schema } = input::<Arguments>() else { panic!("no schema") };
        assert_eq!(
            schema,
            serde_json::json!({
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "Where"},
                    "limit": {"type": "integer"},
                    "mode": {"type": "string", "enum": ["one", "two"]},
                    "title": {"type": "boolean", "description": "Such as a title"}
                },
                "required": ["path"]
            })
        );
    }

    #[test]
    fn what_is_wrong_with_arguments_can_be_mended() {
        let error = |text: &str| {
            let input = CallInput::Json(text.to_owned());
            let call = ToolCall { call_id: "1".into(), name: "t".into(), input };
            read::<Arguments>(&call).expect_err("bad").to_string()
        };
        for (text, expected) in [
            ("", "missing field `path`"),
            ("{\"path\": 1}", "expected a string"),
            ("{\"path\": \"a\", \"lines\": 3}", "unknown field `lines`, expected one of `path`, `limit`"),
            ("{\"path\": \"a\", \"mode\": \"three\"}", "unknown variant `three`, expected `one` or `two`"),
            ("{\"path\": \"a\", \"limit\": -1}", "expected u32"),
            ("{\"path\": \"a\"", "EOF while parsing"),
        ] {
            let error = error(text);
            assert!(
                error.starts_with("The arguments of `t` can't be read") && error.contains(expected),
                "{error}"
            );
        }
    }
}

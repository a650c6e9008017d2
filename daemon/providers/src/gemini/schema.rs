//! A JSON Schema reduced to the keywords that Gemini takes (Gemini API, `GenerationConfig.responseJsonSchema`). What
//! only narrows a value is dropped, since whoever takes the value checks it. What says which values there are is
//! rewritten, or else the schema is refused.

use serde_json::{Map, Value};

/// Kept as they are.
const KEPT: [&str; 18] = [
    "$anchor",
    "$id",
    "$ref",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "prefixItems",
    "anyOf",
    "oneOf",
    "required",
    "title",
    "type",
    "propertyOrdering",
];

/// Kept, with schemas under names of their own choice.
const KEPT_NAMED: [&str; 2] = ["$defs", "properties"];

/// Not known to Gemini, and without them another thing is meant.
const REFUSED: [&str; 10] = [
    "$dynamicRef",
    "dependentSchemas",
    "else",
    "if",
    "not",
    "patternProperties",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contains",
];

/// Why a schema can't be told.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("`{keyword}` at `{place}` of its schema has no counterpart in the Gemini API")]
pub(crate) struct LossySchema {
    keyword: String,
    /// A JSON pointer.
    place: String,
}

/// The schema as Gemini takes it.
pub(crate) fn reduced(schema: &Value) -> Result<Value, LossySchema> {
    reduce(schema, "")
}

fn reduce(schema: &Value, place: &str) -> Result<Value, LossySchema> {
    // `true` is any value, which is what an empty schema is. `false` is none.
    let Value::Object(fields) = schema else {
        return match schema {
            Value::Bool(false) => Err(lossy("false", place)),
            _ => Ok(Value::Object(Map::new())),
        };
    };
    let mut result = Map::new();
    for (keyword, value) in fields {
        let below = format!("{place}/{keyword}");
        let keyword = if keyword == "definitions" { "$defs" } else { keyword };
        if KEPT_NAMED.contains(&keyword) {
            result.insert(keyword.to_owned(), each_named(value, &below)?);
        } else if matches!(keyword, "items" | "anyOf" | "oneOf" | "prefixItems") {
            result.insert(keyword.to_owned(), each(value, &below)?);
        } else if keyword == "$ref" {
            result.insert(keyword.to_owned(), reference(value, place)?);
        } else if KEPT.contains(&keyword) {
            result.insert(keyword.to_owned(), value.clone());
        } else if keyword == "additionalProperties" {
            let value = if value.is_boolean() { value.clone() } else { reduce(value, &below)? };
            result.insert(keyword.to_owned(), value);
        } else if REFUSED.contains(&keyword) {
            return Err(lossy(keyword, place));
        }
    }
    if let Some(value) = fields.get("const") {
        result.insert("enum".to_owned(), Value::Array(vec![value.clone()]));
    }
    if let Some(all) = fields.get("allOf") {
        merge(&mut result, all, place)?;
    }
    Ok(Value::Object(result))
}

/// What all of several schemas say, as one; possible where no two say something of the same.
fn merge(result: &mut Map<String, Value>, all: &Value, place: &str) -> Result<(), LossySchema> {
    for schema in all.as_array().into_iter().flatten() {
        let Value::Object(fields) = reduce(schema, &format!("{place}/allOf"))? else { continue };
        for (keyword, value) in fields {
            match result.get(&keyword) {
                None => {
                    result.insert(keyword, value);
                }
                Some(before) if *before == value || keyword == "description" || keyword == "title" => {}
                Some(_) => return Err(lossy("allOf", place)),
            }
        }
    }
    Ok(())
}

fn each(schemas: &Value, place: &str) -> Result<Value, LossySchema> {
    let Value::Array(schemas) = schemas else { return reduce(schemas, place) };
    let reduced =
        schemas.iter().enumerate().map(|(index, schema)| reduce(schema, &format!("{place}/{index}")));
    reduced.collect()
}

fn each_named(schemas: &Value, place: &str) -> Result<Value, LossySchema> {
    let reduced = schemas.as_object().into_iter().flatten().map(|(name, schema)| {
        // JSON pointer, RFC 6901.
        let name_in_place = name.replace('~', "~0").replace('/', "~1");
        Ok((name.clone(), reduce(schema, &format!("{place}/{name_in_place}"))?))
    });
    reduced.collect::<Result<Map<_, _>, _>>().map(Value::Object)
}

/// Only what the schema itself holds can be referred to.
fn reference(value: &Value, place: &str) -> Result<Value, LossySchema> {
    let local = value.as_str().filter(|target| target.starts_with('#'));
    local
        .map(|target| target.replace("#/definitions/", "#/$defs/").into())
        .ok_or_else(|| lossy("$ref", place))
}

fn lossy(keyword: &str, place: &str) -> LossySchema {
    LossySchema { keyword: keyword.to_owned(), place: if place.is_empty() { "/" } else { place }.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_only_narrows_a_value_is_dropped_at_any_depth() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "pattern": {"type": "string", "pattern": "^a", "minLength": 1, "default": "a"},
                "all": {"type": "array", "items": {"type": "integer", "exclusiveMinimum": 0, "minimum": 1}},
            },
            "required": ["pattern"],
            "additionalProperties": false,
        });
        let wanted = json!({
            "type": "object",
            "properties": {
                "pattern": {"type": "string"},
                "all": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            },
            "required": ["pattern"],
            "additionalProperties": false,
        });
        assert_eq!(reduced(&schema), Ok(wanted));
    }

    #[test]
    fn what_can_be_said_otherwise_is() {
        for (schema, wanted) in [
            (json!({"const": "a"}), json!({"enum": ["a"]})),
            (json!({"allOf": [{"$ref": "#/definitions/A"}]}), json!({"$ref": "#/$defs/A"})),
            (json!({"definitions": {"A": {"const": 1}}}), json!({"$defs": {"A": {"enum": [1]}}})),
            (
                json!({"type": "object", "allOf": [{"type": "object", "required": ["a"]}]}),
                json!({"type": "object", "required": ["a"]}),
            ),
            (json!({"anyOf": [true, {"type": "null"}]}), json!({"anyOf": [{}, {"type": "null"}]})),
        ] {
            assert_eq!(reduced(&schema), Ok(wanted));
        }
    }

    #[test]
    fn what_would_mean_another_thing_is_refused() {
        for (schema, keyword, place) in [
            (json!({"not": {}}), "not", "/"),
            (json!({"properties": {"a/b": {"if": {}, "then": {}}}}), "if", "/properties/a~1b"),
            (json!({"anyOf": [{}, {"patternProperties": {}}]}), "patternProperties", "/anyOf/1"),
            (json!({"items": {"$ref": "https://a.example/x"}}), "$ref", "/items"),
            (json!({"allOf": [{"type": "string"}, {"type": "integer"}]}), "allOf", "/"),
            (json!({"items": false}), "false", "/items"),
        ] {
            assert_eq!(reduced(&schema), Err(LossySchema { keyword: keyword.into(), place: place.into() }));
        }
    }
}

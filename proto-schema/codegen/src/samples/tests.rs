//! Every sample is read, written and held against the schema; and there is one of each message.

use std::collections::BTreeSet;

use protocol::api::methods;
use serde_json::Value;

use super::*;
use crate::Definitions;
use crate::schema::definitions;

/// What is wrong with a value; empty if it is what the schema says. Knows the keywords that our schemas use,
/// and refuses others.
fn complaints(value: &Value, schema: &Value, definitions: &Definitions, at: &str) -> Vec<String> {
    let mut all = Vec::new();
    let Value::Object(schema) = schema else { return all };
    let within = |value: &Value, schema: &Value, at: &str| complaints(value, schema, definitions, at);
    for (keyword, rule) in schema {
        let holds = match keyword.as_str() {
            "description" | "default" | "x-unknown" => true,
            "$ref" => {
                let name = rule.as_str().unwrap().rsplit('/').next().unwrap();
                all.extend(within(value, &definitions[name], at));
                true
            }
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => match rule.as_str().unwrap() {
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("{at}: type `{other}` is not known here"),
            },
            "format" => match rule.as_str().unwrap() {
                "uuid" => value.as_str().is_some_and(|text| Uuid::parse_str(text).is_ok()),
                "uint64" | "uint32" | "uint16" | "int32" | "double" => value.is_number(),
                other => panic!("{at}: format `{other}` is not known here"),
            },
            "minimum" => value.as_f64() >= rule.as_f64(),
            "maximum" => value.as_f64() <= rule.as_f64(),
            "not" => !within(value, rule, at).is_empty(),
            "oneOf" | "anyOf" => {
                let fitting =
                    rule.as_array().unwrap().iter().filter(|rule| within(value, rule, at).is_empty());
                fitting.count() == 1
            }
            "items" => {
                for (index, element) in value.as_array().into_iter().flatten().enumerate() {
                    all.extend(within(element, rule, &format!("{at}[{index}]")));
                }
                true
            }
            "required" => {
                rule.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some())
            }
            "properties" => {
                for (key, rule) in rule.as_object().unwrap() {
                    all.extend(
                        value
                            .get(key)
                            .into_iter()
                            .flat_map(|value| within(value, rule, &format!("{at}.{key}"))),
                    );
                }
                true
            }
            "additionalProperties" => value.as_object().into_iter().flatten().all(|(key, value)| {
                let is_named = schema.get("properties").is_some_and(|named| named.get(key).is_some());
                is_named || (*rule != Value::Bool(false) && within(value, rule, at).is_empty())
            }),
            other => panic!("{at}: keyword `{other}` is not known here"),
        };
        if !holds {
            all.push(format!("{at}: {value} is not as `{keyword}` says: {rule}"));
        }
    }
    all
}

#[test]
fn every_sample_reads_back_as_it_was_written() {
    for sample in all() {
        assert!(!sample.text.is_empty(), "{}", sample.name);
        assert_eq!((sample.again)(&sample.text).unwrap(), sample.text, "{}", sample.name);
    }
}

#[test]
fn every_sample_is_what_the_schema_says() {
    let definitions = definitions();
    for sample in all() {
        let value: Value = serde_json::from_str(&sample.text).unwrap();
        if sample.type_name != "uint64" {
            let found = complaints(&value, &definitions[&sample.type_name], &definitions, &sample.name);
            assert!(found.is_empty(), "{found:#?}");
        }
    }
}

#[test]
fn the_schema_refuses_what_is_not_a_message() {
    let definitions = definitions();
    for (type_name, text) in [
        ("TurnStartParams", r#"{"input": []}"#),
        ("TurnStartResult", r#"{"turnId": "x", "seq": 1}"#),
        ("Decision", r#"{"type": "allow"}"#),
        ("CommandExit", r#"{"type": "code", "code": "0"}"#),
        ("FeedEntry", r#"{"delta": {}}"#),
        ("SandboxMode", r#""read-onyl""#),
        ("SessionListParams", r#"{"limit": -1}"#),
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        let found = complaints(&value, &definitions[type_name], &definitions, type_name);
        assert!(!found.is_empty(), "{type_name} {text}");
    }
}

#[test]
fn the_schema_takes_what_is_to_come() {
    let definitions = definitions();
    for (type_name, text) in [
        ("Decision", r#"{"type": "later", "at": 5}"#),
        ("ChangeKind", r#""rename""#),
        ("FeedEntry", r#"{"later": {}}"#),
        ("SessionRef", r#"{"sessionId": "019b0000-0000-7000-8000-000000000001", "more": null}"#),
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        let found = complaints(&value, &definitions[type_name], &definitions, type_name);
        assert!(found.is_empty(), "{type_name} {text}: {found:#?}");
    }
}

#[test]
fn there_is_one_sample_of_each_message() {
    let definitions = definitions();
    let mut wanted = BTreeSet::new();
    for method in methods::all() {
        let name = method.name.replace('/', ".");
        wanted.insert((format!("{name}.params"), (method.params.name)()));
        wanted.insert((format!("{name}.result"), (method.result.name)()));
    }
    for (prefix, enumeration, type_name) in [
        ("session.feed", "SessionFeed", "SessionFeed"),
        ("model.progress", "PullProgress", "PullProgress"),
        ("event", "Event", "EventRecord"),
        ("item", "ItemBody", "Item"),
        ("error", "ErrorDetail", "ProtocolError"),
    ] {
        for variant in definitions[enumeration]["anyOf"].as_array().unwrap() {
            if let Some(word) = variant.pointer("/properties/type/const") {
                wanted.insert((format!("{prefix}.{}", word.as_str().unwrap()), type_name.to_owned()));
            }
        }
    }
    let found: Vec<_> = all().into_iter().map(|sample| (sample.name, sample.type_name)).collect();
    let distinct: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(distinct.len(), found.len(), "a sample stands there twice");
    assert_eq!(distinct, wanted);
}

#[test]
fn the_name_of_a_variant_is_that_of_its_type() {
    for sample in all() {
        let (prefix, variant) = sample.name.rsplit_once('.').unwrap();
        let value: Value = serde_json::from_str(&sample.text).unwrap();
        let pointer = match prefix {
            "session.feed" | "model.progress" => "/type",
            "event" => "/event/type",
            "item" => "/body/type",
            "error" => "/detail/type",
            _ => continue,
        };
        assert_eq!(value.pointer(pointer).and_then(Value::as_str), Some(variant), "{}", sample.name);
    }
}

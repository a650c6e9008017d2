//! One table of bodies that are refused, and one that is taken. Knows nothing of HTTP.

use serde_json::{Value, json};

use super::check;

fn good() -> Value {
    json!({
        "model": "m",
        "instructions": "Be brief.",
        "stream": true,
        "store": false,
        "include": ["reasoning.encrypted_content"],
        "parallel_tool_calls": true,
        "tool_choice": "auto",
        "prompt_cache_key": "session",
        "reasoning": {"effort": "high", "summary": "auto"},
        "text": {"verbosity": "low", "format": {
            "type": "json_schema", "name": "answer", "strict": true,
            "schema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
                "additionalProperties": false},
        }},
        "tools": [
            {"type": "function", "name": "shell", "description": "Runs.", "strict": false,
                "parameters": {"type": "object", "properties": {"command": {"type": "string"}}}},
            {"type": "custom", "name": "apply_patch", "description": "Edits.",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
        ],
        "input": [
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "Hello"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}],
                "encrypted_content": "opaque"},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "shell", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "patch"},
            {"type": "function_call_output", "call_id": "c1", "output": "done"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Bye."}]},
        ],
    })
}

#[test]
fn a_full_body_is_taken() {
    assert_eq!(check(&good()), Ok(()));
}

#[test]
fn input_may_be_plain_text() {
    assert_eq!(check(&json!({"model": "m", "input": "hello", "stream": true})), Ok(()));
}

/// Sets the value at a JSON pointer of a good body, or removes it, and says what the check complains of.
fn spoiled(pointer: &str, value: Option<Value>) -> (String, String, Option<&'static str>) {
    let mut body = good();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(fields), Some(value)) => {
            fields.insert(name.to_owned(), value);
        }
        (Value::Object(fields), None) => {
            fields.remove(name).unwrap();
        }
        (Value::Array(all), Some(value)) => all[name.parse::<usize>().unwrap()] = value,
        (Value::Array(all), None) => {
            all.remove(name.parse().unwrap());
        }
        (other, _) => panic!("no field of {other}"),
    }
    let invalid = check(&body).expect_err(pointer);
    (invalid.param.unwrap_or_default(), invalid.message, invalid.code)
}

#[test]
fn a_missing_field_is_named() {
    for (pointer, param) in [
        ("/model", "model"),
        ("/input", "input"),
        ("/tools/0/name", "tools[0].name"),
        ("/tools/0/parameters", "tools[0].parameters"),
        ("/tools/1/format/definition", "tools[1].format.definition"),
        ("/text/format/name", "text.format.name"),
        ("/input/0/role", "input[0].role"),
        ("/input/0/content", "input[0].content"),
        ("/input/0/content/0/text", "input[0].content[0].text"),
        ("/input/1/summary", "input[1].summary"),
        ("/input/2/call_id", "input[2].call_id"),
        ("/input/2/arguments", "input[2].arguments"),
        ("/input/3/input", "input[3].input"),
        ("/input/4/output", "input[4].output"),
        ("/input/4/type", "input[4].type"),
    ] {
        let (found, message, code) = spoiled(pointer, None);
        assert_eq!((found.as_str(), code), (param, Some("missing_required_parameter")), "{message}");
        assert_eq!(message, format!("Missing required parameter: '{param}'."));
    }
}

#[test]
fn a_wrong_value_is_named() {
    let long = "x".repeat(65);
    for (pointer, value, param, code) in [
        ("/model", json!(7), "model", "invalid_type"),
        ("/model", json!(""), "model", "empty_string"),
        ("/input", json!({}), "input", "invalid_type"),
        ("/surprise", json!(1), "surprise", "unknown_parameter"),
        ("/input/0/surprise", json!(1), "input[0].surprise", "unknown_parameter"),
        ("/tools/0/surprise", json!(1), "tools[0].surprise", "unknown_parameter"),
        ("/include/0", json!("all"), "include[0]", "invalid_value"),
        ("/prompt_cache_key", json!(long), "prompt_cache_key", "string_above_max_length"),
        ("/tool_choice", json!("maybe"), "tool_choice", "invalid_value"),
        ("/reasoning/effort", json!("huge"), "reasoning.effort", "invalid_value"),
        ("/tools/0/type", json!("lever"), "tools[0].type", "invalid_value"),
        ("/tools/0/name", json!("a b"), "tools[0].name", "invalid_value"),
        ("/tools/1/name", json!("shell"), "tools[1].name", "invalid_value"),
        ("/tools/0/parameters/type", json!("array"), "tools[0].parameters", "invalid_function_parameters"),
        ("/tools/0/strict", json!(true), "tools[0].parameters", "invalid_json_schema"),
        ("/text/format/schema/required", json!([]), "text.format.schema", "invalid_json_schema"),
        ("/tools/1/format/syntax", json!("ebnf"), "tools[1].format.syntax", "invalid_value"),
        ("/input/0/role", json!("tool"), "input[0].role", "invalid_value"),
        ("/input/0/content/0/type", json!("output_text"), "input[0].content[0].type", "invalid_value"),
        ("/input/6/content/0/type", json!("input_text"), "input[6].content[0].type", "invalid_value"),
        ("/input/0/content/1/image_url", json!("AAAA"), "input[0].content[1].image_url", "invalid_value"),
        ("/input/1/id", json!("msg_1"), "input[1].id", "invalid_value"),
        ("/input/2/type", json!("tool_call"), "input[2].type", "invalid_value"),
        ("/input/2/call_id", json!(long), "input[2].call_id", "string_above_max_length"),
        ("/input/2/arguments", json!({}), "input[2].arguments", "invalid_type"),
        ("/input/4/output", json!({}), "input[4].output", "invalid_type"),
    ] {
        let (found, message, found_code) = spoiled(pointer, Some(value));
        assert_eq!((found.as_str(), found_code), (param, Some(code)), "{message}");
    }
}

#[test]
fn only_streams_are_served() {
    assert_eq!(spoiled("/stream", Some(json!(false))).0, "stream");
}

#[test]
fn calls_and_outputs_belong_together() {
    for (pointer, value, message) in [
        ("/input/4", None, "No tool output found for function call c1."),
        ("/input/5", None, "No tool output found for custom tool call c2."),
        ("/input/2", None, "No tool call found for function call output with call_id c1."),
        (
            "/input/5/type",
            Some(json!("function_call_output")),
            "No tool call found for function call output with call_id c2.",
        ),
        ("/input/3/call_id", Some(json!("c1")), "Two calls have the call_id c1."),
        (
            "/input/6",
            Some(json!({"type": "function_call_output", "call_id": "c1", "output": "again"})),
            "The function call c1 is answered twice.",
        ),
    ] {
        assert_eq!(spoiled(pointer, value).1, message);
    }
}

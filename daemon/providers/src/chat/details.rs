//! Reasoning in parts that come in fragments (OpenRouter, "Reasoning tokens", `reasoning_details`). Kept to be sent
//! back unchanged; nothing in here is understood but how to join.

use serde_json::{Map, Value};

/// The fields whose text goes on from one fragment to the next.
const GROWING: [&str; 3] = ["text", "summary", "data"];

/// Adds a fragment to the part that it belongs to, or begins one.
pub(crate) fn join(parts: &mut Vec<Value>, fragment: Value) {
    let Value::Object(fragment) = fragment else { return };
    let is_same = |part: &Map<String, Value>| {
        part.get("index") == fragment.get("index") && part.get("type") == fragment.get("type")
    };
    let last = parts.last_mut().and_then(Value::as_object_mut).filter(|part| is_same(part));
    let Some(part) = last.filter(|_| fragment.contains_key("index")) else {
        parts.push(Value::Object(fragment));
        return;
    };
    for (name, value) in fragment {
        match (part.get_mut(&name), value) {
            (Some(Value::String(before)), Value::String(more)) if GROWING.contains(&name.as_str()) => {
                before.push_str(&more);
            }
            (Some(_), Value::Null) => {}
            (_, value) => {
                part.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fragments_of_one_part_are_joined() {
        let mut parts = Vec::new();
        for fragment in [
            json!({"type": "reasoning.text", "index": 0, "text": "I ", "signature": null}),
            json!({"type": "reasoning.text", "index": 0, "text": "look"}),
            json!({"type": "reasoning.text", "index": 0, "signature": "sig"}),
            json!({"type": "reasoning.encrypted", "index": 1, "data": "abc", "id": "r1"}),
            json!({"type": "reasoning.encrypted", "data": "d"}),
            json!({"type": "reasoning.encrypted", "data": "e"}),
            json!("nonsense"),
        ] {
            join(&mut parts, fragment);
        }
        let wanted = [
            json!({"type": "reasoning.text", "index": 0, "text": "I look", "signature": "sig"}),
            json!({"type": "reasoning.encrypted", "index": 1, "data": "abc", "id": "r1"}),
            json!({"type": "reasoning.encrypted", "data": "d"}),
            json!({"type": "reasoning.encrypted", "data": "e"}),
        ];
        assert_eq!(parts, wanted);
    }
}

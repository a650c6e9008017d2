//! What was filled into a form, as replies to the questions that it was made of.

use std::collections::BTreeMap;

use protocol::question::Prompt;
use serde_json::{Map, Value};

/// The replies to these questions. Fields that belong to none are left out, and questions without a field have none.
#[must_use]
pub fn replies(prompts: &[Prompt], content: &Map<String, Value>) -> BTreeMap<String, Vec<String>> {
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let reply = |prompt: &Prompt| {
        let chosen = match content.get(&prompt.id)? {
            Value::Array(several) => several.iter().map(word).collect(),
            Value::Null => Vec::new(),
            one => vec![word(one)],
        };
        Some((prompt.id.clone(), chosen))
    };
    prompts.iter().filter_map(reply).collect()
}

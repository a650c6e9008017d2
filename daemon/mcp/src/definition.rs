//! What a server says of a tool, made harmless, and what tells one state of it from another.

use std::collections::BTreeSet;
use std::fmt::Write;

use protocol::mcp::McpPrompt;
use protocol::tool::{ToolInput, ToolSpecification};
use rmcp::model::Tool;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::text;

/// Tools of one server.
pub(crate) const MAX_TOOLS: usize = 256;
/// The longest name that a model may be offered.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 8 * 1024;
/// The largest schema, as JSON.
const MAX_SCHEMA: usize = 64 * 1024;
/// How deep a schema may be.
const MAX_DEPTH: usize = 32;
/// Bytes of JSON that make a token, roughly.
const BYTES_PER_TOKEN: usize = 4;

/// All that a server offers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub(crate) tools: Vec<Definition>,
    /// Whether it has something to read.
    pub(crate) has_resources: bool,
    #[serde(default)]
    pub(crate) prompts: Vec<McpPrompt>,
}

/// A tool, as its server describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// The server's name for it.
    pub(crate) name: String,
    /// The model's name for it.
    pub(crate) offered_as: String,
    pub(crate) description: String,
    pub(crate) schema: Value,
    /// Whether the server says that it changes nothing.
    pub(crate) is_read_only: bool,
    /// Of everything that the server says of it, and of which server says it.
    pub(crate) digest: String,
}

impl Definition {
    /// What the model is told.
    pub(crate) fn specification(&self) -> ToolSpecification {
        ToolSpecification {
            name: self.offered_as.clone(),
            description: self.description.clone(),
            input: ToolInput::Json { schema: self.schema.clone() },
        }
    }

    /// What it costs with each request.
    pub(crate) fn tokens(&self) -> u64 {
        let bytes = serde_json::to_string(&self.specification()).map_or(0, |text| text.len());
        bytes.div_ceil(BYTES_PER_TOKEN) as u64
    }
}

/// The tools that a server listed, by the model's names for them. Those that can't be offered are left out. `identity`
/// tells which server it is.
pub(crate) fn read(server: &str, identity: &str, tools: &[Tool]) -> Vec<Definition> {
    let mut names = BTreeSet::new();
    let mut definitions: Vec<_> = tools
        .iter()
        .take(MAX_TOOLS)
        .filter_map(|tool| {
            let mut definition = of_tool(server, identity, tool)?;
            if names.contains(&definition.offered_as) {
                definition.offered_as = marked(&definition.offered_as, &definition.name);
            }
            names.insert(definition.offered_as.clone()).then_some(definition)
        })
        .collect();
    definitions.sort_by(|left, right| left.offered_as.cmp(&right.offered_as));
    definitions
}

fn of_tool(server: &str, identity: &str, tool: &Tool) -> Option<Definition> {
    let schema = Value::Object((*tool.input_schema).clone());
    let too_large = serde_json::to_string(&schema).map_or(true, |text| text.len() > MAX_SCHEMA);
    if tool.name.is_empty() || too_large {
        tracing::warn!(
            server,
            tool = text::line(&tool.name, 100),
            "a tool of an MCP server can't be offered"
        );
        return None;
    }
    // What of it is deeper than it may be is neither shown nor counted.
    let schema = sorted(&schema, 0);
    let said = json!({
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "outputSchema": tool.output_schema,
        "annotations": serde_json::to_value(&tool.annotations).unwrap_or_default(),
    });
    let annotations = tool.annotations.as_ref();
    Some(Definition {
        name: tool.name.to_string(),
        offered_as: offered(server, &tool.name),
        description: text::short(tool.description.as_deref().unwrap_or_default(), MAX_DESCRIPTION),
        is_read_only: annotations.and_then(|hints| hints.read_only_hint).unwrap_or(false),
        digest: digest(&[identity, &sorted(&said, 0).to_string(), &schema.to_string()]),
        schema: object_schema(schema),
    })
}

/// A digest of texts.
pub(crate) fn digest(texts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().iter().take(16).fold(String::new(), |mut hex, byte| {
        // Writing into a text does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The name that a model is offered: `mcp__server__tool`, of the letters that every provider takes.
fn offered(server: &str, tool: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' };
    let name: String = format!("mcp__{server}__{tool}").chars().map(plain).collect();
    if name.len() <= MAX_NAME { name } else { marked(&name, tool) }
}

/// A name that is cut, or was taken already, with a mark that tells it from others.
fn marked(name: &str, tool: &str) -> String {
    let mark = &digest(&[tool])[..8];
    let room = MAX_NAME - mark.len() - 1;
    format!("{}_{mark}", &name[..name.floor_char_boundary(room.min(name.len()))])
}

/// The same value with its keys in order, so that a server that lists them in any order says the same each time; its
/// texts are made harmless.
fn sorted(value: &Value, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            let entries =
                entries.into_iter().map(|(key, value)| (text::plain(key), sorted(value, depth + 1)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(values) => values.iter().map(|value| sorted(value, depth + 1)).collect(),
        Value::String(string) => Value::String(text::plain(string)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Providers want the schema of an object with properties, even if there are none.
fn object_schema(schema: Value) -> Value {
    let Value::Object(mut object) = schema else { return json!({"type": "object", "properties": {}}) };
    object.insert("type".to_owned(), json!("object"));
    object.entry("properties").or_insert_with(|| json!({}));
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(value: Value) -> Tool {
        serde_json::from_value(value).expect("tool")
    }

    fn one(value: Value) -> Definition {
        read("docs", "id", &[tool(value)]).pop().expect("definition")
    }

    #[test]
    fn the_same_in_another_order_is_the_same() {
        let text = |text: &str| serde_json::from_str::<Value>(text).expect("json");
        let left = one(text(r#"{"name": "a", "inputSchema": {"type": "object", "b": {"x": 1, "y": 2}}}"#));
        let right = one(text(r#"{"inputSchema": {"b": {"y": 2, "x": 1}, "type": "object"}, "name": "a"}"#));
        assert_eq!(left, right);
        assert_eq!(left.schema.to_string(), right.schema.to_string());
    }

    #[test]
    fn whatever_changes_is_seen() {
        let schema = json!({"type": "object"});
        let base = one(json!({"name": "a", "description": "d", "inputSchema": schema}));
        for other in [
            json!({"name": "a", "description": "e", "inputSchema": schema}),
            json!({"name": "a", "description": "d", "inputSchema": {"type": "object", "required": ["x"]}}),
            json!({"name": "a", "description": "d", "inputSchema": schema, "annotations": {"readOnlyHint": true}}),
            json!({"name": "a", "title": "t", "description": "d", "inputSchema": schema}),
        ] {
            assert_ne!(one(other.clone()).digest, base.digest, "{other}");
        }
        let elsewhere =
            read("docs", "other", &[tool(json!({"name": "a", "description": "d", "inputSchema": schema}))]);
        assert_ne!(elsewhere[0].digest, base.digest);
    }

    #[test]
    fn nothing_is_shown_that_is_not_in_the_digest() {
        let nested = |levels: usize, word: &str| {
            let inner = (0..levels).fold(json!(word), |inner, _| json!({"x": inner}));
            one(json!({"name": "a", "inputSchema": {"type": "object", "x": inner}}))
        };
        for levels in MAX_DEPTH - 3..=MAX_DEPTH + 1 {
            let (left, right) = (nested(levels, "one"), nested(levels, "two"));
            assert_eq!(left.schema == right.schema, left.digest == right.digest, "{levels}");
        }
    }

    #[test]
    fn names_are_those_that_providers_take_and_differ() {
        let schema = json!({"type": "object"});
        let names = ["a.b", "a/b", &"x".repeat(100), &format!("{}y", "x".repeat(100))];
        let tools: Vec<_> =
            names.iter().map(|name| tool(json!({"name": name, "inputSchema": schema}))).collect();
        let found = read("docs", "id", &tools);
        let offered: BTreeSet<_> = found.iter().map(|definition| definition.offered_as.as_str()).collect();
        assert_eq!(offered.len(), 4, "{offered:?}");
        assert!(offered.contains("mcp__docs__a_b"), "{offered:?}");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        assert!(offered.iter().all(|name| name.len() <= 64 && name.chars().all(is_plain)), "{offered:?}");
    }

    #[test]
    fn what_a_server_hides_in_its_texts_is_left_out() {
        let found = one(json!({"name": "a", "description": "do\u{e0041} it\u{1b}[2J",
            "inputSchema": {"type": "object", "properties": {"x": {"description": "y\u{202e}z"}}}}));
        assert_eq!(found.description, "do it[2J");
        assert_eq!(found.schema["properties"]["x"]["description"], "yz");
    }

    #[test]
    fn a_huge_schema_is_not_offered_and_an_empty_one_is_made_whole() {
        let huge = tool(json!({"name": "a", "inputSchema": {"type": "object", "x": "y".repeat(70_000)}}));
        assert_eq!(read("docs", "id", &[huge]), []);
        assert_eq!(
            one(json!({"name": "a", "inputSchema": {}})).schema,
            json!({"type": "object", "properties": {}})
        );
    }
}

//! `tool_search`: finds tools that the model has not been told of, because all of them together would cost too much
//! with each request. What was found is in the log, so a session has it as long as it lives.

use std::collections::{BTreeSet, HashMap};

use protocol::item::ItemBody;
use protocol::tool::{ToolInput, ToolSpecification};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::function::{Function, Stopped, Told};
use crate::tool::RunContext;

/// Tools of one answer.
const DEFAULT_LIMIT: usize = 5;
const MAX_LIMIT: usize = 20;
/// Bytes of a description in the answer; the whole of it comes with the next request.
const MAX_DESCRIPTION: usize = 300;
// The usual weights of BM25 (Robertson, Zaragoza 2009).
const SATURATION: f64 = 1.2;
const LENGTH: f64 = 0.75;

/// Finds tools.
/// What the tool is called.
pub const NAME: &str = "tool_search";

pub(crate) struct ToolSearch {
    known: Vec<ToolSpecification>,
    index: Vec<HashMap<String, u32>>,
}

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// Words for what it should do
    query: String,
    #[serde(default)]
    limit: Option<usize>,
}

impl ToolSearch {
    /// Among these.
    pub(crate) fn new(known: Vec<ToolSpecification>) -> Self {
        let index = known.iter().map(|tool| counted(&said(tool))).collect();
        Self { known, index }
    }

    /// The best ones first; none that has nothing of it.
    fn find(&self, query: &str, limit: usize) -> Vec<&ToolSpecification> {
        let lengths: Vec<f64> =
            self.index.iter().map(|words| f64::from(words.values().sum::<u32>())).collect();
        let count = to_float(self.index.len());
        let average = (lengths.iter().sum::<f64>() / count.max(1.0)).max(1.0);
        let weight = |word: &str| {
            let found = to_float(self.index.iter().filter(|words| words.contains_key(word)).count());
            ((count - found + 0.5) / (found + 0.5) + 1.0).ln()
        };
        let words: BTreeSet<String> = words(query).collect();
        let words: Vec<(&String, f64)> = words.iter().map(|word| (word, weight(word))).collect();
        let mut scored: Vec<(f64, &ToolSpecification)> = self
            .index
            .iter()
            .zip(&lengths)
            .zip(&self.known)
            .map(|((counts, length), tool)| {
                let score = words.iter().map(|(word, weight)| {
                    let times = counts.get(*word).map_or(0.0, |times| f64::from(*times));
                    let dampened = times + SATURATION * (1.0 - LENGTH + LENGTH * length / average);
                    weight * times * (SATURATION + 1.0) / dampened
                });
                (score.sum(), tool)
            })
            .filter(|(score, _)| *score > 0.0)
            .collect();
        scored.sort_by(|(left, one), (right, other)| right.total_cmp(left).then(one.name.cmp(&other.name)));
        scored.into_iter().take(limit).map(|(_, tool)| tool).collect()
    }
}

impl Function for ToolSearch {
    type Arguments = Arguments;
    const NAME: &'static str = NAME;
    const DESCRIPTION: &'static str = include_str!("tool_search.md");
    const IS_READ_ONLY: bool = true;

    async fn call(&self, arguments: Arguments, _context: RunContext) -> Result<Told, Stopped> {
        let limit = arguments.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
        let found = self.find(&arguments.query, limit);
        if found.is_empty() {
            let count = self.known.len();
            return Ok(format!("None of {count} tools fits these words; try others").into());
        }
        let line = |tool: &&ToolSpecification| {
            let description = &tool.description;
            let cut = &description[..description.floor_char_boundary(MAX_DESCRIPTION)];
            format!("{}: {}", tool.name, cut.lines().next().unwrap_or_default())
        };
        let text = found.iter().map(line).collect::<Vec<_>>().join("\n");
        let names: Vec<_> = found.iter().map(|tool| tool.name.as_str()).collect();
        Ok(Told { text, structured: Some(json!({"loaded": names})), ..Told::default() })
    }
}

/// The tools that a model knows by this item: those that it found, and the one that it called.
pub fn loaded(body: &ItemBody) -> impl Iterator<Item = &str> {
    let call = match body {
        ItemBody::ToolCall(call) => Some(call),
        ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Command(_)
        | ItemBody::FileChange(_)
        | ItemBody::Plan(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::Unknown(_) => None,
    };
    let own = call.filter(|call| call.server.is_some()).map(|call| call.call.name.as_str());
    let found =
        call.filter(|call| call.call.name == ToolSearch::NAME).and_then(|call| call.structured.as_ref());
    let found = found.and_then(|found| found["loaded"].as_array()).into_iter().flatten();
    own.into_iter().chain(found.filter_map(Value::as_str))
}

/// All words that are said of a tool.
fn said(tool: &ToolSpecification) -> String {
    let fields = match &tool.input {
        ToolInput::Json { schema } => schema["properties"].as_object(),
        ToolInput::Freeform { .. } => None,
    };
    let fields: Vec<_> = fields.into_iter().flat_map(|fields| fields.keys()).map(String::as_str).collect();
    // The name says most.
    format!("{0} {0} {1} {2}", tool.name, tool.description, fields.join(" "))
}

fn counted(text: &str) -> HashMap<String, u32> {
    let mut counts = HashMap::new();
    for word in words(text) {
        *counts.entry(word).or_insert(0) += 1;
    }
    counts
}

/// Words in small letters; plain plurals count as the word.
fn words(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(|part| {
        let word = part.to_lowercase();
        match word.strip_suffix('s') {
            Some(one) if one.len() > 2 && !one.ends_with('s') => one.to_owned(),
            Some(_) | None => word,
        }
    })
}

fn to_float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search() -> ToolSearch {
        let tool = |name: &str, description: &str| ToolSpecification {
            name: name.to_owned(),
            description: description.to_owned(),
            input: ToolInput::Json { schema: json!({"type": "object", "properties": {"owner": {}}}) },
        };
        ToolSearch::new(vec![
            tool("mcp__hub__list_issues", "Lists what people reported"),
            tool("mcp__hub__create_pull_request", "Opens a request to merge a branch"),
            tool("mcp__map__geocode", "Finds the place of an address"),
        ])
    }

    #[test]
    fn the_tool_that_fits_best_comes_first() {
        for (query, expected) in [
            ("issue", "mcp__hub__list_issues"),
            ("merge my branch", "mcp__hub__create_pull_request"),
            ("where is this address?", "mcp__map__geocode"),
        ] {
            let found = search();
            assert_eq!(found.find(query, 5)[0].name, expected, "{query}");
        }
        assert!(search().find("weather", 5).is_empty());
        assert_eq!(search().find("owner", 2).len(), 2);
    }

    fn call(arguments: &Value) -> protocol::tool::ToolCall {
        let input = protocol::tool::CallInput::Json(arguments.to_string());
        protocol::tool::ToolCall { call_id: "1".to_owned(), name: NAME.to_owned(), input }
    }

    #[test]
    fn arguments_of_a_search_that_are_no_good_say_what_is_wrong() {
        let tool = crate::function::tool(search());
        let wrong = |arguments: Value| {
            let error = tool.prepare(&call(&arguments), std::path::Path::new("/")).expect_err("bad");
            error.to_string()
        };
        assert!(wrong(json!({})).contains("missing field `query`"));
        assert!(wrong(json!({"words": "x"})).contains("unknown field `words`"));
        assert!(wrong(json!({"query": 7})).contains(NAME));
        assert!(wrong(json!({"query": "x", "limit": -1})).contains(NAME));
        assert!(wrong(json!({"query": "x", "more": "y".repeat(4 << 20)})).len() < 2_000);
    }

    #[test]
    fn a_search_for_very_much_finds_no_more_than_it_may() {
        let name = |number: usize| format!("mcp__hub__tool_{number}");
        let tool = |number: usize| ToolSpecification {
            name: name(number),
            description: "does it ".repeat(10_000),
            input: ToolInput::Json { schema: json!({}) },
        };
        let search = ToolSearch::new((0..100).map(tool).collect());
        let words = "tool does it ".repeat(100_000);
        assert_eq!(search.find(&words, MAX_LIMIT).len(), MAX_LIMIT);
        assert!(search.find("", MAX_LIMIT).is_empty() && search.find("../../etc\0", MAX_LIMIT).is_empty());
    }

    #[tokio::test]
    async fn searches_at_the_same_time_find_what_one_alone_does() {
        let scene = crate::standard::tests::Scene::new(&[]);
        let tool = crate::function::tool(search());
        assert!(tool.is_read_only(), "so they may be made beside each other");
        let searched = || async {
            let body = tool.prepare(&call(&json!({"query": "owner"})), &scene.root).expect("a call");
            tool.run(body, scene.context.clone()).await
        };
        let (one, other) = tokio::join!(searched(), searched());
        assert_eq!(loaded(&one.body).collect::<Vec<_>>(), loaded(&other.body).collect::<Vec<_>>());
        assert_eq!(loaded(&one.body).count(), 3);
    }
}

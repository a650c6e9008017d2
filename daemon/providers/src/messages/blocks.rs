//! The blocks of one answer as the provider sends them, put together piece by piece. Kept whole, since thinking and an
//! answer that paused are sent back as they came.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

/// A block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Its number among the blocks of its response.
    pub(crate) index: u64,
    /// Its number among the things of the answer. Texts that follow one another are one thing: where a text cites, it
    /// comes in pieces.
    pub(crate) number: u32,
    pub(crate) is_complete: bool,
    pub(crate) kind: Shown,
    fields: Map<String, Value>,
    /// The input of a call, as far as it came.
    input: String,
}

/// What people see of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Text,
    Thinking,
    Nothing,
}

/// A piece of a block. Of the fields it has those of its type.
#[derive(Deserialize)]
pub(crate) struct Delta<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    partial_json: Cow<'a, str>,
    #[serde(borrow, default)]
    thinking: Cow<'a, str>,
    /// What shows that thinking is the model's own.
    #[serde(borrow, default)]
    signature: Cow<'a, str>,
    /// A source of the text.
    citation: Option<Value>,
}

impl Block {
    pub(crate) fn new(index: u64, number: u32, fields: Map<String, Value>) -> Self {
        let kind = match fields.get("type").and_then(Value::as_str) {
            Some("text") => Shown::Text,
            Some("thinking") => Shown::Thinking,
            Some(_) | None => Shown::Nothing,
        };
        Self { index, number, is_complete: false, kind, fields, input: String::new() }
    }

    /// A field that holds text; empty if there is none.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The text that people see; empty for a block of a kind that has none.
    pub(crate) fn shown(&self) -> &str {
        match self.kind {
            Shown::Text => self.text("text"),
            Shown::Thinking => self.text("thinking"),
            Shown::Nothing => "",
        }
    }

    /// Adds a piece; what people see of it.
    pub(crate) fn add(&mut self, delta: Delta<'_>) -> Option<String> {
        match delta.kind.as_ref() {
            "text_delta" => {
                self.grow("text", &delta.text);
                (self.kind == Shown::Text).then(|| delta.text.into_owned())
            }
            "thinking_delta" => {
                self.grow("thinking", &delta.thinking);
                (self.kind == Shown::Thinking).then(|| delta.thinking.into_owned())
            }
            "signature_delta" => {
                self.grow("signature", &delta.signature);
                None
            }
            "input_json_delta" => {
                self.input.push_str(&delta.partial_json);
                None
            }
            "citations_delta" => {
                if let Some(citation) = delta.citation {
                    let citations = self.fields.entry("citations").or_insert(Value::Null);
                    match citations {
                        Value::Array(all) => all.push(citation),
                        _ => *citations = Value::Array(vec![citation]),
                    }
                }
                None
            }
            // One of a newer API.
            _ => None,
        }
    }

    /// The pages that the text cites (Anthropic, "Web search tool", "Citations").
    pub(crate) fn cited(&self) -> impl Iterator<Item = &Value> {
        let all = self.fields.get("citations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|one| one["type"] == "web_search_result_location")
    }

    /// The input of a call as text: as it was streamed, else as it stood in the block from the beginning.
    pub(crate) fn arguments(&self) -> String {
        if !self.input.is_empty() {
            return self.input.clone();
        }
        self.fields.get("input").filter(|input| input.is_object()).map(Value::to_string).unwrap_or_default()
    }

    /// The block as it is sent back; `None` for one that the API does not take back.
    pub(crate) fn to_value(&self) -> Option<Value> {
        if self.text("type") == "text" && self.text("text").trim().is_empty() {
            return None;
        }
        let mut fields = self.fields.clone();
        if let Ok(input) = serde_json::from_str(&self.input) {
            fields.insert("input".to_owned(), input);
        }
        Some(Value::Object(fields))
    }

    fn grow(&mut self, field: &str, more: &str) {
        match self.fields.get_mut(field) {
            Some(Value::String(text)) => text.push_str(more),
            _ => {
                self.fields.insert(field.to_owned(), more.into());
            }
        }
    }
}

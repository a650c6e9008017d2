//! The blocks of one answer as the provider sends them, put together piece by piece. Kept whole, since thinking and an
//! answer that paused are sent back as they came.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Its number among the blocks of its response.
    pub(crate) index: u64,
    /// Its number among the things of the answer.
    pub(crate) number: u32,
    pub(crate) is_complete: bool,
    fields: Map<String, Value>,
    /// The input of a call, as far as it came.
    input: String,
}

/// A piece of a block.
#[derive(Deserialize)]
#[serde(tag = "type")]
pub(crate) enum Delta {
    /// More of a text.
    #[serde(rename = "text_delta")]
    Text { text: String },
    /// More of the input of a call.
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    /// More of thinking.
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    /// What shows that thinking is the model's own.
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    /// A source of the text.
    #[serde(rename = "citations_delta")]
    Citations { citation: Value },
    /// One of a newer API.
    #[serde(other)]
    Unknown,
}

impl Block {
    pub(crate) fn new(index: u64, number: u32, fields: Map<String, Value>) -> Self {
        Self { index, number, is_complete: false, fields, input: String::new() }
    }

    /// A field that holds text; empty if there is none.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The text that people see; empty for a block of a kind that has none.
    pub(crate) fn shown(&self) -> &str {
        match self.text("type") {
            field @ ("text" | "thinking") => self.text(field),
            _ => "",
        }
    }

    pub(crate) fn add(&mut self, delta: Delta) {
        match delta {
            Delta::Text { text } => self.grow("text", &text),
            Delta::Thinking { thinking } => self.grow("thinking", &thinking),
            Delta::Signature { signature } => self.grow("signature", &signature),
            Delta::InputJson { partial_json } => self.input.push_str(&partial_json),
            Delta::Citations { citation } => {
                let citations = self.fields.entry("citations").or_insert(Value::Null);
                match citations {
                    Value::Array(all) => all.push(citation),
                    _ => *citations = Value::Array(vec![citation]),
                }
            }
            Delta::Unknown => {}
        }
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

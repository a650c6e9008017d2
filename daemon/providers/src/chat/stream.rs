//! The chunks of an answer, one at a time (OpenAI API reference, "Chat Completions", streaming). Lenient where servers
//! differ: usage, the end mark, empty pieces and the names of things.

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;
use model::event::{ModelEvent, OutputItem, StopReason};
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;
use protocol::model::Usage;
use serde::Deserialize;
use serde_json::{Map, Value};
use tracing::{debug, trace};

use crate::chat::calls::{Fragment, Partial};
use crate::chat::{PROVIDER, REASONING_DETAILS, REASONING_FIELDS, WIRE_API, calls, details};
use crate::draft::{Draft, Kind};
use crate::failure::Failure;
use crate::functions::{Calls, is_object};
use crate::wire_api::{Progress, Reader};

/// The mark after the last chunk.
const END: &str = "[DONE]";

/// Reads the chunks of one answer.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    provider: String,
    draft: Draft,
    /// The field that the reasoning which is being said comes in.
    reasoning_field: &'static str,
    details: Vec<Value>,
    partial: Vec<Partial>,
    calls: Calls,
    finish: Option<String>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Chunk {
    object: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<Tokens>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    delta: Option<Delta>,
    /// In place of `delta`, where a server does not stream.
    message: Option<Delta>,
    finish_reason: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Content>,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<Value>,
    reasoning_details: Option<Vec<Value>>,
    tool_calls: Option<Vec<Fragment>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
    /// DeepSeek's word for cached input.
    #[serde(default)]
    prompt_cache_hit_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl Reader for Decoder {
    fn take(&mut self, data: &str, events: &mut VecDeque<ModelEvent>) -> Result<Progress, Failure> {
        if data.trim() == END {
            return Ok(Progress::Over);
        }
        let chunk: Chunk = parse(data)?;
        if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
            return Err(Failure::reported(&error));
        }
        // An error without its usual frame, as vLLM sends it.
        if chunk.object.as_deref() == Some("error") {
            return Err(Failure::reported(&parse(data)?));
        }
        // Only one was asked for.
        for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index == 0) {
            self.choice(choice, events)?;
        }
        // Some servers tell it with every chunk. The last word is the one that comes with the end or after it.
        let is_counted = chunk.usage.is_some();
        self.usage = chunk.usage.or(self.usage);
        Ok(match &self.finish {
            None => Progress::Open,
            Some(_) if is_counted => Progress::Over,
            Some(_) => Progress::Whole,
        })
    }

    fn spent(&self) -> Usage {
        self.usage.map(usage).unwrap_or_default()
    }

    fn close(&mut self, _sent: &Bytes, events: &mut VecDeque<ModelEvent>) -> Option<Bytes> {
        self.end_text(events);
        if !self.details.is_empty() {
            let details = mem::take(&mut self.details);
            let opaque = self.opaque(REASONING_DETAILS, Value::Array(details));
            self.draft.add(OutputItem::Reasoning { summary: String::new(), opaque: Some(opaque) }, events);
        }
        let stop = stop_reason(self.finish.as_deref());
        for Partial { id, name, arguments, .. } in mem::take(&mut self.partial) {
            if stop != StopReason::Finished && !is_object(&arguments) {
                // Half a call must not run.
                debug!(name, "left out a call that was cut short");
                continue;
            }
            let call = self.calls.call(id, name, arguments);
            self.draft.add(OutputItem::ToolCall(call), events);
        }
        events.push_back(ModelEvent::Completed { usage: self.usage.map(usage).unwrap_or_default(), stop });
        None
    }
}

impl Decoder {
    /// For the answer of the provider of this id.
    pub(crate) fn new(request: &ModelRequest, provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            draft: Draft::default(),
            reasoning_field: REASONING_FIELDS[0],
            details: Vec::new(),
            partial: Vec::new(),
            calls: Calls::of(request),
            finish: None,
            usage: None,
        }
    }

    fn choice(&mut self, choice: Choice, events: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        if let Some(error) = choice.error.filter(|error| !error.is_null()) {
            return Err(Failure::reported(&error));
        }
        if let Some(delta) = choice.delta.or(choice.message) {
            self.delta(delta, events);
        }
        if let Some(finish) = choice.finish_reason.filter(|finish| !finish.is_empty()) {
            if finish == "error" {
                return Err(Failure::reported(&Value::Null));
            }
            self.finish = Some(finish);
        }
        Ok(())
    }

    fn delta(&mut self, delta: Delta, events: &mut VecDeque<ModelEvent>) {
        let [content_field, bare_field] = REASONING_FIELDS;
        // Servers that send both send the same in both.
        match (delta.reasoning_content, delta.reasoning) {
            (Some(text), _) if !text.is_empty() => self.think(content_field, text, events),
            (_, Some(Value::String(text))) => self.think(bare_field, text, events),
            _ => {}
        }
        for fragment in delta.reasoning_details.into_iter().flatten() {
            details::join(&mut self.details, fragment);
        }
        let text = match delta.content {
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => parts.into_iter().filter_map(|part| part.text).collect(),
            None => String::new(),
        };
        for text in [Some(text), delta.refusal].into_iter().flatten().filter(|text| !text.is_empty()) {
            if matches!(self.draft.open(), Some((Kind::Reasoning, _))) {
                self.end_text(events);
            }
            self.draft.say(Kind::Message, text, events);
        }
        for fragment in delta.tool_calls.into_iter().flatten() {
            calls::join(&mut self.partial, fragment);
        }
    }

    fn think(&mut self, field: &'static str, text: String, events: &mut VecDeque<ModelEvent>) {
        if text.is_empty() {
            return;
        }
        if matches!(self.draft.open(), Some((Kind::Message, _))) {
            self.end_text(events);
        }
        self.reasoning_field = field;
        self.draft.say(Kind::Reasoning, text, events);
    }

    fn end_text(&mut self, events: &mut VecDeque<ModelEvent>) {
        let opaque = match self.draft.open() {
            Some((Kind::Reasoning, text)) => Some(self.opaque(self.reasoning_field, text.into())),
            Some((Kind::Message, _)) | None => None,
        };
        self.draft.end(opaque, events);
    }

    /// Reasoning as this provider wants it back.
    fn opaque(&self, field: &str, value: Value) -> OpaqueReasoning {
        let item = Map::from_iter([
            (PROVIDER.to_owned(), Value::from(self.provider.as_str())),
            (field.to_owned(), value),
        ]);
        OpaqueReasoning { wire_api: WIRE_API.to_owned(), item: Value::Object(item) }
    }
}

fn parse<'a, T: Deserialize<'a>>(data: &'a str) -> Result<T, Failure> {
    serde_json::from_str(data).map_err(|error| Failure::malformed(format!("A chunk can't be read: {error}")))
}

/// What the finish reason means. Without one the server just ended.
fn stop_reason(finish: Option<&str>) -> StopReason {
    match finish {
        None | Some("stop" | "tool_calls" | "function_call" | "end_turn" | "tool_use" | "eos") => {
            StopReason::Finished
        }
        Some(reason) => {
            trace!(reason, "the answer was ended early");
            StopReason::Stopped(reason.to_owned())
        }
    }
}

fn usage(tokens: Tokens) -> Usage {
    let prompt = tokens.prompt_tokens_details.unwrap_or_default();
    let reasoning = tokens.completion_tokens_details.and_then(|details| details.reasoning_tokens);
    Usage {
        input_tokens: tokens.prompt_tokens,
        cached_input_tokens: prompt.cached_tokens.unwrap_or(tokens.prompt_cache_hit_tokens),
        cache_write_input_tokens: prompt.cache_write_tokens.unwrap_or_default(),
        output_tokens: tokens.completion_tokens,
        reasoning_output_tokens: reasoning.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;

//! The events of an answer, one at a time (Anthropic API reference, "Streaming messages"). Unknown events and blocks
//! are left out. An answer that paused (`pause_turn`) goes on in a further response; to the outside it is one.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use model::event::{ModelEvent, OutputItem, StopReason};
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;
use protocol::model::Usage;
use protocol::web::WebSearch;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tracing::{debug, trace};

use crate::failure::Failure;
use crate::functions::{Calls, is_object};
use crate::messages::WIRE_API;
use crate::messages::blocks::{Block, Shown};
use crate::searches;
use crate::wire_api::{Progress, Reader};

/// How often an answer may pause.
const MOST_PAUSES: u32 = 8;

/// The stop reason of an answer that paused.
const PAUSED: &str = "pause_turn";

/// What ends a body; see `request::Body`.
const END_OF_BODY: &[u8] = b"]}";

/// Reads the events of one answer.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    calls: Calls,
    /// The blocks of the response that is being read.
    blocks: Vec<Block>,
    /// The number of the next thing of the answer.
    next: u32,
    tokens: Tokens,
    stop: Option<String>,
    /// Of the responses before.
    usage: Usage,
    pauses: u32,
    /// Searches that have not found anything yet, by their ids, as they are sent back.
    searches: HashMap<String, Value>,
}

/// What every event has, and what those have of which there are many.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    /// The number of a block.
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Started {
    message: StartedMessage,
}

#[derive(Deserialize)]
struct StartedMessage {
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct BlockStarted {
    content_block: Map<String, Value>,
}

#[derive(Deserialize)]
struct Changed {
    delta: Option<Change>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Change {
    stop_reason: Option<String>,
}

/// Each is a total so far, and may be absent.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Tokens {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

impl Reader for Decoder {
    fn take(&mut self, data: &str, events: &mut VecDeque<ModelEvent>) -> Result<Progress, Failure> {
        let head: Head<'_> = parse("", data)?;
        let Head { kind, index, delta } = &head;
        match kind.as_ref() {
            "message_start" => {
                let Started { message } = parse(kind, data)?;
                self.tokens.update(message.usage);
            }
            "content_block_start" => {
                let BlockStarted { content_block } = parse(kind, data)?;
                let mut block = Block::new(field(kind, "index", *index)?, self.next, content_block);
                match self.blocks.last().filter(|last| last.kind == Shown::Text).map(|last| last.number) {
                    Some(number) if block.kind == Shown::Text => block.number = number,
                    text => {
                        self.next += 1;
                        text.into_iter().for_each(|number| self.tell_text(number, events));
                    }
                }
                events.extend(grown(&block, block.shown().to_owned()));
                self.blocks.push(block);
            }
            "content_block_delta" => {
                let delta = field(kind, "delta", *delta)?;
                let position = self.position(field(kind, "index", *index)?)?;
                let block = &mut self.blocks[position];
                if !block.is_complete
                    && let Some(text) = block.add(delta)
                {
                    events.extend(grown(block, text));
                }
            }
            "content_block_stop" => {
                let index = field(kind, "index", *index)?;
                let position = self.position(index)?;
                let block = &self.blocks[position];
                // Half a call stops too. It is known for one only when the stop reason is.
                if block.text("type") != "tool_use" || is_object(&block.arguments()) {
                    self.complete(position, events);
                }
            }
            "message_delta" => {
                let Changed { delta, usage } = parse(kind, data)?;
                self.tokens.update(usage);
                self.stop = delta.and_then(|delta| delta.stop_reason).or(self.stop.take());
            }
            "message_stop" => return Ok(Progress::Over),
            "error" => return Err(Failure::reported(&parse(kind, data)?)),
            "" => {
                let event: Value = parse("", data)?;
                if event.get("error").is_some() {
                    return Err(Failure::reported(&event));
                }
                return Err(Failure::malformed("An event has no type".to_owned()));
            }
            other => trace!(kind = other, "an event that tells nothing new"),
        }
        Ok(if self.stop.is_some() { Progress::Whole } else { Progress::Open })
    }

    fn spent(&self) -> Usage {
        let mut spent = self.usage;
        spent += self.tokens.usage();
        spent
    }

    fn close(&mut self, sent: &Bytes, events: &mut VecDeque<ModelEvent>) -> Option<Bytes> {
        self.usage += self.tokens.usage();
        self.tokens = Tokens::default();
        let stop = stop_reason(self.stop.take().as_deref());
        for position in 0..self.blocks.len() {
            let block = &self.blocks[position];
            if block.is_complete {
                continue;
            }
            if stop != StopReason::Finished
                && block.text("type") == "tool_use"
                && !is_object(&block.arguments())
            {
                // Half a call must not run.
                debug!(name = block.text("name"), "left out a call that was cut short");
                continue;
            }
            self.complete(position, events);
        }
        let text = self.blocks.last().filter(|last| last.kind == Shown::Text).map(|last| last.number);
        text.into_iter().for_each(|number| self.tell_text(number, events));
        if stop == StopReason::Stopped(PAUSED.to_owned())
            && self.pauses < MOST_PAUSES
            && let Some(body) = self.follow_up(sent)
        {
            self.pauses += 1;
            self.blocks.clear();
            return Some(body);
        }
        events.push_back(ModelEvent::Completed { usage: self.usage, stop });
        None
    }
}

impl Decoder {
    /// For the answer to this request.
    pub(crate) fn new(request: &ModelRequest) -> Self {
        Self {
            calls: Calls::of(request),
            blocks: Vec::new(),
            next: 0,
            tokens: Tokens::default(),
            stop: None,
            usage: Usage::default(),
            pauses: 0,
            searches: HashMap::new(),
        }
    }

    fn position(&self, index: u64) -> Result<usize, Failure> {
        let unknown = || Failure::malformed(format!("A piece of block {index} came before the block"));
        self.blocks.iter().rposition(|block| block.index == index).ok_or_else(unknown)
    }

    /// Passes a whole block on, if it is of a kind that is known and has anything in it. A text waits for what
    /// follows it, which may be more of it.
    fn complete(&mut self, position: usize, events: &mut VecDeque<ModelEvent>) {
        let newest = self.blocks.last().map(|last| last.number);
        let block = &mut self.blocks[position];
        if std::mem::replace(&mut block.is_complete, true) {
            return;
        }
        let opaque = || {
            let item = block.to_value()?;
            Some(OpaqueReasoning { wire_api: WIRE_API.to_owned(), item })
        };
        let item = match block.text("type") {
            "thinking" => {
                // Servers that sign nothing don't want it back, and the provider itself would refuse it.
                let opaque = (!block.text("signature").is_empty()).then(opaque).flatten();
                OutputItem::Reasoning { summary: block.shown().to_owned(), opaque }
            }
            "redacted_thinking" => OutputItem::Reasoning { summary: String::new(), opaque: opaque() },
            "tool_use" => {
                let (id, name) = (block.text("id").to_owned(), block.text("name").to_owned());
                OutputItem::ToolCall(self.calls.call(Some(id), name, block.arguments()))
            }
            "text" => {
                let number = block.number;
                if newest != Some(number) {
                    self.tell_text(number, events);
                }
                return;
            }
            "server_tool_use" if block.text("name") == searches::NAME => {
                let id = block.text("id").to_owned();
                self.searches.extend(block.to_value().map(|search| (id, search)));
                return;
            }
            "web_search_tool_result" => {
                let search = self.searches.remove(block.text("tool_use_id"));
                let Some((search, result)) = search.zip(block.to_value()) else { return };
                OutputItem::WebSearch(found(search, result))
            }
            kind => {
                debug!(kind, "left out a block of a kind that is not known");
                return;
            }
        };
        events.push_back(ModelEvent::OutputItem { index: block.number, item });
    }

    /// Passes on the text of this number with its sources, once all of its blocks are complete.
    fn tell_text(&self, number: u32, events: &mut VecDeque<ModelEvent>) {
        let blocks = || self.blocks.iter().filter(|block| block.number == number);
        if blocks().any(|block| !block.is_complete) {
            return;
        }
        let text: String = blocks().map(Block::shown).collect();
        if text.is_empty() {
            return;
        }
        let sources = blocks().flat_map(Block::cited).filter_map(|cited| searches::source(cited, "url"));
        let links = searches::links(&text, sources);
        if !links.is_empty() {
            events.push_back(ModelEvent::TextDelta { index: number, text: links.clone() });
        }
        events.push_back(ModelEvent::OutputItem { index: number, item: OutputItem::Message(text + &links) });
    }

    /// The request that goes on: the one that was sent and, as the model's, what it has said. `None` if it said
    /// nothing.
    fn follow_up(&self, sent: &Bytes) -> Option<Bytes> {
        let content: Vec<Value> = self.blocks.iter().filter_map(Block::to_value).collect();
        let head = sent.strip_suffix(END_OF_BODY).filter(|_| !content.is_empty())?;
        let message = json!({"role": "assistant", "content": content}).to_string();
        Some([head, b",", message.as_bytes(), END_OF_BODY].concat().into())
    }
}

/// A search with what it found (Anthropic, "Web search tool"). The two go back together.
fn found(search: Value, result: Value) -> WebSearch {
    let queries = search["input"]["query"].as_str().map(str::to_owned);
    let content = &result["content"];
    let pages = content.as_array().map_or(&[][..], Vec::as_slice);
    let sources: Vec<_> = pages.iter().filter_map(|page| searches::source(page, "url")).collect();
    let message = content["error_code"].as_str().map(|code| searches::bounded(code.to_owned()));
    let item = Value::Array(vec![search, result]);
    let opaque = OpaqueReasoning { wire_api: WIRE_API.to_owned(), item };
    WebSearch { message, ..searches::told(queries, sources, Some(opaque)) }
}

/// More of the text of a block that is shown.
fn grown(block: &Block, text: String) -> Option<ModelEvent> {
    let index = block.number;
    if text.is_empty() {
        return None;
    }
    Some(match block.kind {
        Shown::Thinking => ModelEvent::SummaryDelta { index, text },
        Shown::Text | Shown::Nothing => ModelEvent::TextDelta { index, text },
    })
}

/// A field of an event that the event must have.
fn field<'a, T: Deserialize<'a>>(kind: &str, name: &str, value: Option<&'a RawValue>) -> Result<T, Failure> {
    let value = value.ok_or_else(|| Failure::malformed(format!("The event `{kind}` has no `{name}`")))?;
    parse(kind, value.get())
}

fn parse<'a, T: Deserialize<'a>>(kind: &str, data: &'a str) -> Result<T, Failure> {
    serde_json::from_str(data).map_err(|error| {
        let which = if kind.is_empty() { "An event".to_owned() } else { format!("The event `{kind}`") };
        Failure::malformed(format!("{which} can't be read: {error}"))
    })
}

fn stop_reason(stop: Option<&str>) -> StopReason {
    match stop {
        None | Some("end_turn" | "tool_use" | "stop_sequence") => StopReason::Finished,
        Some(reason) => StopReason::Stopped(reason.to_owned()),
    }
}

impl Tokens {
    fn update(&mut self, newer: Option<Self>) {
        let Some(newer) = newer else { return };
        *self = Self {
            input_tokens: newer.input_tokens.or(self.input_tokens),
            cache_creation_input_tokens: newer
                .cache_creation_input_tokens
                .or(self.cache_creation_input_tokens),
            cache_read_input_tokens: newer.cache_read_input_tokens.or(self.cache_read_input_tokens),
            output_tokens: newer.output_tokens.or(self.output_tokens),
            output_tokens_details: newer.output_tokens_details.or(self.output_tokens_details),
        };
    }

    /// The provider counts what came from the cache and what went there apart from the input.
    fn usage(self) -> Usage {
        let written = self.cache_creation_input_tokens.unwrap_or_default();
        let read = self.cache_read_input_tokens.unwrap_or_default();
        let thinking = self.output_tokens_details.and_then(|details| details.thinking_tokens);
        Usage {
            input_tokens: self.input_tokens.unwrap_or_default().saturating_add(written).saturating_add(read),
            cached_input_tokens: read,
            cache_write_input_tokens: written,
            output_tokens: self.output_tokens.unwrap_or_default(),
            reasoning_output_tokens: thinking.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;

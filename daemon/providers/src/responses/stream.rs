//! The events of an answer, one at a time (OpenAI API reference, "Responses", streaming events). Knows the events,
//! nothing of where they come from. Lenient where servers differ: the number of an output may be missing, events may
//! come twice, deltas and whole outputs may be left out, unknown events and outputs mean nothing. What the text of a
//! message is, is said by its deltas; the whole output fills in what they left out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use model::event::{ModelEvent, OutputItem, StopReason};
use protocol::item::OpaqueReasoning;
use protocol::model::Usage;
use protocol::tool::{CallInput, ToolCall};
use protocol::web::WebSearch;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tracing::{debug, trace};

use crate::draft::Kind;
use crate::failure::Failure;
use crate::responses::compaction;
use crate::searches;
use crate::wire_api::{Progress, Reader};

/// Reads the events of one answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoder {
    /// What reasoning of this provider is called in `OpaqueReasoning`.
    wire_api: String,
    /// The ids of the outputs so far, with their numbers.
    outputs: Vec<(String, u32)>,
    /// The output and the part of it that the last piece of a summary belonged to.
    summary: Option<(u32, u32)>,
    /// The text of the outputs that grow.
    open: BTreeMap<u32, (Kind, String)>,
    /// The numbers of the outputs that are complete.
    done: BTreeSet<u32>,
    /// A call whose arguments break off. If nothing comes behind it, the answer was cut there.
    broken: Option<(u32, ToolCall)>,
    /// The event before, to know it when it comes twice.
    last: String,
    what: What,
}

/// What is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum What {
    #[default]
    Answer,
    /// One object that stands for a conversation.
    Compaction,
}

/// What every event has.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    sequence_number: u64,
}

#[derive(Deserialize)]
struct Delta {
    output_index: Option<u32>,
    item_id: Option<String>,
    #[serde(default)]
    summary_index: u32,
    delta: String,
}

#[derive(Deserialize)]
struct Output {
    output_index: Option<u32>,
    item: Value,
}

#[derive(Deserialize)]
struct Ended {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    output: Vec<Value>,
    usage: Option<Tokens>,
    incomplete_details: Option<Incomplete>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Tokens {
    #[serde(default)]
    input_tokens: u64,
    input_tokens_details: Option<InputDetails>,
    #[serde(default)]
    output_tokens: u64,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize)]
struct InputDetails {
    #[serde(default)]
    cached_tokens: u64,
}

#[derive(Deserialize)]
struct OutputDetails {
    #[serde(default)]
    reasoning_tokens: u64,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Vec<Part>,
}

#[derive(Deserialize)]
struct Reasoning {
    #[serde(default)]
    summary: Vec<Part>,
}

/// A part of a message or a summary.
#[derive(Deserialize)]
struct Part {
    /// Of all but a refusal.
    text: Option<String>,
    refusal: Option<String>,
    /// What the text goes by; a list.
    #[serde(default)]
    annotations: Value,
}

#[derive(Deserialize)]
struct FunctionCall {
    call_id: String,
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct CustomToolCall {
    call_id: String,
    name: String,
    input: String,
}

impl Reader for Decoder {
    fn take(&mut self, data: &str, events: &mut VecDeque<ModelEvent>) -> Result<Progress, Failure> {
        // The end mark of another API, which some servers send here too.
        if data == "[DONE]" {
            return Ok(Progress::Open);
        }
        if self.what == What::Compaction {
            return compaction::read(data, &self.wire_api, events);
        }
        let head: Head<'_> = parse("", data)?;
        let kind = head.kind.as_deref().unwrap_or_default();
        if head.sequence_number > 0 {
            // Numbered, so that what is the same to the letter is the same event.
            if data == self.last {
                debug!(kind, "left out an event that came twice");
                return Ok(Progress::Open);
            }
            data.clone_into(&mut self.last);
        }
        match kind {
            "response.output_text.delta" | "response.refusal.delta" => {
                let delta: Delta = parse(kind, data)?;
                let index = self.number(delta.output_index, delta.item_id.as_deref());
                self.say(index, Kind::Message, delta.delta, events);
            }
            "response.reasoning_summary_text.delta" => self.summary_delta(parse(kind, data)?, events),
            "response.output_item.added" => {
                // Only for its number, which later events may leave out.
                let added: Output = parse(kind, data)?;
                self.number(added.output_index, added.item["id"].as_str());
            }
            "response.output_item.done" => {
                let done: Output = parse(kind, data)?;
                let index = self.number(done.output_index, done.item["id"].as_str());
                self.output(index, done.item, events)?;
            }
            "response.completed" | "response.done" => {
                let Ended { response } = parse(kind, data)?;
                return self.end(response, StopReason::Finished, events);
            }
            "response.incomplete" => {
                let Ended { mut response } = parse(kind, data)?;
                let reason = response.incomplete_details.take().and_then(|details| details.reason);
                let stop = StopReason::Stopped(reason.unwrap_or_else(|| "incomplete".to_owned()));
                return self.end(response, stop, events);
            }
            "response.failed" => {
                let event: Value = parse(kind, data)?;
                return Err(Failure::reported(&event["response"]));
            }
            "error" => return Err(Failure::reported(&parse(kind, data)?)),
            "" => {
                // Servers that fail on the way send the body of a failed request as an event.
                let event: Value = parse(kind, data)?;
                if event.get("error").is_some() {
                    return Err(Failure::reported(&event));
                }
                return Err(Failure::malformed("An event has no type".to_owned()));
            }
            other => trace!(kind = other, "an event that tells nothing new"),
        }
        Ok(Progress::Open)
    }

    /// `response.completed` said everything.
    fn close(&mut self, _sent: &Bytes, _events: &mut VecDeque<ModelEvent>) -> Option<Bytes> {
        None
    }
}

impl Decoder {
    /// For an answer whose reasoning is to be called so.
    pub(crate) fn new(wire_api: String) -> Self {
        Self { wire_api, ..Self::default() }
    }

    /// For the object that stands for a conversation.
    pub(crate) fn of_compaction(wire_api: String) -> Self {
        Self { wire_api, what: What::Compaction, ..Self::default() }
    }

    fn say(&mut self, index: u32, kind: Kind, text: String, events: &mut VecDeque<ModelEvent>) {
        if text.is_empty() || self.done.contains(&index) {
            return;
        }
        let (known, said) = self.open.entry(index).or_insert_with(|| (kind, String::new()));
        if *known != kind {
            debug!(index, "left out text of an output that is of another kind");
            return;
        }
        said.push_str(&text);
        events.push_back(match kind {
            Kind::Message => ModelEvent::TextDelta { index, text },
            Kind::Reasoning => ModelEvent::SummaryDelta { index, text },
        });
    }

    fn summary_delta(&mut self, delta: Delta, events: &mut VecDeque<ModelEvent>) {
        let index = self.number(delta.output_index, delta.item_id.as_deref());
        if delta.delta.is_empty() {
            return;
        }
        let part = (index, delta.summary_index);
        let before = self.summary.replace(part);
        let is_next_part = before.is_some_and(|before| before.0 == index && before != part);
        let text = if is_next_part { format!("{PART_BREAK}{}", delta.delta) } else { delta.delta };
        self.say(index, Kind::Reasoning, text, events);
    }

    /// An output that is complete.
    fn output(&mut self, index: u32, item: Value, events: &mut VecDeque<ModelEvent>) -> Result<(), Failure> {
        if self.done.contains(&index) {
            debug!(index, "left out an output that came twice");
            return Ok(());
        }
        let Some(item) = output_item(item, &self.wire_api)? else { return Ok(()) };
        if let Some((index, call)) = self.broken.take() {
            // Something comes behind it, so the model itself wrote that.
            self.complete(index, &OutputItem::ToolCall(call), events);
        }
        match item {
            OutputItem::ToolCall(call) if breaks_off(&call) => self.broken = Some((index, call)),
            item @ (OutputItem::ToolCall(_)
            | OutputItem::Message(_)
            | OutputItem::Reasoning { .. }
            | OutputItem::WebSearch(_)
            | OutputItem::Compaction(_)) => {
                self.complete(index, &item, events);
            }
        }
        Ok(())
    }

    fn complete(&mut self, mut index: u32, item: &OutputItem, events: &mut VecDeque<ModelEvent>) {
        let (kind, whole) = match item {
            OutputItem::Message(text) => (Some(Kind::Message), text.as_str()),
            OutputItem::Reasoning { summary, .. } => (Some(Kind::Reasoning), summary.as_str()),
            OutputItem::ToolCall(_) | OutputItem::WebSearch(_) | OutputItem::Compaction(_) => (None, ""),
        };
        let mut item = item.clone();
        match self.open.remove(&index) {
            Some((open, said)) if Some(open) == kind => {
                let said = match whole.strip_prefix(said.as_str()) {
                    Some(rest) => {
                        let rest = rest.to_owned();
                        let delta = match open {
                            Kind::Message => ModelEvent::TextDelta { index, text: rest.clone() },
                            Kind::Reasoning => ModelEvent::SummaryDelta { index, text: rest.clone() },
                        };
                        events.extend((!rest.is_empty()).then_some(delta));
                        said + &rest
                    }
                    None => {
                        debug!(index, "the deltas of an output are not what it is as a whole");
                        said
                    }
                };
                match &mut item {
                    OutputItem::Message(text) | OutputItem::Reasoning { summary: text, .. } => *text = said,
                    OutputItem::ToolCall(_) | OutputItem::WebSearch(_) | OutputItem::Compaction(_) => {}
                }
            }
            Some(other) => {
                self.open.insert(index, other);
                self.end_open(index, events);
                index = self.fresh();
            }
            None => {}
        }
        self.done.insert(index);
        events.push_back(ModelEvent::OutputItem { index, item });
    }

    /// Ends an output of which only deltas came.
    fn end_open(&mut self, index: u32, events: &mut VecDeque<ModelEvent>) {
        let Some((kind, said)) = self.open.remove(&index) else { return };
        let item = match kind {
            Kind::Message => OutputItem::Message(said),
            Kind::Reasoning => OutputItem::Reasoning { summary: said, opaque: None },
        };
        self.done.insert(index);
        events.push_back(ModelEvent::OutputItem { index, item });
    }

    fn end(
        &mut self,
        response: Response,
        stop: StopReason,
        events: &mut VecDeque<ModelEvent>,
    ) -> Result<Progress, Failure> {
        if self.done.is_empty() && self.open.is_empty() && self.broken.is_none() {
            // Servers that don't stream tell all at the end.
            for item in response.output {
                let index = self.fresh();
                self.output(index, item, events)?;
            }
        }
        for index in self.open.keys().copied().collect::<Vec<_>>() {
            self.end_open(index, events);
        }
        let stop = match self.broken.take() {
            // Half a call must not run. Servers that were stopped by length and don't say so end here.
            Some((_, call)) => {
                debug!(name = call.name, "left out a call that was cut short");
                if stop == StopReason::Finished { StopReason::Stopped(CUT.to_owned()) } else { stop }
            }
            None => stop,
        };
        events.push_back(completed(response.usage, stop));
        Ok(Progress::Over)
    }

    /// A number that no output has.
    fn fresh(&mut self) -> u32 {
        let used = self.outputs.iter().map(|(_, number)| *number).chain(self.done.iter().copied());
        let number = used.max().map_or(0, |number| number.saturating_add(1));
        self.outputs.push((String::new(), number));
        number
    }

    /// The number of an output: as the provider says, or as the output was seen first.
    fn number(&mut self, given: Option<u32>, id: Option<&str>) -> u32 {
        let id = id.unwrap_or_default();
        let known = self.outputs.iter().find(|(known, _)| known == id).map(|(_, number)| *number);
        if let Some(number) = known.filter(|number| given.is_none_or(|given| given == *number)) {
            return number;
        }
        let next =
            || self.outputs.iter().map(|(_, number)| number.saturating_add(1)).max().unwrap_or_default();
        let number = given.unwrap_or_else(next);
        self.outputs.push((id.to_owned(), number));
        number
    }
}

/// Why an answer ended whose last call breaks off.
const CUT: &str = "max_output_tokens";

/// Whether the arguments of a call end before they are whole.
fn breaks_off(call: &ToolCall) -> bool {
    let CallInput::Json(arguments) = &call.input else { return false };
    let is_begun = arguments.trim_start().starts_with('{');
    is_begun && serde_json::from_str::<&RawValue>(arguments).is_err_and(|error| error.is_eof())
}

/// What stands between the parts of a summary.
const PART_BREAK: &str = "\n\n";

fn parse<'a, T: Deserialize<'a>>(kind: &str, data: &'a str) -> Result<T, Failure> {
    serde_json::from_str(data).map_err(|error| unreadable(kind, &error))
}

fn unreadable(kind: &str, error: &serde_json::Error) -> Failure {
    let which = if kind.is_empty() { "An event".to_owned() } else { format!("The event `{kind}`") };
    Failure::malformed(format!("{which} can't be read: {error}"))
}

/// An output that is complete; `None` if it is of a kind that is not known or was cut short.
fn output_item(item: Value, wire_api: &str) -> Result<Option<OutputItem>, Failure> {
    let kind = item["type"].as_str().unwrap_or_default().to_owned();
    let is_call = kind == "function_call" || kind == "custom_tool_call";
    if is_call && item["status"] == "incomplete" {
        // Half a call must not run.
        debug!(kind, "left out a call that was cut short");
        return Ok(None);
    }
    let wrong = |error| unreadable("response.output_item.done", &error);
    Ok(Some(match kind.as_str() {
        "message" => {
            let message: Message = serde_json::from_value(item).map_err(wrong)?;
            let cited = message.content.iter().filter_map(|part| part.annotations.as_array()).flatten();
            let cited = cited.filter(|one| one["type"] == "url_citation");
            let sources: Vec<_> = cited.filter_map(|one| searches::source(one, "url")).collect();
            let text: String = message.content.into_iter().filter_map(Part::into_text).collect();
            let links = searches::links(&text, sources);
            OutputItem::Message(text + &links)
        }
        "reasoning" => reasoning(item, wire_api).map_err(wrong)?,
        "web_search_call" if item["action"].is_object() => OutputItem::WebSearch(web_search(item, wire_api)),
        "function_call" => {
            let FunctionCall { call_id, name, arguments } = serde_json::from_value(item).map_err(wrong)?;
            OutputItem::ToolCall(ToolCall { call_id, name, input: CallInput::Json(arguments) })
        }
        "custom_tool_call" => {
            let CustomToolCall { call_id, name, input } = serde_json::from_value(item).map_err(wrong)?;
            OutputItem::ToolCall(ToolCall { call_id, name, input: CallInput::Freeform(input) })
        }
        _ => {
            debug!(kind, "left out an output of a kind that is not known");
            return Ok(None);
        }
    }))
}

/// A search, or a page that was read (OpenAI API reference, "Web search tool call"). It goes back without what it
/// found, which the model has read.
fn web_search(mut item: Value, wire_api: &str) -> WebSearch {
    let status = item["status"].as_str().unwrap_or("completed").to_owned();
    let action = &mut item["action"];
    let sources: Vec<_> = match action.as_object_mut().and_then(|fields| fields.remove("sources")) {
        Some(Value::Array(all)) => all.iter().filter_map(|one| searches::source(one, "url")).collect(),
        Some(_) | None => Vec::new(),
    };
    let text = |name: &str| action[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let mut queries: Vec<_> = searches::texts(&action["queries"]).collect();
    if queries.is_empty() {
        queries.extend(text("query").or_else(|| text("pattern")));
    }
    let page = text("url").map(searches::bounded);
    let message = (status != "completed").then(|| searches::bounded(status));
    let opaque = OpaqueReasoning { wire_api: wire_api.to_owned(), item };
    WebSearch { page, message, ..searches::told(queries, sources, Some(opaque)) }
}

fn reasoning(mut item: Value, wire_api: &str) -> Result<OutputItem, serde_json::Error> {
    let parts = Reasoning::deserialize(&item)?.summary;
    let texts: Vec<String> = parts.into_iter().filter_map(Part::into_text).collect();
    if let Some(fields) = item.as_object_mut() {
        // `null` is a way to send nothing that is not taken back.
        fields.retain(|_, value| !value.is_null());
    }
    // Nothing is stored, so what has no content of its own can't be found again.
    let is_encrypted = item["encrypted_content"].as_str().is_some_and(|content| !content.is_empty());
    let has_content = is_encrypted || item["content"].is_array();
    let opaque = has_content.then(|| OpaqueReasoning { wire_api: wire_api.to_owned(), item });
    Ok(OutputItem::Reasoning { summary: texts.join(PART_BREAK), opaque })
}

impl Part {
    fn into_text(self) -> Option<String> {
        self.text.or(self.refusal).filter(|text| !text.is_empty())
    }
}

pub(super) fn completed(tokens: Option<Tokens>, stop: StopReason) -> ModelEvent {
    let usage = tokens.map_or_else(Usage::default, |tokens| Usage {
        input_tokens: tokens.input_tokens,
        cached_input_tokens: tokens.input_tokens_details.map_or(0, |details| details.cached_tokens),
        cache_write_input_tokens: 0,
        output_tokens: tokens.output_tokens,
        reasoning_output_tokens: tokens.output_tokens_details.map_or(0, |details| details.reasoning_tokens),
    });
    ModelEvent::Completed { usage, stop }
}

#[cfg(test)]
mod tests;

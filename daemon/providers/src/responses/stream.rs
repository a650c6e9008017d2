//! The events of an answer, one at a time (OpenAI API reference, "Responses", streaming events). Knows the events,
//! nothing of where they come from. Lenient where servers differ: the number of an output may be missing, unknown
//! events and outputs are left out.

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::Bytes;
use model::event::{ModelEvent, OutputItem, StopReason};
use protocol::item::OpaqueReasoning;
use protocol::model::Usage;
use protocol::tool::{CallInput, ToolCall};
use serde::Deserialize;
use serde_json::Value;
use tracing::{debug, trace};

use crate::failure::Failure;
use crate::responses::WIRE_API;
use crate::wire_api::{Progress, Reader};

/// Reads the events of one answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoder {
    /// The ids of the outputs so far, with their numbers.
    outputs: Vec<(String, u32)>,
    /// The output and the part of it that the last piece of a summary belonged to.
    summary: Option<(u32, u32)>,
}

/// What every event has.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
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
    usage: Option<Tokens>,
    incomplete_details: Option<Incomplete>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
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
        let event = self.event(data)?;
        let is_last = matches!(event, Some(ModelEvent::Completed { .. }));
        events.extend(event);
        Ok(if is_last { Progress::Over } else { Progress::Open })
    }

    /// `response.completed` said everything.
    fn close(&mut self, _sent: &Bytes, _events: &mut VecDeque<ModelEvent>) -> Option<Bytes> {
        None
    }
}

impl Decoder {
    /// What the data of an event means; `None` if nothing.
    fn event(&mut self, data: &str) -> Result<Option<ModelEvent>, Failure> {
        // The end mark of another API, which some servers send here too.
        if data == "[DONE]" {
            return Ok(None);
        }
        let head: Head<'_> = parse("", data)?;
        let kind = head.kind.as_deref().unwrap_or_default();
        match kind {
            "response.output_text.delta" | "response.refusal.delta" => {
                let delta: Delta = parse(kind, data)?;
                let index = self.number(delta.output_index, delta.item_id.as_deref());
                Ok((!delta.delta.is_empty()).then_some(ModelEvent::TextDelta { index, text: delta.delta }))
            }
            "response.reasoning_summary_text.delta" => Ok(self.summary_delta(parse(kind, data)?)),
            "response.output_item.added" => {
                // Only for its number, which later events may leave out.
                let added: Output = parse(kind, data)?;
                self.number(added.output_index, added.item["id"].as_str());
                Ok(None)
            }
            "response.output_item.done" => {
                let done: Output = parse(kind, data)?;
                let index = self.number(done.output_index, done.item["id"].as_str());
                Ok(output_item(done.item)?.map(|item| ModelEvent::OutputItem { index, item }))
            }
            "response.completed" => {
                let Ended { response } = parse(kind, data)?;
                Ok(Some(completed(response.usage, StopReason::Finished)))
            }
            "response.incomplete" => {
                let Ended { response } = parse(kind, data)?;
                let reason = response.incomplete_details.and_then(|details| details.reason);
                let stop = StopReason::Stopped(reason.unwrap_or_else(|| "incomplete".to_owned()));
                Ok(Some(completed(response.usage, stop)))
            }
            "response.failed" => {
                let event: Value = parse(kind, data)?;
                Err(Failure::reported(&event["response"]))
            }
            "error" => Err(Failure::reported(&parse(kind, data)?)),
            "" => {
                // Servers that fail on the way send the body of a failed request as an event.
                let event: Value = parse(kind, data)?;
                if event.get("error").is_some() {
                    Err(Failure::reported(&event))
                } else {
                    Err(Failure::malformed("An event has no type".to_owned()))
                }
            }
            other => {
                trace!(kind = other, "an event that tells nothing new");
                Ok(None)
            }
        }
    }

    fn summary_delta(&mut self, delta: Delta) -> Option<ModelEvent> {
        let index = self.number(delta.output_index, delta.item_id.as_deref());
        if delta.delta.is_empty() {
            return None;
        }
        let part = (index, delta.summary_index);
        let before = self.summary.replace(part);
        let is_next_part = before.is_some_and(|before| before.0 == index && before != part);
        let text = if is_next_part { format!("{PART_BREAK}{}", delta.delta) } else { delta.delta };
        Some(ModelEvent::SummaryDelta { index, text })
    }

    /// The number of an output: as the provider says, or as the output was seen first.
    fn number(&mut self, given: Option<u32>, id: Option<&str>) -> u32 {
        let id = id.unwrap_or_default();
        let known = self.outputs.iter().find(|(known, _)| known == id).map(|(_, number)| *number);
        if let Some(number) = known.filter(|number| given.is_none_or(|given| given == *number)) {
            return number;
        }
        let next = || self.outputs.iter().map(|(_, number)| number + 1).max().unwrap_or_default();
        let number = given.unwrap_or_else(next);
        self.outputs.push((id.to_owned(), number));
        number
    }
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
fn output_item(item: Value) -> Result<Option<OutputItem>, Failure> {
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
            OutputItem::Message(message.content.into_iter().filter_map(Part::into_text).collect())
        }
        "reasoning" => reasoning(item).map_err(wrong)?,
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

fn reasoning(mut item: Value) -> Result<OutputItem, serde_json::Error> {
    let parts = Reasoning::deserialize(&item)?.summary;
    let texts: Vec<String> = parts.into_iter().filter_map(Part::into_text).collect();
    if let Some(fields) = item.as_object_mut() {
        // `null` is a way to send nothing that is not taken back.
        fields.retain(|_, value| !value.is_null());
    }
    // Nothing is stored, so what has no content of its own can't be found again.
    let has_content = item["encrypted_content"].is_string() || item["content"].is_array();
    let opaque = has_content.then(|| OpaqueReasoning { wire_api: WIRE_API.to_owned(), item });
    Ok(OutputItem::Reasoning { summary: texts.join(PART_BREAK), opaque })
}

impl Part {
    fn into_text(self) -> Option<String> {
        self.text.or(self.refusal).filter(|text| !text.is_empty())
    }
}

fn completed(tokens: Option<Tokens>, stop: StopReason) -> ModelEvent {
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

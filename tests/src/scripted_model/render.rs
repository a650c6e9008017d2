//! Turns an answer into the bytes of its stream (OpenAI API reference, "Responses", streaming events). Knows
//! the events' shapes, nothing of connections.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::scripted_model::reply::{Answer, Ending, Output, Piecewise, Point, Then, Usage};
use crate::scripted_model::request::Request;
use crate::scripted_model::sse::Events;

/// The bytes of a stream, as they are to be sent, and what comes after them.
pub(crate) struct Rendered {
    pub(crate) frames: Vec<Bytes>,
    pub(crate) then: Then,
}

/// Renders an answer to a request.
pub(crate) fn render(answer: &Answer, request: &Request) -> Rendered {
    let mut renderer = Renderer::new(answer, request);
    renderer.opening();
    for (index, piecewise) in answer.outputs.iter().enumerate() {
        renderer.output(index, piecewise);
    }
    renderer.ending(&answer.ending, answer.usage);
    let middle = renderer.middle_of_last;
    let (bytes, ends) = renderer.events.into_parts();
    let (until, then) = match answer.breaks {
        None => (bytes.len(), Then::End),
        Some((point, then)) => (break_at(point, &ends, middle), then),
    };
    Rendered { frames: frames(bytes.slice(..until), &ends, answer), then }
}

/// The byte at which a stream breaks off.
fn break_at(point: Point, ends: &[usize], middle_of_last: usize) -> usize {
    let end_of = |count: usize| match count.min(ends.len()).checked_sub(1) {
        Some(last) => ends[last],
        None => 0,
    };
    match point {
        Point::Events(count) => end_of(count),
        Point::MiddleOfLastOutput => end_of(middle_of_last),
        Point::InsideEvent(number) => usize::midpoint(end_of(number), end_of(number + 1)),
    }
}

/// Cuts the bytes into what is sent at once.
fn frames(bytes: Bytes, ends: &[usize], answer: &Answer) -> Vec<Bytes> {
    if bytes.is_empty() {
        return Vec::new();
    }
    if let Some(size) = answer.style.chunk_bytes {
        let size = size.max(1);
        let starts = (0..bytes.len()).step_by(size);
        return starts.map(|start| bytes.slice(start..bytes.len().min(start + size))).collect();
    }
    if answer.pause.is_none() && answer.pace.is_none() {
        return vec![bytes];
    }
    let mut frames = Vec::with_capacity(ends.len());
    let mut start = 0;
    for end in ends.iter().map(|end| (*end).min(bytes.len())) {
        if end > start {
            frames.push(bytes.slice(start..end));
            start = end;
        }
    }
    frames
}

struct Renderer<'a> {
    events: Events,
    number: usize,
    model: &'a str,
    wants_encrypted: bool,
    /// The outputs that are complete.
    done: Vec<Value>,
    /// How many events there were in the middle of the last output.
    middle_of_last: usize,
}

impl<'a> Renderer<'a> {
    fn new(answer: &Answer, request: &'a Request) -> Self {
        let deltas: usize = answer.outputs.iter().map(|output| output.pieces).sum();
        Self {
            events: Events::new(answer.style, 4096 + deltas * 224),
            number: request.number,
            model: request.json()["model"].as_str().unwrap_or_default(),
            wants_encrypted: request.wants_encrypted_reasoning(),
            done: Vec::new(),
            middle_of_last: 0,
        }
    }

    /// The response object in some state of its life.
    fn response(&self, status: &str) -> Value {
        json!({
            "id": format!("resp_{:08x}", self.number),
            "object": "response",
            "created_at": 1_700_000_000 + self.number,
            "status": status,
            "background": false,
            "error": null,
            "incomplete_details": null,
            "model": self.model,
            "output": self.done,
            "parallel_tool_calls": true,
            "store": false,
            "usage": null,
            "metadata": {},
        })
    }

    fn opening(&mut self) {
        let response = self.response("in_progress");
        for kind in ["response.created", "response.in_progress"] {
            self.events.event(kind, |fields| fields.value("response", &response));
        }
    }

    fn output(&mut self, index: usize, piecewise: &Piecewise) {
        let pieces = piecewise.pieces;
        match &piecewise.output {
            Output::Message { text } => self.message(text, pieces),
            Output::Reasoning { summary, encrypted } => self.reasoning(summary, encrypted.as_deref(), pieces),
            Output::Function { call_id, name, arguments } => {
                self.call(Call::FUNCTION, index, call_id.as_deref(), name, arguments, pieces);
            }
            Output::Freeform { call_id, name, input } => {
                self.call(Call::FREEFORM, index, call_id.as_deref(), name, input, pieces);
            }
            Output::Event(event) => {
                let mut event = event.clone();
                event["sequence_number"] = self.events.count().into();
                let kind = event["type"].as_str().map(str::to_owned);
                self.events.raw(kind.as_deref(), &event.to_string());
                self.middle_of_last = self.events.count();
            }
            Output::Raw(data) => {
                self.events.raw(None, data);
                self.middle_of_last = self.events.count();
            }
        }
    }

    fn message(&mut self, text: &str, pieces: usize) {
        let id = self.item_id("msg");
        let item = |status: &str, content: Value| json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content});
        let part =
            |text: &str| json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text});
        self.added(&item("in_progress", json!([])));
        self.located("response.content_part.added", &id, "content_index", |fields| {
            fields.value("part", &part(""));
        });
        self.deltas("response.output_text.delta", &id, Some("content_index"), text, pieces);
        self.located("response.output_text.done", &id, "content_index", |fields| fields.text("text", text));
        let complete = part(text);
        self.located("response.content_part.done", &id, "content_index", |fields| {
            fields.value("part", &complete);
        });
        self.finished(item("completed", json!([complete])));
    }

    fn reasoning(&mut self, summary: &[String], encrypted: Option<&str>, pieces: usize) {
        let id = self.item_id("rs");
        self.added(&json!({"id": id, "type": "reasoning", "summary": []}));
        let index = self.done.len() as u64;
        let mut parts = Vec::with_capacity(summary.len());
        for (number, text) in summary.iter().enumerate() {
            let mut event = |kind: &str, name: &'static str, value: &Value| {
                self.events.event(kind, |fields| {
                    fields.text("item_id", &id);
                    fields.number("output_index", index);
                    fields.number("summary_index", number as u64);
                    fields.value(name, value);
                });
            };
            let part = |text: &str| json!({"type": "summary_text", "text": text});
            event("response.reasoning_summary_part.added", "part", &part(""));
            let all = split(text, pieces);
            for piece in &all {
                event("response.reasoning_summary_text.delta", "delta", &json!(piece));
            }
            event("response.reasoning_summary_text.done", "text", &json!(text));
            event("response.reasoning_summary_part.done", "part", &part(text));
            parts.push(part(text));
        }
        self.middle_of_last = self.events.count();
        let mut item = json!({"id": id, "type": "reasoning", "summary": parts});
        if let (Some(encrypted), true) = (encrypted, self.wants_encrypted) {
            item["encrypted_content"] = encrypted.into();
        }
        self.finished(item);
    }

    fn call(
        &mut self,
        call: Call,
        index: usize,
        call_id: Option<&str>,
        name: &str,
        input: &str,
        pieces: usize,
    ) {
        let id = self.item_id(call.prefix);
        let made_up = format!("call_{}_{index}", self.number);
        let call_id = call_id.unwrap_or(&made_up);
        let item = |status: &str, input: &str| {
            let mut item =
                json!({"id": id, "type": call.kind, "status": status, "call_id": call_id, "name": name});
            item[call.field] = input.into();
            item
        };
        self.added(&item("in_progress", ""));
        self.deltas(call.delta, &id, None, input, pieces);
        let index = self.done.len() as u64;
        self.events.event(call.done, |fields| {
            fields.text("item_id", &id);
            fields.number("output_index", index);
            if call.kind == Call::FUNCTION.kind {
                fields.text("name", name);
            }
            fields.text(call.field, input);
        });
        self.finished(item("completed", input));
    }

    /// The deltas of a text. `part` is the field, if any, that numbers the part of the item; it is always 0.
    fn deltas(&mut self, kind: &str, id: &str, part: Option<&'static str>, text: &str, pieces: usize) {
        let index = self.done.len() as u64;
        let all = split(text, pieces);
        let before = self.events.count();
        for piece in &all {
            self.events.event(kind, |fields| {
                fields.text("item_id", id);
                fields.number("output_index", index);
                if let Some(part) = part {
                    fields.number(part, 0);
                }
                fields.text("delta", piece);
            });
        }
        self.middle_of_last = before + all.len() / 2;
    }

    fn located(
        &mut self,
        kind: &str,
        id: &str,
        part: &'static str,
        fill: impl FnOnce(&mut crate::scripted_model::sse::Fields<'_>),
    ) {
        let index = self.done.len() as u64;
        self.events.event(kind, |fields| {
            fields.text("item_id", id);
            fields.number("output_index", index);
            fields.number(part, 0);
            fill(fields);
        });
    }

    fn added(&mut self, item: &Value) {
        let index = self.done.len() as u64;
        self.events.event("response.output_item.added", |fields| {
            fields.number("output_index", index);
            fields.value("item", item);
        });
    }

    fn finished(&mut self, item: Value) {
        let index = self.done.len() as u64;
        self.events.event("response.output_item.done", |fields| {
            fields.number("output_index", index);
            fields.value("item", &item);
        });
        self.done.push(item);
    }

    fn ending(&mut self, ending: &Ending, usage: Usage) {
        let (kind, response) = match ending {
            Ending::Missing => return,
            Ending::Error { code, message } => {
                return self.events.event("error", |fields| {
                    fields.text("code", code);
                    fields.text("message", message);
                    fields.value("param", &Value::Null);
                });
            }
            Ending::Completed => {
                let mut response = self.response("completed");
                response["usage"] = usage_value(usage);
                ("response.completed", response)
            }
            Ending::Incomplete(reason) => {
                let mut response = self.response("incomplete");
                response["usage"] = usage_value(usage);
                response["incomplete_details"] = json!({"reason": reason});
                ("response.incomplete", response)
            }
            Ending::Failed { code, message } => {
                let mut response = self.response("failed");
                response["error"] = json!({"code": code, "message": message});
                ("response.failed", response)
            }
        };
        self.events.event(kind, |fields| fields.value("response", &response));
    }

    fn item_id(&self, prefix: &str) -> String {
        format!("{prefix}_{:08x}{:04x}", self.number, self.done.len())
    }
}

/// What differs between the two kinds of calls.
#[derive(Clone, Copy)]
struct Call {
    kind: &'static str,
    prefix: &'static str,
    field: &'static str,
    delta: &'static str,
    done: &'static str,
}

impl Call {
    const FUNCTION: Self = Self {
        kind: "function_call",
        prefix: "fc",
        field: "arguments",
        delta: "response.function_call_arguments.delta",
        done: "response.function_call_arguments.done",
    };
    const FREEFORM: Self = Self {
        kind: "custom_tool_call",
        prefix: "ctc",
        field: "input",
        delta: "response.custom_tool_call_input.delta",
        done: "response.custom_tool_call_input.done",
    };
}

fn usage_value(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    })
}

/// Splits a text at character boundaries into at most so many pieces, none of them empty.
fn split(text: &str, pieces: usize) -> Vec<&str> {
    let mut all = Vec::with_capacity(pieces.min(text.len()));
    let mut rest = text;
    for left in (1..=pieces.max(1)).rev() {
        if rest.is_empty() {
            break;
        }
        let mut at = if left == 1 { rest.len() } else { (rest.len() / left).max(1) };
        while !rest.is_char_boundary(at) {
            at += 1;
        }
        let (piece, next) = rest.split_at(at);
        all.push(piece);
        rest = next;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_evenly_and_only_between_characters() {
        assert_eq!(split("abcdefgh", 3), ["ab", "cde", "fgh"]);
        assert_eq!(split("é漢", 9), ["é", "漢"]);
        assert_eq!(split("", 3), [""; 0]);
        assert_eq!(split("abc", 0), ["abc"]);
    }

    #[test]
    fn a_break_inside_an_event_leaves_half_of_it() {
        assert_eq!(break_at(Point::InsideEvent(1), &[10, 20, 30], 0), 15);
        assert_eq!(break_at(Point::Events(0), &[10, 20, 30], 0), 0);
        assert_eq!(break_at(Point::Events(9), &[10, 20, 30], 0), 30);
    }
}

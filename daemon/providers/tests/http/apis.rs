//! All wire APIs side by side: how each says the same answer.

use serde_json::{Value, json};

use crate::Make;

/// A wire API.
pub(crate) struct Api {
    pub(crate) name: &'static str,
    pub(crate) make: Make,
    /// An answer as the data of its events.
    pub(crate) say: fn(&Answer) -> Vec<String>,
}

pub(crate) const APIS: [Api; 4] = [
    Api { name: "responses", make: providers::responses, say: responses },
    Api { name: "chat", make: providers::chat_completions, say: chat },
    Api { name: "messages", make: providers::messages, say: messages },
    Api { name: "gemini", make: providers::gemini, say: gemini },
];

/// What a model says.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    pub(crate) reasoning: Option<&'static str>,
    pub(crate) text: Option<String>,
    /// Ids, names and arguments; of `apply_patch` the text.
    pub(crate) calls: Vec<(String, &'static str, String)>,
    pub(crate) end: End,
}

/// How it ends.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum End {
    #[default]
    Finished,
    Length,
    Refusal,
}

pub(crate) fn says(text: &str) -> Answer {
    Answer { text: Some(text.into()), ..Answer::default() }
}

pub(crate) fn calls(calls: &[(&str, &'static str, &str)]) -> Answer {
    let call = |(id, name, input): &(&str, &'static str, &str)| ((*id).into(), *name, (*input).into());
    Answer { calls: calls.iter().map(call).collect(), ..Answer::default() }
}

/// A text in two pieces.
fn halves(text: &str) -> [&str; 2] {
    let (a, b) = text.split_at(text.floor_char_boundary(text.len() / 2));
    [a, b]
}

/// The arguments of a call where there are only functions.
fn arguments(name: &str, input: &str) -> String {
    if name == "apply_patch" { json!({"input": input}).to_string() } else { input.to_owned() }
}

fn responses(answer: &Answer) -> Vec<String> {
    let mut events = vec![json!({"type": "response.created", "response": {}})];
    let mut index = 0;
    let mut done = |item: Value, events: &mut Vec<Value>| {
        events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
        index += 1;
    };
    if let Some(text) = answer.reasoning {
        events
            .push(json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": text}));
        let summary = [json!({"type": "summary_text", "text": text})];
        done(json!({"type": "reasoning", "summary": summary, "encrypted_content": "sealed"}), &mut events);
    }
    if let Some(text) = &answer.text {
        let at = u32::from(answer.reasoning.is_some());
        let (kind, part) = if answer.end == End::Refusal {
            ("response.refusal.delta", json!({"type": "refusal", "refusal": text}))
        } else {
            ("response.output_text.delta", json!({"type": "output_text", "text": text}))
        };
        for half in halves(text) {
            events.push(json!({"type": kind, "output_index": at, "delta": half}));
        }
        done(json!({"type": "message", "role": "assistant", "content": [part]}), &mut events);
    }
    for (id, name, input) in &answer.calls {
        let item = if *name == "apply_patch" {
            json!({"type": "custom_tool_call", "call_id": id, "name": name, "input": input})
        } else {
            json!({"type": "function_call", "call_id": id, "name": name, "arguments": input})
        };
        done(item, &mut events);
    }
    let usage = json!({"input_tokens": 7, "output_tokens": 2});
    events.push(if answer.end == End::Length {
        let details = json!({"reason": "max_output_tokens"});
        json!({"type": "response.incomplete", "response": {"usage": usage, "incomplete_details": details}})
    } else {
        json!({"type": "response.completed", "response": {"usage": usage}})
    });
    events.iter().map(Value::to_string).collect()
}

fn chat(answer: &Answer) -> Vec<String> {
    let mut deltas = Vec::new();
    deltas.extend(answer.reasoning.map(|text| json!({"reasoning_content": text})));
    for half in answer.text.iter().flat_map(|text| halves(text)) {
        let field = if answer.end == End::Refusal { "refusal" } else { "content" };
        deltas.push(json!({field: half}));
    }
    for (index, (id, name, input)) in answer.calls.iter().enumerate() {
        let arguments = arguments(name, input);
        let [begin, rest] = halves(&arguments);
        let function = json!({"name": name, "arguments": begin});
        deltas.push(
            json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}),
        );
        deltas.push(json!({"tool_calls": [{"index": index, "function": {"arguments": rest}}]}));
    }
    let finish = match answer.end {
        End::Length => "length",
        End::Finished if !answer.calls.is_empty() => "tool_calls",
        End::Finished | End::Refusal => "stop",
    };
    let chunk = |delta: &Value| json!({"choices": [{"index": 0, "delta": delta}]}).to_string();
    let mut events: Vec<_> = deltas.iter().map(chunk).collect();
    events.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}).to_string());
    events.push(json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}).to_string());
    events.push("[DONE]".to_owned());
    events
}

fn messages(answer: &Answer) -> Vec<String> {
    let usage = json!({"input_tokens": 7, "output_tokens": 1});
    let mut events = vec![json!({"type": "message_start", "message": {"usage": usage}})];
    let mut index = 0;
    let mut block = |content: Value, deltas: Vec<Value>| {
        events.push(json!({"type": "content_block_start", "index": index, "content_block": content}));
        for delta in deltas {
            events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": index}));
        index += 1;
    };
    if let Some(text) = answer.reasoning {
        let sign = json!({"type": "signature_delta", "signature": "sealed"});
        let think = json!({"type": "thinking_delta", "thinking": text});
        block(json!({"type": "thinking", "thinking": "", "signature": ""}), vec![think, sign]);
    }
    if let Some(text) = &answer.text {
        let deltas = halves(text).map(|half| json!({"type": "text_delta", "text": half}));
        block(json!({"type": "text", "text": ""}), deltas.into());
    }
    for (id, name, input) in &answer.calls {
        let arguments = arguments(name, input);
        let deltas = halves(&arguments).map(|half| json!({"type": "input_json_delta", "partial_json": half}));
        block(json!({"type": "tool_use", "id": id, "name": name, "input": {}}), deltas.into());
    }
    let stop = match answer.end {
        End::Length => "max_tokens",
        End::Refusal => "refusal",
        End::Finished if !answer.calls.is_empty() => "tool_use",
        End::Finished => "end_turn",
    };
    events.push(
        json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 2}}),
    );
    events.push(json!({"type": "message_stop"}));
    events.iter().map(Value::to_string).collect()
}

fn gemini(answer: &Answer) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(text) = answer.reasoning {
        parts.push(json!({"text": text, "thought": true, "thoughtSignature": "sealed"}));
    }
    for half in answer.text.iter().flat_map(|text| halves(text)) {
        parts.push(json!({"text": half}));
    }
    for (id, name, input) in &answer.calls {
        let args: Value = serde_json::from_str(&arguments(name, input)).unwrap();
        parts.push(json!({"functionCall": {"id": id, "name": name, "args": args}}));
    }
    let stop = match answer.end {
        End::Finished => "STOP",
        End::Length => "MAX_TOKENS",
        End::Refusal => "SAFETY",
    };
    let chunk = |part: &Value| json!({"candidates": [{"content": {"role": "model", "parts": [part]}}]});
    let mut events: Vec<_> = parts.iter().map(chunk).collect();
    let usage = json!({"promptTokenCount": 7, "candidatesTokenCount": 2});
    events.push(json!({"candidates": [{"finishReason": stop}], "usageMetadata": usage}));
    events.iter().map(Value::to_string).collect()
}

//! All wire APIs side by side, for scenes that are played over each of them: how each says an answer, and a server that
//! says it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// A wire API.
pub(crate) struct Api {
    /// As the settings call it.
    pub(crate) name: &'static str,
    /// What stands before its paths.
    pub(crate) path: &'static str,
    /// Its word for an answer that grew too long.
    pub(crate) length: &'static str,
    /// Where a request holds the schema of its answer.
    pub(crate) schema: &'static str,
    /// The answer to one of its requests, by that one's number.
    say: fn(&Answer, usize) -> Vec<Value>,
}

pub(crate) const APIS: [Api; 4] = [
    Api {
        name: "responses",
        path: "/v1",
        length: "max_output_tokens",
        schema: "/text/format/schema",
        say: responses,
    },
    Api {
        name: "chat",
        path: "/v1",
        length: "length",
        schema: "/response_format/json_schema/schema",
        say: chat,
    },
    Api {
        name: "messages",
        path: "/v1",
        length: "max_tokens",
        schema: "/output_config/format/schema",
        say: messages,
    },
    Api {
        name: "gemini",
        path: "/v1beta",
        length: "MAX_TOKENS",
        schema: "/generationConfig/responseJsonSchema",
        say: gemini,
    },
];

/// What a model says.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    pub(crate) reasoning: Option<&'static str>,
    pub(crate) text: Option<&'static str>,
    /// Names and inputs; of `apply_patch` the text.
    pub(crate) calls: Vec<(&'static str, String)>,
    pub(crate) end: End,
}

/// How it ends.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) enum End {
    #[default]
    Finished,
    Length,
    Refusal,
    /// Never: nothing comes behind the first half of the text.
    Open,
}

/// A server that gives these answers, each to one request; it ends with the bodies that it was sent.
pub(crate) fn serve(api: &'static Api, answers: Vec<Answer>) -> (String, JoinHandle<Vec<Value>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let mut open = Vec::new();
        let mut received = Vec::new();
        for (at, answer) in answers.iter().enumerate() {
            let (mut stream, _) = listener.accept().unwrap();
            received.push(body_of(&stream));
            let events: String =
                (api.say)(answer, at).iter().map(|event| format!("data: {event}\n\n")).collect();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            // Who was interrupted does not listen.
            let _ = write!(stream, "{head}{events}");
            if answer.end == End::Open {
                open.push(stream);
            }
        }
        received
    });
    (format!("http://{address}{}", api.path), serving)
}

/// The id, the name and the input of each call. No other answer has the same ids.
fn calls(answer: &Answer, at: usize) -> impl Iterator<Item = (String, &'static str, &str)> {
    let calls = answer.calls.iter().enumerate();
    calls.map(move |(index, (name, input))| (format!("call_{at}_{index}"), *name, input.as_str()))
}

fn body_of(stream: &TcpStream) -> Value {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// A text in two pieces; the first one only, where the answer never ends.
fn pieces(answer: &Answer) -> Vec<&str> {
    let Some(text) = answer.text else { return Vec::new() };
    let (a, b) = text.split_at(text.floor_char_boundary(text.len() / 2));
    if answer.end == End::Open { vec![a] } else { vec![a, b] }
}

/// The arguments of a call where there are only functions.
fn arguments(name: &str, input: &str) -> String {
    if name == "apply_patch" { json!({"input": input}).to_string() } else { input.to_owned() }
}

fn responses(answer: &Answer, at: usize) -> Vec<Value> {
    let mut events = vec![json!({"type": "response.created", "response": {}})];
    let mut index = 0;
    let mut done = |item: Value, events: &mut Vec<Value>| {
        events.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
        index += 1;
    };
    if let Some(text) = answer.reasoning {
        let delta = "response.reasoning_summary_text.delta";
        events.push(json!({"type": delta, "output_index": 0, "delta": text}));
        let summary = [json!({"type": "summary_text", "text": text})];
        let item =
            json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "sealed"});
        done(item, &mut events);
    }
    if let Some(text) = answer.text {
        let place = u32::from(answer.reasoning.is_some());
        let (kind, part) = match answer.end {
            End::Refusal => ("response.refusal.delta", json!({"type": "refusal", "refusal": text})),
            End::Finished | End::Length | End::Open => {
                ("response.output_text.delta", json!({"type": "output_text", "text": text}))
            }
        };
        for piece in pieces(answer) {
            events.push(json!({"type": kind, "output_index": place, "delta": piece}));
        }
        if answer.end == End::Open {
            return events;
        }
        done(json!({"type": "message", "role": "assistant", "content": [part]}), &mut events);
    }
    for (id, name, input) in calls(answer, at) {
        let item = if name == "apply_patch" {
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
    events
}

fn chat(answer: &Answer, at: usize) -> Vec<Value> {
    let mut deltas = Vec::new();
    deltas.extend(answer.reasoning.map(|text| json!({"reasoning_content": text})));
    for piece in pieces(answer) {
        let field = if answer.end == End::Refusal { "refusal" } else { "content" };
        deltas.push(json!({field: piece}));
    }
    for (index, (id, name, input)) in calls(answer, at).enumerate() {
        let function = json!({"name": name, "arguments": arguments(name, input)});
        deltas.push(
            json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}),
        );
    }
    let chunk = |delta: &Value| json!({"choices": [{"index": 0, "delta": delta}]});
    let mut events: Vec<_> = deltas.iter().map(chunk).collect();
    let finish = match answer.end {
        End::Open => return events,
        End::Length => "length",
        End::Finished if !answer.calls.is_empty() => "tool_calls",
        End::Finished | End::Refusal => "stop",
    };
    events.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}));
    events.push(json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}));
    events
}

fn messages(answer: &Answer, at: usize) -> Vec<Value> {
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
    if answer.text.is_some() {
        let deltas = pieces(answer).into_iter().map(|piece| json!({"type": "text_delta", "text": piece}));
        block(json!({"type": "text", "text": ""}), deltas.collect());
    }
    for (id, name, input) in calls(answer, at) {
        let delta = json!({"type": "input_json_delta", "partial_json": arguments(name, input)});
        block(json!({"type": "tool_use", "id": id, "name": name, "input": {}}), vec![delta]);
    }
    let stop = match answer.end {
        End::Open => {
            // The block is still open, too.
            events.pop();
            return events;
        }
        End::Length => "max_tokens",
        End::Refusal => "refusal",
        End::Finished if !answer.calls.is_empty() => "tool_use",
        End::Finished => "end_turn",
    };
    let usage = json!({"output_tokens": 2});
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage}));
    events.push(json!({"type": "message_stop"}));
    events
}

fn gemini(answer: &Answer, at: usize) -> Vec<Value> {
    let mut parts = Vec::new();
    if let Some(text) = answer.reasoning {
        parts.push(json!({"text": text, "thought": true, "thoughtSignature": "sealed"}));
    }
    parts.extend(pieces(answer).into_iter().map(|piece| json!({"text": piece})));
    for (id, name, input) in calls(answer, at) {
        let args: Value = serde_json::from_str(&arguments(name, input)).unwrap();
        parts.push(json!({"functionCall": {"id": id, "name": name, "args": args}}));
    }
    let chunk = |part: &Value| json!({"candidates": [{"content": {"role": "model", "parts": [part]}}]});
    let mut events: Vec<_> = parts.iter().map(chunk).collect();
    let stop = match answer.end {
        End::Open => return events,
        End::Finished => "STOP",
        End::Length => "MAX_TOKENS",
        End::Refusal => "SAFETY",
    };
    let usage = json!({"promptTokenCount": 7, "candidatesTokenCount": 2});
    events.push(json!({"candidates": [{"finishReason": stop}], "usageMetadata": usage}));
    events
}

//! What the tests of all wire APIs share: a request with everything in it, and a reader that is fed.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use model::contract;
use model::event::{ModelEvent, OutputItem};
use model::request::{CallKind, InputContent, InputItem, ModelRequest};
use protocol::item::OpaqueReasoning;
use protocol::model::{ReasoningEffort, ReasoningSummary};
use protocol::tool::{CallInput, Grammar, ToolCall, ToolInput, ToolSpecification};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::settings::RequestOptions;
use crate::sse::Events;
use crate::wire_api::{Progress, Reader, WireApi};

/// A request with a function, a freeform tool and all settings but a schema of the answer.
pub(crate) fn request(model: &str, input: Vec<InputItem>) -> ModelRequest {
    let shell = ToolSpecification {
        name: "shell".into(),
        description: "Runs".into(),
        input: ToolInput::Json { schema: json!({"type": "object", "properties": {"b": {}, "a": {}}}) },
    };
    let grammar = Grammar { syntax: "lark".into(), definition: "start: /x/".into() };
    let patch = ToolSpecification {
        name: "apply_patch".into(),
        description: "Edits".into(),
        input: ToolInput::Freeform { grammar: Some(grammar) },
    };
    ModelRequest {
        model: model.into(),
        instructions: "Be \"good\".".into(),
        tools: vec![shell, patch].into(),
        input,
        reasoning_effort: Some(ReasoningEffort::High),
        reasoning_summary: Some(ReasoningSummary::Auto),
        output_schema: None,
        cache_key: "key".into(),
    }
}

/// The same with nothing that need not be.
pub(crate) fn bare_request(model: &str) -> ModelRequest {
    ModelRequest {
        instructions: "".into(),
        tools: Vec::new().into(),
        reasoning_effort: None,
        reasoning_summary: None,
        ..request(model, vec![user("hi")])
    }
}

pub(crate) fn user(text: &str) -> InputItem {
    InputItem::UserMessage(vec![InputContent::Text(text.into())])
}

pub(crate) fn agent(text: &str) -> InputItem {
    InputItem::AgentMessage(text.into())
}

pub(crate) fn reasoning(wire_api: &str, item: Value) -> InputItem {
    InputItem::Reasoning(OpaqueReasoning { wire_api: wire_api.into(), item })
}

pub(crate) fn call(id: &str, name: &str, input: CallInput) -> InputItem {
    InputItem::ToolCall(ToolCall { call_id: id.into(), name: name.into(), input })
}

pub(crate) fn output(id: &str, name: &str, kind: CallKind, output: &str) -> InputItem {
    InputItem::ToolOutput {
        call_id: id.into(),
        name: name.into(),
        kind,
        output: vec![InputContent::Text(output.into())],
    }
}

/// Two turns: an image, a step with two calls at once, one of them freeform, a step without, and another question.
/// `thought` is what the wire API under test made of the thinking before the calls.
pub(crate) fn conversation(thought: Option<InputItem>) -> Vec<InputItem> {
    let image = InputContent::Image { media_type: "image/png".into(), data: "aGk=".into() };
    let other = reasoning("other", json!({"type": "reasoning", "encrypted_content": "xyz"}));
    let begin = vec![InputItem::UserMessage(vec![InputContent::Text("hi\n".into()), image]), other];
    let rest = vec![
        agent("I look"),
        call("c1", "shell", CallInput::Json("{\"b\": 1, \"a\":\"é\"}".into())),
        call("c2", "apply_patch", CallInput::Freeform("*** Begin".into())),
        output("c1", "shell", CallKind::Json, "done"),
        output("c2", "apply_patch", CallKind::Freeform, ""),
        agent("Done"),
        user("more"),
    ];
    begin.into_iter().chain(thought).chain(rest).collect()
}

/// A conversation in which two tools were called at once, and show images: one beside a text, one nothing else.
pub(crate) fn showing() -> Vec<InputItem> {
    let image = |data: &str| InputContent::Image { media_type: "image/png".into(), data: data.into() };
    let shows = |id: &str, output| InputItem::ToolOutput {
        call_id: id.into(),
        name: "look".into(),
        kind: CallKind::Json,
        output,
    };
    vec![
        user("look"),
        call("c1", "look", CallInput::Json("{}".into())),
        call("c2", "look", CallInput::Json("{}".into())),
        shows("c1", vec![InputContent::Text("seen".into()), image("aGk=")]),
        shows("c2", vec![image("aG8=")]),
        agent("Nice"),
        user("more"),
    ]
}

/// The body as text.
pub(crate) fn body(api: &impl WireApi, request: &ModelRequest) -> String {
    body_with(api, request, &RequestOptions::default())
}

/// The body with options as text.
pub(crate) fn body_with(api: &impl WireApi, request: &ModelRequest, options: &RequestOptions) -> String {
    String::from_utf8(api.body(request, options).unwrap().to_vec()).unwrap()
}

/// All requests of a conversation: those that end with what a person or a tool says, and the whole one.
pub(crate) fn requests_along(api: &impl WireApi, request: &ModelRequest) -> Vec<String> {
    let input = &request.input;
    let is_asked = |length: usize| {
        let is_answer =
            |item: &InputItem| !matches!(item, InputItem::UserMessage(_) | InputItem::ToolOutput { .. });
        !is_answer(&input[length - 1])
            && input.get(length).is_none_or(|next| !matches!(next, InputItem::ToolOutput { .. }))
    };
    let lengths = (1..=input.len()).filter(|length| is_asked(*length));
    let shortened = |length: usize| ModelRequest { input: input[..length].to_vec(), ..request.clone() };
    lengths.map(|length| body(api, &shortened(length))).collect()
}

/// Checks that each text, without the brackets that end it, begins the next.
pub(crate) fn assert_prefixes(texts: &[String]) {
    assert!(texts.len() >= 3, "a conversation has several requests");
    for pair in texts.windows(2) {
        let beginning = pair[0].trim_end_matches(['}', ']']);
        assert!(pair[1].starts_with(beginning), "{}\n{}", pair[0], pair[1]);
    }
}

/// The events of an answer that comes in these pieces of bytes.
pub(crate) async fn read(mut reader: impl Reader, pieces: Vec<&[u8]>) -> Vec<ModelEvent> {
    let pieces: Vec<_> = pieces.into_iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mut stream = Events::new(stream::iter(pieces).boxed());
    let mut events = VecDeque::new();
    while let Some(data) = stream.next().await {
        if reader.take(&data.unwrap(), &mut events).unwrap() == Progress::Over {
            break;
        }
    }
    reader.close(&Bytes::new(), &mut events);
    checked(events)
}

/// Checks that a recorded answer means these events, wherever its bytes are cut.
pub(crate) async fn assert_recorded<R: Reader + Clone>(reader: R, recorded: &str, wanted: &[ModelEvent]) {
    let bytes = recorded.as_bytes();
    assert_eq!(read(reader.clone(), vec![bytes]).await, wanted);
    for at in 0..=bytes.len() {
        let (first, second) = bytes.split_at(at);
        assert_eq!(read(reader.clone(), vec![first, second]).await, wanted, "cut at {at}");
    }
    assert_eq!(read(reader, bytes.chunks(1).collect()).await, wanted);
}

/// The events of a whole answer of which each chunk is given without its frame.
pub(crate) fn decode(mut reader: impl Reader, chunks: &[&str]) -> Result<Vec<ModelEvent>, Failure> {
    let mut events = VecDeque::new();
    for chunk in chunks {
        if reader.take(chunk, &mut events)? == Progress::Over {
            break;
        }
    }
    reader.close(&Bytes::new(), &mut events);
    Ok(checked(events))
}

/// Checks that no event which is missing, comes twice or too early breaks the contract: the answer may change or fail,
/// but it stays one.
pub(crate) fn assert_robust<R: Reader + Clone>(reader: &R, recorded: &str) {
    let all: Vec<&str> = recorded.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    for at in 0..all.len() {
        let (mut missing, mut twice, mut early) = (all.clone(), all.clone(), all.clone());
        missing.remove(at);
        twice.insert(at, all[at]);
        early.swap(at, at.saturating_sub(1));
        for chunks in [missing, twice, early] {
            let (mut reader, mut events, mut progress) = (reader.clone(), VecDeque::new(), Progress::Open);
            for chunk in chunks {
                match reader.take(chunk, &mut events) {
                    Ok(Progress::Over) => {
                        progress = Progress::Over;
                        break;
                    }
                    Ok(other) => progress = other,
                    Err(_) => {
                        progress = Progress::Open;
                        break;
                    }
                }
            }
            // What is not whole fails, here or in what asked for it.
            if progress != Progress::Open {
                reader.close(&Bytes::new(), &mut events);
                checked(events);
            }
        }
    }
}

fn checked(events: VecDeque<ModelEvent>) -> Vec<ModelEvent> {
    let results: Vec<_> = events.iter().cloned().map(Ok).collect();
    assert_eq!(contract::check(&results), Ok(()), "{events:?}");
    events.into()
}

/// The calls of an answer: ids, names and input.
pub(crate) fn calls(events: &[ModelEvent]) -> Vec<(String, String, CallInput)> {
    let call = |event: &ModelEvent| match event {
        ModelEvent::OutputItem { item: OutputItem::ToolCall(call), .. } => {
            Some((call.call_id.clone(), call.name.clone(), call.input.clone()))
        }
        _ => None,
    };
    events.iter().filter_map(call).collect()
}

//! One conversation that changes its wire API with every step: whatever one makes, every other can send.

use std::sync::Arc;

use futures_util::StreamExt;
use model::client::ModelClient;
use model::contract;
use model::event::{ModelEvent, OutputItem, StopReason};
use model::request::{CallKind, InputContent, InputItem, ModelRequest};
use protocol::tool::{ToolInput, ToolSpecification};
use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::{Make, request, settings};

/// A wire API, and an answer with thinking, text and two calls, one of them freeform.
struct Step {
    name: &'static str,
    make: Make,
    answer: &'static [&'static str],
    /// What of its thinking is to be sent back.
    thought: &'static str,
}

const STEPS: [Step; 4] = [
    Step {
        name: "responses",
        make: providers::responses,
        answer: &[
            r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","summary":[],"encrypted_content":"responses-thought"}}"#,
            r#"{"type":"response.output_item.done","output_index":1,"item":{"type":"message","content":[{"type":"output_text","text":"responses says"}]}}"#,
            r#"{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","call_id":"responses-1","name":"shell","arguments":"{\"c\":1}"}}"#,
            r#"{"type":"response.output_item.done","output_index":3,"item":{"type":"custom_tool_call","call_id":"responses-2","name":"apply_patch","input":"patch of responses"}}"#,
            r#"{"type":"response.completed","response":{}}"#,
        ],
        thought: "responses-thought",
    },
    Step {
        name: "chat",
        make: providers::chat_completions,
        answer: &[
            r#"{"choices":[{"delta":{"reasoning_content":"chat-thought"}}]}"#,
            r#"{"choices":[{"delta":{"content":"chat says"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"chat-1","function":{"name":"shell","arguments":"{\"c\":1}"}}]}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"function":{"name":"apply_patch","arguments":"{\"input\":\"patch of chat\"}"}}]},"finish_reason":"tool_calls"}]}"#,
            "[DONE]",
        ],
        thought: "chat-thought",
    },
    Step {
        name: "messages",
        make: providers::messages,
        answer: &[
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"Hm","signature":"messages-thought"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":"messages says"}}"#,
            r#"{"type":"content_block_stop","index":1}"#,
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"messages-1","name":"shell","input":{"c":1}}}"#,
            r#"{"type":"content_block_stop","index":2}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"messages-2","name":"apply_patch","input":{"input":"patch of messages"}}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#,
            r#"{"type":"message_stop"}"#,
        ],
        thought: "messages-thought",
    },
    Step {
        name: "gemini",
        make: providers::gemini,
        answer: &[
            r#"{"candidates":[{"content":{"parts":[{"text":"Hm","thought":true},{"text":"gemini says"}]}}]}"#,
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"gemini-1","name":"shell","args":{"c":1}},"thoughtSignature":"gemini-thought"},{"functionCall":{"name":"apply_patch","args":{"input":"patch of gemini"}}}]},"finishReason":"STOP"}]}"#,
        ],
        thought: "gemini-thought",
    },
];

fn tools() -> Arc<[ToolSpecification]> {
    let tool = |name: &str, input| ToolSpecification { name: name.into(), description: "d".into(), input };
    let schema = json!({"type": "object", "properties": {"c": {"type": "integer"}}});
    Arc::new([
        tool("shell", ToolInput::Json { schema }),
        tool("apply_patch", ToolInput::Freeform { grammar: None }),
    ])
}

/// Adds the answer to the conversation, and the outputs of its calls.
async fn step(client: &Arc<dyn ModelClient>, request: &mut ModelRequest) {
    let events: Vec<_> = client.stream(request.clone()).collect().await;
    assert_eq!(contract::check(&events), Ok(()));
    let (mut said, mut outputs) = (Vec::new(), Vec::new());
    for event in events {
        match event.unwrap() {
            ModelEvent::OutputItem { item: OutputItem::Message(text), .. } => {
                said.push(InputItem::AgentMessage(text));
            }
            ModelEvent::OutputItem { item: OutputItem::Reasoning { opaque, .. }, .. } => {
                said.extend(opaque.map(InputItem::Reasoning));
            }
            ModelEvent::OutputItem { item: OutputItem::Compaction(all), .. } => panic!("{all:?}"),
            ModelEvent::OutputItem { item: OutputItem::WebSearch(search), .. } => {
                said.extend(search.opaque.map(InputItem::Reasoning));
            }
            ModelEvent::OutputItem { item: OutputItem::ToolCall(call), .. } => {
                outputs.push(InputItem::ToolOutput {
                    call_id: call.call_id.clone(),
                    name: call.name.clone(),
                    kind: CallKind::of(&call.input),
                    output: vec![InputContent::Text(format!("output of {}", call.call_id))],
                });
                said.push(InputItem::ToolCall(call));
            }
            ModelEvent::Completed { stop, .. } => assert_eq!(stop, StopReason::Finished),
            ModelEvent::TextDelta { .. } | ModelEvent::SummaryDelta { .. } => {}
            ModelEvent::ReasoningDropped | ModelEvent::Spent { .. } => {}
            retrying @ ModelEvent::Retrying { .. } => panic!("{retrying:?}"),
        }
    }
    request.input.extend(said);
    request.input.extend(outputs);
}

/// Every string in a value, in order, also in JSON that stands in a string.
fn strings(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) => match serde_json::from_str(text) {
            Ok(inner @ Value::Object(_)) => strings(&inner, all),
            Ok(_) | Err(_) => all.push(text.clone()),
        },
        Value::Array(values) => values.iter().for_each(|value| strings(value, all)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, all)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[tokio::test]
async fn a_conversation_goes_through_all_apis_and_through_all_again() {
    let rounds: Vec<&Step> = STEPS.iter().chain(&STEPS).collect();
    let mut server = Server::start(rounds.iter().map(|step| Reply::stream(step.answer))).await;
    let clients = STEPS.map(|step| (step.make)(settings(server.base_url())).unwrap());
    let mut request = ModelRequest {
        tools: tools(),
        input: vec![InputItem::UserMessage(vec![InputContent::Text("begin".into())])],
        ..request()
    };
    for client in clients.iter().chain(&clients) {
        step(client, &mut request).await;
    }
    let received = server.received();
    for (at, (received, step)) in received.iter().zip(&rounds).enumerate() {
        let mut texts = Vec::new();
        strings(&serde_json::from_str(&received.body).unwrap(), &mut texts);
        let count = |wanted: &str| texts.iter().filter(|text| *text == wanted).count();
        for (before, of) in rounds[..at].iter().enumerate() {
            let place = format!("request {at} to {}, of step {before} of {}", step.name, of.name);
            let times = rounds[..at].iter().filter(|step| step.name == of.name).count();
            assert_eq!(count(&format!("{} says", of.name)), times, "{place}");
            assert_eq!(count(&format!("patch of {}", of.name)), times, "{place}");
            assert_eq!(count(&format!("output of {}-1", of.name)), times, "{place}");
            // The call and its output, each with the id.
            assert_eq!(count(&format!("{}-1", of.name)), 2 * times, "{place}");
            let thoughts = if of.name == step.name { times } else { 0 };
            assert_eq!(count(of.thought), thoughts, "{place}");
        }
    }
    assert_eq!(received.len(), rounds.len());
}

#[tokio::test]
async fn ids_that_were_made_stay_apart_over_all_apis() {
    let mut server =
        Server::start([&STEPS[1], &STEPS[3], &STEPS[1]].map(|step| Reply::stream(step.answer))).await;
    let mut request = ModelRequest { tools: tools(), ..request() };
    for index in [1, 3, 1] {
        let client = (STEPS[index].make)(settings(server.base_url())).unwrap();
        step(&client, &mut request).await;
    }
    let made: Vec<_> = request
        .input
        .iter()
        .filter_map(|item| match item {
            InputItem::ToolCall(call) if call.name == "apply_patch" => Some(call.call_id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(made, ["call_skein_0", "call_skein_1", "call_skein_2"]);
    assert_eq!(server.received().len(), 3);
}

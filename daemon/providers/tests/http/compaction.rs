//! A provider that puts a conversation into less itself: what it is asked, and what goes back to it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use model::client::ModelClient;
use model::event::{ModelEvent, OutputItem, StopReason};
use model::request::{InputContent, InputItem, ModelRequest};
use protocol::item::OpaqueReasoning;
use protocol::model::{ProviderFailureKind, Usage};
use providers::settings::{Compaction, ProviderSettings, RequestOptions};
use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::{Event, Make, request, settings};

fn client(make: Make, base_url: String) -> Arc<dyn ModelClient> {
    make(compacting(base_url)).unwrap()
}

fn compacting(base_url: String) -> ProviderSettings {
    let options = RequestOptions { compaction: Compaction::Provider, ..RequestOptions::default() };
    let mut settings = settings(base_url);
    settings.options = options;
    settings
}

fn object(body: &str) -> Reply {
    Reply::status(200, "content-type: application/json\r\n", body)
}

fn sealed() -> Value {
    let said = json!([{"type": "input_text", "text": "hi"}]);
    json!([
        {"type": "message", "id": "msg_1", "role": "user", "status": "completed", "content": said},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed", "created_by": null},
    ])
}

fn compacted() -> String {
    let usage = json!({"input_tokens": 70, "output_tokens": 9, "total_tokens": 79,
        "input_tokens_details": {"cached_tokens": 60}, "output_tokens_details": {"reasoning_tokens": 4}});
    // Spaces and line ends are the server's own affair.
    let answer = json!({"id": "resp_1", "object": "response.compaction", "created_at": 1, "output": sealed(),
        "usage": usage});
    serde_json::to_string_pretty(&answer).unwrap()
}

async fn compact(client: &Arc<dyn ModelClient>) -> Vec<Event> {
    client.compact(request()).unwrap().collect().await
}

#[tokio::test]
async fn what_the_provider_makes_of_a_conversation_goes_back_unchanged() {
    let events = r#"{"type":"response.completed","response":{"usage":null,"output":[]}}"#;
    let mut server = Server::start([object(&compacted()), Reply::stream(&[events])]).await;
    let client = client(providers::responses, server.base_url());
    let told = compact(&client).await;
    let [Ok(ModelEvent::OutputItem { item: OutputItem::Compaction(opaque), .. }), Ok(end)] = &told[..] else {
        panic!("{told:?}");
    };
    let usage = Usage {
        input_tokens: 70,
        cached_input_tokens: 60,
        output_tokens: 9,
        reasoning_output_tokens: 4,
        ..Usage::default()
    };
    assert_eq!(*end, ModelEvent::Completed { usage, stop: StopReason::Finished });
    assert!(opaque.iter().all(|item| client.takes_back(item)));
    let mut input: Vec<_> = opaque.iter().cloned().map(InputItem::Reasoning).collect();
    input.push(InputItem::UserMessage(vec![InputContent::Text("more".into())]));
    let _: Vec<Event> = client.stream(ModelRequest { input, ..request() }).collect().await;
    let received = server.received();
    assert!(received[0].line.starts_with("POST /v1/responses/compact "), "{}", received[0].line);
    assert_eq!(
        received[0].body,
        r#"{"model":"m","instructions":"Be good.","prompt_cache_key":"key","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}]}"#
    );
    let sent: Value = serde_json::from_str(&received[1].body).unwrap();
    let mut wanted = sealed();
    wanted[1].as_object_mut().unwrap().remove("created_by");
    assert_eq!(sent["input"].as_array().unwrap()[..2], wanted.as_array().unwrap()[..]);
}

#[tokio::test]
async fn nothing_that_is_no_compaction_stands_for_a_conversation() {
    let long =
        format!(r#"{{"output":[{{"type":"compaction","encrypted_content":"{}"}}]}}"#, "x".repeat(3 << 20));
    let malformed = [
        "",
        "[]",
        "<html>",
        r#"{"output":[]}"#,
        r#"{"output":"x"}"#,
        r#"{"output":[{"type":"compaction","encrypted_content":""}]}"#,
        r#"{"output":[{"type":"message","role":"user","content":[]}]}"#,
        &long,
    ];
    for body in malformed {
        let server = Server::start((0..3).map(|_| object(body))).await;
        let told = compact(&client(providers::responses, server.base_url())).await;
        let last = told.last().unwrap().as_ref().unwrap_err();
        // Of nothing at all no event is made.
        let wanted = if body.is_empty() { ProviderFailureKind::Cut } else { ProviderFailureKind::Malformed };
        assert_eq!(last.kind, wanted, "{}: {last:?}", &body[..body.len().min(80)]);
    }
    let server = Server::start([Reply::status(404, "", "no such thing")]).await;
    let told = compact(&client(providers::responses, server.base_url())).await;
    assert_eq!(told[0].as_ref().unwrap_err().status, Some(404));
    let server = Server::start((0..3).map(|_| Reply::silence())).await;
    let mut settings = compacting(server.base_url());
    settings.stream_idle_timeout = Duration::from_millis(300);
    let told = compact(&providers::responses(settings).unwrap()).await;
    assert_eq!(told.last().unwrap().as_ref().unwrap_err().kind, ProviderFailureKind::Stalled);
}

#[tokio::test]
async fn only_who_has_it_is_asked() {
    let makes: [Make; 3] = [providers::chat_completions, providers::messages, providers::gemini];
    for make in makes {
        assert!(client(make, "http://127.0.0.1:1".into()).compact(request()).is_none());
    }
    let unset = providers::responses(settings("http://127.0.0.1:1".into())).unwrap();
    assert!(unset.compact(request()).is_none());
    let foreign = OpaqueReasoning { wire_api: "responses:other".into(), item: sealed()[1].clone() };
    assert!(!unset.takes_back(&foreign));
}

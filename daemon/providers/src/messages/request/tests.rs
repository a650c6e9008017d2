//! Every byte of a request, and what of a history goes where.

use super::*;
use crate::fixtures::{
    agent, assert_prefixes, bare_request, body, body_with, call, conversation, output, reasoning, request,
    requests_along, showing, user,
};
use crate::messages::Messages;
use model::request::CallKind;
use protocol::tool::CallInput;
use serde_json::json;

const MARK: &str = r#","cache_control":{"type":"ephemeral"}"#;

fn thought() -> InputItem {
    reasoning("messages", json!({"type": "thinking", "thinking": "Hm", "signature": "sig"}))
}

#[test]
fn every_byte_is_as_agreed() {
    let wanted = [
        r#"{"model":"claude-opus-5","max_tokens":64000,"stream":true,"#,
        r#""thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"},"#,
        r#""tools":[{"name":"shell","description":"Runs","#,
        r#""input_schema":{"properties":{"a":{},"b":{}},"type":"object"}},"#,
        r#"{"name":"apply_patch","description":"Edits","#,
        r#""input_schema":{"additionalProperties":false,"properties":{"input":{"#,
        r#""description":"The whole input. It follows this lark grammar:\nstart: /x/","type":"string"}},"#,
        r#""required":["input"],"type":"object"}"#,
        MARK,
        r#"}],"system":[{"type":"text","text":"Be \"good\".""#,
        MARK,
        r#"}],"messages":[{"role":"user","content":[{"type":"text","text":"hi\n"},"#,
        r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGk="}}]},"#,
        r#"{"role":"assistant","content":[{"signature":"sig","thinking":"Hm","type":"thinking"},"#,
        r#"{"type":"text","text":"I look"},"#,
        r#"{"type":"tool_use","id":"c1","name":"shell","input":{"b": 1, "a":"é"}},"#,
        r#"{"type":"tool_use","id":"c2","name":"apply_patch","input":{"input":"*** Begin"}}]},"#,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"done"},"#,
        r#"{"type":"tool_result","tool_use_id":"c2""#,
        MARK,
        r#"}]},{"role":"assistant","content":[{"type":"text","text":"Done"}]},"#,
        r#"{"role":"user","content":[{"type":"text","text":"more""#,
        MARK,
        r#"}]}]}"#,
    ];
    let request = request("claude-opus-5", conversation(Some(thought())));
    assert_eq!(body(&Messages, &request), wanted.concat());
}

#[test]
fn each_request_is_a_prefix_of_the_next_but_for_the_marks() {
    let requests = requests_along(&Messages, &request("claude-opus-5", conversation(Some(thought()))));
    let bare: Vec<_> = requests.iter().map(|text| text.replace(MARK, "")).collect();
    assert_prefixes(&bare);
}

#[test]
fn what_one_request_wrote_to_the_cache_the_next_one_looks_up() {
    let requests = requests_along(&Messages, &request("claude-opus-5", conversation(Some(thought()))));
    // The conversation up to each mark in it, as the provider knows it.
    let marked = |text: &String| -> Vec<String> {
        let ends: Vec<_> = text.match_indices(MARK).map(|(at, _)| text[..at].replace(MARK, "")).collect();
        assert!(ends.len() <= 4, "the provider takes four marks: {text}");
        ends
    };
    for pair in requests.windows(2) {
        let (before, after) = (marked(&pair[0]), marked(&pair[1]));
        assert!(after.contains(before.last().unwrap()), "{pair:?}");
    }
}

#[test]
fn what_is_not_asked_for_is_not_sent() {
    let wanted = concat!(
        r#"{"model":"claude-opus-5","max_tokens":64000,"stream":true,"messages":[{"role":"user","#,
        r#""content":[{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}]}]}"#,
    );
    assert_eq!(body(&Messages, &bare_request("claude-opus-5")), wanted);
}

#[test]
fn a_schema_of_the_answer_is_sent() {
    let mut request = bare_request("claude-opus-5");
    request.output_schema = Some(json!({"type": "object"}));
    let wanted = r#""output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}"#;
    assert!(body(&Messages, &request).contains(wanted));
}

fn messages_of(input: Vec<InputItem>) -> Value {
    let text = body(&Messages, &request("claude-opus-5", input)).replace(MARK, "");
    let body: Value = serde_json::from_str(&text).unwrap();
    body["messages"].clone()
}

#[test]
fn what_the_api_refuses_is_not_sent() {
    let messages = messages_of(vec![
        user(" \n"),
        user("a"),
        agent(""),
        call("functions.shell:0", "a.b", CallInput::Json("{\"x\":".into())),
        output("functions.shell:0", "a.b", CallKind::Json, "no such tool"),
        user("b"),
    ]);
    let wanted = json!([
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{
            "type": "tool_use",
            "id": "functions-2eshell-3a0",
            "name": "a-2eb",
            "input": {"INVALID_JSON": "{\"x\":"},
        }]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "functions-2eshell-3a0", "content": "no such tool"},
            {"type": "text", "text": "b"},
        ]},
    ]);
    assert_eq!(messages, wanted);
}

#[test]
fn only_reasoning_of_this_api_is_sent_and_unchanged() {
    let redacted = json!({"type": "redacted_thinking", "data": "x"});
    let messages = messages_of(vec![
        user("a"),
        reasoning("responses", json!({"type": "reasoning"})),
        reasoning("messages", redacted.clone()),
        agent("b"),
    ]);
    assert_eq!(messages[1]["content"], json!([redacted, {"type": "text", "text": "b"}]));
}

#[test]
fn what_tools_show_stands_in_their_results() {
    let messages = messages_of(showing());
    let image = |data: &str| json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}});
    let results = &messages[2]["content"];
    assert_eq!(results[0]["content"], json!([{"type": "text", "text": "seen"}, image("aGk=")]));
    assert_eq!(results[1]["content"], json!([image("aG8=")]));
    let requests = requests_along(&Messages, &request("claude-opus-5", showing()));
    assert_prefixes(&requests.iter().map(|text| text.replace(MARK, "")).collect::<Vec<_>>());
}

#[test]
fn options_are_told_as_far_as_there_are_words() {
    let options = RequestOptions {
        max_output_tokens: Some(4096),
        verbosity: Some("low".into()),
        service_tier: Some("standard_only".into()),
        tool_calls: ToolCalls::Single,
        ..RequestOptions::default()
    };
    let sent: Value = serde_json::from_str(&body_with(
        &Messages,
        &request("claude-sonnet-4-5", vec![user("hi")]),
        &options,
    ))
    .unwrap();
    assert_eq!((&sent["max_tokens"], &sent["thinking"]["budget_tokens"]), (&json!(4096), &json!(3072)));
    assert_eq!(sent["service_tier"], "standard_only");
    assert_eq!(sent["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    assert!(sent.get("verbosity").is_none() && sent.get("store").is_none());
}

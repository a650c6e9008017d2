//! Every byte of a request, and what of a history goes where.

use super::*;
use crate::chat::Chat;
use crate::fixtures::{
    agent, assert_prefixes, bare_request, body, body_with, call, conversation, reasoning, request,
    requests_along, showing, user,
};
use protocol::tool::CallInput;
use serde_json::json;

const HEAD: &str = concat!(
    r#"{"model":"m","tools":["#,
    r#"{"type":"function","function":{"name":"shell","description":"Runs","#,
    r#""parameters":{"properties":{"a":{},"b":{}},"type":"object"}}},"#,
    r#"{"type":"function","function":{"name":"apply_patch","description":"Edits","#,
    r#""parameters":{"additionalProperties":false,"properties":{"input":{"#,
    r#""description":"The whole input. It follows this lark grammar:\nstart: /x/","type":"string"}},"#,
    r#""required":["input"],"type":"object"}}}],"reasoning_effort":"high","#,
);

const REST: &str = r#""stream":true,"stream_options":{"include_usage":true},"#;

fn chat() -> Chat {
    Chat::new("acme")
}

fn thought() -> InputItem {
    reasoning("chat", json!({"provider": "acme", "reasoning_content": "Hm"}))
}

#[test]
fn every_byte_is_as_agreed() {
    let messages = concat!(
        r#""messages":[{"role":"system","content":"Be \"good\"."},"#,
        r#"{"role":"user","content":[{"type":"text","text":"hi\n"},"#,
        r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]},"#,
        r#"{"role":"assistant","content":"I look","reasoning_content":"Hm","tool_calls":["#,
        r#"{"id":"c1","type":"function","function":{"name":"shell","arguments":"{\"b\": 1, \"a\":\"é\"}"}},"#,
        r#"{"id":"c2","type":"function","function":{"name":"apply_patch","#,
        r#""arguments":"{\"input\":\"*** Begin\"}"}}]},"#,
        r#"{"role":"tool","tool_call_id":"c1","content":"done"},"#,
        r#"{"role":"tool","tool_call_id":"c2","content":""},"#,
        r#"{"role":"assistant","content":"Done"},{"role":"user","content":"more"}]}"#,
    );
    let request = request("m", conversation(Some(thought())));
    assert_eq!(body(&chat(), &request), format!("{HEAD}{REST}{messages}"));
}

#[test]
fn each_request_is_a_prefix_of_the_next() {
    assert_prefixes(&requests_along(&chat(), &request("m", conversation(Some(thought())))));
}

#[test]
fn what_is_not_asked_for_is_not_sent() {
    let wanted = concat!(
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"#,
        r#""messages":[{"role":"user","content":"hi"}]}"#,
    );
    assert_eq!(body(&chat(), &bare_request("m")), wanted);
}

#[test]
fn a_schema_of_the_answer_is_strict() {
    let mut request = bare_request("m");
    request.output_schema = Some(json!({"type": "object"}));
    let wanted = concat!(
        r#""response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"#,
        r#""schema":{"type":"object"}}}"#,
    );
    assert!(body(&chat(), &request).contains(wanted));
}

fn messages_of(model: &str, input: Vec<InputItem>) -> Value {
    let body: Value = serde_json::from_str(&body(&chat(), &request(model, input))).unwrap();
    body["messages"].as_array().unwrap()[1..].into()
}

#[test]
fn what_the_model_said_in_a_row_is_one_message() {
    let details = reasoning(
        "chat",
        json!({"provider": "acme", "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}),
    );
    let thought = reasoning("chat", json!({"provider": "acme", "reasoning": "Hm"}));
    let patch = call("c", "a.b", CallInput::Json("{\"x\":".into()));
    let messages = messages_of("m", vec![thought, agent("A"), agent("B"), details, patch]);
    let wanted = json!([{
        "role": "assistant",
        "content": "A\n\nB",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}],
        "tool_calls": [{
            "id": "c",
            "type": "function",
            "function": {"name": "a-2eb", "arguments": "{\"INVALID_JSON\":\"{\\\"x\\\":\"}"},
        }],
    }]);
    assert_eq!(messages, wanted);
}

#[test]
fn reasoning_goes_back_to_its_provider_only() {
    let of = |provider: &str| reasoning("chat", json!({"provider": provider, "reasoning": "Hm"}));
    let messages = messages_of("m", vec![of("acme"), agent("A"), user("x"), of("other"), agent("B")]);
    assert_eq!(messages[0]["reasoning"], "Hm");
    assert_eq!(messages[2], json!({"role": "assistant", "content": "B"}));
    // With nothing beside it there is no message for it.
    assert_eq!(messages_of("m", vec![of("acme"), user("x")]), json!([{"role": "user", "content": "x"}]));
}

#[test]
fn some_models_want_reasoning_with_every_call() {
    let shell = || vec![call("c", "shell", CallInput::Json(String::new()))];
    let messages = messages_of("deepseek/deepseek-v4-pro", shell());
    assert_eq!(messages[0]["reasoning_content"], "");
    assert_eq!(messages[0]["content"], Value::Null);
    assert_eq!(messages[0]["tool_calls"][0]["function"]["arguments"], "{}");
    assert_eq!(messages_of("m", shell())[0].get("reasoning_content"), None);
}

#[test]
fn texts_without_an_image_are_one_text() {
    let parts = vec![InputContent::Text("a".into()), InputContent::Text("b".into())];
    assert_eq!(messages_of("m", vec![InputItem::UserMessage(parts)])[0]["content"], "a\n\nb");
}

#[test]
fn what_tools_show_stands_behind_all_that_they_say() {
    let messages = messages_of("m", showing());
    let roles: Vec<_> = messages.as_array().unwrap().iter().map(|message| message["role"].clone()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user", "assistant", "user"]);
    assert_eq!(messages[2]["content"], "seen\n(An image; it follows below.)");
    assert_eq!(messages[3]["content"], "(An image; it follows below.)");
    let image = |data: &str| json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let wanted =
        [text("What the call `c1` shows:"), image("aGk="), text("What the call `c2` shows:"), image("aG8=")];
    assert_eq!(messages[4]["content"], json!(wanted));
    assert_prefixes(&requests_along(&chat(), &request("m", showing())));
}

#[test]
fn options_are_told_in_the_words_that_each_server_knows() {
    let options = RequestOptions {
        max_output_tokens: Some(9),
        verbosity: Some("low".into()),
        service_tier: Some("flex".into()),
        store: Store::Allowed,
        tool_calls: ToolCalls::Single,
        ..RequestOptions::default()
    };
    let sent = |model: &str| body_with(&chat(), &request(model, vec![user("hi")]), &options);
    let rest =
        r#""verbosity":"low","service_tier":"flex","store":true,"parallel_tool_calls":false,"stream":true"#;
    assert!(
        sent("openai/gpt-5").contains(&format!(r#""max_completion_tokens":9,{rest}"#)),
        "{}",
        sent("gpt-5")
    );
    assert!(sent("o3").contains(r#""max_completion_tokens":9"#));
    for other in ["qwen3", "gpt-oss-20b", "olmo"] {
        assert!(sent(other).contains(&format!(r#""max_tokens":9,{rest}"#)), "{}", sent(other));
    }
}

//! Every byte of a request, and what of a history goes where.

use super::*;
use crate::fixtures::{
    agent, assert_prefixes, bare_request, body, body_with, call, conversation, output, reasoning, request,
    requests_along, showing, user,
};
use crate::gemini::Gemini;
use crate::settings::RequestOptions;
use crate::wire_api::WireApi;
use model::request::CallKind;
use protocol::tool::CallInput;
use serde_json::json;

fn gemini() -> Gemini {
    Gemini::new("https://generativelanguage.googleapis.com/v1beta")
}

fn signed_call(id: &str) -> InputItem {
    InputItem::Reasoning(Signature::Call { call_id: id, signature: "sig" }.keep())
}

#[test]
fn every_byte_is_as_agreed() {
    let wanted = concat!(
        r#"{"systemInstruction":{"parts":[{"text":"Be \"good\"."}]},"tools":[{"functionDeclarations":["#,
        r#"{"name":"shell","description":"Runs","#,
        r#""parametersJsonSchema":{"properties":{"a":{},"b":{}},"type":"object"}},"#,
        r#"{"name":"apply_patch","description":"Edits","#,
        r#""parametersJsonSchema":{"additionalProperties":false,"properties":{"input":{"#,
        r#""description":"The whole input. It follows this lark grammar:\nstart: /x/","type":"string"}},"#,
        r#""required":["input"],"type":"object"}}]}],"#,
        r#""generationConfig":{"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"HIGH"}},"#,
        r#""contents":[{"role":"user","parts":[{"text":"hi\n"},"#,
        r#"{"inlineData":{"mimeType":"image/png","data":"aGk="}}]},"#,
        r#"{"role":"model","parts":[{"text":"I look"},"#,
        r#"{"functionCall":{"id":"c1","name":"shell","args":{"b": 1, "a":"é"}},"thoughtSignature":"sig"},"#,
        r#"{"functionCall":{"id":"c2","name":"apply_patch","args":{"input":"*** Begin"}}}]},"#,
        r#"{"role":"user","parts":["#,
        r#"{"functionResponse":{"id":"c1","name":"shell","response":{"output":"done"}}},"#,
        r#"{"functionResponse":{"id":"c2","name":"apply_patch","response":{"output":""}}}]},"#,
        r#"{"role":"model","parts":[{"text":"Done"}]},{"role":"user","parts":[{"text":"more"}]}]}"#,
    );
    let request = request("gemini-3-pro", conversation(Some(signed_call("c1"))));
    assert_eq!(body(&gemini(), &request), wanted);
}

#[test]
fn each_request_is_a_prefix_of_the_next() {
    assert_prefixes(&requests_along(
        &gemini(),
        &request("gemini-3-pro", conversation(Some(signed_call("c1")))),
    ));
}

#[test]
fn what_is_not_asked_for_is_not_sent() {
    let wanted = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    assert_eq!(body(&gemini(), &bare_request("gemini-3-pro")), wanted);
}

fn sent(request: &ModelRequest) -> Value {
    serde_json::from_str(&body(&gemini(), request)).unwrap()
}

#[test]
fn each_generation_is_told_to_think_in_its_form() {
    let thinking = |model: &str| sent(&request(model, Vec::new()))["generationConfig"].clone();
    let budget = json!({"thinkingConfig": {"includeThoughts": true, "thinkingBudget": 16384}});
    assert_eq!(thinking("gemini-2.5-flash"), budget);
    assert_eq!(thinking("gemini-2.0-flash"), Value::Null);
    assert_eq!(thinking("models/gemini-3-pro")["thinkingConfig"]["thinkingLevel"], "HIGH");
}

#[test]
fn a_schema_of_the_answer_is_sent_reduced() {
    let mut request = bare_request("gemini-3-pro");
    request.output_schema = Some(json!({"$schema": "x", "type": "object"}));
    let wanted = json!({"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}});
    assert_eq!(sent(&request)["generationConfig"], wanted);
}

#[test]
fn a_tool_that_can_not_be_told_is_refused_by_name() {
    let mut request = request("gemini-3-pro", Vec::new());
    let mut tools = request.tools.to_vec();
    tools[0].input =
        protocol::tool::ToolInput::Json { schema: json!({"properties": {"a": {"not": {"type": "null"}}}}) };
    request.tools = tools.into();
    let failure = gemini().body(&request, &RequestOptions::default()).unwrap_err();
    assert_eq!((failure.kind, failure.again), (ProviderFailureKind::Rejected, Again::Never));
    let wanted = "The tool `shell` can't be offered: `not` at `/properties/a` of its schema has no counterpart in \
                  the Gemini API";
    assert_eq!(failure.message, wanted);
}

fn contents_of(model: &str, input: Vec<InputItem>) -> Value {
    sent(&request(model, input))["contents"].clone()
}

#[test]
fn a_signature_stands_on_the_part_it_came_on() {
    let keep = |signature: Signature<'_>| InputItem::Reasoning(signature.keep());
    let contents = contents_of(
        "gemini-3-pro",
        vec![
            keep(Signature::Thought { text: "Hm", signature: "s1" }),
            agent("Hello"),
            keep(Signature::Message { text: "lo", signature: "s2", links: "" }),
            agent("Bye"),
            keep(Signature::Message { text: "", signature: "s3", links: "" }),
            agent("changed"),
            keep(Signature::Message { text: "before", signature: "void", links: "" }),
        ],
    );
    let wanted = json!([{"role": "model", "parts": [
        {"thought": true, "text": "Hm", "thoughtSignature": "s1"},
        {"text": "Hel"},
        {"text": "lo", "thoughtSignature": "s2"},
        {"text": "Bye"},
        {"text": "", "thoughtSignature": "s3"},
        {"text": "changed"},
    ]}]);
    assert_eq!(contents, wanted);
}

#[test]
fn calls_of_other_models_are_let_pass() {
    let step = || {
        let json = || CallInput::Json("{}".into());
        vec![
            reasoning("messages", json!({"type": "thinking"})),
            call("a", "t", json()),
            call("b", "t", json()),
            output("a", "t", CallKind::Json, "x"),
            output("b", "t", CallKind::Json, "y"),
            user("and this"),
        ]
    };
    let contents = contents_of("gemini-3-pro", step());
    assert_eq!(contents[0]["parts"][0]["thoughtSignature"], NO_SIGNATURE);
    assert_eq!(contents[0]["parts"][1].get("thoughtSignature"), None);
    // The provider counts the responses, so a person's words are not among them.
    assert_eq!(contents[1]["parts"].as_array().unwrap().len(), 2);
    assert_eq!(contents[2], json!({"role": "user", "parts": [{"text": "and this"}]}));
    assert_eq!(contents_of("gemini-2.5-pro", step())[0]["parts"][0].get("thoughtSignature"), None);
}

#[test]
fn nothing_is_sent_for_what_holds_nothing() {
    let other = reasoning("responses", json!({"type": "reasoning"}));
    let contents = contents_of("gemini-3-pro", vec![user("a"), other, agent(""), user("b")]);
    assert_eq!(contents.as_array().unwrap().len(), 2);
}

#[test]
fn what_tools_show_stands_behind_each_response() {
    let contents = contents_of("gemini-3-pro", showing());
    let image = |data: &str| json!({"inlineData": {"mimeType": "image/png", "data": data}});
    let response = |id: &str, text: &str| json!({"functionResponse": {"id": id, "name": "look", "response": {"output": text}}});
    let wanted = json!([
        response("c1", "seen"),
        image("aGk="),
        response("c2", "(An image; it follows.)"),
        image("aG8="),
    ]);
    assert_eq!(contents[2]["parts"], wanted);
    assert_prefixes(&requests_along(&gemini(), &request("gemini-3-pro", showing())));
}

#[test]
fn the_most_that_is_said_is_told() {
    let options = RequestOptions { max_output_tokens: Some(9), ..RequestOptions::default() };
    let sent = body_with(&gemini(), &bare_request("gemini-3-pro"), &options);
    assert!(sent.starts_with(r#"{"generationConfig":{"maxOutputTokens":9},"contents""#), "{sent}");
}

#[test]
fn a_tool_that_can_not_be_told_is_known_before_it_is_sent() {
    let tool = |schema| ToolSpecification {
        name: "odd".into(),
        description: "Odd".into(),
        input: protocol::tool::ToolInput::Json { schema },
    };
    assert_eq!(gemini().check_tool(&tool(json!({"type": "object"}))), Ok(()));
    let reason = gemini().check_tool(&tool(json!({"not": {}}))).unwrap_err();
    assert_eq!(reason, "`not` at `/` of its schema has no counterpart in the Gemini API");
}

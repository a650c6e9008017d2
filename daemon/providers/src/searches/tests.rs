//! What each wire API asks for, understands and gives back of a search.

use std::collections::VecDeque;

use bytes::Bytes;
use model::event::{ModelEvent, OutputItem};
use model::request::InputItem;
use serde_json::{Value, json};

use super::*;
use crate::chat::Chat;
use crate::fixtures::{body, body_with, request, user};
use crate::gemini::Gemini;
use crate::messages::Messages;
use crate::responses::Responses;
use crate::wire_api::Reader;

const GEMINI: &str = "https://generativelanguage.googleapis.com/v1beta";

fn options(search: Search) -> RequestOptions {
    RequestOptions { search, ..RequestOptions::default() }
}

fn sent(api: &impl WireApi, model: &str, search: Search) -> Value {
    let request = request(model, vec![user("hi")]);
    serde_json::from_str(&body_with(api, &request, &options(search))).unwrap()
}

/// What came of these events, and what of it is sent with the next request.
fn searched(api: &impl WireApi, model: &str, events: &[Value]) -> (Vec<WebSearch>, Value) {
    let asked = request(model, vec![user("hi")]);
    let mut reader = api.reader(&asked);
    let mut told = VecDeque::new();
    for event in events {
        reader.take(&event.to_string(), &mut told).unwrap();
    }
    reader.close(&Bytes::from(body(api, &asked)), &mut told);
    let results: Vec<_> = told.iter().cloned().map(Ok).collect();
    assert_eq!(model::contract::check(&results), Ok(()), "{told:?}");
    let found: Vec<_> = told
        .into_iter()
        .filter_map(|event| match event {
            ModelEvent::OutputItem { item: OutputItem::WebSearch(search), .. } => Some(search),
            _ => None,
        })
        .collect();
    let back = found.iter().filter_map(|search| search.opaque.clone()).map(InputItem::Reasoning);
    let input = [user("hi")].into_iter().chain(back).chain([user("more")]).collect();
    let next = serde_json::from_str(&body(api, &request(model, input))).unwrap();
    (found, next)
}

/// The messages that came of these events, and what of the last of them is sent with the next request.
fn said(api: &impl WireApi, model: &str, events: &[Value]) -> (Vec<String>, Value) {
    let asked = request(model, vec![user("hi")]);
    let mut reader = api.reader(&asked);
    let mut told = VecDeque::new();
    for event in events {
        reader.take(&event.to_string(), &mut told).unwrap();
    }
    reader.close(&Bytes::from(body(api, &asked)), &mut told);
    let results: Vec<_> = told.iter().cloned().map(Ok).collect();
    assert_eq!(model::contract::check(&results), Ok(()), "{told:?}");
    let items: Vec<_> = told
        .into_iter()
        .filter_map(|event| match event {
            ModelEvent::OutputItem { item, .. } => Some(item),
            _ => None,
        })
        .collect();
    let texts = items.iter().filter_map(|item| match item {
        OutputItem::Message(text) => Some(text.clone()),
        _ => None,
    });
    let texts = texts.collect();
    let back = items.into_iter().filter_map(|item| match item {
        OutputItem::Message(text) => Some(InputItem::AgentMessage(text)),
        OutputItem::Reasoning { opaque, .. } => opaque.map(InputItem::Reasoning),
        _ => None,
    });
    let input = [user("hi")].into_iter().chain(back).chain([user("more")]).collect();
    (texts, serde_json::from_str(&body(api, &request(model, input))).unwrap())
}

fn page(url: &str, title: Option<&str>) -> WebSource {
    WebSource { url: url.to_owned(), title: title.map(str::to_owned) }
}

#[test]
fn no_request_asks_for_a_search_by_itself() {
    let bodies = [
        sent(&Responses::new("p"), "gpt-6", Search::Off),
        sent(&Chat::new("p"), "gpt-6", Search::Off),
        sent(&Messages, "claude-opus-5", Search::Off),
        sent(&Gemini::new(GEMINI), "gemini-3-pro", Search::Off),
    ];
    for body in bodies {
        let text = body.to_string();
        assert!(!text.contains("search") && !text.contains("toolConfig"), "{text}");
    }
}

#[test]
fn each_api_is_asked_in_its_own_words() {
    for (search, is_live) in [(Search::Cached, false), (Search::Live, true)] {
        let body = sent(&Responses::new("p"), "gpt-6", search);
        let expected = json!({"type": "web_search", "external_web_access": is_live});
        assert_eq!(body["tools"].as_array().unwrap().last(), Some(&expected));
        let include = json!(["reasoning.encrypted_content", "web_search_call.action.sources"]);
        assert_eq!(body["include"], include);
    }
    let body = sent(&Messages, "claude-opus-5", Search::Live);
    let expected = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 8});
    assert_eq!(body["tools"][0], expected);
    assert_eq!(body["tools"].as_array().unwrap().last().unwrap()["cache_control"]["type"], "ephemeral");
    let body = sent(&Gemini::new(GEMINI), "gemini-3-pro", Search::Live);
    assert!(body["tools"][0]["functionDeclarations"].is_array());
    assert_eq!(body["tools"][1], json!({"googleSearch": {}}));
    assert_eq!(body["toolConfig"], json!({"includeServerSideToolInvocations": true}));
}

#[test]
fn what_an_api_does_not_have_is_left_out_and_named() {
    let why = |wanted: Result<Search, &'static str>| wanted.unwrap_err();
    let of = |model: &str| request(model, vec![user("hi")]);
    let (live, cached) = (options(Search::Live), options(Search::Cached));
    let chat = why(wanted(&Chat::new("p"), &of("gpt-6"), &live));
    assert_eq!(chat, "this wire API has no such thing");
    assert!(!sent(&Chat::new("p"), "gpt-6", Search::Live).to_string().contains("search"));
    assert!(why(wanted(&Messages, &of("claude-opus-5"), &cached)).contains("as it is"));
    assert_eq!(
        sent(&Messages, "claude-opus-5", Search::Cached),
        sent(&Messages, "claude-opus-5", Search::Off)
    );
    let gemini = Gemini::new(GEMINI);
    assert!(why(wanted(&gemini, &of("gemini-3-pro"), &cached)).contains("as it is"));
    assert!(why(wanted(&gemini, &of("gemini-2.5-pro"), &live)).contains("Gemini 3"));
    assert_eq!(sent(&gemini, "gemini-2.5-pro", Search::Live), sent(&gemini, "gemini-2.5-pro", Search::Off));
    let vertex = Gemini::new("https://x-aiplatform.googleapis.com");
    assert!(why(wanted(&vertex, &of("gemini-3-pro"), &live)).contains("Vertex AI"));
    let mut taken = of("gpt-6");
    let named = protocol::tool::ToolSpecification { name: NAME.to_owned(), ..taken.tools[0].clone() };
    taken.tools = [named].into();
    assert_eq!(why(wanted(&Responses::new("p"), &taken, &live)), "another tool has its name");
}

#[test]
fn a_search_over_responses_is_told_and_goes_back_without_what_it_found() {
    let done = |index: u32, action: Value| {
        let item = json!({"type": "web_search_call", "id": format!("ws_{index}"), "status": "completed", "action": action});
        json!({"type": "response.output_item.done", "output_index": index, "item": item})
    };
    let sources = json!([{"type": "url", "url": "https://a"}, {"type": "url", "url": "https://b"}]);
    let (found, next) = searched(
        &Responses::new("p"),
        "gpt-6",
        &[
            done(
                0,
                json!({"type": "search", "query": "sums", "queries": ["sums", "how"], "sources": sources}),
            ),
            done(1, json!({"type": "open_page", "url": "https://a"})),
            done(2, json!({"type": "find_in_page", "url": "https://a", "pattern": "x"})),
            json!({"type": "response.completed", "response": {}}),
        ],
    );
    assert_eq!(found[0].queries, ["sums", "how"]);
    assert_eq!(found[0].sources, [page("https://a", None), page("https://b", None)]);
    assert_eq!(found[1].page.as_deref(), Some("https://a"));
    assert_eq!(
        (found[2].page.as_deref(), found[2].queries.as_slice()),
        (Some("https://a"), &["x".to_owned()][..])
    );
    let back = json!({"type": "web_search_call", "id": "ws_0", "status": "completed",
        "action": {"type": "search", "query": "sums", "queries": ["sums", "how"]}});
    assert_eq!(next["input"][1], back);
    assert_eq!(next["input"][2]["action"]["type"], "open_page");
}

#[test]
fn a_search_over_messages_is_told_and_goes_back_with_what_it_found() {
    let begins = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let stops = |index: u32| json!({"type": "content_block_stop", "index": index});
    let use_of = |id: &str| json!({"type": "server_tool_use", "id": id, "name": "web_search", "input": {}});
    let result = json!({"type": "web_search_tool_result", "tool_use_id": "s1", "content": [
        {"type": "web_search_result", "url": "https://a", "title": "A", "encrypted_content": "x", "page_age": null}]});
    let failed = json!({"type": "web_search_tool_result", "tool_use_id": "s2", "content":
        {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}});
    let query = json!({"type": "content_block_delta", "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": "{\"query\":\"sums\"}"}});
    let (found, next) = searched(
        &Messages,
        "claude-opus-5",
        &[
            begins(0, use_of("s1")),
            query,
            stops(0),
            begins(1, result.clone()),
            stops(1),
            begins(2, use_of("s2")),
            stops(2),
            begins(3, failed),
            stops(3),
            // Of a search that nobody made.
            begins(4, json!({"type": "web_search_tool_result", "tool_use_id": "s9", "content": []})),
            stops(4),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        ],
    );
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].queries, ["sums"]);
    assert_eq!(found[0].sources, [page("https://a", Some("A"))]);
    assert_eq!(found[1].message.as_deref(), Some("max_uses_exceeded"));
    let said = &next["messages"][1];
    assert_eq!(said["role"], "assistant");
    assert_eq!(said["content"][0]["input"], json!({"query": "sums"}));
    assert_eq!(said["content"][1], result);
    assert_eq!(said["content"].as_array().unwrap().len(), 4);
}

#[test]
fn a_search_over_gemini_is_told_and_goes_back_as_it_came() {
    let call = json!({"toolCall": {"id": "g1", "toolType": "GOOGLE_SEARCH_WEB", "args": {"queries": ["sums"]}},
        "thoughtSignature": "sig"});
    let response = json!({"toolResponse": {"id": "g1", "toolType": "GOOGLE_SEARCH_WEB", "response": {}}});
    let grounding = json!({"webSearchQueries": ["sums"], "groundingChunks":
        [{"web": {"uri": "https://a", "title": "a.org"}}, {"maps": {}}]});
    let (found, next) = searched(
        &Gemini::new(GEMINI),
        "gemini-3-pro",
        &[
            json!({"candidates": [{"content": {"parts": [call, response]}}]}),
            json!({"candidates": [{"content": {"parts": [{"text": "Done"}]}, "groundingMetadata": grounding,
                "finishReason": "STOP"}]}),
        ],
    );
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].queries, ["sums"]);
    assert_eq!(found[1].sources, [page("https://a", Some("a.org"))]);
    assert_eq!(next["contents"][1], json!({"role": "model", "parts": [call, response]}));
}

#[test]
fn what_a_text_over_messages_cites_stands_behind_it_as_links() {
    let begins = |index: u32, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let stops = |index: u32| json!({"type": "content_block_stop", "index": index});
    let cites = |index: u32, url: &str| {
        json!({"type": "content_block_delta", "index": index, "delta": {"type": "citations_delta", "citation":
            {"type": "web_search_result_location", "url": url, "title": "A", "encrypted_index": "x", "cited_text": "y"}}})
    };
    let text = |text: &str| json!({"type": "text", "text": text});
    let tool = json!({"type": "tool_use", "id": "t", "name": "shell", "input": {}});
    let file = json!({"type": "char_location", "url": "https://file"});
    let events = [
        begins(0, text("It ")),
        stops(0),
        begins(1, text("is so")),
        cites(1, "https://a"),
        cites(1, "javascript:alert(1)"),
        stops(1),
        begins(2, json!({"type": "text", "text": ".", "citations": [file]})),
        cites(2, "https://a"),
        stops(2),
        begins(3, tool),
        stops(3),
        begins(4, text("No more.")),
        stops(4),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
    ];
    let (texts, _) = said(&Messages, "claude-opus-5", &events);
    assert_eq!(texts, ["It is so.\n\nSources:\n- [A](https://a)", "No more."]);
}

#[test]
fn what_a_text_over_gemini_goes_by_stands_behind_it_as_links_and_goes_back_without_them() {
    let grounding = json!({
        "groundingChunks": [
            {"web": {"uri": "https://found.only", "title": "no"}}, {"web": {"uri": "https://a", "title": "a.org"}}, {"maps": {}}],
        "groundingSupports": [
            {"segment": {"endIndex": 2}, "groundingChunkIndices": [1, 2, 99]}, {"groundingChunkIndices": [1]}]});
    let chunk = |part: Value| json!({"candidates": [{"content": {"parts": [part]}}]});
    let end = json!({"candidates": [{"groundingMetadata": grounding, "finishReason": "STOP"}]});
    let signed = json!({"text": "so.", "thoughtSignature": "sig"});
    let begins = chunk(json!({"text": "It is "}));
    let gemini = Gemini::new(GEMINI);
    let linked = "It is so.\n\nSources:\n- [a.org](https://a)";
    let (texts, next) = said(&gemini, "gemini-3-pro", &[begins.clone(), chunk(signed.clone()), end.clone()]);
    assert_eq!(texts, [linked]);
    assert_eq!(next["contents"][1], json!({"role": "model", "parts": [{"text": "It is "}, signed]}));
    let (texts, _) = said(&gemini, "gemini-3-pro", &[begins, chunk(json!({"text": "so."})), end.clone()]);
    assert_eq!(texts, [linked]);
    // A thought has no sources.
    let (texts, _) = said(&gemini, "gemini-3-pro", &[chunk(json!({"text": "Hm", "thought": true})), end]);
    assert!(texts.is_empty());
}

#[test]
fn what_a_provider_tells_is_bounded() {
    let long = "é".repeat(MAX_TEXT);
    let many = told((0..100).map(|_| long.clone()), (0..100).map(|_| page("https://a", None)), None);
    assert_eq!((many.queries.len(), many.sources.len()), (MAX_QUERIES, MAX_SOURCES));
    assert!(many.queries.iter().all(|query| query.len() <= MAX_TEXT));
    let one = source(&json!({"url": long, "title": long}), "url").unwrap();
    assert!(one.url.len() <= MAX_TEXT && one.title.unwrap().len() <= MAX_TEXT);
    assert_eq!(source(&json!({"title": "no address"}), "url"), None);
}

//! The provider searches the web where a person lets it: each wire API is asked in its own words, the search and its
//! sources are shown, and what must go back goes back; held against the types that the API's makers publish.

use serde_json::{Value, json};
use skein_tests::TestEnv;
use skein_tests::environment::process::Output;
use skein_tests::environment::test_env::KEY_VARIABLE;

use crate::scene::Lines;
use crate::wire_apis::{Received, assert_fits, events, serve};

/// One turn with these answers of a provider that may search.
fn turn(wire_api: &str, path: &str, model: &str, bodies: Vec<String>) -> (Output, Vec<Received>) {
    let (address, serving) = serve(bodies);
    let env = TestEnv::with_base_url(&address).unwrap();
    env.write_settings(&format!(
        "model = \"{model}\"\nmodel_provider = \"other\"\nweb_search = \"live\"\n[model_providers.other]\n\
         base_url = \"{address}{path}\"\nenv_key = \"{KEY_VARIABLE}\"\nwire_api = \"{wire_api}\"\n"
    ))
    .unwrap();
    let output = env.run(["exec", "--json", "look it up"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    (output, serving.join().unwrap())
}

/// What was told of searches.
fn searches(output: &Output) -> Vec<Value> {
    Lines::of(output).completed("web_search").into_iter().cloned().collect()
}

fn expect_search(output: &Output, sources: &Value) {
    let found = searches(output);
    assert_eq!(found[0]["query"], "how sums are mended", "{found:?}");
    let all: Vec<&Value> =
        found.iter().flat_map(|item| item["action"]["sources"].as_array().unwrap()).collect();
    assert_eq!(json!(all), *sources, "{found:?}");
}

#[test]
fn responses() {
    let answer = |items: Value| {
        let done = |(index, item): (usize, &Value)| {
            ("", json!({"type": "response.output_item.done", "output_index": index, "item": item}))
        };
        let mut all: Vec<_> = items.as_array().unwrap().iter().enumerate().map(done).collect();
        all.push(("", json!({"type": "response.completed", "response": {}})));
        events(&all)
    };
    let action = json!({"type": "search", "query": "how sums are mended",
        "sources": [{"type": "url", "url": "https://a.example"}]});
    let search = json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": action});
    let call = json!({"type": "function_call", "call_id": "c1", "name": "list_dir", "arguments": "{}"});
    let text = json!({"type": "output_text", "text": "Done.", "annotations": []});
    let bodies = vec![
        answer(json!([search, call])),
        answer(json!([{"type": "message", "role": "assistant", "content": [text]}])),
    ];
    let (output, received) = turn("responses", "/v1", "gpt-6", bodies);
    assert_fits("responses", &received);
    expect_search(&output, &json!(["https://a.example"]));
    let tools = received[0].body["tools"].as_array().unwrap();
    assert_eq!(tools.last(), Some(&json!({"type": "web_search", "external_web_access": true})));
    let input = received[1].body["input"].as_array().unwrap();
    assert!(input.iter().any(|item| item["type"] == "web_search_call"), "{input:?}");
}

#[test]
fn messages() {
    let answer = |blocks: &[Value], stop: &str| {
        let mut all = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            all.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
            all.push(json!({"type": "content_block_stop", "index": index}));
        }
        all.push(
            json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}}),
        );
        all.push(json!({"type": "message_stop"}));
        events(&all.into_iter().map(|event| ("", event)).collect::<Vec<_>>())
    };
    let search = json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search",
        "input": {"query": "how sums are mended"}});
    let found = json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
        {"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "x"}]});
    let call = json!({"type": "tool_use", "id": "t1", "name": "list_dir", "input": {}});
    let bodies = vec![
        answer(&[search, found, call], "tool_use"),
        answer(&[json!({"type": "text", "text": "Done."})], "end_turn"),
    ];
    let (output, received) = turn("messages", "/v1", "claude-opus-5", bodies);
    assert_fits("messages", &received);
    expect_search(&output, &json!(["https://a.example"]));
    assert_eq!(received[0].body["tools"][0]["type"], "web_search_20250305");
    let said = received[1].body["messages"][1]["content"].as_array().unwrap();
    let kinds: Vec<_> = said.iter().map(|block| block["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["server_tool_use", "web_search_tool_result", "tool_use"]);
}

#[test]
fn gemini() {
    let answer = |parts: Value, grounding: Value| {
        events(&[(
            "",
            json!({"candidates": [{"content": {"role": "model", "parts": parts}, "groundingMetadata": grounding,
            "finishReason": "STOP", "index": 0}]}),
        )])
    };
    let search = json!({"toolCall": {"id": "g1", "toolType": "GOOGLE_SEARCH_WEB",
        "args": {"queries": ["how sums are mended"]}}, "thoughtSignature": "c2ln"});
    let found = json!({"toolResponse": {"id": "g1", "toolType": "GOOGLE_SEARCH_WEB", "response": {}}});
    let call = json!({"functionCall": {"id": "c1", "name": "list_dir", "args": {}}});
    let grounding = json!({"groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}]});
    let bodies =
        vec![answer(json!([search, found, call]), grounding), answer(json!([{"text": "Done."}]), json!({}))];
    let (output, received) = turn("gemini", "/v1beta", "gemini-3-pro", bodies);
    assert_fits("gemini", &received);
    expect_search(&output, &json!(["https://a.example"]));
    assert_eq!(received[0].body["tools"][1], json!({"googleSearch": {}}));
    let said = &received[1].body["contents"][1]["parts"];
    assert_eq!((&said[0], &said[1]), (&search, &found));
}

#[test]
fn chat_completions_have_no_search_and_that_is_said() {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "choices": [
            {"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let call = json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "c1", "type": "function",
        "function": {"name": "list_dir", "arguments": "{}"}}]});
    let answer = |delta: Value, finish: &str| {
        events(&[("", chunk(delta, Value::Null)), ("", chunk(json!({}), json!(finish)))]) + "data: [DONE]\n\n"
    };
    let bodies = vec![answer(call, "tool_calls"), answer(json!({"content": "Done."}), "stop")];
    let (output, received) = turn("chat", "/v1", "gpt-6", bodies);
    assert_fits("chat", &received);
    assert!(!received[0].body.to_string().contains("web_search"));
    let said = output.stdout.matches("The web search that `web_search` asks for is left out").count();
    assert_eq!(said, 1, "it is said, and once: {output:?}");
}

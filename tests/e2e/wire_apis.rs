//! One turn over each wire API: a picture is shown, a command runs, a file is changed, a picture is looked at, the
//! answer is told. What the server says is canned; what the client must send is looked at for the essentials and held
//! against the types that the API's makers publish.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use base64::Engine;
use serde_json::{Value, json};
use skein_tests::environment::process::Output;
use skein_tests::environment::test_env::{KEY, KEY_VARIABLE};
use skein_tests::{TestEnv, published_types, skip};

/// What the model does: it runs a command, changes a file, and says so.
const COMMAND: &str = r#"{"command":"echo seen > seen.txt"}"#;
const PATCH: &str = "*** Begin Patch\n*** Add File: new.txt\n+new\n*** End Patch";
const LOOK: &str = r#"{"path":"dot.png"}"#;
const THOUGHT: &str = "Let me see";
const WORDS: &str = r#"{"done":true}"#;
/// What the answer is to be.
const SCHEMA: &str = r#"{"type":"object","properties":{"done":{"type":"boolean"}},"required":["done"],
    "additionalProperties":false}"#;
/// The smallest PNG: one transparent dot.
pub(crate) const DOT: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A request as it came.
pub(crate) struct Received {
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Answers one request after the other with these bodies, then ends with what it received.
pub(crate) fn serve(bodies: Vec<String>) -> (String, JoinHandle<Vec<Received>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let answer = |body: String| {
            let (stream, _) = listener.accept().unwrap();
            exchange(stream, &body)
        };
        bodies.into_iter().map(answer).collect()
    });
    (format!("http://{address}"), serving)
}

fn exchange(mut stream: TcpStream, body: &str) -> Received {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let target = line.split(' ').nth(1).unwrap().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse().unwrap();
    let mut received = vec![0; length];
    reader.read_exact(&mut received).unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    Received { target, headers, body: serde_json::from_slice(&received).unwrap() }
}

/// Server-sent events, with their names where the API gives some.
pub(crate) fn events(events: &[(&str, Value)]) -> String {
    let event = |(name, data): &(&str, Value)| match *name {
        "" => format!("data: {data}\n\n"),
        name => format!("event: {name}\ndata: {data}\n\n"),
    };
    events.iter().map(event).collect()
}

fn run(wire_api: &str, path: &str, bodies: Vec<String>) -> (TestEnv, Vec<Received>) {
    let (address, serving) = serve(bodies);
    let env = TestEnv::with_base_url(&address).unwrap();
    env.write_settings(&format!(
        "model = \"m\"\nmodel_provider = \"other\"\n[model_providers.other]\nbase_url = \"{address}{path}\"\n\
         env_key = \"{KEY_VARIABLE}\"\nwire_api = \"{wire_api}\"\n"
    ))
    .unwrap();
    let png = base64::engine::general_purpose::STANDARD.decode(DOT).unwrap();
    std::fs::write(env.repository().join("dot.png"), png).unwrap();
    std::fs::write(env.repository().join("schema.json"), SCHEMA).unwrap();
    let shows = ["-i", "dot.png", "--output-schema", "schema.json", "-c", "model_reasoning_effort=\"high\""];
    let output =
        env.run(["exec", "--record", "seen.jsonl"].into_iter().chain(shows).chain(["do it"])).unwrap();
    assert_done(&env, &output);
    let received = serving.join().unwrap();
    assert_plays_again(&env);
    assert_fits(wire_api, &received);
    (env, received)
}

/// The requests have the published types.
pub(crate) fn assert_fits(wire_api: &str, received: &[Received]) {
    if !published_types::are_there().unwrap() {
        skip::skipped("the published types are not there: `cargo xtest` fetches them").unwrap();
        return;
    }
    let bodies: Vec<Value> = received.iter().map(|request| request.body.clone()).collect();
    let complaints = published_types::complaints(wire_api, &bodies).unwrap();
    assert!(complaints.is_none(), "{}", complaints.unwrap_or_default());
    // A check that sees nothing wrong in a key that nobody knows would see nothing at all.
    let mut odd = bodies[0].clone();
    odd["nobody_knows"] = json!(1);
    assert!(published_types::complaints(wire_api, &[odd]).unwrap().is_some());
}

fn assert_done(env: &TestEnv, output: &Output) {
    assert_eq!((output.code(), output.stdout.trim()), (Some(0), WORDS), "{output:?}");
    assert_eq!(env.read_file("seen.txt").unwrap(), "seen\n");
    assert_eq!(env.read_file("new.txt").unwrap(), "new\n");
}

/// What was recorded does the same without a server, and holds no key.
fn assert_plays_again(env: &TestEnv) {
    let recording = env.repository().join("seen.jsonl");
    let text = std::fs::read_to_string(&recording).unwrap();
    assert!(!text.contains(KEY), "the key is in the recording");
    assert_eq!(rustix::fs::stat(&recording).unwrap().st_mode & 0o777, 0o600, "others can read it");
    assert_eq!(text.lines().count(), 5, "{text}");
    for made in ["seen.txt", "new.txt"] {
        std::fs::remove_file(env.repository().join(made)).unwrap();
    }
    env.write_settings(&format!(
        "model = \"m\"\nmodel_provider = \"again\"\n[model_providers.again]\nwire_api = \"replay\"\n\
         script = {}\n",
        json!(recording.to_str().unwrap())
    ))
    .unwrap();
    assert_done(env, &env.run(["exec", "do it"]).unwrap());
}

fn patch_as_function() -> String {
    json!({ "input": PATCH }).to_string()
}

#[test]
fn chat_completions() {
    let chunk = |delta: Value, finish: Value| {
        (
            "",
            json!({"id": "c", "object": "chat.completion.chunk", "choices": [
            {"index": 0, "delta": delta, "finish_reason": finish}]}),
        )
    };
    let call = |id: &str, name: &str, arguments: &str| {
        let half = arguments.len() / 2;
        let function = json!({"name": name, "arguments": &arguments[..half]});
        let begin = json!({"role": "assistant", "tool_calls": [
            {"index": 0, "id": id, "type": "function", "function": function}]});
        let rest = json!({"tool_calls": [{"index": 0, "function": {"arguments": &arguments[half..]}}]});
        let end = chunk(json!({}), json!("tool_calls"));
        events(&[chunk(begin, Value::Null), chunk(rest, Value::Null), end]) + "data: [DONE]\n\n"
    };
    let words = events(&[
        chunk(json!({"reasoning_content": THOUGHT}), Value::Null),
        chunk(json!({"content": WORDS}), Value::Null),
        chunk(json!({}), json!("stop")),
    ]);
    let bodies = vec![
        call("c1", "shell", COMMAND),
        call("c2", "apply_patch", &patch_as_function()),
        call("c3", "view_image", LOOK),
        words + "data: [DONE]\n\n",
    ];
    let (_env, received) = run("chat", "/v1", bodies);
    assert_eq!(received[0].target, "/v1/chat/completions");
    assert_eq!(received[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    let messages = received[2].body["messages"].as_array().unwrap();
    let roles: Vec<_> = messages.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "tool", "assistant", "tool"]);
    assert_eq!(messages[3]["tool_call_id"], "c1");
}

#[test]
fn messages() {
    let message = |content: Value, delta: Value, stop: &str| {
        events(&[
            (
                "message_start",
                json!({"type": "message_start", "message": {"id": "m", "type": "message",
                "role": "assistant", "model": "m", "content": [], "stop_reason": null,
                "usage": {"input_tokens": 10, "output_tokens": 1}}}),
            ),
            (
                "content_block_start",
                json!({"type": "content_block_start", "index": 0, "content_block": content}),
            ),
            ("content_block_delta", json!({"type": "content_block_delta", "index": 0, "delta": delta})),
            ("content_block_stop", json!({"type": "content_block_stop", "index": 0})),
            (
                "message_delta",
                json!({"type": "message_delta", "delta": {"stop_reason": stop},
                "usage": {"output_tokens": 5}}),
            ),
            ("message_stop", json!({"type": "message_stop"})),
        ])
    };
    let call = |id: &str, name: &str, arguments: &str| {
        let content = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
        message(content, json!({"type": "input_json_delta", "partial_json": arguments}), "tool_use")
    };
    let words = message(
        json!({"type": "text", "text": ""}),
        json!({"type": "text_delta", "text": WORDS}),
        "end_turn",
    );
    let bodies = vec![
        call("t1", "shell", COMMAND),
        call("t2", "apply_patch", &patch_as_function()),
        call("t3", "view_image", LOOK),
        words,
    ];
    let (_env, received) = run("messages", "/v1", bodies);
    assert_eq!(received[0].target, "/v1/messages");
    assert_eq!(received[0].header("x-api-key"), Some(KEY));
    assert!(received[0].header("anthropic-version").is_some());
    let messages = received[2].body["messages"].as_array().unwrap();
    assert_eq!(messages[2]["content"][0]["type"], "tool_result");
    assert_eq!(messages[2]["content"][0]["tool_use_id"], "t1");
}

#[test]
fn gemini() {
    let answer = |parts: Value| {
        events(&[(
            "",
            json!({"candidates": [{"content": {"role": "model", "parts": parts},
            "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}}),
        )])
    };
    let call = |name: &str, arguments: &str| {
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        answer(json!([{"functionCall": {"name": name, "args": arguments}}]))
    };
    let bodies = vec![
        call("shell", COMMAND),
        call("apply_patch", &patch_as_function()),
        call("view_image", LOOK),
        answer(json!([{"text": THOUGHT, "thought": true}, {"text": WORDS}])),
    ];
    let (_env, received) = run("gemini", "/v1beta", bodies);
    assert_eq!(received[0].target, "/v1beta/models/m:streamGenerateContent?alt=sse");
    assert_eq!(received[0].header("x-goog-api-key"), Some(KEY));
    let contents = received[2].body["contents"].as_array().unwrap();
    assert_eq!(contents[2]["parts"][0]["functionResponse"]["name"], "shell");
}

#[test]
fn responses() {
    let answer = |items: Value| {
        let done = |(index, item): (usize, &Value)| {
            ("", json!({"type": "response.output_item.done", "output_index": index, "item": item}))
        };
        let items = items.as_array().unwrap().clone();
        let usage = json!({"input_tokens": 10, "output_tokens": 5, "total_tokens": 15});
        let mut all: Vec<_> = items.iter().enumerate().map(done).collect();
        all.insert(0, ("", json!({"type": "response.created", "response": {}})));
        all.push(("", json!({"type": "response.completed", "response": {"usage": usage}})));
        events(&all)
    };
    let thought = json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "sealed",
        "summary": [{"type": "summary_text", "text": THOUGHT}]});
    let call = |id: &str, name: &str, arguments: &str| json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments});
    let patch = json!({"type": "custom_tool_call", "call_id": "r2", "name": "apply_patch", "input": PATCH});
    let text = json!({"type": "output_text", "text": WORDS, "annotations": []});
    let bodies = vec![
        answer(json!([thought, call("r1", "shell", COMMAND)])),
        answer(json!([patch])),
        answer(json!([call("r3", "view_image", LOOK)])),
        answer(json!([{"type": "message", "role": "assistant", "content": [text]}])),
    ];
    let (_env, received) = run("responses", "/v1", bodies);
    assert_eq!(received[0].target, "/v1/responses");
    let input = received[3].body["input"].as_array().unwrap();
    let sealed = input.iter().find(|item| item["type"] == "reasoning").unwrap();
    assert_eq!(sealed["encrypted_content"], "sealed");
}

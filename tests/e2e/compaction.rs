//! A session that outgrows its model goes on with a summary, and with what people said, the plan, changed files and
//! failing checks as they were; over each wire API, by itself and by hand, through crashes and rewinds.

use std::fs;

use protocol::api::session::SessionClient;
use protocol::context::{CompactionReason, SessionCompactParams, SessionCompactResult};
use protocol::event::Event;
use protocol::ids::{RequestId, SessionId};
use protocol::item::{Item, ItemBody, ItemStatus};
use serde_json::{Value, json};
use skein_tests::environment::test_env::KEY_VARIABLE;
use skein_tests::rpc::TestClient;
use skein_tests::scripted_model::reply::{Answer, Point, Reply, StatusReply, Then};
use skein_tests::scripted_model::request::Request;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{SOON, client, good_turn, json_turn, kill_daemon, scene, script, seen, up};
use crate::wire_apis::{events, serve};

/// A ceiling that any request is above.
const ALWAYS: [&str; 2] = ["-c", "model_auto_compact_token_limit=1"];
/// What marks the message that stands for all before it.
const NOTES: &str = "The conversation before it was compacted";

/// A session in which somebody said something and a check failed.
fn begun(more: impl IntoIterator<Item = Reply>) -> (ScriptedModel, TestEnv) {
    let replies = [script("echo BROKEN; exit 3"), Reply::text("It fails.")];
    let (model, env) = scene(replies.into_iter().chain(more));
    good_turn(&env, &["The first order: mend it."]);
    (model, env)
}

fn resume<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ["resume", "--last"].iter().chain(more).copied().collect()
}

fn last(model: &ScriptedModel) -> std::sync::Arc<Request> {
    model.requests().last().unwrap().clone()
}

fn is_compaction(item: &Item) -> bool {
    matches!(item.body, ItemBody::Compaction(_))
}

async fn compact(client: &TestClient, session_id: SessionId) -> SessionCompactResult {
    let params = SessionCompactParams {
        session_id,
        instructions: Some("Dwell on the parser.".to_owned()),
        request_id: Some(RequestId::generate()),
    };
    client.rpc().compact(params).await.unwrap()
}

#[test]
fn a_session_that_grew_too_long_goes_on_with_a_summary() {
    let (model, env) = begun([Reply::text("The notes."), Reply::text("Mended.")]);
    let lines = good_turn(&env, &resume(&[ALWAYS[0], ALWAYS[1], "Second order."]));
    assert_eq!(lines.only("agent_message")["text"], "Mended.");
    let usage = &lines.last()["usage"];
    assert_eq!(
        (&usage["input_tokens"], &usage["output_tokens"]),
        (&json!(200), &json!(40)),
        "both are paid for"
    );
    let requests = model.requests();
    let (before, summary, after) = (&requests[1], &requests[2], &requests[3]);
    assert_eq!(&summary.input()[..before.input().len()], before.input(), "the cached prefix stays");
    assert_eq!(summary.json()["tools"], before.json()["tools"]);
    assert_eq!(summary.json()["instructions"], before.json()["instructions"]);
    let texts = after.user_texts();
    assert_eq!((texts.len(), after.input().len()), (2, 2), "{texts:?}");
    for part in [NOTES, "The notes.", "The first order: mend it.", "exit code 3", "BROKEN"] {
        assert!(texts[0].contains(part), "{part} in {}", texts[0]);
    }
    assert_eq!(texts[1], "Second order.");
}

#[test]
fn it_is_told_and_taken_back_with_its_turn() {
    let (model, env) = begun([Reply::text("The notes."), Reply::text("Mended."), Reply::text("Back.")]);
    let output = env.run(["exec", "resume", "--last", ALWAYS[0], ALWAYS[1], "Second order."]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(seen(&output).contains("Compacted what was said and done before"), "{output:?}");
    assert_eq!(env.run(["rewind", "--last", "--chat"]).unwrap().code(), Some(0));
    let unlimited = "model_auto_compact_token_limit=1000000";
    good_turn(&env, &resume(&["-c", unlimited, "Third order."]));
    let request = last(&model);
    assert!(!request.user_texts().concat().contains(NOTES));
    assert_eq!(request.input_of("function_call_output").count(), 1, "all before it is there again");
}

#[test]
fn a_request_that_the_provider_finds_too_long_is_made_once_more_after_it() {
    let message = "Your input exceeds the context window of this model.";
    let refused = || {
        Reply::from(StatusReply::error(
            400,
            message,
            "invalid_request_error",
            Some("context_length_exceeded"),
        ))
    };
    let (model, env) = begun([refused(), Reply::text("The notes."), Reply::text("Mended.")]);
    good_turn(&env, &resume(&["Second order."]));
    let requests = model.requests();
    assert!(requests[3].tool_names().is_empty() && requests[3].input().len() == 1, "it is told as a text");
    assert!(requests[3].user_texts()[0].contains("BROKEN"));
    assert!(requests[4].user_texts()[0].contains("The notes."));
    for reply in [refused(), Reply::text("More notes."), refused()] {
        model.push(reply);
    }
    let (output, lines) = json_turn(&env, &resume(&["Third order."]));
    assert_eq!(output.code(), Some(1), "{output:?}");
    assert!(lines.failure().1.contains("exceeds the context window"), "{:?}", lines.last());
    assert_eq!(model.requests().len(), 8, "there is no loop");
}

#[tokio::test]
async fn somebody_has_it_done_and_a_crash_in_the_middle_costs_nothing() {
    let half = Answer::new().text("Half of the notes, and").breaks(Point::Events(4), Then::Stall);
    let (model, env) = scene([Reply::text("Looked."), half.into()]);
    let session: SessionId = good_turn(&env, &["The first order."]).session().parse().unwrap();
    let first = client(&env, "first").await;
    compact(&first, session).await;
    model.wait_for_requests(2, SOON).unwrap();
    assert!(last(&model).user_texts().concat().contains("Dwell on the parser."));
    kill_daemon(&env);
    up(&env);
    let second = client(&env, "second").await;
    let mut follower = second.follow(session).await.unwrap();
    model.push(Reply::text("All of the notes."));
    compact(&second, session).await;
    let is_done = |item: &Item| item.status == ItemStatus::Completed && is_compaction(item);
    follower.until(SOON, |seen| seen.completed().any(is_done)).await.unwrap();
    let done = follower.seen().completed().find(|item| is_done(item)).unwrap();
    let ItemBody::Compaction(body) = &done.body else { panic!("{done:?}") };
    assert_eq!((&body.reason, body.summary.as_str()), (&CompactionReason::Requested, "All of the notes."));
    follower.until(SOON, |seen| matches!(seen.events().last(), Some(Event::TurnEnded(_)))).await.unwrap();
    model.push(Reply::text("Mended."));
    good_turn(&env, &resume(&["Second order."]));
    assert!(last(&model).user_texts()[0].contains("All of the notes."));
}

#[test]
fn a_hook_may_forbid_it_and_another_one_hears_of_it() {
    let (model, env) = begun([Reply::text("Mended.")]);
    let folder = env.settings_file().parent().unwrap().to_owned();
    let hooks = |pre: &str, post: &str| {
        let command = |command: &str| json!([{"hooks": [{"type": "command", "command": command}]}]);
        let hooks = json!({"hooks": {"PreCompact": command(pre), "PostCompact": command(post)}});
        fs::write(folder.join("hooks.json"), hooks.to_string()).unwrap();
    };
    hooks("cat > pre.json; echo not now >&2; exit 2", "cat > post.json");
    good_turn(&env, &resume(&[ALWAYS[0], ALWAYS[1], "Second order."]));
    let told: Value = serde_json::from_str(&env.read_file("pre.json").unwrap()).unwrap();
    assert_eq!((&told["hook_event_name"], &told["trigger"]), (&json!("PreCompact"), &json!("auto")));
    assert_eq!(last(&model).user_texts(), ["The first order: mend it.", "Second order."]);
    hooks("true", "cat > post.json");
    model.push(Reply::text("The notes."));
    model.push(Reply::text("Done."));
    good_turn(&env, &resume(&[ALWAYS[0], ALWAYS[1], "Third order."]));
    let told: Value = serde_json::from_str(&env.read_file("post.json").unwrap()).unwrap();
    assert_eq!((&told["trigger"], &told["compact_summary"]), (&json!("auto"), &json!("The notes.")));
    assert_eq!(last(&model).user_texts().len(), 2);
}

/// How an API says something, or calls for a command.
type Say = fn(&str) -> String;

/// The same over one API: a command runs, the session grows too long, and goes on.
fn over(wire_api: &str, path: &str, says: Say, calls: Say) {
    let bodies = vec![calls("echo BROKEN; exit 3"), says("It fails."), says("The notes."), says("Mended.")];
    let (address, serving) = serve(bodies);
    let env = TestEnv::with_base_url(&address).unwrap();
    env.write_settings(&format!(
        "model = \"m\"\nmodel_provider = \"other\"\n[model_providers.other]\nbase_url = \"{address}{path}\"\n\
         env_key = \"{KEY_VARIABLE}\"\nwire_api = \"{wire_api}\"\n"
    ))
    .unwrap();
    good_turn(&env, &["The first order."]);
    good_turn(&env, &resume(&[ALWAYS[0], ALWAYS[1], "Second order."]));
    let bodies: Vec<Value> = serving.join().unwrap().into_iter().map(|request| request.body).collect();
    let after = bodies[3].to_string();
    for part in [NOTES, "The notes.", "The first order.", "BROKEN", "Second order."] {
        assert!(after.contains(part), "{part} in {after}");
    }
    assert!(!after.contains("It fails."), "{after}");
}

fn shell(command: &str) -> Value {
    json!({ "command": command })
}

#[test]
fn over_responses() {
    fn answer(item: &Value) -> String {
        let usage = json!({"input_tokens": 10, "output_tokens": 5, "total_tokens": 15});
        events(&[
            ("", json!({"type": "response.created", "response": {}})),
            ("", json!({"type": "response.output_item.done", "output_index": 0, "item": item})),
            ("", json!({"type": "response.completed", "response": {"usage": usage}})),
        ])
    }
    let says: Say = |text| {
        let text = json!({"type": "output_text", "text": text, "annotations": []});
        answer(&json!({"type": "message", "role": "assistant", "content": [text]}))
    };
    let calls: Say = |command| {
        let arguments = shell(command).to_string();
        answer(&json!({"type": "function_call", "call_id": "c", "name": "shell", "arguments": arguments}))
    };
    over("responses", "/v1", says, calls);
}

#[test]
fn over_chat_completions() {
    fn answer(delta: &Value, finish: &str) -> String {
        let chunk = |delta: &Value, finish: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            ("", json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]}))
        };
        let chunks = [chunk(delta, Value::Null), chunk(&json!({}), json!(finish))];
        events(&chunks) + "data: [DONE]\n\n"
    }
    let says: Say = |text| answer(&json!({ "content": text }), "stop");
    let calls: Say = |command| {
        let function = json!({"name": "shell", "arguments": shell(command).to_string()});
        let call = json!({"index": 0, "id": "c", "type": "function", "function": function});
        answer(&json!({"role": "assistant", "tool_calls": [call]}), "tool_calls")
    };
    over("chat", "/v1", says, calls);
}

#[test]
fn over_messages() {
    fn answer(content: &Value, delta: &Value, stop: &str) -> String {
        let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": null, "usage": {"input_tokens": 10, "output_tokens": 1}});
        let start = json!({"type": "content_block_start", "index": 0, "content_block": content});
        let end =
            json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}});
        events(&[
            ("message_start", json!({"type": "message_start", "message": message})),
            ("content_block_start", start),
            ("content_block_delta", json!({"type": "content_block_delta", "index": 0, "delta": delta})),
            ("content_block_stop", json!({"type": "content_block_stop", "index": 0})),
            ("message_delta", end),
            ("message_stop", json!({"type": "message_stop"})),
        ])
    }
    let says: Say = |text| {
        answer(&json!({"type": "text", "text": ""}), &json!({"type": "text_delta", "text": text}), "end_turn")
    };
    let calls: Say = |command| {
        let content = json!({"type": "tool_use", "id": "t", "name": "shell", "input": {}});
        let delta = json!({"type": "input_json_delta", "partial_json": shell(command).to_string()});
        answer(&content, &delta, "tool_use")
    };
    over("messages", "/v1", says, calls);
}

#[test]
fn over_gemini() {
    fn answer(part: &Value) -> String {
        let content = json!({"role": "model", "parts": [part]});
        let usage = json!({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15});
        let candidate = json!({"content": content, "finishReason": "STOP", "index": 0});
        events(&[("", json!({"candidates": [candidate], "usageMetadata": usage}))])
    }
    let says: Say = |text| answer(&json!({ "text": text }));
    let calls: Say = |command| answer(&json!({"functionCall": {"name": "shell", "args": shell(command)}}));
    over("gemini", "/v1beta", says, calls);
}

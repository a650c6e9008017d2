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
use crate::wire_apis::{assert_fits, events, serve};

/// A ceiling that any request is above.
pub(crate) const ALWAYS: [&str; 2] = ["-c", "model_auto_compact_token_limit=1"];
/// What marks the message that stands for all before it.
const NOTES: &str = "The conversation before it was compacted";

/// A session in which somebody said something and a check failed.
fn begun(more: impl IntoIterator<Item = Reply>) -> (ScriptedModel, TestEnv) {
    let replies = [script("echo BROKEN; exit 3"), Reply::text("It fails.")];
    let (model, env) = scene(replies.into_iter().chain(more));
    good_turn(&env, &["The first order: mend it."]);
    (model, env)
}

pub(crate) fn resume<'a>(more: &[&'a str]) -> Vec<&'a str> {
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

/// An answer of the Responses API that is one message.
pub(crate) fn said(text: &str) -> String {
    let text = json!({"type": "output_text", "text": text, "annotations": []});
    let item = json!({"type": "message", "role": "assistant", "content": [text]});
    let usage = json!({"input_tokens": 10, "output_tokens": 5, "total_tokens": 15});
    events(&[
        ("", json!({"type": "response.created", "response": {}})),
        ("", json!({"type": "response.output_item.done", "output_index": 0, "item": item})),
        ("", json!({"type": "response.completed", "response": {"usage": usage}})),
    ])
}

/// What the provider itself makes of a conversation.
pub(crate) fn sealed() -> Value {
    let said = json!([{"type": "input_text", "text": "The first order."}]);
    json!([
        {"type": "message", "role": "user", "status": "completed", "content": said},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed"},
    ])
}

#[test]
fn a_provider_that_compacts_itself_is_given_back_what_it_made_and_others_what_is_carried() {
    let usage = json!({"input_tokens": 70, "output_tokens": 9, "total_tokens": 79});
    let compacted = json!({"id": "r", "object": "response.compaction", "created_at": 1, "output": sealed(),
        "usage": usage});
    let elsewhere = events(&[(
        "",
        json!({"choices": [{"index": 0, "delta": {"content": "Elsewhere."}, "finish_reason": "stop"}]}),
    )]) + "data: [DONE]\n\n";
    let bodies = vec![
        said("It fails."),
        compacted.to_string(),
        said("Mended."),
        "{}".into(),
        said("The notes."),
        said("Again."),
        elsewhere,
    ];
    let (address, serving) = serve(bodies);
    let env = TestEnv::with_base_url(&address).unwrap();
    let provider = |id: &str, wire_api: &str| {
        format!(
            "[model_providers.{id}]\nbase_url = \"{address}/v1\"\nenv_key = \"{KEY_VARIABLE}\"\n\
             wire_api = \"{wire_api}\"\nsupports_compaction = true\nstream_max_retries = 0\n"
        )
    };
    let settings = format!(
        "model = \"m\"\nmodel_provider = \"one\"\n{}{}",
        provider("one", "responses"),
        provider("two", "chat")
    );
    env.write_settings(&settings).unwrap();
    good_turn(&env, &["The first order."]);
    let lines = good_turn(&env, &resume(&[ALWAYS[0], ALWAYS[1], "Second order."]));
    assert_eq!(lines.last()["usage"]["input_tokens"], 80, "it is paid for");
    // What is no compaction costs nothing but a notice.
    let lines = good_turn(&env, &resume(&[ALWAYS[0], ALWAYS[1], "Third order."]));
    assert_eq!(lines.only("agent_message")["text"], "Again.");
    assert_eq!(env.run(["rewind", "--last", "--chat"]).unwrap().code(), Some(0));
    let unlimited = "model_auto_compact_token_limit=1000000";
    good_turn(&env, &resume(&["-c", unlimited, "-c", "model_provider=\"two\"", "Fourth order."]));
    let received = serving.join().unwrap();
    let (asked, others): (Vec<_>, Vec<_>) =
        received.into_iter().partition(|request| request.target.ends_with("/compact"));
    let bodies: Vec<&Value> = others.iter().map(|request| &request.body).collect();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].target, "/v1/responses/compact");
    assert!(asked[0].body["input"].to_string().contains("It fails."), "{}", asked[0].body);
    assert!(!asked[0].body["input"].to_string().contains("Second order."), "{}", asked[0].body);
    let input = bodies[1]["input"].as_array().unwrap();
    assert_eq!(input[..2], sealed().as_array().unwrap()[..], "unchanged");
    assert_eq!((input.len(), input[2]["content"][0]["text"].as_str()), (3, Some("Second order.")));
    let input = bodies[2]["input"].as_array().unwrap();
    assert_eq!(
        input[..2],
        sealed().as_array().unwrap()[..],
        "the model writes the notes of what it was shown"
    );
    assert!(bodies[3].to_string().contains("The notes."));
    assert_fits("compact", &asked);
    assert_fits("responses", &others[..4]);
    let elsewhere = bodies[4].to_string();
    for part in [NOTES, "The first order.", "Fourth order."] {
        assert!(elsewhere.contains(part), "{part} in {elsewhere}");
    }
    assert!(!elsewhere.contains("sealed"), "{elsewhere}");
    let shown = env.run(["sessions", "show", "--last"]).unwrap();
    assert!(seen(&shown).contains("can't read the notes that another provider made"), "{shown:?}");
}

#[tokio::test]
async fn a_session_learns_what_is_known_of_its_model_by_now() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    let session: SessionId = good_turn(&env, &["The first order."]).session().parse().unwrap();
    let settings = fs::read_to_string(env.settings_file()).unwrap();
    let window = async || {
        let read = client(&env, "reader").await.read(session).await.unwrap();
        read.summary.settings.model_context.window_tokens
    };
    assert_eq!(window().await, None);
    let model = client(&env, "reader").await.read(session).await.unwrap().summary.settings.model;
    env.write_settings(&format!("{settings}\n[models.\"{model}\"]\ncontext_window = 123456\n")).unwrap();
    kill_daemon(&env);
    good_turn(&env, &resume(&["Second order."]));
    assert_eq!(window().await, Some(123_456));
}

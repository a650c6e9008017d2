//! The same scenes through the whole daemon, on every wire API: what clients see of a session does not tell which one its
//! model speaks. Where an API has no way to say a thing, the scene says how it differs.

use std::fs;

use base64::Engine;
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::event::Event;
use protocol::ids::{RequestId, SessionId};
use protocol::item::{CommandExit, Item, ItemBody};
use protocol::session::{SessionCreateParams, SessionUpdateParams, SettingOverride, SettingsOverrides};
use protocol::turn::{
    InputPart, InterruptReason, TurnFailure, TurnInterruptParams, TurnOutcome, TurnStartParams,
    TurnSteerParams,
};
use serde_json::{Value, json};
use skein_tests::TestEnv;
use skein_tests::environment::test_env::KEY_VARIABLE;
use skein_tests::rpc::{Follower, Seen, TestClient, said, start_params};

use crate::scene::{SOON, client, up};
use crate::scene_apis::{APIS, Answer, Api, End, serve};
use crate::wire_apis::DOT;

/// One API's part of a scene.
struct Stage<'a> {
    api: &'static Api,
    env: &'a TestEnv,
    client: &'a TestClient,
    session: SessionId,
    follower: Follower,
}

/// What came of a scene on one API.
struct Played {
    api: &'static Api,
    /// What clients saw, in words.
    told: Vec<String>,
    bodies: Vec<Value>,
}

impl Stage<'_> {
    /// Starts a turn and sees it to its end.
    async fn turn(&mut self, params: TurnStartParams) {
        let before = self.follower.seen().turns_ended();
        TurnClient::start(self.client.rpc(), params).await.unwrap();
        self.follower.until(SOON, |seen| seen.turns_ended() > before).await.unwrap();
    }

    fn says(&self, text: &str) -> TurnStartParams {
        start_params(self.session, text)
    }
}

/// Plays a scene on every API, in one daemon.
async fn play(answers: &[Answer], scene: impl AsyncFn(&mut Stage<'_>)) -> Vec<Played> {
    let servers: Vec<_> = APIS.iter().map(|api| serve(api, answers.to_vec())).collect();
    let env = TestEnv::with_base_url("http://127.0.0.1:1").unwrap();
    let mut settings = "model = \"m\"\n".to_owned();
    for (api, (address, _)) in APIS.iter().zip(&servers) {
        let name = api.name;
        settings.push_str(&format!(
            "[model_providers.{name}]\nbase_url = \"{address}\"\nenv_key = \"{KEY_VARIABLE}\"\n\
             wire_api = \"{name}\"\n"
        ));
    }
    env.write_settings(&settings).unwrap();
    let png = base64::engine::general_purpose::STANDARD.decode(DOT).unwrap();
    fs::write(env.repository().join("dot.png"), png).unwrap();
    up(&env);
    let client = client(&env, "watcher").await;
    let mut all = Vec::new();
    for (api, (_, serving)) in APIS.iter().zip(servers) {
        let overrides = overrides("model_provider", api.name);
        let params =
            SessionCreateParams { cwd: env.repository(), overrides, ..SessionCreateParams::default() };
        let session = client.create_with(params).await.unwrap();
        let follower = client.follow(session).await.unwrap();
        let mut stage = Stage { api, env: &env, client: &client, session, follower };
        scene(&mut stage).await;
        let told = told(api, stage.follower.seen());
        all.push(Played { api, told, bodies: serving.join().unwrap() });
    }
    all
}

fn overrides(key: &str, value: &str) -> SettingsOverrides {
    let values = vec![SettingOverride { key: key.to_owned(), value: value.to_owned() }];
    SettingsOverrides { values, ..SettingsOverrides::default() }
}

/// One turn of an answer after the other.
async fn plain(answers: &[Answer]) -> Vec<Played> {
    play(answers, async |stage| {
        let params = stage.says("begin");
        stage.turn(params).await;
    })
    .await
}

/// Checks that all APIs tell the same, and that these words are among it, in order.
fn same(all: &[Played], wanted: &[&str]) {
    for played in all {
        assert_eq!(played.told, all[0].told, "{} differs from {}", played.api.name, all[0].api.name);
    }
    let mut told = all[0].told.iter();
    for word in wanted {
        assert!(told.any(|line| line == word), "`{word}` in its place of {:#?}", all[0].told);
    }
}

/// What clients see, without ids and times; how the text grew and when it was made durable is nobody's affair.
fn told(api: &Api, seen: &Seen) -> Vec<String> {
    let word = |event: &Event| {
        Some(match event {
            Event::TurnStarted(_) => "turn".to_owned(),
            Event::ModelRequested(requested) => format!("asks {}", requested.step),
            Event::ModelResponded(responded) => {
                let usage = responded.usage;
                format!("answered {}/{}", usage.input_tokens, usage.output_tokens)
            }
            Event::ModelRetried(_) => "again".to_owned(),
            Event::ItemStarted(changed) => format!("begins {}", kind(&changed.item)),
            Event::ItemCompleted(changed) => {
                format!("{} {:?}: {}", kind(&changed.item), changed.item.status, words(&changed.item))
            }
            Event::TurnEnded(ended) => format!("ends {}", outcome(api, &ended.outcome)),
            _ => return None,
        })
    };
    seen.events().filter_map(word).collect()
}

fn kind(item: &Item) -> &'static str {
    match item.body {
        ItemBody::UserMessage(_) => "said",
        ItemBody::AgentMessage(_) => "message",
        ItemBody::Reasoning(_) => "reasoning",
        ItemBody::Command(_) => "command",
        ItemBody::FileChange(_) => "change",
        ItemBody::ToolCall(_) => "call",
        ItemBody::Compaction(_) => "compaction",
        _ => "other",
    }
}

fn words(item: &Item) -> String {
    match &item.body {
        ItemBody::UserMessage(message) => match message.content.first() {
            Some(InputPart::Text { text }) => text.clone(),
            _ => String::new(),
        },
        ItemBody::AgentMessage(message) => message.text.clone(),
        ItemBody::Reasoning(reasoning) => format!("{} {}", reasoning.summary, reasoning.opaque.is_some()),
        ItemBody::Command(command) => match command.outcome.as_ref().map(|outcome| &outcome.exit) {
            Some(CommandExit::Code { code }) => code.to_string(),
            _ => "?".to_owned(),
        },
        ItemBody::FileChange(change) => {
            let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
            change.changes.iter().map(|file| name(&file.path)).collect::<Vec<_>>().join(" ")
        }
        ItemBody::ToolCall(call) => call.call.name.clone(),
        ItemBody::Compaction(compaction) => compaction.summary.clone(),
        _ => String::new(),
    }
}

fn outcome(api: &Api, outcome: &TurnOutcome) -> String {
    match outcome {
        TurnOutcome::Completed => "completed".to_owned(),
        TurnOutcome::Interrupted { .. } => "interrupted".to_owned(),
        TurnOutcome::Failed { failure: TurnFailure::ModelStopped { reason } } if reason == api.length => {
            "by length".to_owned()
        }
        TurnOutcome::Failed { failure: TurnFailure::ModelStopped { reason } } => format!("by {reason}"),
        TurnOutcome::Failed { failure: TurnFailure::Provider(failure) } => {
            format!("failed {:?}", failure.kind)
        }
        other => format!("{other:?}"),
    }
}

fn says(text: &'static str) -> Answer {
    Answer { text: Some(text), ..Answer::default() }
}

fn calls<I: AsRef<str>>(calls: &[(&'static str, I)]) -> Answer {
    let calls = calls.iter().map(|(name, input)| (*name, input.as_ref().to_owned())).collect();
    Answer { calls, ..Answer::default() }
}

/// Each call is another one, or it would be stopped as one that is made again and again.
fn from(at: u32) -> String {
    format!(r#"{{"path":"dot.png","offset":{}}}"#, at + 1)
}

#[tokio::test]
async fn plain_text_and_reasoning() {
    let thinks = Answer { reasoning: Some("Hm"), ..says("Grüße, 世界") };
    let wanted = ["turn", "asks 0", "reasoning Completed: Hm true", "message Completed: Grüße, 世界"];
    same(&plain(&[thinks]).await, &[&wanted[..], &["answered 7/2", "ends completed"]].concat());
}

#[tokio::test]
async fn one_tool() {
    let looks = Answer { text: Some("I look"), ..calls(&[("shell", r#"{"command":"echo seen"}"#)]) };
    let all = plain(&[looks, says("Done")]).await;
    let wanted = ["message Completed: I look", "begins command", "answered 7/2", "command Completed: 0"];
    same(&all, &[&wanted[..], &["asks 1", "message Completed: Done", "ends completed"]].concat());
    for played in &all {
        assert!(played.bodies[1].to_string().contains("Exit code: 0"), "{}", played.api.name);
    }
}

#[tokio::test]
async fn twenty_tools_in_a_row() {
    let mut answers: Vec<_> = (0..20).map(|at| calls(&[("read_file", from(at))])).collect();
    answers.push(says("Done"));
    let all = plain(&answers).await;
    same(&all, &["asks 0", "asks 20", "message Completed: Done", "ends completed"]);
    assert_eq!(all[0].told.iter().filter(|line| *line == "begins call").count(), 20, "{:#?}", all[0].told);
    assert_eq!(all[0].bodies.len(), 21);
}

#[tokio::test]
async fn four_tools_at_once() {
    let all = plain(&[calls(&[0, 1, 2, 3].map(|at| ("read_file", from(at)))), says("Done")]).await;
    same(&all, &["begins call", "begins call", "begins call", "begins call", "answered 7/2", "asks 1"]);
    assert!(all.iter().all(|played| played.bodies.len() == 2));
}

#[tokio::test]
async fn a_patch() {
    let patch = "*** Begin Patch\n*** Add File: é.txt\n+\"x\"\n*** End Patch";
    let answers = [calls(&[("apply_patch", patch)]), says("Done")];
    let all = play(&answers, async |stage| {
        let params = stage.says("begin");
        stage.turn(params).await;
        // The next one adds it again.
        let file = stage.env.repository().join("é.txt");
        assert_eq!(fs::read_to_string(&file).unwrap(), "\"x\"\n", "{}", stage.api.name);
        fs::remove_file(file).unwrap();
    })
    .await;
    same(&all, &["begins change", "change Completed: é.txt", "ends completed"]);
}

#[tokio::test]
async fn an_image_goes_in_and_one_comes_out_of_a_tool() {
    let looks = calls(&[("view_image", r#"{"path":"dot.png"}"#)]);
    let all = play(&[looks, says("A dot")], async |stage| {
        let mut params = stage.says("what is it");
        params.input.push(InputPart::Image { media_type: "image/png".into(), data: DOT.into() });
        stage.turn(params).await;
    })
    .await;
    same(&all, &["said Completed: what is it", "call Completed: view_image", "message Completed: A dot"]);
    for played in all {
        let counts = [0, 1].map(|at| played.bodies[at].to_string().matches("iVBORw0KGgo").count());
        assert_eq!(counts, [1, 2], "{}", played.api.name);
    }
}

#[tokio::test]
async fn structured_output() {
    let schema = json!({"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"],
        "additionalProperties": false});
    let all = play(&[says(r#"{"answer":42}"#)], async |stage| {
        let params = TurnStartParams { output_schema: Some(schema.clone()), ..stage.says("begin") };
        stage.turn(params).await;
    })
    .await;
    same(&all, &[r#"message Completed: {"answer":42}"#, "ends completed"]);
    for played in all {
        assert_eq!(played.bodies[0].pointer(played.api.schema), Some(&schema), "{}", played.api.name);
    }
}

#[tokio::test]
async fn a_refusal() {
    for played in plain(&[Answer { end: End::Refusal, ..says("I won't") }]).await {
        let (name, told) = (played.api.name, played.told);
        let end = told.last().unwrap();
        // OpenAI's is a message like another. Anthropic gives it as the reason of the end, Gemini as a block that voids
        // the answer.
        let wanted = match name {
            "messages" => "ends by refusal",
            "gemini" => "ends failed Blocked",
            _ => "ends completed",
        };
        assert_eq!(end, wanted, "{told:#?}");
        let is_told = told.iter().any(|line| line == "message Completed: I won't");
        assert_eq!(is_told, name != "gemini", "{told:#?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_by_length() {
    let all = plain(&[Answer { end: End::Length, ..says("Half a") }]).await;
    same(&all, &["message Completed: Half a", "answered 7/2", "ends by length"]);
}

#[tokio::test]
async fn what_is_said_into_a_turn() {
    let wait = calls(&[("shell", r#"{"command":"until test -e go; do sleep 0.02; done"}"#)]);
    let all = play(&[wait, says("Stopped")], async |stage| {
        TurnClient::start(stage.client.rpc(), stage.says("begin")).await.unwrap();
        let begun = |seen: &Seen| seen.events().any(|event| matches!(event, Event::ModelResponded(_)));
        stage.follower.until(SOON, begun).await.unwrap();
        let steer = TurnSteerParams {
            session_id: stage.session,
            input: said("not that"),
            expected_turn_id: None,
            request_id: Some(RequestId::generate()),
        };
        TurnClient::steer(stage.client.rpc(), steer).await.unwrap();
        let go = stage.env.repository().join("go");
        fs::write(&go, "").unwrap();
        stage.follower.until(SOON, |seen| seen.turns_ended() == 1).await.unwrap();
        fs::remove_file(go).unwrap();
    })
    .await;
    same(&all, &["begins command", "said Completed: not that", "asks 1", "message Completed: Stopped"]);
    for played in all {
        let body = played.bodies[1].to_string();
        let (output, said) = (body.find("Exit code: 0").unwrap(), body.find("not that").unwrap());
        assert!(output < said, "{}: {body}", played.api.name);
    }
}

#[tokio::test]
async fn an_interrupt_in_the_middle_of_an_answer() {
    let half = Answer { end: End::Open, ..says("Hello there") };
    let all = play(&[half, says("Again")], async |stage| {
        TurnClient::start(stage.client.rpc(), stage.says("begin")).await.unwrap();
        stage.follower.until(SOON, |seen| seen.texts().any(|text| text == "Hello")).await.unwrap();
        let interrupt = TurnInterruptParams {
            session_id: stage.session,
            expected_turn_id: None,
            reason: InterruptReason::Requested,
            request_id: Some(RequestId::generate()),
        };
        TurnClient::interrupt(stage.client.rpc(), interrupt).await.unwrap();
        stage.follower.until(SOON, |seen| seen.turns_ended() == 1).await.unwrap();
        let params = stage.says("and now");
        stage.turn(params).await;
    })
    .await;
    for played in &all {
        // Anthropic tells at the beginning what the question took, the others only at the end.
        let wanted = if played.api.name == "messages" { "answered 7/1" } else { "answered 0/0" };
        assert!(played.told.iter().any(|line| line == wanted), "{:#?}", played.told);
        assert!(played.bodies[1].to_string().contains("Hello"), "{}", played.api.name);
    }
    let apart = |played: Played| {
        let told = played.told.into_iter().filter(|line| line != "answered 7/1" && line != "answered 0/0");
        Played { told: told.collect(), ..played }
    };
    let all: Vec<_> = all.into_iter().map(apart).collect();
    same(&all, &["message Interrupted: Hello", "ends interrupted", "message Completed: Again"]);
}

#[tokio::test]
async fn a_session_that_grew_too_long() {
    let answers = [
        calls(&[("shell", r#"{"command":"echo BROKEN; exit 3"}"#)]),
        says("It fails."),
        says("The notes."),
        says("Mended."),
    ];
    let all = play(&answers, async |stage| {
        let params = stage.says("The first order.");
        stage.turn(params).await;
        let update = SessionUpdateParams {
            session_id: stage.session,
            title: None,
            overrides: overrides("model_auto_compact_token_limit", "1"),
            unarchive: false,
            request_id: Some(RequestId::generate()),
        };
        SessionClient::update(stage.client.rpc(), update).await.unwrap();
        let params = stage.says("Second order.");
        stage.turn(params).await;
    })
    .await;
    let wanted = ["begins compaction", "answered 7/2", "compaction Completed: The notes."];
    same(&all, &[&wanted[..], &["message Completed: Mended.", "ends completed"]].concat());
    for played in all {
        let after = played.bodies[3].to_string();
        for part in ["The notes.", "The first order.", "BROKEN", "Second order."] {
            assert!(after.contains(part), "{}: {part} in {after}", played.api.name);
        }
        assert!(!after.contains("It fails."), "{after}");
    }
}

//! Tools that a client has for a session: its answers are their outcomes, and what happens when it does not answer, is
//! not there, or asks for what it may not have.

use std::time::Duration;

use jsonrpsee::core::client::Error as RpcError;
use protocol::api::question::QuestionClient;
use protocol::api::session::SessionClient;
use protocol::client_tool::{ClientTool, SessionRegisterToolsParams};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::Event;
use protocol::ids::SessionId;
use protocol::question::{Decision, Question, QuestionAnswerParams, QuestionKind};
use serde_json::json;
use skein_tests::ScriptedModel;
use skein_tests::rpc::{Follower, Seen, TestClient};
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{SOON, client, good_turn, kill_daemon, scene, up};

fn calls() -> Reply {
    Reply::call("open_file", &json!({"path": "a.rs"}))
}

fn tool(name: &str) -> ClientTool {
    ClientTool {
        name: name.to_owned(),
        description: "Opens a file in the editor".to_owned(),
        schema: json!({"type": "object", "properties": {"path": {"type": "string"}}}),
        is_read_only: false,
    }
}

async fn register(
    client: &TestClient,
    session_id: SessionId,
    tools: Vec<ClientTool>,
    timeout_ms: Option<u64>,
) -> Result<(), RpcError> {
    let params = SessionRegisterToolsParams { session_id, tools, timeout_ms, request_id: None };
    client.rpc().register_tools(params).await.map(|_| ())
}

fn refusal(result: Result<(), RpcError>) -> ProtocolError {
    match result {
        Err(RpcError::Call(object)) => ProtocolError::from(object),
        result => panic!("not refused: {result:?}"),
    }
}

/// The first question to a client; waits for it.
async fn question(follower: &mut Follower) -> Question {
    let asked = |event: &Event| match event {
        Event::QuestionAsked(asked) => Some(asked.question.clone()),
        _ => None,
    };
    follower.until(SOON, |seen| seen.events().any(|event| asked(event).is_some())).await.unwrap();
    follower.seen().events().find_map(asked).unwrap()
}

fn answer(question: &Question, decision: Decision) -> QuestionAnswerParams {
    QuestionAnswerParams { question_id: question.id, decision, request_id: None }
}

/// What the model was told of its last call.
fn told(model: &ScriptedModel) -> String {
    model.requests().last().unwrap().last_output().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_that_has_a_tool_answers_its_calls_and_no_other_one_does() {
    let (model, env) = scene([calls(), Reply::text("Done.")]);
    up(&env);
    let (editor, other) = (client(&env, "editor").await, client(&env, "other").await);
    let session = editor.create(&env).await.unwrap();
    let mut follower = editor.follow(session).await.unwrap();
    let _watching = other.follow(session).await.unwrap();
    register(&editor, session, vec![tool("open_file")], None).await.unwrap();
    editor.start(session, "go").await.unwrap();
    let asked = question(&mut follower).await;
    let QuestionKind::ClientTool { client: owner, tool, arguments } = &asked.kind else {
        panic!("{asked:?}")
    };
    assert_eq!((owner.name.as_str(), tool.as_str()), ("editor", "open_file"));
    assert_eq!(arguments, r#"{"path":"a.rs"}"#);
    let opened = || Decision::Content { value: json!("opened") };
    let denied = other.rpc().answer(answer(&asked, opened())).await.map(|_| ());
    assert_eq!(refusal(denied).code, ErrorCode::Denied);
    editor.rpc().answer(answer(&asked, opened())).await.unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    assert_eq!(told(&model), "opened");
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_fails_when_the_client_says_so_or_takes_too_long() {
    let (model, env) = scene([calls(), calls(), Reply::text("Done.")]);
    up(&env);
    let editor = client(&env, "editor").await;
    let session = editor.create(&env).await.unwrap();
    let mut follower = editor.follow(session).await.unwrap();
    register(&editor, session, vec![tool("open_file")], Some(3000)).await.unwrap();
    editor.start(session, "go").await.unwrap();
    let asked = question(&mut follower).await;
    let no = Decision::Deny { message: Some("No such file".to_owned()) };
    editor.rpc().answer(answer(&asked, no)).await.unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    let outputs: Vec<_> =
        model.requests()[1..].iter().map(|request| request.last_output().unwrap().to_owned()).collect();
    assert_eq!(outputs[0], "No such file");
    assert_eq!(outputs[1], "The client `editor` did not answer within 3000 ms");
    assert!(editor.read(session).await.unwrap().questions.is_empty());
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_fails_clearly_when_the_client_has_gone_and_the_tool_stays_known() {
    let replies =
        [calls(), Reply::text("One."), calls(), Reply::text("Two."), calls(), Reply::text("Three.")];
    let (model, env) = scene(replies);
    up(&env);
    let (editor, driver) = (client(&env, "editor").await, client(&env, "driver").await);
    let session = editor.create(&env).await.unwrap();
    let following = editor.follow(session).await.unwrap();
    let mut follower = driver.follow(session).await.unwrap();
    register(&editor, session, vec![tool("open_file")], None).await.unwrap();
    driver.start(session, "go").await.unwrap();
    question(&mut follower).await;
    // It leaves in the middle of a call.
    drop((following, editor));
    follower.until(SOON, |seen| seen.turns_ended() == 1).await.unwrap();
    assert_eq!(model.requests().len(), 2);
    assert!(
        told(&model).contains("`editor`") && told(&model).contains("not there any more"),
        "{}",
        told(&model)
    );
    // What the model is told of does not change by that, nor by another daemon.
    driver.start(session, "go on").await.unwrap();
    follower.until(SOON, |seen| seen.turns_ended() == 2).await.unwrap();
    assert_eq!(model.requests().len(), 4);
    assert!(told(&model).contains("not there any more"), "{}", told(&model));
    drop((follower, driver));
    kill_daemon(&env);
    up(&env);
    let driver = client(&env, "driver").await;
    let mut follower = driver.follow(session).await.unwrap();
    driver.start(session, "again").await.unwrap();
    follower.until(SOON, |seen| seen.turns_ended() == 3).await.unwrap();
    assert!(told(&model).contains("not there any more"), "{}", told(&model));
    let requests = model.requests();
    for request in &requests {
        assert_eq!(request.json()["tools"], requests[0].json()["tools"]);
    }
    assert!(requests[0].tool_names().contains(&"open_file"));
    // Back again, it says anew what it has, and nothing else is changed by that.
    let editor = client(&env, "editor").await;
    register(&editor, session, Vec::new(), None).await.unwrap();
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tools_that_are_no_good_are_refused() {
    let (_model, env) = scene([Reply::text("Done.")]);
    up(&env);
    let (editor, other) = (client(&env, "editor").await, client(&env, "other").await);
    let session = editor.create(&env).await.unwrap();
    for name in ["shell", "js_repl", "mcp__a__b", "", "a b", "a\u{1b}[2J"] {
        let refused = refusal(register(&editor, session, vec![tool(name)], None).await);
        assert_eq!(refused.code, ErrorCode::InvalidRequest, "{name}: {refused:?}");
    }
    let strange = ClientTool { schema: json!("x"), ..tool("open_file") };
    assert_eq!(
        refusal(register(&editor, session, vec![strange], None).await).code,
        ErrorCode::InvalidRequest
    );
    register(&editor, session, vec![tool("open_file")], None).await.unwrap();
    let taken = refusal(register(&other, session, vec![tool("open_file")], None).await);
    assert_eq!(taken.code, ErrorCode::Conflict);
    assert!(taken.message.contains("`editor`"), "{taken:?}");
    let long = Some(u64::try_from(Duration::from_secs(7200).as_millis()).unwrap());
    assert_eq!(refusal(register(&editor, session, Vec::new(), long).await).code, ErrorCode::InvalidRequest);
}

/// A server that the settings switch off.
const SWITCHED_OFF: &str = env!("CARGO_BIN_EXE_mcp-server");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_switched_off_is_suggested_to_a_person_and_a_yes_enables_it_for_the_session() {
    let suggests = |name: &str| Reply::call("tool_suggest", &json!({"name": name, "reason": "To echo"}));
    let echoes = Reply::call("mcp__fake__echo", &json!({"text": "hi"}));
    let replies = [
        suggests("nothing"),
        suggests("fake"),
        suggests("fake"),
        echoes,
        Reply::text("Done."),
        Reply::text("Again."),
    ];
    let (model, env) = scene(replies);
    env.append_settings(&format!("\n[mcp_servers.fake]\ncommand = {SWITCHED_OFF:?}\nenabled = false\n"))
        .unwrap();
    up(&env);
    let driver = client(&env, "driver").await;
    let session = driver.create(&env).await.unwrap();
    let mut follower = driver.follow(session).await.unwrap();
    driver.start(session, "go").await.unwrap();
    for (number, label) in ["Not now", "Enable"].into_iter().enumerate() {
        let asked = |seen: &Seen| {
            let question = |event: &Event| match event {
                Event::QuestionAsked(asked) => Some(asked.question.clone()),
                _ => None,
            };
            seen.events().filter_map(question).nth(number)
        };
        follower.until(SOON, |seen| asked(seen).is_some()).await.unwrap();
        let question = asked(follower.seen()).unwrap();
        let QuestionKind::UserInput { prompts } = &question.kind else { panic!("{question:?}") };
        assert!(
            prompts[0].text.contains("MCP server `fake`") && prompts[0].text.contains("To echo"),
            "{prompts:?}"
        );
        let answers = [("enable".to_owned(), vec![label.to_owned()])].into();
        driver.rpc().answer(answer(&question, Decision::Reply { answers })).await.unwrap();
    }
    follower.until_turn_ends(SOON).await.unwrap();
    let requests = model.requests();
    let output = |number: usize| requests[number].last_output().unwrap();
    assert!(
        output(1).contains("`nothing` can't be enabled") && output(1).contains("`fake`"),
        "{}",
        output(1)
    );
    assert!(output(2).contains("does not want"), "{}", output(2));
    assert!(output(3).contains("enabled for this session"), "{}", output(3));
    assert_eq!(output(4), "said: hi");
    assert!(requests[0].tool_names().contains(&"tool_suggest"));
    let after = requests[3].tool_names();
    assert!(after.contains(&"mcp__fake__echo") && !after.contains(&"tool_suggest"), "{after:?}");
    // It stays enabled with another daemon.
    drop((follower, driver));
    kill_daemon(&env);
    up(&env);
    let driver = client(&env, "driver").await;
    let mut follower = driver.follow(session).await.unwrap();
    driver.start(session, "again").await.unwrap();
    follower.until(SOON, |seen| seen.turns_ended() == 2).await.unwrap();
    assert!(!model.requests().last().unwrap().tool_names().contains(&"tool_suggest"));
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_tool_of_a_server_that_is_switched_off_is_suggested_and_a_yes_enables_it_alone() {
    let suggests = |name: &str| Reply::call("tool_suggest", &json!({"name": name, "reason": "To echo"}));
    let echoes = Reply::call("mcp__fake__echo", &json!({"text": "hi"}));
    let replies = [suggests("fake/nothing"), suggests("fake/echo"), echoes, Reply::text("Done.")];
    let (model, env) = scene(replies);
    let settings = format!(
        "\n[mcp_servers.fake]\ncommand = {SWITCHED_OFF:?}\ndisabled_tools = [\"echo\", \"nothing\"]\n"
    );
    env.append_settings(&settings).unwrap();
    up(&env);
    let driver = client(&env, "driver").await;
    let session = driver.create(&env).await.unwrap();
    let mut follower = driver.follow(session).await.unwrap();
    driver.start(session, "go").await.unwrap();
    for number in 0..2 {
        let asked = |seen: &Seen| {
            let question = |event: &Event| match event {
                Event::QuestionAsked(asked) => Some(asked.question.clone()),
                _ => None,
            };
            seen.events().filter_map(question).nth(number)
        };
        follower.until(SOON, |seen| asked(seen).is_some()).await.unwrap();
        let question = asked(follower.seen()).unwrap();
        let QuestionKind::UserInput { prompts } = &question.kind else { panic!("{question:?}") };
        assert!(prompts[0].text.contains("` of the MCP server `fake`"), "{prompts:?}");
        let answers = [("enable".to_owned(), vec!["Enable".to_owned()])].into();
        driver.rpc().answer(answer(&question, Decision::Reply { answers })).await.unwrap();
    }
    follower.until_turn_ends(SOON).await.unwrap();
    let requests = model.requests();
    let output = |number: usize| requests[number].last_output().unwrap();
    assert!(output(1).contains("has no such tool"), "{}", output(1));
    assert!(output(2).contains("enabled for this session"), "{}", output(2));
    assert_eq!(output(3), "said: hi");
    assert!(!requests[1].tool_names().contains(&"mcp__fake__echo"), "{:?}", requests[1].tool_names());
    let after = requests[2].tool_names();
    assert!(after.contains(&"mcp__fake__echo") && after.contains(&"tool_suggest"), "{after:?}");
    model.verify().unwrap();
}

#[test]
fn nothing_is_suggested_where_nothing_is_switched_off() {
    let (model, env) = scene([Reply::text("Done.")]);
    good_turn(&env, &["go"]);
    assert!(!model.requests()[0].tool_names().contains(&"tool_suggest"));
}

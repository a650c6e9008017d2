//! `skein acp`: what an editor that speaks the Agent Client Protocol sees, over the program's standard input and
//! output; and that a session in an editor is the same session elsewhere.

use protocol::api::question::QuestionClient;
use protocol::event::Event;
use protocol::ids::SessionId;
use protocol::question::{Decision, GrantScope, QuestionAnswerParams};
use serde_json::{Value, json};
use skein_tests::peer::{Peer, Said};
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::{ScriptedModel, TestEnv, published_clients, skip};

use crate::scene::{SOON, client, escalates, outside, patches, scene, script, until_go, up, wait_for_file};

/// What an editor says of itself that shows everything.
pub(crate) fn capabilities() -> Value {
    json!({"session": {"notices": {}}, "elicitation": {"form": {}}, "auth": {"terminal": true}})
}

/// An editor that has been greeted.
pub(crate) fn editor(env: &TestEnv) -> Peer {
    editor_with(env, &capabilities())
}

pub(crate) fn editor_with(env: &TestEnv, capabilities: &Value) -> Peer {
    let mut editor = Peer::start(env.command(["acp"]), SOON).unwrap();
    let params = json!({"protocolVersion": 1, "clientCapabilities": capabilities});
    assert_eq!(editor.result("initialize", &params).unwrap()["protocolVersion"], 1);
    editor
}

/// A new session in the repository.
pub(crate) fn session(editor: &mut Peer, env: &TestEnv) -> String {
    let params = json!({"cwd": env.repository(), "mcpServers": []});
    editor.result("session/new", &params).unwrap()["sessionId"].as_str().unwrap().to_owned()
}

pub(crate) fn said(session: &str, text: &str) -> Value {
    json!({"sessionId": session, "prompt": [{"type": "text", "text": text}]})
}

/// Prompts, and waits for the end of the turn: why it ended.
pub(crate) fn prompt(editor: &mut Peer, session: &str, text: &str) -> String {
    let result = editor.result("session/prompt", &said(session, text)).unwrap();
    result["stopReason"].as_str().unwrap().to_owned()
}

/// The updates of one kind that came so far.
pub(crate) fn updates(editor: &Peer, kind: &str) -> Vec<Value> {
    let of_kind = |message: &Value| {
        let update = &message["params"]["update"];
        (message["method"] == "session/update" && update["sessionUpdate"] == kind).then(|| update.clone())
    };
    editor.said().iter().filter(|said| said.by_program).filter_map(|said| of_kind(&said.message)).collect()
}

/// The texts of the messages of one kind that came so far, put together.
pub(crate) fn text(editor: &Peer, kind: &str) -> String {
    let text = |update: &Value| update["content"]["text"].as_str().unwrap_or_default().to_owned();
    updates(editor, kind).iter().map(text).collect()
}

/// Waits until an update is so.
pub(crate) fn until_update(editor: &mut Peer, wanted: impl Fn(&Value) -> bool) -> Value {
    let is_it =
        |message: &Value| message["method"] == "session/update" && wanted(&message["params"]["update"]);
    editor.until(is_it).unwrap()["params"]["update"].take()
}

fn asked(editor: &mut Peer) -> Value {
    editor.until(|message| message["method"] == "session/request_permission").unwrap()
}

fn choose(editor: &mut Peer, request: &Value, option: &str) {
    editor.respond(request, &json!({"outcome": {"outcome": "selected", "optionId": option}})).unwrap();
}

/// The editor leaves: the program ends well, has said nothing but messages, and all of them fit the published schema.
pub(crate) fn finish(editor: Peer) {
    let (output, said) = editor.end().unwrap();
    assert_eq!((output.code(), output.stderr.as_str()), (Some(0), ""));
    // Where the schema is not installed, one test says so.
    if published_clients::are_there().unwrap() {
        assert_eq!(published_clients::acp_complaints(&said).unwrap(), None);
    }
}

/// A model that is never asked.
fn silent() -> (ScriptedModel, TestEnv) {
    scene(Vec::<Reply>::new())
}

#[test]
fn an_editor_of_any_version_is_greeted_with_the_one_that_is_spoken() {
    let (_model, env) = silent();
    for version in [json!(1), json!(0), json!(99), json!("2025-01-01")] {
        let mut editor = Peer::start(env.command(["acp"]), SOON).unwrap();
        let result = editor.result("initialize", &json!({"protocolVersion": version})).unwrap();
        assert_eq!(result["protocolVersion"], 1, "{version}");
        assert_eq!(result["agentInfo"]["name"], "skein");
        let ways: Vec<_> = result["authMethods"].as_array().unwrap().iter().map(|way| &way["id"]).collect();
        assert_eq!(ways, ["skein"], "no terminal was offered");
        finish(editor);
    }
    assert!(env.daemon().is_none(), "to greet an editor takes no daemon");
}

/// `initialize` as the draft of 2 has it: what version 1 calls `clientInfo` and `clientCapabilities` has other names
/// there.
#[test]
fn an_editor_that_offers_the_draft_is_answered_with_what_is_stable_and_served() {
    let (model, env) = scene([Reply::text("It is done.")]);
    let mut editor = Peer::start(env.command(["acp"]), SOON).unwrap();
    let offered = json!({
        "protocolVersion": 2,
        "info": {"name": "editor", "version": "1"},
        "capabilities": {"session": {}},
    });
    let greeted = editor.result("initialize", &offered).unwrap();
    assert_eq!(greeted["protocolVersion"], 1, "{greeted}");
    assert!(greeted["agentCapabilities"].is_object() && greeted["capabilities"].is_null(), "{greeted}");
    // Whoever takes that is served as version 1 wants it: the answer to a prompt is the end of its turn.
    let session = session(&mut editor, &env);
    assert_eq!(prompt(&mut editor, &session, "go"), json!("end_turn"));
    assert_eq!(text(&editor, "agent_message_chunk"), "It is done.");
    model.verify().unwrap();
    finish(editor);
}

#[test]
fn what_is_no_message_is_answered_and_the_next_one_is_heard() {
    let (_model, env) = silent();
    let mut editor = Peer::start(env.command(["acp"]), SOON).unwrap();
    let early = editor.call("session/new", &json!({"cwd": "/", "mcpServers": []})).unwrap();
    assert_eq!(early["error"]["code"], -32600, "{early}");
    for (line, code) in [("{\n", -32700), ("[1]\n", -32600), ("\n{\"id\":7,\"method\":\"x\"}\n", -32600)] {
        editor.raw(line).unwrap();
        let answer = editor.until(|message| !message["error"].is_null()).unwrap();
        assert_eq!(answer["error"]["code"], code, "{line}");
    }
    editor.result("initialize", &json!({"protocolVersion": 1})).unwrap();
    for (method, params, code) in [
        ("_custom/method", json!({"any": 1}), -32601),
        ("session/newer", json!({}), -32601),
        ("session/new", json!({}), -32602),
        ("session/new", json!({"cwd": "relative", "mcpServers": []}), -32602),
        ("session/prompt", said("no-such-session", "x"), -32002),
        ("session/prompt", said(&SessionId::generate().to_string(), "x"), -32002),
        ("session/load", json!({"sessionId": SessionId::generate(), "cwd": "/", "mcpServers": []}), -32002),
        ("session/set_mode", json!({"sessionId": "x", "modeId": "y"}), -32002),
        ("authenticate", json!({"methodId": "nobody"}), -32602),
    ] {
        let answer = editor.call(method, &params).unwrap();
        assert_eq!(answer["error"]["code"], code, "{method}: {answer}");
    }
    editor.notify("_custom/notification", &json!({})).unwrap();
    editor.notify("session/cancel", &json!({"sessionId": "no-such-session"})).unwrap();
    editor.result("session/list", &json!({"_meta": {"any": "thing"}})).unwrap();
    finish(editor);
}

#[test]
fn a_turn_is_told_as_it_goes() {
    let plan =
        json!({"plan": [{"step": "Look", "status": "completed"}, {"step": "Mend", "status": "in_progress"}]});
    let first = Answer::new().reasoning("I look first.").call("update_plan", &plan);
    let (model, env) = scene([
        first.into(),
        script("echo seen; cat README.md"),
        patches("*** Update File: README.md\n@@\n-A scratch repository.\n+A mended repository."),
        Reply::text("It is mended now."),
    ]);
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    assert_eq!(prompt(&mut editor, &session, "Mend the README"), "end_turn");
    let named = until_update(&mut editor, |update| update["sessionUpdate"] == "session_info_update");
    assert_eq!(named["title"], "Mend the README");
    assert_eq!(text(&editor, "agent_message_chunk"), "It is mended now.");
    assert!(text(&editor, "agent_thought_chunk").contains("I look first."));
    assert_eq!(text(&editor, "user_message_chunk"), "", "the editor knows what it said");
    let plan = updates(&editor, "plan").remove(0);
    assert_eq!(plan["entries"][1], json!({"content": "Mend", "priority": "medium", "status": "in_progress"}));
    let calls = updates(&editor, "tool_call");
    assert_eq!(calls.iter().map(|call| &call["kind"]).collect::<Vec<_>>(), ["execute", "edit"]);
    assert_eq!(calls[0]["status"], "in_progress");
    let last = |call: &Value| {
        let of_it = |update: &Value| update["toolCallId"] == call["toolCallId"];
        updates(&editor, "tool_call_update").into_iter().rfind(of_it).unwrap()
    };
    let command = last(&calls[0]);
    assert_eq!(command["status"], "completed");
    assert!(command["content"][0]["content"]["text"].as_str().unwrap().contains("seen\nA scratch"));
    assert_eq!(command["rawOutput"]["exitCode"], 0);
    let edit = last(&calls[1]);
    let path = env.repository().join("README.md");
    assert_eq!(edit["locations"][0]["path"], json!(path));
    let diff = json!({
        "type": "diff", "path": path,
        "oldText": "A scratch repository.\n", "newText": "A mended repository.\n",
    });
    assert_eq!(edit["content"][0], diff);
    let commands = updates(&editor, "available_commands_update").remove(0);
    assert_eq!(commands["availableCommands"][0]["name"], "status");
    finish(editor);
    model.verify().unwrap();
}

#[test]
fn the_person_in_the_editor_says_yes_or_no() {
    let (yes, no) = (outside(), outside());
    let file = |folder: &tempfile::TempDir| folder.path().join("made").to_string_lossy().into_owned();
    let (model, env) =
        scene([escalates(&["touch", &file(&yes)]), escalates(&["touch", &file(&no)]), Reply::text("Done.")]);
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    let turn = editor.request("session/prompt", &said(&session, "go")).unwrap();
    let request = asked(&mut editor);
    let params = &request["params"];
    let kinds: Vec<_> = params["options"].as_array().unwrap().iter().map(|option| &option["kind"]).collect();
    assert_eq!(kinds.first().unwrap().as_str(), Some("allow_once"));
    assert_eq!(kinds.last().unwrap().as_str(), Some("reject_once"));
    let shown = params["toolCall"].to_string();
    assert!(shown.contains("outside the sandbox") && shown.contains("It must be made there."), "{shown}");
    assert!(!std::path::Path::new(&file(&yes)).exists());
    choose(&mut editor, &request, "once");
    let request = asked(&mut editor);
    assert!(std::path::Path::new(&file(&yes)).exists());
    choose(&mut editor, &request, "no");
    assert_eq!(editor.answer_to(turn).unwrap()["result"]["stopReason"], "end_turn");
    assert!(!std::path::Path::new(&file(&no)).exists());
    let failed = |update: &Value| update["status"] == "failed";
    assert_eq!(updates(&editor, "tool_call_update").iter().filter(|update| failed(update)).count(), 1);
    model.verify().unwrap();
    finish(editor);
}

#[test]
fn cancel_stops_a_command_and_a_question() {
    let (_model, env) = scene([until_go(), escalates(&["touch", "made"])]);
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    let turn = editor.request("session/prompt", &said(&session, "run")).unwrap();
    wait_for_file(&env, "started");
    editor.notify("session/cancel", &json!({"sessionId": session})).unwrap();
    assert_eq!(editor.answer_to(turn).unwrap()["result"]["stopReason"], "cancelled");
    let turn = editor.request("session/prompt", &said(&session, "ask")).unwrap();
    let request = asked(&mut editor);
    editor.notify("session/cancel", &json!({"sessionId": session})).unwrap();
    editor.respond(&request, &json!({"outcome": {"outcome": "cancelled"}})).unwrap();
    assert_eq!(editor.answer_to(turn).unwrap()["result"]["stopReason"], "cancelled");
    assert!(!env.repository().join("made").exists());
    // Nothing runs: to cancel is no error, and a prompt that is cancelled before it is read has an answer.
    editor.notify("session/cancel", &json!({"sessionId": session})).unwrap();
    editor.result("session/list", &json!({})).unwrap();
    finish(editor);
}

#[test]
fn a_prompt_is_cancelled_by_the_name_of_its_request() {
    let (_model, env) = scene([until_go()]);
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    let turn = editor.request("session/prompt", &said(&session, "run")).unwrap();
    wait_for_file(&env, "started");
    editor.notify("$/cancel_request", &json!({"requestId": turn})).unwrap();
    assert_eq!(editor.answer_to(turn).unwrap()["result"]["stopReason"], "cancelled");
    finish(editor);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_answers_for_the_editor_and_the_editor_sees_what_the_terminal_does() {
    let (model, env) = scene([
        escalates(&["touch", "made"]),
        Reply::text("Asked."),
        until_go(),
        Reply::text("Theirs."),
        Reply::text("Mine."),
    ]);
    up(&env);
    let terminal = client(&env, "terminal").await;
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    let id: SessionId = session.parse().unwrap();
    let mut follower = terminal.follow(id).await.unwrap();
    let turn = editor.request("session/prompt", &said(&session, "ask")).unwrap();
    let request = asked(&mut editor);
    let question = |event: &Event| match event {
        Event::QuestionAsked(asked) => Some(asked.question.id),
        _ => None,
    };
    follower.until(SOON, |seen| seen.events().any(|event| question(event).is_some())).await.unwrap();
    let question_id = follower.seen().events().find_map(question).unwrap();
    let decision = Decision::Allow { scope: GrantScope::Once };
    terminal.rpc().answer(QuestionAnswerParams { question_id, decision, request_id: None }).await.unwrap();
    let taken_back = editor.until(|message| message["method"] == "$/cancel_request").unwrap();
    assert_eq!(taken_back["params"]["requestId"], request["id"]);
    assert_eq!(editor.answer_to(turn).unwrap()["result"]["stopReason"], "end_turn");
    // What a late answer says does not matter.
    choose(&mut editor, &request, "no");
    terminal.start(id, "from the terminal").await.unwrap();
    wait_for_file(&env, "started");
    until_update(&mut editor, |update| update["content"]["text"] == "from the terminal");
    let mine = editor.request("session/prompt", &said(&session, "from the editor")).unwrap();
    until_update(&mut editor, |update| update["sessionUpdate"] == "notice");
    env.write_file("go", "").unwrap();
    assert_eq!(editor.answer_to(mine).unwrap()["result"]["stopReason"], "end_turn");
    assert_eq!(text(&editor, "agent_message_chunk"), "Asked.Theirs.Mine.");
    assert_eq!(text(&editor, "user_message_chunk"), "from the terminal");
    model.verify().unwrap();
    finish(editor);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_a_terminal_is_loaded_with_all_that_was_said() {
    let (_model, env) = scene([
        script("echo one > made; cat made"),
        Reply::text("First."),
        Reply::text("Second."),
        Reply::text("Third."),
    ]);
    up(&env);
    let terminal = client(&env, "terminal").await;
    let id = terminal.create(&env).await.unwrap();
    let mut follower = terminal.follow(id).await.unwrap();
    for text in ["say one", "say two"] {
        terminal.start(id, text).await.unwrap();
        follower.until_turn_ends(SOON).await.unwrap();
    }
    let session = id.to_string();
    let mut editor = editor(&env);
    let listed = editor.result("session/list", &json!({"cwd": env.repository()})).unwrap();
    assert_eq!(listed["sessions"][0]["sessionId"], json!(session));
    assert_eq!(listed["sessions"][0]["title"], "say one");
    let nowhere = editor.result("session/list", &json!({"cwd": "/"})).unwrap();
    assert_eq!(nowhere, json!({"sessions": []}));
    let old = json!({"sessionId": session, "cwd": env.repository(), "mcpServers": []});
    let load = editor.request("session/load", &old).unwrap();
    editor.answer_to(load).unwrap();
    let replayed: Vec<Value> = editor.take_kept();
    let texts: Vec<&str> = replayed
        .iter()
        .filter_map(|message| message["params"]["update"]["content"]["text"].as_str())
        .collect();
    assert_eq!(texts, ["say one", "First.", "say two", "Second."]);
    assert_eq!(updates(&editor, "tool_call").len(), 1);
    assert_eq!(prompt(&mut editor, &session, "say three"), "end_turn");
    follower.until_turn_ends(SOON).await.unwrap();
    editor.result("session/close", &json!({"sessionId": session})).unwrap();
    let closed = editor.call("session/prompt", &said(&session, "x")).unwrap();
    assert_eq!(closed["error"]["code"], -32002);
    let mut other = editor_of_resumed(&env, &old);
    assert_eq!(text(&other, "user_message_chunk"), "", "nothing is told again");
    other.result("session/delete", &json!({"sessionId": session})).unwrap();
    let gone = other.call("session/load", &old).unwrap();
    assert_eq!(gone["error"]["code"], -32002);
    finish(editor);
    finish(other);
}

fn editor_of_resumed(env: &TestEnv, old: &Value) -> Peer {
    let mut editor = editor(env);
    let resumed = editor.result("session/resume", old).unwrap();
    assert_eq!(resumed["modes"]["currentModeId"], "workspace");
    until_update(&mut editor, |update| update["sessionUpdate"] == "available_commands_update");
    editor
}

#[test]
fn modes_and_options_are_settings_of_the_session() {
    let (_model, env) = silent();
    let mut editor = editor(&env);
    let new = editor.result("session/new", &json!({"cwd": env.repository(), "mcpServers": []})).unwrap();
    let session = new["sessionId"].as_str().unwrap();
    assert_eq!(new["modes"]["currentModeId"], "workspace");
    let option = |result: &Value, id: &str| {
        let options = result["configOptions"].as_array().unwrap();
        options.iter().find(|option| option["id"] == id).unwrap()["currentValue"].clone()
    };
    assert_eq!(option(&new, "mode"), "workspace");
    editor.result("session/set_mode", &json!({"sessionId": session, "modeId": "careful"})).unwrap();
    until_update(&mut editor, |update| update["currentModeId"] == "careful");
    let set = json!({"sessionId": session, "configId": "mode", "value": "read-only"});
    let result = editor.result("session/set_config_option", &set).unwrap();
    assert_eq!(option(&result, "mode"), "read-only");
    for (option, value) in [("mode", json!("x")), ("x", json!("y")), ("model", json!(true))] {
        let set = json!({"sessionId": session, "configId": option, "value": value});
        let answer = editor.call("session/set_config_option", &set).unwrap();
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    assert_eq!(prompt(&mut editor, session, "/status"), "end_turn");
    assert!(text(&editor, "agent_message_chunk").contains("mode: read-only"));
    finish(editor);
}

#[test]
fn the_commands_after_a_slash_need_no_model() {
    let (model, env) = scene([Reply::text("Not a command.")]);
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    assert_eq!(prompt(&mut editor, &session, "/status"), "end_turn");
    assert!(text(&editor, "agent_message_chunk").contains(&format!("skein attach {session}")));
    assert_eq!(prompt(&mut editor, &session, "/rename Mine"), "end_turn");
    until_update(&mut editor, |update| update["title"] == "Mine");
    assert_eq!(prompt(&mut editor, &session, "/usage"), "end_turn");
    assert!(text(&editor, "agent_message_chunk").contains("0 requests"));
    assert_eq!(prompt(&mut editor, &session, "/etc/passwd is a file"), "end_turn");
    model.verify().unwrap();
    finish(editor);
}

#[test]
fn a_turn_goes_on_when_the_editor_dies() {
    let (_model, env) = scene([until_go(), Reply::text("Done.")]);
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    editor.request("session/prompt", &said(&session, "run")).unwrap();
    wait_for_file(&env, "started");
    finish(editor);
    // Somebody who comes later sees the turn that runs, and its end.
    let mut other = editor_with(&env, &json!({}));
    let old = json!({"sessionId": session, "cwd": env.repository(), "mcpServers": []});
    other.result("session/load", &old).unwrap();
    env.write_file("go", "").unwrap();
    until_update(&mut other, |update| update["content"]["text"] == "Done.");
    wait_for_file(&env, "ended");
    finish(other);
}

#[test]
fn a_turn_that_fails_is_an_error_of_the_prompt() {
    let (_model, env) = scene([Reply::unauthorized()]);
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    let answer = editor.call("session/prompt", &said(&session, "go")).unwrap();
    assert_eq!(answer["error"]["code"], -32000, "{answer}");
    assert!(answer["error"]["data"]["hint"].is_string());
    finish(editor);
}

#[test]
fn a_linked_file_is_given_as_the_editor_shows_it() {
    let (model, env) = scene([Reply::text("Seen.")]);
    let mut editor = editor_with(&env, &json!({"fs": {"readTextFile": true}}));
    let session = session(&mut editor, &env);
    let uri = |name: &str| format!("file://{}", env.repository().join(name).display());
    let link = |name: &str| json!({"type": "resource_link", "uri": uri(name), "name": name});
    let parts = json!([{"type": "text", "text": "Look at "}, link("README.md"), link("new.rs")]);
    let turn = editor.request("session/prompt", &json!({"sessionId": session, "prompt": parts})).unwrap();
    for text in ["A scratch repository.\n", "fn not_saved() {}\n"] {
        let request = editor.until(|message| message["method"] == "fs/read_text_file").unwrap();
        editor.respond(&request, &json!({"content": text})).unwrap();
    }
    editor.answer_to(turn).unwrap();
    let body = model.requests()[0].json().to_string();
    assert!(body.contains("fn not_saved() {}"), "{body}");
    assert_eq!(body.matches("A scratch repository").count(), 0, "what is saved is read by the agent itself");
    finish(editor);
}

#[test]
fn a_message_that_does_not_fit_the_schema_would_be_found() {
    if !published_clients::are_there().unwrap() {
        return skip::skipped("the schema of ACP is not installed; `cargo xtest` fetches it with npm")
            .unwrap();
    }
    let update = |update: Value| Said {
        by_program: true,
        message: json!({
            "jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s", "update": update},
        }),
    };
    let good = update(json!({"sessionUpdate": "plan", "entries": []}));
    assert_eq!(published_clients::acp_complaints(&[good]).unwrap(), None);
    for wrong in [json!({"sessionUpdate": "plan"}), json!({"sessionUpdate": "tool_call", "title": "x"})] {
        assert!(published_clients::acp_complaints(&[update(wrong)]).unwrap().is_some());
    }
    assert!(published_clients::acp_complaints(&[]).unwrap().is_some(), "no messages are no proof");
}

//! MCP servers that an editor passes in: those of its session, of no other, and also after the daemon was lost.

use std::time::Instant;

use serde_json::{Value, json};
use skein_tests::peer::Peer;
use skein_tests::scripted_model::reply::Reply;
use skein_tests::scripted_model::request::Request;
use skein_tests::scripted_model::server::Options;
use skein_tests::{ScriptedModel, TestEnv};

use crate::acp::{editor, finish, prompt, text, until_update, updates};
use crate::scene::{SOON, kill_daemon};

const SERVER: &str = env!("CARGO_BIN_EXE_mcp-server");
/// The tool, where the server is called so.
const TOOL: &str = "mcp__My_tools__environment";

/// A model that calls the tool once it is there, and tells what it was told.
fn curious(request: &Request) -> Reply {
    match request.last_output() {
        Some(told) => Reply::text(format!("Told: {told}")),
        None if request.tool_names().contains(&TOOL) => Reply::call(TOOL, &json!({})),
        None => Reply::text("Not there."),
    }
}

fn stage() -> (ScriptedModel, TestEnv) {
    let model = ScriptedModel::answering(Options::default(), curious).unwrap();
    let env = TestEnv::new(&model).unwrap();
    (model, env)
}

fn servers(value: &str) -> Value {
    json!([{"name": "My tools", "command": SERVER, "args": [], "env": [{"name": "MINE", "value": value}]}])
}

/// Prompts until the model was told something by the server; the first turns do not wait for it.
fn told(editor: &mut Peer, session: &str) -> String {
    let begin = Instant::now();
    loop {
        let turn = json!({"sessionId": session, "prompt": [{"type": "text", "text": "go"}]});
        let turn = editor.request("session/prompt", &turn).unwrap();
        let end = editor
            .until(|message| {
                message["method"] == "session/request_permission" || message["id"] == json!(turn)
            })
            .unwrap();
        if end["method"] == "session/request_permission" {
            editor.respond(&end, &json!({"outcome": {"outcome": "selected", "optionId": "once"}})).unwrap();
            editor.answer_to(turn).unwrap();
        }
        let all = text(editor, "agent_message_chunk");
        if let Some((_, told)) = all.rsplit_once("Told: ") {
            return told.to_owned();
        }
        assert!(begin.elapsed() < SOON, "{all}");
    }
}

#[test]
fn servers_of_the_editor_are_those_of_its_session_alone() {
    let (model, env) = stage();
    let mut editor = editor(&env);
    let new = json!({"cwd": env.repository(), "mcpServers": servers("given")});
    let session = editor.result("session/new", &new).unwrap()["sessionId"].as_str().unwrap().to_owned();
    let told = told(&mut editor, &session);
    assert!(told.contains("MINE=given"), "{told}");
    let call = updates(&editor, "tool_call").pop().unwrap();
    assert!(call["title"].as_str().unwrap().contains("My_tools"), "{call}");
    let listed = env.run(["mcp", "list"]).unwrap();
    let line = listed.stdout.lines().find(|line| line.contains("My_tools")).unwrap_or_default();
    assert!(line.contains("ready") && line.contains("(of a session)"), "{listed:?}");
    let got = env.run(["mcp", "get", "My_tools"]).unwrap();
    assert!(got.stdout.contains("environment") && !got.stdout.contains("given"), "{got:?}");
    let other = json!({"cwd": env.repository(), "mcpServers": []});
    let other = editor.result("session/new", &other).unwrap()["sessionId"].as_str().unwrap().to_owned();
    prompt(&mut editor, &other, "go");
    let requests = model.requests();
    assert!(!requests.last().unwrap().tool_names().contains(&TOOL));
    finish(editor);
    let kept = std::fs::read_to_string(env.settings_file()).unwrap();
    assert!(!kept.contains("My_tools") && !kept.contains("given"), "{kept}");
}

#[test]
fn a_session_that_is_loaded_gets_the_servers_of_who_loads_it() {
    let (_model, env) = stage();
    let mut first = editor(&env);
    let new = json!({"cwd": env.repository(), "mcpServers": []});
    let session = first.result("session/new", &new).unwrap()["sessionId"].as_str().unwrap().to_owned();
    prompt(&mut first, &session, "go");
    finish(first);
    let mut second = editor(&env);
    let old = json!({"sessionId": session, "cwd": env.repository(), "mcpServers": servers("later")});
    second.result("session/load", &old).unwrap();
    assert!(told(&mut second, &session).contains("MINE=later"));
    finish(second);
}

#[test]
fn another_daemon_hears_of_the_servers_again() {
    let (_model, env) = stage();
    let mut editor = editor(&env);
    let new = json!({"cwd": env.repository(), "mcpServers": servers("kept")});
    let session = editor.result("session/new", &new).unwrap()["sessionId"].as_str().unwrap().to_owned();
    assert!(told(&mut editor, &session).contains("MINE=kept"));
    kill_daemon(&env);
    // What was said before is not told again, so this is said after the restart.
    let before = text(&editor, "agent_message_chunk").len();
    // The first prompt to the new daemon sees them already.
    told(&mut editor, &session);
    let all = text(&editor, "agent_message_chunk");
    assert!(
        all[before..].contains("MINE=kept") && !all[before..].contains("Not there"),
        "{}",
        &all[before..]
    );
    finish(editor);
}

#[test]
fn a_server_that_can_not_be_reached_is_told_of_and_the_session_goes_on() {
    let (_model, env) = stage();
    let mut editor = editor(&env);
    let odd = json!([{"type": "sse", "name": "old", "url": "https://example.org/sse", "headers": []}]);
    let new = json!({"cwd": env.repository(), "mcpServers": odd});
    let session = editor.result("session/new", &new).unwrap()["sessionId"].as_str().unwrap().to_owned();
    let notice = until_update(&mut editor, |update| update["sessionUpdate"] == "notice");
    assert!(notice["title"].as_str().unwrap().contains("`old`"), "{notice}");
    assert_eq!(prompt(&mut editor, &session, "go"), "end_turn");
    finish(editor);
}

//! What a good agent does in an editor, whatever the editor does.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use skein_tests::peer::Peer;
use skein_tests::scripted_model::reply::{Answer, Reply};

use crate::acp::{editor, editor_with, finish, prompt, said, session, text, until_update, updates};
use crate::scene::{SOON, outside, scene, script, until_go, wait_for_file};

/// What the program asked the editor for, by method.
pub(crate) fn asked_for(editor: &Peer) -> Vec<String> {
    let requests = editor.said().iter().filter(|said| said.by_program && !said.message["id"].is_null());
    requests.filter_map(|said| said.message["method"].as_str().map(str::to_owned)).collect()
}

#[test]
fn an_editor_is_asked_for_nothing_that_it_did_not_offer() {
    let question = json!({"questions": [{
        "id": "which", "header": "Which", "question": "Which one?",
        "options": [{"label": "a"}, {"label": "b"}],
    }]});
    let asks = Answer::new().call("request_user_input", &question);
    let (_model, env) = scene([script("echo run"), Reply::from(asks), Reply::text("Done.")]);
    let mut editor = editor_with(&env, &json!({}));
    let session = session(&mut editor, &env);
    let link = format!("file://{}", env.repository().join("README.md").display());
    let parts =
        json!([{"type": "text", "text": "go"}, {"type": "resource_link", "uri": link, "name": "README"}]);
    let turn = editor.request("session/prompt", &json!({"sessionId": session, "prompt": parts})).unwrap();
    until_update(&mut editor, |update| {
        let text = update["content"]["text"].as_str().unwrap_or_default();
        update["sessionUpdate"] == "agent_message_chunk" && text.contains("skein questions answer")
    });
    editor.notify("session/cancel", &json!({"sessionId": session})).unwrap();
    assert_eq!(editor.answer_to(turn).unwrap()["result"]["stopReason"], "cancelled");
    assert_eq!(asked_for(&editor), Vec::<String>::new());
    assert_eq!(updates(&editor, "notice"), Vec::<Value>::new(), "they are an offer too");
    finish(editor);
}

#[test]
fn a_further_folder_of_the_editor_may_be_written() {
    let folder = outside();
    let file = folder.path().join("made");
    let write = format!("echo made > {}", file.display());
    let (_model, env) = scene([script(&write), Reply::text("Done.")]);
    let mut editor = editor(&env);
    let new = json!({
        "cwd": env.repository(), "mcpServers": [], "additionalDirectories": [folder.path()],
    });
    let session = editor.result("session/new", &new).unwrap()["sessionId"].as_str().unwrap().to_owned();
    assert_eq!(prompt(&mut editor, &session, "go"), "end_turn");
    assert!(file.exists());
    let listed = editor.result("session/list", &json!({})).unwrap();
    assert_eq!(listed["sessions"][0]["additionalDirectories"], json!([folder.path()]));
    finish(editor);
}

#[test]
fn a_prompt_and_its_cancel_may_come_in_one_breath() {
    let (_model, env) = scene((0..20).map(|_| until_go()));
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    for _ in 0..10 {
        let turn = editor.request("session/prompt", &said(&session, "run")).unwrap();
        editor.notify("session/cancel", &json!({"sessionId": session})).unwrap();
        let answer = editor.answer_to(turn).unwrap();
        assert_eq!(answer["result"]["stopReason"], "cancelled", "{answer}");
    }
    finish(editor);
}

#[test]
fn two_prompts_at_once_are_answered_each_at_its_own_end() {
    let (_model, env) = scene([until_go(), Reply::text("First."), Reply::text("Second.")]);
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    let first = editor.request("session/prompt", &said(&session, "one")).unwrap();
    wait_for_file(&env, "started");
    let second = editor.request("session/prompt", &said(&session, "two")).unwrap();
    until_update(&mut editor, |update| update["sessionUpdate"] == "notice");
    env.write_file("go", "").unwrap();
    for turn in [first, second] {
        assert_eq!(editor.answer_to(turn).unwrap()["result"]["stopReason"], "end_turn");
    }
    assert_eq!(text(&editor, "agent_message_chunk"), "First.Second.");
    finish(editor);
}

#[test]
fn what_others_put_beside_the_protocol_is_passed_over() {
    let (_model, env) = scene([Reply::text("Done.")]);
    let mut editor = editor_with(&env, &json!({"_meta": {"zed.dev/any": true}, "newer": {"thing": 1}}));
    let meta = json!({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"});
    let new = json!({"cwd": env.repository(), "mcpServers": [], "_meta": meta, "newer": [1]});
    let session = editor.result("session/new", &new).unwrap()["sessionId"].as_str().unwrap().to_owned();
    let parts = json!([{"type": "text", "text": "go", "_meta": meta, "annotations": {"priority": 1}}]);
    let turn = json!({"sessionId": session, "prompt": parts, "_meta": meta});
    assert_eq!(editor.result("session/prompt", &turn).unwrap()["stopReason"], "end_turn");
    finish(editor);
}

#[test]
fn what_an_answer_uses_of_the_window_is_told() {
    let (_model, env) = scene([Reply::text("Done.")]);
    env.append_settings("\n[models.scripted]\ncontext_window = 1000").unwrap();
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    prompt(&mut editor, &session, "go");
    let used = updates(&editor, "usage_update").pop().unwrap();
    assert_eq!(used["size"], 1000, "{used}");
    assert!(used["used"].as_u64().unwrap() > 0, "{used}");
    finish(editor);
}

#[test]
fn an_editor_that_closes_its_pipe_ends_the_agent_in_the_middle_of_a_turn() {
    let (_model, env) = scene([until_go(), Reply::text("Done.")]);
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    editor.request("session/prompt", &said(&session, "run")).unwrap();
    wait_for_file(&env, "started");
    // Ends with the code of success, and has said nothing but messages.
    finish(editor);
    env.write_file("go", "").unwrap();
    wait_for_file(&env, "ended");
}

/// What the registry of agents takes, as `agent.schema.json` of the repository `agentclientprotocol/registry` says; no
/// package has that file. It also wants `archive` to be an address, which there is once a release has one.
#[test]
fn the_registry_file_is_as_the_registry_wants_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("clients/acp");
    let agent: Value = serde_json::from_str(&fs::read_to_string(folder.join("agent.json")).unwrap()).unwrap();
    let known = ["id", "name", "version", "description", "authors", "license", "distribution"];
    for key in agent.as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "{key}");
    }
    for key in ["id", "name", "version", "description"] {
        assert!(agent[key].as_str().is_some_and(|text| !text.is_empty()), "{key}");
    }
    assert!(agent["authors"].as_array().unwrap().iter().all(Value::is_string), "{}", agent["authors"]);
    assert_eq!(agent["distribution"].as_object().unwrap().keys().collect::<Vec<_>>(), ["binary"]);
    let id = agent["id"].as_str().unwrap();
    assert!(id.starts_with(|letter: char| letter.is_ascii_lowercase()), "{id}");
    assert!(id.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-'), "{id}");
    assert_eq!(agent["version"], env!("CARGO_PKG_VERSION"));
    let systems = ["darwin", "linux", "windows"];
    let targets: Vec<String> = systems
        .iter()
        .flat_map(|system| ["aarch64", "x86_64"].map(|processor| format!("{system}-{processor}")))
        .collect();
    let binary = agent["distribution"]["binary"].as_object().unwrap();
    assert!(!binary.is_empty());
    let (_model, env) = scene(Vec::<Reply>::new());
    for (target, binary) in binary {
        assert!(targets.contains(target), "{target}");
        for key in binary.as_object().unwrap().keys() {
            assert!(["archive", "sha256", "cmd", "args", "env"].contains(&key.as_str()), "{target}: {key}");
        }
        let archive = binary["archive"].as_str().unwrap();
        assert!([".tar.gz", ".tgz", ".zip"].iter().any(|ending| archive.ends_with(ending)), "{archive}");
        assert_eq!(binary["cmd"], "./skein");
        // What it says is started is an agent.
        let words = binary["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
        let mut editor = Peer::start(env.command(words), SOON).unwrap();
        let greeted = editor.result("initialize", &json!({"protocolVersion": 1})).unwrap();
        assert_eq!(greeted["agentInfo"]["name"], agent["id"]);
        assert!(!greeted["authMethods"].as_array().unwrap().is_empty());
        finish(editor);
    }
    let icon = fs::read_to_string(folder.join("icon.svg")).unwrap();
    assert!(icon.contains(r#"width="16" height="16""#) && icon.contains(r#""currentColor""#), "{icon}");
    let colours = icon.split(['"', ' ']).filter(|word| word.starts_with('#') || word.starts_with("rgb"));
    assert_eq!(colours.collect::<Vec<_>>(), Vec::<&str>::new());
}

//! What commands print, as editors show it: commands run in the daemon whatever terminals an editor offers.

use serde_json::{Value, json};
use skein_tests::TestEnv;
use skein_tests::peer::Peer;
use skein_tests::scripted_model::reply::Reply;

use crate::acp::{editor_with, finish, prompt, said, session, until_update, updates};
use crate::acp_manners::asked_for;
use crate::scene::{scene, script};

/// Prints, waits for the file `go`, prints again.
fn prints() -> Reply {
    script("echo first; while [ ! -e go ]; do sleep 0.05; done; echo last")
}

/// What was sent for the terminal of this call so far.
fn shown(editor: &Peer, id: &Value) -> String {
    let of_call =
        updates(editor, "tool_call_update").into_iter().filter(|update| update["toolCallId"] == *id);
    let data = of_call.filter_map(|update| {
        let output = &update["_meta"]["terminal_output"];
        (output["terminal_id"] == *id).then(|| output["data"].as_str().unwrap().to_owned())
    });
    data.collect()
}

/// What the calls end with.
fn exits(editor: &Peer) -> Vec<Value> {
    let metas = updates(editor, "tool_call_update")
        .into_iter()
        .map(|update| update["_meta"]["terminal_exit"].clone());
    metas.filter(|exit| !exit.is_null()).collect()
}

fn go(env: &TestEnv) {
    env.write_file("go", "").unwrap();
}

#[test]
fn an_editor_that_offers_terminals_sees_what_a_command_prints_and_runs_none() {
    let (_model, env) = scene([prints(), Reply::text("Done.")]);
    let offers = json!({"terminal": true, "fs": {"readTextFile": true, "writeTextFile": true}});
    let mut editor = editor_with(&env, &offers);
    let session = session(&mut editor, &env);
    let turn = editor.request("session/prompt", &said(&session, "run")).unwrap();
    until_update(&mut editor, |update| {
        update["sessionUpdate"] == "tool_call_update" && update["content"].to_string().contains("first")
    });
    go(&env);
    assert_eq!(editor.answer_to(turn).unwrap()["result"]["stopReason"], "end_turn");
    let last = updates(&editor, "tool_call_update").pop().unwrap();
    assert!(last["content"].to_string().contains("first\\nlast"), "{last}");
    assert_eq!(asked_for(&editor), Vec::<String>::new());
    finish(editor);
}

#[test]
fn an_editor_that_shows_output_has_a_terminal_that_grows_and_ends() {
    let failing = script("echo wrong >&2; exit 3");
    let (_model, env) = scene([prints(), failing, Reply::text("Done.")]);
    let mut editor = editor_with(&env, &json!({"_meta": {"terminal_output": true}}));
    let session = session(&mut editor, &env);
    let turn = editor.request("session/prompt", &said(&session, "run")).unwrap();
    until_update(&mut editor, |update| update["_meta"]["terminal_output"]["data"] == "first\n");
    let call = updates(&editor, "tool_call").pop().unwrap();
    let id = &call["toolCallId"];
    let info = json!({"terminal_id": id, "cwd": env.repository()});
    assert_eq!(call["_meta"]["terminal_info"], info, "{call}");
    assert_eq!(call["content"][0], json!({"type": "terminal", "terminalId": id}));
    assert_eq!(exits(&editor), Vec::<Value>::new(), "it runs");
    go(&env);
    assert_eq!(editor.answer_to(turn).unwrap()["result"]["stopReason"], "end_turn");
    assert_eq!(shown(&editor, id), "first\nlast\n");
    let other = updates(&editor, "tool_call").pop().unwrap()["toolCallId"].clone();
    assert_eq!(shown(&editor, &other), "wrong\n");
    let exit = |id: &Value, code| json!({"terminal_id": id, "exit_code": code, "signal": null});
    assert_eq!(exits(&editor), [exit(id, 0), exit(&other, 3)]);
    // Its terminal stays with the call.
    let last =
        updates(&editor, "tool_call_update").into_iter().rfind(|update| update["toolCallId"] == *id).unwrap();
    assert_eq!(last["content"][0]["type"], "terminal", "{last}");
    finish(editor);
    let mut later = editor_with(&env, &json!({"_meta": {"terminal_output": true}}));
    let load = json!({"sessionId": session, "cwd": env.repository(), "mcpServers": []});
    later.result("session/load", &load).unwrap();
    assert_eq!(shown(&later, id), "first\nlast\n", "what was is shown once");
    assert_eq!(exits(&later).len(), 2);
    finish(later);
}

#[test]
fn a_sign_in_is_offered_as_editors_of_either_kind_understand_it() {
    let (_model, env) = scene([Reply::text("Done.")]);
    let greet = |capabilities: Value| {
        let mut editor = Peer::start(env.command(["acp"]), crate::scene::SOON).unwrap();
        let greeting = json!({"protocolVersion": 1, "clientCapabilities": capabilities});
        let methods = editor.result("initialize", &greeting).unwrap()["authMethods"].clone();
        finish(editor);
        methods
    };
    let by_protocol = greet(json!({"auth": {"terminal": true}}));
    assert_eq!((&by_protocol[1]["type"], &by_protocol[1]["_meta"]), (&json!("terminal"), &Value::Null));
    // As the registry's own check greets an agent.
    let beside = greet(json!({
        "terminal": true,
        "fs": {"readTextFile": true, "writeTextFile": true},
        "_meta": {"terminal_output": true, "terminal-auth": true},
    }));
    let command = &beside[1]["_meta"]["terminal-auth"];
    assert_eq!(command["args"], json!(["login"]), "{beside}");
    assert!(command["command"].as_str().unwrap().ends_with("skein"), "{beside}");
    // It works without any of it.
    let mut editor = editor_with(&env, &json!({}));
    let session = session(&mut editor, &env);
    assert_eq!(prompt(&mut editor, &session, "go"), "end_turn");
    finish(editor);
}

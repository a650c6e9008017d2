//! What MCP servers offer to be said, as commands of an editor and of the terminal.

use std::path::PathBuf;

use serde_json::{Value, json};
use skein_tests::environment::terminal::{Terminal, keys};
use skein_tests::scripted_model::reply::Reply;
use skein_tests::{ScriptedModel, TestEnv};

use crate::acp::{editor, editor_with, finish, prompt, said, session, text, until_update};
use crate::mcp::{SERVER, with_server};
use crate::scene::scene;
use crate::tui_scene::{PLAIN, READY, asked, idle, leave, screen};

/// What the server wants to be said for the issue 7, made harmless.
const SAID: &str = "Fix the issue \"7\".[2J";

#[test]
fn a_prompt_of_a_server_is_a_command_of_the_editor() {
    let (model, env) = with_server([Reply::text("Done.")], &["--prompts"], "");
    let mut editor = editor(&env);
    let session = session(&mut editor, &env);
    let offered = until_update(&mut editor, |update| {
        update["sessionUpdate"] == "available_commands_update" && update.to_string().contains("fake:fix_it")
    });
    assert!(offered.to_string().contains("Fixes"), "{offered}");
    assert_eq!(prompt(&mut editor, &session, "/fake:fix_it 7"), json!("end_turn"));
    assert!(text(&editor, "user_message_chunk").contains(SAID), "the person sees it");
    assert_eq!(model.requests()[0].user_texts().last(), Some(&SAID));
    finish(editor);
}

/// Chooses the prompt at a terminal, with this as its argument. It is known first: until then it would be a text like
/// any other.
fn choose(terminal: &Terminal, argument: &str) {
    terminal.press("/f").unwrap();
    terminal.wait_for("Fixes[2J").unwrap();
    terminal.press(&format!("ake:fix_it {argument}")).unwrap();
    terminal.wait_for(&format!("/fake:fix_it {argument}")).unwrap();
    terminal.press(keys::ENTER).unwrap();
}

/// Says what the prompt wrote, and what it is answered ends the turn.
fn say(terminal: &Terminal, model: &ScriptedModel) {
    terminal.wait_for("Fix the issue").unwrap();
    assert_eq!(model.requests().len(), 0, "nothing is said yet");
    terminal.press(keys::ENTER).unwrap();
    terminal.wait_for("It is done.").unwrap();
    idle(terminal);
}

/// A scene whose server starts as soon as this file is there.
fn with_waiting_server(replies: impl IntoIterator<Item = Reply>) -> (ScriptedModel, TestEnv, PathBuf) {
    let (model, env) = scene(replies);
    let sign = env.home().join("the-server-may-start");
    let script = format!("until [ -e {sign:?} ]; do sleep 0.1; done; exec {SERVER:?} --prompts");
    let table = format!("\n[mcp_servers.fake]\ncommand = \"/bin/sh\"\nargs = [\"-c\", {script:?}]\n");
    env.append_settings(&table).unwrap();
    env.prepend_settings(PLAIN).unwrap();
    (model, env, sign)
}

#[test]
fn prompts_of_a_server_that_starts_slowly_are_offered_to_who_wrote_before() {
    let (_model, env, sign) = with_waiting_server([]);
    let terminal = screen(&env, &[]);
    terminal.press("/f").unwrap();
    terminal.wait_for("/feedback").unwrap();
    std::fs::write(&sign, "").unwrap();
    terminal.wait_for("Fixes[2J").unwrap();
    terminal.press(keys::ESCAPE).unwrap();
    // A key that comes right behind it would be another one together with it.
    terminal.wait_for_end_of("/feedback").unwrap();
    terminal.press(keys::CTRL_C).unwrap();
    terminal.wait_for(READY).unwrap();
    leave(terminal);
}

#[test]
fn prompts_of_a_server_that_starts_slowly_become_commands_of_the_editor() {
    let (_model, env, sign) = with_waiting_server([]);
    let mut editor = editor(&env);
    session(&mut editor, &env);
    let is_offer = |update: &Value| update["sessionUpdate"] == "available_commands_update";
    let first = until_update(&mut editor, is_offer);
    assert!(!first.to_string().contains("fake:"), "{first}");
    std::fs::write(&sign, "").unwrap();
    let second = until_update(&mut editor, |update| is_offer(update) && update.to_string().contains("fake:"));
    assert!(second.to_string().contains("Fixes"), "{second}");
    finish(editor);
}

#[test]
fn a_prompt_that_asks_first_asks_the_person_of_the_editor() {
    for arguments in [&["--prompts"][..], &["--prompts", "--modern"]] {
        let (model, env) = with_server([Reply::text("Done."), Reply::text("Done.")], arguments, "");
        let mut editor = editor(&env);
        let session = session(&mut editor, &env);
        let turn = editor.request("session/prompt", &said(&session, "/fake:fix_it ask")).unwrap();
        let form = editor.until(|message| message["method"] == "elicitation/create").unwrap();
        assert_eq!(form["params"]["message"], "fake asks: Who are you?", "{form}");
        editor.respond(&form, &json!({"action": "accept", "content": {"name": "Ada"}})).unwrap();
        assert_eq!(editor.answer_to(turn).unwrap()["result"]["stopReason"], "end_turn");
        let requests = model.requests();
        let said = requests[0].user_texts().pop().unwrap().to_owned();
        assert!(said.starts_with("Fix the issue") && said.contains("Ada"), "{arguments:?} {said}");
        finish(editor);
        // Who shows no forms is not asked, and the server hears that nobody is there.
        let mut editor = editor_with(&env, &json!({}));
        let session = crate::acp::session(&mut editor, &env);
        assert_eq!(prompt(&mut editor, &session, "/fake:fix_it ask"), json!("end_turn"));
        assert!(text(&editor, "user_message_chunk").contains("decline"), "{arguments:?}");
        finish(editor);
    }
}

#[test]
fn a_prompt_that_asks_first_asks_the_person_at_the_terminal() {
    let (model, env) = with_server([Reply::text("It is done.")], &["--prompts"], "");
    env.prepend_settings(PLAIN).unwrap();
    let terminal = screen(&env, &[]);
    choose(&terminal, "ask");
    terminal.wait_for("Who are you?").unwrap();
    asked(&terminal);
    terminal.press("Ada").unwrap();
    terminal.wait_for("Ada").unwrap();
    terminal.press(keys::ENTER).unwrap();
    say(&terminal, &model);
    assert!(model.requests()[0].user_texts().pop().unwrap().contains("Ada"));
    leave(terminal);
}

#[test]
fn a_prompt_of_a_server_comes_into_the_composer_and_is_said_when_its_person_says_so() {
    let (model, env) = with_server([Reply::text("It is done.")], &["--prompts"], "");
    env.prepend_settings(PLAIN).unwrap();
    let terminal = screen(&env, &[]);
    choose(&terminal, "7");
    say(&terminal, &model);
    assert_eq!(model.requests()[0].user_texts().last(), Some(&SAID));
    leave(terminal);
}

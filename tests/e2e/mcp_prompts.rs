//! What MCP servers offer to be said, as commands of an editor and of the terminal.

use serde_json::json;
use skein_tests::environment::terminal::keys;
use skein_tests::scripted_model::reply::Reply;

use crate::acp::{editor, finish, prompt, session, text, until_update};
use crate::mcp::with_server;
use crate::tui_scene::{PLAIN, idle, leave, screen};

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

#[test]
fn a_prompt_of_a_server_comes_into_the_composer_and_is_said_when_its_person_says_so() {
    let (model, env) = with_server([Reply::text("It is done.")], &["--prompts"], "");
    env.prepend_settings(PLAIN).unwrap();
    let terminal = screen(&env, &[]);
    terminal.press("/f").unwrap();
    terminal.wait_for("Fixes[2J").unwrap();
    terminal.press("ake:fix_it 7").unwrap();
    terminal.wait_for("/fake:fix_it 7").unwrap();
    terminal.press(keys::ENTER).unwrap();
    terminal.wait_for("Fix the issue").unwrap();
    assert_eq!(model.requests().len(), 0, "nothing is said yet");
    terminal.press(keys::ENTER).unwrap();
    terminal.wait_for("It is done.").unwrap();
    idle(&terminal);
    assert_eq!(model.requests()[0].user_texts().last(), Some(&SAID));
    leave(terminal);
}

//! The first start of all, at a terminal.

use std::fs;

use skein_tests::TestEnv;
use skein_tests::environment::process::Invocation;
use skein_tests::environment::terminal::keys;
use skein_tests::fake_servers::ollama::FakeOllama;
use skein_tests::scripted_model::dead_port::DeadPort;

use crate::tui_scene::{leave, turn};

/// A home without settings, with Ollama at this address.
fn bare(host: &str) -> (TestEnv, Invocation) {
    let env = TestEnv::with_base_url("http://127.0.0.1:1").unwrap();
    fs::remove_file(env.settings_file()).unwrap();
    let command = env.command([""; 0]).variable("OLLAMA_HOST", host);
    (env, command)
}

#[test]
fn the_first_start_says_three_things_and_the_second_does_not() {
    let ollama = FakeOllama::start(&["qwen3:8b"]).unwrap();
    let (_env, command) = bare(&ollama.host());
    let first = command.clone().at_terminal(100, 40).unwrap();
    first.wait_for("Ask for something").unwrap();
    let text = first.everything().join("\n");
    for part in
        ["Welcome to Skein", "1  Commands", "2  This folder", "3  A model", "qwen3:8b of ollama answers"]
    {
        assert!(text.contains(part), "`{part}` in {text}");
    }
    turn(&first, "hello", "Hi from here.");
    leave(first);
    let second = command.at_terminal(100, 40).unwrap();
    second.wait_for("Ask for something").unwrap();
    assert!(!second.everything().join("\n").contains("Welcome"));
}

#[test]
fn without_a_model_the_first_start_asks_for_one_and_later_is_an_answer() {
    let dead = DeadPort::reserve().unwrap();
    let (_env, command) = bare(dead.base_url().trim_end_matches("/v1"));
    let mut terminal = command.at_terminal(100, 40).unwrap();
    terminal.wait_for("No key and no account was found").unwrap();
    terminal.press("99\r").unwrap();
    terminal.wait_for("a number from 1 to").unwrap();
    terminal.press(keys::ENTER).unwrap();
    let status = terminal.wait().unwrap();
    let text = terminal.everything().join("\n");
    assert_ne!(status.code(), Some(0), "{text}");
    assert!(text.contains("skein login") || text.contains("_API_KEY"), "what helps is told: {text}");
}

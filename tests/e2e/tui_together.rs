//! Several terminals, and one daemon that comes and goes: what is seen is the session's, and no terminal owns it.

use std::fs;
use std::time::Instant;

use rustix::process::Signal;
use skein_tests::TestEnv;
use skein_tests::environment::terminal::{LIMIT, Terminal, keys};
use skein_tests::scripted_model::reply::{Answer, Reply};

use crate::scene::{escalates, kill_daemon, outside, scene, script, state_folder, until_go, wait_for_file};
use crate::tui_scene::{PLAIN, STILL, asked, idle, said_so_far, screen, send, turn, wait_for_row};

#[test]
fn two_terminals_show_the_same_to_the_character() {
    let markdown = "# A head\n\nSome **bold** and `code`:\n\n```rust\nfn main() {}\n```\n\n- one\n- 日本語 👩\u{200d}💻\n\n\
                    | a | b |\n|---|--:|\n| 1 | 2 |\n\nThe end of it.";
    let (_model, env) = scene([
        Reply::from(Answer::new().reasoning("**Looking**\n\nat it.").text(markdown).in_pieces(40)),
        script("seq 1 40; exit 3"),
        Reply::text("Forty."),
    ]);
    env.prepend_settings(PLAIN).unwrap();
    let first = screen(&env, &[]);
    turn(&first, "tell me", "The end of it.");
    let second = screen(&env, &["--continue"]);
    second.wait_for("The end of it.").unwrap();
    for terminal in [&first, &second] {
        wait_for_row(terminal, "fn main");
        idle(terminal);
    }
    assert_eq!(said_so_far(&first), said_so_far(&second), "from its snapshot");
    send(&second, "count");
    for terminal in [&first, &second] {
        terminal.wait_for("Forty.").unwrap();
        idle(terminal);
    }
    let (one, two) = (said_so_far(&first), said_so_far(&second));
    assert_eq!(one, two, "from events");
    assert!(one.iter().any(|row| row.contains("exit code 3")), "{one:#?}");
    first.wait_for("also here").unwrap();
}

#[test]
fn who_answers_first_closes_the_question_for_all() {
    let folder = outside();
    let file = folder.path().join("made");
    let (_model, env) = scene([escalates(&["touch", &file.to_string_lossy()]), Reply::text("It is there.")]);
    env.prepend_settings("approval_policy = \"on-request\"\n").unwrap();
    let first = screen(&env, &[]);
    send(&first, "make it there");
    asked(&first);
    let second = screen(&env, &["--continue"]);
    asked(&second);
    second.press("y").unwrap();
    first.wait_for("allowed once by ").unwrap();
    for terminal in [&first, &second] {
        terminal.wait_for("It is there.").unwrap();
        idle(terminal);
        assert!(!terminal.rows().iter().any(|row| row.starts_with('┃')));
    }
}

#[test]
fn a_terminal_that_is_killed_loses_nothing() {
    let (_model, env) = scene([until_go(), Reply::text("It went on.")]);
    env.prepend_settings(PLAIN).unwrap();
    let mut first = screen(&env, &[]);
    send(&first, "wait for it");
    wait_for_file(&env, "started");
    first.press("and half a thou").unwrap();
    wait_for_draft(&env, &first, "half a thou");
    let other = screen(&env, &["--continue"]);
    other.wait_for("running").unwrap();
    other.look(|screen, _| assert!(!screen.contents().contains("half a"), "it is being written elsewhere"));
    first.signal(Signal::KILL).unwrap();
    first.wait().unwrap();
    let second = screen(&env, &["--continue"]);
    second.wait_for("› and half a thou").unwrap();
    second.wait_for("running").unwrap();
    second.press("ght\x15").unwrap();
    env.write_file("go", "").unwrap();
    second.wait_for("It went on.").unwrap();
    idle(&second);
    let said = said_so_far(&second);
    assert_eq!(said[0], "› wait for it");
    assert!(said.contains(&"  ended".to_owned()), "{said:#?}");
    assert_eq!(drafts(&env), [""; 0], "what was taken out is not kept");
}

/// What is written and not sent, as it is on disk.
fn drafts(env: &TestEnv) -> Vec<String> {
    let Ok(files) = fs::read_dir(state_folder(env).join("screens")) else { return Vec::new() };
    let files = files.map(|file| file.unwrap().path());
    let drafts = files.filter(|file| file.file_name().unwrap().to_string_lossy().starts_with("draft-"));
    drafts.filter_map(|file| fs::read_to_string(file).ok()).collect()
}

/// Waits until what is written is on disk.
fn wait_for_draft(env: &TestEnv, terminal: &Terminal, text: &str) {
    let begin = Instant::now();
    while !drafts(env).iter().any(|draft| draft.ends_with(text)) {
        assert!(begin.elapsed() < LIMIT, "{:?}", drafts(env));
        let _ = terminal.wait_for_silence(STILL);
    }
}

#[test]
fn a_daemon_that_dies_is_one_line_and_the_session_goes_on() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    env.prepend_settings(PLAIN).unwrap();
    let terminal = screen(&env, &[]);
    turn(&terminal, "first", "One.");
    let before = said_so_far(&terminal);
    kill_daemon(&env);
    terminal.wait_for("the daemon came back").unwrap();
    turn(&terminal, "second", "Two.");
    let after = said_so_far(&terminal);
    assert_eq!(after[..before.len()], before[..]);
    assert_eq!(after.iter().filter(|row| row.contains("One.")).count(), 1, "{after:#?}");
}

#[test]
fn leaving_lets_the_turn_go_on() {
    let (_model, env) = scene([until_go(), Reply::text("It went on.")]);
    let mut terminal = screen(&env, &[]);
    send(&terminal, "wait for it");
    wait_for_file(&env, "started");
    terminal.press(keys::CTRL_D).unwrap();
    assert_eq!(terminal.wait().unwrap().code(), Some(0));
    let rows = terminal.rows();
    assert!(rows.iter().any(|row| row.contains("the turn goes on without you")), "{rows:#?}");
    env.write_file("go", "").unwrap();
    wait_for_file(&env, "ended");
}

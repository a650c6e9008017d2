//! Turns in the terminal UI: steered, queued, asked about, taken back, gone on with.

use std::time::Duration;

use skein_tests::environment::terminal::keys;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{escalates, outside, patches, scene, until_go, wait_for_file};
use crate::tui_scene::{PLAIN, READY, asked, idle, leave, said_so_far, screen, screen_of, send, turn};

#[test]
fn a_turn_is_steered_and_the_next_one_is_queued() {
    let (model, env) = scene([until_go(), Reply::text("Both are done."), Reply::text("That too.")]);
    env.prepend_settings(PLAIN).unwrap();
    let terminal = screen(&env, &[]);
    send(&terminal, "make it");
    wait_for_file(&env, "started");
    send(&terminal, "and this");
    terminal.press("then that").unwrap();
    terminal.wait_for("then that").unwrap();
    terminal.press(keys::TAB).unwrap();
    terminal.wait_for("queued: then that").unwrap();
    env.write_file("go", "").unwrap();
    terminal.wait_for("That too.").unwrap();
    idle(&terminal);
    let said = said_so_far(&terminal);
    let place = |text: &str| said.iter().position(|row| row.contains(text)).unwrap();
    let order = ["make it", "ended", "and this", "Both are done.", "then that", "That too."].map(place);
    assert!(order.is_sorted(), "{said:#?}");
    assert!(said.contains(&"  said into the running turn".to_owned()), "{said:#?}");
    leave(terminal);
    assert!(model.requests()[1].json().to_string().contains("and this"));
    assert!(!model.requests()[1].json().to_string().contains("then that"));
    model.verify().unwrap();
}

#[test]
fn escape_stops_a_turn_and_what_was_done_stays_to_be_read() {
    let (_model, env) = scene([until_go(), Reply::text("Never.")]);
    let terminal = screen(&env, &[]);
    send(&terminal, "wait");
    wait_for_file(&env, "started");
    terminal.wait_for("until test -e go").unwrap();
    terminal.press(keys::ESCAPE).unwrap();
    idle(&terminal);
    let said = said_so_far(&terminal).join("\n");
    assert!(said.contains("until test -e go") && said.contains("interrupted"), "{said}");
}

#[test]
fn a_question_shows_the_command_and_a_key_answers_it() {
    let folder = outside();
    let file = folder.path().join("made");
    let (model, env) = scene([escalates(&["touch", &file.to_string_lossy()]), Reply::text("It is there.")]);
    env.prepend_settings("approval_policy = \"on-request\"\n").unwrap();
    let terminal = screen_of(&env, &[], (100, 24));
    send(&terminal, "make it there");
    asked(&terminal);
    assert!(!file.exists());
    let rows = terminal.rows();
    let is_seen = |text: &str| rows.iter().any(|row| row.starts_with('┃') && row.contains(text));
    assert!(is_seen(&format!("touch {}", file.display())), "{rows:#?}");
    assert!(is_seen("It must be made there."), "{rows:#?}");
    terminal.press("y").unwrap();
    terminal.wait_for("It is there.").unwrap();
    idle(&terminal);
    assert!(file.exists());
    assert!(!terminal.rows().iter().any(|row| row.starts_with('┃')), "{:#?}", terminal.rows());
    model.verify().unwrap();
}

#[test]
fn what_is_said_instead_of_yes_reaches_the_model() {
    let folder = outside();
    let file = folder.path().join("made");
    let (model, env) = scene([escalates(&["touch", &file.to_string_lossy()]), Reply::text("Then not.")]);
    env.prepend_settings("approval_policy = \"on-request\"\n").unwrap();
    let terminal = screen(&env, &[]);
    send(&terminal, "make it there");
    asked(&terminal);
    terminal.press("i").unwrap();
    terminal.wait_for("no: ").unwrap();
    send(&terminal, "keep it here");
    terminal.wait_for("Then not.").unwrap();
    idle(&terminal);
    assert!(!file.exists());
    assert!(model.requests()[1].last_output().unwrap().contains("keep it here"));
}

#[test]
fn escape_twice_takes_a_turn_back_with_its_files() {
    let (model, env) =
        scene([Reply::text("Hello."), patches("*** Add File: made.txt\n+new"), Reply::text("It is made.")]);
    let terminal = screen(&env, &[]);
    turn(&terminal, "hi", "Hello.");
    turn(&terminal, "make a file", "It is made.");
    assert_eq!(env.read_file("made.txt").unwrap(), "new\n");
    let is_listed =
        |screen: &vt100::Screen| screen.rows(0, 80).filter(|row| row.contains(" ago")).count() == 2;
    let is_there = || {
        terminal.press(keys::ESCAPE).unwrap();
        // One key after the other: together, as a busy machine may read them, they are another key.
        let _ = terminal.wait_for_silence(Duration::from_millis(60));
        terminal.press(keys::ESCAPE).unwrap();
        (0..20).any(|_| {
            let _ = terminal.wait_for_silence(Duration::from_millis(200));
            terminal.look(|screen, _| is_listed(screen))
        })
    };
    assert!((0..5).any(|_| is_there()), "{:#?}", terminal.rows());
    press_until(&terminal, keys::ENTER, "what was said, and the files");
    press_until(&terminal, keys::ENTER, "rewind");
    terminal.wait_until("what was said", |screen, _| screen.contents().contains("› make a file\n")).unwrap();
    assert!(env.read_file("made.txt").is_err());
    model.verify().unwrap();
}

/// A list takes no keys in the first moment, in which they were meant for something else.
fn press_until(terminal: &skein_tests::environment::terminal::Terminal, key: &str, wanted: &str) {
    while !terminal.look(|screen, _| screen.contents().contains(wanted)) {
        terminal.press(key).unwrap();
        let _ = terminal.wait_for_silence(Duration::from_millis(100));
    }
}

#[test]
fn a_session_is_gone_on_with_where_it_was_left() {
    let (model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    env.prepend_settings(PLAIN).unwrap();
    let first = screen(&env, &[]);
    turn(&first, "first", "One.");
    let before = said_so_far(&first);
    let farewell = leave(first);
    assert!(farewell.iter().any(|row| row.contains("skein attach ")), "{farewell:#?}");
    env.stop();
    let again = screen(&env, &["--continue"]);
    again.wait_for("One.").unwrap();
    assert_eq!(said_so_far(&again), before);
    turn(&again, "second", "Two.");
    leave(again);
    let request = model.requests()[1].json().to_string();
    assert!(request.contains("One.") && request.contains("second"));
}

#[test]
fn another_session_is_chosen_from_the_list() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    let first = screen(&env, &["what was first"]);
    first.wait_for("One.").unwrap();
    idle(&first);
    leave(first);
    let second = screen(&env, &[]);
    turn(&second, "what was second", "Two.");
    second.press(keys::CTRL_O).unwrap();
    second.wait_for("what was first").unwrap();
    second.press("first").unwrap();
    second.wait_for("/ first").unwrap();
    second.press(keys::ENTER).unwrap();
    second.wait_for("left the session").unwrap();
    second.wait_for("One.").unwrap();
    second.wait_for(READY).unwrap();
}

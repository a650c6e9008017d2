//! What a person looks up in the terminal UI, as a daemon that runs tells it.

use std::fs;

use serde_json::json;
use skein_tests::environment::terminal::{Terminal, keys};
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{scene, script};
use crate::tui_scene::{PLAIN, idle, leave, screen_of, turn};

/// Gives a command, and waits until this is seen.
fn look_up(terminal: &Terminal, command: &str, wanted: &str) {
    terminal.press(&format!("{command} ")).unwrap();
    terminal.wait_for(&format!("› {command}")).unwrap();
    terminal.press(keys::ENTER).unwrap();
    terminal.wait_for(wanted).unwrap();
}

fn go_back(terminal: &Terminal) {
    terminal.press(keys::ESCAPE).unwrap();
    idle(terminal);
}

#[test]
fn skills_hooks_agents_and_outputs_are_those_of_the_daemon() {
    let (_model, env) = scene([script("seq 1 60000"), Reply::text("Counted.")]);
    env.prepend_settings(PLAIN).unwrap();
    let notes = env.skein_home().join("skills/notes");
    fs::create_dir_all(&notes).unwrap();
    fs::write(notes.join("SKILL.md"), "---\nname: notes\ndescription: Keeps notes.\n---\nWrite.\n").unwrap();
    let hook = json!({"matcher": "shell", "hooks": [{"type": "command", "command": "true"}]});
    let hooks = json!({"hooks": {"PostToolUse": [hook]}});
    fs::write(env.skein_home().join("hooks.json"), hooks.to_string()).unwrap();
    let terminal = screen_of(&env, &[], (110, 30));
    turn(&terminal, "count", "Counted.");
    look_up(&terminal, "/skills", "Keeps notes.");
    go_back(&terminal);
    look_up(&terminal, "/hooks", "PostToolUse shell");
    terminal.wait_for("1 runs, 0 failed").unwrap();
    idle(&terminal);
    look_up(&terminal, "/agents", "here · completed · scripted");
    go_back(&terminal);
    look_up(&terminal, "/output", "▸ seq 1 60000");
    terminal.press(keys::ENTER).unwrap();
    // What is folded on the screen.
    let is_whole =
        |rows: &str| ["20", "59980"].iter().any(|line| rows.lines().any(|row| row.trim() == *line));
    terminal.wait_until("the whole output", |screen, _| is_whole(&screen.contents())).unwrap();
    go_back(&terminal);
    leave(terminal);
}

#[test]
fn a_command_in_the_background_is_counted_until_it_ends() {
    let waits = json!({"cmd": "while [ ! -e go ]; do sleep 0.1; done", "yield_time_ms": 250});
    let (_model, env) = scene([Reply::call("exec_command", &waits), Reply::text("It goes on.")]);
    env.prepend_settings(PLAIN).unwrap();
    let terminal = screen_of(&env, &[], (110, 30));
    turn(&terminal, "start it", "It goes on.");
    terminal.wait_for("1 in the background").unwrap();
    look_up(&terminal, "/jobs", "background 1");
    // Who comes late sees it as well.
    let other = screen_of(&env, &["attach", "--last"], (110, 30));
    other.wait_for("1 in the background").unwrap();
    env.write_file("go", "").unwrap();
    for terminal in [terminal, other] {
        terminal
            .wait_until("the end of it", |screen, _| {
                !screen
                    .contents()
                    .trim_end()
                    .lines()
                    .last()
                    .is_some_and(|row| row.contains("in the background"))
            })
            .unwrap();
        leave(terminal);
    }
}

//! What the model types into a process that goes on.

use serde_json::json;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{expect_none_left, good_turn, scene};

/// In this time a program says what it has to say, on a busy machine too.
const BUSY_MS: u64 = 3000;

#[test]
fn what_is_typed_reaches_a_process_and_its_end_too() {
    let begin = json!({"cmd": "read -r line; echo \"got $line\"; cat", "yield_time_ms": 300});
    let (model, env) = scene([
        Reply::call("exec_command", &begin),
        Reply::call("write_stdin", &json!({"process_id": 1, "chars": "one\n", "yield_time_ms": BUSY_MS})),
        Reply::call("write_stdin", &json!({"process_id": 1, "chars": "two\n\u{4}", "yield_time_ms": 20_000})),
        Reply::text("Done."),
    ]);
    good_turn(&env, &["go"]);
    let requests = model.requests();
    let outputs: Vec<_> = (1..=3).map(|number| requests[number].last_output().unwrap()).collect();
    assert!(outputs[0].starts_with("Goes on"), "{}", outputs[0]);
    assert!(outputs[1].starts_with("Goes on") && outputs[1].ends_with("got one\n"), "{}", outputs[1]);
    assert!(outputs[2].starts_with("Exit code: 0\n") && outputs[2].ends_with("two\n"), "{}", outputs[2]);
}

#[test]
fn a_program_at_a_terminal_is_worked_with() {
    let script = "tty && stty size && echo \"$TERM\"; read -r line; echo \"got $line\"; \
                  trap 'echo interrupted' INT; (printf '\\033[31mready\\033[0m\\n'; exec sleep 1000); stty size; cat; echo end";
    let size = |columns: u16, rows: u16| json!({"columns": columns, "rows": rows});
    let (model, env) = scene([
        Reply::call(
            "exec_command",
            &json!({"cmd": script, "tty": true, "size": size(100, 30), "yield_time_ms": BUSY_MS}),
        ),
        Reply::call("write_stdin", &json!({"process_id": 1, "chars": "one\n", "yield_time_ms": BUSY_MS})),
        Reply::call(
            "write_stdin",
            &json!({"process_id": 1, "chars": "\u{3}", "size": size(90, 20), "yield_time_ms": BUSY_MS}),
        ),
        Reply::call("write_stdin", &json!({"process_id": 1, "chars": "\u{4}", "yield_time_ms": 20_000})),
        Reply::text("Done."),
    ]);
    good_turn(&env, &["go"]);
    let requests = model.requests();
    let outputs: Vec<_> = (1..=4).map(|number| requests[number].last_output().unwrap()).collect();
    let is_told = |number: usize, begins: &str, ends: &str| {
        let output = &outputs[number];
        assert!(output.starts_with(begins) && output.ends_with(ends), "{number}: {output}");
    };
    is_told(0, "Goes on", "/dev/pts/0\n30 100\nxterm-256color\n");
    is_told(1, "Goes on", "one\ngot one\nready\n");
    is_told(2, "Goes on", "^Cinterrupted\n20 90\n");
    is_told(3, "Exit code: 0\n", "end\n");
}

#[test]
fn a_process_without_a_terminal_is_interrupted() {
    let script = "trap 'echo interrupted; exit 4' INT; (echo ready; exec sleep 1000)";
    let (model, env) = scene([
        Reply::call("exec_command", &json!({"cmd": script, "yield_time_ms": BUSY_MS})),
        Reply::call("write_stdin", &json!({"process_id": 1, "chars": "\u{3}", "yield_time_ms": 20_000})),
        Reply::text("Done."),
    ]);
    good_turn(&env, &["go"]);
    let requests = model.requests();
    let ended = requests[2].last_output().unwrap();
    assert!(ended.starts_with("Exit code: 4\n") && ended.ends_with("interrupted\n"), "{ended}");
}

#[test]
fn what_holds_a_terminal_open_neither_outlives_its_command_nor_delays_the_turn() {
    let script = "trap '' HUP; (trap '' HUP; setsid sleep 631; sleep 632) & sleep 633 & echo over";
    let (model, env) = scene([
        Reply::call("exec_command", &json!({"cmd": script, "tty": true, "yield_time_ms": 20_000})),
        Reply::text("Done."),
    ]);
    good_turn(&env, &["go"]);
    let requests = model.requests();
    let ended = requests[1].last_output().unwrap();
    assert!(ended.starts_with("Exit code: 0\n") && ended.ends_with("over\n"), "{ended}");
    expect_none_left(&env, "sleep");
}

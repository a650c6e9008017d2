//! What the model types into a process that goes on.

use serde_json::json;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{good_turn, scene};

#[test]
fn what_is_typed_reaches_a_process_and_its_end_too() {
    let begin = json!({"cmd": "read -r line; echo \"got $line\"; cat", "yield_time_ms": 300});
    let (model, env) = scene([
        Reply::call("exec_command", &begin),
        Reply::call("write_stdin", &json!({"process_id": 1, "chars": "one\n", "yield_time_ms": 1000})),
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

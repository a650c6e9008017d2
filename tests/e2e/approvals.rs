//! When a person is asked, what happens without one, and that the first answer counts.

use serde_json::Value;
use skein_tests::TestEnv;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{SOON, escalates, good_turn, json_turn, kill_daemon, outside, patches, runs, scene};

/// A session whose turn waits for an answer, and the question's id.
fn waiting(env: &TestEnv) -> (String, String) {
    let session = env.run(["exec", "--detach", "-a", "untrusted", "go"]).unwrap().stdout.trim().to_owned();
    let begin = std::time::Instant::now();
    loop {
        let list = env.run(["questions", "list", "--json"]).unwrap();
        let questions: Vec<Value> = serde_json::from_str(&list.stdout).unwrap();
        if let Some(question) = questions.first() {
            return (session, question["question"]["id"].as_str().unwrap().to_owned());
        }
        assert!(begin.elapsed() < SOON, "{list:?}");
    }
}

#[test]
fn a_question_that_nobody_can_answer_ends_it_with_3() {
    let (_model, env) = scene([runs(["touch", "made"])]);
    let output = env.run(["exec", "-a", "untrusted", "go"]).unwrap();
    assert_eq!(output.code(), Some(3), "{output:?}");
    for part in ["touch made", "untrusted", "skein questions answer", "`-a "] {
        assert!(output.stderr.contains(part), "says what was asked and how to allow it: {}", output.stderr);
    }
    assert!(!env.repository().join("made").exists());
}

#[test]
fn with_json_the_last_line_says_so() {
    let (_model, env) = scene([runs(["touch", "made"])]);
    let (output, lines) = json_turn(&env, &["-a", "untrusted", "go"]);
    assert_eq!(output.code(), Some(3), "{output:?}");
    assert!(lines.failure().1.contains("touch made"), "{:?}", lines.last());
    assert_ne!(lines.only("command_execution")["status"], "completed");
    assert!(!env.repository().join("made").exists());
}

#[test]
fn harmless_commands_need_no_leave() {
    let (model, env) = scene([runs(["ls"]), Reply::text("Done.")]);
    good_turn(&env, &["-a", "untrusted", "go"]);
    assert!(model.requests()[1].last_output().unwrap().contains("README.md"));
}

#[test]
fn untrusted_asks_before_files_change() {
    let (_model, env) = scene([patches("*** Add File: made\n+x")]);
    let (output, _) = json_turn(&env, &["-a", "untrusted", "go"]);
    assert_eq!(output.code(), Some(3), "{output:?}");
    assert!(!env.repository().join("made").exists());
}

#[test]
fn on_request_asks_when_the_model_wants_out() {
    let outside = outside();
    let canary = outside.path().join("canary");
    let (_model, env) = scene([escalates(&["touch", canary.to_str().unwrap()])]);
    let (output, _) = json_turn(&env, &["-a", "on-request", "go"]);
    assert_eq!(output.code(), Some(3), "{output:?}");
    assert!(!canary.exists());
}

#[test]
fn never_refuses_and_goes_on() {
    let outside = outside();
    let canary = outside.path().join("canary");
    let (model, env) = scene([escalates(&["touch", canary.to_str().unwrap()]), Reply::text("I may not.")]);
    let lines = good_turn(&env, &["-a", "never", "go"]);
    assert_eq!(lines.only("command_execution")["status"], "declined");
    assert!(!canary.exists() && model.requests()[1].last_output().is_some());
    model.verify().unwrap();
}

#[test]
fn a_yes_from_another_terminal_lets_it_run() {
    let (model, env) = scene([runs(["touch", "made"]), Reply::text("Done.")]);
    let (session, question) = waiting(&env);
    let ps = env.run(["ps"]).unwrap().stdout;
    assert!(ps.contains(&session[..13]) && ps.contains("wait"), "{ps}");
    let output = env.run(["questions", "answer", &question, "yes"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    model.wait_for_requests(2, SOON).unwrap();
    assert!(env.repository().join("made").exists());
    let late = env.run(["questions", "answer", &question, "no"]).unwrap();
    assert_ne!(late.code(), Some(0), "the first answer won: {late:?}");
    assert!(late.stderr.contains("answered"), "{}", late.stderr);
    model.verify().unwrap();
}

#[test]
fn a_no_is_told_to_the_model() {
    let (model, env) = scene([runs(["touch", "made"]), Reply::text("As you wish.")]);
    let (_session, question) = waiting(&env);
    env.run(["questions", "answer", &question, "no"]).unwrap();
    model.wait_for_requests(2, SOON).unwrap();
    assert!(!env.repository().join("made").exists());
    assert!(model.requests()[1].last_output().is_some());
    model.verify().unwrap();
}

#[test]
fn a_question_survives_the_daemon() {
    let (model, env) = scene([runs(["touch", "made"]), Reply::text("Done.")]);
    let (_session, question) = waiting(&env);
    kill_daemon(&env);
    let list = env.run(["questions", "list"]).unwrap();
    assert!(list.stdout.contains("touch made"), "{list:?}");
    let output = env.run(["questions", "answer", &question, "yes"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    model.wait_for_requests(2, SOON).unwrap();
    assert!(env.repository().join("made").exists());
}

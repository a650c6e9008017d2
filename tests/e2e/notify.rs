//! The `notify` program: what it hears and sees, and that nothing waits for it.

use std::time::{Duration, Instant};

use serde_json::Value;
use skein_tests::TestEnv;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{expect_none_left, good_turn, kill_daemon, left, runs, scene, wait_for_file};

/// Lets a script be the program; what it is told is its `$0`, and it runs in the repository.
fn notify(env: &TestEnv, script: &str) {
    let script = format!("cd {}; {script}", env.repository().display());
    env.prepend_settings(&format!("notify = [\"/bin/sh\", \"-c\", '''{script}''']\n")).unwrap();
}

/// Each file is there as a whole or not at all.
const WRITES: &str = "env > variables; printf %s \"$0\" > new; mv new told";

fn told(env: &TestEnv) -> Value {
    wait_for_file(env, "told");
    serde_json::from_str(&env.read_file("told").unwrap()).unwrap()
}

#[test]
fn the_program_hears_how_a_turn_ended_and_sees_no_key() {
    let (_model, env) = scene([Reply::text("All is done.")]);
    notify(&env, WRITES);
    let lines = good_turn(&env, &["hello"]);
    let told = told(&env);
    assert_eq!((&told["type"], &told["outcome"]), (&"turn-ended".into(), &"completed".into()));
    assert_eq!((&told["sessionId"], &told["lastMessage"]), (&lines.session().into(), &"All is done.".into()));
    assert_eq!(told["cwd"], env.repository().canonicalize().unwrap().to_str().unwrap());
    let variables = env.read_file("variables").unwrap();
    assert!(variables.contains("HOME=") && !variables.contains("sk-scripted"), "{variables}");
}

#[test]
fn the_program_hears_of_a_question() {
    let (_model, env) = scene([runs(["touch", "made"])]);
    notify(&env, WRITES);
    let session = env.run(["exec", "--detach", "-a", "untrusted", "go"]).unwrap().stdout.trim().to_owned();
    let told = told(&env);
    assert_eq!((&told["type"], &told["sessionId"]), (&"question-asked".into(), &session.into()));
    assert_eq!(told["question"], "touch made");
    let list = env.run(["questions", "list", "--json"]).unwrap().stdout;
    assert!(list.contains(told["questionId"].as_str().unwrap()), "{list}");
}

#[test]
fn nothing_waits_for_a_program_that_hangs_and_it_ends_with_the_daemon() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    notify(&env, "touch hangs; sleep 685");
    let begin = Instant::now();
    good_turn(&env, &["one"]);
    good_turn(&env, &["two"]);
    assert!(begin.elapsed() < Duration::from_secs(10));
    wait_for_file(&env, "hangs");
    kill_daemon(&env);
    expect_none_left(&env, "sleep 685");
}

#[test]
fn a_program_that_does_not_exist_is_in_the_log_and_nowhere_else() {
    let (_model, env) = scene([Reply::text("One.")]);
    env.prepend_settings("notify = [\"no-such-program\"]\n").unwrap();
    good_turn(&env, &["one"]);
    let begin = Instant::now();
    while !env.run(["daemon", "logs"]).unwrap().stdout.contains("no-such-program") {
        assert!(begin.elapsed() < Duration::from_secs(20));
    }
    assert!(left(&env, "no-such-program").is_empty());
}

//! `skein review`: findings about a change, from a session that may only read.

use serde_json::{Value, json};
use skein_tests::TestEnv;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{scene, script};

fn commit(env: &TestEnv, text: &str) {
    env.write_file("file", text).unwrap();
    env.git(["add", "."]).unwrap();
    env.git(["-c", "user.name=me", "-c", "user.email=me@localhost", "commit", "-qm", "change"]).unwrap();
}

fn answer() -> String {
    let finding = |severity: &str, line: u32| {
        json!({
            "file": "file", "startLine": line, "endLine": line + 1, "severity": severity,
            "title": "It goes \u{1b}[2Jwrong", "text": "When it is empty."
        })
    };
    json!({"findings": [finding("low", 3), finding("high", 1)], "summary": "Two things."}).to_string()
}

#[test]
fn findings_are_told_to_people_and_programs_and_nothing_can_be_changed() {
    let (model, env) =
        scene([script("echo no > file"), Reply::text(answer()), Reply::text(answer()), Reply::text("Fine.")]);
    commit(&env, "one\n");
    env.write_file("file", "two\n").unwrap();
    env.write_file("new", "new\n").unwrap();
    let output = env.run(["review", "--json"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(found["findings"][0]["severity"], "high", "the worst first: {found:#}");
    assert_eq!(found["findings"][0]["path"], json!(env.repository().join("file")), "{found:#}");
    assert_eq!(found["verdict"], "needsWork", "it follows from the findings: {found:#}");
    let session = found["sessionId"].as_str().unwrap();
    let log = env.run(["logs", session]).unwrap();
    assert!(format!("{}{}", log.stdout, log.stderr).contains("file:1-2  high  It goes"), "{log:?}");
    assert_eq!(env.read_file("file").unwrap(), "two\n", "the session may only read");
    let asked = &model.requests()[0];
    let said = asked.user_texts().join("\n");
    assert!(said.contains("-one\n+two") && said.contains("new"), "{said}");
    assert_eq!(asked.json()["text"]["format"]["type"], "json_schema", "{:#}", asked.json());

    commit(&env, "three\n");
    let output = env.run(["review", "--commit", "HEAD"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(output.stdout.starts_with("file:1-2  high  It goes"), "{output:?}");
    assert!(output.stdout.ends_with("Two things.\n") && !output.stdout.contains('\u{1b}'), "{output:?}");

    let refused = env.run(["review", "--base", "HEAD~1"]).unwrap();
    assert!(
        refused.code() == Some(1) && refused.stderr.contains("did not answer with findings"),
        "{refused:?}"
    );
}

#[test]
fn what_is_no_change_or_no_commit_costs_no_turn() {
    let (model, env) = scene([Reply::text("Never said.")]);
    commit(&env, "one\n");
    let output = env.run(["review"]).unwrap();
    assert!(output.code() == Some(0) && output.stdout.contains("No findings."), "{output:?}");
    for base in ["nowhere", "--output=stolen"] {
        let refused = env.run(["review", &format!("--base={base}")]).unwrap();
        assert_eq!(refused.code(), Some(2), "{refused:?}");
    }
    assert!(!env.repository().join("stolen").exists());
    assert_eq!(model.requests().len(), 0);
}

#[test]
fn what_can_be_read_of_an_answer_is_shown_and_the_rest_is_told() {
    let good = json!({
        "file": "sub/file", "startLine": 1, "endLine": 1, "severity": "low", "title": "Odd", "text": "So."
    });
    let answer = json!({"findings": [good, {"file": "other"}], "summary": "Two."}).to_string();
    let (model, env) = scene([Reply::text(answer)]);
    commit(&env, "one\n");
    env.write_file("sub/file", "two\n").unwrap();
    let folder = env.repository().join("sub");
    let output = env.run(["review", "-C", folder.to_str().unwrap()]).unwrap();
    assert_eq!(output.code(), Some(1), "{output:?}");
    assert!(output.stdout.starts_with("sub/file:1  low  Odd"), "{output:?}");
    assert!(output.stderr.contains("1 of 2 findings"), "{output:?}");
    let said = model.requests()[0].user_texts().join("\n");
    assert!(said.contains("sub/file"), "names are those below the root, from wherever it is asked: {said}");
}

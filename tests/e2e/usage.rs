//! `skein usage` tells what was spent.

use serde_json::Value;
use skein_tests::TestEnv;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{good_turn, runs, scene};

fn usage(env: &TestEnv, arguments: &[&str]) -> Value {
    let output = env.run(["usage", "--json"].iter().chain(arguments).copied()).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

#[test]
fn what_was_spent_is_told_by_day_session_and_model_and_outlives_the_session() {
    let (_model, env) = scene([runs(["echo", "1"]), Reply::text("Done."), Reply::text("Hello.")]);
    let first = good_turn(&env, &["go"]);
    good_turn(&env, &["hello"]);

    let by_day = usage(&env, &[]);
    let total = &by_day["total"];
    assert_eq!((&total["requests"], &total["toolCalls"]), (&3.into(), &1.into()), "{by_day:#}");
    assert_eq!(by_day["rows"][0]["spending"], *total, "all of it today");
    let by_session = usage(&env, &["--by", "session"]);
    assert_eq!(by_session["rows"].as_array().unwrap().len(), 2, "{by_session:#}");
    let of_first = usage(&env, &["--session", first.session()]);
    assert_eq!(of_first["total"]["requests"], 2, "{of_first:#}");
    assert_eq!(usage(&env, &["--by", "model"])["rows"][0]["key"]["provider"], "scripted");

    assert_eq!(env.run(["sessions", "delete", first.session()]).unwrap().code(), Some(0));
    assert_eq!(usage(&env, &["--days", "1"])["total"], *total, "it was spent all the same");
    let table = env.run(["usage", "--by", "model"]).unwrap().stdout;
    assert!(table.contains("tool calls") && table.contains("(scripted)"), "{table}");
}

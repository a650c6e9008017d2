//! `skein usage` tells what was spent.

use serde_json::{Value, json};
use skein_tests::TestEnv;
use skein_tests::environment::test_env::KEY_VARIABLE;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{good_turn, runs, scene};
use crate::wire_apis::{events, serve};

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

#[test]
fn what_an_answer_took_that_broke_off_is_counted() {
    let started = |input: u32| {
        let usage = json!({"input_tokens": input, "output_tokens": 1});
        let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": null, "usage": usage});
        ("message_start", json!({"type": "message_start", "message": message}))
    };
    let text =
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi."}});
    let end =
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}});
    let whole = [
        started(10),
        ("content_block_start", text),
        ("content_block_stop", json!({"type": "content_block_stop", "index": 0})),
        ("message_delta", end),
        ("message_stop", json!({"type": "message_stop"})),
    ];
    let (address, serving) = serve(vec![events(&[started(100)]), events(&whole)]);
    let env = TestEnv::with_base_url(&address).unwrap();
    env.write_settings(&format!(
        "model = \"m\"\nmodel_provider = \"other\"\n[model_providers.other]\nbase_url = \"{address}/v1\"\n\
         env_key = \"{KEY_VARIABLE}\"\nwire_api = \"messages\"\n"
    ))
    .unwrap();
    let lines = good_turn(&env, &["hello"]);
    let usage = &lines.last()["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(110), &json!(6)));
    assert_eq!(serving.join().unwrap().len(), 2);
}

//! What of the settings reaches a provider.

use serde_json::json;
use skein_tests::scripted_model::reply::{Answer, Reply, Usage};

use crate::scene::{good_turn, json_turn, runs, scene};

#[test]
fn headers_and_query_parameters_are_sent() {
    let (model, env) = scene([Reply::text("Hi.")]);
    env.append_settings(
        "http_headers = { x-team = \"red\" }\nenv_http_headers = { x-from-variable = \"TEAM_VARIABLE\" }\n\
         query_params = { api-version = \"7\" }",
    )
    .unwrap();
    let output = env.command(["exec", "hello"]).variable("TEAM_VARIABLE", "blue").run().unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let request = model.requests().remove(0);
    assert_eq!((request.header("x-team"), request.header("x-from-variable")), (Some("red"), Some("blue")));
    assert_eq!(request.query, "api-version=7");
}

#[test]
fn a_profile_of_the_settings_can_be_chosen() {
    let (model, env) = scene([Reply::text("Hi.")]);
    env.append_settings("[profiles.fast]\nmodel = \"fast-model\"").unwrap();
    good_turn(&env, &["-p", "fast", "hello"]);
    assert_eq!(model.requests()[0].json()["model"], "fast-model");
}

#[test]
fn the_default_provider_can_be_sent_elsewhere() {
    let (model, env) = scene([Reply::text("Hi.")]);
    env.write_settings("model = \"scripted\"\n").unwrap();
    let base_url = format!("openai_base_url={}", json!(model.base_url()));
    let output = env
        .command(["exec", "-c", &base_url, "hello"])
        .variable("OPENAI_API_KEY", "sk-of-openai")
        .run()
        .unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert_eq!(model.requests()[0].header("authorization"), Some("Bearer sk-of-openai"));
}

#[test]
fn each_client_brings_its_own_key() {
    let (model, env) = scene([Reply::text("Hi."), Reply::text("Hi.")]);
    for key in ["sk-first", "sk-second"] {
        env.command(["exec", "hello"]).variable("SCRIPTED_API_KEY", key).run().unwrap();
    }
    let keys: Vec<_> =
        model.requests().iter().map(|request| request.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(keys, ["Bearer sk-first", "Bearer sk-second"]);
}

#[test]
fn a_ceiling_of_cost_ends_it_with_4() {
    let usage = Usage { input: 1_000_000, ..Usage::default() };
    let expensive = Answer::new().call("shell", &json!({"command": ["true"]})).usage(usage);
    let (model, env) = scene([expensive.into(), runs(["true", "again"]), Reply::text("not asked for")]);
    env.append_settings("[model_prices.scripted]\ninput = 2.0\ncached_input = 1.0\noutput = 8.0").unwrap();
    let (output, lines) = json_turn(&env, &["--max-cost", "1.50", "go"]);
    assert_eq!(output.code(), Some(4), "{:?}", lines.0);
    assert_eq!(model.requests().len(), 1);
}

#[test]
fn settings_are_read_anew_for_each_session() {
    let (model, env) = scene([Reply::text("Hi."), Reply::text("Hi.")]);
    good_turn(&env, &["hello"]);
    let settings = std::fs::read_to_string(env.settings_file()).unwrap();
    env.write_settings(&settings.replacen("\"scripted\"", "\"another-model\"", 1)).unwrap();
    good_turn(&env, &["hello"]);
    assert_eq!(model.requests()[1].json()["model"], "another-model");
}

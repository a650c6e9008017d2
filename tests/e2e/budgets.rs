//! Ceilings beyond those of a turn hold in the daemon, whichever session or client spends.

use protocol::event::Event;
use protocol::session::SessionCreateParams;
use protocol::turn::{BudgetLevel, LimitKind};
use serde_json::{Value, json};
use skein_tests::TestEnv;
use skein_tests::rpc::Seen;
use skein_tests::scripted_model::reply::{Answer, Reply, Usage};

use crate::scene::{SOON, client, expect_none_left, good_turn, runs, scene, script, up};

/// Two answers, of 120 tokens each.
fn two_answers() -> [Reply; 2] {
    [runs(["echo", "1"]), Reply::text("Done.")]
}

#[test]
fn a_session_that_spent_what_it_may_answers_no_more() {
    let (model, env) = scene(two_answers());
    env.append_settings("[budget.session]\nmax_tokens = 200").unwrap();
    good_turn(&env, &["go"]);
    let output = env.run(["exec", "resume", "--last", "more"]).unwrap();
    assert_eq!(output.code(), Some(4), "{output:?}");
    assert!(output.stderr.contains("The session was allowed 200 tokens and spent 240"), "{output:?}");
    assert_eq!(model.requests().len(), 2, "the model was not asked");
}

#[test]
fn a_ceiling_is_raised_as_the_hint_says() {
    for (table, whose) in &LEVELS[1..] {
        let (model, env) = scene(two_answers().into_iter().chain([Reply::text("On.")]));
        env.append_settings(&format!("[{table}]\nmax_tokens = 200")).unwrap();
        good_turn(&env, &["go"]);
        let output = env.run(["exec", "resume", "--last", "more"]).unwrap();
        assert_eq!(output.code(), Some(4), "{whose}: {output:?}");
        let hint = format!("skein exec resume --last -c {table}.max_tokens=N \"go on\"");
        let hint = hint.replace("provider.scripted", "provider.NAME");
        assert!(output.stderr.contains(&hint), "{whose}: {output:?}");
        let raised = format!("{table}.max_tokens=1000");
        let output = env.run(["exec", "resume", "--last", "-c", &raised, "go on"]).unwrap();
        assert_eq!(output.code(), Some(0), "{whose}: {output:?}");
        assert_eq!(model.requests().len(), 3, "{whose}");
    }
}

#[test]
fn a_day_holds_for_all_sessions_and_through_a_restart() {
    let (model, env) = scene(two_answers());
    env.append_settings("[budget.day]\nmax_tokens = 200").unwrap();
    good_turn(&env, &["go"]);
    for _ in 0..2 {
        let output = env.run(["exec", "in another session"]).unwrap();
        assert_eq!(output.code(), Some(4), "{output:?}");
        assert!(output.stderr.contains("This day was allowed 200 tokens"), "{output:?}");
        assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    }
    assert_eq!(model.requests().len(), 2, "the model was not asked");
}

/// What a table of the settings is called, and what the message says of it.
const LEVELS: [(&str, &str); 5] = [
    ("limits", "The turn"),
    ("budget.session", "The session"),
    ("budget.tree", "The session with its agents"),
    ("budget.day", "This day"),
    ("budget.provider.scripted", "This day with the provider `scripted`"),
];

/// A model that goes on for ever, at a dollar an answer.
fn never_done() -> Vec<Reply> {
    let usage = Usage { input: 1_000_000, output: 0, ..Usage::default() };
    let call = |number: u32| {
        let argv = json!({"command": ["echo", number.to_string()]});
        Answer::new().call("shell", &argv).usage(usage).into()
    };
    (0..6).map(call).collect()
}

fn priced(env: &TestEnv) {
    let price = "[model_prices.scripted]\ninput = 1.0\ncached_input = 1.0\noutput = 1.0";
    env.append_settings(price).unwrap();
}

#[test]
fn every_level_has_ceilings_of_tokens_money_and_calls() {
    for (table, whose) in LEVELS {
        for (ceiling, told, requests) in [
            ("max_tokens = 2000000", "was allowed 2000000 tokens and spent 2000000", 2),
            ("max_cost = 2.5", "was allowed $2.5 and spent $3.0000", 3),
            ("max_tool_calls = 2", "was allowed 2 tool calls and made 2", 3),
        ] {
            let (model, env) = scene(never_done());
            priced(&env);
            env.append_settings(&format!("[{table}]\n{ceiling}")).unwrap();
            let output = env.run(["exec", "go"]).unwrap();
            assert_eq!(output.code(), Some(4), "{table} {ceiling}: {output:?}");
            assert!(output.stderr.contains(&format!("{whose} {told}")), "{table} {ceiling}: {output:?}");
            assert_eq!(model.requests().len(), requests, "{table} {ceiling}");
        }
    }
}

#[test]
fn every_level_has_a_ceiling_of_time_that_ends_what_runs_and_holds_through_a_restart() {
    for (table, whose) in LEVELS {
        let (model, env) = scene([script("sleep 1000"), Reply::text("More.")]);
        env.append_settings(&format!("[{table}]\nmax_time = \"1500ms\"")).unwrap();
        let output = env.run(["exec", "go"]).unwrap();
        assert_eq!(output.code(), Some(4), "{table}: {output:?}");
        assert!(output.stderr.contains(&format!("{whose} was allowed 1.5 s of work")), "{table}: {output:?}");
        expect_none_left(&env, "sleep");
        assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
        let output = env.run(["exec", "resume", "--last", "more"]).unwrap();
        let (code, requests) = if table == "limits" { (0, 2) } else { (4, 1) };
        assert_eq!(output.code(), Some(code), "{table}: a turn has its time anew: {output:?}");
        assert_eq!(model.requests().len(), requests, "{table}");
    }
}

#[test]
fn a_flag_limits_the_time_that_a_turn_works() {
    let (_model, env) = scene([script("sleep 1000")]);
    let output = env.run(["exec", "--json", "--max-time", "700ms", "go"]).unwrap();
    assert_eq!(output.code(), Some(4), "{output:?}");
    assert!(output.stdout.contains("time_limit"), "{output:?}");
    expect_none_left(&env, "sleep");
}

#[test]
fn another_provider_may_go_on_when_one_has_spent_its_day() {
    let (model, env) = scene(two_answers().into_iter().chain([Reply::text("Elsewhere.")]));
    env.append_settings("[budget.provider.scripted]\nmax_tokens = 200").unwrap();
    good_turn(&env, &["go"]);
    let output = env.run(["exec", "again"]).unwrap();
    assert_eq!(output.code(), Some(4), "{output:?}");
    let settings = std::fs::read_to_string(env.settings_file()).unwrap();
    let (_, scripted) = settings.split_once("[model_providers.scripted]").unwrap();
    let scripted = scripted.split("[budget").next().unwrap();
    env.append_settings(&format!("[model_providers.other]{scripted}")).unwrap();
    good_turn(&env, &["-c", "model_provider=\"other\"", "elsewhere"]);
    assert_eq!(model.requests().len(), 3);
    let usage = env.run(["usage", "--by", "provider", "--json"]).unwrap().stdout;
    let usage: Value = serde_json::from_str(&usage).unwrap();
    let rows = usage["rows"].as_array().unwrap().iter();
    let rows: Vec<_> = rows.map(|row| (&row["key"]["provider"], &row["spending"]["requests"])).collect();
    assert_eq!(rows, [(&json!("scripted"), &json!(2)), (&json!("other"), &json!(1))]);
    let table = env.run(["usage", "--by", "provider"]).unwrap().stdout;
    assert!(table.contains("scripted") && table.contains("other"), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_a_session_is_warned_and_sees_how_much_is_left() {
    let (_model, env) = scene(never_done());
    priced(&env);
    env.append_settings("[budget.day]\nmax_cost = 2.4\n[budget.session]\nmax_tool_calls = 10").unwrap();
    up(&env);
    let client = client(&env, "watcher").await;
    let params = SessionCreateParams { cwd: env.repository(), ..SessionCreateParams::default() };
    let session = client.create_with(params).await.unwrap();
    let mut following = client.follow(session).await.unwrap();
    client.start(session, "go").await.unwrap();
    following.until_turn_ends(SOON).await.unwrap();
    let is_day = |seen: &Seen| {
        let nearest = seen.budget.as_ref().and_then(|budget| budget.ceilings.first());
        nearest.is_some_and(|nearest| {
            (&nearest.level, &nearest.limit) == (&BudgetLevel::Day, &LimitKind::Cost) && nearest.share() > 1.2
        })
    };
    following.until(SOON, is_day).await.unwrap();
    let seen = following.seen();
    let ceilings = &seen.budget.as_ref().unwrap().ceilings;
    assert_eq!((ceilings[0].used, ceilings[0].allowed), (3.0, 2.4));
    assert_eq!((&ceilings[1].level, ceilings[1].allowed), (&BudgetLevel::Session, 10.0));
    let warned: Vec<_> = seen
        .events()
        .filter_map(|event| match event {
            Event::BudgetWarned(warned) => Some((&warned.level, &warned.limit, warned.message.as_str())),
            _ => None,
        })
        .collect();
    let message = "This day was allowed $2.4 and spent $2.0000";
    assert_eq!(warned, [(&BudgetLevel::Day, &LimitKind::Cost, message)]);
    // Who comes later sees it at once.
    let mut late = client.follow(session).await.unwrap();
    late.until(SOON, is_day).await.unwrap();
}

#[test]
fn what_is_wrong_in_a_budget_is_told_with_its_place() {
    let (_model, env) = scene(two_answers());
    env.append_settings("[budget.provider.scripted]\nmax_time = \"soon\"").unwrap();
    let output = env.run(["exec", "go"]).unwrap();
    assert_ne!(output.code(), Some(0), "{output:?}");
    for part in ["config.toml:", "`budget.provider.scripted.max_time`", "duration"] {
        assert!(output.stderr.contains(part), "{part}: {output:?}");
    }
}

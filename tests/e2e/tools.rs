//! The tools in whole turns: what the model is told of files, of processes that go on, and of what is not its own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{
    SOON, expect_none_left, good_turn, json_turn, kill_daemon, patches, scene, script, wait_for_file,
};

/// The model calls a tool.
fn call(name: &str, arguments: &Value) -> Reply {
    Reply::call(name, arguments)
}

/// What the model was told in request `number`.
fn told(model: &ScriptedModel, number: usize) -> String {
    model.requests()[number].last_output().unwrap().to_owned()
}

/// A turn in which the model makes these calls, one after the other; what it was told of each.
fn turn(calls: Vec<Reply>, prepare: impl FnOnce(&TestEnv)) -> (TestEnv, Vec<String>) {
    let count = calls.len();
    let (model, env) = scene(calls.into_iter().chain([Reply::text("Done.")]));
    prepare(&env);
    good_turn(&env, &["go"]);
    let outputs = (1..=count).map(|number| told(&model, number)).collect();
    model.verify().unwrap();
    (env, outputs)
}

#[test]
fn the_model_is_offered_all_tools() {
    let (model, env) = scene([Reply::text("Done.")]);
    good_turn(&env, &["go"]);
    let requests = model.requests();
    let names = requests[0].tool_names();
    for name in [
        "shell",
        "apply_patch",
        "exec_command",
        "write_stdin",
        "read_file",
        "list_dir",
        "grep",
        "find_files",
        "view_image",
        "wait_for",
        "update_plan",
        "request_user_input",
        "request_permissions",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
}

#[test]
fn files_are_read_listed_searched_and_found() {
    let calls = vec![
        call("read_file", &json!({"path": "src/a.rs"})),
        call("list_dir", &json!({"path": "src"})),
        call("grep", &json!({"pattern": "two"})),
        call("find_files", &json!({"query": "*.rs"})),
        call("read_file", &json!({"path": "missing"})),
        call("read_file", &json!({"file": "src/a.rs"})),
    ];
    let (_env, outputs) = turn(calls, |env| {
        env.write_file("src/a.rs", "one\ntwo\n").unwrap();
    });
    assert_eq!(outputs[0], "1\tone\n2\ttwo\n");
    assert_eq!(outputs[1], "a.rs\n");
    assert!(outputs[2].contains("src/a.rs\n2:two\n"), "{}", outputs[2]);
    assert!(outputs[3].contains("src/a.rs\n"), "{}", outputs[3]);
    assert!(outputs[4].contains("does not exist"), "{}", outputs[4]);
    assert!(outputs[5].contains("unknown field `file`, expected one of `path`"), "{}", outputs[5]);
}

#[test]
fn an_edit_over_somebody_elses_is_told_in_the_same_session() {
    let change = "*** Update File: a\n@@\n-one\n+1";
    let calls =
        vec![call("read_file", &json!({"path": "a"})), script("printf 'one\\nmore\\n' > a"), patches(change)];
    let (env, outputs) = turn(calls, |env| {
        env.write_file("a", "one\n").unwrap();
    });
    assert!(outputs[2].contains("had been changed by something else"), "{}", outputs[2]);
    assert_eq!(env.read_file("a").unwrap(), "1\nmore\n");
}

#[test]
fn a_process_goes_on_and_is_looked_at_again() {
    let go_on = "echo first; until test -e go; do sleep 0.02; done; echo second";
    let calls = vec![
        call("exec_command", &json!({"cmd": go_on, "yield_time_ms": 3000})),
        script("touch go"),
        call("write_stdin", &json!({"process_id": 1, "yield_time_ms": 20_000})),
        call("write_stdin", &json!({"process_id": 1})),
    ];
    let (_env, outputs) = turn(calls, |_| {});
    assert!(outputs[0].starts_with("Goes on in the background as process 1\n"), "{}", outputs[0]);
    assert!(outputs[0].ends_with("first\n"), "{}", outputs[0]);
    assert!(outputs[2].starts_with("Exit code: 0\n") && outputs[2].ends_with("second\n"), "{}", outputs[2]);
    assert!(!outputs[2].contains("first"), "{}", outputs[2]);
    assert!(outputs[3].contains("There is no process 1 in this session"), "{}", outputs[3]);
}

#[test]
fn a_quick_command_just_ends() {
    let started = Instant::now();
    let calls = vec![
        call("exec_command", &json!({"cmd": "echo quick", "yield_time_ms": 60_000})),
        call("exec_command", &json!({"cmd": "exit 3"})),
        call("exec_command", &json!({"cmd": ""})),
    ];
    let (_env, outputs) = turn(calls, |_| {});
    assert!(outputs[0].starts_with("Exit code: 0\n") && outputs[0].ends_with("quick\n"), "{}", outputs[0]);
    assert!(outputs[1].starts_with("Exit code: 3\n"), "{}", outputs[1]);
    assert!(outputs[2].contains("`cmd` is empty"), "{}", outputs[2]);
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_process_is_ended_by_signal() {
    let calls = vec![
        call(
            "exec_command",
            &json!({"cmd": "trap '' TERM; echo up; while :; do sleep 0.1; done", "yield_time_ms": 3000}),
        ),
        call("write_stdin", &json!({"process_id": 1, "signal": "terminate", "yield_time_ms": 300})),
        call("write_stdin", &json!({"process_id": 1, "signal": "kill", "yield_time_ms": 20_000})),
    ];
    let (_env, outputs) = turn(calls, |_| {});
    assert!(outputs[1].starts_with("Goes on"), "{}", outputs[1]);
    assert!(outputs[2].starts_with("Ended by signal 9\n"), "{}", outputs[2]);
}

#[test]
fn too_many_processes_end_the_one_that_was_not_looked_at_for_longest() {
    // Not the same one again and again: that would be taken for a loop.
    let begin =
        |number| call("exec_command", &json!({"cmd": format!("sleep 60{number}"), "yield_time_ms": 100}));
    let mut calls: Vec<Reply> = (0..8).map(begin).collect();
    calls.push(call("write_stdin", &json!({"process_id": 1, "yield_time_ms": 100})));
    calls.push(begin(9));
    calls.push(call("write_stdin", &json!({"process_id": 2, "yield_time_ms": 100})));
    let (_env, outputs) = turn(calls, |_| {});
    assert!(outputs[9].contains("Process 2 (`sleep 601`) was ended to make room"), "{}", outputs[9]);
    assert!(outputs[10].contains("There is no process 2"), "{}", outputs[10]);
}

/// Threat S6.
#[test]
fn another_sessions_process_is_out_of_reach() {
    let look = call("write_stdin", &json!({"process_id": 1, "signal": "kill"}));
    let begin = call("exec_command", &json!({"cmd": "touch up; sleep 600", "yield_time_ms": 100}));
    let (model, env) = scene([begin, Reply::text("Begun."), look, Reply::text("Done.")]);
    good_turn(&env, &["begin"]);
    wait_for_file(&env, "up");
    good_turn(&env, &["look"]);
    assert!(told(&model, 3).contains("There is no process 1 in this session; none goes on"));
}

#[test]
fn a_stop_ends_what_is_begun() {
    let begin = call("exec_command", &json!({"cmd": "touch up; exec sleep 1007", "yield_time_ms": 30_000}));
    let (_model, env) = scene([begin, Reply::text("Never said.")]);
    assert_eq!(env.run(["exec", "--detach", "go"]).unwrap().code(), Some(0));
    wait_for_file(&env, "up");
    assert_eq!(env.run(["stop", "--last"]).unwrap().code(), Some(0));
    expect_none_left(&env, "sleep 1007");
}

#[test]
fn a_stop_leaves_what_is_only_looked_at() {
    let begin = json!({"cmd": "read -r line; touch typed; exec sleep 1008", "yield_time_ms": 100});
    let types = json!({"process_id": 1, "chars": "x\n", "yield_time_ms": 30_000});
    let look = json!({"process_id": 1, "yield_time_ms": 100});
    let (model, env) = scene([
        call("exec_command", &begin),
        call("write_stdin", &types),
        call("write_stdin", &look),
        Reply::text("Done."),
    ]);
    assert_eq!(env.run(["exec", "--detach", "go"]).unwrap().code(), Some(0));
    wait_for_file(&env, "typed");
    let stopped = env.run(["stop", "--last"]).unwrap();
    assert!(stopped.code() == Some(0) && stopped.duration < SOON, "{stopped:?}");
    let session = env.run(["sessions", "list", "--json"]).unwrap();
    let sessions: Vec<Value> = serde_json::from_str(&session.stdout).unwrap();
    good_turn(&env, &["resume", sessions[0]["id"].as_str().unwrap(), "go on"]);
    let told = told(&model, 3);
    assert!(told.starts_with("Goes on"), "it is still there: {told}");
}

#[test]
fn what_goes_on_dies_with_the_daemon() {
    let begin =
        call("exec_command", &json!({"cmd": "setsid sleep 600 & touch up; sleep 600", "yield_time_ms": 100}));
    let (_model, env) = scene([begin, Reply::text("Begun.")]);
    good_turn(&env, &["begin"]);
    wait_for_file(&env, "up");
    kill_daemon(&env);
    expect_none_left(&env, "sleep 600");
}

#[test]
fn a_plan_is_shown_and_told() {
    let plan =
        json!({"plan": [{"step": "look", "status": "completed"}, {"step": "do", "status": "in_progress"}]});
    let (_env, outputs) = turn(vec![call("update_plan", &plan)], |_| {});
    assert_eq!(outputs[0], "Plan updated");
}

#[test]
fn a_headless_turn_never_waits_for_an_answer_that_nobody_gives() {
    let question = json!({"questions": [{"id": "a", "header": "A", "question": "Which?"}]});
    let (model, env) = scene([call("request_user_input", &question), Reply::text("Done.")]);
    let (output, _lines) = json_turn(&env, &["-a", "never", "go"]);
    assert!(output.duration < SOON, "{output:?}");
    drop(model);
}

#[test]
fn output_is_no_more_than_text_to_the_model() {
    let noisy = r"printf '\033[31mred\033[0m \033]0;title\007\033]52;c;eA==\007\r\nplain\n'";
    let (_env, outputs) = turn(vec![script(noisy)], |_| {});
    assert!(outputs[0].ends_with("Output:\nred \nplain\n"), "{:?}", outputs[0]);
}

#[test]
fn calls_that_only_look_may_be_made_together() {
    let both =
        Answer::new().call("read_file", &json!({"path": "a"})).call("grep", &json!({"pattern": "x"})).into();
    let (model, env) = scene([both, Reply::text("Done.")]);
    env.write_file("a", "x\n").unwrap();
    good_turn(&env, &["go"]);
    let requests = model.requests();
    assert_eq!(requests[1].input_of("function_call_output").count(), 2);
}

#[test]
fn the_command_line_lists_the_tools() {
    let (_model, env) = scene([Reply::text("Unused.")]);
    let listed = env.run(["tools", "--json"]).unwrap();
    let tools: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    let grep = tools.iter().find(|tool| tool["name"] == "grep").unwrap();
    assert_eq!(grep["input"]["schema"]["required"], json!(["pattern"]));
    assert!(grep["tokens"].as_u64().unwrap() > 0);
    let text = env.run(["tools"]).unwrap().stdout;
    assert!(text.contains("apply_patch") && text.contains("tokens together"), "{text}");
    let search = text.lines().find(|line| line.starts_with("web_search ")).unwrap();
    assert!(search.contains(" off ") && search.contains("\"disabled\" in the settings"), "{search}");
    env.append_settings("[mcp_servers.docs]\ncommand = \"docs\"\nenabled = false\n").unwrap();
    let turn = good_turn(&env, &["go"]);
    for arguments in [&["tools"][..], &["tools", "--session", turn.session()]] {
        let text = env.run(arguments.iter().copied()).unwrap().stdout;
        let docs = text.lines().find(|line| line.starts_with("docs ")).unwrap();
        assert!(docs.contains(" suggested ") && docs.contains("Switched off in the settings"), "{docs}");
    }
    let own = env.run(["tools", "--session", turn.session()]).unwrap().stdout;
    assert!(own.lines().any(|line| line.starts_with("tool_suggest ") && line.contains(" on ")), "{own}");
}

//! What goes wrong outside of Skein, and that a turn ends all the same, with a message that names the culprit.

use std::time::Duration;

use serde_json::json;
use skein_tests::scripted_model::dead_port::DeadPort;
use skein_tests::scripted_model::reply::{Answer, Ending, Point, Reply, StatusReply, Then};
use skein_tests::scripted_model::server::{Options, WhenEmpty};
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{Lines, SOON, expect_none_left, good_turn, json_turn, runs, scene, script};

/// Retries that do not take long.
const FEW_RETRIES: &str = "request_max_retries = 1\nstream_max_retries = 1\nstream_idle_timeout_ms = 400";

/// A server that says one thing for ever.
fn always(reply: impl Into<Reply>) -> (ScriptedModel, TestEnv) {
    let options = Options { when_empty: WhenEmpty::RepeatLast, ..Options::default() };
    let model = ScriptedModel::start_with(options, [reply.into()]).unwrap();
    let env = TestEnv::new(&model).unwrap();
    env.append_settings(FEW_RETRIES).unwrap();
    (model, env)
}

/// How soon a deadline of two seconds has ended a turn, on a busy machine.
const CUT: Duration = Duration::from_secs(15);

/// A turn that its deadline must end while the provider keeps it waiting; how long it took.
fn cut_short(env: &TestEnv, arguments: &[&str]) -> Duration {
    let begin = std::time::Instant::now();
    let output = env.run(["exec", "--deadline", "2s"].iter().chain(arguments).copied()).unwrap();
    assert_eq!(output.code(), Some(4), "{output:?}");
    assert!(output.stderr.contains("longer than the 2 s it was allowed"), "{output:?}");
    begin.elapsed()
}

/// A turn that must fail with code 1; returns its lines.
fn failing_turn(env: &TestEnv) -> Lines {
    let (output, lines) = json_turn(env, &["hello"]);
    assert_eq!(output.code(), Some(1), "{:#?}\n{}", lines.0, output.stderr);
    lines
}

#[test]
fn a_provider_that_is_down_ends_the_turn() {
    let port = DeadPort::reserve().unwrap();
    let env = TestEnv::with_base_url(&port.base_url()).unwrap();
    env.append_settings(FEW_RETRIES).unwrap();
    let lines = failing_turn(&env);
    assert!(
        lines.failure().1.contains("scripted") || lines.failure().1.contains("Scripted"),
        "{:?}",
        lines.last()
    );
    assert_eq!(lines.types().iter().filter(|kind| **kind == "error").count(), 1, "one retry");
}

#[test]
fn no_retries_means_none() {
    let port = DeadPort::reserve().unwrap();
    let env = TestEnv::with_base_url(&port.base_url()).unwrap();
    env.append_settings("request_max_retries = 0").unwrap();
    assert!(!failing_turn(&env).types().contains(&"error"));
}

#[test]
fn a_wrong_key_is_told_at_once() {
    let (model, env) = always(Reply::unauthorized());
    let lines = failing_turn(&env);
    let message = lines.failure().1;
    assert!(message.contains("401") && message.contains("Incorrect API key"), "{message}");
    assert_eq!(model.requests().len(), 1, "a retry can't help");
}

#[test]
fn a_missing_key_names_its_variable() {
    let (model, env) = scene([Reply::text("Hi.")]);
    let output = env.command(["exec", "hello"]).without_variable("SCRIPTED_API_KEY").run().unwrap();
    assert!(matches!(output.code(), Some(1 | 2)), "{output:?}");
    assert!(output.stderr.contains("SCRIPTED_API_KEY"), "{}", output.stderr);
    assert_eq!(model.requests().len(), 0);
}

#[test]
fn a_rate_limit_is_waited_for_as_long_as_it_says() {
    let (model, env) = scene([Reply::rate_limited("1"), Reply::text("Hi.")]);
    good_turn(&env, &["hello"]);
    let requests = model.requests();
    let pause = requests[1].arrived - requests[0].arrived;
    assert!(pause >= Duration::from_millis(950) && pause < Duration::from_secs(10), "{pause:?}");
}

#[test]
fn a_rate_limit_that_stays_ends_the_turn() {
    let (model, env) = always(Reply::rate_limited("0"));
    let lines = failing_turn(&env);
    let message = lines.failure().1;
    assert!(message.contains("429") && message.contains("Rate limit reached"), "{message}");
    assert_eq!(model.requests().len(), 2);
}

#[test]
fn a_server_error_is_tried_again_and_then_told() {
    let (model, env) = always(StatusReply::error(500, "The database is on fire.", "server_error", None));
    let lines = failing_turn(&env);
    let message = lines.failure().1;
    assert!(message.contains("500") && message.contains("The database is on fire."), "{message}");
    assert_eq!(model.requests().len(), 2);
}

#[test]
fn a_stream_cut_inside_a_tool_call_runs_nothing() {
    let cut = Answer::new()
        .call("shell", &json!({"command": ["touch", "must-not-be-there"]}))
        .in_pieces(8)
        .breaks(Point::MiddleOfLastOutput, Then::Cut);
    let (model, env) = scene([cut.into(), Reply::text("Hi.")]);
    let lines = good_turn(&env, &["go"]);
    assert!(!env.repository().join("must-not-be-there").exists());
    assert_eq!(lines.completed("agent_message").len(), 1);
    assert_eq!(
        model.requests()[1].input_of("function_call").count(),
        0,
        "the broken answer is not sent back"
    );
    model.verify().unwrap();
}

#[test]
fn a_stream_that_is_always_cut_ends_the_turn() {
    let (model, env) =
        always(Answer::new().text("Half of").in_pieces(4).breaks(Point::MiddleOfLastOutput, Then::Cut));
    failing_turn(&env);
    assert_eq!(model.requests().len(), 2);
}

#[test]
fn a_stream_that_stalls_ends_the_turn() {
    let (model, env) =
        always(Answer::new().text("Half of").in_pieces(4).breaks(Point::MiddleOfLastOutput, Then::Stall));
    failing_turn(&env);
    assert_eq!(model.requests().len(), 2);
}

#[test]
fn a_server_that_accepts_and_says_nothing_ends_the_turn() {
    let (model, env) = always(Reply::Silence);
    failing_turn(&env);
    model.wait_for_drop_of(0, SOON).unwrap();
}

#[test]
fn a_deadline_cuts_whatever_the_provider_keeps_a_turn_waiting_for() {
    let half = || Answer::new().text("Half of").in_pieces(4);
    let faults: [Reply; 6] = [
        Reply::Silence,
        Reply::rate_limited("60"),
        half().breaks(Point::MiddleOfLastOutput, Then::Stall).into(),
        half().in_pieces(400).pace(Duration::from_secs(1)).into(),
        Reply::text("A session that can be compacted."),
        half().breaks(Point::MiddleOfLastOutput, Then::Stall).into(),
    ];
    let (model, env) = scene(faults);
    for _ in 0..4 {
        assert!(cut_short(&env, &["go"]) < CUT);
    }
    good_turn(&env, &["go"]);
    let compacts = ["resume", "--last", "-c", "model_auto_compact_token_limit=1", "go on"];
    assert!(cut_short(&env, &compacts) < CUT);
    assert_eq!(model.requests().len(), 6);
    // Refused again and again, with pauses in between that grow.
    let port = DeadPort::reserve().unwrap();
    let env = TestEnv::with_base_url(&port.base_url()).unwrap();
    env.append_settings("request_max_retries = 100").unwrap();
    assert!(cut_short(&env, &["go"]) < CUT);
}

#[test]
fn a_stream_that_ends_too_early_is_not_taken_for_an_answer() {
    let (_model, env) = always(Answer::new().text("Half of it").ending(Ending::Missing));
    failing_turn(&env);
}

#[test]
fn a_failure_inside_the_stream_is_told() {
    let ending = Ending::Failed { code: "server_error".to_owned(), message: "Out of sparks.".to_owned() };
    let (_model, env) = always(Answer::new().ending(ending));
    let lines = failing_turn(&env);
    assert!(lines.failure().1.contains("Out of sparks."), "{:?}", lines.last());
}

#[test]
fn malformed_arguments_are_told_to_the_model() {
    let (model, env) =
        scene([Answer::new().raw_call("shell", "{\"command\": [echo]}").into(), Reply::text("Sorry.")]);
    good_turn(&env, &["go"]);
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains("can't be read") && told.contains("column"), "{told}");
    model.verify().unwrap();
}

#[test]
fn a_tool_that_does_not_exist_is_told_to_the_model() {
    let (model, env) = scene([Reply::call("teleport", &json!({"to": "moon"})), Reply::text("Sorry.")]);
    good_turn(&env, &["go"]);
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains("teleport") && told.contains("shell"), "names what there is: {told}");
    model.verify().unwrap();
}

#[test]
fn one_call_for_ever_is_stopped() {
    let (model, env) = always(runs(["echo", "again"]));
    let (output, lines) = json_turn(&env, &["go"]);
    assert_ne!(output.code(), Some(0), "{:?}", lines.types());
    assert!(model.requests().len() <= 20, "{} requests", model.requests().len());
    assert!(lines.failure().1.contains("shell"), "{:?}", lines.last());
}

/// Threat S5.
#[test]
fn two_hundred_megabytes_of_output_stay_small_heavy() {
    let (model, env) = scene([
        runs(["true"]),
        script("echo first; head -c 200000000 /dev/zero | tr '\\0' x; echo; echo last"),
        Reply::text("Done."),
    ]);
    let lines = good_turn(&env, &["go"]);
    let told = model.requests()[2].last_output().unwrap().to_owned();
    assert!(
        told.contains("first") && told.trim_end().contains("last") && told.len() < 100_000,
        "{} bytes",
        told.len()
    );
    assert!(lines.completed("command_execution")[1]["aggregated_output"].as_str().unwrap().len() < 1_000_000);
    let peak = status_kilobytes(env.daemon_pid().unwrap(), "VmHWM:");
    assert!(peak < 96 * 1024, "the daemon took {peak} kB");
    let output = env.run(["sessions", "show", lines.session()]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let kept = size_of(&crate::scene::state_folder(&env));
    assert!((200_000_000..220_000_000).contains(&kept), "all of it, once: {kept} bytes");
}

fn status_kilobytes(pid: i32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn size_of(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { size_of(&entry.path()) } else { metadata.len() }
        })
        .sum()
}

#[test]
fn a_command_that_ignores_sigterm_ends_with_its_time() {
    let call = json!({"command": "trap '' TERM INT HUP; echo ready; while :; do sleep 600; done", "timeout_ms": 3000});
    let (model, env) = scene([Reply::call("shell", &call), Reply::text("Done.")]);
    let begin = std::time::Instant::now();
    good_turn(&env, &["go"]);
    assert!(begin.elapsed() < SOON);
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains("ready") && told.contains("3000"), "says that and when it was ended: {told}");
    expect_none_left(&env, "sleep");
}

#[test]
fn a_program_that_is_not_there_is_told_to_the_model() {
    let (model, env) = scene([runs(["no-such-program"]), Reply::text("Sorry.")]);
    let lines = good_turn(&env, &["go"]);
    assert_eq!(lines.only("command_execution")["status"], "failed");
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains("no-such-program") && told.contains("not found"), "{told}");
}

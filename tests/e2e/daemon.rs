//! The daemon's life: started by whoever needs it, one per home, and what survives when something dies.

use std::fs;
use std::time::{Duration, Instant};

use skein_tests::TestEnv;
use skein_tests::environment::leftover::Leftover;
use skein_tests::environment::process::Invocation;
use skein_tests::scripted_model::reply::{Answer, Reply};

use crate::scene::{
    GONE, Lines, SOON, expect_none_left, good_turn, kill_daemon, runs, scene, script, socket, state_folder,
    until_go, wait_for_file, wait_for_programs,
};

/// The daemon's process; there must be one.
fn daemon(env: &TestEnv) -> Leftover {
    env.daemon().unwrap()
}

#[test]
fn clients_share_the_daemon_that_the_first_one_started() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    assert_eq!(env.daemon_pid(), None);
    good_turn(&env, &["one"]);
    let first = env.daemon_pid().unwrap();
    good_turn(&env, &["two"]);
    assert_eq!(env.daemon_pid(), Some(first));
}

#[test]
fn two_clients_at_once_start_one_daemon_a_hundred_times_heavy() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    for round in 0..100 {
        let both = [env.spawn(["sessions", "list"]).unwrap(), env.spawn(["sessions", "list"]).unwrap()];
        for client in both {
            let output = client.wait(SOON).unwrap();
            assert_eq!(output.code(), Some(0), "round {round}: {output:?}");
        }
        let daemons: Vec<_> =
            env.processes().into_iter().filter(|process| process.command.contains("daemon")).collect();
        assert_eq!(daemons.len(), 1, "round {round}: {daemons:?}");
        if round % 2 == 0 {
            kill_daemon(&env);
        } else {
            let daemon = daemon(&env);
            assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
            assert!(daemon.wait(SOON));
        }
    }
}

#[test]
fn a_second_daemon_on_the_same_home_is_refused() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    env.run(["daemon", "start"]).unwrap();
    let first = env.daemon_pid().unwrap();
    let output = env.run(["daemon", "run"]).unwrap();
    assert_ne!(output.code(), Some(0), "{output:?}");
    assert!(output.stderr.contains(&first.to_string()), "names the one that runs: {output:?}");
    assert_eq!(env.run(["ps"]).unwrap().code(), Some(0));
    assert_eq!(env.daemon_pid(), Some(first));
}

#[test]
fn a_socket_that_was_deleted_comes_back() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    good_turn(&env, &["one"]);
    let before = env.daemon_pid();
    fs::remove_file(socket(&env)).unwrap();
    good_turn(&env, &["two"]);
    assert_eq!(env.daemon_pid(), before, "the same daemon answers");
}

#[test]
fn a_socket_folder_that_was_deleted_comes_back() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    good_turn(&env, &["one"]);
    let before = env.daemon_pid();
    let folder = socket(&env).parent().unwrap().to_owned();
    // The daemon may be quick enough to put a new socket into the folder before that is gone.
    while let Err(error) = fs::remove_dir_all(&folder) {
        assert_eq!(error.kind(), std::io::ErrorKind::DirectoryNotEmpty);
    }
    good_turn(&env, &["two"]);
    assert_eq!(env.daemon_pid(), before, "the same daemon answers");
}

#[test]
fn the_socket_of_a_dead_daemon_is_replaced() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    let session = good_turn(&env, &["one"]).session().to_owned();
    kill_daemon(&env);
    assert!(socket(&env).exists());
    good_turn(&env, &["resume", &session, "two"]);
}

#[test]
fn a_turn_goes_on_when_its_client_is_killed() {
    let (model, env) = scene([until_go(), Reply::text("All done.")]);
    let client = env.spawn(["exec", "--json", "go"]).unwrap();
    client.wait_for_stdout("thread.started", SOON).unwrap();
    wait_for_file(&env, "started");
    client.kill().unwrap();
    let session = Lines::of(&client.wait(SOON).unwrap()).session().to_owned();
    env.write_file("go", "").unwrap();
    model.wait_for_requests(2, SOON).unwrap();
    assert_eq!(env.read_file("ended").unwrap(), "ended\n");
    let follower = env.spawn(["attach", &session]).unwrap();
    follower.wait_for_stdout("All done.", SOON).unwrap();
    model.verify().unwrap();
}

#[test]
fn a_daemon_that_is_killed_leaves_no_child_and_an_intact_log() {
    let (model, env) = scene([
        Answer::new()
            .text("Let me look.")
            .call("shell", &serde_json::json!({"command": "echo x >> times; sleep 601"}))
            .into(),
        Reply::text("I see that it was interrupted."),
    ]);
    let client = env.spawn(["exec", "--json", "go"]).unwrap();
    client.wait_for_stdout("command_execution", SOON).unwrap();
    wait_for_file(&env, "times");
    let children = wait_for_programs(&env, "sleep ", 1);
    assert_eq!(children.len(), 1, "{children:?}");
    kill_daemon(&env);
    assert!(children[0].wait(GONE), "{children:?}");
    let output = client.wait(SOON).unwrap();
    let lines = Lines::of(&output);
    assert_ne!(output.code(), Some(0), "{output:?}");
    assert_eq!(lines.last()["type"], "turn.failed", "{:?}", lines.0);
    let session = lines.session().to_owned();
    let shown = env.run(["sessions", "show", &session]).unwrap().stdout;
    for part in ["Let me look.", "sleep 601", "The daemon stopped in the middle of the turn"] {
        assert!(shown.contains(part), "`{part}` in {shown}");
    }
    good_turn(&env, &["resume", &session, "and now?"]);
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains("Interrupted"), "{told}");
    assert_eq!(env.read_file("times").unwrap(), "x\n", "nothing is run twice");
    model.verify().unwrap();
}

#[test]
fn sigterm_drains_within_ten_seconds() {
    let (_model, env) =
        scene([script("trap '' TERM; touch started; sleep 602"), Reply::text("not asked for")]);
    let client = env.spawn(["exec", "--json", "go"]).unwrap();
    wait_for_file(&env, "started");
    let daemon = daemon(&env);
    let begin = Instant::now();
    let kill = Invocation::new("/bin/kill", ["-TERM".to_owned(), daemon.pid.to_string()], "/");
    assert_eq!(kill.run().unwrap().code(), Some(0));
    assert!(daemon.wait(Duration::from_secs(10)), "still there");
    assert!(begin.elapsed() < Duration::from_secs(10));
    expect_none_left(&env, "sleep ");
    let output = client.wait(SOON).unwrap();
    let lines = Lines::of(&output);
    assert_eq!(lines.last()["type"], "turn.failed", "{:?}", lines.0);
    let shown = env.run(["sessions", "show", lines.session()]).unwrap().stdout;
    assert!(shown.contains("The daemon stopped in the middle of the turn"), "{shown}");
}

#[test]
fn an_idle_daemon_exits_after_its_time() {
    let (_model, env) = scene([Reply::text("Hi.")]);
    env.append_settings("[daemon]\nidle_exit = \"400ms\"").unwrap();
    let client = env.spawn(["exec", "--json", "hello"]).unwrap();
    // While a client is there the daemon is.
    client.wait_for_stdout("thread.started", SOON).unwrap();
    let daemon = daemon(&env);
    assert_eq!(client.wait(SOON).unwrap().code(), Some(0));
    assert!(daemon.wait(SOON));
    assert!(!socket(&env).exists(), "it takes its socket away");
}

#[test]
fn a_daemon_with_a_running_turn_is_not_idle() {
    let (model, env) = scene([until_go(), Reply::text("Done.")]);
    env.append_settings("[daemon]\nidle_exit = \"200ms\"").unwrap();
    env.run(["exec", "--detach", "go"]).unwrap();
    let daemon = daemon(&env);
    wait_for_file(&env, "started");
    assert!(!daemon.wait(Duration::from_secs(1)), "it left a running turn alone");
    env.write_file("go", "").unwrap();
    model.wait_for_requests(2, SOON).unwrap();
    assert!(daemon.wait(SOON));
}

#[test]
fn it_can_be_asked_how_it_is_and_told_to_stop() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    let output = env.run(["daemon", "status"]).unwrap();
    assert!(output.code() == Some(5) && output.stderr.contains("No daemon"), "{output:?}");
    assert_eq!(env.daemon_pid(), None, "asking does not start it");
    assert_eq!(env.run(["daemon", "start"]).unwrap().code(), Some(0));
    let first = daemon(&env);
    let output = env.run(["daemon", "status"]).unwrap();
    assert!(output.stdout.contains(&first.pid.to_string()), "{output:?}");
    assert_eq!(env.run(["daemon", "restart"]).unwrap().code(), Some(0));
    let second = daemon(&env);
    assert!(second.pid != first.pid && first.wait(SOON));
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    assert!(second.wait(SOON));
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0), "it is stopped, which was the wish");
}

#[test]
fn its_log_tells_what_it_does_and_no_secrets() {
    let (_model, env) = scene([Reply::text("Hi.")]);
    good_turn(&env, &["say the magic word xyzzy"]);
    let output = env.run(["daemon", "logs"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(output.stdout.lines().count() > 1, "{output:?}");
    for secret in ["sk-scripted", "xyzzy"] {
        assert!(!output.stdout.contains(secret), "`{secret}` in {}", output.stdout);
    }
    let follower = env.spawn(["daemon", "logs", "-f"]).unwrap();
    follower.wait_for_stdout("\n", SOON).unwrap();
}

#[test]
fn a_home_that_cant_be_written_is_told_with_5() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    let command = env.command(["exec", "--json", "hello"]).variable("SKEIN_HOME", "/proc/skein");
    let output = command.run().unwrap();
    assert_eq!(output.code(), Some(5), "{output:?}");
    assert!(output.stderr.contains("/proc/skein"), "{}", output.stderr);
    assert_eq!(Lines::of(&output).last()["type"], "turn.failed");
}

#[test]
fn a_log_that_cant_be_opened_is_told_with_5() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    fs::create_dir_all(state_folder(&env)).unwrap();
    fs::write(
        state_folder(&env).join("skein.db"),
        "this is no database, and it is longer than a header\n".repeat(40),
    )
    .unwrap();
    let output = env.run(["exec", "hello"]).unwrap();
    assert_eq!(output.code(), Some(5), "{output:?}");
    assert!(output.stderr.contains("skein.db"), "{}", output.stderr);
}

#[test]
fn a_turn_can_be_told_from_the_time_before_the_daemons_death() {
    let (model, env) = scene([runs(["echo", "before"]), Reply::text("Before."), Reply::text("After.")]);
    let session = good_turn(&env, &["one"]).session().to_owned();
    kill_daemon(&env);
    good_turn(&env, &["resume", &session, "two"]);
    let texts = model.requests()[2].user_texts().join("|");
    assert!(texts.contains("one") && texts.contains("two"), "{texts}");
    assert!(model.requests()[2].last_output().unwrap().contains("before"));
    model.verify().unwrap();
}

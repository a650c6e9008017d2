//! Sessions from several terminals: what runs, what was, following one, and saying something into it.

use serde_json::json;
use skein_tests::environment::process::Invocation;
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{Lines, SOON, expect_none_left, good_turn, runs, scene, script};

/// A turn that waits for the file `go`, in the background; returns its session.
fn background(replies: Vec<Reply>) -> (ScriptedModel, TestEnv, String) {
    background_with(replies, &[])
}

/// The same with flags.
fn background_with(replies: Vec<Reply>, flags: &[&str]) -> (ScriptedModel, TestEnv, String) {
    let wait = script("touch started; until test -e go; do sleep 0.02; done; echo went");
    let (model, env) = scene(std::iter::once(wait).chain(replies));
    let arguments = ["exec", "--detach", "the first prompt"];
    let output = env.run(arguments.iter().chain(flags).copied()).unwrap();
    let wait = "until test -e started; do sleep 0.01; done";
    Invocation::new("/bin/sh", ["-c", wait], env.repository())
        .variable("PATH", "/usr/bin:/bin")
        .run()
        .unwrap();
    (model, env, output.stdout.trim().to_owned())
}

#[test]
fn what_runs_is_listed_until_it_has_ended() {
    let (model, env, session) = background(vec![Reply::text("Done.")]);
    let ps = env.run(["ps"]).unwrap().stdout;
    assert!(ps.contains(&session[..13]) && ps.contains("running"), "{ps}");
    let mut follower = env.command(["attach", &session]).spawn().unwrap();
    follower.close_input();
    env.write_file("go", "").unwrap();
    model.wait_for_requests(2, SOON).unwrap();
    follower.wait_for_stdout("Done.", SOON).unwrap();
    drop(follower);
    let list = env.run(["sessions", "list"]).unwrap().stdout;
    assert!(list.contains(&session[..13]) && list.contains("the first prompt"), "{list}");
    let ps = env.run(["ps"]).unwrap().stdout;
    assert!(!ps.contains(&session[..13]), "{ps}");
}

#[test]
fn what_nothing_confines_is_told_wherever_sessions_are_shown() {
    let told = |flags: &[&str]| {
        let (model, env, session) = background_with(vec![Reply::text("Done.")], flags);
        let follower = env.spawn(["attach", &session]).unwrap();
        follower.wait_for_stdout("the first prompt", SOON).unwrap();
        let listed: [&[&str]; 5] = [
            &["ps"],
            &["sessions", "list"],
            &["sessions", "show", &session],
            &["daemon", "status"],
            &["logs", &session],
        ];
        let mut shown: Vec<String> =
            listed.map(|arguments| env.run(arguments.iter().copied()).unwrap().stdout).into();
        shown.push(follower.stdout());
        env.write_file("go", "").unwrap();
        model.wait_for_requests(2, SOON).unwrap();
        (session, shown)
    };
    let (session, shown) = told(&["-s", "danger-full-access"]);
    for text in &shown {
        assert!(text.contains("danger-full-access"), "{text}");
    }
    let short = &session[..13];
    assert!(shown[3].contains(&format!("session {short} runs without a sandbox")), "{}", shown[3]);
    let (_, shown) = told(&[]);
    assert!(shown.iter().all(|text| !text.contains("danger")), "{shown:?}");
}

/// The rows of `skein ps` about commands in the background: the session, the number, since when, and the command.
fn commands(env: &TestEnv) -> Vec<Vec<String>> {
    let ps = env.run(["ps"]).unwrap().stdout;
    let rows = ps.lines().skip_while(|line| !line.contains("PROCESS")).skip(1);
    rows.map(|row| {
        row.split("  ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
    })
    .collect()
}

#[test]
fn a_command_in_the_background_is_listed_and_a_person_can_end_it() {
    let begin = Reply::call("exec_command", &json!({"cmd": "sleep 1051", "yield_time_ms": 100}));
    let look = Reply::call("write_stdin", &json!({"process_id": 1, "yield_time_ms": 100}));
    let (model, env) = scene([begin, Reply::text("Begun."), look, Reply::text("Seen.")]);
    let session = good_turn(&env, &["serve it"]).session().to_owned();
    let rows = commands(&env);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((row[0].as_str(), row[1].as_str(), row[3].as_str()), (&session[..13], "1", "sleep 1051"));
    assert!(row[2].ends_with("ago"), "{row:?}");
    let listed: serde_json::Value = serde_json::from_str(&env.run(["ps", "--json"]).unwrap().stdout).unwrap();
    assert_eq!(listed[0]["id"], session);
    let command = &listed[0]["background"][0];
    assert_eq!((&command["processId"], &command["command"]), (&json!(1), &json!("sleep 1051")));
    assert!(command["startedAt"].is_u64(), "{command}");

    let idle = env.run(["stop", &session]).unwrap();
    assert!(
        idle.stderr.contains(&format!("`skein stop {} --process 1` ends it", &session[..13])),
        "{idle:?}"
    );
    let wrong = env.run(["stop", &session, "--process", "7"]).unwrap();
    assert_ne!(wrong.code(), Some(0));
    assert!(wrong.stderr.contains("No process 7 goes on in the background"), "{}", wrong.stderr);
    let ended = env.run(["stop", &session, "--process", "1"]).unwrap();
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    expect_none_left(&env, "sleep 1051");
    assert_eq!(commands(&env), Vec::<Vec<String>>::new());
    let again = env.run(["stop", &session, "--process", "1"]).unwrap();
    assert_ne!(again.code(), Some(0));
    assert!(again.stderr.contains("ended already, from `skein stop`"), "{}", again.stderr);
    let logs = env.run(["logs", &session]).unwrap().stdout;
    assert!(logs.contains("You ended process 1") && logs.contains("sleep 1051"), "{logs}");

    good_turn(&env, &["resume", &session, "go on"]);
    let told = model.requests()[2].user_texts().join("|");
    assert!(told.contains("the user ended process 1"), "{told}");
    let looked = model.requests()[3].last_output().unwrap().to_owned();
    assert!(looked.contains("The user ended process 1 (from `skein stop`)"), "{looked}");
}

#[test]
fn a_late_follower_sees_the_whole_turn() {
    let (model, env, session) = background(vec![Reply::text("All of it.")]);
    let follower = env.spawn(["attach", &session]).unwrap();
    follower.wait_for_stdout("the first prompt", SOON).unwrap();
    env.write_file("go", "").unwrap();
    for part in ["went", "All of it."] {
        follower.wait_for_stdout(part, SOON).unwrap();
    }
    model.verify().unwrap();
}

#[test]
fn a_word_said_into_a_turn_reaches_the_model() {
    let (model, env, session) = background(vec![Reply::text("Blue it is.")]);
    let output = env.run(["send", &session, "make it blue"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    env.write_file("go", "").unwrap();
    model.wait_for_requests(2, SOON).unwrap();
    let texts = model.requests()[1].user_texts().join("|");
    assert!(texts.contains("the first prompt") && texts.ends_with("make it blue"), "{texts}");
    model.verify().unwrap();
}

#[test]
fn a_word_to_an_idle_session_starts_a_turn() {
    let (model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    let session = good_turn(&env, &["one"]).session().to_owned();
    assert_eq!(env.run(["send", &session, "two"]).unwrap().code(), Some(0));
    model.wait_for_requests(2, SOON).unwrap();
    assert_eq!(model.requests()[1].user_texts().last(), Some(&"two"));
}

#[test]
fn a_turn_is_stopped_from_another_terminal() {
    let (_model, env) = scene([runs(["sleep", "651"])]);
    let client = env.spawn(["exec", "--json", "go"]).unwrap();
    client.wait_for_stdout("command_execution", SOON).unwrap();
    let id: serde_json::Value = serde_json::from_str(client.stdout().lines().next().unwrap()).unwrap();
    let session = id["thread_id"].as_str().unwrap().to_owned();
    assert_eq!(env.run(["stop", &session]).unwrap().code(), Some(0));
    let output = client.wait(SOON).unwrap();
    assert_eq!(output.code(), Some(130), "{output:?}");
    assert_eq!(Lines::of(&output).last()["type"], "turn.failed");
    expect_none_left(&env, "sleep");
}

#[test]
fn a_busy_session_is_not_resumed_behind_its_users_back() {
    let (model, env, session) = background(vec![Reply::text("Done.")]);
    let output = env.run(["exec", "resume", &session, "me too"]).unwrap();
    assert_ne!(output.code(), Some(0), "{output:?}");
    assert!(output.stderr.contains("running"), "{}", output.stderr);
    env.write_file("go", "").unwrap();
    model.wait_for_requests(2, SOON).unwrap();
    assert!(!model.requests()[1].user_texts().join("|").contains("me too"));
}

#[test]
fn a_session_can_be_shown_in_full() {
    let (_model, env) = scene([
        Answer::new()
            .text("I will look.")
            .call("shell", &serde_json::json!({"command": ["echo", "found"]}))
            .into(),
        Reply::text("Here it is."),
    ]);
    let session = good_turn(&env, &["find it"]).session().to_owned();
    let shown = env.run(["sessions", "show", &session]).unwrap();
    for part in ["find it", "I will look.", "echo found", "found", "Here it is."] {
        assert!(shown.stdout.contains(part), "`{part}` in {shown:?}");
    }
    assert!(!shown.stdout.contains('\u{1b}'));
}

#[test]
fn the_beginning_of_an_id_will_do() {
    let (_model, env) = scene([Reply::text("Hi.")]);
    let session = good_turn(&env, &["hello"]).session().to_owned();
    let shown = env.run(["sessions", "show", &session[..13]]).unwrap();
    assert!(shown.stdout.contains("Hi."), "{shown:?}");
}

#[test]
fn a_session_that_does_not_exist_is_told() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    let stranger = "0199a0a0-0000-7000-8000-000000000000";
    for arguments in [&["sessions", "show", stranger][..], &["exec", "resume", stranger, "go on"]] {
        let output = env.run(arguments.iter().copied()).unwrap();
        assert_eq!(output.code(), Some(2), "{output:?}");
        assert!(output.stderr.contains(stranger), "{}", output.stderr);
    }
}

#[test]
fn control_sequences_of_commands_reach_no_terminal() {
    let (_model, env) =
        scene([script("printf 'a\\033]0;title\\007b\\033[2Jc\\n'"), Reply::text("x\u{1b}]52;c;aGk=\u{7}y")]);
    let session = good_turn(&env, &["go"]).session().to_owned();
    let shown = env.run(["sessions", "show", &session]).unwrap().stdout;
    let follower = env.spawn(["attach", &session]).unwrap();
    follower.wait_for_stdout("tokens", SOON).unwrap();
    for text in [shown, follower.stdout()] {
        assert!(text.contains("title") && !text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }
}

#[test]
fn what_happened_can_be_printed_and_followed() {
    let (model, env, session) = background(vec![Reply::text("The end.")]);
    let printed = env.run(["logs", &session]).unwrap();
    assert!(
        printed.stdout.contains("the first prompt") && !printed.stdout.contains("\n  went"),
        "{printed:?}"
    );
    let follower = env.spawn(["logs", "-f", &session]).unwrap();
    follower.wait_for_stdout("the first prompt", SOON).unwrap();
    env.write_file("go", "").unwrap();
    follower.wait_for_stdout("The end.", SOON).unwrap();
    model.verify().unwrap();
}

#[test]
fn all_that_happens_is_seen_by_everybody() {
    let (model, env, session) = background(vec![Reply::text("Blue it is.")]);
    let followers = [env.spawn(["attach", &session]).unwrap(), env.spawn(["attach", &session]).unwrap()];
    for follower in &followers {
        follower.wait_for_stdout("the first prompt", SOON).unwrap();
    }
    env.run(["send", &session, "make it blue"]).unwrap();
    env.write_file("go", "").unwrap();
    for follower in &followers {
        for part in ["make it blue", "went", "Blue it is."] {
            follower.wait_for_stdout(part, SOON).unwrap();
        }
    }
    model.verify().unwrap();
}

#[test]
fn an_archived_session_is_put_away_and_a_deleted_one_gone() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    let (one, two) =
        (good_turn(&env, &["one"]).session().to_owned(), good_turn(&env, &["two"]).session().to_owned());
    assert_eq!(env.run(["sessions", "archive", &one]).unwrap().code(), Some(0));
    assert_eq!(env.run(["sessions", "delete", &two]).unwrap().code(), Some(0));
    let list = env.run(["sessions", "list"]).unwrap().stdout;
    assert!(!list.contains(&one[..13]) && !list.contains(&two[..13]), "{list}");
    let shown = env.run(["sessions", "show", &one]).unwrap();
    assert!(shown.stdout.contains("One."), "{shown:?}");
    assert_ne!(env.run(["sessions", "show", &two]).unwrap().code(), Some(0));
}

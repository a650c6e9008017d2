//! Work goes on whoever comes or goes, and who comes late has missed nothing.

use std::fs;

use protocol::event::Event;
use protocol::item::{ItemBody, ItemStatus};
use protocol::session::ClientRole;
use serde_json::{Value, json};
use skein_tests::TestEnv;
use skein_tests::environment::process::Invocation;
use skein_tests::rpc::Seen;
use skein_tests::scripted_model::reply::{Answer, Point, Reply, StatusReply, Then};

use crate::scene::{
    Lines, SOON, client, escalates, expect_none_left, kill_daemon, scene, script, seen, until_go, up,
    wait_for_file,
};

/// An answer that stops in the middle and stays so.
fn half_said() -> Reply {
    let answer = Answer::new().text("These are the first words. And these are the last.").in_pieces(2);
    answer.breaks(Point::MiddleOfLastOutput, Then::Stall).into()
}

/// A command that has printed something and goes on until the file `go` is there.
fn half_done() -> Reply {
    script("printf 'the first byte'; touch started; until test -e go; do sleep 0.02; done; echo ', the last'")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_end_of_a_client_touches_a_turn() {
    let (model, env) = scene([until_go(), Reply::text("All done.")]);
    let exec = env.spawn(["exec", "--json", "the first prompt"]).unwrap();
    wait_for_file(&env, "started");
    exec.wait_for_stdout("thread.started", SOON).unwrap();
    let session = Lines(vec![serde_json::from_str(exec.stdout().lines().next().unwrap()).unwrap()])
        .session()
        .to_owned();
    let attach = || {
        let client = env.spawn(["attach", &session]).unwrap();
        client.wait_for_stdout("the first prompt", SOON).unwrap();
        client
    };
    let [killed, hung_up, terminated, interrupted] = [attach(), attach(), attach(), attach()];
    let socket = client(&env, "socket").await;
    let mut follower = socket.watch(session.parse().unwrap(), ClientRole::Driver).await.unwrap();
    follower.until(SOON, |seen| seen.snapshot.is_some()).await.unwrap();
    exec.hang_up().unwrap();
    killed.kill().unwrap();
    hung_up.hang_up().unwrap();
    terminated.terminate().unwrap();
    interrupted.interrupt().unwrap();
    for client in [exec, killed, hung_up, terminated, interrupted] {
        client.wait(SOON).unwrap();
    }
    drop((follower, socket));
    let late = client(&env, "late").await;
    let mut follower = late.watch(session.parse().unwrap(), ClientRole::Driver).await.unwrap();
    let names = |seen: &Seen| -> Vec<String> {
        let attached = seen.presence.iter().flat_map(|presence| &presence.attached);
        attached.map(|attachment| attachment.actor.name.clone()).collect()
    };
    if let Err(error) = follower.until(SOON, |seen| names(seen) == ["late"]).await {
        panic!("{error}: {:?}", names(follower.seen()));
    }
    assert_eq!(follower.seen().turns_ended(), 0);
    env.write_file("go", "").unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    assert_eq!(env.read_file("ended").unwrap(), "ended\n");
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_attaches_late_sees_a_commands_output_from_its_first_byte() {
    let (model, env) = scene([half_done(), Reply::text("Done.")]);
    let session = env.run(["exec", "--detach", "go"]).unwrap().stdout.trim().to_owned();
    wait_for_file(&env, "started");
    // A person, a client without a picture, and one that begins with the first event.
    let terminal = env.spawn(["attach", &session]).unwrap();
    terminal.wait_for_stdout("the first byte", SOON).unwrap();
    let client = client(&env, "late").await;
    let id = session.parse().unwrap();
    let shows = |seen: &Seen| seen.texts().any(|text| text == "the first byte");
    let mut watching = client.watch(id, ClientRole::Driver).await.unwrap();
    watching.until(SOON, shows).await.unwrap();
    let mut following = client.follow(id).await.unwrap();
    following.until(SOON, shows).await.unwrap();
    env.write_file("go", "").unwrap();
    terminal.wait_for_stdout("the first byte, the last", SOON).unwrap();
    for follower in [&mut watching, &mut following] {
        follower.until_turn_ends(SOON).await.unwrap();
        assert!(follower.seen().texts().any(|text| text == "the first byte, the last\n"));
    }
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_attaches_late_sees_an_answer_from_its_first_word() {
    let (_model, env) = scene([half_said()]);
    let session = env.run(["exec", "--detach", "go"]).unwrap().stdout.trim().to_owned();
    let client = client(&env, "late").await;
    let id = session.parse().unwrap();
    let begins = |seen: &Seen| seen.texts().any(|text| text.starts_with("These are the first"));
    let mut following = client.follow(id).await.unwrap();
    following.until(SOON, begins).await.unwrap();
    let mut watching = client.watch(id, ClientRole::Driver).await.unwrap();
    watching.until(SOON, begins).await.unwrap();
    let terminal = env.spawn(["attach", &session]).unwrap();
    terminal.wait_for_stdout("These are the first", SOON).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupt_keeps_what_was_said() {
    let (model, env) = scene([half_said(), Reply::text("Where were we?")]);
    let session = env.run(["exec", "--detach", "go"]).unwrap().stdout.trim().to_owned();
    let client = client(&env, "late").await;
    let mut following = client.follow(session.parse().unwrap()).await.unwrap();
    let begins = |seen: &Seen| seen.texts().any(|text| text.starts_with("These are the first"));
    following.until(SOON, begins).await.unwrap();
    assert_eq!(env.run(["stop", &session]).unwrap().code(), Some(0));
    following.until_turn_ends(SOON).await.unwrap();
    let said = following.seen().completed().find_map(|item| match &item.body {
        ItemBody::AgentMessage(message) => Some((item.status.clone(), message.text.clone())),
        _ => None,
    });
    let (status, text) = said.unwrap();
    assert_eq!(status, ItemStatus::Interrupted);
    assert!(text.starts_with("These are the first"), "{text}");
    let shown = env.run(["sessions", "show", &session]).unwrap();
    assert!(seen(&shown).contains("These are the first"), "{shown:?}");
    assert_eq!(env.run(["exec", "resume", &session, "go on"]).unwrap().code(), Some(0));
    let body = String::from_utf8(model.requests()[1].body.to_vec()).unwrap();
    assert!(body.contains("These are the first"), "the model is told what it said: {body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_keeps_what_was_said() {
    let (_model, env) = scene([half_said()]);
    up(&env);
    let one = client(&env, "one").await;
    let session = one.create(&env).await.unwrap();
    let mut follower = one.follow(session).await.unwrap();
    one.start(session, "go").await.unwrap();
    let is_durable = |event: &Event| matches!(event, Event::ItemAppended(_));
    follower.until(SOON, |seen| seen.events().any(is_durable)).await.unwrap();
    kill_daemon(&env);
    let shown = env.run(["sessions", "show", &session.to_string()]).unwrap();
    assert!(seen(&shown).contains("These are the first"), "{shown:?}");
}

#[test]
fn a_detached_turn_is_followed_steered_and_stopped_from_anywhere() {
    let (_model, env) = scene([script("touch started; exec sleep 671")]);
    let output = env.run(["exec", "--detach", "the first prompt"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let session = output.stdout.trim().to_owned();
    assert!(!session.contains(char::is_whitespace), "the id and nothing else: {session}");
    wait_for_file(&env, "started");
    let follower = env.spawn(["logs", "-f", &session]).unwrap();
    follower.wait_for_stdout("the first prompt", SOON).unwrap();
    assert!(env.run(["ps"]).unwrap().stdout.contains(&session[..13]));
    assert_eq!(env.run(["send", &session, "and something more"]).unwrap().code(), Some(0));
    follower.wait_for_stdout("and something more", SOON).unwrap();
    assert_eq!(env.run(["stop", &session]).unwrap().code(), Some(0));
    expect_none_left(&env, "sleep");
}

/// What the program that the settings name was told, once it was told so much.
fn notices(env: &TestEnv, count: usize) -> Vec<Value> {
    let wait = format!("until test $(wc -l < notices) -ge {count}; do sleep 0.01; done");
    let waiting = Invocation::new("/bin/sh", ["-c", &wait], env.home()).variable("PATH", "/usr/bin:/bin");
    waiting.run().unwrap();
    let text = fs::read_to_string(env.home().join("notices")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_person_who_looks_elsewhere_is_told() {
    let (_model, env) = scene([
        Reply::text("All is well."),
        escalates(&["touch", "made"]),
        Reply::text("Done."),
        StatusReply::error(400, "No.", "invalid_request_error", None).into(),
    ]);
    let program = env.home().join("notify");
    let log = env.home().join("notices");
    fs::write(&log, "").unwrap();
    fs::write(&program, format!("printf '%s\\n' \"$2\" >> {}\n", log.display())).unwrap();
    env.prepend_settings(&format!("notify = [\"/bin/sh\", {program:?}, \"first\"]")).unwrap();
    let session = env.run(["exec", "--detach", "-a", "on-request", "go"]).unwrap().stdout.trim().to_owned();
    let told = notices(&env, 1);
    assert_eq!((&told[0]["type"], &told[0]["sessionId"]), (&json!("turn-ended"), &json!(session)));
    assert_eq!(told[0]["lastMessage"], "All is well.");
    env.run(["send", &session, "and now?"]).unwrap();
    let asked = notices(&env, 2).remove(1);
    assert_eq!(asked["type"], "question-asked");
    assert!(asked["question"].as_str().unwrap().contains("touch made"), "{asked}");
    let question = asked["questionId"].as_str().unwrap().to_owned();
    assert_eq!(env.run(["questions", "answer", &question, "yes"]).unwrap().code(), Some(0));
    assert_eq!(notices(&env, 3)[2]["lastMessage"], "Done.");
    env.run(["send", &session, "and then?"]).unwrap();
    assert_eq!(notices(&env, 4)[3]["type"], "turn-failed");
}

//! Calls that change nothing go on side by side, and a wait for something costs nothing and ends when it should.

use protocol::event::Event;
use protocol::item::{Item, ItemBody, ItemStatus};
use serde_json::{Value, json};
use skein_tests::ScriptedModel;
use skein_tests::rpc::{Follower, Seen};
use skein_tests::scripted_model::reply::{Answer, Reply};

use crate::scene::{SOON, client, kill_daemon, scene, up};

/// What a call of no special kind came to.
fn output(item: &Item) -> Option<&str> {
    match &item.body {
        ItemBody::ToolCall(other) => other.output.as_deref(),
        _ => None,
    }
}

/// The outputs of calls of no special kind, in the order in which they ended.
fn ended(seen: &Seen) -> Vec<&str> {
    seen.completed().filter_map(output).collect()
}

/// How many calls of this tool were begun.
fn begun(seen: &Seen, tool: &str) -> usize {
    let is_it = |event: &&Event| matches!(event, Event::ItemStarted(changed) if changed.item.body.call().is_some_and(|call| call.name == tool));
    seen.events().filter(is_it).count()
}

/// What the model was told of the calls of the answer before, in its order.
fn told(model: &ScriptedModel, request: usize, calls: usize) -> Vec<String> {
    let requests = model.requests();
    let outputs = requests[request].input_of("function_call_output");
    let outputs: Vec<_> = outputs.map(|item| item["output"].as_str().unwrap().to_owned()).collect();
    outputs[outputs.len() - calls..].to_vec()
}

async fn until_output(follower: &mut Follower, output: &str) {
    follower.until(SOON, |seen| ended(seen).contains(&output)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_overlap_and_are_told_in_the_order_of_their_calls() {
    let wait = |path: &str| json!({"path": path, "seconds": 600});
    let answer =
        ["a", "b", "c", "d"].iter().fold(Answer::new(), |answer, path| answer.call("wait_for", &wait(path)));
    let answer =
        answer.call("shell", &json!({"command": "ls a b c d"})).call("read_file", &json!({"path": "e"}));
    let (model, env) = scene([answer.into(), Reply::text("Done.")]);
    env.write_file("e", "the last").unwrap();
    up(&env);
    let client = client(&env, "test").await;
    let session = client.create(&env).await.unwrap();
    let mut follower = client.follow(session).await.unwrap();
    client.start(session, "go").await.unwrap();
    let mut order = Vec::new();
    // Each waits for something that happens only when the one after it has ended.
    for path in ["d", "c", "b", "a"] {
        env.write_file(path, "").unwrap();
        let output = format!("`{path}` is there");
        until_output(&mut follower, &output).await;
        order.push(output);
        if path != "a" {
            assert_eq!(ended(follower.seen()), order);
            let is_command = |item: &Item| matches!(item.body, ItemBody::Command(_));
            assert!(!follower.seen().completed().any(is_command), "a command goes alone");
        }
    }
    follower.until_turn_ends(SOON).await.unwrap();
    let last = ended(follower.seen());
    assert_eq!(last[4..], ["1\tthe last\n"]);
    let told = told(&model, 1, 6);
    assert_eq!(told[..4], ["`a` is there", "`b` is there", "`c` is there", "`d` is there"]);
    assert!(told[4].contains("a\nb\nc\nd") && told[5].contains("the last"), "{told:?}");
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_waited_for_until_it_prints_something_and_until_it_ends() {
    let server = "echo up; until test -e go; do sleep 0.02; done; echo ready on 80; \
                  until test -e stop; do sleep 0.02; done; exit 3";
    let process = |more: Value| {
        let mut arguments = json!({"process_id": 1, "seconds": 600});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    let (model, env) = scene([
        Reply::call("exec_command", &json!({"cmd": server, "yield_time_ms": 250})),
        Reply::call("wait_for", &process(json!({"pattern": "ready on [0-9]+"}))),
        // What nobody took away is heard, too.
        Reply::call("wait_for", &process(json!({"pattern": "^ready"}))),
        Reply::call("wait_for", &process(json!({}))),
        Reply::call("write_stdin", &json!({"process_id": 1})),
        Reply::text("Done."),
    ]);
    up(&env);
    let client = client(&env, "test").await;
    let session = client.create(&env).await.unwrap();
    let mut follower = client.follow(session).await.unwrap();
    client.start(session, "go").await.unwrap();
    follower.until(SOON, |seen| begun(seen, "wait_for") == 1).await.unwrap();
    env.write_file("go", "").unwrap();
    follower.until(SOON, |seen| begun(seen, "wait_for") == 3).await.unwrap();
    env.write_file("stop", "").unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    let expected = [
        "Process 1 printed: ready on 80",
        "Process 1 printed: ready on 80",
        "Process 1 ended with exit code 3; `write_stdin` shows what it printed",
    ];
    assert_eq!(ended(follower.seen()), expected);
    let told = told(&model, 5, 1);
    assert!(told[0].contains("ready on 80") && told[0].contains('3'), "{told:?}");
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_is_interrupted_by_a_person() {
    let (_model, env) = scene([Reply::call("wait_for", &json!({"seconds": 3600}))]);
    let session = env.run(["exec", "--detach", "go"]).unwrap().stdout.trim().to_owned();
    let client = client(&env, "test").await;
    let mut follower = client.follow(session.parse().unwrap()).await.unwrap();
    follower.until(SOON, |seen| begun(seen, "wait_for") == 1).await.unwrap();
    assert_eq!(env.run(["stop", &session]).unwrap().code(), Some(0));
    follower.until_turn_ends(SOON).await.unwrap();
    let status = follower.seen().completed().find(|item| item.body.call().is_some()).map(|item| &item.status);
    assert_eq!(status, Some(&ItemStatus::Interrupted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_only_reads_is_made_again_after_a_crash() {
    let wait = |path: &str| json!({"path": path, "seconds": 600});
    let answer = Answer::new().call("wait_for", &wait("a")).call("wait_for", &wait("b"));
    let (model, env) = scene([answer.into(), Reply::text("Done.")]);
    let session = env.run(["exec", "--detach", "go"]).unwrap().stdout.trim().to_owned();
    let one = client(&env, "one").await;
    let mut follower = one.follow(session.parse().unwrap()).await.unwrap();
    follower.until(SOON, |seen| begun(seen, "wait_for") == 2).await.unwrap();
    env.write_file("b", "").unwrap();
    until_output(&mut follower, "`b` is there").await;
    kill_daemon(&env);
    env.write_file("a", "").unwrap();
    up(&env);
    let two = client(&env, "two").await;
    let mut follower = two.follow(session.parse().unwrap()).await.unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    assert_eq!(told(&model, 1, 2), ["`a` is there", "`b` is there"]);
    model.verify().unwrap();
}

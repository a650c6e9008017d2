//! Sessions that a model starts: they are sessions like any other, and belong to the one that started them.

use std::fs;

use protocol::agent::{AgentListParams, AgentListResult, AgentStatus};
use protocol::api::agent::AgentClient;
use protocol::api::question::QuestionClient;
use protocol::ids::SessionId;
use protocol::item::{Item, ItemBody};
use protocol::question::{Decision, GrantScope, QuestionAnswerParams, QuestionListParams};
use protocol::session::ClientRole;
use serde_json::{Value, json};
use skein_tests::rpc::{Seen, TestClient};
use skein_tests::scripted_model::reply::Reply;
use skein_tests::scripted_model::request::Request;
use skein_tests::scripted_model::server::Options;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{
    SOON, asking_session, client, escalates, good_turn, kill_daemon, outside, script, until_go, up,
    wait_for_file,
};

/// What every task of an agent begins with, so that the script knows who asks.
const TASK: &str = "CHILD:";

/// The task of the agent that asks; nothing if it is the session at the top.
fn task_of(request: &Request) -> Option<String> {
    let texts = request.user_texts();
    texts.iter().find_map(|text| text.strip_prefix(TASK)).map(|task| task.trim().to_owned())
}

/// How many calls the session that asks has made.
fn calls(request: &Request) -> usize {
    request.input_of("function_call_output").count()
}

/// A model that answers the session at the top by `top` and agents by `agent`, given the task and how many calls were
/// made.
fn scene(
    mut top: impl FnMut(&Request, usize) -> Reply + Send + 'static,
    mut agent: impl FnMut(&str, &Request, usize) -> Reply + Send + 'static,
) -> (ScriptedModel, TestEnv) {
    let answering = move |request: &Request| match task_of(request) {
        Some(task) => agent(&task, request, calls(request)),
        None => top(request, calls(request)),
    };
    let model = ScriptedModel::answering(Options::default(), answering).unwrap();
    let env = TestEnv::new(&model).unwrap();
    (model, env)
}

fn spawns(name: &str, task: &str) -> Reply {
    Reply::call("spawn_agent", &json!({"task": format!("{TASK} {task}"), "name": name}))
}

fn waits(names: &[&str]) -> Reply {
    Reply::call("wait_agent", &json!({ "agents": names }))
}

/// Spawns `scout`, waits for it, and is done.
fn spawns_and_waits(_: &Request, calls: usize) -> Reply {
    match calls {
        0 => spawns("scout", "look around"),
        1 => waits(&["scout"]),
        _ => Reply::text("All done."),
    }
}

fn listed(env: &TestEnv, arguments: &[&str]) -> Vec<Value> {
    let output = env.run(arguments.iter().copied().chain(["--json"])).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

async fn tree(client: &TestClient, session: SessionId) -> AgentListResult {
    AgentClient::list(client.rpc(), AgentListParams { session_id: Some(session) }).await.unwrap()
}

#[test]
fn an_agent_works_and_its_parent_reads_what_it_said() {
    let (model, env) = scene(spawns_and_waits, |task, _, calls| match calls {
        0 => script(&format!("echo {task:?} > found")),
        _ => Reply::text("It is in the cellar."),
    });
    let lines = good_turn(&env, &["go"]);
    assert_eq!(env.read_file("found").unwrap(), "look around\n");
    let requests = model.requests();
    let last = requests.iter().rev().find(|request| task_of(request).is_none()).unwrap();
    assert!(
        last.last_output().unwrap().contains("completed:\nIt is in the cellar."),
        "{:?}",
        last.last_output()
    );
    let first = requests.iter().find(|request| task_of(request).is_some()).unwrap();
    assert!(!first.user_texts().contains(&"go"), "it knows nothing of its parent's conversation");

    // The lines have the shape that other programs read.
    let session = lines.session();
    let [spawned, waited] = lines.completed("collab_tool_call")[..] else { panic!("{:#?}", lines.0) };
    assert_eq!((&spawned["tool"], &spawned["sender_thread_id"]), (&json!("spawn_agent"), &json!(session)));
    assert_eq!(spawned["prompt"], json!("CHILD: look around"));
    let agent = waited["receiver_thread_ids"][0].as_str().unwrap();
    let state = json!({"status": "completed", "message": "It is in the cellar."});
    assert_eq!(waited["agents_states"][agent], state);

    // It is a session of its own, which lists show under its parent.
    assert_eq!(listed(&env, &["sessions", "list"]).len(), 1);
    let nodes = listed(&env, &["agents", agent]);
    let shown: Vec<_> =
        nodes.iter().map(|node| (node["summary"]["id"].as_str().unwrap(), &node["status"])).collect();
    assert_eq!(shown, [(session, &json!("completed")), (agent, &json!("completed"))]);
    assert_eq!(nodes[1]["summary"]["agent"]["name"], "scout");
    assert!(env.run(["logs", agent]).unwrap().stdout.contains("It is in the cellar."));
    let usage = env.run(["usage", "--by", "agent", "--json"]).unwrap().stdout;
    let usage: Value = serde_json::from_str(&usage).unwrap();
    assert_eq!(usage["rows"].as_array().unwrap().len(), 1, "{usage}");
    assert_eq!(usage["rows"][0]["key"]["sessionId"], session);
    assert_eq!(usage["rows"][0]["spending"]["requests"], 5);

    // It goes with its parent.
    assert_eq!(env.run(["sessions", "delete", session]).unwrap().code(), Some(0));
    let gone = || env.run(["sessions", "show", agent]).unwrap().code() != Some(0);
    assert!((0..1000).any(|_| gone()), "the agent is still there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_that_is_stopped_stops_its_agents_and_is_told() {
    let (model, env) = scene(
        |request, calls| {
            if request.user_texts().contains(&"and now") {
                Reply::text("I see.")
            } else {
                spawns_and_waits(request, calls)
            }
        },
        |_, _, _| until_go(),
    );
    let session = env.run(["exec", "--detach", "go"]).unwrap().stdout.trim().to_owned();
    wait_for_file(&env, "started");
    let client = client(&env, "watcher").await;
    let id: SessionId = session.parse().unwrap();
    let agent = tree(&client, id).await.agents.pop().unwrap();
    assert_eq!(agent.status, AgentStatus::Running);
    assert_eq!(listed(&env, &["ps"]).len(), 2, "both run");
    let mut following = client.follow(agent.summary.id).await.unwrap();
    assert_eq!(env.run(["stop", &session]).unwrap().code(), Some(0));
    following.until_turn_ends(SOON).await.unwrap();
    assert_eq!(tree(&client, id).await.agents[1].status, AgentStatus::Interrupted);
    let mut parent = client.follow(id).await.unwrap();
    parent.until(SOON, tells).await.unwrap();
    good_turn(&env, &["resume", &session, "and now"]);
    let requests = model.requests();
    let told = requests.last().unwrap().user_texts().join("\n");
    assert!(told.contains("the agent `scout`") && told.contains("was interrupted"), "{told}");
}

#[test]
fn a_ceiling_of_the_tree_stops_agents_within_a_call() {
    let (model, env) = scene(spawns_and_waits, |_, _, calls| script(&format!("echo {calls}")));
    env.append_settings("[budget.tree]\nmax_tokens = 700").unwrap();
    let output = env.run(["exec", "go"]).unwrap();
    assert_eq!(output.code(), Some(4), "{output:?}");
    // An answer takes 120 tokens, whoever asks.
    assert_eq!(model.requests().len(), 6, "{output:?}");
    let [root, agent] = &listed(&env, &["agents", &root_of(&env)])[..] else { panic!("no tree") };
    assert_eq!((&root["status"], &agent["status"]), (&json!("limitReached"), &json!("limitReached")));
    assert!(agent["message"].as_str().unwrap().contains("The session with its agents"), "{agent}");
}

/// Whether an agent told something.
fn tells(seen: &Seen) -> bool {
    seen.completed().any(|item| matches!(item.body, ItemBody::Agent(_)))
}

fn root_of(env: &TestEnv) -> String {
    listed(env, &["sessions", "list"])[0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn too_many_and_too_deep_are_refused_with_what_to_do() {
    let (model, env) = scene(
        |request, calls| match calls {
            0 => spawns("scout", "look around"),
            1 => spawns("other", "look elsewhere"),
            2 => spawns("scout", "once more"),
            3 => Reply::call("send_agent", &json!({"agent": "nobody", "message": "hello"})),
            // Until the other one was told what it must hear.
            4 => script("until test -e started; do sleep 0.02; done"),
            5 => Reply::call("close_agent", &json!({"agent": "scout"})),
            _ => spawns_and_waits(request, 2),
        },
        |_, _, calls| match calls {
            0 => spawns("below", "look below"),
            _ => until_go(),
        },
    );
    env.append_settings("[agents]\nmax_depth = 1\nmax_live = 1").unwrap();
    good_turn(&env, &["go"]);
    let requests = model.requests();
    let outputs: Vec<&str> = requests
        .iter()
        .filter(|request| task_of(request).is_none())
        .filter_map(|request| request.last_output())
        .collect();
    assert!(outputs[1].contains("1 agents work already") && outputs[1].contains("wait_agent"), "{outputs:?}");
    assert!(outputs[3].contains("There are `scout`"), "{outputs:?}");
    assert!(outputs[5].contains("`scout`") && outputs[5].contains("closed"), "{outputs:?}");
    let below = requests
        .iter()
        .filter(|request| task_of(request).is_some())
        .filter_map(|request| request.last_output());
    assert!(below.into_iter().next().unwrap().contains("Do it yourself"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_starts_no_agent_twice_and_the_wait_goes_on() {
    let (model, env) = scene(spawns_and_waits, |_, _, calls| match calls {
        0 => until_go(),
        _ => Reply::text("I was cut off."),
    });
    let session = env.run(["exec", "--detach", "go"]).unwrap().stdout.trim().to_owned();
    wait_for_file(&env, "started");
    kill_daemon(&env);
    up(&env);
    let client = client(&env, "watcher").await;
    let id: SessionId = session.parse().unwrap();
    // The turn may be over before anybody looks.
    let mut following = client.follow(id).await.unwrap();
    following.until_turn_ends(SOON).await.unwrap();
    let nodes = tree(&client, id).await.agents;
    assert_eq!(nodes.len(), 2, "{nodes:#?}");
    assert_eq!(nodes[1].status, AgentStatus::Completed);
    let requests = model.requests();
    let last = requests.iter().rfind(|request| task_of(request).is_none()).unwrap();
    let last = last.last_output().unwrap();
    assert!(last.contains("I was cut off."), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_of_an_agent_is_seen_from_its_parent_and_answered_by_whoever_is_there() {
    let outside = outside();
    let file = outside.path().join("made");
    let path = file.to_string_lossy().into_owned();
    let (_model, env) = scene(spawns_and_waits, move |_, _, calls| match calls {
        0 => escalates(&["touch", &path]),
        _ => Reply::text("Made it."),
    });
    up(&env);
    let client = client(&env, "person").await;
    let session = asking_session(&client, &env).await;
    let mut parent = client.watch(session, ClientRole::Driver).await.unwrap();
    client.start(session, "go").await.unwrap();
    parent.until(SOON, tells).await.unwrap();
    let params = QuestionListParams { session_id: Some(session) };
    let waiting = QuestionClient::list(client.rpc(), params).await.unwrap().questions;
    let [open] = &waiting[..] else { panic!("{waiting:?}") };
    assert_eq!(open.agent.as_ref().map(|agent| agent.name.as_str()), Some("scout"));
    let decision = Decision::Allow { scope: GrantScope::Once };
    let params = QuestionAnswerParams { question_id: open.question.id, decision, request_id: None };
    client.rpc().answer(params).await.unwrap();
    parent.until_turn_ends(SOON).await.unwrap();
    assert!(file.exists());
}

#[test]
fn hooks_hear_of_an_agent_as_one_and_can_make_it_go_on() {
    let (_model, env) = scene(spawns_and_waits, |_, request, _| {
        let has_heard = request.user_texts().iter().any(|text| text.contains("look again"));
        Reply::text(if has_heard { "It is in the attic." } else { "There is nothing." })
    });
    let keeps = |file: &str| json!([{"hooks": [{"type": "command", "command": format!("cat >> {file}")}]}]);
    let again = "cat >> stopped; grep -q true stopped || { echo 'look again' >&2; exit 2; }";
    let events = json!({
        "SessionStart": keeps("sessions"),
        "Stop": keeps("stops"),
        "SubagentStart": keeps("started"),
        "SubagentStop": [{"matcher": "scout", "hooks": [{"type": "command", "command": again}]}],
    });
    let file = env.settings_file().with_file_name("hooks.json");
    fs::write(file, json!({ "hooks": events }).to_string()).unwrap();
    let lines = good_turn(&env, &["go"]);
    let [_, waited] = lines.completed("collab_tool_call")[..] else { panic!("{:#?}", lines.0) };
    let agent = waited["receiver_thread_ids"][0].as_str().unwrap();
    assert_eq!(waited["agents_states"][agent]["message"], "It is in the attic.");
    let started: Value = serde_json::from_str(&env.read_file("started").unwrap()).unwrap();
    assert_eq!(
        (&started["hook_event_name"], &started["agent_id"], &started["agent_type"], &started["session_id"]),
        (&json!("SubagentStart"), &json!(agent), &json!("scout"), &json!(lines.session()))
    );
    for (file, event) in [("sessions", "SessionStart"), ("stops", "Stop")] {
        let heard = env.read_file(file).unwrap();
        assert_eq!(
            heard.matches("hook_event_name").count(),
            1,
            "only the session at the top: {event}: {heard}"
        );
    }
}

/// The sessions of a tree with two agents below one another, from the top.
fn chain(env: &TestEnv) -> Vec<Value> {
    listed(env, &["agents", &root_of(env)])
}

#[test]
fn each_ceiling_of_a_tree_holds_two_agents_deep() {
    for (ceiling, told) in [
        ("max_tokens = 700", "The session with its agents was allowed 700 tokens"),
        ("max_tool_calls = 4", "The session with its agents was allowed 4 tool calls"),
        ("max_time = \"3s\"", "The session with its agents was allowed 3 s of work"),
    ] {
        // The one at the bottom works without an end, the two above it wait.
        let (_model, env) = scene(spawns_and_waits, |task, _, calls| match (task, calls) {
            ("look around", 0) => spawns("below", "look below"),
            ("look around", _) => waits(&["below"]),
            _ if ceiling.contains("time") => script("sleep 1000"),
            _ => script(&format!("echo {calls}")),
        });
        env.append_settings(&format!("[budget.tree]\n{ceiling}")).unwrap();
        let output = env.run(["exec", "go"]).unwrap();
        // The one at the top has nothing left to do but talk, which is no call.
        let code = if ceiling.contains("calls") { 0 } else { 4 };
        assert_eq!(output.code(), Some(code), "{ceiling}: {output:?}");
        let tree = chain(&env);
        assert_eq!(tree.len(), 3, "{ceiling}");
        let bottom = &tree[2];
        assert_eq!(bottom["status"], json!("limitReached"), "{ceiling}: {bottom}");
        assert!(bottom["message"].as_str().unwrap().contains(told), "{ceiling}: {bottom}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_came_to_as_the_daemon_stopped_is_told_by_the_next_one_once() {
    let (_model, env) = scene(
        |request, calls| match calls {
            0 => spawns("scout", "look around"),
            _ if request.user_texts().contains(&"and now") => Reply::text("I see."),
            _ => Reply::text("It looks around."),
        },
        |_, _, _| until_go(),
    );
    let id: SessionId = good_turn(&env, &["go"]).session().parse().unwrap();
    wait_for_file(&env, "started");
    let told = async |env: &TestEnv| {
        up(env);
        let watcher = client(env, "watcher").await;
        let mut following = watcher.follow(id).await.unwrap();
        following.until(SOON, tells).await.unwrap();
        let reports = |seen: &Seen| {
            let items = seen.completed().filter(|item| matches!(item.body, ItemBody::Agent(_)));
            items.cloned().collect::<Vec<_>>()
        };
        reports(&following.into_seen())
    };
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    let first = told(&env).await;
    let [item] = &first[..] else { panic!("{first:#?}") };
    let ItemBody::Agent(report) = &item.body else { panic!("{item:?}") };
    assert_eq!((report.name.as_str(), &report.status), ("scout", &AgentStatus::Interrupted));
    // Starts that have nothing to make up for add nothing.
    for _ in 0..2 {
        assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
        assert_eq!(told(&env).await, first);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_agents_came_to_is_told_once_wherever_the_daemon_is_killed() {
    for requests in 2..=7 {
        let (model, env) = scene(
            |_, calls| match calls {
                0 => spawns("one", "look around"),
                1 => spawns("two", "look elsewhere"),
                2 => waits(&["one"]),
                3 => waits(&["two"]),
                _ => Reply::text("All done."),
            },
            |task, _, calls| match calls {
                0 => script(&format!("echo {task:?}")),
                _ => Reply::text("It is in the cellar."),
            },
        );
        let id: SessionId = env.run(["exec", "--detach", "go"]).unwrap().stdout.trim().parse().unwrap();
        model.wait_for_requests(requests, SOON).unwrap();
        kill_daemon(&env);
        up(&env);
        let client = client(&env, "watcher").await;
        // `exec --detach` lets a turn go on; those of agents do as their parent's.
        let mut parent = client.follow(id).await.unwrap();
        parent.until(SOON, |seen| seen.turns_ended() == 1).await.unwrap();
        let agents = tree(&client, id).await.agents.into_iter().skip(1);
        // One that was killed before its turn began has nothing to tell.
        for agent in agents.filter(|agent| agent.summary.turn_count > 0) {
            let mut following = client.follow(agent.summary.id).await.unwrap();
            following.until(SOON, |seen| seen.turns_ended() == 1).await.unwrap();
            let is_of = |item: &&Item| {
                matches!(&item.body, ItemBody::Agent(report)
                    if report.session_id == agent.summary.id && !report.status.is_live())
            };
            let told = |seen: &Seen| seen.completed().filter(is_of).count();
            parent.until(SOON, |seen| told(seen) > 0).await.unwrap();
            assert_eq!(told(parent.seen()), 1, "killed after {requests} requests");
        }
    }
}

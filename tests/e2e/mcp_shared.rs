//! Processes of MCP servers that sessions share, and those of a repository that no session starts unasked.

use std::collections::BTreeSet;
use std::fs;

use serde_json::json;
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::scripted_model::request::Request;
use skein_tests::scripted_model::server::Options;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{SOON, good_turn, left, scene};

const SERVER: &str = env!("CARGO_BIN_EXE_mcp-server");
const SERVERS: usize = 5;
const AGENTS: usize = 50;

/// R3: neither a turn nor one that goes on, nor a fork, starts what a repository declares and nobody trusts.
#[test]
fn what_a_repository_declares_is_not_started_by_resume_or_fork_either() {
    let (_model, env) = scene([Reply::text("Done."), Reply::text("Done."), Reply::text("Done.")]);
    let log = env.temporary().join("started");
    let servers = json!({"mcpServers": {"repo": {"command": SERVER, "args": ["--log", log]}}});
    env.write_file(".mcp.json", &servers.to_string()).unwrap();
    let session = good_turn(&env, &["go"]).session().to_owned();
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    good_turn(&env, &["resume", &session, "on"]);
    let forked = env.run(["sessions", "fork", &session]).unwrap();
    assert_eq!(forked.code(), Some(0), "{forked:?}");
    good_turn(&env, &["resume", forked.stdout.trim(), "on"]);
    assert!(!log.exists(), "{:?}", fs::read_to_string(log));
    assert_eq!(left(&env, SERVER).len(), 0);
}

/// The parent starts the agents and waits; each agent asks each server for its process.
fn busy(request: &Request) -> Reply {
    let is_agent = request.user_texts().iter().any(|text| text.contains("look at the servers"));
    if request.last_output().is_some() {
        let is_waiting = !is_agent && request.output_of("call-wait").is_none();
        return if is_waiting {
            Answer::new()
                .call("wait_agent", &json!({"agents": names(), "seconds": 60}))
                .call_id("call-wait")
                .into()
        } else {
            Reply::text("Done.")
        };
    }
    let answer = Answer::new();
    if is_agent {
        let ask = |answer: Answer, server: usize| answer.call(format!("mcp__s{server}__pid"), &json!({}));
        return (0..SERVERS).fold(answer, ask).into();
    }
    let spawn = |answer: Answer, name: &String| {
        answer.call("spawn_agent", &json!({"task": "look at the servers", "name": name}))
    };
    names().iter().fold(answer, spawn).into()
}

fn names() -> Vec<String> {
    (0..AGENTS).map(|number| format!("a{number}")).collect()
}

#[test]
fn fifty_agents_of_a_session_with_five_servers_have_five_processes() {
    let model = ScriptedModel::answering(Options::default(), busy).unwrap();
    let env = TestEnv::new(&model).unwrap();
    env.append_settings("\n[agents]\nmax_live = 64\n").unwrap();
    for number in 0..SERVERS {
        let table = format!("\n[mcp_servers.s{number}]\ncommand = {SERVER:?}\nrequired = true\n");
        env.append_settings(&table).unwrap();
    }
    good_turn(&env, &["go"]);
    // The wait ends with the first agent; the others go on. Each asks twice, the session itself three times.
    let requests = model.wait_for_requests(2 * AGENTS + 3, SOON).unwrap();
    let is_agent = |request: &Request| {
        request.user_texts().iter().any(|text| text.contains("look at the servers"))
            && request.last_output().is_some()
    };
    let agents: Vec<_> = requests.iter().filter(|request| is_agent(request)).collect();
    assert_eq!(agents.len(), AGENTS);
    let outputs = agents.iter().flat_map(|request| request.input_of("function_call_output"));
    let pids: BTreeSet<String> = outputs.map(|output| output["output"].to_string()).collect();
    assert_eq!(pids.len(), SERVERS, "{pids:?}");
    assert_eq!(left(&env, SERVER).len(), SERVERS, "{:?}", env.processes());
}

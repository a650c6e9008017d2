//! MCP servers that others publish, each through a whole turn: started, listed, called, and its answer told to the
//! model.

use std::path::PathBuf;

use serde_json::{Value, json};
use skein_tests::fake_servers::http::{FakeServer, Given};
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::{ScriptedModel, TestEnv, published_clients, skip};

use crate::scene::{json_turn, scene};

const MISSING: &str = "MCP servers of others are not installed; `cargo xtest` fetches them with npm and pip";

/// A call, and what its answer has in it.
struct Case {
    server: &'static str,
    tool: &'static str,
    arguments: Value,
    answer: String,
}

fn case(server: &'static str, tool: &'static str, arguments: Value, answer: impl Into<String>) -> Case {
    Case { server, tool, arguments, answer: answer.into() }
}

/// One turn in which the model calls one after the other. All servers are waited for.
fn check(add: impl FnOnce(&TestEnv), cases: impl FnOnce(&TestEnv) -> Vec<Case>) {
    let (model, env): (ScriptedModel, TestEnv) = scene(Vec::<Reply>::new());
    add(&env);
    let cases = cases(&env);
    for Case { server, tool, arguments, .. } in &cases {
        model.push(Answer::new().call(format!("mcp__{server}__{tool}"), arguments));
    }
    model.push(Reply::text("Done."));
    let (output, lines) = json_turn(&env, &["go"]);
    assert_eq!(output.code(), Some(0), "{:#?}\n{}", lines.0, output.stderr);
    let requests = model.requests();
    for (Case { server, tool, answer, .. }, request) in cases.iter().zip(&requests[1..]) {
        let told = request.last_output().unwrap_or_default();
        assert!(told.contains(answer.as_str()), "{server}: {tool}: {told}");
    }
    model.verify().unwrap();
}

fn add(env: &TestEnv, name: &str, command: &str, arguments: &[PathBuf], variables: &[(&str, PathBuf)]) {
    let variables: Vec<String> =
        variables.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
    let table = format!(
        "\n[mcp_servers.{name}]\ncommand = {command:?}\nargs = {arguments:?}\nenv = {{ {} }}\nrequired = true\n\
         startup_timeout_sec = 60\napproval_mode = \"approve\"",
        variables.join(", ")
    );
    env.append_settings(&table).unwrap();
}

#[test]
fn the_servers_on_npm_are_used_in_a_turn() {
    if !published_clients::are_there().unwrap() {
        return skip::skipped(MISSING).unwrap();
    }
    let add_all = |env: &TestEnv| {
        let node = |name: &str, server: &str, further: PathBuf, variables: &[(&str, PathBuf)]| {
            let [node, script] = published_clients::npm_server(server).unwrap();
            add(env, name, node.to_str().unwrap(), &[script, further], variables);
        };
        node("everything", "everything", "stdio".into(), &[]);
        node("files", "filesystem", env.repository(), &[]);
        let file = env.home().join("memory.jsonl");
        node("memory", "memory", "".into(), &[("MEMORY_FILE_PATH", file)]);
    };
    let cases = |env: &TestEnv| {
        let readme = env.repository().join("README.md");
        let entity = json!({"name": "Ada", "entityType": "person", "observations": ["likes geese"]});
        vec![
            case("everything", "echo", json!({"message": "hi there"}), "Echo: hi there"),
            case("everything", "get-sum", json!({"a": 2, "b": 40}), "42"),
            case("files", "read_text_file", json!({"path": readme}), "A scratch repository."),
            case("files", "read_text_file", json!({"path": "/etc/passwd"}), "Access denied"),
            case("memory", "create_entities", json!({"entities": [entity]}), "Ada"),
            case("memory", "search_nodes", json!({"query": "geese"}), "likes geese"),
        ]
    };
    check(add_all, cases);
}

#[test]
fn the_servers_on_pypi_are_used_in_a_turn() {
    if !published_clients::are_there().unwrap() {
        return skip::skipped(MISSING).unwrap();
    }
    let page = FakeServer::start(|_| Given::status(200, &json!({"goose": "grey"}))).unwrap();
    let address = format!("{}/page", page.address());
    let add_all = |env: &TestEnv| {
        for (name, further) in [
            ("git", vec!["--repository".into(), env.repository()]),
            ("fetch", vec!["--ignore-robots-txt".into(), "--allow-private-ips".into()]),
            ("time", Vec::new()),
        ] {
            let arguments = [PathBuf::from("-m"), format!("mcp_server_{name}").into()];
            let arguments: Vec<PathBuf> = arguments.into_iter().chain(further).collect();
            add(
                env,
                name,
                "python3",
                &arguments,
                &[("PYTHONPATH", published_clients::python_path().unwrap())],
            );
        }
        env.write_file("new.txt", "new").unwrap();
    };
    let cases = |env: &TestEnv| {
        let repository = env.repository();
        vec![
            case("git", "git_status", json!({"repo_path": repository}), "new.txt"),
            case("git", "git_log", json!({"repo_path": repository, "max_count": 1}), "Begin"),
            case("fetch", "fetch", json!({"url": address}), "grey"),
            case("time", "get_current_time", json!({"timezone": "UTC"}), "UTC"),
        ]
    };
    check(add_all, cases);
}

//! The published conformance suite of MCP: what a revision requires of a server, and of a client.

use std::path::Path;

use serde_json::Value;
use skein_tests::environment::process::Invocation;
use skein_tests::scripted_model::reply::Reply;
use skein_tests::{TestEnv, published_clients, skip};

use crate::scene::{SOON, scene, up};

const MISSING: &str = "the conformance suite of MCP is not installed; `cargo xtest` fetches it with npm";
const CLIENT: &str = env!("CARGO_BIN_EXE_conformance-client");
const SERVER: &str = env!("CARGO_BIN_EXE_conformance-server");

/// Scenarios of optional extensions, none of which is offered.
const EXTENSIONS: [&str; 6] =
    ["tasks-", "auth/client-credentials-", "auth/dpop", "auth/enterprise-managed-", "auth/wif-", "sep-2640-"];

/// Scenarios that pass or fail by chance. The server of `sse-retry` takes the client's standing stream, if that is opened
/// late, for the one that is opened again.
const BY_CHANCE: [&str; 1] = ["sse-retry"];

/// How many letters the time at the end of a folder's name has, with the dash before it.
const TIME: usize = "-2026-07-28T00-00-00-000Z".len();

/// Runs all that a revision requires: so many scenarios must pass, and only those may fail that are expected to.
fn check(side: &str, revision: &str, target: [&str; 2], passed: usize, env: &TestEnv) {
    let results = env.home().join("results");
    let arguments =
        [side, target[0], target[1], "--requirements", revision, "--output-dir", results.to_str().unwrap()];
    let output = dressed(published_clients::conformance(arguments, &env.home()).unwrap(), env).run().unwrap();
    let is_extension = |name: &str| EXTENSIONS.iter().any(|extension| name.starts_with(extension));
    let is_by_chance = |name: &str| BY_CHANCE.contains(&name);
    let mut scenarios = scenarios(&results);
    scenarios.retain(|scenario| !is_extension(&scenario.name) && !is_by_chance(&scenario.name));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance/expected_failures.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let expected = text.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect::<Vec<_>>();
    let of =
        |side: &str| expected.iter().filter_map(|line| line.strip_prefix(side)?.strip_prefix(' ')).collect();
    let expected: Vec<&str> = of(side);
    let (failed, whole): (Vec<_>, Vec<_>) =
        scenarios.iter().partition(|scenario| !scenario.failures.is_empty());
    for Scenario { name, failures, .. } in &failed {
        assert!(expected.contains(&name.as_str()), "{name}: {failures:#?}");
    }
    for Scenario { name, .. } in &whole {
        assert!(!expected.contains(&name.as_str()), "{name} passes now; take it out of the file");
    }
    // A suite that looked at nothing has found nothing either.
    let whole = whole.iter().filter(|scenario| scenario.passed > 0).count();
    assert!(whole >= passed, "{whole} scenarios passed\n{}\n{}", output.stdout, output.stderr);
}

struct Scenario {
    name: String,
    passed: usize,
    failures: Vec<String>,
}

/// What came of each scenario, from the files that the suite leaves.
fn scenarios(results: &Path) -> Vec<Scenario> {
    let mut found = Vec::new();
    let mut folders = vec![results.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("checks.json") {
                found.push(scenario(results, &path));
            }
        }
    }
    found
}

fn scenario(results: &Path, file: &Path) -> Scenario {
    let checks: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let folder = file.parent().unwrap().strip_prefix(results).unwrap().to_str().unwrap();
    let name = folder[..folder.len() - TIME].trim_start_matches("server-").to_owned();
    let failed = |check: &&Value| check["status"] == "FAILURE";
    let failures = checks.iter().filter(failed).map(Value::to_string).collect();
    let passed = checks.iter().filter(|check| check["status"] == "SUCCESS").count();
    Scenario { name, passed, failures }
}

fn dressed(invocation: Invocation, env: &TestEnv) -> Invocation {
    invocation
        .variable("PATH", std::env::var_os("PATH").unwrap())
        .variable("HOME", env.home())
        .variable("TMPDIR", env.temporary())
        .variable("SKEIN_HOME", env.skein_home())
}

fn server(revision: &str, passed: usize) {
    if !published_clients::are_there().unwrap() {
        return skip::skipped(MISSING).unwrap();
    }
    let (_model, env) = scene(Vec::<Reply>::new());
    up(&env);
    let server = dressed(Invocation::new(SERVER, Vec::<String>::new(), env.repository()), &env);
    let server = server.spawn().unwrap();
    server.wait_for_stdout("/mcp\n", SOON).unwrap();
    let url = server.stdout();
    check("server", revision, ["--url", url.trim()], passed, &env);
}

fn client(revision: &str, passed: usize) {
    if !published_clients::are_there().unwrap() {
        return skip::skipped(MISSING).unwrap();
    }
    let (_model, env) = scene(Vec::<Reply>::new());
    check("client", revision, ["--command", CLIENT], passed, &env);
}

#[test]
fn the_server_is_as_the_last_revision_with_a_handshake_requires() {
    server("2025-11-25", 33);
}

#[test]
fn the_server_is_as_the_stateless_revision_requires() {
    server("2026-07-28", 40);
}

#[test]
fn the_client_is_as_the_last_revision_with_a_handshake_requires() {
    client("2025-11-25", 17);
}

#[test]
fn the_client_is_as_the_stateless_revision_requires() {
    client("2026-07-28", 32);
}

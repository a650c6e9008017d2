//! Clients that others publish drive `skein acp` and `skein mcp-server`, unchanged: `acpx`, the Python SDK and the Rust
//! crate of ACP, and the MCP inspector in both eras.

use std::path::Path;

use serde_json::Value;
use skein_tests::environment::executable::skein_exe;
use skein_tests::environment::process::Invocation;
use skein_tests::environment::test_env::{KEY, KEY_VARIABLE};
use skein_tests::scripted_model::reply::Reply;
use skein_tests::{TestEnv, published_clients, skip};

use crate::scene::{escalates, outside, scene, until_go};

const MISSING: &str = "clients of ACP and MCP are not installed; `cargo xtest` fetches them with npm and pip";

/// With what a program needs to find this home's daemon.
fn dressed(invocation: Invocation, env: &TestEnv) -> Invocation {
    invocation
        .variable("PATH", std::env::var_os("PATH").unwrap())
        .variable("HOME", env.home())
        .variable("TMPDIR", env.temporary())
        .variable("SKEIN_HOME", env.skein_home())
        .variable(KEY_VARIABLE, KEY)
}

fn skein() -> String {
    skein_exe().unwrap().to_string_lossy().into_owned()
}

#[test]
fn acpx_runs_a_turn_and_its_permissions_decide() {
    if !published_clients::are_there().unwrap() {
        return skip::skipped(MISSING).unwrap();
    }
    for (flag, is_made) in [("--approve-all", true), ("--deny-all", false)] {
        let folder = outside();
        let file = folder.path().join("made");
        let (model, env) = scene([escalates(&["touch", file.to_str().unwrap()]), Reply::text("It is done.")]);
        let agent = format!("{} acp", skein());
        let repository = env.repository();
        let arguments = [
            "--agent",
            &agent,
            "--cwd",
            repository.to_str().unwrap(),
            flag,
            "--format",
            "json",
            "--json-strict",
            "exec",
            "make it",
        ];
        let output = dressed(published_clients::acpx(arguments, &repository).unwrap(), &env).run().unwrap();
        // What its exit code says of a refusal is its own business; that the turn was seen to its end is ours.
        assert!(output.stdout.contains("It is done."), "{flag}: {output:?}");
        assert!(output.stdout.contains("end_turn"), "{flag}: {output:?}");
        assert_eq!(file.exists(), is_made, "{flag}: {output:?}");
        model.verify().unwrap();
    }
}

#[test]
fn the_python_sdk_asks_cancels_and_loads() {
    if !published_clients::are_there().unwrap() {
        return skip::skipped(MISSING).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/acp_client.py");
    expect_whole_session(|arguments, cwd| published_clients::python(&script, arguments, cwd).unwrap());
}

#[test]
fn the_rust_crate_asks_cancels_and_loads() {
    if !published_clients::rust_client_is_there().unwrap() {
        return skip::skipped(MISSING).unwrap();
    }
    expect_whole_session(|arguments, cwd| published_clients::rust_client(arguments, cwd).unwrap());
}

/// A client that gets the program and a folder says yes once, cancels a turn, loads the session again, and tells what it
/// saw.
fn expect_whole_session(client: impl FnOnce(&[String], &Path) -> Invocation) {
    let folder = outside();
    let file = folder.path().join("made");
    let (model, env) =
        scene([escalates(&["touch", file.to_str().unwrap()]), Reply::text("It is done."), until_go()]);
    let repository = env.repository();
    let arguments = [skein(), repository.to_string_lossy().into_owned()];
    let output = dressed(client(&arguments, &repository), &env).run().unwrap();
    let result: Value =
        serde_json::from_str(output.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!((&result["version"], &result["asked"]), (&1.into(), &1.into()), "{result}");
    assert_eq!((&result["first"], &result["second"]), (&"end_turn".into(), &"cancelled".into()), "{result}");
    assert_eq!((&result["text"], &result["replayed"]), (&"It is done.".into(), &"It is done.".into()));
    let kinds: Vec<&str> =
        result["kinds"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect();
    for kind in ["agent_message_chunk", "tool_call", "tool_call_update", "user_message_chunk"] {
        assert!(kinds.contains(&kind), "{kind}: {result}");
    }
    assert!(file.exists());
    model.verify().unwrap();
}

#[test]
fn the_inspector_calls_tools_in_both_eras() {
    if !published_clients::are_there().unwrap() {
        return skip::skipped(MISSING).unwrap();
    }
    for era in ["legacy", "modern"] {
        let (model, env) = scene([Reply::text("It is done.")]);
        let skein = skein();
        let repository = env.repository();
        let home = format!("SKEIN_HOME={}", env.skein_home().display());
        let key = format!("{KEY_VARIABLE}={KEY}");
        let inspect = |rest: &[&str]| {
            // It hands on only what it is told to.
            let begin = ["--cli", "-e", &home, "-e", &key, "--protocol-era", era, &skein, "mcp-server"];
            let arguments: Vec<&str> = begin.into_iter().chain(rest.iter().copied()).collect();
            let invocation = published_clients::inspector(arguments, &repository).unwrap();
            let output = dressed(invocation, &env).run().unwrap();
            assert_eq!(output.code(), Some(0), "{era}: {output:?}");
            output.stdout
        };
        let tools = inspect(&["--method", "tools/list"]);
        assert!(tools.contains("start_session") && tools.contains("outputSchema"), "{era}: {tools}");
        let called =
            inspect(&["--method", "tools/call", "--tool-name", "start_session", "--tool-arg", "prompt=go"]);
        assert!(called.contains("It is done."), "{era}: {called}");
        model.verify().unwrap();
    }
}

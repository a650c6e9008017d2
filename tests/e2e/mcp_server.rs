//! `skein mcp-server`: what another agent sees, in both eras of the Model Context Protocol, over the program's standard
//! input and output.

use serde_json::{Value, json};
use skein_tests::TestEnv;
use skein_tests::environment::process::Invocation;
use skein_tests::peer::Peer;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{SOON, client, escalates, outside, patches, scene, script, until_go, up, wait_for_file};

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";

/// A client that began with a handshake.
fn handshake(env: &TestEnv, capabilities: &Value) -> Peer {
    let mut peer = Peer::start(env.command(["mcp-server"]), SOON).unwrap();
    let info = json!({"name": "agent", "version": "1"});
    let params = json!({"protocolVersion": OLD, "capabilities": capabilities, "clientInfo": info});
    let result = peer.result("initialize", &params).unwrap();
    assert_eq!((&result["protocolVersion"], &result["serverInfo"]["name"]), (&json!(OLD), &json!("skein")));
    peer.notify("notifications/initialized", &json!({})).unwrap();
    peer
}

fn call(name: &str, arguments: &Value) -> Value {
    json!({"name": name, "arguments": arguments})
}

/// Calls a tool that must work: its structured result.
fn done(peer: &mut Peer, name: &str, arguments: &Value) -> Value {
    let mut result = peer.result("tools/call", &call(name, arguments)).unwrap();
    assert_ne!(result["isError"], true, "{result}");
    assert!(!result["content"][0]["text"].as_str().unwrap().is_empty());
    result["structuredContent"].take()
}

fn finish(peer: Peer) {
    let (output, said) = peer.end().unwrap();
    assert_eq!((output.code(), output.stderr.as_str()), (Some(0), ""));
    assert!(said.iter().filter(|said| said.by_program).all(|said| said.message["jsonrpc"] == "2.0"));
}

#[test]
fn a_task_is_handed_over_and_told_as_it_goes() {
    let patch = patches("*** Update File: README.md\n@@\n-A scratch repository.\n+A mended repository.");
    let (model, env) = scene([script("echo looking"), patch, Reply::text("Mended."), Reply::text("Twice.")]);
    let mut peer = handshake(&env, &json!({}));
    let tools = peer.result("tools/list", &json!({})).unwrap();
    let names: Vec<_> =
        tools["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names[0], "start_session");
    assert_eq!(names.len(), 8);
    let mut params = call("start_session", &json!({"prompt": "Mend it", "cwd": env.repository()}));
    params["_meta"] = json!({"progressToken": "mine"});
    let result = peer.result("tools/call", &params).unwrap();
    let report = &result["structuredContent"];
    assert_eq!((&report["status"], &report["turn"]["outcome"]), (&json!("idle"), &json!("completed")));
    assert_eq!(report["turn"]["message"], "Mended.");
    assert_eq!(report["turn"]["commands"], 1);
    assert_eq!(report["turn"]["changedFiles"], json!([env.repository().join("README.md")]));
    let progress: Vec<Value> = peer
        .take_kept()
        .into_iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| message["params"].clone())
        .collect();
    assert!(progress.iter().all(|told| told["progressToken"] == "mine"));
    let numbers: Vec<_> = progress.iter().map(|told| told["progress"].as_f64().unwrap()).collect();
    assert!(numbers.len() >= 3 && numbers.is_sorted_by(|a, b| a < b), "{progress:?}");
    assert!(progress[0]["message"].as_str().unwrap().contains("echo looking"), "{progress:?}");
    let session = report["sessionId"].clone();
    let again = done(&mut peer, "continue_session", &json!({"sessionId": session, "prompt": "Again"}));
    assert_eq!((&again["sessionId"], &again["turn"]["message"]), (&session, &json!("Twice.")));
    let read = done(&mut peer, "read_session", &json!({"sessionId": session}));
    assert_eq!(read["turn"], again["turn"]);
    let list = done(&mut peer, "list_sessions", &json!({"cwd": env.repository()}));
    assert_eq!(list["sessions"][0]["sessionId"], session);
    finish(peer);
    model.verify().unwrap();
}

#[test]
fn a_person_is_asked_by_a_form_where_the_client_has_forms() {
    let folder = outside();
    let file = folder.path().join("made");
    let (model, env) = scene([escalates(&["touch", file.to_str().unwrap()]), Reply::text("Done.")]);
    let mut peer = handshake(&env, &json!({"elicitation": {}}));
    let start = call("start_session", &json!({"prompt": "go", "cwd": env.repository()}));
    let id = peer.request("tools/call", &start).unwrap();
    let form = peer.until(|message| message["method"] == "elicitation/create").unwrap();
    assert!(form["params"]["message"].as_str().unwrap().contains("outside the sandbox"), "{form}");
    assert!(!file.exists());
    peer.respond(&form, &json!({"action": "accept", "content": {"decision": "Allow once"}})).unwrap();
    let answer = peer.answer_to(id).unwrap();
    assert_eq!(answer["result"]["structuredContent"]["turn"]["outcome"], "completed", "{answer}");
    assert!(file.exists());
    finish(peer);
    model.verify().unwrap();
}

#[test]
fn a_client_without_forms_answers_by_a_tool() {
    let folder = outside();
    let file = folder.path().join("made");
    let (model, env) = scene([escalates(&["touch", file.to_str().unwrap()]), Reply::text("Done.")]);
    let mut peer = handshake(&env, &json!({}));
    let report = done(&mut peer, "start_session", &json!({"prompt": "go", "cwd": env.repository()}));
    assert_eq!(report["status"], "waiting");
    let question = &report["questions"][0];
    assert!(question["text"].as_str().unwrap().contains("touch"), "{question}");
    let always =
        call("answer_question", &json!({"questionId": question["questionId"], "decision": "always"}));
    assert_eq!(peer.call("tools/call", &always).unwrap()["error"]["code"], -32602);
    done(&mut peer, "answer_question", &json!({"questionId": question["questionId"], "decision": "allow"}));
    let ended = done(&mut peer, "wait_for_session", &json!({"sessionId": report["sessionId"]}));
    assert_eq!(ended["turn"]["message"], "Done.");
    assert!(file.exists());
    finish(peer);
    model.verify().unwrap();
}

#[test]
fn a_request_that_is_cancelled_interrupts_its_turn() {
    let (_model, env) = scene([until_go()]);
    let mut peer = handshake(&env, &json!({}));
    let start = call("start_session", &json!({"prompt": "run", "cwd": env.repository()}));
    let id = peer.request("tools/call", &start).unwrap();
    wait_for_file(&env, "started");
    peer.notify("notifications/cancelled", &json!({"requestId": id, "reason": "enough"})).unwrap();
    let listed = loop {
        // A cancelled request has no answer; the session tells.
        let list = done(&mut peer, "list_sessions", &json!({}));
        if list["sessions"][0]["status"] == "idle" {
            break list;
        }
    };
    let session = &listed["sessions"][0]["sessionId"];
    let read = done(&mut peer, "read_session", &json!({"sessionId": session}));
    assert_eq!(read["turn"]["outcome"], "interrupted");
    finish(peer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_goes_on_when_the_client_dies() {
    let (_model, env) = scene([until_go(), Reply::text("Done.")]);
    up(&env);
    let mut peer = handshake(&env, &json!({}));
    let start = json!({"prompt": "run", "cwd": env.repository(), "wait": false, "deadlineSeconds": 600});
    let report = done(&mut peer, "start_session", &start);
    assert_eq!(report["turn"]["outcome"], Value::Null);
    wait_for_file(&env, "started");
    peer.running().kill().unwrap();
    let terminal = client(&env, "terminal").await;
    let mut follower = terminal.follow(report["sessionId"].as_str().unwrap().parse().unwrap()).await.unwrap();
    env.write_file("go", "").unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    wait_for_file(&env, "ended");
}

#[test]
fn a_session_is_interrupted_by_a_tool() {
    let (_model, env) = scene([until_go()]);
    let mut peer = handshake(&env, &json!({}));
    let start = json!({"prompt": "run", "cwd": env.repository(), "wait": false});
    let report = done(&mut peer, "start_session", &start);
    wait_for_file(&env, "started");
    let ended = done(&mut peer, "interrupt_session", &json!({"sessionId": report["sessionId"]}));
    assert_eq!(ended["turn"]["outcome"], "interrupted");
    finish(peer);
}

#[test]
fn a_client_of_the_newer_era_needs_no_handshake_and_answers_by_calling_again() {
    let folder = outside();
    let file = folder.path().join("made");
    let (model, env) = scene([escalates(&["touch", file.to_str().unwrap()]), Reply::text("Done.")]);
    let mut peer = Peer::start(env.command(["mcp-server"]), SOON).unwrap();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientInfo": {"name": "agent", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    });
    let found = peer.result("server/discover", &json!({"_meta": meta})).unwrap();
    assert!(found["supportedVersions"].as_array().unwrap().contains(&json!(NEW)), "{found}");
    let arguments = json!({"prompt": "go", "cwd": env.repository()});
    let mut params = json!({"_meta": meta, "name": "start_session", "arguments": arguments});
    let wanted = peer.result("tools/call", &params).unwrap();
    assert_eq!(wanted["resultType"], "input_required", "{wanted}");
    let form = &wanted["inputRequests"]["question"];
    assert_eq!(form["method"], "elicitation/create");
    assert!(!file.exists());
    params["requestState"] = wanted["requestState"].clone();
    params["inputResponses"] =
        json!({"question": {"action": "accept", "content": {"decision": "Allow once"}}});
    let result = peer.result("tools/call", &params).unwrap();
    assert_eq!(result["structuredContent"]["turn"]["message"], "Done.", "{result}");
    assert!(file.exists());
    finish(peer);
    model.verify().unwrap();
}

#[test]
fn logs_diffs_and_prompts_are_there_to_be_read() {
    let patch = patches("*** Add File: made.txt\n+made");
    let (_model, env) = scene([script("echo looking"), patch, Reply::text("Made.")]);
    let mut peer = handshake(&env, &json!({}));
    let report = done(&mut peer, "start_session", &json!({"prompt": "Make it", "cwd": env.repository()}));
    let session = report["sessionId"].as_str().unwrap();
    let listed = peer.result("resources/list", &json!({})).unwrap();
    let log = format!("skein://session/{session}/log");
    assert_eq!(listed["resources"][0]["uri"], json!(log));
    let read = |peer: &mut Peer, uri: &str| {
        let result = peer.result("resources/read", &json!({"uri": uri})).unwrap();
        result["contents"][0]["text"].as_str().unwrap().to_owned()
    };
    let text = read(&mut peer, &log);
    for piece in ["Make it", "$ echo looking\nlooking", "added", "Made."] {
        assert!(text.contains(piece), "{piece} in {text}");
    }
    let diff = read(&mut peer, &format!("skein://session/{session}/diff"));
    assert!(diff.contains("+made"), "{diff}");
    let templates = peer.result("resources/templates/list", &json!({})).unwrap();
    assert_eq!(templates["resourceTemplates"].as_array().unwrap().len(), 2);
    for wrong in ["skein://session/x/log", "file:///etc/passwd"] {
        let answer = peer.call("resources/read", &json!({"uri": wrong})).unwrap();
        assert!(answer["error"]["code"].is_i64(), "{answer}");
    }
    let prompts = peer.result("prompts/list", &json!({})).unwrap();
    let name = &prompts["prompts"][0]["name"];
    let prompt = peer.result("prompts/get", &json!({"name": name, "arguments": {"task": "Count."}})).unwrap();
    assert!(prompt["messages"][0]["content"]["text"].as_str().unwrap().ends_with("Count."));
    finish(peer);
}

#[test]
fn a_review_can_change_nothing() {
    let finding = json!({
        "file": "a.rs", "startLine": 1, "endLine": 2, "severity": "high", "title": "Wrong", "text": "So."
    });
    let answer = json!({"findings": [finding], "verdict": "needsWork", "summary": "One."}).to_string();
    let (model, env) = scene([Reply::text(answer), Reply::text("Nothing is wrong.")]);
    let mut peer = handshake(&env, &json!({}));
    let report = done(&mut peer, "review", &json!({"cwd": env.repository(), "base": "main"}));
    let place = env.repository().join("a.rs");
    assert_eq!(report["turn"]["review"]["findings"][0]["path"], json!(place), "{report:#}");
    assert_eq!(report["turn"]["review"]["verdict"], "needsWork", "{report:#}");
    let requests = model.requests();
    let request = requests[0].json();
    assert!(request.to_string().contains("git diff main...HEAD"), "{request:#}");
    assert_eq!(request["text"]["format"]["type"], "json_schema", "{request:#}");
    let unreadable = done(&mut peer, "review", &json!({"cwd": env.repository()}));
    assert_eq!(unreadable["turn"]["message"], "Nothing is wrong.", "what it said is not lost");
    let told = unreadable["turn"]["review"]["message"].as_str().unwrap();
    assert!(told.contains("did not answer with findings"), "{told}");
    let show = env.run(["sessions", "show", report["sessionId"].as_str().unwrap()]).unwrap();
    assert!(show.stdout.contains("read-only"), "{}", show.stdout);
    finish(peer);
}

#[test]
fn what_can_not_be_done_is_told() {
    let (_model, env) = scene(Vec::<Reply>::new());
    let mut peer = handshake(&env, &json!({}));
    for (name, arguments) in [
        ("no_such_tool", json!({})),
        ("start_session", json!({})),
        ("start_session", json!({"prompt": "x", "sandbox": "danger-full-access"})),
        ("read_session", json!({"sessionId": 5})),
    ] {
        let answer = peer.call("tools/call", &call(name, &arguments)).unwrap();
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    for (name, arguments) in [
        ("read_session", json!({"sessionId": "x"})),
        ("wait_for_session", json!({"sessionId": "01900000-0000-7000-8000-000000000000"})),
        ("start_session", json!({"prompt": "x", "cwd": "/no/such/folder"})),
        (
            "answer_question",
            json!({"questionId": "01900000-0000-7000-8000-000000000000", "decision": "deny"}),
        ),
        ("answer_question", json!({"questionId": "01900000-0000-7000-8000-000000000000"})),
    ] {
        let answer = peer.call("tools/call", &call(name, &arguments)).unwrap();
        assert_eq!(answer["result"]["isError"], true, "{answer}");
    }
    finish(peer);
}

/// Asks over HTTP by `curl`: the status and the body.
fn curl(env: &TestEnv, url: &str, token: Option<&str>, extra: &[&str], body: &Value) -> (String, String) {
    let mut arguments = vec!["-sS", "--max-time", "30", "-w", "\n%{http_code}", "-X", "POST"];
    let authorization = token.map(|token| format!("Authorization: Bearer {token}"));
    let headers = ["Content-Type: application/json", "Accept: application/json, text/event-stream"];
    for header in headers.iter().copied().chain(authorization.as_deref()).chain(extra.iter().copied()) {
        arguments.extend(["-H", header]);
    }
    let body = body.to_string();
    arguments.extend(["-d", &body, url]);
    let output = Invocation::new("curl", arguments, env.home())
        .variable("PATH", std::env::var_os("PATH").unwrap())
        .run()
        .unwrap();
    let (text, status) = output.stdout.rsplit_once('\n').unwrap_or_else(|| panic!("{output:?}"));
    (status.to_owned(), text.to_owned())
}

#[test]
fn over_http_only_who_knows_the_token_is_heard() {
    const TOKEN: &str = "a-token-of-this-test";
    let (model, env) = scene([Reply::text("Heard.")]);
    let server = env
        .command(["mcp-server", "--listen", "127.0.0.1:0"])
        .variable("SKEIN_MCP_TOKEN", TOKEN)
        .spawn()
        .unwrap();
    server.wait_for_stderr("/mcp\n", SOON).unwrap();
    let printed = server.stderr();
    assert!(!printed.contains("token"), "a token that is known is not printed: {printed}");
    let url = printed.trim().strip_prefix("listening on ").unwrap().to_owned();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientInfo": {"name": "agent", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let arguments = json!({"prompt": "go", "cwd": env.repository()});
    let params = json!({"_meta": meta, "name": "start_session", "arguments": arguments});
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let version = format!("MCP-Protocol-Version: {NEW}");
    let headers = [version.as_str(), "Mcp-Method: tools/call", "Mcp-Name: start_session"];
    for (token, extra, status) in [
        (None, None, "401"),
        (Some("another-token-of-length"), None, "401"),
        (Some(TOKEN), Some("Origin: https://example.org"), "403"),
        (Some(TOKEN), Some("Host: example.org"), "403"),
    ] {
        let headers: Vec<&str> = headers.iter().copied().chain(extra).collect();
        let (seen, body) = curl(&env, &url, token, &headers, &request);
        assert_eq!(seen, status, "{token:?} {extra:?}: {body}");
    }
    let (status, body) = curl(&env, &url, Some(TOKEN), &headers, &request);
    assert_eq!(status, "200", "{body}");
    assert!(body.contains("\"message\":\"Heard.\""), "{body}");
    model.verify().unwrap();
}

#[test]
fn over_http_nothing_but_the_loopback_is_listened_on() {
    let (_model, env) = scene(Vec::<Reply>::new());
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let output = env.run(["mcp-server", "--listen", address]).unwrap();
        assert_eq!(output.code(), Some(2), "{output:?}");
    }
    let short = env.command(["mcp-server", "--listen", "127.0.0.1:0"]).variable("SKEIN_MCP_TOKEN", "short");
    assert_eq!(short.run().unwrap().code(), Some(2));
}

//! How commands reach hosts where the network is open by rule: through the proxy alone, with a real `curl`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use protocol::event::{ConnectionAttempted, Event};
use protocol::profile::ApprovalPolicy;
use protocol::session::{ClientRole, SessionCreateParams, SettingsOverrides};
use serde_json::{Value, json};
use skein_tests::environment::process::Output;
use skein_tests::rpc::Seen;
use skein_tests::scripted_model::reply::Reply;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{Lines, SOON, client, good_turn, scene, script, up};

/// A host on loopback that answers every request with `served`; gives its port. It ends with the tests.
fn host() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(mut client) = client else { continue };
            let mut request = [0; 4096];
            if client.read(&mut request).is_ok_and(|count| count > 0) {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nserved\n";
                // A client that went away is its own affair.
                let _ = client.write_all(answer.as_bytes());
            }
        }
    });
    port
}

/// `curl` of a host, through the proxy also where that is on loopback.
fn curl(url: &str) -> Vec<String> {
    ["curl", "-sS", "--fail", "--noproxy", "", "--max-time", "20", url].map(str::to_owned).into()
}

fn by_hand(flags: &[&str], command: &[String]) -> (TestEnv, Output) {
    let (_, env) = scene([Reply::text("Nobody asks.")]);
    let flags = ["sandbox"].iter().chain(flags).chain(&["--"]).map(|&flag| flag.to_owned());
    let output = env.run(flags.chain(command.iter().cloned())).unwrap();
    (env, output)
}

/// The last line of standard error, which `--json` makes JSON.
fn told(output: &Output) -> Value {
    serde_json::from_str(output.stderr.lines().last().unwrap()).unwrap()
}

#[test]
fn a_name_of_this_machine_that_is_listed_is_reached_by_programs_that_heed_no_proxy() {
    for name in ["localhost", "127.0.0.1"] {
        let flag = format!("{name}:{}", host());
        let url = format!("http://{flag}/");
        let curl = ["curl", "-sS", "--fail", "--max-time", "20", &url].map(str::to_owned);
        let (_env, reached) = by_hand(&["--allow-host", &flag], &curl);
        assert_eq!((reached.code(), reached.stdout.as_str()), (Some(0), "served\n"), "{}", reached.stderr);
    }
}

#[test]
fn a_command_by_hand_reaches_the_host_that_is_named_and_no_other() {
    let (open, shut) = (host(), host());
    let flag = format!("127.0.0.1:{open}");
    let (_env, reached) = by_hand(&["--allow-host", &flag], &curl(&format!("http://{flag}/")));
    assert_eq!((reached.code(), reached.stdout.as_str()), (Some(0), "served\n"), "{}", reached.stderr);

    let elsewhere = format!("127.0.0.1:{shut}");
    let (_env, refused) = by_hand(&["--allow-host", &flag], &curl(&format!("http://{elsewhere}/")));
    assert_eq!(refused.code(), Some(22), "{}", refused.stderr);
    assert!(refused.stderr.contains(&format!("--allow-host {elsewhere}")), "{}", refused.stderr);
}

/// Threat R21.
#[test]
fn a_command_by_hand_can_not_go_past_the_proxy() {
    let port = host();
    let flag = format!("127.0.0.1:{port}");
    let command = ["curl", "-sS", "--noproxy", "*", &format!("http://{flag}/")].map(str::to_owned);
    let (_env, output) = by_hand(&["--allow-host", &flag], &command);
    assert_eq!((output.code(), output.stdout.as_str()), (Some(7), ""), "{}", output.stderr);
}

#[test]
fn what_came_of_a_command_by_hand_is_told_to_programs() {
    let (open, shut) = (host(), host());
    let script = format!(
        "export no_proxy= NO_PROXY=; curl -sS http://127.0.0.1:{open}/; curl -sS http://127.0.0.1:{shut}/ >/dev/null; exit 3"
    );
    let command = ["sh", "-c", &script].map(str::to_owned);
    let (_env, output) = by_hand(&["--json", "--allow-host", &format!("127.0.0.1:{open}")], &command);
    assert_eq!((output.code(), output.stdout.as_str()), (Some(3), "served\n"), "{}", output.stderr);
    let told = told(&output);
    assert_eq!(told["exit"], json!({"type": "code", "code": 3}));
    let target = format!("127.0.0.1:{shut}");
    assert_eq!(told["refusals"], json!([{"operation": "connect", "target": target}]));
    let seen = |at: usize| (told["connections"][at]["port"].as_u64(), &told["connections"][at]["isAllowed"]);
    assert_eq!(seen(0), (Some(open.into()), &json!(true)));
    assert_eq!(seen(1), (Some(shut.into()), &json!(false)));
}

/// A model that runs `curl` of this port in each of so many commands, and settings that say this of the host.
fn commands(port: u16, rule: &str, count: usize) -> (ScriptedModel, TestEnv) {
    let command = curl(&format!("http://127.0.0.1:{port}/"))
        .iter()
        .map(|word| format!("'{word}' "))
        .collect::<String>();
    let replies = (0..count).map(|_| script(&command)).chain([Reply::text("Done.")]);
    let (model, env) = scene(replies);
    let settings = format!(
        "\n[permissions.net]\nextends = \"workspace-write\"\nnetwork = \"rules\"\n[permissions.net.hosts]\n{rule}\n"
    );
    env.append_settings(&settings).unwrap();
    (model, env)
}

/// What the log of a session that ended says of connections.
async fn logged(env: &TestEnv, lines: &Lines) -> Vec<ConnectionAttempted> {
    let client = client(env, "reader").await;
    let mut follower = client.follow(lines.session().parse().unwrap()).await.unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    let attempted = |event: &Event| {
        if let Event::ConnectionAttempted(attempted) = event { Some(attempted.clone()) } else { None }
    };
    follower.seen().events().filter_map(attempted).collect()
}

#[tokio::test]
async fn a_host_that_a_rule_allows_is_reached_and_logged() {
    let port = host();
    let (model, env) = commands(port, &format!("\"127.0.0.1:{port}\" = \"allow\""), 1);
    let lines = good_turn(&env, &["--permissions", "net", "go"]);
    assert_eq!(lines.only("command_execution")["aggregated_output"], "served\n", "{:?}", lines.0);
    let logged = logged(&env, &lines).await;
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert!(logged[0].is_allowed && logged[0].port == port && logged[0].host == "127.0.0.1", "{logged:?}");
    model.verify().unwrap();
}

#[test]
fn a_command_by_hand_has_the_hosts_of_the_settings_and_those_of_its_flags() {
    let (listed, named, asked) = (host(), host(), host());
    let rules = format!("\"127.0.0.1:{listed}\" = \"allow\"\n\"127.0.0.1:{asked}\" = \"prompt\"");
    let (_model, env) = commands(listed, &rules, 1);
    let flags = ["sandbox", "--permissions", "net", "--allow-host"].map(str::to_owned);
    let reach = |port: u16| {
        let command = curl(&format!("http://127.0.0.1:{port}/"));
        let named = [format!("127.0.0.1:{named}"), "--".to_owned()];
        env.run(flags.iter().cloned().chain(named).chain(command)).unwrap()
    };
    assert_eq!(reach(listed).stdout, "served\n");
    assert_eq!(reach(named).stdout, "served\n");
    let refused = reach(asked);
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("nobody is asked here"), "{}", refused.stderr);
}

#[test]
fn a_command_by_hand_does_not_run_where_rules_on_hosts_can_not_be_read() {
    let port = host();
    let (_model, env) = commands(port, &format!("\"127.0.0.1:{port}\" = \"allow\""), 1);
    let rules = env.skein_home().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let rule = "network_rule(host=\"127.0.0.1\", protocol=\"http\", decision=\"deny\"";
    std::fs::write(rules.join("a.rules"), rule).unwrap();
    let command = curl(&format!("http://127.0.0.1:{port}/"));
    let flags = ["sandbox", "--permissions", "net", "--"].map(str::to_owned);
    let output = env.run(flags.iter().cloned().chain(command)).unwrap();
    assert_eq!((output.code(), output.stdout.as_str()), (Some(125), ""), "{output:?}");
    assert!(output.stderr.contains("a.rules:1:"), "{}", output.stderr);
    for arguments in
        [&["config", "check"][..], &["doctor"], &["sandbox", "--permissions", "net", "--explain"]]
    {
        let output = env.run(arguments.iter().copied()).unwrap();
        assert_eq!(output.code(), Some(0), "{output:?}");
        assert!(format!("{}{}", output.stdout, output.stderr).contains("a.rules:1:"), "{output:?}");
    }
}

#[tokio::test]
async fn a_host_that_a_rule_denies_is_not_reached_and_the_model_is_told_why() {
    let port = host();
    let (model, env) = commands(port, "\"127.0.0.1\" = \"deny\"", 1);
    let lines = good_turn(&env, &["--permissions", "net", "go"]);
    assert_ne!(lines.only("command_execution")["aggregated_output"], "served\n", "{:?}", lines.0);
    let logged = logged(&env, &lines).await;
    assert!(logged.iter().all(|attempted| !attempted.is_allowed) && logged.len() == 1, "{logged:?}");
    assert!(logged[0].reason.contains("deny 127.0.0.1"), "{logged:?}");
    model.verify().unwrap();
}

#[tokio::test]
async fn where_nobody_can_be_asked_a_host_stays_shut() {
    let port = host();
    let (model, env) = commands(port, "\"127.0.0.1\" = \"prompt\"", 1);
    let lines = good_turn(&env, &["--permissions", "net", "-a", "never", "go"]);
    assert_ne!(lines.only("command_execution")["aggregated_output"], "served\n", "{:?}", lines.0);
    let logged = logged(&env, &lines).await;
    assert!(logged.len() == 1 && !logged[0].is_allowed, "{logged:?}");
    assert!(logged[0].reason.contains("config.toml"), "says what to change: {logged:?}");
    model.verify().unwrap();
}

#[tokio::test]
async fn where_nobody_can_answer_a_host_is_refused_and_the_turn_goes_on() {
    let port = host();
    let (model, env) = commands(port, "\"127.0.0.1\" = \"prompt\"", 1);
    let lines = good_turn(&env, &["--permissions", "net", "-a", "on-request", "go"]);
    assert_ne!(lines.only("command_execution")["aggregated_output"], "served\n", "{:?}", lines.0);
    let logged = logged(&env, &lines).await;
    assert!(logged.len() == 1 && !logged[0].is_allowed, "{logged:?}");
    assert!(logged[0].reason.contains("nobody is there"), "{logged:?}");
    // The model reads which host it was, and goes on.
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains(&format!("127.0.0.1:{port}")), "{told}");
    model.verify().unwrap();
}

#[tokio::test]
async fn a_yes_for_the_session_opens_a_host_for_the_next_command_too() {
    let port = host();
    let (model, env) = commands(port, "\"127.0.0.1\" = \"prompt\"", 2);
    up(&env);
    let client = client(&env, "person").await;
    let (approval, permissions) = (Some(ApprovalPolicy::OnRequest), Some("net".to_owned()));
    let overrides = SettingsOverrides { approval, permissions, ..SettingsOverrides::default() };
    let params = SessionCreateParams { cwd: env.repository(), overrides, ..SessionCreateParams::default() };
    let session = client.create_with(params).await.unwrap();
    let mut follower = client.watch(session, ClientRole::Driver).await.unwrap();
    client.start(session, "go").await.unwrap();
    let is_asked = |seen: &Seen| seen.events().any(|event| matches!(event, Event::QuestionAsked(_)));
    follower.until(SOON, is_asked).await.unwrap();
    let list = env.run(["questions", "list", "--json"]).unwrap();
    let questions: Vec<Value> = serde_json::from_str(&list.stdout).unwrap();
    let question = questions[0]["question"]["id"].as_str().unwrap();
    let reason = questions[0]["question"]["reason"].as_str().unwrap();
    assert!(reason.contains("this machine itself"), "{reason}");
    let always = env.run(["questions", "answer", question, "always"]).unwrap();
    assert_eq!(always.code(), Some(2), "{always:?}");
    assert!(always.stderr.contains("network_rule(host=\"127.0.0.1\""), "{}", always.stderr);
    let answered = env.run(["questions", "answer", question, "session"]).unwrap();
    assert_eq!(answered.code(), Some(0), "{answered:?}");
    // The third request comes only when the second command has run without a question.
    model.wait_for_requests(3, SOON).unwrap();
    for request in &model.requests()[1..] {
        let told = request.last_output().unwrap();
        assert!(told.contains("served"), "{told}");
    }
}

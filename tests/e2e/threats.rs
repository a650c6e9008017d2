//! What reaches the socket that is no client, and what clients of ill will do to it (threats U5, U9 to U11, B1 to
//! B5). What several real clients may do to each other (C1 to C5) is tested over the methods themselves and in
//! `crash`.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use protocol::api::daemon::DaemonClient;
use protocol::api::session::SessionClient;
use protocol::daemon::{DaemonStatus, DaemonStatusParams};
use protocol::session::SessionListParams;
use skein_tests::TestEnv;
use skein_tests::environment::executable::skein_exe;
use skein_tests::environment::process::Invocation;
use skein_tests::rpc::TestClient;
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::skip::skipped;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::scene::{SOON, client, good_turn, runs, scene, script, socket, up, wait_for_file};

/// How soon the owner is answered, whatever others do; generous, because everything runs at once here.
const PROMPT: Duration = Duration::from_secs(5);
/// What the daemon may grow by under attack.
const MAX_GROWTH: u64 = 64 * 1024 * 1024;

const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A daemon that runs, of a home whose model is not needed.
fn daemon() -> TestEnv {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    up(&env);
    env
}

async fn raw(env: &TestEnv) -> UnixStream {
    loop {
        match UnixStream::connect(socket(env)).await {
            // The daemon has not come to accept those before.
            Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::task::yield_now().await,
            result => return result.unwrap(),
        }
    }
}

/// All that is answered until the end of a head, or until the other side closes or is silent for a while.
async fn answer(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    // On a busy machine an answer takes its time to begin.
    let mut silence = Duration::from_secs(5);
    while let Ok(Ok(read)) = tokio::time::timeout(silence, stream.read(&mut buffer)).await {
        silence = Duration::from_millis(500);
        if read == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..read]);
        if bytes.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first line that is answered to these bytes, and all of the head.
async fn said(env: &TestEnv, bytes: &str) -> (String, String) {
    let mut stream = raw(env).await;
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let text = answer(&mut stream).await;
    (text.lines().next().unwrap_or_default().to_owned(), text)
}

/// A connection that was upgraded and has not said who it is.
async fn upgraded(env: &TestEnv) -> UnixStream {
    let mut stream = raw(env).await;
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: localhost\r\n{UPGRADE}\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// The head of a frame of text from a client that says it is so long; the mask is none.
fn frame_head(length: u64) -> Vec<u8> {
    [&[0x81, 0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat()
}

async fn status(client: &TestClient) -> DaemonStatus {
    let begin = Instant::now();
    let status = DaemonClient::status(client.rpc(), DaemonStatusParams::default()).await.unwrap();
    assert!(begin.elapsed() < PROMPT, "answered after {:?}", begin.elapsed());
    status
}

async fn memory(client: &TestClient) -> u64 {
    status(client).await.resident_bytes.unwrap()
}

async fn sessions(client: &TestClient) -> usize {
    SessionClient::list(client.rpc(), SessionListParams::default()).await.unwrap().sessions.len()
}

#[test]
fn u5_b1_no_port_is_open() {
    let env = daemon();
    let pid = env.daemon_pid().unwrap();
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return skipped("only root can look into a daemon, which makes itself private").unwrap();
    };
    let links = descriptors.filter_map(|entry| entry.ok()?.path().read_link().ok());
    let links: BTreeSet<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    assert!(links.iter().any(|link| link.starts_with("socket:")), "its own socket is seen: {links:?}");
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/net/{table}")) else { continue };
        for line in text.lines().skip(1) {
            let inode = line.split_whitespace().nth(9).unwrap();
            assert!(!links.contains(&format!("socket:[{inode}]")), "{table}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn u9_two_thousand_connections_do_not_keep_the_owner_out() {
    const CONNECTIONS: usize = 2000;
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192), hard).is_err() || hard < 2500 {
        return skipped("a process may not have so many files open here").unwrap();
    }
    let env = tokio::task::block_in_place(daemon);
    let owner = client(&env, "owner").await;
    let before = memory(&owner).await;
    let mut silent = Vec::new();
    for number in 0..CONNECTIONS {
        let mut stream = raw(&env).await;
        if number % 2 == 0 {
            // It begins a request that it never ends. One that had to give way by now does not take it.
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: local").await;
        }
        silent.push(stream);
    }
    let begin = Instant::now();
    let late = client(&env, "late owner").await;
    assert!(begin.elapsed() < PROMPT, "let in after {:?}", begin.elapsed());
    assert_eq!(sessions(&late).await, 0);
    let during = status(&owner).await;
    let grown = during.resident_bytes.unwrap().saturating_sub(before);
    assert!(grown < MAX_GROWTH, "{grown} bytes");
    assert!(during.connections <= 256, "{}", during.connections);
    let log = tokio::task::block_in_place(|| env.run(["daemon", "logs"])).unwrap().stdout;
    assert!(log.contains("to make room"), "the limit is in the log");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn u9_a_frame_that_says_it_is_a_gigabyte_is_not_believed() {
    let env = tokio::task::block_in_place(daemon);
    let owner = client(&env, "owner").await;
    let before = memory(&owner).await;
    let attack = async {
        let mut stream = upgraded(&env).await;
        stream.write_all(&frame_head(1 << 30)).await?;
        for _ in 0..(256 << 20) / 65536 {
            stream.write_all(&[b' '; 65536]).await?;
        }
        // Not cut off while it wrote: then at the latest when it waits.
        if stream.read(&mut [0; 16]).await? == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    };
    let ended: Result<Result<(), std::io::Error>, _> = tokio::time::timeout(SOON, attack).await;
    assert!(matches!(ended, Ok(Err(_))), "the connection is closed: {ended:?}");
    let grown = memory(&owner).await.saturating_sub(before);
    assert!(grown < MAX_GROWTH, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn u9_json_a_million_deep_is_answered_with_an_error() {
    const DEPTH: usize = 1_000_000;
    let env = tokio::task::block_in_place(daemon);
    let owner = client(&env, "owner").await;
    let before = memory(&owner).await;
    let deep = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let call = |params: &str| {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{params}}}")
    };
    for text in [deep.clone(), call(&deep), call(&format!("{{\"environment\":{deep}}}")), "[".repeat(DEPTH)] {
        let mut stream = upgraded(&env).await;
        stream.write_all(&frame_head(text.len() as u64)).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.is_empty() || answer.contains("error"), "{answer}");
        assert!(!answer.contains("daemonVersion"), "it is not let in: {answer}");
    }
    let grown = memory(&owner).await.saturating_sub(before);
    assert!(grown < MAX_GROWTH, "{grown} bytes");
}

/// Starts a program whose process has this id, if the system lets us.
fn with_pid(pid: i32) -> Option<std::process::Child> {
    for _ in 0..200 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
        let mut child = std::process::Command::new("sleep").arg("60").spawn().ok()?;
        if i32::try_from(child.id()) == Ok(pid) {
            return Some(child);
        }
        child.kill().ok()?;
        child.wait().ok()?;
    }
    None
}

#[test]
fn u10_a_number_that_was_given_to_another_process_is_not_killed() {
    let slow = Answer::new().text("One word after the other comes slowly.").in_pieces(100);
    let (_model, env) = scene([
        script("touch started; until test -e go; do sleep 0.02; done"),
        slow.pause(Duration::from_millis(200)).into(),
    ]);
    let run = env.spawn(["exec", "--json", "go"]).unwrap();
    wait_for_file(&env, "started");
    let others = [run.pid(), env.daemon_pid().unwrap()];
    let command: Vec<_> = env.processes().into_iter().filter(|one| !others.contains(&one.pid)).collect();
    assert!(!command.is_empty());
    env.write_file("go", "").unwrap();
    for process in &command {
        assert!(process.wait(SOON), "{process:?}");
    }
    run.wait_for_stdout("\"exit_code\":0", SOON).unwrap();
    let pids: Vec<_> = command.iter().map(|process| process.pid).collect();
    let mut foreign: Vec<_> = pids.iter().filter_map(|pid| with_pid(*pid)).collect();
    run.interrupt().unwrap();
    run.wait(SOON).unwrap();
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    let survived = foreign.iter_mut().all(|process| process.try_wait().unwrap().is_none());
    let reused = foreign.len();
    for process in &mut foreign {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    assert!(survived, "only what the command was made of is killed");
    if reused == 0 {
        skipped("the numbers of processes can't be chosen here").unwrap();
    }
}

#[test]
fn u11_a_planted_program_is_not_started_as_the_daemon() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    let planted = "#!/bin/sh\ntouch \"$HOME/planted\"\n";
    env.write_file("skein", planted).unwrap();
    let program = env.repository().join("skein");
    let mode = ["755", program.to_str().unwrap()];
    Invocation::new("chmod", mode, "/").variable("PATH", "/usr/bin:/bin").run().unwrap();
    let path = format!("{}:.:/usr/bin:/bin", env.repository().display());
    let output = env.command(["ps"]).variable("PATH", path).run().unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let pid = env.daemon_pid().unwrap();
    if let Ok(executable) = Path::new(&format!("/proc/{pid}/exe")).read_link() {
        assert_eq!(executable, skein_exe().unwrap().canonicalize().unwrap());
    }
    assert!(!env.home().join("planted").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn b2_b3_neither_another_host_nor_a_web_page_is_served() {
    let env = tokio::task::block_in_place(daemon);
    let head = |host: &str, more: &str| format!("GET / HTTP/1.1\r\nhost: {host}\r\n{more}{UPGRADE}\r\n");
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:80", "169.254.169.254"] {
        assert_eq!(said(&env, &head(host, "")).await.0, "HTTP/1.1 421 Misdirected Request", "{host}");
        let plain = format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n");
        assert_eq!(said(&env, &plain).await.0, "HTTP/1.1 421 Misdirected Request", "{host}");
    }
    for origin in [
        "null",
        "file://",
        "http://localhost",
        "http://localhost:3000",
        "https://127.0.0.1",
        "http://[::1]",
        "https://evil.example",
        "vscode-webview://x",
    ] {
        let (line, text) = said(&env, &head("localhost", &format!("origin: {origin}\r\n"))).await;
        assert_eq!(line, "HTTP/1.1 403 Forbidden", "{origin}");
        assert!(!text.to_lowercase().contains("access-control-"), "{text}");
    }
    assert_eq!(said(&env, &head("localhost", "")).await.0, "HTTP/1.1 101 Switching Protocols");
}

#[tokio::test(flavor = "multi_thread")]
async fn b4_simple_requests_change_nothing() {
    let env = tokio::task::block_in_place(daemon);
    let owner = client(&env, "owner").await;
    let body = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session/create\",\"params\":{{\"cwd\":{:?}}}}}",
        env.repository()
    );
    for method in ["GET", "POST", "PUT", "OPTIONS", "HEAD"] {
        for kind in
            ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json"]
        {
            for path in ["/", "/session/create", "/?method=session/create"] {
                let request = format!(
                    "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\n\
                     access-control-request-private-network: true\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let (line, text) = said(&env, &request).await;
                assert_eq!(line, "HTTP/1.1 426 Upgrade Required", "{method} {kind} {path}");
                assert!(!text.to_lowercase().contains("access-control-"), "{text}");
            }
        }
    }
    assert_eq!(sessions(&owner).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn b5_other_protocols_are_closed_and_nothing_is_carried_out() {
    let env = tokio::task::block_in_place(daemon);
    let owner = client(&env, "owner").await;
    let call = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon/shutdown\",\"params\":{}}";
    for bytes in [
        call.to_owned(),
        format!("{call}\n"),
        format!("Content-Length: {}\r\n\r\n{call}", call.len()),
        "EHLO there\r\nMAIL FROM:<a@b>\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n".to_owned(),
        "SSH-2.0-OpenSSH_9.6\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ] {
        let (line, _) = said(&env, &bytes).await;
        assert!(line.is_empty() || line.starts_with("HTTP/1.1 4"), "{bytes:?}: {line}");
    }
    assert!(!status(&owner).await.is_draining);
    // A frame before it was said who speaks does nothing either.
    let mut stream = upgraded(&env).await;
    stream.write_all(&frame_head(call.len() as u64)).await.unwrap();
    stream.write_all(call.as_bytes()).await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(answer.contains("error") && answer.contains("initialize"), "{answer}");
    assert!(!status(&owner).await.is_draining);
}

#[test]
fn what_was_allowed_for_good_can_be_read_and_taken_back() {
    let ask = || [runs(["touch", "made"]), Reply::text("Done.")];
    let (_model, env) = scene(ask().into_iter().chain(ask()).chain([runs(["touch", "made"])]));
    let session = env.run(["exec", "--detach", "-a", "untrusted", "go"]).unwrap().stdout.trim().to_owned();
    let begin = Instant::now();
    let question = loop {
        let list = env.run(["questions", "list", "--json"]).unwrap();
        let questions: Vec<serde_json::Value> = serde_json::from_str(&list.stdout).unwrap();
        if let Some(question) = questions.first() {
            break question["question"]["id"].as_str().unwrap().to_owned();
        }
        assert!(begin.elapsed() < SOON, "{list:?}");
    };
    let answered = env.run(["questions", "answer", &question, "always"]).unwrap();
    assert_eq!(answered.code(), Some(0), "{answered:?}");
    let follower = env.spawn(["attach", &session]).unwrap();
    follower.wait_for_stdout("Done.", SOON).unwrap();
    let rules = env.skein_home().join("rules").join("default.rules");
    assert!(fs::read_to_string(&rules).unwrap().contains("\"touch\", \"made\""));
    good_turn(&env, &["-a", "untrusted", "again"]);
    fs::remove_file(rules).unwrap();
    let asked = env.run(["exec", "-a", "untrusted", "and again"]).unwrap();
    assert_eq!(asked.code(), Some(3), "{asked:?}");
}

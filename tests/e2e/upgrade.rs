//! Another build takes the place of the one that runs: a client of it finds that out, running turns go on, and
//! whoever is there stays.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use jsonrpsee::server::{Extensions, RpcModule, Server, serve_with_graceful_shutdown, stop_channel};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use protocol::error::{ErrorCode, ErrorDetail, ProtocolError};
use protocol::event::Event;
use protocol::ids::SessionId;
use protocol::initialize::InitializeParams;
use protocol::item::{CommandExit, ItemBody, ItemStatus};
use protocol::turn::TurnOutcome;
use protocol::version::{ProtocolVersion, VersionRange};
use rustix::fs::{Mode, chmod};
use serde_json::Value;
use skein_tests::environment::executable::skein_exe;
use skein_tests::environment::process::Invocation;
use skein_tests::error::HarnessError;
use skein_tests::rpc::{Seen, TestClient};
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::scripted_model::request::Request;
use skein_tests::scripted_model::server::Options;
use skein_tests::skip::skipped;
use skein_tests::{ScriptedModel, TestEnv};
use tempfile::TempDir;
use tokio::net::UnixListener;

use crate::scene::{Lines, SOON, client, good_turn, scene, script, socket, up, wait_for_file};

/// The version as it stands in the executable, and one as long that takes its place.
const VERSION: &[u8] = env!("CARGO_PKG_VERSION").as_bytes();
const NEXT_VERSION: &[u8] = b"0.9.9";

/// An executable that can be replaced.
struct Installed {
    folder: TempDir,
}

impl Installed {
    fn new() -> Self {
        let installed = Self { folder: tempfile::tempdir().unwrap() };
        fs::copy(skein_exe().unwrap(), installed.path()).unwrap();
        installed
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("skein")
    }

    /// Puts a build of the next version in its place, at once, as installers do.
    fn upgrade(&self) {
        let next = self.folder.path().join("next");
        fs::copy(self.path(), &next).unwrap();
        let mut bytes = fs::read(&next).unwrap();
        let places: Vec<_> =
            bytes.windows(VERSION.len()).enumerate().filter(|(_, text)| *text == VERSION).collect();
        let places: Vec<_> = places.into_iter().map(|(place, _)| place).collect();
        for place in places {
            bytes[place..place + VERSION.len()].copy_from_slice(NEXT_VERSION);
        }
        fs::write(&next, bytes).unwrap();
        let told = Invocation::new(&next, ["--version"], "/").run().unwrap();
        assert_eq!(told.stdout.as_bytes(), [b"skein ", NEXT_VERSION, b"\n"].concat());
        fs::rename(next, self.path()).unwrap();
    }
}

fn status(env: &TestEnv) -> Value {
    let output = env.run(["daemon", "status", "--json"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    serde_json::from_str(&output.stdout).unwrap()
}

/// Follows a session to the end of its first turn, over as many daemons as it takes.
async fn follow_to_the_end(env: &TestEnv, session: SessionId) -> Seen {
    let mut seen = Seen::default();
    loop {
        let client = TestClient::connect_within(env, "follower", SOON).await.unwrap();
        let mut follower = match client.follow_on(session, seen.clone()).await {
            Ok(follower) => follower,
            // The old one is going.
            Err(HarnessError::Rpc { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        match follower.until(SOON, |seen| seen.turns_ended() > 0).await {
            Ok(()) => return follower.into_seen(),
            Err(HarnessError::FeedEnded { .. }) => seen = follower.into_seen(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn outcome(seen: &Seen) -> TurnOutcome {
    let ended = seen.events().find_map(|event| match event {
        Event::TurnEnded(ended) => Some(ended.outcome.clone()),
        _ => None,
    });
    ended.unwrap()
}

/// How the only command of a turn ended.
fn exit(seen: &Seen) -> (ItemStatus, Option<CommandExit>) {
    let ended = seen.completed().find_map(|item| match &item.body {
        ItemBody::Command(command) => {
            Some((item.status.clone(), command.outcome.as_ref().map(|outcome| outcome.exit.clone())))
        }
        _ => None,
    });
    ended.unwrap()
}

/// Turns that stream, and turns that run a command.
fn busy(request: &Request) -> Reply {
    let texts = request.user_texts();
    let text = texts.last().copied().unwrap_or_default();
    match (text.strip_prefix("run "), request.last_output()) {
        (Some(name), None) => script(&format!("touch started-{name}; sleep 1; echo {name} | tee -a slept")),
        (Some(_), Some(_)) => Reply::text("It has slept."),
        (None, _) => {
            let answer = Answer::new().text("One word after the other comes slowly.").in_pieces(12);
            answer.pause(Duration::from_millis(120)).into()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_of_a_new_build_brings_the_new_daemon_and_running_turns_go_on() {
    let installed = Installed::new();
    let model = ScriptedModel::answering(Options::default(), busy).unwrap();
    let env = TestEnv::with_executable(installed.path(), &model.base_url()).unwrap();
    up(&env);
    let (old, pid) = (status(&env), env.daemon_pid().unwrap());
    assert_eq!(old["build"], old["installedBuild"], "{old}");
    let starter = client(&env, "starter").await;
    let mut turns = Vec::new();
    for text in ["run a", "stream", "run b", "stream"] {
        let session = starter.create(&env).await.unwrap();
        starter.start(session, text).await.unwrap();
        turns.push((text, session));
    }
    wait_for_file(&env, "started-a");
    wait_for_file(&env, "started-b");
    installed.upgrade();
    let ps = {
        let follow = turns.iter().map(|(_, session)| follow_to_the_end(&env, *session));
        let upgrade = async { tokio::task::block_in_place(|| env.run(["ps"]).unwrap()) };
        let [a, b, c, d] = follow.collect::<Vec<_>>().try_into().ok().unwrap();
        let (ps, a, b, c, d) = tokio::join!(upgrade, a, b, c, d);
        for ((text, _), seen) in turns.iter().zip([a, b, c, d]) {
            assert_eq!(outcome(&seen), TurnOutcome::Completed, "{text}");
            if text.starts_with("run") {
                let done = (ItemStatus::Completed, Some(CommandExit::Code { code: 0 }));
                assert_eq!(exit(&seen), done, "{text}: it had the time to finish");
            }
        }
        ps
    };
    assert_eq!(ps.code(), Some(0), "{ps:?}");
    let told = ps.stderr.lines().filter(|line| line.contains("daemon"));
    assert_eq!(told.count(), 1, "one line says so: {ps:?}");
    let new = status(&env);
    assert_ne!(new["build"], old["build"]);
    assert_ne!(new["version"], old["version"]);
    assert_eq!(new["version"].as_str().unwrap().as_bytes(), NEXT_VERSION);
    assert_eq!(new["build"], new["installedBuild"], "{new}");
    assert_ne!(env.daemon_pid().unwrap(), pid);
    let mut slept: Vec<_> = env.read_file("slept").unwrap().lines().map(str::to_owned).collect();
    slept.sort();
    assert_eq!(slept, ["a", "b"], "each ran once");
    // Who comes next finds nothing to do.
    let ps = env.run(["ps"]).unwrap();
    assert!(!ps.stderr.contains("daemon"), "{ps:?}");
}

#[test]
fn an_old_daemon_does_not_go_on_unnoticed() {
    let installed = Installed::new();
    let env = TestEnv::with_executable(installed.path(), "http://127.0.0.1:1/v1").unwrap();
    up(&env);
    let build = status(&env)["build"].as_str().unwrap().to_owned();
    installed.upgrade();
    let output = env.run(["daemon", "status"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let after = status(&env);
    let installed_build = after["installedBuild"].as_str().unwrap();
    assert!(after["build"] == *build && installed_build != build, "asking changes nothing: {after}");
    assert!(output.stdout.contains(&build) && output.stdout.contains(installed_build), "{output:?}");
}

#[test]
fn a_restart_in_the_middle_of_a_command_loses_nothing() {
    let (model, env) =
        scene([script("touch started; sleep 1; echo slept | tee -a slept"), Reply::text("It has slept.")]);
    let client = env.spawn(["exec", "--json", "go"]).unwrap();
    wait_for_file(&env, "started");
    let pid = env.daemon_pid().unwrap();
    let restart = env.run(["daemon", "restart"]).unwrap();
    assert_eq!(restart.code(), Some(0), "{restart:?}");
    let output = client.wait(SOON).unwrap();
    let lines = Lines::of(&output);
    assert_eq!(output.code(), Some(0), "{:#?}\n{}", lines.0, output.stderr);
    assert_eq!(lines.only("command_execution")["exit_code"], 0);
    assert_eq!(lines.only("agent_message")["text"], "It has slept.");
    assert_eq!(env.read_file("slept").unwrap(), "slept\n");
    assert_ne!(env.daemon_pid().unwrap(), pid);
    let told = output.stderr.lines().filter(|line| line.contains("daemon"));
    assert_eq!(told.count(), 1, "one line says so: {}", output.stderr);
    model.verify().unwrap();
}

#[test]
fn a_command_that_takes_longer_than_the_grace_is_told_as_interrupted_and_not_run_again() {
    let (model, env) = scene([
        script("echo x >> times; touch started; sleep 681; echo woke"),
        Reply::text("I see that it was stopped."),
    ]);
    let session = env.run(["exec", "--detach", "go"]).unwrap().stdout.trim().to_owned();
    wait_for_file(&env, "started");
    assert_eq!(env.run(["daemon", "restart"]).unwrap().code(), Some(0));
    model.wait_for_requests(2, SOON).unwrap();
    let told = model.requests()[1].last_output().unwrap().to_lowercase();
    assert!(told.contains("interrupted"), "{told}");
    let follower = env.spawn(["attach", &session]).unwrap();
    follower.wait_for_stdout("I see that it was stopped.", SOON).unwrap();
    assert_eq!(env.read_file("times").unwrap(), "x\n");
    model.verify().unwrap();
}

#[test]
fn a_stop_is_no_hand_over() {
    let (model, env) = scene([script("touch started; sleep 682"), Reply::text("Here again.")]);
    let client = env.spawn(["exec", "--json", "go"]).unwrap();
    wait_for_file(&env, "started");
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    let output = client.wait(SOON).unwrap();
    let lines = Lines::of(&output);
    assert_eq!(lines.last()["type"], "turn.failed", "{:?}", lines.0);
    assert_eq!(model.requests().len(), 1, "it does not go on by itself");
    good_turn(&env, &["resume", lines.session(), "and now?"]);
}

/// A daemon that speaks other versions of the protocol than this build, and refuses it as daemons do.
fn strange_daemon(env: &TestEnv, range: VersionRange) -> tokio::task::JoinHandle<()> {
    let socket = socket(env);
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    chmod(socket.parent().unwrap(), Mode::RWXU).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    chmod(&socket, Mode::RUSR | Mode::WUSR).unwrap();
    let mut methods = RpcModule::new(());
    let refuse = move |params: Params<'_>, _: &(), _: &Extensions| {
        let theirs = params.one::<InitializeParams>().unwrap().protocol;
        let daemon_build = "of another time".to_owned();
        let detail = ErrorDetail::VersionMismatch { client: theirs, daemon: range, daemon_build };
        let error = ProtocolError::new(ErrorCode::InvalidRequest, "No version fits").with_detail(detail);
        Err::<(), _>(ErrorObjectOwned::from(error))
    };
    methods.register_method("initialize", refuse).unwrap();
    tokio::spawn(async move {
        let (stop, _server) = stop_channel();
        while let Ok((stream, _)) = listener.accept().await {
            let service = Server::builder().to_service_builder().build(methods.clone(), stop.clone());
            tokio::spawn(serve_with_graceful_shutdown(stream, service, stop.clone().shutdown()));
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_of_another_protocol_is_named_and_can_be_replaced() {
    for (versions, word) in [(7..=9, "newer"), (0..=0, "older")] {
        let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
        let (min, max) = (ProtocolVersion(*versions.start()), ProtocolVersion(*versions.end()));
        let daemon = strange_daemon(&env, VersionRange { min, max });
        let run = |arguments: &[&str]| tokio::task::block_in_place(|| env.run(arguments).unwrap());
        let output = run(&["ps"]);
        assert_eq!(output.code(), Some(5), "{output:?}");
        assert!(output.stderr.contains(word) && output.stderr.contains("skein daemon restart"), "{output:?}");
        assert!(env.daemon_pid().is_none(), "nothing is done unasked");
        // What answers there is gone by the time that somebody restarts it.
        daemon.abort();
        assert_eq!(run(&["daemon", "restart"]).code(), Some(0));
        let output = run(&["ps"]);
        assert_eq!(output.code(), Some(0), "{output:?}");
    }
}

#[test]
fn a_service_can_be_installed() {
    let env = TestEnv::with_base_url("http://127.0.0.1:1/v1").unwrap();
    let output = env.run(["daemon", "install", "--print"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    for part in ["[Unit]", "[Service]", "ExecStart=\"/", "daemon run", "[Socket]", "ListenStream="] {
        assert!(output.stdout.contains(part), "`{part}` in {}", output.stdout);
    }
    assert!(env.processes().is_empty(), "nothing is started by printing");
    let verify =
        Invocation::new("systemd-analyze", ["--version"], "/").variable("PATH", "/usr/bin:/bin").run();
    if !verify.is_ok_and(|output| output.code() == Some(0)) {
        return skipped("systemd-analyze is not installed").unwrap();
    }
    let mut paths = Vec::new();
    for (name, text) in units(&output.stdout) {
        let path = env.home().join(name);
        fs::write(&path, text).unwrap();
        paths.push(path.into_os_string());
    }
    assert_eq!(paths.len(), 2, "{}", output.stdout);
    let arguments = ["verify", "--user", "--man=no", "--recursive-errors=no"].map(Into::into);
    let verified = Invocation::new("systemd-analyze", arguments.into_iter().chain(paths), "/")
        .variable("PATH", "/usr/bin:/bin")
        .variable("HOME", env.home())
        .variable("XDG_RUNTIME_DIR", env.temporary())
        .run()
        .unwrap();
    assert!(verified.code() == Some(0) && !verified.stderr.contains("skein"), "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_somebody_else_made_is_taken_over() {
    const ACTIVATE: &str = "systemd-socket-activate";
    let probe = Invocation::new(ACTIVATE, ["--version"], "/").variable("PATH", "/usr/bin:/bin").run();
    if !probe.is_ok_and(|output| output.code() == Some(0)) {
        return skipped("systemd-socket-activate is not installed").unwrap();
    }
    let (_model, env) = scene([Reply::text("Hi.")]);
    let path = socket(&env);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // As systemd makes it, from the unit's `SocketMode` and `DirectoryMode`.
    let private = Invocation::new("chmod", ["700".as_ref(), path.parent().unwrap().as_os_str()], "/");
    private.variable("PATH", "/usr/bin:/bin").run().unwrap();
    let skein = skein_exe().unwrap();
    let script = format!(
        "umask 077; exec {ACTIVATE} -E HOME -E SKEIN_HOME -l {} {} daemon run",
        path.display(),
        skein.display()
    );
    let listening = Invocation::new("/bin/sh", ["-c", &script], env.repository())
        .variable("PATH", "/usr/bin:/bin")
        .variable("HOME", env.home())
        .variable("SKEIN_HOME", env.skein_home())
        .spawn()
        .unwrap();
    listening.wait_for_stderr("Listening", SOON).unwrap();
    assert_eq!(env.daemon_pid(), None, "nobody has asked for it yet");
    good_turn(&env, &["hello"]);
    let told = listening.stderr();
    assert_eq!(env.daemon_pid(), Some(listening.pid()), "the one that was started for the socket: {told}");
}

/// The units that were printed, each after a comment that names its file.
fn units(printed: &str) -> Vec<(String, String)> {
    let mut units: Vec<(String, String)> = Vec::new();
    for line in printed.lines() {
        let file = line.strip_prefix("# ").and_then(|path| path.rsplit('/').next());
        match file.filter(|file| file.ends_with(".service") || file.ends_with(".socket")) {
            Some(file) => units.push((file.to_owned(), String::new())),
            None => {
                if let Some((_, text)) = units.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    units
}

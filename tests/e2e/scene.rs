//! What most tests begin with: a model server with a script, a home that points at it, and words for what the
//! model says. Knows the JSON lines of `exec`.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use protocol::ids::SessionId;
use protocol::profile::ApprovalPolicy;
use protocol::session::{SessionCreateParams, SettingsOverrides};
use serde_json::{Value, json};
use skein_tests::environment::leftover::Leftover;
use skein_tests::environment::process::{Invocation, Output};
use skein_tests::rpc::TestClient;
use skein_tests::scripted_model::reply::Reply;
use skein_tests::{ScriptedModel, TestEnv};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A model server that gives these replies, and a home whose provider it is.
pub(crate) fn scene<R: Into<Reply>>(replies: impl IntoIterator<Item = R>) -> (ScriptedModel, TestEnv) {
    let model = ScriptedModel::start(replies).unwrap();
    let env = TestEnv::new(&model).unwrap();
    (model, env)
}

/// The model runs a program.
pub(crate) fn runs<const N: usize>(argv: [&str; N]) -> Reply {
    Reply::call("shell", &json!({"command": argv.as_slice()}))
}

/// The model runs a script.
pub(crate) fn script(text: &str) -> Reply {
    Reply::call("shell", &json!({"command": text}))
}

/// The model asks to leave the sandbox.
pub(crate) fn escalates(argv: &[&str]) -> Reply {
    let call = json!({"command": argv, "escalate": true, "justification": "It must be made there."});
    Reply::call("shell", &call)
}

/// The model changes files.
pub(crate) fn patches(body: &str) -> Reply {
    let patch = format!("*** Begin Patch\n{body}\n*** End Patch\n");
    skein_tests::scripted_model::reply::Answer::new().freeform("apply_patch", patch).into()
}

/// A folder that no sandbox may write: neither a workspace nor one of the temporary folders it knows.
pub(crate) fn outside() -> TempDir {
    TempDir::new_in("/var/tmp").unwrap()
}

/// The lines of `exec --json`.
#[derive(Debug)]
pub(crate) struct Lines(pub(crate) Vec<Value>);

impl Lines {
    /// Those of an output, all of which must be JSON.
    pub(crate) fn of(output: &Output) -> Self {
        match output.json_lines() {
            Ok(lines) => Self(lines),
            Err(error) => panic!("{error}\nstderr: {}", output.stderr),
        }
    }

    /// The types of all lines.
    pub(crate) fn types(&self) -> Vec<&str> {
        self.0.iter().map(|line| line["type"].as_str().unwrap()).collect()
    }

    /// The last line; there must be one.
    pub(crate) fn last(&self) -> &Value {
        self.0.last().unwrap()
    }

    /// The session's id.
    pub(crate) fn session(&self) -> &str {
        self.0[0]["thread_id"].as_str().unwrap()
    }

    /// The items that were completed, of one type.
    pub(crate) fn completed(&self, kind: &str) -> Vec<&Value> {
        self.items("item.completed", kind)
    }

    /// The items of one event and type.
    pub(crate) fn items(&self, event: &str, kind: &str) -> Vec<&Value> {
        let fits = |line: &&Value| line["type"] == event && line["item"]["type"] == kind;
        self.0.iter().filter(fits).map(|line| &line["item"]).collect()
    }

    /// The only completed item of a type.
    pub(crate) fn only(&self, kind: &str) -> &Value {
        let found = self.completed(kind);
        assert_eq!(found.len(), 1, "{kind} in {:#?}", self.0);
        found[0]
    }

    /// The code and message of the failure that the last line tells.
    pub(crate) fn failure(&self) -> (&str, &str) {
        let last = self.last();
        assert_eq!(last["type"], "turn.failed", "{:#?}", self.0);
        let error = &last["error"];
        (error["code"].as_str().unwrap_or_default(), error["message"].as_str().unwrap_or_default())
    }
}

/// A turn with JSON lines that runs to its end.
pub(crate) fn json_turn(env: &TestEnv, arguments: &[&str]) -> (Output, Lines) {
    let output = env.run(["exec", "--json"].iter().chain(arguments).copied()).unwrap();
    let lines = Lines::of(&output);
    (output, lines)
}

/// As `json_turn`, for one that must complete.
pub(crate) fn good_turn(env: &TestEnv, arguments: &[&str]) -> Lines {
    let (output, lines) = json_turn(env, arguments);
    assert_eq!(output.code(), Some(0), "{:#?}\nstderr: {}", lines.0, output.stderr);
    assert_eq!(lines.last()["type"], "turn.completed");
    lines
}

/// Starts the daemon of a home.
pub(crate) fn up(env: &TestEnv) {
    let output = env.run(["daemon", "start"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
}

/// A client of a daemon that runs, with a name that others see.
pub(crate) async fn client(env: &TestEnv, name: &str) -> TestClient {
    TestClient::connect(env, name).await.unwrap()
}

/// A session in the repository whose model must ask before it leaves the sandbox.
pub(crate) async fn asking_session(client: &TestClient, env: &TestEnv) -> SessionId {
    let approval = Some(ApprovalPolicy::OnRequest);
    let overrides = SettingsOverrides { approval, ..SettingsOverrides::default() };
    let params = SessionCreateParams { cwd: env.repository(), overrides, ..SessionCreateParams::default() };
    client.create_with(params).await.unwrap()
}

/// Kills the daemon as nothing it could prepare for.
pub(crate) fn kill_daemon(env: &TestEnv) {
    let daemon = env.daemon().unwrap();
    daemon.kill();
    assert!(daemon.wait(SOON));
}

/// A command that says that it runs and goes on until the file `go` is there.
pub(crate) fn until_go() -> Reply {
    script("touch started; until test -e go; do sleep 0.02; done; echo ended | tee ended")
}

/// Waits until a file of the repository is there.
pub(crate) fn wait_for_file(env: &TestEnv, name: &str) {
    let wait = format!("until test -e {name}; do sleep 0.01; done");
    Invocation::new("/bin/sh", ["-c", &wait], env.repository())
        .variable("PATH", "/usr/bin:/bin")
        .run()
        .unwrap();
}

/// The blob folder, database and logs of a home.
pub(crate) fn state_folder(env: &TestEnv) -> PathBuf {
    env.skein_home().join("state")
}

/// The socket of a home's daemon.
pub(crate) fn socket(env: &TestEnv) -> PathBuf {
    env.skein_home().join("run").join("daemon.sock")
}

/// What of an output a person sees, both streams.
pub(crate) fn seen(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

/// The programs of a home that run now and whose command line begins so.
pub(crate) fn left(env: &TestEnv, beginning: &str) -> Vec<Leftover> {
    env.processes().into_iter().filter(|process| process.command.starts_with(beginning)).collect()
}

/// The programs of a home whose command line begins so, once there are so many: what a command starts is not there as
/// soon as the command is.
pub(crate) fn wait_for_programs(env: &TestEnv, beginning: &str, count: usize) -> Vec<Leftover> {
    let begin = Instant::now();
    loop {
        let found = left(env, beginning);
        if found.len() >= count {
            return found;
        }
        assert!(begin.elapsed() < SOON, "{:?}", env.processes());
        std::thread::yield_now();
    }
}

/// How soon what must not outlive something is gone: two seconds, and what a busy machine adds to them.
pub(crate) const GONE: Duration = Duration::from_secs(10);

/// Fails unless all programs whose command line begins so are gone soon.
pub(crate) fn expect_none_left(env: &TestEnv, beginning: &str) {
    let begin = Instant::now();
    loop {
        let left = left(env, beginning);
        if left.is_empty() {
            return;
        }
        // What is being ended may have started another before that.
        for process in left {
            assert!(process.wait(GONE.saturating_sub(begin.elapsed())), "{process:?}");
        }
    }
}

/// Resident bytes of a process.
pub(crate) fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

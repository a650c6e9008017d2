//! What a shell call costs, from one model request to the next, against the bare sandbox backend for the same
//! command: the same helper, started from here, with nothing around it.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use policy::profile::{Surroundings, resolve};
use protocol::profile::{ApprovalPolicy, NetworkAccess, Profile, SandboxMode};
use protocol::session::{AfterCrash, SessionSettings};
use protocol::turn::TurnLimits;
use sandbox::{CommandRequest, Interception, Launcher, Output, Proxy, Stdin};
use serde_json::json;
use skein_tests::TestEnv;
use skein_tests::scripted_model::reply::Reply;
use skein_tests::scripted_model::request::Request;
use tokio::io::AsyncReadExt;
use tokio::runtime::Runtime;

use crate::measure::{Failure, Runs, cost, median_ms};
use crate::stage::Stage;
use crate::table::Table;

/// Bare runs after each turn.
const BARE: usize = 20;

/// Calls in a row, sandboxed and not.
pub(crate) fn overhead(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    for (calls, rounds) in [(20, runs.pick(9, 2)), (100, runs.pick(5, 1))] {
        for mode in [SandboxMode::WorkspaceWrite, SandboxMode::DangerFullAccess] {
            let Found { ours, bare } = compare(executable, calls, rounds, mode)?;
            let (ours, bare) = (median_ms(ours), median_ms(bare));
            let what = |rest: &str| format!("{calls} shell calls, {}: {rest}", mode.as_str());
            table.figure(&what("each"), ours, "ms");
            table.figure(&what("bare backend"), bare, "ms");
            if mode == SandboxMode::WorkspaceWrite {
                table.at_most(&what("beyond the bare one"), (ours - bare).max(0.0), 3.0, "ms");
                table.at_most(&what("of the bare one"), ours / bare, 1.3, "times");
            }
        }
    }
    Ok(())
}

struct Found {
    ours: Vec<Duration>,
    bare: Vec<Duration>,
}

fn compare(executable: &Path, calls: usize, rounds: usize, mode: SandboxMode) -> Result<Found, Failure> {
    let stage = Stage::new(executable, move |request| next(request, calls))?;
    let turn = || cost(stage.exec(&["-s", mode.as_str(), "begin"]), "skein exec");
    turn()?;
    let backend = Backend::new(executable, &stage.env, mode)?;
    let mut found = Found { ours: Vec::new(), bare: Vec::new() };
    for _ in 0..rounds {
        let before = stage.model.requests().len();
        turn()?;
        let requests = stage.model.requests();
        let arrived: Vec<_> = requests[before..].iter().map(|request| request.arrived).collect();
        if arrived.len() != calls + 1 {
            return Err(Failure::Other(format!("{} requests for {calls} calls", arrived.len())));
        }
        found.ours.extend(arrived.windows(2).map(|pair| pair[1] - pair[0]));
        for _ in 0..BARE {
            found.bare.push(backend.run()?);
        }
    }
    Ok(found)
}

/// A call that differs from the one before, until there were enough.
fn next(request: &Request, calls: usize) -> Reply {
    match request.input_of("function_call_output").count() {
        done if done < calls => Reply::call("shell", &json!({"command": ["true", done.to_string()]})),
        _ => Reply::text("Done."),
    }
}

/// The sandbox by itself.
struct Backend {
    launcher: Launcher,
    runtime: Runtime,
    request: CommandRequest,
}

impl Backend {
    /// Has probed the machine when it is there, as a daemon has.
    fn new(executable: &Path, env: &TestEnv, mode: SandboxMode) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(Failure::of)?;
        let launcher = Launcher::new(executable.to_owned(), None);
        runtime.block_on(launcher.report());
        let request = CommandRequest {
            argv: ["true", "0"].map(OsString::from).into(),
            cwd: env.repository(),
            environment: vec![("PATH".into(), std::env::var_os("PATH").unwrap_or_default())],
            profile: profile(env, mode),
            stdin: Stdin::Null,
            output: Output::Piped,
            proxy: Proxy::None,
            interception: Interception::Off,
        };
        Ok(Self { launcher, runtime, request })
    }

    fn run(&self) -> Result<Duration, Failure> {
        let request = self.request.clone();
        let begin = Instant::now();
        self.runtime.block_on(async {
            let mut process = self.launcher.spawn(request).await.map_err(Failure::of)?;
            let mut output = process.take_output();
            output.read_to_end(&mut Vec::new()).await.map_err(Failure::of)?;
            process.wait().await.map_err(Failure::of)
        })?;
        Ok(begin.elapsed())
    }
}

/// What a session in the repository gets.
fn profile(env: &TestEnv, mode: SandboxMode) -> Profile {
    let settings = SessionSettings {
        cwd: env.repository(),
        additional_roots: Vec::new(),
        provider: String::new(),
        model: String::new(),
        reasoning_effort: None,
        reasoning_summary: None,
        developer_instructions: None,
        sandbox: mode,
        network: NetworkAccess::Off,
        approval: ApprovalPolicy::OnRequest,
        is_tmp_writable: true,
        permissions: None,
        budget: protocol::turn::Budget::default(),
        limits: TurnLimits::default(),
        price: None,
        is_ephemeral: false,
        after_crash: AfterCrash::Wait,
        question_timeout_ms: None,
        model_context: protocol::context::ModelContext::default(),
    };
    let home = env.skein_home();
    let surroundings = Surroundings {
        git_directories: Vec::new(),
        temporary: vec!["/tmp".into(), env.temporary()],
        own_folders: vec![home.clone(), home.join("state"), home.join("run")],
        ..Surroundings::default()
    };
    resolve(&settings, &surroundings)
}

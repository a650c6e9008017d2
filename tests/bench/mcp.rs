//! What an MCP server costs: a call of its tool from one model request to the next against a bare client of the same
//! server, a first turn beside one that takes long to start, and memory. The server is this program itself.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rmcp::ServiceExt;
use rmcp::model::CallToolRequestParams;
use serde_json::json;
use skein_tests::TestEnv;
use skein_tests::fake_servers::mcp::{Behaviour, serve};
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::scripted_model::request::Request;

use crate::daemon::{pid, resident, settled};
use crate::measure::{Failure, Runs, cost, median, median_ms};
use crate::stage::{ANSWER, Stage};
use crate::table::Table;

/// Makes this program the server.
pub(crate) const WORD: &str = "mcp-server";
/// Calls of one answer, so that what a model request costs is spread over them.
const CALLS: u32 = 50;
/// Servers whose memory is looked at.
const SERVERS: u32 = 5;

/// Serves, with the rest of the command line.
pub(crate) fn run(words: &[String]) -> Result<(), Failure> {
    serve(&Behaviour::of(words).map_err(Failure::Other)?).map_err(Failure::of)
}

/// Calls in a row.
pub(crate) fn call(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let stage = Stage::new(executable, calls)?;
    add(&stage.env, "fake", &[], "required = true")?;
    let turn = || cost(stage.exec(&["begin"]), "skein exec");
    turn()?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(15, 2) {
        let before = stage.model.requests().len();
        turn()?;
        let requests = stage.model.requests();
        let [first, second] = &requests[before..] else {
            return Err(Failure::Other("a turn with calls has two requests".to_owned()));
        };
        if second.last_output() != Some(format!("said: {}", CALLS - 1).as_str()) {
            return Err(Failure::Other(format!("the call failed: {:?}", second.last_output())));
        }
        ours.push(second.arrived.duration_since(first.arrived) / CALLS);
        bare.extend(bare_calls()?);
    }
    let (ours, bare) = (median_ms(ours), median_ms(bare));
    table.figure("MCP tool call: each", ours, "ms");
    table.figure("MCP tool call: bare client", bare, "ms");
    table.at_most("MCP tool call: beyond the bare one", (ours - bare).max(0.0), 1.0, "ms");
    Ok(())
}

/// A plain turn, with and without a server that is still starting.
pub(crate) fn slow_start(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let without = Stage::plain(executable)?;
    let with = Stage::plain(executable)?;
    // It never says hello, and nobody gives up on it meanwhile.
    add(&with.env, "slow", &["--silent"], "startup_timeout_sec = 3600")?;
    let turn = |stage: &Stage| cost(stage.exec(&["hello"]), "skein exec").map(|(cost, _)| cost.wall);
    turn(&without)?;
    let mut differences = Vec::new();
    // The very first turn begins while the server is started.
    for _ in 0..runs.pick(41, 3) {
        let (beside, alone) = (turn(&with)?, turn(&without)?);
        differences.push((beside.as_secs_f64() - alone.as_secs_f64()) * 1e3);
    }
    table.at_most("turn beside an MCP server that starts: longer by", median(differences), 2.0, "ms");
    Ok(())
}

/// What the daemon needs for each server, and what stands beside it.
pub(crate) fn memory(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let (mut daemon, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(5, 1) {
        let stage = Stage::plain(executable)?;
        cost(stage.exec(&["hello"]), "skein exec")?;
        let before = settled(&stage.env)?;
        for number in 0..SERVERS {
            add(&stage.env, &format!("server{number}"), &[], "required = true")?;
        }
        cost(stage.exec(&["hello"]), "skein exec")?;
        daemon.push((settled(&stage.env)? - before) / f64::from(SERVERS));
        let mut sum = 0.0;
        for helper in children(pid(&stage.env)?)? {
            sum += resident(helper)?;
        }
        beside.push(sum / f64::from(SERVERS));
    }
    table.figure("each MCP server: the daemon grows by", median(daemon).max(0.0), "KB");
    table.figure("each MCP server: the process that looks after it", median(beside), "KB");
    Ok(())
}

/// The processes that a process started.
fn children(parent: i32) -> Result<Vec<i32>, Failure> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).map_err(Failure::of)?;
    let of_thread = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.ok()?.path().join("children");
        fs::read_to_string(path).ok()
    };
    let lists: Vec<String> = threads.filter_map(of_thread).collect();
    Ok(lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect())
}

/// The model makes all calls in one answer.
fn calls(request: &Request) -> Reply {
    if request.last_output().is_some() {
        return Reply::text(ANSWER);
    }
    // No two are alike, or the loop breaker would stop them.
    let call =
        |answer: Answer, number: u32| answer.call("mcp__fake__echo", &json!({"text": number.to_string()}));
    (0..CALLS).fold(Answer::new(), call).into()
}

/// The same calls by rmcp alone.
fn bare_calls() -> Result<Vec<Duration>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(Failure::of)?.block_on(async {
        let own = std::env::current_exe().map_err(Failure::of)?;
        let mut server = tokio::process::Command::new(own)
            .arg(WORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(Failure::of)?;
        let gone = || Failure::Other("the server has no pipes".to_owned());
        let output = server.stdout.take().ok_or_else(gone)?;
        let input = server.stdin.take().ok_or_else(gone)?;
        let client = ().serve((output, input)).await.map_err(Failure::of)?;
        let mut took = Vec::new();
        for _ in 0..CALLS {
            let arguments = json!({"text": "hi"}).as_object().cloned().unwrap_or_default();
            let call = CallToolRequestParams::new("echo").with_arguments(arguments);
            let began = Instant::now();
            client.call_tool(call).await.map_err(Failure::of)?;
            took.push(began.elapsed());
        }
        Ok(took)
    })
}

fn add(env: &TestEnv, name: &str, words: &[&str], lines: &str) -> Result<(), Failure> {
    let own = std::env::current_exe().map_err(Failure::of)?;
    let words: Vec<&str> = [WORD].into_iter().chain(words.iter().copied()).collect();
    let table = format!("\n[mcp_servers.{name}]\ncommand = {own:?}\nargs = {words:?}\n{lines}");
    Ok(env.append_settings(&table)?)
}

//! What the daemon costs while nobody asks it for anything, and how fast it answers when somebody does.

use std::fs;
use std::path::Path;
use std::time::Duration;

use skein_tests::TestEnv;
use skein_tests::environment::process::Invocation;

use crate::log::long_session;
use crate::measure::{Failure, Runs, cost, median};
use crate::probe::{self, Task};
use crate::stage::Stage;
use crate::table::Table;

/// How long a client may take for its task.
const PROBE_LIMIT: Duration = Duration::from_secs(120);

/// A request that does nothing, there and back.
pub(crate) fn latency(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let stage = Stage::plain(executable)?;
    let figures = probe(&stage.env, &Task::Latency { calls: runs.pick(3000, 200) })?;
    table.at_most("no-op request, there and back", median(figures), 0.3, "ms");
    Ok(())
}

/// Resident memory with one session, and what ninety-nine more add.
pub(crate) fn memory(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    const MORE: u32 = 99;
    let (mut one, mut each) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(5, 1) {
        let stage = Stage::plain(executable)?;
        cost(stage.exec(&["hello"]), "skein exec")?;
        let alone = settled(&stage.env)?;
        for _ in 0..MORE {
            cost(stage.exec(&["hello"]), "skein exec")?;
        }
        one.push(alone / 1024.0);
        each.push((settled(&stage.env)? - alone) / f64::from(MORE));
    }
    table.at_most("idle daemon, 1 session: resident", median(one), 25.0, "MB");
    table.at_most("each further idle session", median(each).max(0.0), 30.0, "KB");
    Ok(())
}

/// Processor time of a daemon that nobody talks to.
pub(crate) fn idle(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let stage = Stage::plain(executable)?;
    cost(stage.exec(&["hello"]), "skein exec")?;
    settled(&stage.env)?;
    let pid = pid(&stage.env)?;
    let time = Duration::from_secs(runs.pick(60, 3));
    let before = on_processor(pid)?;
    std::thread::sleep(time);
    let used = on_processor(pid)?.saturating_sub(before);
    table.at_most(&format!("idle daemon: CPU in {} s", time.as_secs()), used.as_secs_f64() * 1e3, 1.0, "ms");
    Ok(())
}

/// The first page of a session of 2,000 turns, from memory and from disk.
pub(crate) fn attach(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    const TURNS: u32 = 2000;
    let stage = Stage::plain(executable)?;
    cost(stage.exec(&["hello"]), "skein exec")?;
    stage.env.stop();
    let (session, _) = long_session(&stage.env, TURNS)?;
    let (mut warm, mut cold) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(7, 2) {
        stage.env.stop();
        let figures = probe(&stage.env, &Task::Attach { session, turns: TURNS, times: 11 })?;
        cold.extend(figures.first().copied());
        warm.extend(figures.into_iter().skip(1));
    }
    table.at_most("attach to 2,000 turns, first time", median(cold), 30.0, "ms");
    table.at_most("attach to 2,000 turns, again", median(warm), 30.0, "ms");
    Ok(())
}

/// Runs this program again as a client in a home, and returns its figures.
pub(crate) fn probe(env: &TestEnv, task: &Task) -> Result<Vec<f64>, Failure> {
    let (_, output) = cost(probing(env, task)?, "the probe")?;
    serde_json::from_str(&output.stdout).map_err(Failure::of)
}

/// This program as a client in a home whose daemon runs.
pub(crate) fn probing(env: &TestEnv, task: &Task) -> Result<Invocation, Failure> {
    let own = std::env::current_exe().map_err(Failure::of)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let client = Invocation::new(own, probe::arguments(task), env.repository())
        .variable("PATH", path)
        .variable("HOME", env.home())
        .variable("SKEIN_HOME", env.skein_home())
        .variable("TMPDIR", env.temporary());
    if env.daemon_pid().is_none() {
        cost(env.command(["daemon", "start"]), "skein daemon start")?;
    }
    Ok(client.limit(PROBE_LIMIT))
}

/// The daemon's process.
pub(crate) fn pid(env: &TestEnv) -> Result<i32, Failure> {
    env.daemon_pid().ok_or_else(|| Failure::Other("the daemon does not run".to_owned()))
}

/// Resident kilobytes, once they have stopped to change.
pub(crate) fn settled(env: &TestEnv) -> Result<f64, Failure> {
    let pid = pid(env)?;
    let mut last = resident(pid)?;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(500));
        let now = resident(pid)?;
        if (now - last).abs() < 1.0 {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}

/// Resident kilobytes of a process.
pub(crate) fn resident(pid: i32) -> Result<f64, Failure> {
    kilobytes(pid, "VmRSS:")
}

/// The most resident kilobytes that it ever had.
pub(crate) fn peak(pid: i32) -> Result<f64, Failure> {
    kilobytes(pid, "VmHWM:")
}

fn kilobytes(pid: i32, field: &str) -> Result<f64, Failure> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(Failure::of)?;
    let figure =
        status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok());
    figure.ok_or_else(|| Failure::Other(format!("no `{field}` in /proc")))
}

/// Time on a processor, over all threads.
pub(crate) fn on_processor(pid: i32) -> Result<Duration, Failure> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_err(Failure::of)?;
    let of_thread = |path: std::path::PathBuf| -> u64 {
        let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|figure| figure.parse().ok()).unwrap_or_default()
    };
    Ok(Duration::from_nanos(threads.filter_map(|entry| Some(of_thread(entry.ok()?.path()))).sum()))
}

//! One session, many clients: what it costs to show a stream to all of them, and how soon each sees it.

use std::path::Path;
use std::time::Duration;

use skein_tests::environment::process::Input;
use skein_tests::scripted_model::reply::{Answer, Reply, STAMP};
use skein_tests::scripted_model::request::Request;

use crate::daemon::{on_processor, peak, pid, probe, probing, settled};
use crate::measure::{Failure, Runs, cost, median, percentile};
use crate::probe::{READY, Task};
use crate::stage::Stage;
use crate::table::Table;

/// How many follow, from few to many.
const AUDIENCES: [u32; 3] = [1, 10, 50];

/// 20,000 small deltas in one message, as fast as they go. The rounds are run in turns.
pub(crate) fn throughput(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    const DELTAS: usize = 20_000;
    let mut rounds: Vec<_> = AUDIENCES.map(|clients| (clients, [const { Vec::new() }; 3])).into();
    for _ in 0..runs.pick(5, 1) {
        for (clients, [walls, processor, memory]) in &mut rounds {
            let answer = Answer::new().text("word ".repeat(DELTAS)).in_pieces(DELTAS);
            let stage = Stage::new(executable, move |_| answer.clone().into())?;
            cost(stage.env.command(["daemon", "start"]), "skein daemon start")?;
            let before = on_processor(pid(&stage.env)?)?;
            let figures = probe(&stage.env, &Task::Stream { clients: *clients })?;
            let used = on_processor(pid(&stage.env)?)?.saturating_sub(before);
            walls.extend(figures);
            processor.push(used.as_secs_f64() * 1e3);
            memory.push(peak(pid(&stage.env)?)? / 1024.0);
        }
    }
    for (clients, [walls, processor, memory]) in rounds {
        let what = |figure: &str| format!("20,000 deltas to {clients} client(s): {figure}");
        table.figure(&what("wall"), median(walls), "ms");
        table.figure(&what("daemon CPU"), median(processor), "ms");
        table.figure(&what("daemon, most memory"), median(memory), "MB");
    }
    Ok(())
}

/// From the model's byte to the clients' events at 1,000 deltas a second. The model server writes the moment into
/// each delta.
pub(crate) fn delay(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    const CLIENTS: u32 = 10;
    let deltas: u32 = runs.pick(5000, 500);
    let (mut middle, mut late, mut processor) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs.pick(5, 1) {
        let pieces = deltas as usize;
        let text = format!("{STAMP} ").repeat(pieces);
        let answer = Answer::new().text(text).in_pieces(pieces).pace(Duration::from_millis(1));
        let stage = Stage::new(executable, move |_: &Request| Reply::from(answer.clone()))?;
        cost(stage.env.command(["daemon", "start"]), "skein daemon start")?;
        let before = on_processor(pid(&stage.env)?)?;
        let delays = probe(&stage.env, &Task::Delay { clients: CLIENTS, deltas })?;
        let used = on_processor(pid(&stage.env)?)?.saturating_sub(before);
        processor.push(used.as_secs_f64() * 1e3 / f64::from(deltas) * 1e3);
        middle.push(percentile(&delays, 50.0));
        late.push(percentile(&delays, 99.0));
    }
    table.figure("1,000 deltas/s to 10 clients: delay, p50", median(middle), "ms");
    table.at_most("1,000 deltas/s to 10 clients: delay, p99", median(late), 5.0, "ms");
    table.figure("1,000 deltas/s to 10 clients: daemon CPU", median(processor), "ms/s");
    Ok(())
}

/// What an attached client costs that nobody shows anything.
pub(crate) fn idle_client(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    const CLIENTS: u32 = 100;
    let mut each = Vec::new();
    for _ in 0..runs.pick(5, 1) {
        let stage = Stage::plain(executable)?;
        cost(stage.exec(&["hello"]), "skein exec")?;
        let alone = settled(&stage.env)?;
        let task = Task::Hold { clients: CLIENTS };
        let holding = probing(&stage.env, &task)?.input(Input::Open).spawn()?;
        holding.wait_for_stdout(READY, Duration::from_secs(60))?;
        each.push((settled(&stage.env)? - alone) / f64::from(CLIENTS));
    }
    table.at_most("each attached idle client", median(each).max(0.0), 100.0, "KB");
    Ok(())
}

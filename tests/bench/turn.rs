//! Whole turns through `skein exec`, against `curl`, which streams the same answer from the same server.

use std::path::Path;
use std::time::Duration;

use skein_tests::scripted_model::reply::Answer;

use crate::measure::{Failure, Runs, cost, median, median_ms};
use crate::stage::{Stage, bare};
use crate::table::Table;

/// `skein --version` against `true`.
pub(crate) fn version(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let executable = executable.to_string_lossy();
    let (mut ours, mut bottom) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(60, 10) {
        bottom.push(cost(bare("true", &[]), "true")?.0.wall);
        ours.push(cost(bare(&executable, &["--version"]), "skein --version")?.0.wall);
    }
    table.at_most("skein --version, of `true`", ratio(&ours, &bottom), 2.0, "times");
    table.figure("skein --version", median_ms(ours), "ms");
    table.figure("true", median_ms(bottom), "ms");
    Ok(())
}

/// A plain turn with a warm daemon.
pub(crate) fn plain(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let stage = Stage::plain(executable)?;
    cost(stage.exec(&["hello"]), "skein exec")?;
    let first = stage.model.requests()[0].body.len();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(40, 5) {
        theirs.push(cost(stage.curl(), "curl")?.0.wall);
        ours.push(cost(stage.exec(&["hello"]), "skein exec")?.0);
    }
    let walls: Vec<_> = ours.iter().map(|cost| cost.wall).collect();
    table.at_most("plain turn, warm, of curl", ratio(&walls, &theirs), 3.0, "times");
    table.figure("plain turn, warm: wall", median_ms(walls), "ms");
    table.figure("curl: wall", median_ms(theirs), "ms");
    table.at_most("plain turn, warm: client CPU", median_ms(ours.iter().map(|cost| cost.cpu)), 15.0, "ms");
    table.at_most("first request for `hello`", bytes(first), 12.0 * 1024.0, "bytes");
    Ok(())
}

/// A plain turn that starts the daemon.
pub(crate) fn cold(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let stage = Stage::plain(executable)?;
    let mut walls = Vec::new();
    for _ in 0..runs.pick(15, 3) {
        stage.env.stop();
        walls.push(cost(stage.exec(&["hello"]), "skein exec")?.0.wall);
    }
    table.at_most("plain turn, cold: wall", median_ms(walls), 120.0, "ms");
    Ok(())
}

/// 20,000 small deltas in one message.
pub(crate) fn deltas(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    const DELTAS: usize = 20_000;
    let answer = Answer::new().text("word ".repeat(DELTAS)).in_pieces(DELTAS);
    let stage = Stage::new(executable, move |_| answer.clone().into())?;
    cost(stage.exec(&["hello"]), "skein exec")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..runs.pick(7, 2) {
        theirs.push(cost(stage.curl(), "curl")?.0.wall);
        ours.push(cost(stage.exec(&["--json", "hello"]), "skein exec")?.0);
    }
    table.figure("20,000 deltas: wall", median_ms(ours.iter().map(|cost| cost.wall)), "ms");
    table.figure("20,000 deltas: client CPU", median_ms(ours.iter().map(|cost| cost.cpu)), "ms");
    table.figure("20,000 deltas: curl, wall", median_ms(theirs), "ms");
    Ok(())
}

/// The median of the ratios of pairs.
fn ratio(ours: &[Duration], theirs: &[Duration]) -> f64 {
    let pairs = ours.iter().zip(theirs);
    median(pairs.map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64()).collect())
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn bytes(count: usize) -> f64 {
    count as f64
}

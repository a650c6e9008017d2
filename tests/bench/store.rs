//! What the log takes and gives back: appends with their commit, a home full of sessions, and a long session.

use std::path::Path;
use std::time::{Duration, Instant};

use protocol::event::EventRecord;
use protocol::ids::{Seq, SessionId};
use protocol::session::SessionSummary;
use store::{Append, Store};
use tokio::task::JoinSet;

use crate::daemon::probe;
use crate::log::{Sample, long_session, many_sessions, open, runtime, sample};
use crate::measure::{Failure, Runs, cost, median, median_ms};
use crate::probe::Task;
use crate::stage::Stage;
use crate::table::Table;

/// Events that are durable when it is said so, one after the other in each session.
pub(crate) fn appends(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let stage = Stage::plain(executable)?;
    cost(stage.exec(&["hello"]), "skein exec")?;
    stage.env.stop();
    let (mut one, mut hundred) = (Vec::new(), Vec::new());
    runtime()?.block_on(async {
        let store = open(&stage.env).await?;
        let sample = sample(&store).await?;
        for _ in 0..runs.pick(5, 1) {
            one.push(append_in(&store, &sample, 1, runs.pick(2000, 200)).await?);
            hundred.push(append_in(&store, &sample, 100, runs.pick(200, 20)).await?);
        }
        store.close().await;
        Ok::<_, Failure>(())
    })?;
    table.figure("appended events, 1 session", median(one), "per s");
    table.figure("appended events, 100 sessions at once", median(hundred), "per s");
    Ok(())
}

/// Events per second.
async fn append_in(store: &Store, sample: &Sample, sessions: u32, events: u32) -> Result<f64, Failure> {
    let begin = Instant::now();
    let mut writers = JoinSet::new();
    for _ in 0..sessions {
        writers.spawn(write(store.clone(), sample.records.clone(), sample.summary.clone(), events));
    }
    while let Some(result) = writers.join_next().await {
        result.map_err(Failure::of)??;
    }
    Ok(f64::from(sessions) * f64::from(events) / begin.elapsed().as_secs_f64())
}

async fn write(
    store: Store,
    records: Vec<EventRecord>,
    mut summary: SessionSummary,
    events: u32,
) -> Result<(), Failure> {
    let session = SessionId::generate();
    summary.id = session;
    let mut next = Seq::ZERO;
    for record in records.iter().cycle().take(events as usize) {
        next = next.next();
        let record = EventRecord { seq: next, ..record.clone() };
        // The row in the list is written with the first event only, as it is for most events.
        let summary = (next == Seq(1)).then(|| summary.clone());
        store
            .append(Append { session, records: vec![record], summary, spent: Vec::new() })
            .await
            .map_err(Failure::of)?;
    }
    Ok(())
}

/// From nothing to the first answer of a daemon that has 10,000 sessions on disk.
pub(crate) fn restart(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    const SESSIONS: u32 = 10_000;
    let stage = Stage::plain(executable)?;
    cost(stage.exec(&["hello"]), "skein exec")?;
    stage.env.stop();
    let start = || cost(stage.env.command(["daemon", "start"]), "skein daemon start");
    let mut empty = Vec::new();
    for _ in 0..runs.pick(11, 2) {
        empty.push(start()?.0.wall);
        stage.env.stop();
    }
    many_sessions(&stage.env, runs.pick(SESSIONS, 500))?;
    let mut full: Vec<Duration> = Vec::new();
    for _ in 0..runs.pick(11, 2) {
        full.push(start()?.0.wall);
        stage.env.stop();
    }
    table.at_most("start with 10,000 sessions, first answer", median_ms(full), 150.0, "ms");
    table.figure("start with 1 session, first answer", median_ms(empty), "ms");
    Ok(())
}

/// All events of a session of 100,000, to a client that has none of them.
pub(crate) fn replay(executable: &Path, runs: Runs, table: &mut Table) -> Result<(), Failure> {
    let events: u32 = runs.pick(100_000, 5000);
    let stage = Stage::plain(executable)?;
    cost(stage.exec(&["hello"]), "skein exec")?;
    stage.env.stop();
    let (session, last) = long_session(&stage.env, events / 6)?;
    let mut walls = Vec::new();
    for _ in 0..runs.pick(7, 2) {
        stage.env.stop();
        walls.extend(probe(&stage.env, &Task::Replay { session, last })?);
    }
    table.figure(&format!("replay of {} events", last.0), median(walls), "ms");
    Ok(())
}

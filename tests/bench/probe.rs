//! This program as a client of a daemon: it is started again in a home of its own, does one task over the real
//! socket, and prints its figures, milliseconds in a JSON list.

#![expect(clippy::print_stdout, reason = "a program for the shell prints")]

use std::time::{Duration, Instant};

use client::{Attached, ConnectOptions, Connection, Update};
use protocol::api::daemon::DaemonClient;
use protocol::daemon::DaemonStatusParams;
use protocol::ids::SessionId;
use serde::{Deserialize, Serialize};

use crate::measure::Failure;

/// The first argument of such a start.
pub(crate) const WORD: &str = "probe";

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Asks for nothing, so many times.
    Latency {
        /// How often.
        calls: u32,
    },
    /// Attaches on a new connection, so many times; the first page counts.
    Attach {
        /// To this.
        session: SessionId,
        /// Which has so many turns.
        turns: u32,
        /// How often.
        times: u32,
    },
}

/// The arguments that make this program do it.
pub(crate) fn arguments(task: &Task) -> [String; 2] {
    [WORD.to_owned(), serde_json::to_string(task).unwrap_or_default()]
}

/// Does it.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let task = arguments.first().map(String::as_str).unwrap_or_default();
    let task = serde_json::from_str(task).map_err(Failure::of)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of)?;
    let durations = runtime.block_on(perform(&task))?;
    let figures: Vec<f64> = durations.iter().map(|duration| duration.as_secs_f64() * 1e3).collect();
    println!("{}", serde_json::to_string(&figures).map_err(Failure::of)?);
    Ok(())
}

async fn perform(task: &Task) -> Result<Vec<Duration>, Failure> {
    let options = || ConnectOptions::new("skein bench").without_start();
    let mut durations = Vec::new();
    match task {
        Task::Latency { calls } => {
            let connection = Connection::open(options()).await.map_err(Failure::of)?;
            for _ in 0..*calls {
                let begin = Instant::now();
                connection.rpc().status(DaemonStatusParams::default()).await.map_err(Failure::of)?;
                durations.push(begin.elapsed());
            }
        }
        Task::Attach { session, turns, times } => {
            for _ in 0..*times {
                let connection = Connection::open(options()).await.map_err(Failure::of)?;
                let begin = Instant::now();
                let mut attached =
                    Attached::open(connection, *session, None, false).await.map_err(Failure::of)?;
                let Update::Snapshot(snapshot) = attached.next().await.map_err(Failure::of)? else {
                    return Err(Failure::Other("no snapshot came first".to_owned()));
                };
                let elapsed = begin.elapsed();
                let shown = snapshot.turns.iter().filter(|turn| turn.items.len() > 1).count();
                if shown == 0 || snapshot.earlier_turns + u32::try_from(shown).unwrap_or_default() != *turns {
                    let earlier = snapshot.earlier_turns;
                    return Err(Failure::Other(format!(
                        "{shown} turns shown and {earlier} before, of {turns}"
                    )));
                }
                durations.push(elapsed);
            }
        }
    }
    Ok(durations)
}

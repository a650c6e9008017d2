//! This program as a client of a daemon: it is started again in a home of its own, does one task over the real
//! socket, and prints its figures, milliseconds in a JSON list.

#![expect(clippy::print_stdout, reason = "a program for the shell prints")]

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use client::{Attached, ConnectOptions, Connection, Update};
use jsonrpsee::core::client::Subscription;
use protocol::api::daemon::DaemonClient;
use protocol::api::session::SessionClient;
use protocol::daemon::DaemonStatusParams;
use protocol::delta::{FeedEntry, SessionFeed};
use protocol::event::Event;
use protocol::ids::{Seq, SessionId};
use protocol::session::{ClientRole, SessionAttachParams, SessionCreateParams, SessionListParams};
use serde::{Deserialize, Serialize};
use skein_tests::rpc::TestClient;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

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
    /// So many follow a session of their own; from the start of a turn to its end at the last of them.
    Stream {
        /// How many.
        clients: u32,
    },
    /// So many follow a session of their own, in whose turn deltas come that hold the moment they were sent; the
    /// delay of each at each of them.
    Delay {
        /// How many.
        clients: u32,
        /// How many deltas come.
        deltas: u32,
    },
    /// So many follow the newest session until standard input ends.
    Hold {
        /// How many.
        clients: u32,
    },
    /// Follows from the first event to this one.
    Replay {
        /// Which session.
        session: SessionId,
        /// Its last event.
        last: Seq,
    },
}

/// What is printed when all are there.
pub(crate) const READY: &str = "ready";
/// How long a turn may take.
const TURN_LIMIT: Duration = Duration::from_secs(100);

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
        Task::Stream { clients } => durations.push(stream(*clients).await?),
        Task::Delay { clients, deltas } => durations = delays(*clients, *deltas).await?,
        Task::Hold { clients } => hold(*clients).await?,
        Task::Replay { session, last } => {
            let client = connect().await?;
            let begin = Instant::now();
            let mut follower = client.follow(*session).await?;
            follower.until(TURN_LIMIT, |seen| seen.last() >= *last).await?;
            durations.push(begin.elapsed());
        }
    }
    Ok(durations)
}

/// A client of the home that the variables tell.
async fn connect() -> Result<TestClient, Failure> {
    let folder = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .ok_or_else(|| Failure::Other(format!("`{name}` is not set")))
    };
    Ok(TestClient::at(&folder("SKEIN_HOME")?, &folder("HOME")?, "skein bench").await?)
}

/// Many clients, the first of which has made a session in this folder.
async fn audience(clients: u32) -> Result<(Vec<TestClient>, SessionId), Failure> {
    let mut all = Vec::new();
    for _ in 0..clients.max(1) {
        all.push(connect().await?);
    }
    let cwd = std::env::current_dir().map_err(Failure::of)?;
    let session = all[0].create_with(SessionCreateParams { cwd, ..SessionCreateParams::default() }).await?;
    Ok((all, session))
}

async fn stream(clients: u32) -> Result<Duration, Failure> {
    let (clients, session) = audience(clients).await?;
    let mut watching = JoinSet::new();
    for client in &clients {
        let mut follower = client.follow(session).await?;
        watching.spawn(async move { follower.until_turn_ends(TURN_LIMIT).await });
    }
    let begin = Instant::now();
    clients[0].start(session, "hello").await?;
    while let Some(watched) = watching.join_next().await {
        watched.map_err(Failure::of)??;
    }
    Ok(begin.elapsed())
}

async fn delays(clients: u32, deltas: u32) -> Result<Vec<Duration>, Failure> {
    let (clients, session) = audience(clients).await?;
    let mut watching = JoinSet::new();
    for client in &clients {
        let params = SessionAttachParams {
            session_id: session,
            since: Some(Seq::ZERO),
            can_answer: false,
            role: ClientRole::Driver,
        };
        let feed = SessionClient::attach(client.rpc(), params).await.map_err(Failure::of)?;
        watching.spawn(delays_of(feed, deltas as usize));
    }
    clients[0].start(session, "hello").await?;
    let mut all = Vec::new();
    while let Some(watched) = watching.join_next().await {
        all.extend(watched.map_err(Failure::of)??);
    }
    Ok(all)
}

/// How old each delta was when it came.
async fn delays_of(mut feed: Subscription<SessionFeed>, deltas: usize) -> Result<Vec<Duration>, Failure> {
    let mut delays = Vec::new();
    while delays.len() < deltas {
        let Some(notification) = feed.next().await else {
            return Err(Failure::Other("the feed ended".to_owned()));
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::of)?;
        let SessionFeed::Batch(batch) = notification.map_err(Failure::of)? else { continue };
        for entry in batch.entries {
            match entry {
                FeedEntry::Delta(delta) => {
                    for stamp in delta.text.split_whitespace() {
                        let sent = Duration::from_nanos(stamp.parse().map_err(Failure::of)?);
                        delays.push(now.saturating_sub(sent));
                    }
                }
                FeedEntry::Event(record) if matches!(record.event, Event::TurnEnded(_)) => {
                    let came = delays.len();
                    return Err(Failure::Other(format!("{came} of {deltas} deltas came")));
                }
                FeedEntry::Event(_)
                | FeedEntry::Presence(_)
                | FeedEntry::Budget(_)
                | FeedEntry::Unknown(_) => {}
            }
        }
    }
    Ok(delays)
}

async fn hold(clients: u32) -> Result<(), Failure> {
    let mut held = Vec::new();
    for _ in 0..clients {
        let client = connect().await?;
        let params = SessionListParams::default();
        let listed = SessionClient::list(client.rpc(), params).await.map_err(Failure::of)?;
        let Some(newest) = listed.sessions.first() else {
            return Err(Failure::Other("there is no session".to_owned()));
        };
        let mut follower = client.watch(newest.id, ClientRole::Driver).await?;
        follower.until(TURN_LIMIT, |seen| seen.snapshot.is_some()).await?;
        held.push((client, follower));
    }
    println!("{READY}");
    let mut nothing = Vec::new();
    tokio::io::stdin().read_to_end(&mut nothing).await.map_err(Failure::of)?;
    drop(held);
    Ok(())
}

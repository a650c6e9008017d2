//! Logs made from a real one: a session of many turns, and many sessions. Knows how a log is laid out, as the store
//! does.

use std::collections::BTreeMap;

use protocol::event::{Event, EventRecord};
use protocol::ids::{Seq, SessionId};
use protocol::session::{SessionListParams, SessionSummary};
use skein_tests::TestEnv;
use store::{Append, Durability, Store, StoreOptions};
use tokio::runtime::Runtime;

use crate::measure::Failure;

/// A session as the daemon made it.
pub(crate) struct Sample {
    pub(crate) records: Vec<EventRecord>,
    pub(crate) summary: SessionSummary,
}

/// Where the store's tasks run.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::of)
}

/// The store of a home whose daemon does not run.
pub(crate) async fn open(env: &TestEnv) -> Result<Store, Failure> {
    let state = env.skein_home().join("state");
    let options = StoreOptions {
        database: state.join("skein.db"),
        blobs: state.join("blobs"),
        durability: Durability::Process,
        blob_cap_bytes: 1 << 20,
    };
    Store::open(options).await.map_err(Failure::of)
}

/// The newest session.
pub(crate) async fn sample(store: &Store) -> Result<Sample, Failure> {
    let listed = store.list(&SessionListParams::default()).await.map_err(Failure::of)?;
    let Some(summary) = listed.into_iter().next() else {
        return Err(Failure::Other("no session to repeat".to_owned()));
    };
    let records = store.events(summary.id, Seq::ZERO, None).await.map_err(Failure::of)?;
    Ok(Sample { records, summary })
}

/// Repeats the only turn of the newest session so many times in a session of its own, and says where that ends. The
/// daemon must not run.
pub(crate) fn long_session(env: &TestEnv, turns: u32) -> Result<(SessionId, Seq), Failure> {
    runtime()?.block_on(repeat(env, turns))
}

/// Makes so many copies of the newest session. The daemon must not run.
pub(crate) fn many_sessions(env: &TestEnv, count: u32) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let store = open(env).await?;
        let Sample { records, mut summary } = sample(&store).await?;
        for _ in 0..count {
            summary.id = SessionId::generate();
            let records = with_new_ids(&records)?;
            let append =
                Append { session: summary.id, records, summary: Some(summary.clone()), spent: Vec::new() };
            store.append(append).await.map_err(Failure::of)?;
        }
        store.close().await;
        Ok(())
    })
}

async fn repeat(env: &TestEnv, turns: u32) -> Result<(SessionId, Seq), Failure> {
    let store = open(env).await?;
    let Sample { records, mut summary } = sample(&store).await?;
    let is_start = |record: &EventRecord| matches!(record.event, Event::TurnStarted(_));
    let (head, turn) = records.split_at(records.iter().position(is_start).unwrap_or(records.len()));
    summary.id = SessionId::generate();
    summary.turn_count = turns;
    let mut next = Seq::ZERO;
    for number in 0..=turns {
        let records = if number == 0 { head.to_vec() } else { with_new_ids(turn)? };
        let numbered = records.into_iter().map(|record| {
            next = next.next();
            EventRecord { seq: next, ..record }
        });
        let records = numbered.collect();
        summary.seq = next;
        let append =
            Append { session: summary.id, records, summary: Some(summary.clone()), spent: Vec::new() };
        store.append(append).await.map_err(Failure::of)?;
    }
    store.close().await;
    Ok((summary.id, next))
}

/// A copy in which every identity is another one, the same one wherever it was the same.
fn with_new_ids(records: &[EventRecord]) -> Result<Vec<EventRecord>, Failure> {
    let mut text = serde_json::to_string(records).map_err(Failure::of)?;
    let ids: BTreeMap<String, String> = text
        .split('"')
        .filter(|word| word.len() == 36 && word.parse::<SessionId>().is_ok())
        .map(|id| (id.to_owned(), SessionId::generate().to_string()))
        .collect();
    for (old, new) in ids {
        text = text.replace(&old, &new);
    }
    serde_json::from_str(&text).map_err(Failure::of)
}

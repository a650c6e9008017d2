//! A session of many turns, made from a real one by repeating its turn in the log. Knows how a log is laid out,
//! as the store does.

use std::collections::BTreeMap;

use protocol::event::{Event, EventRecord};
use protocol::ids::{Seq, SessionId};
use protocol::session::SessionListParams;
use skein_tests::TestEnv;
use store::{Append, Durability, Store, StoreOptions};

use crate::measure::Failure;

/// Repeats the only turn of the newest session so many times in a session of its own. The daemon must not run.
pub(crate) fn long_session(env: &TestEnv, turns: u32) -> Result<SessionId, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::of)?;
    runtime.block_on(repeat(env, turns))
}

async fn repeat(env: &TestEnv, turns: u32) -> Result<SessionId, Failure> {
    let state = env.skein_home().join("state");
    let options = StoreOptions {
        database: state.join("skein.db"),
        blobs: state.join("blobs"),
        durability: Durability::Process,
        blob_cap_bytes: 1 << 20,
    };
    let store = Store::open(options).await.map_err(Failure::of)?;
    let listed = store.list(&SessionListParams::default()).await.map_err(Failure::of)?;
    let Some(mut summary) = listed.into_iter().next() else {
        return Err(Failure::Other("no session to repeat".to_owned()));
    };
    let records = store.events(summary.id, Seq::ZERO, None).await.map_err(Failure::of)?;
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
        let append = Append { session: summary.id, records, summary: Some(summary.clone()) };
        store.append(append).await.map_err(Failure::of)?;
    }
    store.close().await;
    Ok(summary.id)
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

//! Logs: order, gaps, groups, and what a crash leaves.

use protocol::ids::{Seq, SessionId};
use tokio::task::JoinSet;

use super::fixture::{Fixture, append, options_in, texts, turn_started};
use crate::{Checkpoint, Store, StoreError};

async fn log(store: &Store, session: SessionId) -> Vec<u64> {
    let records = store.events(session, Seq::ZERO, None).await.expect("events");
    records.iter().map(|record| record.seq.0).collect()
}

#[tokio::test]
async fn appended_events_are_read_back() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    let records = texts(1, &["a", "ü €", "", "{\"json\": \"inside\"}", "e"]);
    store.append(append(session, records[..2].to_vec())).await.expect("append");
    store.append(append(session, records[2..].to_vec())).await.expect("append");
    assert_eq!(store.events(session, Seq::ZERO, None).await.expect("all"), records);
    assert_eq!(store.events(session, Seq(1), Some(Seq(4))).await.expect("some"), records[1..4]);
    assert_eq!(store.events(session, Seq(5), None).await.expect("none"), []);
    assert_eq!(store.events(SessionId::generate(), Seq::ZERO, None).await.expect("other"), []);
}

#[tokio::test]
async fn a_long_append_is_read_back() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    let records = texts(1, &["x"; 2500]);
    store.append(append(session, records.clone())).await.expect("append");
    assert_eq!(store.events(session, Seq::ZERO, None).await.expect("all"), records);
}

#[tokio::test]
async fn a_gap_is_refused_and_nothing_is_written() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    store.append(append(session, texts(1, &["a", "b"]))).await.expect("append");
    let mut torn = texts(3, &["c"]);
    torn.extend(texts(5, &["e"]));
    for (records, wanted) in [
        (texts(4, &["d"]), (3, 4)),
        (texts(2, &["b", "c"]), (3, 2)),
        (texts(1, &["a"]), (3, 1)),
        (torn, (4, 5)),
    ] {
        let refused = store.append(append(session, records)).await;
        let Err(StoreError::Gap { expected, found, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!((expected.0, found.0), wanted);
    }
    assert_eq!(log(&store, session).await, [1, 2]);
    let first = store.append(append(SessionId::generate(), texts(2, &["b"]))).await;
    assert!(matches!(first, Err(StoreError::Gap { expected: Seq(1), found: Seq(2), .. })));
}

#[tokio::test]
async fn a_refused_append_does_not_touch_its_neighbours() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (good, bad) = (SessionId::generate(), SessionId::generate());
    let (before, refused, next, same) = tokio::join!(
        store.append(append(good, texts(1, &["a"]))),
        store.append(append(bad, texts(7, &["a"]))),
        store.append(append(good, texts(2, &["b"]))),
        store.append(append(bad, texts(1, &["a"]))),
    );
    before.expect("the one before");
    assert!(matches!(refused, Err(StoreError::Gap { .. })));
    next.expect("the one after");
    same.expect("a good one of the same session");
    assert_eq!((log(&store, good).await, log(&store, bad).await), (vec![1, 2], vec![1]));
}

#[tokio::test]
async fn many_sessions_append_at_once() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let store = store.clone();
        tasks.spawn(async move {
            let session = SessionId::generate();
            for seq in 1..=20 {
                store.append(append(session, texts(seq, &["x"]))).await.expect("append");
            }
            session
        });
    }
    for session in tasks.join_all().await {
        assert_eq!(log(&store, session).await, (1..=20).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    store.append(append(session, texts(1, &["a", "b"]))).await.expect("append");
    // What a killed process leaves: its files as they are at this moment.
    let left = Fixture::new();
    for name in ["skein.db", "skein.db-wal"] {
        std::fs::copy(fixture.scratch.path().join(name), left.scratch.path().join(name)).expect("copy");
    }
    let store = left.open().await;
    assert_eq!(log(&store, session).await, [1, 2]);
    store.append(append(session, texts(3, &["c"]))).await.expect("the log goes on");
}

#[tokio::test]
async fn a_closed_store_keeps_its_logs_in_one_file() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    store.append(append(session, texts(1, &["a"]))).await.expect("append");
    assert_eq!(log(&store, session).await, [1]);
    let other = store.clone();
    store.close().await;
    assert!(matches!(other.append(append(session, texts(2, &["b"]))).await, Err(StoreError::Closed)));
    assert!(matches!(other.events(session, Seq::ZERO, None).await, Err(StoreError::Closed)));
    assert_eq!(fixture.files().into_keys().collect::<Vec<_>>(), [fixture.scratch.path().join("skein.db")]);
    assert_eq!(log(&fixture.open().await, session).await, [1]);
}

#[tokio::test]
async fn the_last_turns_are_found() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    let mut records = texts(1, &["a"]);
    for seq in [2, 4, 6] {
        records.push(turn_started(seq));
        records.extend(texts(seq + 1, &["x"]));
    }
    store.append(append(session, records)).await.expect("append");
    store.append(append(SessionId::generate(), vec![turn_started(1)])).await.expect("another session");
    assert_eq!(store.turn_starts(session, 2).await.expect("two"), [Seq(4), Seq(6)]);
    assert_eq!(store.turn_starts(session, 9).await.expect("all"), [Seq(2), Seq(4), Seq(6)]);
    assert_eq!(store.turn_starts(session, 0).await.expect("none"), []);
}

#[tokio::test]
async fn a_checkpoint_takes_the_place_of_the_one_before() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    assert_eq!(store.checkpoint(session).await.expect("read"), None);
    for seq in [3, 8] {
        let checkpoint = Checkpoint { seq: Seq(seq), body: format!("state {seq}") };
        store.save_checkpoint(session, checkpoint.clone()).await.expect("save");
        assert_eq!(store.checkpoint(session).await.expect("read"), Some(checkpoint));
    }
}

#[tokio::test]
async fn a_deleted_session_can_begin_anew() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (session, other) = (SessionId::generate(), SessionId::generate());
    for id in [session, other] {
        store.append(append(id, vec![turn_started(1)])).await.expect("append");
    }
    store.save_checkpoint(session, Checkpoint { seq: Seq(1), body: String::new() }).await.expect("save");
    store.delete(session).await.expect("delete");
    store.delete(session).await.expect("what is not there is deleted, too");
    assert_eq!(log(&store, session).await, [0; 0]);
    assert_eq!(store.turn_starts(session, 9).await.expect("turns"), []);
    assert_eq!(store.checkpoint(session).await.expect("checkpoint"), None);
    assert_eq!(log(&store, other).await, [1]);
    store.append(append(session, texts(1, &["a"]))).await.expect("append");
}

#[tokio::test]
async fn a_second_handle_to_the_same_files_is_seen() {
    // Two writers are against the rules (the daemon's lock); should it happen, no event is overwritten.
    let fixture = Fixture::new();
    let (one, two) =
        (fixture.open().await, Store::open(options_in(fixture.scratch.path())).await.expect("two"));
    let session = SessionId::generate();
    one.append(append(session, texts(1, &["a"]))).await.expect("append");
    two.append(append(session, texts(2, &["b"]))).await.expect("append");
    assert!(one.append(append(session, texts(2, &["c"]))).await.is_err());
    let refused = one.append(append(session, texts(2, &["c"]))).await;
    assert!(matches!(refused, Err(StoreError::Gap { expected: Seq(3), .. })), "{refused:?}");
    assert_eq!(log(&one, session).await, [1, 2]);
}

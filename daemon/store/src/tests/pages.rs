//! Real damage: pages of the database and its `-wal` file that hold something else than was written there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::EventRecord;
use protocol::ids::{Seq, SessionId, TurnId};
use protocol::session::{SessionListParams, SessionStatus, SessionSummary};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::damage::tamper;
use super::fixture::{Fixture, append, summary, texts, turn_started};
use crate::{Append, Checkpoint, Store, StoreError};

const PAGE_BYTES: usize = 4096;

/// The leaves of a table or an index, as SQLite tells (sqlite.org/dbstat.html).
async fn leaves(database: &Path, name: &str) -> Vec<usize> {
    let mut connection = SqliteConnectOptions::new().filename(database).connect().await.expect("connect");
    let pages: Vec<i64> =
        sqlx::query_scalar("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path")
            .bind(name)
            .fetch_all(&mut connection)
            .await
            .expect("pages");
    connection.close().await.expect("close");
    pages.into_iter().map(|page| usize::try_from(page).expect("page")).collect()
}

/// The leaves of the events that hold a text.
async fn leaves_with(database: &Path, text: &str) -> Vec<usize> {
    let mut leaves = leaves(database, "event").await;
    let bytes = fs::read(database).expect("read");
    leaves.retain(|leaf| {
        let page = &bytes[(leaf - 1) * PAGE_BYTES..leaf * PAGE_BYTES];
        page.windows(text.len()).any(|window| window == text.as_bytes())
    });
    leaves
}

/// Writes garbage over a page; the first is page 1.
fn ruin(database: &Path, page: usize) {
    let mut bytes = fs::read(database).expect("read");
    bytes[(page - 1) * PAGE_BYTES..page * PAGE_BYTES].fill(0xA5);
    fs::write(database, bytes).expect("write");
}

/// Some sessions with some pages of log each, whose texts hold the number of their session; the store is closed.
async fn filled(fixture: &Fixture, sessions: u64) -> Vec<SessionId> {
    let store = fixture.open().await;
    let mut ids = Vec::new();
    for number in 1..=sessions {
        let session = SessionId::generate();
        let text = format!("<session {number}>").repeat(50);
        let records = texts(1, &[&*text; 30]);
        let summary = Some(summary(session, number));
        store.append(Append { session, records, summary, spent: Vec::new() }).await.expect("append");
        ids.push(session);
    }
    store.close().await;
    ids
}

async fn list(store: &Store) -> BTreeMap<SessionId, SessionSummary> {
    let params = SessionListParams { limit: Some(10_000), ..SessionListParams::default() };
    let listed = store.list(&params).await.expect("list");
    listed.into_iter().map(|summary| (summary.id, summary)).collect()
}

/// Anything makes sense.
fn folds(_: SessionId, _: &[EventRecord]) -> Result<(), String> {
    Ok(())
}

fn is_damaged(summary: &SessionSummary) -> bool {
    matches!(summary.status, SessionStatus::Damaged { .. })
}

/// Whether a session can be read and goes on.
async fn works(store: &Store, session: SessionId) -> bool {
    let read = store.events(session, Seq::ZERO, None).await;
    let Ok(records) = read else { return false };
    let next = records.len() as u64 + 1;
    let summary = Some(summary(session, 1000));
    store
        .append(Append { session, records: texts(next, &["more"]), summary, spent: Vec::new() })
        .await
        .is_ok()
}

#[tokio::test]
async fn a_session_with_a_damaged_page_is_set_aside_and_the_others_go_on() {
    let fixture = Fixture::new();
    let database = fixture.options().database;
    let [one, two, three] = filled(&fixture, 3).await[..] else { panic!("three") };
    ruin(&database, leaves_with(&database, "<session 2>").await[3]);

    let store = fixture.open().await;
    let refused = store.events(two, Seq::ZERO, None).await.expect_err("damaged");
    assert!(matches!(&refused, StoreError::Damaged { session, .. } if *session == two), "{refused:?}");
    let answer = ProtocolError::from(refused);
    assert_eq!(answer.code, ErrorCode::Internal);
    assert!(answer.hint.is_some_and(|hint| hint.contains("skein doctor")));
    // Also what could still be read or written of it: nothing is made worse.
    let last = store.events(two, Seq(29), None).await;
    assert!(matches!(last, Err(StoreError::Damaged { .. })), "{last:?}");
    let more = store.append(append(two, texts(31, &["more"]))).await;
    assert!(matches!(more, Err(StoreError::Damaged { .. })), "{more:?}");
    assert!(works(&store, one).await && works(&store, three).await);
    let listed = list(&store).await;
    assert_eq!(listed.values().map(is_damaged).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(listed[&two].title.as_deref(), Some("a title"), "it is still known by its name");

    // The next daemon knows at once.
    store.close().await;
    let store = fixture.open().await;
    assert!(is_damaged(&list(&store).await[&two]));
}

#[tokio::test]
async fn a_damaged_session_is_not_among_those_to_recover() {
    let fixture = Fixture::new();
    let database = fixture.options().database;
    let store = fixture.open().await;
    let turn_id = TurnId::generate();
    let (good, bad) = (SessionId::generate(), SessionId::generate());
    for (session, text) in [(good, "good"), (bad, "bad")] {
        let running = SessionSummary { status: SessionStatus::Running { turn_id }, ..summary(session, 1) };
        let append =
            Append { session, records: texts(1, &[text]), summary: Some(running), spent: Vec::new() };
        store.append(append).await.expect("append");
    }
    tamper(&database, "UPDATE event SET body = '{\"type\":' WHERE body LIKE '%bad%'").await;
    assert_eq!(store.active().await.expect("active").len(), 2, "nobody has looked at it yet");
    let refused = store.events(bad, Seq::ZERO, None).await;
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
    assert_eq!(store.active().await.expect("active"), [good]);
}

#[tokio::test]
async fn every_kind_of_unreadable_event_is_damage() {
    for sql in [
        "DELETE FROM event WHERE seq = 2",
        "UPDATE event SET body = '' WHERE seq = 2",
        "UPDATE event SET body = '{' WHERE seq = 2",
        "UPDATE event SET body = CAST(x'22ff22' AS TEXT) WHERE seq = 2",
        "UPDATE event SET seq = 7 WHERE seq = 3",
    ] {
        let fixture = Fixture::new();
        let store = fixture.open().await;
        let session = SessionId::generate();
        store.append(append(session, texts(1, &["a", "b", "c"]))).await.expect("append");
        tamper(&fixture.options().database, sql).await;
        let read = store.events(session, Seq::ZERO, None).await;
        assert!(matches!(read, Err(StoreError::Damaged { .. })), "{sql}: {read:?}");
    }
}

#[tokio::test]
async fn a_session_that_can_be_read_again_is_taken_back() {
    let fixture = Fixture::new();
    let database = fixture.options().database;
    let [session] = filled(&fixture, 1).await[..] else { panic!("one") };
    let whole = fs::read(&database).expect("read");
    ruin(&database, leaves_with(&database, "<session 1>").await[3]);
    let store = fixture.open().await;
    let found = store.check(folds).await;
    assert!(found.is_complete);
    assert!(found.problems.iter().any(|problem| problem.session_id == Some(session)), "{found:?}");
    assert!(found.problems.iter().all(|problem| !problem.hint.is_empty()), "{found:?}");
    assert!(!works(&store, session).await);
    store.close().await;

    // A copy from before, with the note that the session is damaged.
    fs::write(&database, whole).expect("write");
    let id = format!("{:x}", session.0.as_simple());
    let note = format!("INSERT INTO damaged (session_id, reason, at) VALUES (x'{id}', 'a page', 1)");
    tamper(&database, Box::leak(note.into_boxed_str())).await;
    let store = fixture.open().await;
    assert!(!works(&store, session).await);
    let found = store.check(folds).await;
    assert_eq!((found.problems.len(), found.is_complete), (0, true), "{found:?}");
    assert!(works(&store, session).await);
    store.close().await;
    assert!(works(&fixture.open().await, session).await);
}

#[tokio::test]
async fn a_look_for_damage_ends_in_time() {
    let fixture = Fixture::new();
    let sessions = filled(&fixture, 40).await;
    let store = fixture.open().await;
    let hurried = store.check_within(Duration::ZERO, folds).await;
    assert_eq!((hurried.problems.len(), hurried.is_complete), (0, false));
    // Nobody else is made to stop.
    assert!(works(&store, sessions[0]).await);
    assert!(store.check(folds).await.is_complete);
}

#[tokio::test]
async fn a_damaged_session_can_be_deleted_unless_its_pages_are_gone() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    store.append(append(session, texts(1, &["a", "b", "c"]))).await.expect("append");
    tamper(&fixture.options().database, "DELETE FROM event WHERE seq = 2").await;
    assert!(store.events(session, Seq::ZERO, None).await.is_err());
    store.delete(session).await.expect("delete");
    assert_eq!(store.check(folds).await.problems, []);
    store.append(append(session, texts(1, &["anew"]))).await.expect("append");
}

#[tokio::test]
async fn a_damaged_row_costs_its_sessions_only() {
    let fixture = Fixture::new();
    let database = fixture.options().database;
    let sessions = filled(&fixture, 40).await;
    let pages = leaves(&database, "session").await;
    assert!(pages.len() > 3, "{pages:?}");
    ruin(&database, pages[1]);
    let store = fixture.open().await;
    let listed = list(&store).await;
    assert_eq!(listed.len(), sessions.len(), "all are listed");
    let damaged = listed.values().filter(|summary| is_damaged(summary)).count();
    assert!((1..sessions.len() / 2).contains(&damaged), "{damaged} are damaged");
    for summary in listed.values() {
        assert_eq!(works(&store, summary.id).await, !is_damaged(summary));
    }
    assert_eq!(store.active().await.expect("active"), []);
}

#[tokio::test]
async fn a_damaged_index_of_lists_is_read_around() {
    let fixture = Fixture::new();
    let database = fixture.options().database;
    let sessions = filled(&fixture, 200).await;
    let pages = leaves(&database, "session_list").await;
    assert!(pages.len() > 1, "{pages:?}");
    for page in pages {
        ruin(&database, page);
    }
    let store = fixture.open().await;
    let params = SessionListParams { limit: Some(3), ..SessionListParams::default() };
    let newest: Vec<_> = store.list(&params).await.expect("list").iter().map(|it| it.updated_at.0).collect();
    assert_eq!(newest, [200, 199, 198]);
    assert_eq!(list(&store).await.values().filter(|summary| is_damaged(summary)).count(), 0);
    assert_eq!(store.events(sessions[7], Seq::ZERO, None).await.expect("read").len(), 30);
}

#[tokio::test]
async fn a_summary_that_is_unreadable_sets_its_session_aside() {
    let fixture = Fixture::new();
    let sessions = filled(&fixture, 3).await;
    let database = fixture.options().database;
    tamper(&database, "UPDATE session SET summary = CAST(x'7bff' AS TEXT) WHERE updated_at = 2").await;
    let store = fixture.open().await;
    let listed = list(&store).await;
    assert_eq!(sessions.iter().map(|id| is_damaged(&listed[id])).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(listed[&sessions[1]].settings.cwd, Path::new("/repo"), "what can be read is shown");
}

#[tokio::test]
async fn what_only_speeds_up_reading_may_be_lost() {
    let fixture = Fixture::new();
    let database = fixture.options().database;
    let session = SessionId::generate();
    let store = fixture.open().await;
    let mut records = texts(1, &["a"]);
    records.extend([turn_started(2), turn_started(3)]);
    store.append(append(session, records)).await.expect("append");
    store.save_checkpoint(session, Checkpoint { seq: Seq(3), body: "state".into() }).await.expect("save");
    store.close().await;
    for table in ["turn", "checkpoint"] {
        for page in leaves(&database, table).await {
            ruin(&database, page);
        }
    }
    let store = fixture.open().await;
    assert_eq!(store.checkpoint(session).await.expect("checkpoint"), None);
    assert_eq!(store.turn_starts(session, 1).await.expect("turns"), [Seq(3)]);
    assert_eq!(store.events(session, Seq::ZERO, None).await.expect("events").len(), 3);
}

#[tokio::test]
async fn damage_to_what_all_share_is_told_and_sets_nothing_aside() {
    let fixture = Fixture::new();
    let database = fixture.options().database;
    let sessions = filled(&fixture, 40).await;
    for page in leaves(&database, "session_list").await {
        ruin(&database, page);
    }
    let store = fixture.open().await;
    let summary = Some(summary(sessions[0], 5000));
    let refused = store
        .append(Append { session: sessions[0], records: texts(31, &["x"]), summary, spent: Vec::new() })
        .await;
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })), "{refused:?}");
    assert_eq!(store.events(sessions[0], Seq::ZERO, None).await.expect("read").len(), 30, "none of it");
    let found = store.check(folds).await;
    assert!(!found.problems.is_empty());
    assert!(found.problems.iter().all(|problem| problem.session_id.is_none()), "{found:?}");
}

#[tokio::test]
async fn a_damaged_schema_is_refused_and_left_alone() {
    let fixture = Fixture::new();
    let database = fixture.options().database;
    filled(&fixture, 1).await;
    let whole = fs::read(&database).expect("read");
    for range in [0..16, 16..100, 100..PAGE_BYTES] {
        let mut bytes = whole.clone();
        bytes[range.clone()].fill(0xA5);
        fs::write(&database, &bytes).expect("write");
        let refused = Store::open(fixture.options()).await.err().expect("refused");
        assert!(matches!(refused, StoreError::Corrupt { .. }), "{range:?}: {refused:?}");
        assert!(refused.hint().is_some_and(|hint| hint.contains("Move the database away")));
        assert!(fs::read(&database).expect("read") == bytes, "{range:?}: it was changed");
    }
}

/// A database as a killed daemon leaves it, with 20 events in its `-wal` file, and the session.
async fn killed() -> (Fixture, SessionId) {
    let (running, left) = (Fixture::new(), Fixture::new());
    let store = running.open().await;
    let session = SessionId::generate();
    for seq in 1..=20 {
        store.append(append(session, texts(seq, &[&"x".repeat(2000)]))).await.expect("append");
    }
    for name in ["skein.db", "skein.db-wal"] {
        fs::copy(running.scratch.path().join(name), left.scratch.path().join(name)).expect("copy");
    }
    (left, session)
}

#[tokio::test]
async fn a_torn_wal_file_keeps_whole_commits_only() {
    let (fixture, session) = killed().await;
    let (database, wal) = (fixture.options().database, fixture.scratch.path().join("skein.db-wal"));
    let (whole_database, whole) = (fs::read(&database).expect("read"), fs::read(&wal).expect("read"));
    let mut lengths = Vec::new();
    for part in [100, 97, 60, 50, 20] {
        // Not at the edge of a page, but for the first.
        fs::write(&wal, &whole[..whole.len() * part / 100]).expect("write");
        fs::write(&database, &whole_database).expect("write");
        match Store::open(fixture.options()).await {
            Ok(store) => {
                let read = store.events(session, Seq::ZERO, None).await.expect("whole commits");
                lengths.push(read.len());
                assert_eq!(store.check(folds).await.problems, []);
                store.append(append(session, texts(read.len() as u64 + 1, &["x"]))).await.expect("goes on");
                store.close().await;
            }
            Err(error) => panic!("{part}: {error:?}"),
        }
    }
    assert!(lengths[0] == 20 && lengths.is_sorted_by(|a, b| a >= b) && lengths[2] < 20, "{lengths:?}");
}

#[tokio::test]
async fn an_emptied_database_is_not_taken_for_a_new_one() {
    let (fixture, session) = killed().await;
    let (database, wal) = (fixture.options().database, fixture.scratch.path().join("skein.db-wal"));
    let (whole, left) = (fs::read(&database).expect("read"), fs::read(&wal).expect("read"));
    for is_there in [true, false] {
        if is_there {
            fs::write(&database, "").expect("empty");
        } else {
            fs::remove_file(&database).expect("remove");
        }
        let refused = Store::open(fixture.options()).await.err().expect("refused");
        assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
        assert!(fs::read(&wal).expect("read") == left, "it was changed");
    }
    fs::write(&database, whole).expect("put back");
    assert_eq!(fixture.open().await.events(session, Seq::ZERO, None).await.expect("read").len(), 20);
}

#[tokio::test]
async fn the_wal_file_of_another_database_is_noticed() {
    let (other, _) = killed().await;
    let fixture = Fixture::new();
    let sessions = filled(&fixture, 30).await;
    let (database, wal) = (fixture.options().database, fixture.scratch.path().join("skein.db-wal"));
    fs::copy(other.scratch.path().join("skein.db-wal"), &wal).expect("copy");
    let (before, left) = (fs::read(&database).expect("read"), fs::read(&wal).expect("read"));
    let refused = Store::open(fixture.options()).await.err().expect("refused");
    assert!(matches!(refused, StoreError::Corrupt { .. }), "{refused:?}");
    assert!(fs::read(&database).expect("read") == before && fs::read(&wal).expect("read") == left);
    fs::remove_file(&wal).expect("remove");
    assert_eq!(list(&fixture.open().await).await.len(), sessions.len());
}

#[tokio::test]
async fn damage_that_is_still_an_event_is_found() {
    for sql in [
        "UPDATE event SET body = replace(body, 'b', 'B') WHERE seq = 2",
        "UPDATE event SET at = at + 1 WHERE seq = 2",
        "UPDATE event SET request_id = randomblob(16) WHERE seq = 2",
        "UPDATE event SET checksum = checksum + 1 WHERE seq = 2",
    ] {
        let fixture = Fixture::new();
        let store = fixture.open().await;
        let (hurt, well) = (SessionId::generate(), SessionId::generate());
        for session in [hurt, well] {
            store.append(append(session, texts(1, &["a", "b", "c"]))).await.expect("append");
        }
        let id = format!("{:x}", hurt.0.as_simple());
        let sql = format!("{sql} AND session_id = x'{id}'");
        tamper(&fixture.options().database, Box::leak(sql.clone().into_boxed_str())).await;
        let found = store.check(folds).await;
        let sessions: Vec<_> = found.problems.iter().map(|problem| problem.session_id).collect();
        assert_eq!((sessions, found.is_complete), (vec![Some(hurt)], true), "{sql}");
        assert!(!works(&store, hurt).await && works(&store, well).await, "{sql}");
    }
}

#[tokio::test]
async fn events_from_before_checksums_are_still_read() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    store.append(append(session, texts(1, &["a", "b", "c"]))).await.expect("append");
    tamper(&fixture.options().database, "UPDATE event SET checksum = NULL").await;
    assert!(works(&store, session).await);
    assert_eq!(store.check(folds).await.problems, []);
}

#[tokio::test]
async fn a_log_that_makes_no_sense_stays_aside_until_it_does() {
    let fixture = Fixture::new();
    let [session] = filled(&fixture, 1).await[..] else { panic!("one") };
    let store = fixture.open().await;
    store.set_aside(session, "It does not fold".to_owned()).await;
    let found = store.check(|_, _| Err("Still not".to_owned())).await;
    assert_eq!(found.problems[0].session_id, Some(session));
    assert!(!works(&store, session).await);
    assert_eq!(store.check(folds).await.problems, []);
    assert!(works(&store, session).await);
}

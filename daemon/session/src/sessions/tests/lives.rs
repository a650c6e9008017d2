//! How sessions are loaded, leave the memory and go.

use protocol::error::ErrorCode;
use protocol::ids::SessionId;
use protocol::session::{SessionListParams, SessionSettings, SessionStatus};
use protocol::turn::InterruptReason;

use super::fixture::{Bench, attach, calls, is_end, open, person, says, settings, start, until};
use crate::input::Request;
use crate::outbox::End;
use crate::sessions::NewSession;

#[tokio::test]
async fn a_deleted_session_is_gone_for_all_and_a_running_one_is_not_deleted() {
    let bench = Bench::new([calls("hang")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    let error = bench.sessions.delete(session.id(), person(), None).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::Conflict);
    let request = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    session.request(person(), None, request).await.expect("interrupted");
    until(&mut feed, is_end).await;
    bench.sessions.delete(session.id(), person(), None).await.expect("deleted");
    let Err(End::Closed(Some(error))) = feed.next().await else { panic!("the feed goes on") };
    assert_eq!(error.code, ErrorCode::NotFound);
    let error = session.summary().await.expect_err("gone");
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_session_whose_log_is_damaged_is_set_aside_and_can_be_deleted() {
    let mut bench = Bench::new([]).await;
    let titled = |title: &str| NewSession {
        id: SessionId::generate(),
        actor: person(),
        title: Some(title.to_owned()),
        settings: settings(),
        instructions: Vec::new(),
        agent: None,
    };
    let (sound, broken) = (titled("sound"), titled("broken"));
    let (sound_id, broken_id) = (sound.id, broken.id);
    for new in [sound, broken] {
        bench.sessions.create(new).await.expect("session");
    }
    bench.sessions.drain(false).await;
    bench.sessions = open(&tempfile::tempdir().expect("folder"), &bench.script).await;
    let database = bench.folder.path().join("skein.db");
    while database.with_extension("db-wal").exists() {
        tokio::task::yield_now().await;
    }
    let mut bytes = std::fs::read(&database).expect("database");
    let places = (0..bytes.len() - 6).filter(|&place| &bytes[place..place + 6] == b"broken");
    for place in places.collect::<Vec<_>>() {
        bytes[place] = 0xff;
    }
    std::fs::write(&database, bytes).expect("damage");

    bench.after_a_crash().await;
    let listed = bench.sessions.list(&SessionListParams::default()).await.expect("list");
    let damaged = |id| {
        let summary = listed.iter().find(|summary| summary.id == id).expect("it is listed");
        matches!(summary.status, SessionStatus::Damaged { .. })
    };
    assert!(damaged(broken_id) && !damaged(sound_id), "{listed:?}");
    let refused = bench.sessions.open(broken_id).await.map(|_| ()).expect_err("refused");
    assert!(refused.code == ErrorCode::Internal && refused.hint.is_some(), "{refused:?}");
    bench.sessions.open(sound_id).await.expect("the other one");
    bench.sessions.delete(broken_id, person(), None).await.expect("deleted");
    let listed = bench.sessions.list(&SessionListParams::default()).await.expect("list");
    assert_eq!(listed.iter().map(|summary| summary.id).collect::<Vec<_>>(), [sound_id]);
}

#[tokio::test]
async fn a_session_to_be_forgotten_goes_with_its_last_client() {
    let bench = Bench::new([says("hi")]).await;
    let session = bench.session_with(SessionSettings { is_ephemeral: true, ..settings() }).await;
    let mut activity = bench.sessions.activity();
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, is_end).await;
    drop(feed);
    activity.wait_for(|counts| counts.loaded == 0).await.expect("it ends");
    let error = bench.sessions.open(session.id()).await.err().expect("gone");
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn many_who_open_a_session_at_once_share_one_actor() {
    let mut bench = Bench::new([]).await;
    let id = bench.session().await.id();
    bench.after_a_crash().await;
    let opened = futures_util::future::join_all((0..50).map(|_| bench.sessions.open(id))).await;
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(bench.sessions.counts().loaded, 1);
}

#[tokio::test]
async fn a_session_at_rest_leaves_the_memory_and_an_old_handle_still_works() {
    let bench = Bench::new([says("hi")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, is_end).await;
    drop(feed);
    let mut activity = bench.sessions.activity();
    activity.wait_for(|counts| counts.attached == 0).await.expect("nobody is attached");
    tokio::time::pause();
    tokio::time::advance(crate::actor::UNLOAD_AFTER * 2).await;
    tokio::time::resume();
    activity.wait_for(|counts| counts.loaded == 0).await.expect("it leaves");
    assert_eq!(session.summary().await.expect("summary").turn_count, 1);
    assert_eq!(bench.sessions.counts().loaded, 1);
}

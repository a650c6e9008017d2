//! Several clients of one session: who is there, and who writes.

use protocol::delta::FeedEntry;
use protocol::error::ErrorCode;
use protocol::ids::{RequestId, Seq, Timestamp};
use protocol::session::{Attachment, ClientRole, Presence};
use protocol::turn::InterruptReason;

use super::fixture::{Bench, attach, attachment, person, says};
use crate::handle::{FeedStart, Wish};
use crate::input::Request;

fn presence(entries: &[FeedEntry]) -> Option<Presence> {
    entries.iter().rev().find_map(|entry| match entry {
        FeedEntry::Presence(presence) => Some(presence.clone()),
        FeedEntry::Event(_) | FeedEntry::Delta(_) | FeedEntry::Budget(_) | FeedEntry::Unknown(_) => None,
    })
}

#[tokio::test]
async fn everybody_sees_who_comes_and_goes() {
    let bench = Bench::new([]).await;
    let session = bench.session().await;
    let mut first = attach(&session, None).await;
    let FeedStart::Snapshot(snapshot) = &first.first else { panic!("no snapshot") };
    assert_eq!(snapshot.presence.attached.len(), 1);
    let second = attach(&session, None).await;
    let FeedStart::Snapshot(snapshot) = &second.first else { panic!("no snapshot") };
    assert_eq!(snapshot.presence.attached.len(), 2);
    let mut seen = Vec::new();
    while presence(&seen).is_none_or(|presence| presence.attached.len() < 2) {
        seen.extend(first.next().await.expect("feed"));
    }
    let mut resumed = attach(&session, Some(Seq(1))).await;
    let there = presence(&resumed.next().await.expect("feed")).expect("it is told without a snapshot too");
    assert_eq!(there.attached.len(), 3);
    drop(resumed);
    drop(second);
    while presence(&seen).is_none_or(|presence| presence.attached.len() > 1) {
        seen.extend(first.next().await.expect("feed"));
    }
}

#[tokio::test]
async fn a_viewer_changes_nothing() {
    let bench = Bench::new([]).await;
    let session = bench.session().await;
    let viewer = attachment(ClientRole::Viewer);
    let actor = viewer.actor.clone();
    let _feed = session.attach(viewer, None).await.expect("feed");
    let interrupt = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    for request in [interrupt, Request::Archive] {
        let error = session.request(actor.clone(), None, request).await.expect_err("refused");
        assert_eq!(error.code, ErrorCode::Denied);
    }
    let error = session.drive(actor.clone(), None, Wish::TakeOver).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::Denied);
    let error = bench.sessions.delete(session.id(), actor, None).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::Denied);
}

#[tokio::test]
async fn who_takes_over_is_the_only_one_who_writes_until_they_leave() {
    let bench = Bench::new([says("hi"), says("hi")]).await;
    let session = bench.session().await;
    let mut others = attach(&session, None).await;
    let (sole, other) = (attachment(ClientRole::Driver), person());
    let actor = sole.actor.clone();
    let feed = session.attach(sole, None).await.expect("feed");
    session.drive(actor.clone(), None, Wish::TakeOver).await.expect("taken over");
    let error = session.drive(other.clone(), None, Wish::TakeOver).await.expect_err("does not follow");
    assert_eq!(error.code, ErrorCode::Conflict);
    let archive = || Request::Archive;
    let error = session.request(other.clone(), None, archive()).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::Denied);
    let interrupt = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    session.request(other.clone(), None, interrupt).await.expect("interrupting stays open");
    session.request(actor, None, archive()).await.expect("archived");
    drop(feed);
    loop {
        let entries = others.next().await.expect("feed");
        if presence(&entries)
            .is_some_and(|presence| presence.attached.len() == 1 && presence.sole_driver.is_none())
        {
            break;
        }
    }
    session.request(other, None, Request::Unarchive).await.expect("free again");
}

#[tokio::test]
async fn a_wish_to_drive_is_carried_out_once_over_one_connection() {
    let bench = Bench::new([]).await;
    let session = bench.session().await;
    let actor = person();
    let attachment = Attachment {
        actor: actor.clone(),
        version: "1".into(),
        role: ClientRole::Driver,
        can_answer: true,
        attached_at: Timestamp(0),
        is_focused: false,
    };
    let _feed = session.attach(attachment, None).await.expect("feed");
    let id = Some(RequestId::generate());
    session.drive(actor.clone(), id, Wish::TakeOver).await.expect("taken over");
    session.drive(actor.clone(), Some(RequestId::generate()), Wish::Release).await.expect("released");
    session.drive(actor, id, Wish::TakeOver).await.expect("asked again");
    assert_eq!(session.read(0, 0).await.expect("snapshot").presence.sole_driver, None);
}

//! What the next daemon knows of a session whose daemon ended.

use std::sync::Arc;

use protocol::error::ErrorCode;
use protocol::event::Event;
use protocol::ids::RequestId;
use protocol::item::ItemStatus;
use protocol::question::{Decision, GrantScope};
use protocol::session::SessionStatus;
use protocol::turn::{InputPart, InterruptReason, TurnLimits, TurnOutcome};
use tokio::sync::Notify;

use super::fixture::{Bench, Piece, attach, calls, events, is_end, person, says, start, until};
use crate::handle::FeedStart;
use crate::input::Request;
use crate::outbox::End;

#[tokio::test]
async fn after_a_crash_the_turn_says_where_it_stopped() {
    let mut bench = Bench::new([calls("hang")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, |event| matches!(event, Event::ModelResponded(_))).await;
    bench.after_a_crash().await;
    let session = bench.sessions.open(session.id()).await.expect("session");
    let snapshot = session.read(0, 10).await.expect("snapshot");
    assert_eq!(snapshot.summary.status, SessionStatus::Idle);
    let turn = &snapshot.turns[0];
    assert!(
        matches!(
            &turn.outcome,
            Some(TurnOutcome::Interrupted { reason: InterruptReason::DaemonStopped, .. })
        ),
        "{:?}",
        turn.outcome
    );
    assert_eq!(turn.items[1].status, ItemStatus::Interrupted);
    start(&session, "go on").await;
}

#[tokio::test]
async fn a_question_outlives_the_daemon() {
    let mut bench = Bench::new([calls("escalate"), says("done")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, |event| matches!(event, Event::QuestionAsked(_))).await;
    bench.after_a_crash().await;
    let open = bench.sessions.questions(None).await.expect("questions");
    assert_eq!(open.len(), 1);
    let session = bench.sessions.with_question(open[0].question.id).await.expect("session");
    let mut feed = attach(&session, None).await;
    let decision = Decision::Allow { scope: GrantScope::Once };
    let answer = Request::Answer { question_id: open[0].question.id, decision };
    session.request(person(), None, answer.clone()).await.expect("answered");
    let seen = events(&until(&mut feed, is_end).await);
    assert!(
        matches!(&seen.last().expect("end").event, Event::TurnEnded(ended) if ended.outcome == TurnOutcome::Completed)
    );
    let late = session.request(person(), None, answer).await.expect_err("too late");
    assert_eq!(late.code, ErrorCode::Conflict);
}

#[tokio::test]
async fn a_turn_that_is_handed_over_goes_on_in_the_next_daemon() {
    let gate = Arc::new(Notify::new());
    let slow = vec![Piece::Gate(gate)];
    let mut bench = Bench::new([slow, says("done")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, |event| matches!(event, Event::ModelRequested(_))).await;
    bench.sessions.drain(true).await;
    let end = loop {
        match feed.next().await {
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    assert!(matches!(&end, End::Closed(Some(error)) if error.code == ErrorCode::Unavailable), "{end:?}");
    let last = bench.log(&session).await.pop().expect("log");
    assert!(matches!(last.event, Event::TurnSuspended(_)), "{last:?}");
    bench.after_a_crash().await;
    let session = bench.sessions.open(session.id()).await.expect("session");
    let mut feed = attach(&session, Some(last.seq)).await;
    let mut seen = match &feed.first {
        FeedStart::Events(missed) => missed.clone(),
        FeedStart::Snapshot(_) => panic!("no events"),
    };
    if !seen.iter().any(|record| is_end(&record.event)) {
        seen.extend(events(&until(&mut feed, is_end).await));
    }
    assert!(matches!(&seen[0].event, Event::TurnResumed(resumed) if resumed.was_handed_over), "{seen:?}");
    assert!(
        matches!(&seen.last().expect("end").event, Event::TurnEnded(ended) if ended.outcome == TurnOutcome::Completed)
    );
}

#[tokio::test]
async fn a_request_that_was_sent_before_a_crash_is_known_after_it() {
    let mut bench = Bench::new([calls("hang")]).await;
    let session = bench.session().await;
    let (id, actor) = (RequestId::generate(), person());
    let input = vec![InputPart::Text { text: "go".into() }];
    let request =
        Request::Start { input, output_schema: None, limits: TurnLimits::default(), expected_seq: None };
    let first = session.request(actor.clone(), Some(id), request.clone()).await.expect("started");
    bench.after_a_crash().await;
    let session = bench.sessions.open(session.id()).await.expect("session");
    assert_eq!(session.request(actor, Some(id), request).await.expect("answered"), first);
    assert_eq!(session.read(0, 10).await.expect("snapshot").turns.len(), 1);
}

#[tokio::test]
async fn a_session_is_deleted_once_for_a_request_that_is_sent_again() {
    let mut bench = Bench::new([]).await;
    let (one, two) = (bench.session().await.id(), bench.session().await.id());
    let (first, second) = (Some(RequestId::generate()), Some(RequestId::generate()));
    bench.sessions.delete(one, person(), first).await.expect("deleted");
    bench.sessions.delete(one, person(), first).await.expect("asked again");
    bench.after_a_crash().await;
    bench.sessions.delete(one, person(), first).await.expect("asked again of the next daemon");
    let error = bench.sessions.delete(one, person(), second).await.expect_err("somebody else");
    assert_eq!(error.code, ErrorCode::NotFound);
    bench.sessions.open(two).await.expect("the other one is still there");
}

#[tokio::test]
async fn an_interrupt_that_found_nothing_is_remembered_by_the_next_daemon() {
    let mut bench = Bench::new([says("done")]).await;
    let session = bench.session().await;
    let id = RequestId::generate();
    let interrupt = || Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    let first = session.request(person(), Some(id), interrupt()).await.expect("nothing to interrupt");
    bench.after_a_crash().await;
    let session = bench.sessions.open(session.id()).await.expect("session");
    assert_eq!(session.request(person(), Some(id), interrupt()).await.expect("again"), first);
}

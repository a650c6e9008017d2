//! Turns from their start to whatever ends them.

use model::request::InputItem;
use protocol::error::ErrorCode;
use protocol::event::{Event, EventRecord};
use protocol::item::ItemStatus;
use protocol::turn::{InputPart, InterruptReason, TurnLimits, TurnOutcome};

use super::fixture::{Bench, attach, calls, events, is_end, person, says, start, until};
use crate::census::Counts;
use crate::handle::FeedStart;
use crate::input::Request;

#[tokio::test]
async fn an_interrupt_ends_what_runs() {
    let bench = Bench::new([calls("hang")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, |event| matches!(event, Event::ModelResponded(_))).await;
    let request = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    session.request(person(), None, request).await.expect("interrupted");
    let seen = events(&until(&mut feed, is_end).await);
    assert!(matches!(&seen.last().expect("end").event, Event::TurnEnded(ended)
        if matches!(ended.outcome, TurnOutcome::Interrupted { reason: InterruptReason::Requested, .. })));
}

#[tokio::test]
async fn a_tool_that_fails_inside_ends_and_the_turn_goes_on() {
    let bench = Bench::new([calls("panic"), says("oh")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    let seen = events(&until(&mut feed, is_end).await);
    let failed = |record: &&EventRecord| matches!(&record.event, Event::ItemCompleted(changed) if changed.item.status == ItemStatus::Failed);
    assert_eq!(seen.iter().filter(failed).count(), 1);
    assert_eq!(bench.requests().len(), 2);
}

#[tokio::test]
async fn a_long_session_is_loaded_from_its_end_and_the_model_still_sees_all_of_it() {
    const TURNS: usize = 40;
    let mut bench = Bench::new((0..=TURNS).map(|number| says(&format!("answer {number}")))).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    for number in 0..TURNS {
        start(&session, &format!("input {number}")).await;
        until(&mut feed, is_end).await;
    }
    drop(feed);
    bench.sessions.drain(false).await;
    bench.after_a_crash().await;
    let session = bench.sessions.open(session.id()).await.expect("session");
    let mut feed = attach(&session, None).await;
    let FeedStart::Snapshot(snapshot) = &feed.first else { panic!("no snapshot") };
    assert_eq!((snapshot.turns.len(), snapshot.earlier_turns), (20, 20));
    assert_eq!(snapshot.summary.turn_count, 40);
    start(&session, "and now?").await;
    until(&mut feed, is_end).await;
    let asked = bench.requests().pop().expect("request");
    assert_eq!(asked.input.len(), 2 * TURNS + 1);
    assert_eq!(
        asked.input[0],
        InputItem::UserMessage(vec![model::request::InputContent::Text("input 0".into())])
    );
    let first = session.read(40, 1).await.expect("page");
    assert_eq!((first.turns.len(), first.earlier_turns), (1, 0));
}

#[tokio::test]
async fn a_stopping_daemon_takes_no_new_turns() {
    let bench = Bench::new([]).await;
    let session = bench.session().await;
    bench.sessions.drain(false).await;
    let input = vec![InputPart::Text { text: "go".into() }];
    let request =
        Request::Start { input, output_schema: None, limits: TurnLimits::default(), expected_seq: None };
    let error = session.request(person(), None, request).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert_eq!(bench.sessions.counts(), Counts::default());
}

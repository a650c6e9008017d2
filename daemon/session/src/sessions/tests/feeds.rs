//! What clients see of a session: all of it, in order, once, from wherever they begin.

use std::sync::Arc;

use model::event::{ModelEvent, OutputItem};
use model::request::{InputItem, text_of};
use protocol::error::ErrorCode;
use protocol::event::Event;
use protocol::ids::Seq;
use protocol::item::ItemBody;
use protocol::session::ClientRole;
use tokio::sync::Notify;

use super::fixture::{
    Bench, Piece, attach, attachment, calls, completed, events, is_end, says, start, until,
};
use crate::handle::FeedStart;
use crate::outbox::End;

#[tokio::test]
async fn what_a_client_sees_is_what_the_log_has() {
    let bench = Bench::new([calls("one"), says("done")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    let seq = start(&session, "go").await;
    assert_eq!(seq, Seq(2));
    let seen = events(&until(&mut feed, is_end).await);
    assert_eq!(seen, bench.log(&session).await[1..]);
    let requests = bench.requests();
    assert_eq!(requests.len(), 2);
    let InputItem::ToolOutput { output, .. } = requests[1].input.last().expect("input") else {
        panic!("no output")
    };
    assert_eq!(text_of(output), "echo one");
}

#[tokio::test]
async fn a_late_client_sees_the_whole_turn_and_nothing_twice() {
    let gate = Arc::new(Notify::new());
    let piece = |text: &str| Piece::Event(ModelEvent::TextDelta { index: 0, text: text.into() });
    let whole = ModelEvent::OutputItem { index: 0, item: OutputItem::Message("first second".into()) };
    let answer = vec![
        piece("first"),
        Piece::Gate(Arc::clone(&gate)),
        piece(" second"),
        Piece::Event(whole),
        completed(),
    ];
    let bench = Bench::new([answer]).await;
    let session = bench.session().await;
    let mut early = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut early, |event| matches!(event, Event::ItemStarted(_))).await;
    let mut late = attach(&session, None).await;
    let FeedStart::Snapshot(snapshot) = &late.first else { panic!("no snapshot") };
    let ItemBody::AgentMessage(message) = &snapshot.turns[0].items[1].body else { panic!("no message") };
    let text = message.text.clone();
    assert!(text.is_empty() || text == "first", "{text}");
    let seq = snapshot.summary.seq;
    let mut resumed = attach(&session, Some(Seq(1))).await;
    let FeedStart::Events(missed) = &resumed.first else { panic!("no events") };
    let mut all = missed.clone();
    gate.notify_one();
    let rest = events(&until(&mut late, is_end).await);
    let log = bench.log(&session).await;
    assert_eq!(rest.first().map(|record| record.seq), Some(seq.next()));
    assert_eq!(rest, log[usize::try_from(seq.0).expect("fits")..]);
    all.extend(events(&until(&mut resumed, is_end).await));
    assert_eq!(all, log[1..]);
}

#[tokio::test]
async fn a_place_beyond_the_log_is_refused() {
    let bench = Bench::new([]).await;
    let session = bench.session().await;
    let attachment = attachment(ClientRole::Driver);
    let error = session.attach(attachment, Some(Seq(2))).await.err().expect("refused");
    assert_eq!(error.code, ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn a_client_that_does_not_read_lags_and_the_session_goes_on() {
    const TURNS: usize = 250;
    let bench = Bench::new((0..TURNS).map(|_| says("x"))).await;
    let session = bench.session().await;
    let mut lagging = attach(&session, None).await;
    let mut reading = attach(&session, None).await;
    for _ in 0..TURNS {
        start(&session, "go").await;
        until(&mut reading, is_end).await;
    }
    let end = loop {
        match lagging.next().await {
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    let End::Lagged(lagged) = end else { panic!("{end:?}") };
    let resumed = attach(&session, Some(Seq(lagged.from.0 - 1))).await;
    let FeedStart::Events(missed) = &resumed.first else { panic!("no events") };
    assert_eq!(missed.first().map(|record| record.seq), Some(lagged.from));
    assert_eq!(
        missed.last().map(|record| record.seq),
        bench.log(&session).await.last().map(|record| record.seq)
    );
}

//! What was spent, summed up.

use protocol::ids::{SessionId, Timestamp};
use protocol::model::Usage;
use protocol::usage::Spending;

use super::fixture::{Fixture, append, texts};
use crate::{Append, Spent, Store, UsageBy, UsageFilter, day_of};

const DAY: u64 = 86_400_000;

fn spent(day: u64, model: &str, input_tokens: u64, cost: f64) -> Spent {
    let usage = Usage { input_tokens, ..Usage::default() };
    let spending = Spending {
        requests: 1,
        untold_requests: 1,
        tool_calls: 2,
        time_ms: 30,
        usage,
        cost,
        ..Spending::default()
    };
    Spent { at: Timestamp(day * DAY + 5), provider: "p".into(), model: model.into(), spending }
}

async fn spend(store: &Store, session: SessionId, seq: u64, spent: Vec<Spent>) {
    let append = Append { spent, ..append(session, texts(seq, &["a"])) };
    store.append(append).await.expect("append");
}

#[tokio::test]
async fn what_was_spent_is_summed_up_by_day_session_and_model() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (one, two) = (SessionId::generate(), SessionId::generate());
    spend(&store, one, 1, vec![spent(10, "a", 5, 1.0), spent(10, "a", 6, 0.5)]).await;
    spend(&store, one, 2, vec![spent(11, "b", 7, 4.0)]).await;
    spend(&store, two, 1, vec![spent(11, "a", 1, 0.25)]).await;

    let sums = async |by, filter| {
        let sums = store.usage(by, filter).await.expect("usage");
        let tell = |sum: crate::UsageSum| {
            (sum.session, sum.day, sum.model, sum.spending.usage.input_tokens, sum.spending.cost)
        };
        sums.into_iter().map(tell).collect::<Vec<_>>()
    };
    let all = UsageFilter::default();
    let none = String::new;
    assert_eq!(sums(UsageBy::Day, all).await, [(None, 11, none(), 8, 4.25), (None, 10, none(), 11, 1.5)]);
    let by_session = [(Some(one), 0, none(), 18, 5.5), (Some(two), 0, none(), 1, 0.25)];
    assert_eq!(sums(UsageBy::Session, all).await, by_session);
    let by_model = [(None, 0, "b".to_owned(), 7, 4.0), (None, 0, "a".to_owned(), 12, 1.75)];
    assert_eq!(sums(UsageBy::Model, all).await, by_model);
    let of_two = UsageFilter { session: Some(two), since_day: 0 };
    assert_eq!(sums(UsageBy::Day, of_two).await, [(None, 11, none(), 1, 0.25)]);
    let late = UsageFilter { session: None, since_day: 11 };
    assert_eq!(sums(UsageBy::Day, late).await.len(), 1);

    let by_provider = [(None, 0, none(), 19, 5.75)];
    assert_eq!(sums(UsageBy::Provider, all).await, by_provider);
    let mut other = spent(11, "a", 2, 0.5);
    other.provider = "q".into();
    spend(&store, two, 2, vec![other]).await;

    let day = store.spent_on(day_of(Timestamp(11 * DAY))).await.expect("day");
    let tell = |(provider, spent): &(String, Spending)| {
        (provider.clone(), spent.requests, spent.untold_requests, spent.tool_calls, spent.time_ms, spent.cost)
    };
    let by_provider: Vec<_> = day.iter().map(tell).collect();
    assert_eq!(by_provider, [("p".to_owned(), 2, 2, 4, 60, 4.25), ("q".to_owned(), 1, 1, 2, 30, 0.5)]);
    store.delete(one).await.expect("delete");
    assert_eq!(store.spent_on(11).await.expect("day"), day, "it was spent all the same");
    let nobody = Some(SessionId(uuid::Uuid::nil()));
    assert_eq!(sums(UsageBy::Session, all).await[0], (nobody, 0, none(), 18, 5.5), "nobody can tell by whom");
    store.delete(two).await.expect("delete");
    assert_eq!(sums(UsageBy::Session, all).await, [(nobody, 0, none(), 21, 6.25)]);
}

#[tokio::test]
async fn what_an_append_that_fails_says_was_spent_is_not_counted() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    let late = Append { spent: vec![spent(1, "a", 1, 1.0)], ..append(session, texts(7, &["a"])) };
    store.append(late).await.expect_err("a gap");
    assert_eq!(store.spent_on(1).await.expect("day"), []);
}

#[tokio::test]
async fn numbers_that_nobody_can_have_spent_break_no_sum() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    for seq in 1..=3 {
        spend(&store, session, seq, vec![spent(1, "a", u64::MAX, 1.0)]).await;
    }
    assert!(store.spent_on(1).await.expect("day")[0].1.usage.input_tokens > 1 << 40);
}

#[tokio::test]
async fn who_deleted_a_session_is_remembered() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    let (first, second) = (protocol::ids::RequestId::generate(), protocol::ids::RequestId::generate());
    store.append(append(session, texts(1, &["a"]))).await.expect("append");
    assert!(!store.was_deleted_by(session, first).await.expect("read"));
    store.delete_once(session, first).await.expect("delete");
    store.close().await;
    let store = fixture.open().await;
    assert!(store.was_deleted_by(session, first).await.expect("read"));
    assert!(!store.was_deleted_by(session, second).await.expect("read"));
}

#[tokio::test]
async fn what_was_spent_years_ago_is_forgotten_at_a_start() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    // Of the year 1970, and of a day that is still to come.
    spend(&store, session, 1, vec![spent(10, "a", 5, 1.0), spent(1 << 20, "a", 6, 0.5)]).await;
    let days = async |store: &Store| {
        let sums = store.usage(UsageBy::Day, UsageFilter::default()).await.expect("usage");
        sums.into_iter().map(|sum| sum.day).collect::<Vec<_>>()
    };
    assert_eq!(days(&store).await, [1 << 20, 10]);
    store.close().await;
    assert_eq!(days(&fixture.open().await).await, [1 << 20]);
}

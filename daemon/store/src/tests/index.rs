//! Lists: order, filters, pages.

use protocol::agent::AgentOrigin;
use protocol::ids::{ItemId, SessionId, Timestamp, TurnId};
use protocol::session::{SessionListParams, SessionStatus, SessionSummary};

use super::fixture::{Fixture, append, summary, texts};
use crate::{Append, Store, StoreError};

async fn put(store: &Store, summary: SessionSummary) {
    let append =
        Append { session: summary.id, records: Vec::new(), summary: Some(summary), spent: Vec::new() };
    store.append(append).await.expect("append");
}

async fn list(store: &Store, params: SessionListParams) -> Vec<u64> {
    let summaries = store.list(&params).await.expect("list");
    summaries.iter().map(|summary| summary.updated_at.0).collect()
}

#[tokio::test]
async fn the_one_that_was_updated_last_comes_first() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let moved = SessionId::generate();
    for (session, at) in [(moved, 10), (SessionId::generate(), 20), (SessionId::generate(), 30)] {
        put(&store, summary(session, at)).await;
    }
    assert_eq!(list(&store, SessionListParams::default()).await, [30, 20, 10]);
    put(&store, summary(moved, 40)).await;
    assert_eq!(list(&store, SessionListParams::default()).await, [40, 30, 20]);
}

#[tokio::test]
async fn agents_are_in_lists_only_if_they_are_asked_for() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (root, agent, below, orphan) = (1, 2, 3, 4);
    let id = |number: u64| SessionId(uuid::Uuid::from_u128(number.into()));
    let origin = |parent: u64, root: u64| AgentOrigin {
        parent: id(parent),
        item_id: ItemId(id(parent).0),
        root: id(root),
        depth: 1,
        name: "a".into(),
    };
    put(&store, summary(id(root), root)).await;
    for (of, parent, root) in [(agent, root, root), (below, agent, root), (orphan, 9, 9)] {
        put(&store, SessionSummary { agent: Some(origin(parent, root)), ..summary(id(of), of) }).await;
    }
    assert_eq!(list(&store, SessionListParams::default()).await, [1]);
    let with_agents = SessionListParams { with_agents: true, ..SessionListParams::default() };
    assert_eq!(list(&store, with_agents).await, [4, 3, 2, 1]);
    let family = store.family(id(root)).await.expect("family");
    assert_eq!(family.iter().map(|summary| summary.updated_at.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(store.orphans().await.expect("orphans"), [id(orphan)]);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    for at in 1..=120 {
        put(&store, summary(SessionId::generate(), at)).await;
    }
    assert_eq!(list(&store, SessionListParams::default()).await.len(), 100);
    let page = |before: u64| SessionListParams {
        limit: Some(2),
        updated_before: Some(Timestamp(before)),
        ..SessionListParams::default()
    };
    assert_eq!(list(&store, page(4)).await, [3, 2]);
    assert_eq!(list(&store, page(2)).await, [1]);
    assert_eq!(list(&store, page(1)).await, [0; 0]);
}

#[tokio::test]
async fn lists_are_filtered() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let turn_id = TurnId::generate();
    for (at, status, cwd) in [
        (1, SessionStatus::Idle, "/a"),
        (2, SessionStatus::Running { turn_id }, "/b"),
        (3, SessionStatus::Waiting { turn_id }, "/a"),
        (4, SessionStatus::Archived, "/a"),
    ] {
        let mut summary = summary(SessionId::generate(), at);
        summary.status = status;
        summary.settings.cwd = cwd.into();
        put(&store, summary).await;
    }
    let all = SessionListParams::default;
    assert_eq!(list(&store, all()).await, [3, 2, 1]);
    assert_eq!(list(&store, SessionListParams { with_archived: true, ..all() }).await, [4, 3, 2, 1]);
    assert_eq!(list(&store, SessionListParams { only_active: true, ..all() }).await, [3, 2]);
    assert_eq!(list(&store, SessionListParams { cwd: Some("/a".into()), ..all() }).await, [3, 1]);
    assert_eq!(list(&store, SessionListParams { cwd: Some("/".into()), ..all() }).await, [0; 0]);
}

#[tokio::test]
async fn the_summary_of_the_last_append_counts() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let session = SessionId::generate();
    assert_eq!(store.summary(session).await.expect("none"), None);
    let first = summary(session, 10);
    let records = texts(1, &["a"]);
    store
        .append(Append { session, records, summary: Some(first.clone()), spent: Vec::new() })
        .await
        .expect("append");
    store.append(append(session, texts(2, &["b"]))).await.expect("append");
    assert_eq!(store.summary(session).await.expect("read"), Some(first.clone()));
    let second = SessionSummary { title: None, ..first };
    let records = texts(9, &["a gap"]);
    let refused =
        store.append(Append { session, records, summary: Some(second.clone()), spent: Vec::new() }).await;
    assert!(matches!(refused, Err(StoreError::Gap { .. })));
    assert!(store.summary(session).await.expect("read").is_some_and(|kept| kept.title.is_some()));
    put(&store, second.clone()).await;
    assert_eq!(store.summary(session).await.expect("read"), Some(second));
    store.delete(session).await.expect("delete");
    assert_eq!(store.summary(session).await.expect("none"), None);
}

#[tokio::test]
async fn what_recovery_looks_for_is_found() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let turn_id = TurnId::generate();
    let (running, waiting, fleeting) = (SessionId::generate(), SessionId::generate(), SessionId::generate());
    put(&store, SessionSummary { status: SessionStatus::Running { turn_id }, ..summary(running, 1) }).await;
    put(&store, SessionSummary { status: SessionStatus::Waiting { turn_id }, ..summary(waiting, 2) }).await;
    let mut ephemeral = summary(fleeting, 3);
    ephemeral.settings.is_ephemeral = true;
    put(&store, ephemeral).await;
    let mut active = store.active().await.expect("active");
    active.sort();
    assert_eq!(active, [running, waiting]);
    assert_eq!(store.ephemeral().await.expect("ephemeral"), [fleeting]);
}

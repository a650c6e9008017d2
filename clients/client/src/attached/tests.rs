//! Following a session of a daemon that is played: lag, a repeated event, a lost connection, a new daemon.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jsonrpsee::server::{
    RpcModule, ServerBuilder, SubscriptionSink, serve_with_graceful_shutdown, stop_channel,
};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use protocol::delta::{FeedBatch, Lagged};
use protocol::event::{Event, EventRecord, QuestionWithdrawn};
use protocol::ids::{ClientId, QuestionId, Timestamp};
use protocol::initialize::InitializeResult;
use protocol::version::ProtocolVersion;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use wire::folders::{FolderEnvironment, Folders};
use wire::listen::{HomeLock, Listener};

use super::*;
use crate::connection::ConnectOptions;

/// What the played daemon remembers over all connections.
#[derive(Default)]
struct Played {
    attached: AtomicUsize,
    since: Mutex<Vec<Option<Seq>>>,
    hang_up: Notify,
    /// Lets the daemon that follows answer.
    comes_back: Notify,
}

fn events(seqs: impl IntoIterator<Item = u64>) -> SessionFeed {
    let event = |seq| {
        let question_id = QuestionId::generate();
        let event = Event::QuestionWithdrawn(QuestionWithdrawn { question_id });
        FeedEntry::Event(EventRecord { seq: Seq(seq), at: Timestamp(0), request_id: None, event })
    };
    SessionFeed::Batch(FeedBatch { entries: seqs.into_iter().map(event).collect() })
}

/// With who is there twice, before what happened; the last one counts.
fn with_presence(feed: SessionFeed) -> SessionFeed {
    let SessionFeed::Batch(mut batch) = feed else { panic!("no batch") };
    let earlier = Presence { sole_driver: Some(ClientId::generate()), ..Presence::default() };
    batch.entries.splice(0..0, [earlier, Presence::default()].map(FeedEntry::Presence));
    SessionFeed::Batch(batch)
}

async fn send(sink: &SubscriptionSink, feed: &SessionFeed) {
    sink.send(serde_json::value::to_raw_value(feed).unwrap()).await.unwrap();
}

fn methods(played: Arc<Played>) -> RpcModule<Arc<Played>> {
    let epoch = uuid::Uuid::now_v7();
    let mut module = RpcModule::new(played);
    module
        .register_method("initialize", move |_: Params<'_>, _, _| {
            Ok::<_, ErrorObjectOwned>(InitializeResult {
                protocol: ProtocolVersion(1),
                client_id: ClientId::generate(),
                daemon_version: "0".to_owned(),
                daemon_build: "0".to_owned(),
                epoch,
                features: Vec::new(),
            })
        })
        .unwrap();
    module
        .register_subscription(
            "session/attach",
            "session/feed",
            "session/detach",
            async |params, pending, played, _| {
                let params: SessionAttachParams = params.one().unwrap();
                played.since.lock().unwrap().push(params.since);
                let sink = pending.accept().await.unwrap();
                match played.attached.fetch_add(1, Ordering::SeqCst) {
                    0 => {
                        send(&sink, &with_presence(events([1, 2]))).await;
                        send(&sink, &SessionFeed::Lagged(Lagged { from: Seq(3), to: Seq(4) })).await;
                    }
                    1 => {
                        send(&sink, &events([2, 3])).await;
                        played.hang_up.notified().await;
                    }
                    _ => {
                        send(&sink, &events([4])).await;
                        sink.closed().await;
                    }
                }
            },
        )
        .unwrap();
    module
}

/// Serves connections; each is another daemon to its client. None is taken from the hang-up until it comes back.
async fn serve(mut listener: Listener, played: Arc<Played>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = listener.accept() => {
                let (stop, server) = stop_channel();
                let service = ServerBuilder::default()
                    .to_service_builder()
                    .build(methods(Arc::clone(&played)), stop.clone());
                connections.spawn(async move {
                    // Served by what the upgrade leaves behind, for as long as this is not dropped.
                    let _server = server;
                    serve_with_graceful_shutdown(stream, service, stop.shutdown()).await.unwrap();
                    std::future::pending::<()>().await;
                });
            }
            () = played.hang_up.notified() => {
                connections.shutdown().await;
                played.comes_back.notified().await;
            }
        }
    }
}

/// Whether the next daemon is there before anybody was told that the one before is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Return {
    AtOnce,
    Late,
}

#[tokio::test]
async fn every_event_comes_once_over_lag_and_a_new_daemon() {
    assert_eq!(turns_of_a_new_daemon(Return::Late).await, ["lost", "new daemon"]);
}

#[tokio::test]
async fn a_daemon_that_is_back_at_once_was_not_lost() {
    assert_eq!(turns_of_a_new_daemon(Return::AtOnce).await, ["new daemon"]);
}

/// Follows a session over lag and a new daemon, and gives what was told of the daemon.
async fn turns_of_a_new_daemon(returns: Return) -> Vec<&'static str> {
    let scratch = tempfile::tempdir().unwrap();
    let skein_home = Some(scratch.path().to_owned());
    let folders = Folders::resolve_from(&FolderEnvironment { skein_home, runtime_dir: None }).unwrap();
    let lock = HomeLock::take(&folders).unwrap();
    let listener = Listener::bind(&folders, lock).unwrap();
    let played = Arc::new(Played::default());
    let serving = tokio::spawn(serve(listener, Arc::clone(&played)));

    let connection = Connection::open_at(folders, ConnectOptions::new("test").without_start()).await.unwrap();
    let session = SessionId::generate();
    let mut attached = Attached::open(connection, session, Some(Seq::ZERO), false).await.unwrap();
    let mut seen = Vec::new();
    let mut turns = Vec::new();
    let mut shown = Vec::new();
    while seen.last() != Some(&4) {
        match attached.next().await.unwrap() {
            Update::Entries(entries) => {
                for entry in entries {
                    let FeedEntry::Event(record) = entry else { panic!("no event") };
                    seen.push(record.seq.0);
                }
                if seen.last() == Some(&3) {
                    played.hang_up.notify_waiters();
                    if returns == Return::AtOnce {
                        played.comes_back.notify_one();
                    }
                }
            }
            Update::Snapshot(_) => panic!("no snapshot was asked for"),
            Update::Lost => {
                turns.push("lost");
                played.comes_back.notify_one();
            }
            Update::Back(DaemonChange::Restarted) => turns.push("new daemon"),
            Update::Back(change) => panic!("{change:?}"),
            Update::Presence(presence) => shown.push((seen.last().copied(), presence)),
        }
    }
    assert_eq!(seen, [1, 2, 3, 4]);
    assert_eq!(shown, [(Some(2), Presence::default())]);
    assert_eq!(*played.since.lock().unwrap(), [Some(Seq(0)), Some(Seq(2)), Some(Seq(3))]);
    serving.abort();
    turns
}

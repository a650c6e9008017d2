//! When a server ends and when it is started again, on a clock that the tests move.

use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use config::{McpServer, McpTransport};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt};
use rmcp::transport::async_rw::AsyncRwTransport;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::advance;
use tokio_util::sync::CancellationToken;
use tools::belongings::Belongings;
use tools::tool::NobodyToAsk;

use super::*;
use crate::handler::Caller;
use crate::recipe::Guard;

const MINUTE: Duration = Duration::from_secs(60);

/// A server that never starts; each attempt is counted.
fn recipe(attempts: &Arc<AtomicUsize>) -> Recipe {
    let transport = McpTransport::Http {
        url: "http://127.0.0.1:1".to_owned(),
        bearer_token_env_var: None,
        http_headers: std::collections::BTreeMap::new(),
        env_http_headers: std::collections::BTreeMap::new(),
        sign_in: config::McpSignIn::default(),
    };
    let attempts = Arc::clone(attempts);
    let is_same = move || {
        attempts.fetch_add(1, Ordering::SeqCst);
        false
    };
    Recipe {
        name: "fake".to_owned(),
        server: McpServer::new(transport),
        root: "/".into(),
        variables: std::collections::BTreeMap::new(),
        environment: Vec::new(),
        profile: None,
        guard: Some(Guard { hash: "1".to_owned(), is_same: Arc::new(is_same) }),
    }
}

fn launcher() -> Arc<Launcher> {
    Arc::new(Launcher::new("/no/such/helper".into(), None))
}

fn memory(folder: &Path) -> Arc<Memory> {
    Memory::open(folder.join("memory"))
}

/// The task of a server, and what its status is seen by.
fn task(folder: &Path) -> (Task, watch::Receiver<Status>) {
    let (status, watching) = watch::channel(Status { phase: Phase::Idle, offer: None });
    let task = Task {
        recipe: recipe(&Arc::default()),
        roots: Arc::new(Roots::of("/".into())),
        launcher: launcher(),
        memory: memory(folder),
        status,
        used: Used(Arc::new(Mutex::new(Instant::now()))),
        account: None,
        failures: 0,
        rests_until: None,
        rested_with: Changes::default(),
    };
    (task, watching)
}

/// A server within this process that says hello, until nobody speaks to it any more.
async fn greet(stream: DuplexStream) {
    let (input, mut output) = tokio::io::split(stream);
    let mut lines = BufReader::new(input).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let message: Value = serde_json::from_str(&line).unwrap();
        if message["method"] == "initialize" {
            let result = json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "serverInfo": {"name": "fake", "version": "1"},
            });
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
            output.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
        }
    }
}

/// A connection with such a server, which ends with it.
async fn connected(task: &Task) -> (Connection, Arc<Live>, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let serving = tokio::spawn(greet(theirs));
    let handler = Handler {
        server: "fake".to_owned(),
        roots: Arc::clone(&task.roots),
        has_sampling: false,
        calls: Arc::default(),
        changed: Arc::default(),
    };
    let (input, output) = tokio::io::split(ours);
    let transport = AsyncRwTransport::new_client(input, output);
    let serve = handler.clone().serve_with_lifecycle(transport, ClientLifecycleMode::Initialize);
    let service = serve.await.unwrap();
    let peer = service.peer().clone();
    let live = Live { peer, handler, protocol: None, software: None, _listening: None };
    (Connection { service, program: None }, Arc::new(live), serving)
}

fn caller() -> Caller {
    Caller {
        asker: Arc::new(NobodyToAsk),
        session: Arc::<Belongings>::default(),
        progress: mpsc::channel(1).0,
        heard: Arc::default(),
        asking: Arc::<AtomicU32>::default(),
        samples: Arc::<AtomicU32>::default(),
        ended: CancellationToken::new(),
        token: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_nobody_needed_for_half_an_hour_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (mut task, watching) = task(folder.path());
    let (connection, live, serving) = connected(&task).await;
    task.enter(Phase::Ready(Arc::clone(&live)));
    let (_mailbox, mut wanted) = mpsc::channel(1);
    let (used, begin) = (task.used.clone(), Instant::now());
    let use_it = async {
        advance(10 * MINUTE).await;
        used.touch();
    };
    let (ended, ()) = tokio::join!(task.serve(connection, &live, &mut wanted), use_it);
    assert!(ended.is_none(), "that is no failure: {ended:?}");
    let lasted = begin.elapsed();
    assert!(lasted >= 40 * MINUTE && lasted < 41 * MINUTE, "{lasted:?}");
    assert!(matches!(watching.borrow().phase, Phase::Idle));
    timeout(MINUTE, serving).await.expect("it is left alone").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_in_a_call_is_not_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (mut task, _watching) = task(folder.path());
    let (connection, live, _serving) = connected(&task).await;
    let (_mailbox, mut wanted) = mpsc::channel(1);
    let begin = Instant::now();
    let call = live.handler.calls.begin(caller());
    let finish = async {
        // In steps, as the clock moves where somebody looks at it.
        for _ in 0..100 {
            advance(MINUTE).await;
        }
        drop(call);
    };
    let (ended, ()) = tokio::join!(task.serve(connection, &live, &mut wanted), finish);
    assert!(ended.is_none(), "{ended:?}");
    let lasted = begin.elapsed();
    assert!(lasted > 100 * MINUTE && lasted < 131 * MINUTE, "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn after_each_failure_it_is_started_again_later_than_before() {
    let folder = tempfile::tempdir().unwrap();
    let attempts = Arc::<AtomicUsize>::default();
    let server = Server::new(recipe(&attempts), launcher(), memory(folder.path()), None);
    let mut rests = Vec::new();
    for attempt in 1..=10 {
        let begin = Instant::now();
        while attempts.load(Ordering::SeqCst) < attempt {
            let Err(error) = server.live().await else { panic!("it can't start") };
            if attempts.load(Ordering::SeqCst) < attempt {
                assert!(matches!(error, McpError::Resting { .. }), "{error}");
                advance(Duration::from_secs(1)).await;
            }
        }
        rests.push(begin.elapsed().as_secs());
    }
    assert_eq!(rests, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]);
}

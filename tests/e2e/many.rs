//! Many clients on one session, and many sessions on one daemon: all see the same, nothing is lost, and one that
//! does not keep up disturbs nobody.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use jsonrpsee::core::client::Error as RpcError;
use protocol::api::daemon::DaemonClient;
use protocol::api::queue::QueueClient;
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::daemon::DaemonStatusParams;
use protocol::event::{Event, EventRecord};
use protocol::ids::{QueuedId, RequestId, Seq, SessionId};
use protocol::item::{CommandExit, ItemBody};
use protocol::queue::{QueueCancelParams, QueueListParams, QueueUpdateParams};
use protocol::session::{Presence, SessionSnapshot, SessionStatus, SessionUpdateParams, SettingsOverrides};
use protocol::turn::{TurnEnqueueParams, TurnOutcome, TurnSteerParams};
use session::state::SessionState;
use skein_tests::environment::process::Invocation;
use skein_tests::rpc::{Follower, TestClient, said};
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::scripted_model::server::Options;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{SOON, client, resident, runs, scene, script, up};

/// A snapshot without who looks at it.
fn alone(snapshot: SessionSnapshot) -> SessionSnapshot {
    SessionSnapshot { presence: Presence::default(), ..snapshot }
}

/// A snapshot of the fold of a log.
fn folded(session: SessionId, records: &[EventRecord], turns: usize) -> SessionSnapshot {
    SessionState::fold(session, records).unwrap().snapshot(0, turns, Presence::default())
}

/// Something that a client asks for, by its name.
#[derive(Clone, Debug)]
enum Wish {
    Title(SessionUpdateParams),
    Enqueue(TurnEnqueueParams),
    Steer(TurnSteerParams),
    Change(QueueUpdateParams),
    Cancel(QueueCancelParams),
}

impl Wish {
    fn id(&self) -> RequestId {
        let id = match self {
            Self::Title(params) => params.request_id,
            Self::Enqueue(params) => params.request_id,
            Self::Steer(params) => params.request_id,
            Self::Change(params) => params.request_id,
            Self::Cancel(params) => params.request_id,
        };
        id.unwrap()
    }

    /// Whether an event is what comes of it.
    fn fits(&self, event: &Event) -> bool {
        match self {
            Self::Title(_) => matches!(event, Event::SessionUpdated(_)),
            // In an idle session a turn begins with it at once.
            Self::Enqueue(_) => matches!(event, Event::InputQueued(_) | Event::TurnStarted(_)),
            Self::Steer(_) => matches!(event, Event::ItemCompleted(_)),
            Self::Change(_) => matches!(event, Event::QueuedInputChanged(_)),
            Self::Cancel(_) => matches!(event, Event::QueuedInputCancelled(_)),
        }
    }

    async fn send(&self, client: &TestClient) -> Result<(), RpcError> {
        let rpc = client.rpc();
        match self.clone() {
            Self::Title(params) => SessionClient::update(rpc, params).await.map(drop),
            Self::Enqueue(params) => TurnClient::enqueue(rpc, params).await.map(drop),
            Self::Steer(params) => TurnClient::steer(rpc, params).await.map(drop),
            Self::Change(params) => QueueClient::update(rpc, params).await.map(drop),
            Self::Cancel(params) => QueueClient::cancel(rpc, params).await.map(drop),
        }
    }
}

/// A client that writes, and now and then leaves, in the middle of a call too.
struct Hand {
    env: Arc<TestEnv>,
    session: SessionId,
    rng: Rng,
    client: TestClient,
    follower: Follower,
    acknowledged: Vec<Wish>,
    departures: usize,
}

impl Hand {
    async fn new(env: &Arc<TestEnv>, session: SessionId, seed: u64) -> Self {
        let client = client(env, "hand").await;
        let follower = client.follow(session).await.unwrap();
        let (env, rng) = (Arc::clone(env), Rng::with_seed(seed));
        Self { env, session, rng, client, follower, acknowledged: Vec::new(), departures: 0 }
    }

    async fn work(mut self, until: Seq) -> Self {
        while self.follower.seen().last() < until {
            let wish = self.wish().await;
            let mut result = if self.rng.u8(..) < 12 {
                tokio::select! {
                    biased;
                    result = wish.send(&self.client) => Some(result),
                    () = tokio::task::yield_now() => None,
                }
            } else {
                Some(wish.send(&self.client).await)
            };
            if result.is_none() || self.rng.u8(..) < 4 {
                self = self.leave_and_come_back().await;
            }
            // Whether it was carried out is not known, so it is sent again.
            if result.is_none() {
                result = Some(wish.send(&self.client).await);
            }
            match result.unwrap() {
                Ok(()) => self.acknowledged.push(wish),
                // The queued input is gone, or no turn runs.
                Err(RpcError::Call(_)) => {}
                Err(error) => panic!("{error}"),
            }
            self.follower.take_ready().await.unwrap();
        }
        self
    }

    async fn wish(&mut self) -> Wish {
        let (session_id, request_id) = (self.session, Some(RequestId::generate()));
        let waiting: Vec<QueuedId> = match self.rng.u8(..10) {
            0..5 => {
                let (title, overrides) =
                    (Some(format!("{}", self.rng.u32(..))), SettingsOverrides::default());
                let params =
                    SessionUpdateParams { session_id, title, overrides, unarchive: false, request_id };
                return Wish::Title(params);
            }
            5 => {
                let input = said("into the turn");
                return Wish::Steer(TurnSteerParams {
                    session_id,
                    input,
                    expected_turn_id: None,
                    request_id,
                });
            }
            _ => {
                let params = QueueListParams { session_id };
                let listed = QueueClient::list(self.client.rpc(), params).await.unwrap();
                listed.queue.iter().map(|queued| queued.id).collect()
            }
        };
        let (input, position) = (said("in the queue"), Some(self.rng.u32(..4)));
        match (self.rng.choice(&waiting).copied(), self.rng.u8(..4)) {
            (Some(queued_id), 0) => Wish::Cancel(QueueCancelParams { session_id, queued_id, request_id }),
            (Some(queued_id), 1) => {
                let input = Some(input);
                Wish::Change(QueueUpdateParams { session_id, queued_id, input, position, request_id })
            }
            (Some(queued_id), _) if waiting.len() > 4 => {
                Wish::Change(QueueUpdateParams { session_id, queued_id, input: None, position, request_id })
            }
            _ => Wish::Enqueue(TurnEnqueueParams { session_id, input, request_id }),
        }
    }

    /// Comes back with a new connection, to where it was.
    async fn leave_and_come_back(self) -> Self {
        let Self { env, session, rng, client: old, follower, acknowledged, departures } = self;
        let seen = follower.into_seen();
        drop(old);
        let client = client(&env, "hand").await;
        let follower = client.follow_on(session, seen).await.unwrap();
        Self { env, session, rng, client, follower, acknowledged, departures: departures + 1 }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_and_go_over_ten_thousand_events_end_with_the_same_heavy() {
    const EVENTS: Seq = Seq(10_000);
    let answering = |_: &_| Answer::new().text("Some words that stream.").in_pieces(5).into();
    let model = ScriptedModel::answering(Options::default(), answering).unwrap();
    let env = Arc::new(TestEnv::new(&model).unwrap());
    up(&env);
    let late = client(&env, "late").await;
    let session = late.create(&env).await.unwrap();
    let mut hands = Vec::new();
    for seed in 1..=3 {
        hands.push(tokio::spawn(Hand::new(&env, session, seed).await.work(EVENTS)));
    }
    let mut ends = Vec::new();
    for hand in hands {
        ends.push(hand.await.unwrap());
    }
    let mut reader = late.follow(session).await.unwrap();
    let is_at_rest = |snapshot: &SessionSnapshot| {
        snapshot.summary.status == SessionStatus::Idle && snapshot.queue.is_empty()
    };
    let mut snapshot = late.read(session).await.unwrap();
    while !is_at_rest(&snapshot) {
        reader.until(SOON, |seen| seen.last() > snapshot.summary.seq).await.unwrap();
        snapshot = late.read(session).await.unwrap();
    }
    let end = snapshot.summary.seq;
    reader.until(SOON, |seen| seen.last() == end).await.unwrap();
    let log = &reader.seen().records;
    assert_eq!((log.len() as u64, log[0].seq), (end.0, Seq(1)));
    let turns = snapshot.turns.len();
    assert_eq!(folded(session, log, turns), alone(snapshot));
    let departures: Vec<_> = ends.iter().map(|hand| hand.departures).collect();
    assert!(departures.iter().all(|count| *count > 10), "{departures:?}");
    for mut hand in ends {
        hand.follower.until(SOON, |seen| seen.last() == end).await.unwrap();
        assert!(hand.follower.seen().records == *log, "a client saw another log");
        for wish in &hand.acknowledged {
            let came_of_it =
                log.iter().filter(|record| record.request_id == Some(wish.id()) && wish.fits(&record.event));
            assert_eq!(came_of_it.count(), 1, "{wish:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_lose_no_event_heavy() {
    const CLIENTS: usize = 50;
    const DELTAS: usize = 2000;
    let (model, env) = scene(
        [
            Answer::new().text("word ".repeat(DELTAS)).in_pieces(DELTAS).into(),
            script("for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done"),
            Reply::text("Done."),
        ]
        .map(Reply::from),
    );
    up(&env);
    let first = client(&env, "first").await;
    let session = first.create(&env).await.unwrap();
    let mut watchers = Vec::new();
    for number in 0..CLIENTS {
        let client = client(&env, &format!("client {number}")).await;
        let mut follower = client.follow(session).await.unwrap();
        watchers.push(tokio::spawn(async move {
            follower.until(SOON * 2, |seen| seen.turns_ended() == 2).await.unwrap();
            drop(client);
            follower.into_seen()
        }));
    }
    let mut follower = first.follow(session).await.unwrap();
    for text in ["stream", "run"] {
        first.start(session, text).await.unwrap();
        follower.until_turn_ends(SOON * 2).await.unwrap();
    }
    let mine = follower.into_seen();
    for watcher in watchers {
        let theirs = watcher.await.unwrap();
        assert_eq!(theirs.lags, 0);
        assert!(theirs.records == mine.records, "a client saw another log");
        assert!(theirs.deltas > 0);
    }
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_client_costs_little_and_catches_up_heavy() {
    const DELTAS: usize = 60_000;
    const MOST: u64 = 32 << 20;
    let (_model, env) = scene([
        Reply::text("Hello."),
        // A minute of them.
        Answer::new()
            .text("some word ".repeat(DELTAS))
            .in_pieces(DELTAS)
            .pace(Duration::from_millis(1))
            .into(),
        Reply::text("THE END"),
    ]);
    up(&env);
    let client = client(&env, "healthy").await;
    let session = client.create(&env).await.unwrap();
    let mut follower = client.follow(session).await.unwrap();
    client.start(session, "warm up").await.unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    let frozen = env.spawn(["attach", &session.to_string()]).unwrap();
    frozen.wait_for_stdout("Hello.", SOON).unwrap();
    frozen.freeze().unwrap();
    let pid = env.daemon_pid().unwrap();
    let (before, mut most) = (resident(pid), 0);
    client.start(session, "a lot").await.unwrap();
    let mut count = 0;
    follower
        .until(SOON * 4, |seen| {
            count += 1;
            if count % 100 == 0 {
                most = most.max(resident(pid));
            }
            seen.turns_ended() == 2
        })
        .await
        .unwrap();
    assert_eq!(follower.seen().lags, 0, "another one's slowness is no business of this one");
    assert_eq!(follower.seen().texts().map(|text| text.len()).max(), Some(DELTAS * 10));
    // Now so many events that they can't wait for it.
    for number in 0..2000 {
        let (title, overrides) = (Some(format!("title {number}")), SettingsOverrides::default());
        let params =
            SessionUpdateParams { session_id: session, title, overrides, unarchive: false, request_id: None };
        SessionClient::update(client.rpc(), params).await.unwrap();
    }
    most = most.max(resident(pid));
    assert!(most.saturating_sub(before) < MOST, "{before} bytes became {most}");
    client.start(session, "the end").await.unwrap();
    follower.until(SOON, |seen| seen.turns_ended() == 3).await.unwrap();
    assert!(!frozen.stdout().contains("THE END"));
    frozen.thaw().unwrap();
    frozen.wait_for_stdout("THE END", SOON).unwrap();
    let printed = frozen.stdout();
    assert_eq!(printed.matches("THE END").count(), 1, "nothing is shown twice");
    assert!(printed.contains("some word some word"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_sessions_run_at_once_heavy() {
    const SESSIONS: usize = 100;
    let answering = |request: &skein_tests::scripted_model::request::Request| match request.last_output() {
        // Opening it waits for a writer, reading it for the end.
        None => runs(["cat", "gate"]),
        Some(_) => Reply::text("Done."),
    };
    let model = ScriptedModel::answering(Options::default(), answering).unwrap();
    let env = TestEnv::new(&model).unwrap();
    let gate = env.repository().join("gate");
    let made = Invocation::new("mkfifo", [&gate], "/").variable("PATH", "/usr/bin:/bin").run().unwrap();
    assert_eq!(made.code(), Some(0));
    up(&env);
    let client = client(&env, "one").await;
    let mut followers = Vec::new();
    for _ in 0..SESSIONS {
        let session = client.create(&env).await.unwrap();
        let follower = client.follow(session).await.unwrap();
        client.start(session, "go").await.unwrap();
        followers.push(follower);
    }
    let is_running = |event: &Event| match event {
        Event::ItemStarted(started) => matches!(started.item.body, ItemBody::Command(_)),
        _ => false,
    };
    for follower in &mut followers {
        follower.until(SOON, |seen| seen.events().any(is_running)).await.unwrap();
    }
    let status = DaemonClient::status(client.rpc(), DaemonStatusParams::default()).await.unwrap();
    assert_eq!(status.running_turns as usize, SESSIONS);
    // All of them are at the gate, or will find it open.
    let open = gate.clone();
    let writer = tokio::task::spawn_blocking(move || fs::OpenOptions::new().write(true).open(open).unwrap());
    let writer = tokio::time::timeout(SOON, writer).await.unwrap().unwrap();
    tokio::time::timeout(SOON, async {
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        while env.processes().iter().filter(|process| process.command == "cat gate").count() < SESSIONS {
            looks.tick().await;
        }
    })
    .await
    .unwrap();
    drop(writer);
    for follower in &mut followers {
        follower.until(SOON, |seen| seen.turns_ended() == 1).await.unwrap();
        let exit = follower.seen().completed().find_map(|item| match &item.body {
            ItemBody::Command(command) => command.outcome.as_ref().map(|outcome| outcome.exit.clone()),
            _ => None,
        });
        assert_eq!(exit, Some(CommandExit::Code { code: 0 }));
        let is_completed = |event: &Event| matches!(event, Event::TurnEnded(ended) if ended.outcome == TurnOutcome::Completed);
        assert!(follower.seen().events().any(is_completed));
    }
    assert_eq!(model.requests().len(), 2 * SESSIONS);
}

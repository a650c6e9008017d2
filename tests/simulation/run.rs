//! The course of a run: the daemon's lives one after the other on one disk, the same clients in all of them; and in
//! the last one, that everything comes to rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::{ClientId, Seq, Timestamp};
use protocol::question::{Decision, GrantScope};
use protocol::session::{Attachment, ClientRole, Presence, SessionStatus};
use protocol::turn::Actor;
use session::Counts;
use session::handle::SessionHandle;
use session::input::Request;
use session::outbox::End;
use session::sessions::{NewSession, Sessions};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tools::registry::Registry;

use crate::client::{Client, Daemon, FOREVER};
use crate::clock::pause;
use crate::disk::{SimDisk, Weather};
use crate::model::SimModel;
use crate::plan::{Ending, Life, Plan};
use crate::tool::registry;
use crate::trace::Tracing;
use crate::universe::Universe;
use crate::world::SimWorld;

/// How long a stopping daemon may take, with a slow disk.
const LONGEST_STOP: Duration = Duration::from_secs(120);
/// Attempts to follow the last turns.
const MOST_FEEDS: u32 = 1000;
/// A session that nobody needs is out of memory by then.
const UNLOADED_MS: u64 = 200_000;

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) violations: Vec<String>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) trace: Vec<String>,
}

/// Runs a seed.
pub(crate) fn run(seed: u64, tracing: Tracing) -> Outcome {
    fastrand::seed(seed);
    let universe = Universe::new(seed, tracing);
    let plan = Plan::of(&universe.dice);
    let disk = SimDisk::new(&universe);
    let clients = (0..plan.clients).map(|number| Client::new(number, &universe, &disk)).collect();
    let tools = Arc::new(registry(&universe, &disk));
    let model = Arc::new(SimModel::new(Arc::clone(&universe)));
    let run = Run { universe, disk, plan, clients, tools, model };
    for life in &run.plan.lives {
        runtime().block_on(run.live(life));
    }
    runtime().block_on(run.last_life());
    run.check_end();
    let (violations, counts) = run.universe.findings();
    Outcome { violations, counts, trace: run.universe.trace.lines() }
}

/// Dropping it ends all tasks where they are: the daemon's crash. The one who crashes it is asked after each step.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).event_interval(1).build().unwrap()
}

struct Run {
    universe: Arc<Universe>,
    disk: Arc<SimDisk>,
    plan: Plan,
    clients: Vec<Arc<Client>>,
    tools: Arc<Registry>,
    model: Arc<SimModel>,
}

/// Tells a client of the last event.
type Tells = watch::Sender<Option<Seq>>;
/// Hears of it.
type Hears = watch::Receiver<Option<Seq>>;

impl Run {
    async fn live(&self, life: &Life) {
        self.universe.note(|| format!("daemon   begins, {life:?}"));
        let number = if let Ending::CrashAtEffect { number, .. } = life.ending { Some(number) } else { None };
        self.universe.fuse.arm(number);
        self.universe.clock.begin_life();
        let mut tasks = JoinSet::new();
        let (settled, watched) = self.settled();
        let (busy, _all_done) = mpsc::channel(1);
        let sessions = self.sessions(life.weather.clone());
        let living = async {
            self.start(&sessions, watched, busy, &mut tasks).await;
            for client in &settled {
                client.closed().await;
            }
        };
        match life.ending {
            Ending::CrashAtEffect { at_ms, .. } | Ending::CrashAt { at_ms } => {
                self.universe.count("crashes");
                tokio::select! {
                    biased;
                    () = self.universe.fuse.blown() => self.universe.count("crashes at an effect"),
                    () = pause(at_ms) => {}
                    () = living => {}
                }
                self.universe.note(|| "daemon   crashes".to_owned());
            }
            Ending::Stop { hand_over, at_ms } => {
                self.universe.count("stops");
                tokio::select! {
                    biased;
                    () = async {
                        pause(at_ms).await;
                        self.stop(&sessions, hand_over).await;
                    } => {}
                    () = living => {}
                }
            }
        }
        self.universe.clock.end_life(Duration::from_millis(life.gap_ms));
    }

    async fn last_life(&self) {
        self.universe.note(|| "daemon   begins for the last time".to_owned());
        self.universe.fuse.arm(None);
        self.universe.clock.begin_life();
        let mut tasks = JoinSet::new();
        let (settled, watched) = self.settled();
        let (busy, mut all_done) = mpsc::channel(1);
        let sessions = self.sessions(Weather::default());
        let handle = self.start(&sessions, watched, busy, &mut tasks).await;
        if timeout(FOREVER, all_done.recv()).await.is_err() {
            self.universe.violation("the clients never come to an end");
        }
        self.universe.note(|| "clients  are done".to_owned());
        let Some(last) = self.settle(&sessions, &handle).await else { return };
        self.universe.note(|| format!("session  rests at {last}"));
        for client in &settled {
            client.send_replace(Some(last));
        }
        if timeout(FOREVER, tasks.join_all()).await.is_err() {
            self.universe.violation(&format!("a client never sees event {last}"));
            return;
        }
        self.rest(&sessions, &handle).await;
        self.stop(&sessions, false).await;
    }

    fn sessions(&self, weather: Weather) -> Arc<Sessions> {
        let world = SimWorld { universe: Arc::clone(&self.universe), model: Arc::clone(&self.model) as _ };
        Sessions::new(self.disk.mount(weather), Arc::clone(&self.tools), Arc::new(world))
    }

    /// How each client is told of the last event: one after the other, since one channel would wake them in any order.
    fn settled(&self) -> (Vec<Tells>, Vec<Hears>) {
        self.clients.iter().map(|_| watch::channel(None)).unzip()
    }

    /// Recovers what there is, lets the clients in, and makes the session if it is not there yet.
    async fn start(
        &self,
        sessions: &Arc<Sessions>,
        settled: Vec<Hears>,
        busy: mpsc::Sender<()>,
        tasks: &mut JoinSet<()>,
    ) -> SessionHandle {
        if let Err(error) = sessions.recover().await {
            self.universe.violation(&format!("recovery failed: {error:?}"));
        }
        self.universe.note(|| "daemon   is ready".to_owned());
        for (client, settled) in self.clients.iter().zip(settled) {
            let daemon = Daemon {
                sessions: Arc::clone(sessions),
                session: self.plan.session,
                settled,
                busy: busy.clone(),
            };
            tasks.spawn(Arc::clone(client).live(daemon));
        }
        drop(busy);
        loop {
            match self.open(sessions).await {
                Ok(handle) => return handle,
                Err(error) if error.code == ErrorCode::Unavailable => pause(100).await,
                Err(error) => {
                    self.universe.violation(&format!("the session can't be opened: {error:?}"));
                    pause(1000).await;
                }
            }
        }
    }

    async fn open(&self, sessions: &Arc<Sessions>) -> Result<SessionHandle, ProtocolError> {
        match sessions.open(self.plan.session).await {
            Err(error) if error.code == ErrorCode::NotFound => {
                let new = NewSession {
                    id: self.plan.session,
                    actor: observer(),
                    title: None,
                    settings: self.plan.settings.clone(),
                    instructions: Vec::new(),
                    agent: None,
                };
                sessions.create(new).await
            }
            other => other,
        }
    }

    async fn stop(&self, sessions: &Arc<Sessions>, hand_over: bool) {
        self.universe.note(|| format!("daemon   stops, hand_over {hand_over}"));
        if timeout(LONGEST_STOP, sessions.drain(hand_over)).await.is_err() {
            self.universe.violation("the daemon does not stop");
        }
        if sessions.counts() != Counts::default() {
            self.universe.violation(&format!("after the stop there are {:?}", sessions.counts()));
        }
        self.universe.note(|| "daemon   has stopped".to_owned());
    }

    /// Waits until no turn runs, answering what is asked. `None` if that never comes.
    async fn settle(&self, sessions: &Arc<Sessions>, handle: &SessionHandle) -> Option<Seq> {
        for _ in 0..MOST_FEEDS {
            let mut feed = self.asked(handle.attach(observer_attached(), None).await)?;
            loop {
                let summary = self.asked(handle.summary().await)?;
                match summary.status {
                    SessionStatus::Idle | SessionStatus::Archived => return Some(summary.seq),
                    SessionStatus::Waiting { .. } => self.answer(sessions, handle).await?,
                    SessionStatus::Running { .. } => {}
                    other @ (SessionStatus::Damaged { .. } | SessionStatus::Unknown(_)) => {
                        self.universe.violation(&format!("the session is {other:?}"));
                        return None;
                    }
                }
                match timeout(FOREVER, feed.next()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(End::Lagged(_))) => break,
                    Ok(Err(end)) => {
                        self.universe.violation(&format!("a feed ended: {end:?}"));
                        return None;
                    }
                    Err(_) => {
                        self.universe.violation("a turn is stuck");
                        return None;
                    }
                }
            }
        }
        self.universe.violation("turns go on for ever");
        None
    }

    async fn answer(&self, sessions: &Arc<Sessions>, handle: &SessionHandle) -> Option<()> {
        for open in self.asked(sessions.questions(Some(handle.id())).await)? {
            let decision = Decision::Allow { scope: GrantScope::Once };
            let request = Request::Answer { question_id: open.question.id, decision };
            // It may expire meanwhile, or another client is the only one who may answer.
            if handle.request(observer(), None, request).await.is_err() {
                pause(1000).await;
            }
        }
        Some(())
    }

    fn asked<T>(&self, result: Result<T, ProtocolError>) -> Option<T> {
        result.inspect_err(|error| self.universe.violation(&format!("in the end: {error:?}"))).ok()
    }

    /// A session that nobody needs leaves the memory, and is the same when it comes back.
    async fn rest(&self, sessions: &Arc<Sessions>, handle: &SessionHandle) {
        pause(UNLOADED_MS).await;
        if sessions.counts() != Counts::default() {
            self.universe.violation(&format!("at rest there are {:?}", sessions.counts()));
        }
        let Some(read) = self.asked(handle.read(0, u32::MAX).await) else { return };
        let expected = self
            .disk
            .look(self.plan.session, |ledger| ledger.state.snapshot(0, usize::MAX, Presence::default()));
        if expected.as_ref() != Some(&read) {
            self.universe.violation(&format!("what is read is {read:?}, and the log says {expected:?}"));
        }
    }

    /// What must hold of the whole.
    fn check_end(&self) {
        for client in &self.clients {
            let memory = client.memory();
            if let Some(view) = &memory.view {
                client.complain(view.compare(&self.disk));
            }
        }
        let found = self.disk.look(self.plan.session, |ledger| {
            ledger.compactions().for_each(|what| self.universe.count(what));
            ledger.check_starts()?;
            ledger.check_calls(|call| self.universe.had_effect(call))
        });
        if let Some(Err(wrong)) = found {
            self.universe.violation(&wrong);
        }
    }
}

fn observer_attached() -> Attachment {
    Attachment {
        actor: observer(),
        version: "1".into(),
        role: ClientRole::Driver,
        can_answer: true,
        attached_at: Timestamp(0),
        is_focused: false,
    }
}

/// Somebody who is always the same.
fn observer() -> Actor {
    Actor { client_id: ClientId(uuid::Uuid::from_u128(1)), name: "observer".into() }
}

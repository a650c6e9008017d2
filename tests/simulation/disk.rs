//! A disk in memory: slow now and then, full for a while, and gone at any instant with what it had not written. What
//! it acknowledged stays. Like the real store it writes one thing after the other, and carries out what was asked
//! for also when nobody waits for it any more.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::future::BoxFuture;
use protocol::event::{Event, EventRecord};
use protocol::ids::{BlobId, RequestId, Seq, SessionId};
use protocol::item::ItemStatus;
use protocol::session::{SessionListParams, SessionStatus, SessionSummary};
use protocol::tool::ToolCall;
use protocol::usage::Spending;
use session::log::{Log, Outcome};
use store::{Append, Checkpoint, StoreError};
use tokio::sync::{mpsc, oneshot};
use tools::output::{Spool, Spools};

use crate::clock::pause;
use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::universe::Universe;

/// Changes that may wait.
const QUEUE: usize = 64;

/// The disk. Outlives the daemon.
pub(crate) struct SimDisk {
    universe: Arc<Universe>,
    dice: Dice,
    ledgers: Mutex<BTreeMap<SessionId, Ledger>>,
    weather: Mutex<Weather>,
}

/// What goes wrong in a life, by its time in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) slow: Range<u64>,
    pub(crate) full: Range<u64>,
}

impl SimDisk {
    /// An empty one.
    pub(crate) fn new(universe: &Arc<Universe>) -> Arc<Self> {
        let (universe, dice) = (Arc::clone(universe), universe.dice.fork());
        Arc::new(Self { universe, dice, ledgers: Mutex::default(), weather: Mutex::default() })
    }

    /// A daemon begins to use it. Inside its runtime.
    pub(crate) fn mount(self: &Arc<Self>, weather: Weather) -> Arc<Mount> {
        *self.weather.lock().unwrap() = weather;
        self.ledgers().values_mut().for_each(Ledger::note_start);
        let (writer, changes) = mpsc::channel(QUEUE);
        tokio::spawn(write(Arc::clone(self), changes));
        Arc::new(Mount { disk: Arc::clone(self), writer })
    }

    /// Looks at a session's log, if it is there.
    pub(crate) fn look<T>(&self, session: SessionId, at: impl FnOnce(&Ledger) -> T) -> Option<T> {
        self.ledgers().get(&session).map(at)
    }

    /// Only a call runs whose intent is durable.
    pub(crate) fn check_may_run(&self, call: &ToolCall) {
        let is_open = self.ledgers().values().any(|ledger| {
            let items = ledger.state.current().map_or(&[][..], |(_, turn)| &turn.items);
            let is_it = |known: &ToolCall| known.call_id == call.call_id;
            items
                .iter()
                .any(|item| item.status == ItemStatus::InProgress && item.body.call().is_some_and(is_it))
        });
        if !is_open {
            self.universe.violation(&format!("call `{}` runs and is not on disk", call.call_id));
        }
    }

    fn ledgers(&self) -> MutexGuard<'_, BTreeMap<SessionId, Ledger>> {
        self.ledgers.lock().unwrap()
    }

    fn is_now(&self, range: impl FnOnce(&Weather) -> &Range<u64>) -> bool {
        range(&self.weather.lock().unwrap()).contains(&self.universe.clock.life_ms())
    }

    fn latency(&self) -> u64 {
        if self.is_now(|weather| &weather.slow) {
            return self.dice.between(50..=1500);
        }
        if self.dice.percent(60) { 0 } else { self.dice.between(0..=4) }
    }

    fn change(&self, change: &Change) -> Result<(), StoreError> {
        if self.is_now(|weather| &weather.full) {
            self.universe.count("full");
            self.universe.note(|| "disk     is full".to_owned());
            return Err(StoreError::Full { file: file() });
        }
        match change {
            Change::Append(append) => self.append(append),
            Change::Checkpoint(session, checkpoint) => {
                if let Some(ledger) = self.ledgers().get_mut(session) {
                    ledger.checkpoint = Some(checkpoint.clone());
                }
                Ok(())
            }
            Change::Delete(session) => {
                self.ledgers().remove(session);
                Ok(())
            }
        }
    }

    fn append(&self, append: &Append) -> Result<(), StoreError> {
        let Append { session, records, summary, spent: _ } = append;
        let mut ledgers = self.ledgers();
        let mut expected = ledgers.get(session).map_or(Seq::ZERO, |ledger| ledger.state.seq).next();
        for record in records {
            if record.seq != expected {
                let found = record.seq;
                self.universe.violation(&format!("event {found} is appended where {expected} is next"));
                return Err(StoreError::Gap { session: *session, expected, found });
            }
            expected = expected.next();
            self.universe.note(|| format!("disk     {} {}", record.seq, described(record)));
            self.universe.count(kind(&record.event));
            let pushed = match ledgers.get_mut(session) {
                Some(ledger) => ledger.push(record),
                None => Ledger::begin(*session, record).map(|ledger| {
                    ledgers.insert(*session, ledger);
                }),
            };
            if let Err(wrong) = pushed {
                self.universe.violation(&wrong);
            }
        }
        if let (Some(ledger), Some(summary)) = (ledgers.get_mut(session), summary) {
            ledger.summary = Some(summary.clone());
        }
        Ok(())
    }
}

/// A line that tells an event.
fn described(record: &EventRecord) -> String {
    let request = record.request_id.map(|id| format!(" for {id}")).unwrap_or_default();
    format!("{:?}{request}", record.event)
}

/// What is counted of events.
fn kind(event: &Event) -> &'static str {
    match event {
        Event::TurnStarted(_) => "turns",
        Event::QuestionAnswered(_) => "answers to questions",
        Event::TurnResumed(_) => "turns resumed",
        Event::TurnSuspended(_) => "turns suspended",
        _ => "events",
    }
}

fn file() -> PathBuf {
    PathBuf::from("disk")
}

enum Change {
    Append(Box<Append>),
    Checkpoint(SessionId, Checkpoint),
    Delete(SessionId),
}

type Job = (Change, oneshot::Sender<Result<(), StoreError>>);

/// Writes one change after the other. A crash may come before one is durable, after that, and after it was
/// acknowledged.
async fn write(disk: Arc<SimDisk>, mut changes: mpsc::Receiver<Job>) {
    while let Some((change, done)) = changes.recv().await {
        pause(disk.latency()).await;
        disk.universe.fuse.point().await;
        let result = disk.change(&change);
        pause(disk.latency()).await;
        disk.universe.fuse.point().await;
        // Who asked may not wait any more.
        let _ = done.send(result);
        disk.universe.fuse.point().await;
    }
}

/// The disk as one daemon uses it.
pub(crate) struct Mount {
    disk: Arc<SimDisk>,
    writer: mpsc::Sender<Job>,
}

impl Mount {
    fn write(&self, change: Change) -> Outcome<'_, ()> {
        Box::pin(async move {
            let (done, answer) = oneshot::channel();
            self.writer.send((change, done)).await.map_err(|_| StoreError::Closed)?;
            answer.await.map_err(|_| StoreError::Closed)?
        })
    }

    fn read<'a, T: Send + 'a>(
        &'a self,
        look: impl FnOnce(&BTreeMap<SessionId, Ledger>) -> T + Send + 'a,
    ) -> Outcome<'a, T> {
        Box::pin(async move {
            pause(self.disk.latency()).await;
            let found = look(&self.disk.ledgers());
            pause(self.disk.latency()).await;
            Ok(found)
        })
    }
}

impl Log for Mount {
    fn append(&self, append: Append) -> Outcome<'_, ()> {
        self.write(Change::Append(Box::new(append)))
    }

    fn events(&self, session: SessionId, after: Seq, upto: Option<Seq>) -> Outcome<'_, Vec<EventRecord>> {
        self.read(move |ledgers| {
            let records = ledgers.get(&session).map_or(&[][..], |ledger| &ledger.records);
            let is_wanted =
                |record: &&EventRecord| record.seq > after && upto.is_none_or(|upto| record.seq <= upto);
            records.iter().filter(is_wanted).cloned().collect()
        })
    }

    fn turn_starts(&self, session: SessionId, last: u32) -> Outcome<'_, Vec<Seq>> {
        self.read(move |ledgers| {
            let records = ledgers.get(&session).map_or(&[][..], |ledger| &ledger.records);
            let is_start = |record: &&EventRecord| matches!(record.event, Event::TurnStarted(_));
            let starts: Vec<_> = records.iter().filter(is_start).map(|record| record.seq).collect();
            starts[starts.len().saturating_sub(last as usize)..].to_vec()
        })
    }

    fn checkpoint(&self, session: SessionId) -> Outcome<'_, Option<Checkpoint>> {
        self.read(move |ledgers| ledgers.get(&session).and_then(|ledger| ledger.checkpoint.clone()))
    }

    fn save_checkpoint(&self, session: SessionId, checkpoint: Checkpoint) -> Outcome<'_, ()> {
        self.write(Change::Checkpoint(session, checkpoint))
    }

    fn list<'a>(&'a self, _: &'a SessionListParams) -> Outcome<'a, Vec<SessionSummary>> {
        self.read(|ledgers| ledgers.values().filter_map(|ledger| ledger.summary.clone()).collect())
    }

    fn active(&self) -> Outcome<'_, Vec<SessionId>> {
        let is_active = |ledger: &Ledger| {
            ledger.summary.as_ref().is_some_and(|summary| {
                matches!(summary.status, SessionStatus::Running { .. } | SessionStatus::Waiting { .. })
            })
        };
        self.read(move |ledgers| {
            ledgers.iter().filter(|(_, ledger)| is_active(ledger)).map(|(id, _)| *id).collect()
        })
    }

    fn ephemeral(&self) -> Outcome<'_, Vec<SessionId>> {
        self.read(|_| Vec::new())
    }

    fn delete(&self, session: SessionId) -> Outcome<'_, ()> {
        self.write(Change::Delete(session))
    }

    fn delete_once(&self, session: SessionId, _: RequestId) -> Outcome<'_, ()> {
        self.write(Change::Delete(session))
    }

    fn was_deleted_by(&self, _: SessionId, _: RequestId) -> Outcome<'_, bool> {
        Box::pin(async { Ok(false) })
    }

    fn set_aside(&self, session: SessionId, reason: String) -> BoxFuture<'_, StoreError> {
        self.disk.universe.violation(&format!("a log makes no sense: {reason}"));
        Box::pin(async move { StoreError::Damaged { session, reason } })
    }

    fn spent_in_tree(&self, _: SessionId) -> Outcome<'_, Vec<(SessionId, Spending)>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn spent_on(&self, _: u64) -> Outcome<'_, Vec<(String, Spending)>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn blob<'a>(&'a self, _: &'a BlobId) -> Outcome<'a, Option<Vec<u8>>> {
        self.read(|_| None)
    }

    fn spools(&self, _: SessionId) -> Arc<dyn Spools> {
        Arc::new(NoSpools)
    }
}

/// The tools here keep nothing outside of their items.
struct NoSpools;

impl Spools for NoSpools {
    fn open(&self) -> BoxFuture<'_, io::Result<Box<dyn Spool>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn read<'a>(&'a self, _: &'a BlobId) -> BoxFuture<'a, io::Result<Option<Vec<u8>>>> {
        Box::pin(async { Ok(None) })
    }
}

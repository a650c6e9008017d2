//! One person's client: attaches, reads or does not read, acts, vanishes, and comes back where it stopped. It is sent
//! what the real subscription sends, and takes it as the real client library does. What it knows outlives the daemon
//! and its own connections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use client::{Cursor, Taken, Update};
use protocol::delta::{FeedEntry, SessionFeed};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::{ClientId, Seq, SessionId};
use protocol::session::{Attachment, ClientRole, Presence};
use protocol::turn::Actor;
use session::handle::{SessionHandle, Wish};
use session::sessions::Sessions;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::clock::pause;
use crate::dice::Dice;
use crate::disk::SimDisk;
use crate::requests::{Done, Sent};
use crate::universe::Universe;
use crate::view::View;
use crate::wire::Wire;

/// Longer than anything may take, in virtual time.
pub(crate) const FOREVER: Duration = Duration::from_secs(4 * 3600);
/// Entries of one message.
const MAX_ENTRIES: usize = 512;
/// Bytes of deltas of one message.
const MAX_DELTA_BYTES: usize = 1024 * 1024;

/// A client.
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) dice: Dice,
    pub(crate) universe: Arc<Universe>,
    pub(crate) disk: Arc<SimDisk>,
    role: ClientRole,
    memory: Mutex<Memory>,
}

/// What it remembers.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) view: Option<View>,
    cursor: Cursor,
    /// Requests that it does not know the outcome of.
    pub(crate) unsure: VecDeque<Sent>,
    /// Requests that were answered.
    pub(crate) done: Vec<Done>,
    /// What it will still do in this life.
    pub(crate) actions_left: u64,
}

/// A life of the daemon, as a client meets it.
#[derive(Clone)]
pub(crate) struct Daemon {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) session: SessionId,
    /// The last event there will be, once nothing happens any more.
    pub(crate) settled: watch::Receiver<Option<Seq>>,
    /// Dropped by a client that has done all it wanted to.
    pub(crate) busy: mpsc::Sender<()>,
}

/// A client that is attached.
pub(crate) struct Place<'a> {
    pub(crate) handle: &'a SessionHandle,
    pub(crate) actor: &'a Actor,
}

/// Why a client does not follow any more.
enum Over {
    /// It saw everything.
    Settled,
    /// The feed ended.
    Ended,
    /// It left.
    Left,
}

impl Client {
    /// One that has not connected yet.
    pub(crate) fn new(number: u64, universe: &Arc<Universe>, disk: &Arc<SimDisk>) -> Arc<Self> {
        let dice = universe.dice.fork();
        let role = if number > 0 && dice.percent(15) { ClientRole::Viewer } else { ClientRole::Driver };
        let (universe, disk) = (Arc::clone(universe), Arc::clone(disk));
        Arc::new(Self { name: format!("c{number}"), dice, universe, disk, role, memory: Mutex::default() })
    }

    /// Lives with a daemon until it has seen all there is, or the daemon is gone.
    pub(crate) async fn live(self: Arc<Self>, daemon: Daemon) {
        let Daemon { sessions, session, mut settled, busy } = daemon;
        let mut busy = Some(busy);
        self.memory().actions_left = self.dice.between(0..=8);
        pause(self.dice.between(0..=300)).await;
        loop {
            let over = match self.connect(&sessions, session).await {
                Ok((handle, actor, mut wire)) => {
                    let place = Place { handle: &handle, actor: &actor };
                    Box::pin(self.follow(&place, &mut wire, &mut settled, &mut busy)).await
                }
                Err(error) => {
                    self.refused(&error);
                    Over::Ended
                }
            };
            match over {
                Over::Settled => return,
                Over::Ended => pause(self.dice.between(1..=400)).await,
                Over::Left => {
                    self.universe.count("vanished");
                    let ms = if self.dice.percent(20) { 100_000 } else { self.dice.between(1..=3000) };
                    pause(ms).await;
                }
            }
        }
    }

    /// What it remembers.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    /// Reports what is wrong.
    pub(crate) fn complain(&self, result: Result<(), String>) {
        if let Err(wrong) = result {
            self.universe.violation(&format!("{}: {wrong}", self.name));
        }
    }

    async fn connect(
        &self,
        sessions: &Arc<Sessions>,
        session: SessionId,
    ) -> Result<(SessionHandle, Actor, Wire), ProtocolError> {
        let opening = sessions.open(session);
        let handle = if self.dice.percent(12) {
            // It goes away before the session is there, and comes again.
            let patience = Duration::from_millis(self.dice.between(0..=200));
            let gone = ProtocolError::new(ErrorCode::Unavailable, "The client went away");
            timeout(patience, opening).await.unwrap_or(Err(gone))?
        } else {
            self.bounded(opening).await?
        };
        let actor = Actor { client_id: ClientId(self.dice.uuid()), name: self.name.clone() };
        let since = self.memory().cursor.since().filter(|_| self.dice.percent(80));
        self.memory().cursor = Cursor::new(since);
        self.universe.note(|| format!("{}       attaches since {since:?}", self.name));
        let attachment = Attachment {
            actor: actor.clone(),
            version: "1".into(),
            role: self.role.clone(),
            can_answer: true,
            attached_at: self.universe.clock.now(),
            is_focused: false,
        };
        let feed = self.bounded(handle.attach(attachment, since)).await?;
        let wire = Wire::of(feed, &self.universe);
        if since.is_some() {
            let mut memory = self.memory();
            let view = memory.view.as_mut();
            self.complain(view.map(|view| view.come_back(wire.missed)).ok_or("nothing is known".to_owned()));
        }
        Ok((handle, actor, wire))
    }

    async fn follow(
        &self,
        place: &Place<'_>,
        wire: &mut Wire,
        settled: &mut watch::Receiver<Option<Seq>>,
        busy: &mut Option<mpsc::Sender<()>>,
    ) -> Over {
        self.repeat(place).await;
        loop {
            let is_active = self.memory().actions_left > 0;
            if !is_active && busy.is_some() {
                // Else nobody else could end what it leaves; it is no error if it had not taken over.
                let _ = self.bounded(place.handle.drive(place.actor.clone(), None, Wish::Release)).await;
                *busy = None;
            }
            let last = *settled.borrow_and_update();
            if last.is_some() && self.memory().view.as_ref().map(View::seq) >= last {
                return Over::Settled;
            }
            tokio::select! {
                biased;
                next = wire.next() => {
                    let Some(message) = next else { return Over::Ended };
                    match self.take(message, place.actor) {
                        Ok(true) => self.universe.fuse.point().await,
                        Ok(false) => return Over::Ended,
                        Err(wrong) => self.complain(Err(wrong)),
                    }
                }
                _ = settled.changed() => {}
                () = pause(self.dice.between(0..=1500)), if is_active => {
                    self.memory().actions_left -= 1;
                    match self.dice.between(1..=100) {
                        1..=6 => return Over::Left,
                        7..=14 => {
                            self.universe.count("did not read");
                            let longest = if self.dice.percent(30) { 60_000 } else { 3000 };
                            pause(self.dice.between(100..=longest)).await;
                        }
                        _ => Box::pin(self.act(place)).await,
                    }
                }
            }
        }
    }

    /// Takes a message; says whether the feed goes on.
    fn take(&self, message: SessionFeed, actor: &Actor) -> Result<bool, String> {
        let sent = match &message {
            SessionFeed::Batch(batch) => events_of(&batch.entries),
            SessionFeed::Snapshot(_)
            | SessionFeed::Lagged(_)
            | SessionFeed::Closed(_)
            | SessionFeed::Unknown(_) => 0,
        };
        if let SessionFeed::Lagged(lagged) = &message {
            self.universe.count("lagged");
            let next = self.memory().view.as_ref().map(|view| view.seq().next());
            if next != Some(lagged.from) {
                return Err(format!("{lagged:?} after {next:?}"));
            }
        }
        let taken = self.memory().cursor.take(message);
        let updates = match taken {
            Taken::New(updates) => updates,
            Taken::AttachAgain(_) => return Ok(false),
            Taken::Over(error) => return Err(format!("the feed ended: {error:?}")),
        };
        let new: usize = updates
            .iter()
            .map(|update| if let Update::Entries(entries) = update { events_of(entries) } else { 0 })
            .sum();
        if new != sent {
            return Err(format!("of {sent} events that were sent {new} were new"));
        }
        updates.into_iter().try_for_each(|update| self.see(update, actor))?;
        Ok(true)
    }

    fn see(&self, update: Update, actor: &Actor) -> Result<(), String> {
        let entries = match update {
            Update::Snapshot(snapshot) => {
                let view = View::of_snapshot(&self.disk, &snapshot)?;
                self.memory().view = Some(view);
                return check_presence(&snapshot.presence, actor);
            }
            Update::Presence(presence) => return check_presence(&presence, actor),
            Update::Entries(entries) => entries,
            Update::Lost | Update::Back(_) => return Err("a message holds no connection".to_owned()),
        };
        let bytes =
            |entry: &FeedEntry| if let FeedEntry::Delta(delta) = entry { delta.text.len() } else { 0 };
        if entries.len() > MAX_ENTRIES || entries.iter().map(bytes).sum::<usize>() > MAX_DELTA_BYTES {
            return Err(format!("{} entries came at once", entries.len()));
        }
        let mut memory = self.memory();
        let view = memory.view.as_mut().ok_or("entries for a client that knows nothing")?;
        view.batch(entries.len());
        for entry in &entries {
            match entry {
                FeedEntry::Event(record) => {
                    self.universe.note(|| format!("{}       sees {}", self.name, record.seq));
                    view.event(&self.disk, record)?;
                }
                FeedEntry::Delta(delta) => {
                    self.universe.note(|| format!("{}       sees {delta:?}", self.name));
                    view.delta(delta)?;
                }
                FeedEntry::Presence(_) => return Err("who is there comes by itself".to_owned()),
                FeedEntry::Budget(_) => {}
                FeedEntry::Unknown(value) => return Err(format!("an unknown entry {value}")),
            }
        }
        Ok(())
    }

    /// What may be refused to a client that connects: there is no session yet, or the daemon can't load it now.
    fn refused(&self, error: &ProtocolError) {
        self.universe.note(|| format!("{}       is refused: {error}", self.name));
        let is_new = self.memory().view.is_none();
        match error.code {
            ErrorCode::Unavailable => {}
            ErrorCode::NotFound if is_new => {}
            _ => self.complain(Err(format!("is refused: {error:?}"))),
        }
    }

    /// Waits for an answer, which must come.
    pub(crate) async fn bounded<T>(
        &self,
        asked: impl Future<Output = Result<T, ProtocolError>>,
    ) -> Result<T, ProtocolError> {
        timeout(FOREVER, asked).await.unwrap_or_else(|_| {
            self.complain(Err("is never answered".to_owned()));
            Err(ProtocolError::new(ErrorCode::Unavailable, "Nobody answered"))
        })
    }
}

/// How many of them are events.
fn events_of(entries: &[FeedEntry]) -> usize {
    entries.iter().filter(|entry| matches!(entry, FeedEntry::Event(_))).count()
}

/// Who is attached sees itself.
fn check_presence(presence: &Presence, actor: &Actor) -> Result<(), String> {
    let is_me = |attachment: &Attachment| attachment.actor.client_id == actor.client_id;
    match presence.attached.iter().filter(|attachment| is_me(attachment)).count() {
        1 => Ok(()),
        times => Err(format!("it stands {times} times in {presence:?}")),
    }
}

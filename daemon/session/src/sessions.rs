//! All sessions of a daemon: makes them, finds them, loads them when somebody needs them. One actor per session,
//! however many ask at once.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::join_all;
use protocol::agent::AgentOrigin;
use protocol::client_tool::ClientTool;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::{Event, EventRecord, SessionCreated, SessionUpdated};
use protocol::ids::{QuestionId, RequestId, Seq, SessionId};
use protocol::question::OpenQuestion;
use protocol::session::{
    BackgroundCommand, InstructionFile, SessionListParams, SessionSettings, SessionSummary,
};
use protocol::turn::Actor as Person;
use store::{Append, StoreError};
use tokio::sync::{OnceCell, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tools::registry::Registry;
use tracing::{Instrument, error, info, info_span, warn};

use crate::actor::{Actor, Ended, Left, Surroundings, answer};
use crate::census::{Census, Counts};
use crate::client_tools;
use crate::fork::Fork;
use crate::handle::{Message, Questions, SessionHandle, gone};
use crate::load::{Loaded, load};
use crate::log::Log;
use crate::state::SessionState;
use crate::today::Today;
use crate::trees::Trees;
use crate::world::World;

/// Messages that may wait for an actor; a full mailbox makes callers wait.
const MAILBOX: usize = 64;

/// All sessions.
pub struct Sessions {
    pub(crate) log: Arc<dyn Log>,
    around: Arc<Surroundings>,
    entries: Mutex<HashMap<SessionId, Arc<Entry>>>,
    /// Why the logs of sessions could not be written when their actors ended.
    failures: Mutex<HashMap<SessionId, String>>,
    is_draining: AtomicBool,
    actors: TaskTracker,
}

/// A session that is in memory, or about to be.
#[derive(Default)]
struct Entry {
    handle: OnceCell<SessionHandle>,
    /// Set when the actor is gone and the session can be loaded again.
    is_over: CancellationToken,
}

/// What a session is made of.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its identity.
    pub id: SessionId,
    /// Who makes it.
    pub actor: Person,
    /// What it is called.
    pub title: Option<String>,
    /// What holds in it.
    pub settings: SessionSettings,
    /// The instruction files of its folder.
    pub instructions: Vec<InstructionFile>,
    /// Where it comes from, if the model of another session starts it.
    pub agent: Option<AgentOrigin>,
}

impl Sessions {
    /// The sessions of a log.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, tools: Arc<Registry>, world: Arc<dyn World>) -> Arc<Self> {
        let around = Surroundings {
            log: Arc::clone(&log),
            tools,
            world,
            census: Census::new(),
            today: Today::default(),
            trees: Trees::default(),
        };
        Arc::new(Self {
            log,
            around: Arc::new(around),
            entries: Mutex::default(),
            failures: Mutex::default(),
            is_draining: AtomicBool::new(false),
            actors: TaskTracker::new(),
        })
    }

    /// Refuses tools of clients that can't be offered.
    ///
    /// # Errors
    /// `InvalidRequest`.
    pub fn check_client_tools(&self, tools: &[ClientTool], timeout_ms: u64) -> Result<(), ProtocolError> {
        client_tools::check(tools, timeout_ms, &self.around.tools)
    }

    /// After a start: brings turns that the last daemon left running to a durable point, and removes sessions
    /// that were to be forgotten. A session that can't be recovered is logged and left as it is.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn recover(self: &Arc<Self>) -> Result<(), ProtocolError> {
        for id in self.log.ephemeral().await? {
            if let Err(error) = self.log.delete(id).await {
                error!(session = %id, %error, "could not forget the session");
            }
        }
        for id in self.log.active().await? {
            match self.open(id).await {
                Ok(_) => info!(session = %id, "recovered"),
                Err(error) => error!(session = %id, %error, "could not recover the session"),
            }
        }
        Ok(())
    }

    /// Makes a session. One that is in memory already is given as it is. Dropping the future does not take it back.
    ///
    /// # Errors
    /// `Unavailable` while the daemon stops or when the log can't be written.
    pub async fn create(self: &Arc<Self>, new: NewSession) -> Result<SessionHandle, ProtocolError> {
        Box::pin(self.begin(new, |_| Vec::new())).await
    }

    /// Makes a session that begins with the turns of another one. Else as `create`.
    ///
    /// # Errors
    /// As `create`; `Internal` if the turns can't follow the beginning.
    pub async fn fork(
        self: &Arc<Self>,
        id: SessionId,
        actor: Person,
        fork: Fork,
    ) -> Result<SessionHandle, ProtocolError> {
        let (title, settings, at) = (fork.title.clone(), fork.settings.clone(), self.around.world.now());
        // The turns are as old as they are; the session is new.
        let updated =
            SessionUpdated { actor: actor.clone(), title: title.clone(), settings: settings.clone() };
        let instructions = fork.instructions.clone();
        // What forks an agent is a person, so it is none.
        let new = NewSession { id, actor, title, settings, instructions, agent: None };
        let rest = |first: Seq| {
            let mut records = fork.records(first);
            let seq = records.last().map_or(first, |last| last.seq.next());
            records.push(EventRecord { seq, at, request_id: None, event: Event::SessionUpdated(updated) });
            records
        };
        Box::pin(self.begin(new, rest)).await
    }

    async fn begin(
        self: &Arc<Self>,
        new: NewSession,
        rest: impl FnOnce(Seq) -> Vec<EventRecord>,
    ) -> Result<SessionHandle, ProtocolError> {
        let NewSession { id, actor, title, settings, instructions, agent } = new;
        let event = Event::SessionCreated(SessionCreated { actor, title, settings, instructions, agent });
        let record =
            EventRecord { seq: Seq::ZERO.next(), at: self.around.world.now(), request_id: None, event };
        let mut records = rest(record.seq.next());
        records.insert(0, record);
        let state = SessionState::fold(id, &records)
            .map_err(|error| ProtocolError::new(ErrorCode::Internal, error.to_string()))?;
        let append = Append { session: id, records, summary: Some(state.summary()), spent: Vec::new() };
        let sessions = Arc::clone(self);
        let entering = async move {
            let made = || async {
                sessions.log.append(append.clone()).await?;
                Ok(Loaded { state: state.clone(), from: Seq::ZERO, checkpoint: Seq::ZERO })
            };
            sessions.enter(id, made).await
        };
        self.see_through(id, Box::pin(entering)).await
    }

    /// The session if it is in memory.
    #[must_use]
    pub fn loaded(&self, id: SessionId) -> Option<SessionHandle> {
        let entered = self.entries().get(&id).and_then(|entry| entry.handle.get().cloned());
        entered.filter(|handle| !handle.mailbox.is_closed())
    }

    /// The session, loaded if need be.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable` while the daemon stops, or what the store says.
    pub async fn open(self: &Arc<Self>, id: SessionId) -> Result<SessionHandle, ProtocolError> {
        if let Some(handle) = self.loaded(id) {
            return Ok(handle);
        }
        let sessions = Arc::clone(self);
        let entering = async move { sessions.enter(id, || load(&*sessions.log, id)).await };
        self.see_through(id, Box::pin(entering)).await
    }

    /// Brings a session into memory to the end, whether or not the one who asked still waits: what was begun to be
    /// appended is appended, and nobody may load the session beside it.
    async fn see_through(
        &self,
        id: SessionId,
        entering: impl Future<Output = Result<SessionHandle, ProtocolError>> + Send + 'static,
    ) -> Result<SessionHandle, ProtocolError> {
        self.actors.spawn(entering).await.unwrap_or_else(|_| Err(gone(id)))
    }

    /// The session's handle. Without an actor, one starts with what `loaded` gives; all who ask meanwhile wait.
    async fn enter<Loading>(
        self: &Arc<Self>,
        id: SessionId,
        loaded: impl Fn() -> Loading + Send + Sync,
    ) -> Result<SessionHandle, ProtocolError>
    where
        Loading: Future<Output = Result<Loaded, ProtocolError>> + Send,
    {
        loop {
            let entry = Arc::clone(self.entries().entry(id).or_default());
            let started = entry.handle.get_or_try_init(|| async {
                // Invariant: only an entry in the map gets an actor. One that failed is out of it, and may still be
                // waited for.
                if !self.holds(id, &entry) {
                    return Err(None);
                }
                self.refuse_draining().map_err(Some)?;
                let loaded = loaded().await.map_err(Some)?;
                self.start(loaded, &entry).await.map_err(Some)
            });
            match started.await {
                Ok(handle) if !handle.mailbox.is_closed() => return Ok(handle.clone()),
                Ok(_) => entry.is_over.cancelled().await,
                Err(None) => {}
                Err(Some(error)) => {
                    self.remove(id, &entry);
                    return Err(error);
                }
            }
        }
    }

    /// The sessions of a list, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list(&self, params: &SessionListParams) -> Result<Vec<SessionSummary>, ProtocolError> {
        let mut listed = self.log.list(params).await?;
        let now = self.around.world.now();
        let going = |handle: SessionHandle| Some((handle.id, handle.background(now)));
        let going = self.all_loaded().into_iter().filter_map(going).filter(|(_, going)| !going.is_empty());
        let mut going: HashMap<SessionId, Vec<BackgroundCommand>> = going.collect();
        for summary in &mut listed {
            summary.background = going.remove(&summary.id).unwrap_or_default();
        }
        if params.only_active {
            self.add_background(&mut listed, going, params).await;
        }
        Ok(listed)
    }

    /// Adds sessions that do nothing but have commands in the background.
    async fn add_background(
        &self,
        listed: &mut Vec<SessionSummary>,
        going: HashMap<SessionId, Vec<BackgroundCommand>>,
        params: &SessionListParams,
    ) {
        for (id, background) in going {
            // One that left the memory meanwhile has none any more.
            let Some(handle) = self.loaded(id) else { continue };
            let Ok(summary) = handle.summary().await else { continue };
            let is_wanted = params.cwd.as_ref().is_none_or(|cwd| *cwd == summary.settings.cwd)
                && (params.with_agents || summary.agent.is_none())
                && params.updated_before.is_none_or(|before| summary.updated_at < before);
            if is_wanted {
                listed.push(SessionSummary { background, ..summary });
            }
        }
        listed.sort_by_key(|summary| Reverse(summary.updated_at));
        listed.truncate(params.limit.map_or(usize::MAX, |limit| limit as usize));
    }

    /// The questions that wait, oldest first.
    ///
    /// # Errors
    /// `NotFound` for a session that does not exist.
    pub async fn questions(
        self: &Arc<Self>,
        only: Option<SessionId>,
    ) -> Result<Vec<OpenQuestion>, ProtocolError> {
        let handles = match only {
            Some(id) => vec![self.open(id).await?],
            // A session with a question has a turn, so it is in memory.
            None => self.all_loaded(),
        };
        let mut found = Vec::new();
        for handle in handles {
            let session_id = handle.id();
            let Questions { agent, open, .. } = handle.questions().await?;
            let opened = |question| OpenQuestion { session_id, agent: agent.clone(), question };
            found.extend(open.into_iter().map(opened));
        }
        found.sort_by_key(|open| (open.question.asked_at, open.question.id));
        Ok(found)
    }

    /// The session that a question belongs to, also if it was answered a while ago.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn with_question(self: &Arc<Self>, id: QuestionId) -> Result<SessionHandle, ProtocolError> {
        for handle in self.all_loaded() {
            let questions = handle.questions().await?;
            if questions.open.iter().any(|question| question.id == id) || questions.answered.contains(&id) {
                return Ok(handle);
            }
        }
        Err(ProtocolError::new(ErrorCode::NotFound, format!("No question `{id}` waits"))
            .with_hint("See what waits with `skein questions list`"))
    }

    /// Removes a session and all that belongs to it; for a request that has a name, once.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` while a turn runs, `Denied` as for a request, or what the store says.
    pub async fn delete(
        self: &Arc<Self>,
        id: SessionId,
        actor: Person,
        request_id: Option<RequestId>,
    ) -> Result<(), ProtocolError> {
        if let Some(request) = request_id
            && self.log.was_deleted_by(id, request).await?
        {
            return Ok(());
        }
        let handle = match self.open(id).await {
            Ok(handle) => handle,
            // Its log can't be read, so it has no turn that would keep it.
            Err(error) if error.code == ErrorCode::Internal => {
                warn!(session = %id, %error, "deleting a session that can't be read");
                return Ok(self.remove_log(id, request_id).await?);
            }
            Err(error) => return Err(error),
        };
        let (reply, done) = oneshot::channel();
        if handle.mailbox.send(Box::new(Message::End { actor, request_id, reply })).await.is_err() {
            return Err(gone(id));
        }
        done.await.unwrap_or_else(|_| Err(gone(id)))
    }

    async fn remove_log(&self, id: SessionId, request_id: Option<RequestId>) -> Result<(), StoreError> {
        match request_id {
            Some(request) => self.log.delete_once(id, request).await,
            None => self.log.delete(id).await,
        }
    }

    /// Takes no new turns, brings the running ones to a durable point and ends all actors. With `hand_over` the turns
    /// rest there, and the next daemon goes on with them; else they end.
    pub async fn drain(&self, hand_over: bool) {
        self.is_draining.store(true, Ordering::Release);
        let entries: Vec<_> = self.entries().values().cloned().collect();
        let stopping = entries.into_iter().map(|entry| async move {
            // One that is being loaded is waited for; from now on none begins.
            let Ok(handle) = entry.handle.get_or_try_init(|| async { Err(()) }).await else { return };
            let (reply, done) = oneshot::channel();
            if handle.mailbox.send(Box::new(Message::Stop { hand_over, reply })).await.is_ok()
                && let Ok(Err(error)) = done.await
            {
                error!(session = %handle.id(), %error, "could not bring the session to a durable point");
            }
        });
        join_all(stopping).await;
        self.actors.close();
        self.actors.wait().await;
    }

    /// How many sessions are in memory, run and are watched.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.around.census.counts()
    }

    /// The same, as it changes.
    #[must_use]
    pub fn activity(&self) -> watch::Receiver<Counts> {
        self.around.census.watch()
    }

    /// Refuses what would begin something new while the daemon stops.
    pub(crate) fn refuse_draining(&self) -> Result<(), ProtocolError> {
        if self.is_draining.load(Ordering::Acquire) {
            return Err(ProtocolError::new(ErrorCode::Unavailable, "The daemon is stopping")
                .with_hint("Try again in a moment; a new daemon starts by itself"));
        }
        Ok(())
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Entry>>> {
        // Every change of the map is done at once, so a poisoned one is whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<SessionId, String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_loaded(&self) -> Vec<SessionHandle> {
        self.entries().values().filter_map(|entry| entry.handle.get().cloned()).collect()
    }

    /// Takes an entry out of the map, if it still is the one of its session.
    fn remove(&self, id: SessionId, entry: &Arc<Entry>) {
        let mut entries = self.entries();
        if entries.get(&id).is_some_and(|known| Arc::ptr_eq(known, entry)) {
            entries.remove(&id);
        }
    }

    fn holds(&self, id: SessionId, entry: &Arc<Entry>) -> bool {
        self.entries().get(&id).is_some_and(|known| Arc::ptr_eq(known, entry))
    }

    /// Starts the actor of a session that was loaded.
    async fn start(
        self: &Arc<Self>,
        loaded: Loaded,
        entry: &Arc<Entry>,
    ) -> Result<SessionHandle, ProtocolError> {
        let id = loaded.state.id;
        let (mailbox, messages) = mpsc::channel(MAILBOX);
        self.around.today.load(&*self.log, self.around.world.now()).await?;
        let root = loaded.state.agent.as_ref().map_or(id, |agent| agent.root);
        let branch = self.around.trees.join(&*self.log, id, root).await?;
        let mut actor = Actor::new(loaded, Arc::clone(&self.around), branch, messages);
        let failure = self.failures().get(&id).cloned();
        actor.recover(failure).await?;
        self.failures().remove(&id);
        let belongings = actor.hands.work.belongings();
        self.spawn(id, actor, entry);
        Ok(SessionHandle { id, mailbox, sessions: Arc::downgrade(self), belongings })
    }

    fn spawn(self: &Arc<Self>, id: SessionId, actor: Actor, entry: &Arc<Entry>) {
        let (sessions, entry) = (Arc::downgrade(self), Arc::clone(entry));
        let living = async move {
            let left = AssertUnwindSafe(actor.run()).catch_unwind().await;
            let Some(sessions) = sessions.upgrade() else { return };
            let Left { ended, unserved } = left.unwrap_or_else(|_| {
                error!("the session's actor failed inside; its log is whole and will be loaded again");
                Left { ended: Ended::Unloaded, unserved: Vec::new() }
            });
            sessions.finish(id, &entry, ended, unserved).await;
        };
        self.actors.spawn(living.instrument(info_span!("session", %id)));
    }

    /// After an actor has left: deletes what is to be deleted, and has those served who came too late.
    async fn finish(
        self: &Arc<Self>,
        id: SessionId,
        entry: &Arc<Entry>,
        ended: Ended,
        unserved: Vec<Message>,
    ) {
        match ended {
            Ended::Unloaded => {}
            Ended::Failed(message) => {
                self.failures().insert(id, message);
            }
            Ended::Forgotten if !unserved.is_empty() => {}
            Ended::Forgotten => {
                if let Err(error) = self.log.delete(id).await {
                    warn!(%error, "could not forget the session; the next start does it");
                }
                self.around.world.deleted(id);
            }
            Ended::Deleted(request_id, respond) => {
                let deleted = self.remove_log(id, request_id).await.map_err(ProtocolError::from);
                answer(respond, deleted);
                self.around.world.deleted(id);
            }
        }
        self.remove(id, entry);
        entry.is_over.cancel();
        if unserved.is_empty() {
            return;
        }
        let next = match self.open(id).await {
            Ok(next) => next,
            Err(error) => {
                for message in unserved {
                    match message {
                        // What it is to do is done: the session is out of memory.
                        Message::Stop { reply, .. } => answer(reply, Ok(())),
                        other => other.refuse(&error),
                    }
                }
                return;
            }
        };
        // Who is not served by the next actor either hears that from its dropped channel.
        for message in unserved {
            if next.mailbox.send(Box::new(message)).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;

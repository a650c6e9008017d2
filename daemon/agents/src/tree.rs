//! All trees of agents of a daemon: starts agents, stops them, and carries to each session what its agents came to.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, OnceLock, Weak};

use futures_util::future::join_all;
use protocol::agent::{AgentListResult, AgentNode, AgentOrigin, AgentReport, AgentStatus};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::{Event, EventRecord};
use protocol::ids::{ClientId, ItemId, RequestId, Seq, SessionId, TurnId};
use protocol::session::{InstructionFile, SessionListParams, SessionStatus, SessionSummary};
use protocol::turn::{Actor, InputPart, InterruptReason, Turn, TurnLimits, TurnOutcome};
use protocol::usage::Spending;
use session::handle::SessionHandle;
use session::input::Request;
use session::sessions::{NewSession, Sessions};
use session::state::SessionState;
use store::Store;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tools::agents::{AgentState, Agents, NewAgent};

use crate::family::{below, depth_of, is_active, root_of};
use crate::missed::{Missed, Misses};
use crate::office::Office;
use crate::reach::Reach;
use crate::starting::Starting;
use crate::state;

/// Trees that are told of at once.
const MAX_TREES: u32 = 100;
/// Bytes of a message that a parent keeps, and that a list shows.
const MAX_MESSAGE: usize = 2 * 1024;

/// All of them.
pub struct Trees {
    store: Store,
    office: Arc<dyn Office>,
    sessions: OnceLock<Weak<Sessions>>,
    /// Changes whenever an agent may have come to something.
    ticks: watch::Sender<u64>,
    /// Who starts one.
    starting: Starting,
    /// What is carried to other sessions.
    carrying: TaskTracker,
    /// Agents that the daemon before may not have told of.
    misses: Misses,
}

impl Trees {
    /// Those of the sessions in this store.
    #[must_use]
    pub fn new(store: Store, office: Arc<dyn Office>) -> Arc<Self> {
        Arc::new(Self {
            store,
            office,
            sessions: OnceLock::new(),
            ticks: watch::Sender::new(0),
            starting: Starting::default(),
            carrying: TaskTracker::new(),
            misses: Misses::default(),
        })
    }

    /// Gets to know the sessions, which know the trees already. Comes before anything is asked of the trees.
    pub fn meet(&self, sessions: &Arc<Sessions>) {
        // Once; a second one would be the same.
        let _ = self.sessions.set(Arc::downgrade(sessions));
    }

    /// The agents of a session, for a call of its model's.
    #[must_use]
    pub fn of(self: &Arc<Self>, session: SessionId, call: ItemId) -> Arc<dyn Agents> {
        Arc::new(Reach { trees: Arc::clone(self), session, call })
    }

    /// Removes agents whose parent is gone.
    pub async fn tidy(&self) {
        // Those below come up when those above are gone.
        while let Ok(orphans) = self.store.orphans().await
            && !orphans.is_empty()
        {
            for orphan in orphans {
                if let Err(error) = self.remove(orphan).await {
                    tracing::warn!(session = %orphan, %error, "could not remove an agent whose parent is gone");
                    return;
                }
            }
        }
    }

    /// Finds agents that ended together with the daemon before. Comes before anything happens in this one.
    ///
    /// # Errors
    /// What the store says.
    pub async fn find_missed(&self) -> Result<(), ProtocolError> {
        Ok(self.misses.find(&self.store).await?)
    }

    /// Tells their parents what they came to, unless they heard of it. `may_load` returns when a session may be loaded.
    pub async fn make_up(&self, may_load: impl AsyncFn(SessionId)) {
        let telling = self.misses.take().into_iter().map(async |missed| {
            may_load(missed.parent).await;
            if let Err(error) = self.tell_late(missed).await {
                tracing::warn!(agent = %missed.agent, %error, "what an agent came to could not be told");
            }
        });
        join_all(telling).await;
    }

    async fn tell_late(&self, missed: Missed) -> Result<(), ProtocolError> {
        let snapshot = self.open(missed.agent).await?.read(0, 1).await?;
        let (Some(origin), Some(turn)) = (&snapshot.summary.agent, snapshot.turns.last()) else {
            return Ok(());
        };
        let (status, message) = state::ended(turn);
        if status.is_live() {
            return Ok(());
        }
        // A session keeps what a turn came to once, however often it hears of it.
        self.open(missed.parent).await?.report(report(missed.agent, origin, turn, status, message)).await
    }

    /// Waits for what is carried to other sessions. Comes when the sessions have stopped.
    pub async fn settle(&self) {
        self.carrying.close();
        self.carrying.wait().await;
    }

    /// Hears of what happened in a session; see `World::happened`.
    pub fn happened(self: &Arc<Self>, state: &SessionState, event: &Event) {
        self.tick();
        if let Event::TurnEnded(ended) = event {
            if let Some((origin, report)) = state.agent.as_ref().zip(report_of_end(state, ended.turn_id)) {
                self.carry(origin.parent, report);
            }
            if is_stopped(&ended.outcome) {
                self.begin(state.id, async |trees: Arc<Self>, id| trees.interrupt_below(id).await);
            }
        } else if let Event::QuestionAsked(asked) = event {
            if let Some(origin) = &state.agent
                && let Some(turn) = state.turns.iter().rev().find(|turn| turn.id == asked.question.turn_id)
            {
                let message = Some(state::asked(&asked.question));
                self.carry(origin.parent, report(state.id, origin, turn, AgentStatus::Waiting, message));
            }
        } else if let Event::SessionArchived(_) = event {
            self.begin(state.id, async |trees: Arc<Self>, id| trees.close_below(id).await);
        }
    }

    /// Hears that a session is gone: so are its agents.
    pub fn deleted(self: &Arc<Self>, session: SessionId) {
        self.office.forget(session);
        self.tick();
        self.begin(session, async |trees: Arc<Self>, _| {
            trees.tidy().await;
            Ok(())
        });
    }

    /// Stops what runs below a session.
    ///
    /// # Errors
    /// What the store says.
    pub async fn interrupt_below(&self, session: SessionId) -> Result<(), ProtocolError> {
        for agent in self.all_below(session).await? {
            if is_active(&agent) {
                self.interrupt(agent.id).await?;
            }
        }
        Ok(())
    }

    /// The questions that wait below a session are those of these sessions.
    ///
    /// # Errors
    /// What the store says.
    pub async fn waiting_below(&self, session: SessionId) -> Result<Vec<SessionId>, ProtocolError> {
        let all = self.all_below(session).await?;
        let waits = |summary: &&SessionSummary| matches!(summary.status, SessionStatus::Waiting { .. });
        Ok(all.iter().filter(waits).map(|summary| summary.id).collect())
    }

    /// The tree that a session belongs to, or all in which an agent works.
    ///
    /// # Errors
    /// `NotFound`, or what the store says.
    pub async fn list(&self, of: Option<SessionId>) -> Result<AgentListResult, ProtocolError> {
        let roots = match of {
            Some(session) => BTreeSet::from([root_of(&self.summary(session).await?)]),
            None => {
                let params = SessionListParams {
                    only_active: true,
                    with_agents: true,
                    limit: Some(MAX_TREES),
                    ..SessionListParams::default()
                };
                let active = self.store.list(&params).await?;
                active.iter().filter(|summary| summary.agent.is_some()).map(root_of).collect()
            }
        };
        let mut agents = Vec::new();
        for root in roots {
            let family = self.store.family(root).await?;
            let spent = self.store.spent_in_tree(root).await?;
            let top = family.iter().filter(|summary| summary.id == root);
            for summary in top.chain(below(root, &family)) {
                let is_same = |(session, _): &&(SessionId, Spending)| *session == summary.id;
                let cost = spent.iter().find(is_same).map(|(_, spending)| spending.cost).unwrap_or_default();
                let (summary, status, message) = self.look(summary).await;
                let message = message.map(|message| beginning(message, MAX_MESSAGE));
                agents.push(AgentNode { summary, status, message, cost });
            }
        }
        Ok(AgentListResult { agents })
    }

    pub(crate) fn ticks(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }

    /// Starts an agent for a call; one that the call started before is given as it is.
    pub(crate) async fn spawn(
        &self,
        session: SessionId,
        call: ItemId,
        wish: NewAgent,
    ) -> Result<SessionSummary, ProtocolError> {
        let parent = self.sessions()?.open(session).await?.summary().await?;
        let _alone = self.starting.alone_in(root_of(&parent)).await;
        // Invariant: an agent's session has the id of the call that started it.
        let id = SessionId(call.0);
        if let Some(known) = self.store.summary(id).await? {
            return Ok(known);
        }
        let family = self.store.family(root_of(&parent)).await?;
        self.refuse_too_many(&parent, &family)?;
        let name = name_of(&wish, session, &family)?;
        let origin = AgentOrigin {
            parent: session,
            item_id: call,
            root: root_of(&parent),
            depth: depth_of(&parent) + 1,
            name: name.clone(),
        };
        let task = vec![InputPart::Text { text: wish.task.clone() }];
        let instructions = self.instructions(session).await?;
        let settings = self.office.settle(session, id, parent.settings.clone(), wish).await?;
        let actor = speaker(&parent);
        let new = NewSession {
            id,
            actor: actor.clone(),
            title: Some(name),
            settings: settings.clone(),
            instructions,
            agent: Some(origin),
        };
        let agent = self.sessions()?.create(new).await?;
        let begun = async {
            self.office.prepare(id, settings).await?;
            let (output_schema, limits, expected_seq) = (None, TurnLimits::default(), None);
            let request = Request::Start { input: task, output_schema, limits, expected_seq };
            agent.request(actor, Some(RequestId(call.0)), request).await
        };
        if let Err(error) = begun.await {
            if let Err(error) = self.remove(id).await {
                tracing::warn!(session = %id, %error, "could not remove an agent that did not begin");
            }
            return Err(error);
        }
        tracing::info!(agent = %id, of = %session, "started an agent");
        agent.summary().await
    }

    /// Those below a session, each after its parent.
    pub(crate) async fn all_below(&self, session: SessionId) -> Result<Vec<SessionSummary>, ProtocolError> {
        let root = root_of(&self.summary(session).await?);
        let family = self.store.family(root).await?;
        Ok(below(session, &family).into_iter().cloned().collect())
    }

    /// Says something to an agent, once for a call.
    pub(crate) async fn say(
        &self,
        from: SessionId,
        call: ItemId,
        agent: SessionId,
        request: Request,
    ) -> Result<(), ProtocolError> {
        let actor = speaker(&self.summary(from).await?);
        self.open(agent).await?.request(actor, Some(RequestId(call.0)), request).await.map(drop)
    }

    /// Stops an agent with those below it, and puts it away.
    pub(crate) async fn close(&self, agent: SessionId) -> Result<(), ProtocolError> {
        self.close_below(agent).await?;
        self.put_away(agent).await
    }

    /// What the session was told of instruction files when it began. The same words find what providers remember of them.
    async fn instructions(&self, session: SessionId) -> Result<Vec<InstructionFile>, ProtocolError> {
        let first = self.store.events(session, Seq::ZERO, Some(Seq::ZERO.next())).await?;
        let Some(EventRecord { event: Event::SessionCreated(created), .. }) = first.into_iter().next() else {
            return Ok(Vec::new());
        };
        Ok(created.instructions)
    }

    /// An agent as the tools of a session above it tell of it.
    pub(crate) async fn state(&self, summary: &SessionSummary, of: Option<String>) -> AgentState {
        let (summary, status, message) = self.look(summary).await;
        let name = summary.agent.map(|agent| agent.name).unwrap_or_default();
        AgentState { id: summary.id, name, of, status, message, tokens: summary.usage.total_tokens() }
    }

    /// A session as it is now, with what it is doing.
    async fn look(&self, summary: &SessionSummary) -> (SessionSummary, AgentStatus, Option<String>) {
        let read = async { self.open(summary.id).await?.read(0, 1).await };
        match read.await {
            Ok(snapshot) => {
                let (status, message) = state::of(&snapshot);
                (snapshot.summary, status, message)
            }
            Err(error) => (summary.clone(), AgentStatus::Closed, Some(error.message)),
        }
    }

    async fn summary(&self, session: SessionId) -> Result<SessionSummary, ProtocolError> {
        self.store.summary(session).await?.ok_or_else(|| {
            ProtocolError::new(ErrorCode::NotFound, format!("There is no session `{session}`"))
        })
    }

    fn refuse_too_many(
        &self,
        parent: &SessionSummary,
        family: &[SessionSummary],
    ) -> Result<(), ProtocolError> {
        let limits = self.office.limits(parent.id)?;
        if depth_of(parent) >= limits.max_depth {
            let message = format!("Agents may stand {} below one another at most", limits.max_depth);
            return Err(ProtocolError::new(ErrorCode::Denied, message)
                .with_hint("Do it yourself, or tell who started you what is to be done"));
        }
        let live = family.iter().filter(|summary| summary.agent.is_some() && is_active(summary)).count();
        if live >= usize::try_from(limits.max_live).unwrap_or(usize::MAX) {
            let message = format!("{live} agents work already, and no more may at a time");
            return Err(ProtocolError::new(ErrorCode::Conflict, message)
                .with_hint("Wait for one with `wait_agent`, or end one with `close_agent`"));
        }
        Ok(())
    }

    async fn close_below(&self, session: SessionId) -> Result<(), ProtocolError> {
        for agent in self.all_below(session).await?.iter().rev() {
            if agent.status != SessionStatus::Archived {
                self.put_away(agent.id).await?;
            }
        }
        Ok(())
    }

    async fn put_away(&self, agent: SessionId) -> Result<(), ProtocolError> {
        self.interrupt(agent).await?;
        self.open(agent).await?.request(nobody(), None, Request::Archive).await.map(drop)
    }

    async fn interrupt(&self, agent: SessionId) -> Result<(), ProtocolError> {
        let request = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
        self.open(agent).await?.request(nobody(), None, request).await.map(drop)
    }

    async fn remove(&self, agent: SessionId) -> Result<(), ProtocolError> {
        // One that can't be loaded has no turn, and can be deleted all the same.
        if let Ok(handle) = self.open(agent).await {
            let request = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
            handle.request(nobody(), None, request).await?;
        }
        self.sessions()?.delete(agent, nobody(), None).await
    }

    fn carry(self: &Arc<Self>, parent: SessionId, report: AgentReport) {
        self.begin(parent, async move |trees: Arc<Self>, parent| {
            trees.open(parent).await?.report(report).await
        });
    }

    /// Does something for a session, beside what the caller does.
    fn begin<Doing>(self: &Arc<Self>, session: SessionId, work: impl FnOnce(Arc<Self>, SessionId) -> Doing)
    where
        Doing: Future<Output = Result<(), ProtocolError>> + Send + 'static,
    {
        let doing = work(Arc::clone(self), session);
        self.carrying.spawn(async move {
            if let Err(error) = doing.await {
                tracing::debug!(%session, %error, "what an agent came to could not be carried on");
            }
        });
    }

    async fn open(&self, session: SessionId) -> Result<SessionHandle, ProtocolError> {
        self.sessions()?.open(session).await
    }

    fn sessions(&self) -> Result<Arc<Sessions>, ProtocolError> {
        let sessions = self.sessions.get().and_then(Weak::upgrade);
        sessions.ok_or_else(|| ProtocolError::new(ErrorCode::Unavailable, "The daemon is stopping"))
    }

    fn tick(&self) {
        self.ticks.send_modify(|ticks| *ticks = ticks.wrapping_add(1));
    }
}

fn report_of_end(state: &SessionState, turn: TurnId) -> Option<AgentReport> {
    let turn = state.turns.iter().rev().find(|known| known.id == turn)?;
    let (status, message) = state::ended(turn);
    Some(report(state.id, state.agent.as_ref()?, turn, status, message))
}

fn report(
    session_id: SessionId,
    origin: &AgentOrigin,
    turn: &Turn,
    status: AgentStatus,
    message: Option<String>,
) -> AgentReport {
    AgentReport {
        session_id,
        turn_id: turn.id,
        name: origin.name.clone(),
        status,
        message: message.map(|message| beginning(message, MAX_MESSAGE)),
        usage: turn.usage,
        cost: turn.cost,
    }
}

/// Whether somebody stopped the turn, and so what works for it. A daemon that stops stops all by itself.
fn is_stopped(outcome: &TurnOutcome) -> bool {
    let by_somebody = |reason: &InterruptReason| match reason {
        InterruptReason::Requested | InterruptReason::Unanswered => true,
        InterruptReason::DaemonStopped | InterruptReason::Unknown(_) => false,
    };
    matches!(outcome, TurnOutcome::Interrupted { reason, .. } if by_somebody(reason))
}

/// The name that was wished for, or a number; a parent's agents have different ones.
fn name_of(wish: &NewAgent, parent: SessionId, family: &[SessionSummary]) -> Result<String, ProtocolError> {
    let of_parent = family.iter().filter_map(|summary| summary.agent.as_ref());
    let names: BTreeSet<&str> =
        of_parent.filter(|agent| agent.parent == parent).map(|agent| agent.name.as_str()).collect();
    match &wish.name {
        Some(name) if names.contains(name.as_str()) => {
            let message = format!("There is an agent `{name}` already");
            Err(ProtocolError::new(ErrorCode::Conflict, message)
                .with_hint("Take another name, or give that one its next task with `send_agent`"))
        }
        Some(name) => Ok(name.clone()),
        None => {
            let free = (1_u32..).map(|number| format!("agent-{number}"));
            Ok(free.into_iter().find(|name| !names.contains(name.as_str())).unwrap_or_default())
        }
    }
}

/// Who speaks to an agent: the model of the session that started it.
fn speaker(parent: &SessionSummary) -> Actor {
    let name = match &parent.agent {
        Some(agent) => format!("agent {}", agent.name),
        None => "the agent above".to_owned(),
    };
    Actor { client_id: ClientId(parent.id.0), name }
}

/// Who stops agents whose parent was stopped.
fn nobody() -> Actor {
    Actor { client_id: ClientId(uuid::Uuid::nil()), name: "the agent above".to_owned() }
}

fn beginning(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
    text
}

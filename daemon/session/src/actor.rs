//! One actor per session in memory: takes inputs one at a time, and carries out what `step` says.
//!
//! Inputs that are ready together are decided together: each is folded at once, so that the next decision sees
//! it, and all their events become durable in one go before anything of them is seen, answered or acted upon.
//! If the log can't be written, nobody has seen what was decided; the actor ends, and the next one folds the log
//! as it is.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use protocol::delta::Delta;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::{Event, EventRecord};
use protocol::ids::{BlobId, ItemId, QuestionId, RequestId, Seq, Timestamp, TurnId};
use protocol::model::{ProviderFailure, ProviderFailureKind};
use protocol::question::{Decision, QuestionKind};
use store::{Append, Checkpoint, Spent};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tools::registry::Registry;
use tracing::{error, warn};

use crate::audience::{Audience, Intent};
use crate::census::{Census, Counts};
use crate::effect::Effect;
use crate::file_history::Restored;
use crate::handle::{Answered, Message, Respond};
use crate::hands::{Asked, Hands};
use crate::header;
use crate::hooks::{HookCall, SessionEnd};
use crate::input::{Answer, Input, Request};
use crate::load::{self, Loaded};
use crate::log::Log;
use crate::moment::{Moment, Rules};
use crate::state::SessionState;
use crate::today::Today;
use crate::trees::{Branch, Trees};
use crate::turn::request::refuse_running;
use crate::turn::step::step;
use crate::world::World;

/// Messages and groups of inputs that are decided together at most.
const BATCH: usize = 64;
/// After so long a text that grew is made durable.
const CHECKPOINT_AFTER: Duration = Duration::from_millis(300);
/// A session that nobody watches and that does nothing leaves the memory after so long.
pub(crate) const UNLOAD_AFTER: Duration = Duration::from_secs(60);
/// The header beside the log is written anew after so many events.
const EVENTS_PER_HEADER: u64 = 100;

/// What all actors share.
pub(crate) struct Surroundings {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) tools: Arc<Registry>,
    pub(crate) world: Arc<dyn World>,
    pub(crate) census: Census,
    pub(crate) today: Today,
    pub(crate) trees: Trees,
}

/// How an actor left.
pub(crate) struct Left {
    pub(crate) ended: Ended,
    /// Messages that came too late for it; the next actor serves them.
    pub(crate) unserved: Vec<Message>,
}

/// Why an actor left.
pub(crate) enum Ended {
    /// The session rests in the store.
    Unloaded,
    /// Its last client left, and it was to be forgotten then.
    Forgotten,
    /// The log could not be written; why.
    Failed(String),
    /// It is to be deleted.
    Deleted(Option<RequestId>, Respond<()>),
}

/// A session in memory.
pub(crate) struct Actor {
    pub(crate) state: SessionState,
    /// The first event whose turn is in memory.
    loaded_from: Seq,
    /// The event that the header beside the log is of.
    header_seq: Seq,
    pub(crate) around: Arc<Surroundings>,
    /// Its place among the agents that it belongs to.
    pub(crate) branch: Branch,
    mailbox: mpsc::Receiver<Box<Message>>,
    /// What the work and its timers tell.
    pub(crate) inputs: mpsc::Receiver<Vec<Input>>,
    pub(crate) hands: Hands,
    pub(crate) audience: Audience,
    /// Whether the daemon stops: nothing new begins.
    pub(crate) is_stopping: bool,
    /// When texts that grew are made durable.
    checkpoint_at: Option<Instant>,
    /// When a ceiling of time may be reached.
    pub(crate) look_again_at: Option<Instant>,
    share: Counts,
    /// Decided and folded, but not durable yet.
    records: Vec<EventRecord>,
    /// What was spent by that.
    pub(crate) spent: Vec<Spent>,
    /// Whether the header beside the log lacks something that no event tells.
    is_header_stale: bool,
    /// What is to be done once `records` are durable, in order.
    after: Vec<After>,
    /// Questions about the session, answered when all of `after` is done.
    queries: Vec<Message>,
}

/// What waits for the log.
#[expect(clippy::large_enum_variant, reason = "most of what waits are events, and not for long")]
enum After {
    Event(EventRecord),
    Delta(Delta),
    Reply(Respond<Answered>, Result<Answered, ProtocolError>),
    CallModel,
    Compact(ItemId),
    RunTool(ItemId),
    AskHooks(HookCall),
    AnswerTool(QuestionId, Decision),
    AllowAlways(QuestionKind),
    EndCommand(u32, String),
    Restore(BlobId),
}

impl Actor {
    /// A session as it was loaded.
    pub(crate) fn new(
        loaded: Loaded,
        around: Arc<Surroundings>,
        branch: Branch,
        mailbox: mpsc::Receiver<Box<Message>>,
    ) -> Self {
        let (hands, inputs) = Hands::new(Arc::clone(&around));
        let mut actor = Self {
            state: loaded.state,
            loaded_from: loaded.from,
            header_seq: loaded.checkpoint,
            around,
            branch,
            mailbox,
            inputs,
            hands,
            audience: Audience::default(),
            is_stopping: false,
            checkpoint_at: None,
            look_again_at: None,
            share: Counts::default(),
            records: Vec::new(),
            spent: Vec::new(),
            is_header_stale: false,
            after: Vec::new(),
            queries: Vec::new(),
        };
        actor.count();
        actor
    }

    /// Brings a turn that was running when the log ended to a durable point. `failure` says why the actor before this
    /// one could not write the log, if that is how it ended.
    ///
    /// # Errors
    /// When the log can't be written.
    pub(crate) async fn recover(&mut self, failure: Option<String>) -> Result<(), ProtocolError> {
        for changed in self.hands.recover(&self.state).await {
            self.take(Input::FilesChanged(changed), None);
        }
        // A rewind that was cut off is finished before anything else.
        self.after.extend(self.state.rewinding.clone().map(After::Restore));
        if self.state.running.is_none() {
            return self.flush().await;
        }
        self.take(Input::Loaded { failure }, None);
        self.flush().await?;
        self.restart_timers();
        Ok(())
    }

    /// Starts the timers of a turn that came from the log, less the time that went by.
    fn restart_timers(&mut self) {
        let Some((running, turn)) = self.state.current() else { return };
        let now = self.now();
        let left = |allowed: u64, since: Timestamp| allowed.saturating_sub(now.since(since));
        let mut timers = Vec::new();
        if let Some(allowed) = running.limits.deadline_ms {
            let turn_id = running.turn_id;
            timers.push((Input::Deadline { turn_id }, left(allowed, turn.started_at)));
        }
        if let Some(allowed) = self.state.settings.question_timeout_ms {
            for question in &self.state.questions {
                let question_id = question.id;
                timers.push((Input::QuestionExpired { question_id }, left(allowed, question.asked_at)));
            }
        }
        for (input, after_ms) in timers {
            self.hands.work.start_timer(input, after_ms);
        }
    }

    /// Runs until the session is at rest, stopped or deleted, or its log can't be written.
    pub(crate) async fn run(mut self) -> Left {
        let ended = loop {
            let last = self.wait().await;
            let flushed = self.flush().await;
            match (last, flushed) {
                (Some(Last::Stop { hand_over, respond }), flushed) => {
                    let stopped = match flushed {
                        Ok(()) => self.stop(hand_over).await,
                        Err(error) => Err(error),
                    };
                    answer(respond, stopped);
                    break Ended::Unloaded;
                }
                (_, Err(error)) => break Ended::Failed(error.message),
                (Some(Last::End(request_id, respond)), Ok(())) => {
                    match refuse_running(&self.state, "Interrupt it first") {
                        Ok(()) => {
                            let message = format!("The session `{}` was deleted", self.state.id);
                            self.audience.close(&ProtocolError::new(ErrorCode::NotFound, message));
                            break Ended::Deleted(request_id, respond);
                        }
                        Err(conflict) => answer(respond, Err(conflict)),
                    }
                }
                (Some(Last::Rest), Ok(())) => {
                    // An agent goes with the session at the top.
                    let is_forgotten = self.state.settings.is_ephemeral && self.state.agent.is_none();
                    break if is_forgotten { Ended::Forgotten } else { Ended::Unloaded };
                }
                (None, Ok(())) => {}
            }
        };
        self.tell_end(&ended);
        self.mailbox.close();
        let mut unserved = Vec::new();
        while let Some(message) = self.mailbox.recv().await {
            unserved.push(*message);
        }
        Left { ended, unserved }
    }

    /// Tells hooks that the session leaves, if they heard that it started.
    fn tell_end(&self, ended: &Ended) {
        let end = match ended {
            Ended::Unloaded => SessionEnd::Rest,
            Ended::Forgotten | Ended::Deleted(..) => SessionEnd::Deleted,
            Ended::Failed(_) => return,
        };
        // Of an agent they hear when its model has its last word.
        if self.hands.has_started() && !self.is_stopping && self.state.agent.is_none() {
            self.around.world.session_ended(self.state.id, &self.state.settings, end);
        }
    }

    /// Waits for something to happen and decides on all that is ready.
    async fn wait(&mut self) -> Option<Last> {
        let is_at_rest = self.state.running.is_none() && self.audience.is_empty();
        let unload_at = is_at_rest.then(|| Instant::now() + UNLOAD_AFTER);
        tokio::select! {
            biased;
            message = self.mailbox.recv() => match message {
                Some(message) => {
                    let last = self.receive(*message);
                    if last.is_some() {
                        return last;
                    }
                }
                None => return Some(Last::Rest),
            },
            Some(inputs) = self.inputs.recv() => self.take_all(inputs),
            () = self.hands.work.asks().left() => {
                for question_id in self.hands.work.asks().abandoned() {
                    self.take(Input::ToolLeft { question_id }, None);
                }
            }
            () = self.audience.detached() => {
                self.audience.sweep();
                self.tell_of_those_who_left();
                self.count();
                let is_over = self.audience.is_empty() && self.state.running.is_none();
                return (is_over && self.state.settings.is_ephemeral).then_some(Last::Rest);
            }
            () = self.hands.work.going_changed() => {
                let now = self.around.world.now();
                self.audience.show_background(self.hands.work.going(), now);
            }
            () = until(self.checkpoint_at) => self.take(Input::Checkpoint, None),
            () = until(self.look_again_at) => self.time_passed(),
            () = until(unload_at) => {
                // What tools left running keeps the session; it is looked at again later.
                if self.hands.work.is_idle() {
                    return Some(Last::Rest);
                }
            }
        }
        // One of each in turn, so that neither can keep the other waiting.
        for _ in 0..BATCH {
            let message = self.mailbox.try_recv();
            let inputs = self.inputs.try_recv();
            if message.is_err() && inputs.is_err() {
                break;
            }
            if let Ok(inputs) = inputs {
                self.take_all(inputs);
            }
            if let Ok(message) = message {
                let last = self.receive(*message);
                if last.is_some() {
                    return last;
                }
            }
        }
        None
    }

    fn receive(&mut self, message: Message) -> Option<Last> {
        match message {
            Message::Request { actor, request_id, request, reply } => {
                // What was carried out before is only answered again, whoever may write now.
                let is_known = request_id.is_some_and(|id| self.state.answered_before(id).is_some());
                let allowed =
                    if is_known { Ok(()) } else { self.audience.check(&actor, intent_of(&request)) };
                match allowed {
                    Ok(()) => self.take(Input::Request { actor, request_id, request }, Some(reply)),
                    Err(denied) => answer(reply, Err(denied)),
                }
            }
            Message::Attach { .. }
            | Message::Read { .. }
            | Message::Summary { .. }
            | Message::Questions { .. }
            | Message::Tools { .. }
            | Message::Drive { .. }
            | Message::Focus { .. }
            | Message::IsFocused { .. }
            | Message::LookAtFiles { .. } => {
                self.queries.push(message);
            }
            Message::Report { report, reply } => {
                self.take(Input::AgentReported(report.clone()), None);
                self.queries.push(Message::Report { report, reply });
            }
            Message::Stop { hand_over, reply } => return Some(Last::Stop { hand_over, respond: reply }),
            Message::End { actor, request_id, reply } => match self.audience.check(&actor, Intent::Change) {
                Ok(()) => return Some(Last::End(request_id, reply)),
                Err(denied) => answer(reply, Err(denied)),
            },
        }
        None
    }

    /// Questions to clients that are not there any more wait in vain.
    fn tell_of_those_who_left(&mut self) {
        let there = self.audience.clients();
        let asked = self.state.questions.iter().filter_map(|question| match &question.kind {
            QuestionKind::ClientTool { client, .. } => Some(client.client_id),
            _ => None,
        });
        let gone: BTreeSet<_> = asked.filter(|client| !there.contains(client)).collect();
        for client in gone {
            self.take(Input::ClientLeft { client }, None);
        }
    }

    pub(crate) fn take_all(&mut self, inputs: Vec<Input>) {
        for input in inputs {
            self.take(input, None);
        }
    }

    /// Decides on an input and on all that follows at once.
    pub(crate) fn take(&mut self, input: Input, mut respond: Option<Respond<Answered>>) {
        let first = self.state.seq.next();
        let mut request_id = input.request_id();
        let answered = request_id.and_then(|id| self.state.answered_before(id));
        let mut open = VecDeque::from([input]);
        while let Some(input) = open.pop_front() {
            // A piece of something decides nothing that they could mind.
            let rules = if is_piece(&input) {
                Rules::default()
            } else {
                self.around.world.rules(&self.state.settings)
            };
            let mut moment = Moment::new(self.now(), rules, fastrand::u64(..));
            moment.is_answerable = self.audience.can_answer() || self.branch.is_answerable();
            self.reckon(&mut moment);
            if !self.state.client_tools.is_empty() {
                moment.clients = self.audience.clients();
            }
            if let Input::Model { turn_id, event: Answer::Spent { usage } } = &input
                && self.state.running.as_ref().is_some_and(|running| running.turn_id == *turn_id)
            {
                self.hands.spent(*usage);
            }
            moment.spent_so_far = self.hands.spent_so_far();
            if let Input::Request { request: Request::EndCommand { process_id }, .. } = &input {
                moment.process = self.hands.work.standing(*process_id);
            }
            if !is_piece(&input) {
                moment.hooks = self.around.world.hook_points(self.state.id, &self.state.settings);
                moment.start = self.hands.start(&self.state);
                moment.reads = self.hands.reads(&self.state);
            }
            if let Input::HooksAnswered { call, answer, .. } = &input {
                self.state.end_hooks(call, answer);
            }
            for effect in step(&self.state, input, &mut moment) {
                match effect {
                    Effect::Append(events) => self.fold(events, request_id, moment.at),
                    Effect::Publish(delta) => {
                        self.state.grow(&delta);
                        self.after.push(After::Delta(delta));
                        self.checkpoint_at.get_or_insert_with(|| Instant::now() + CHECKPOINT_AFTER);
                    }
                    Effect::Reply(result) => {
                        let seq = answered.unwrap_or_else(|| first.min(self.state.seq));
                        // What follows is not of the request any more.
                        request_id = None;
                        let result = result.map(|reply| Answered { reply, seq });
                        self.after.extend(respond.take().map(|respond| After::Reply(respond, result)));
                    }
                    Effect::CallModel => self.after.push(After::CallModel),
                    Effect::Compact { item_id } => self.after.push(After::Compact(item_id)),
                    Effect::RunTool { item_id } => {
                        self.state.begin(item_id);
                        self.after.push(After::RunTool(item_id));
                    }
                    Effect::RunHooks(call) => {
                        self.state.begin_hooks(&call);
                        self.after.push(After::AskHooks(call));
                    }
                    Effect::AnswerTool { question_id, decision } => {
                        self.after.push(After::AnswerTool(question_id, decision));
                    }
                    Effect::CancelWork => self.cancel_work(),
                    Effect::StartDeadline { turn_id, after_ms } => {
                        self.hands.work.start_timer(Input::Deadline { turn_id }, after_ms);
                    }
                    Effect::StartQuestionTimer { question_id, after_ms } => {
                        self.hands.work.start_timer(Input::QuestionExpired { question_id }, after_ms);
                    }
                    Effect::Remember { request_id, reply } => {
                        self.state.remember(request_id, reply);
                        self.is_header_stale = true;
                    }
                    Effect::AllowAlways(kind) => self.after.push(After::AllowAlways(kind)),
                    Effect::EndCommand { process_id, by } => {
                        self.after.push(After::EndCommand(process_id, by));
                    }
                    Effect::Restore(changes) => self.after.push(After::Restore(changes)),
                    Effect::Continue => open.push_back(Input::Continue),
                }
            }
        }
    }

    fn fold(&mut self, events: Vec<Event>, request_id: Option<RequestId>, at: Timestamp) {
        for event in events {
            if matches!(event, Event::TurnEnded(_)) {
                self.hands.work.clear_timers();
            }
            let record = EventRecord { seq: self.state.seq.next(), at, request_id, event };
            let (worked, working) = (self.state.spent.time_ms, self.state.working_since());
            if let Err(error) = self.state.apply(&record) {
                // The number was made from the state itself.
                error!(%error, "an event of the actor's own does not fit");
                continue;
            }
            self.note_spending(&record, self.state.spent.time_ms.saturating_sub(worked), working);
            self.records.push(record.clone());
            self.after.push(After::Event(record));
        }
    }

    /// Makes durable what was decided, then lets it be seen, answered and acted upon.
    ///
    /// # Errors
    /// When the log can't be written; everybody has been told then, and the actor must not go on.
    pub(crate) async fn flush(&mut self) -> Result<(), ProtocolError> {
        if self.queries.iter().any(|query| matches!(query, Message::Attach { .. })) {
            // The log has all text then, for those who come back and read on from there.
            self.take(Input::Checkpoint, None);
        }
        let may_be_spent = !self.records.is_empty() || !self.queries.is_empty();
        while !self.records.is_empty() || !self.after.is_empty() {
            if !self.records.is_empty()
                && let Err(error) = self.write().await
            {
                error!(session = %self.state.id, %error, "the log can't be written");
                self.give_up(&error);
                return Err(error);
            }
            if std::mem::take(&mut self.is_header_stale) {
                self.rewrite_header().await;
            }
            let mut round = VecDeque::from(std::mem::take(&mut self.after));
            while let Some(after) = round.pop_front() {
                match after {
                    After::Event(record) => {
                        self.audience.show_event(&record);
                        if let Event::TurnEnded(ended) = &record.event
                            && !self.is_stopping
                        {
                            self.hands.look(&self.state, ended.turn_id);
                        }
                        if is_heard_by_kin(&record.event) {
                            self.around.world.happened(&self.state, &record.event);
                        }
                        if let Event::ItemCompleted(ended) = &record.event
                            && ended.item.called_by.is_some()
                        {
                            self.hands.work.calls().end(&ended.item);
                        }
                    }
                    After::Delta(delta) => self.audience.show_delta(&delta),
                    After::Reply(respond, result) => answer(respond, result),
                    // What does not begin now is found in the log and begun by the next daemon.
                    After::CallModel | After::Compact(_) | After::RunTool(_) | After::AskHooks(_)
                        if self.is_stopping => {}
                    After::CallModel => self.call_model().await,
                    After::Compact(item_id) => self.compact(item_id).await,
                    After::RunTool(item_id) => self.hands.run_tool(&self.state, item_id).await,
                    After::AskHooks(call) => self.hands.ask_hooks(&self.state, call),
                    After::AnswerTool(question, decision) => {
                        self.hands.work.asks().answer(question, decision);
                    }
                    After::AllowAlways(kind) => self.allow_always(&kind),
                    After::EndCommand(process_id, by) => self.hands.work.end_command(process_id, &by),
                    After::Restore(changes) => {
                        // Nothing else happens in the session meanwhile.
                        let Restored { ended, meanwhile } = self.hands.restore(&self.state, &changes).await;
                        meanwhile
                            .into_iter()
                            .for_each(|changed| self.take(Input::FilesChanged(changed), None));
                        self.take(Input::Restored(ended), None);
                        // What came of it is durable before anything that stands after it.
                        self.after.extend(round.drain(..));
                    }
                }
            }
        }
        if self.state.unsaved().is_empty() {
            self.checkpoint_at = None;
        }
        for query in std::mem::take(&mut self.queries) {
            self.answer_query(query).await;
        }
        if may_be_spent {
            self.look_at_ceilings();
        }
        self.count();
        if self.state.seq.0 >= self.header_seq.0 + EVENTS_PER_HEADER {
            self.write_header().await;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), ProtocolError> {
        let records = std::mem::take(&mut self.records);
        let summary = records.iter().any(|record| is_in_summary(&record.event)).then(|| self.state.summary());
        let (session, spent) = (self.state.id, std::mem::take(&mut self.spent));
        Ok(self.around.log.append(Append { session, records, summary, spent }).await?)
    }

    /// Tells everybody that nothing of this is on disk.
    fn give_up(&mut self, error: &ProtocolError) {
        self.cancel_work();
        for after in std::mem::take(&mut self.after) {
            if let After::Reply(respond, _) = after {
                answer(respond, Err(error.clone()));
            }
        }
        for query in std::mem::take(&mut self.queries) {
            query.refuse(error);
        }
        self.audience.close(error);
    }

    fn allow_always(&mut self, kind: &QuestionKind) {
        if let Err(error) = self.around.world.allow_always(kind) {
            let text =
                format!("The rule could not be written, so the leave holds in this session only: {error}");
            self.take(Input::Notice { text }, None);
        }
    }

    /// Asks the model. What keeps it from being asked counts as a failure of the provider.
    async fn call_model(&mut self) {
        let Some((running, _)) = self.state.current() else { return };
        let turn_id = running.turn_id;
        let asked = match self.load_earlier().await {
            Ok(()) => self.hands.ask_model(&self.state, turn_id).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(Asked::Begun { notices }) => {
                for text in notices {
                    self.take(Input::Notice { text }, None);
                }
            }
            Ok(Asked::TooLong { tokens }) => self.take(Input::ContextFull { turn_id, tokens }, None),
            Err(error) => self.fail_model(turn_id, error),
        }
    }

    /// Asks for a summary of what was before.
    async fn compact(&mut self, item_id: ItemId) {
        let Some((running, _)) = self.state.current() else { return };
        let turn_id = running.turn_id;
        let asked = match self.load_earlier().await {
            Ok(()) => self.hands.compact(&self.state, item_id).await,
            Err(error) => Err(error),
        };
        if let Err(error) = asked {
            self.fail_model(turn_id, error);
        }
    }

    fn fail_model(&mut self, turn_id: TurnId, error: ProtocolError) {
        let (provider, kind) = (self.state.settings.provider.clone(), ProviderFailureKind::Rejected);
        let failure = ProviderFailure { provider, kind, status: None, message: error.message };
        self.take(Input::Model { turn_id, event: Answer::Failed(failure) }, None);
    }

    pub(crate) async fn load_earlier(&mut self) -> Result<(), ProtocolError> {
        if self.state.earlier_turns > 0 {
            let turns = load::earlier(&*self.around.log, self.state.id, self.loaded_from).await?;
            self.state.prepend(turns);
            self.loaded_from = Seq::ZERO;
        }
        Ok(())
    }

    /// Ends the answer or the tool that is going on, before anybody hears that the turn ended.
    fn cancel_work(&mut self) {
        self.hands.work.cancel();
        self.after.retain(|after| {
            !matches!(after, After::CallModel | After::Compact(_) | After::RunTool(_) | After::AskHooks(_))
        });
    }

    pub(crate) async fn write_header(&mut self) {
        if self.state.seq > self.header_seq {
            self.rewrite_header().await;
        }
    }

    async fn rewrite_header(&mut self) {
        if let Some(body) = header::write(&self.state) {
            let checkpoint = Checkpoint { seq: self.state.seq, body };
            match self.around.log.save_checkpoint(self.state.id, checkpoint).await {
                Ok(()) => self.header_seq = self.state.seq,
                Err(error) => {
                    warn!(%error, "could not write the header of a session; loading it will take longer")
                }
            }
        }
    }

    fn count(&mut self) {
        self.branch.note_audience(self.audience.can_answer());
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let now = Counts {
            loaded: 1,
            running: u32::from(self.state.running.is_some()),
            attached: number(self.audience.len()),
        };
        self.around.census.change(self.share, now);
        self.share = now;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.around.world.now()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.around.today.leave(self.state.id);
        self.around.census.change(self.share, Counts::default());
    }
}

/// What makes an actor leave.
enum Last {
    /// Nothing happens any more.
    Rest,
    Stop {
        hand_over: bool,
        respond: Respond<()>,
    },
    End(Option<RequestId>, Respond<()>),
}

/// Whether the session's row in the list changes with this event.
fn is_in_summary(event: &Event) -> bool {
    match event {
        Event::SessionCreated(_)
        | Event::SessionUpdated(_)
        | Event::SessionArchived(_)
        | Event::SessionUnarchived(_)
        | Event::TurnStarted(_)
        | Event::TurnEnded(_)
        | Event::SessionRewound(_)
        | Event::RewindEnded(_)
        | Event::ClientToolsRegistered(_)
        | Event::QuestionAsked(_)
        | Event::QuestionAnswered(_)
        | Event::QuestionWithdrawn(_) => true,
        Event::InputQueued(_)
        | Event::QueuedInputChanged(_)
        | Event::QueuedInputCancelled(_)
        | Event::TurnSuspended(_)
        | Event::ConnectionAttempted(_)
        | Event::BudgetWarned(_)
        | Event::TurnResumed(_)
        | Event::ModelRequested(_)
        | Event::ModelRetried(_)
        | Event::ModelResponded(_)
        | Event::ItemStarted(_)
        | Event::ItemAppended(_)
        | Event::ItemCompleted(_)
        | Event::FilesChanged(_)
        | Event::Unknown(_) => false,
    }
}

/// Whether sessions above or below may mind it.
fn is_heard_by_kin(event: &Event) -> bool {
    matches!(event, Event::TurnEnded(_) | Event::QuestionAsked(_) | Event::SessionArchived(_))
}

/// Whether it only brings more of a text.
fn is_piece(input: &Input) -> bool {
    let is_of_answer =
        |event: &Answer| matches!(event, Answer::Text { .. } | Answer::Summary { .. } | Answer::Spent { .. });
    matches!(input, Input::ToolOutput { .. } | Input::Checkpoint)
        || matches!(input, Input::Model { event, .. } if is_of_answer(event))
}

/// What a request means for others.
fn intent_of(request: &Request) -> Intent {
    let ends = matches!(request, Request::Interrupt { .. } | Request::EndCommand { .. });
    if ends { Intent::Interrupt } else { Intent::Change }
}

/// Answers a client; one that does not wait any more has lost nothing but the answer.
pub(crate) fn answer<T>(respond: Respond<T>, result: Result<T, ProtocolError>) {
    let _ = respond.send(result);
}

/// Sleeps until then; for ever without a time.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

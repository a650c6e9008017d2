//! One actor per session in memory: takes inputs one at a time, and carries out what `step` says.
//!
//! Inputs that are ready together are decided together: each is folded at once, so that the next decision sees
//! it, and all their events become durable in one go before anything of them is seen, answered or acted upon.
//! If the log can't be written, nobody has seen what was decided; the actor ends, and the next one folds the log
//! as it is.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use context::{history, instructions};
use model::request::ModelRequest;
use policy::profile::unrestricted;
use protocol::delta::Delta;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::{Event, EventRecord};
use protocol::ids::{BlobId, ItemId, Seq, Timestamp, TurnId};
use protocol::item::ItemBody;
use protocol::model::{ProviderFailure, ProviderFailureKind};
use protocol::session::Attachment;
use protocol::turn::InputPart;
use store::{Append, Checkpoint, Store};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tools::registry::Registry;
use tools::tool::RunContext;
use tracing::{Instrument, error, info_span, warn};

use crate::census::{Census, Counts};
use crate::effect::Effect;
use crate::handle::{Answered, DetachGuard, Joined, Message, Questions, Respond, Start};
use crate::header;
use crate::input::{Answer, Input};
use crate::load::{self, Loaded};
use crate::moment::Moment;
use crate::outbox::{Outbox, outbox};
use crate::spools::SessionSpools;
use crate::state::SessionState;
use crate::turn::request::refuse_running;
use crate::turn::step::step;
use crate::work::{AnswerReader, listen, run_tool};
use crate::world::World;

/// Groups of inputs that may wait between a task and the actor; a full channel slows the task.
const INPUT_QUEUE: usize = 16;
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
    pub(crate) store: Store,
    pub(crate) tools: Arc<Registry>,
    pub(crate) world: Arc<dyn World>,
    pub(crate) census: Census,
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
    /// It is to be deleted.
    Deleted(Respond<()>),
}

/// A session in memory.
pub(crate) struct Actor {
    state: SessionState,
    /// The first event whose turn is in memory.
    loaded_from: Seq,
    /// The event that the header beside the log is of.
    header_seq: Seq,
    around: Arc<Surroundings>,
    mailbox: mpsc::Receiver<Box<Message>>,
    inputs: mpsc::Receiver<Vec<Input>>,
    /// For the tasks, and so that `inputs` never ends.
    sender: mpsc::Sender<Vec<Input>>,
    subscribers: Vec<Subscriber>,
    detached: Arc<Notify>,
    /// The model's answer or the running tool.
    work: Option<AbortOnDropHandle<()>>,
    cancel: CancellationToken,
    deadline: Option<AbortOnDropHandle<()>>,
    /// When texts that grew are made durable.
    checkpoint_at: Option<Instant>,
    share: Counts,
    /// Decided and folded, but not durable yet.
    records: Vec<EventRecord>,
    /// What is to be done once `records` are durable, in order.
    after: Vec<After>,
    /// Questions about the session, answered when all of `after` is done.
    queries: Vec<Message>,
}

struct Subscriber {
    outbox: Outbox,
    attachment: Attachment,
}

/// What waits for the log.
#[expect(clippy::large_enum_variant, reason = "most of what waits are events, and not for long")]
enum After {
    Event(EventRecord),
    Delta(Delta),
    Reply(Respond<Answered>, Result<Answered, ProtocolError>),
    CallModel,
    RunTool(ItemId),
}

impl Actor {
    /// A session as it was loaded.
    pub(crate) fn new(
        loaded: Loaded,
        around: Arc<Surroundings>,
        mailbox: mpsc::Receiver<Box<Message>>,
    ) -> Self {
        let (sender, inputs) = mpsc::channel(INPUT_QUEUE);
        let mut actor = Self {
            state: loaded.state,
            loaded_from: loaded.from,
            header_seq: loaded.checkpoint,
            around,
            mailbox,
            inputs,
            sender,
            subscribers: Vec::new(),
            detached: Arc::new(Notify::new()),
            work: None,
            cancel: CancellationToken::new(),
            deadline: None,
            checkpoint_at: None,
            share: Counts::default(),
            records: Vec::new(),
            after: Vec::new(),
            queries: Vec::new(),
        };
        actor.count();
        actor
    }

    /// Brings a turn that was running when the log ended to a durable point.
    ///
    /// # Errors
    /// When the log can't be written.
    pub(crate) async fn recover(&mut self) -> Result<(), ProtocolError> {
        if self.state.running.is_none() {
            return Ok(());
        }
        self.take(Input::Stopped, None);
        self.flush().await?;
        if let Some((running, turn)) = self.state.current()
            && let Some(allowed) = running.limits.deadline_ms
        {
            let (turn_id, spent) = (running.turn_id, self.now().since(turn.started_at));
            self.start_deadline(turn_id, allowed.saturating_sub(spent));
        }
        Ok(())
    }

    /// Runs until the session is at rest, stopped or deleted, or its log can't be written.
    pub(crate) async fn run(mut self) -> Left {
        let ended = loop {
            let last = self.wait().await;
            let flushed = self.flush().await;
            match (last, flushed) {
                (Some(Last::Stop(respond)), flushed) => {
                    let stopped = match flushed {
                        Ok(()) => self.stop().await,
                        Err(error) => Err(error),
                    };
                    answer(respond, stopped);
                    break Ended::Unloaded;
                }
                (_, Err(_)) => break Ended::Unloaded,
                (Some(Last::End(respond)), Ok(())) => match refuse_running(&self.state, "Interrupt it first")
                {
                    Ok(()) => {
                        let message = format!("The session `{}` was deleted", self.state.id);
                        self.close_feeds(&ProtocolError::new(ErrorCode::NotFound, message));
                        break Ended::Deleted(respond);
                    }
                    Err(conflict) => answer(respond, Err(conflict)),
                },
                (Some(Last::Rest), Ok(())) => {
                    break if self.state.settings.is_ephemeral { Ended::Forgotten } else { Ended::Unloaded };
                }
                (None, Ok(())) => {}
            }
        };
        self.mailbox.close();
        let mut unserved = Vec::new();
        while let Some(message) = self.mailbox.recv().await {
            unserved.push(*message);
        }
        Left { ended, unserved }
    }

    /// Waits for something to happen and decides on all that is ready.
    async fn wait(&mut self) -> Option<Last> {
        let is_at_rest = self.state.running.is_none() && self.subscribers.is_empty();
        let unload_at = is_at_rest.then(|| Instant::now() + UNLOAD_AFTER);
        tokio::select! {
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
            () = self.detached.notified() => {
                self.sweep();
                let is_over = self.subscribers.is_empty() && self.state.running.is_none();
                return (is_over && self.state.settings.is_ephemeral).then_some(Last::Rest);
            }
            () = until(self.checkpoint_at) => self.take(Input::Checkpoint, None),
            () = until(unload_at) => return Some(Last::Rest),
        }
        for _ in 0..BATCH {
            if let Ok(message) = self.mailbox.try_recv() {
                let last = self.receive(*message);
                if last.is_some() {
                    return last;
                }
            } else if let Ok(inputs) = self.inputs.try_recv() {
                self.take_all(inputs);
            } else {
                break;
            }
        }
        None
    }

    fn receive(&mut self, message: Message) -> Option<Last> {
        match message {
            Message::Request { actor, request, reply } => {
                self.take(Input::Request { actor, request }, Some(reply));
            }
            Message::Attach { .. } => {
                // The log has all text then, for those who come back and read on from there.
                self.take(Input::Checkpoint, None);
                self.queries.push(message);
            }
            Message::Read { .. } | Message::Summary { .. } | Message::Questions { .. } => {
                self.queries.push(message);
            }
            Message::Stop { reply } => return Some(Last::Stop(reply)),
            Message::End { reply } => return Some(Last::End(reply)),
        }
        None
    }

    fn take_all(&mut self, inputs: Vec<Input>) {
        for input in inputs {
            self.take(input, None);
        }
    }

    /// Decides on an input and on all that follows at once.
    fn take(&mut self, input: Input, mut respond: Option<Respond<Answered>>) {
        let first = self.state.seq.next();
        let mut open = VecDeque::from([input]);
        while let Some(input) = open.pop_front() {
            let mut moment = Moment::new(self.now(), fastrand::u64(..));
            for effect in step(&self.state, input, &mut moment) {
                match effect {
                    Effect::Append(events) => self.fold(events, moment.at),
                    Effect::Publish(delta) => {
                        self.state.grow(&delta);
                        self.after.push(After::Delta(delta));
                        self.checkpoint_at.get_or_insert_with(|| Instant::now() + CHECKPOINT_AFTER);
                    }
                    Effect::Reply(result) => {
                        let seq = first.min(self.state.seq);
                        let result = result.map(|reply| Answered { reply, seq });
                        self.after.extend(respond.take().map(|respond| After::Reply(respond, result)));
                    }
                    Effect::CallModel => self.after.push(After::CallModel),
                    Effect::RunTool { item_id } => self.after.push(After::RunTool(item_id)),
                    Effect::CancelWork => self.cancel_work(),
                    Effect::StartDeadline { turn_id, after_ms } => self.start_deadline(turn_id, after_ms),
                    Effect::Continue => open.push_back(Input::Continue),
                }
            }
        }
    }

    fn fold(&mut self, events: Vec<Event>, at: Timestamp) {
        for event in events {
            if matches!(event, Event::TurnEnded(_)) {
                self.deadline = None;
            }
            let record = EventRecord { seq: self.state.seq.next(), at, event };
            if let Err(error) = self.state.apply(&record) {
                // The number was made from the state itself.
                error!(%error, "an event of the actor's own does not fit");
                continue;
            }
            self.records.push(record.clone());
            self.after.push(After::Event(record));
        }
    }

    /// Makes durable what was decided, then lets it be seen, answered and acted upon.
    ///
    /// # Errors
    /// When the log can't be written; everybody has been told then, and the actor must not go on.
    async fn flush(&mut self) -> Result<(), ProtocolError> {
        while !self.records.is_empty() || !self.after.is_empty() {
            if !self.records.is_empty()
                && let Err(error) = self.write().await
            {
                error!(session = %self.state.id, %error, "the log can't be written");
                self.give_up(&error);
                return Err(error);
            }
            for after in std::mem::take(&mut self.after) {
                match after {
                    After::Event(record) => {
                        self.subscribers.iter().for_each(|subscriber| subscriber.outbox.event(&record));
                    }
                    After::Delta(delta) => {
                        self.subscribers.iter().for_each(|subscriber| subscriber.outbox.delta(&delta));
                    }
                    After::Reply(respond, result) => answer(respond, result),
                    After::CallModel => self.call_model().await,
                    After::RunTool(item_id) => self.run_tool(item_id),
                }
            }
        }
        if self.state.unsaved().is_empty() {
            self.checkpoint_at = None;
        }
        for query in std::mem::take(&mut self.queries) {
            self.answer_query(query).await;
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
        Ok(self.around.store.append(Append { session: self.state.id, records, summary }).await?)
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
        self.close_feeds(error);
    }

    async fn answer_query(&mut self, query: Message) {
        match query {
            Message::Attach { attachment, start, reply } => {
                let (outbox, inbox) = outbox();
                self.subscribers.push(Subscriber { outbox, attachment });
                let snapshot = match start {
                    Start::Snapshot { turns } => {
                        Some(Box::new(self.state.snapshot(0, turns as usize, self.attached())))
                    }
                    Start::Live => None,
                };
                let guard = DetachGuard(Arc::clone(&self.detached));
                answer(reply, Ok(Joined { seq: self.state.seq, snapshot, inbox, guard }));
            }
            Message::Read { skip, limit, reply } => {
                let wanted = u64::from(skip) + u64::from(limit);
                let result =
                    if wanted > self.state.turns.len() as u64 { self.load_earlier().await } else { Ok(()) };
                let snapshot = |()| self.state.snapshot(skip as usize, limit as usize, self.attached());
                answer(reply, result.map(snapshot));
            }
            Message::Summary { reply } => answer(reply, Ok(self.state.summary())),
            Message::Questions { reply } => {
                let answered = self.state.answered.iter().map(|(id, _)| *id).collect();
                answer(reply, Ok(Questions { open: self.state.questions.clone(), answered }));
            }
            Message::Request { .. } | Message::Stop { .. } | Message::End { .. } => {}
        }
    }

    fn attached(&self) -> Vec<Attachment> {
        self.subscribers.iter().map(|subscriber| subscriber.attachment.clone()).collect()
    }

    /// Asks the model. What keeps it from being asked counts as a failure of the provider.
    async fn call_model(&mut self) {
        let Some((running, _)) = self.state.current() else { return };
        let turn_id = running.turn_id;
        let span = info_span!("turn", id = %turn_id);
        match self.model_stream().await {
            Ok(stream) => {
                let reader =
                    AnswerReader::new(Arc::clone(&self.around.tools), self.state.settings.cwd.clone());
                let provider = self.state.settings.provider.clone();
                let listening = listen(stream, provider, turn_id, reader, self.sender.clone());
                self.work = Some(AbortOnDropHandle::new(tokio::spawn(listening.instrument(span))));
            }
            Err(error) => {
                let failure = ProviderFailure {
                    provider: self.state.settings.provider.clone(),
                    kind: ProviderFailureKind::Rejected,
                    status: None,
                    message: error.message,
                };
                self.take(Input::Model { turn_id, event: Answer::Failed(failure) }, None);
            }
        }
    }

    async fn model_stream(&mut self) -> Result<model::client::ModelStream, ProtocolError> {
        self.load_earlier().await?;
        let images = self.images().await?;
        let settings = &self.state.settings;
        let client = self.around.world.model(self.state.id, settings)?;
        let output_schema = self.state.running.as_ref().and_then(|running| running.output_schema.clone());
        Ok(client.stream(ModelRequest {
            model: settings.model.clone(),
            instructions: instructions::system_prompt(settings, &self.state.instructions).into(),
            tools: self.around.tools.specifications(),
            input: history::conversation(&self.state.turns, &|blob| images.get(blob).cloned()),
            reasoning_effort: settings.reasoning_effort.clone(),
            reasoning_summary: settings.reasoning_summary.clone(),
            output_schema,
            cache_key: self.state.id.to_string(),
        }))
    }

    /// The stored images of the conversation as base64; those that are gone are missing.
    async fn images(&self) -> Result<HashMap<BlobId, String>, ProtocolError> {
        let mut images = HashMap::new();
        for item in self.state.turns.iter().flat_map(|turn| &turn.items) {
            let ItemBody::UserMessage(message) = &item.body else { continue };
            for part in &message.content {
                if let InputPart::StoredImage { blob, .. } = part
                    && !images.contains_key(blob)
                    && let Some(bytes) = self.around.store.blobs().get(blob).await?
                {
                    images.insert(blob.clone(), BASE64_STANDARD.encode(bytes));
                }
            }
        }
        Ok(images)
    }

    async fn load_earlier(&mut self) -> Result<(), ProtocolError> {
        if self.state.earlier_turns > 0 {
            let turns = load::earlier(&self.around.store, self.state.id, self.loaded_from).await?;
            self.state.prepend(turns);
            self.loaded_from = Seq::ZERO;
        }
        Ok(())
    }

    fn run_tool(&mut self, item_id: ItemId) {
        let Some(item) = self.state.item(item_id) else { return };
        let body = item.body.clone();
        let world = &self.around.world;
        let profile = match &body {
            // A person let it out, or there is no sandbox to begin with.
            ItemBody::Command(command) if command.is_escalated => unrestricted(),
            _ => world.profile(&self.state.settings),
        };
        self.cancel = CancellationToken::new();
        let (cwd, environment): (Arc<Path>, _) =
            (self.state.settings.cwd.as_path().into(), world.environment(self.state.id));
        let spools = SessionSpools { store: self.around.store.clone(), session: self.state.id };
        let cancel = self.cancel.clone();
        let context = move |progress| RunContext {
            cwd,
            profile: Arc::new(profile),
            environment,
            spools: Arc::new(spools),
            progress,
            cancel,
        };
        let span = info_span!("tool", item = %item_id);
        let running = run_tool(Arc::clone(&self.around.tools), item_id, body, context, self.sender.clone());
        self.work = Some(AbortOnDropHandle::new(tokio::spawn(running.instrument(span))));
    }

    /// Ends the answer or the tool that is going on, before anybody hears that the turn ended.
    fn cancel_work(&mut self) {
        self.cancel.cancel();
        self.work = None;
        self.after.retain(|after| !matches!(after, After::CallModel | After::RunTool(_)));
    }

    fn start_deadline(&mut self, turn_id: TurnId, after_ms: u64) {
        let inputs = self.sender.clone();
        let waiting = async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            // Nobody is there to hear it when the session was unloaded; the turn has ended then.
            let _ = inputs.send(vec![Input::Deadline { turn_id }]).await;
        };
        self.deadline = Some(AbortOnDropHandle::new(tokio::spawn(waiting)));
    }

    /// Brings the turn to a durable point, because the daemon stops.
    async fn stop(&mut self) -> Result<(), ProtocolError> {
        self.take(Input::Stopped, None);
        self.flush().await?;
        self.write_header().await;
        let message = "The daemon is stopping";
        self.close_feeds(
            &ProtocolError::new(ErrorCode::Unavailable, message).with_hint("Connect again in a moment"),
        );
        Ok(())
    }

    async fn write_header(&mut self) {
        if let Some(body) = header::write(&self.state)
            && self.state.seq > self.header_seq
        {
            let checkpoint = Checkpoint { seq: self.state.seq, body };
            match self.around.store.save_checkpoint(self.state.id, checkpoint).await {
                Ok(()) => self.header_seq = self.state.seq,
                Err(error) => {
                    warn!(%error, "could not write the header of a session; loading it will take longer")
                }
            }
        }
    }

    /// Forgets those who left.
    fn sweep(&mut self) {
        self.subscribers.retain(|subscriber| !subscriber.outbox.is_closed());
        self.count();
    }

    fn close_feeds(&mut self, error: &ProtocolError) {
        for subscriber in self.subscribers.drain(..) {
            subscriber.outbox.close(Some(error.clone()));
        }
    }

    fn count(&mut self) {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let now = Counts {
            loaded: 1,
            running: u32::from(self.state.running.is_some()),
            attached: number(self.subscribers.len()),
        };
        self.around.census.change(self.share, now);
        self.share = now;
    }

    fn now(&self) -> Timestamp {
        self.around.world.now()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.around.census.change(self.share, Counts::default());
    }
}

/// What makes an actor leave.
enum Last {
    /// Nothing happens any more.
    Rest,
    Stop(Respond<()>),
    End(Respond<()>),
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
        | Event::QuestionAsked(_)
        | Event::QuestionAnswered(_)
        | Event::QuestionWithdrawn(_) => true,
        Event::InputQueued(_)
        | Event::ModelRequested(_)
        | Event::ModelRetried(_)
        | Event::ModelResponded(_)
        | Event::ItemStarted(_)
        | Event::ItemAppended(_)
        | Event::ItemCompleted(_)
        | Event::Unknown(_) => false,
    }
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

//! What a session begins outside of itself: the model's answers, tools, hooks, and files that come back; with the tools
//! that the model was told of. What comes of it are inputs. Knows nothing of why it is begun.

use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;

use policy::profile::unrestricted;
use protocol::context::CompactionReason;
use protocol::error::ProtocolError;
use protocol::ids::{BlobId, ItemId, TurnId};
use protocol::item::{Item, ItemBody, ItemStatus, OpaqueReasoning};
use protocol::model::Usage;
use protocol::profile::{Access, Profile};
use protocol::rewind::FilesChanged;
use tokio::sync::mpsc;
use tools::registry::{Listing, Registry};

use crate::actor::Surroundings;
use crate::asking;
use crate::compacting;
use crate::file_history::{Call, Restored, Watch};
use crate::gauge::Gauge;
use crate::hooking::{self, Rewriting};
use crate::hooks::{HookCall, SessionStart};
use crate::input::Input;
use crate::judge::SessionJudge;
use crate::own_model::OwnModel;
use crate::state::{Phase, SessionState};
use crate::toolbox::{self, Offered, Toolbox};
use crate::turn::compaction;
use crate::work::{AnswerReader, Place, Work};
use crate::world::World;

/// The hands of one session. Dropping them ends what they began.
pub(crate) struct Hands {
    /// What goes on.
    pub(crate) work: Work,
    around: Arc<Surroundings>,
    toolbox: Toolbox,
    gauge: Gauge,
    spent_so_far: Usage,
    /// Whether hooks have heard that the session starts.
    has_started: bool,
}

/// What came of asking the model.
pub(crate) enum Asked {
    /// It is asked.
    Begun {
        /// What is to be said about that.
        notices: Vec<String>,
    },
    /// It was not, because the request is too long.
    TooLong {
        /// About how many tokens it has.
        tokens: u64,
    },
}

impl Hands {
    /// Hands that do nothing yet, and what comes of what they will do.
    pub(crate) fn new(around: Arc<Surroundings>) -> (Self, mpsc::Receiver<Vec<Input>>) {
        let (work, inputs) = Work::new();
        let toolbox = Toolbox::new(Arc::clone(&around.tools));
        (
            Self {
                work,
                around,
                toolbox,
                gauge: Gauge::default(),
                spent_so_far: Usage::default(),
                has_started: false,
            },
            inputs,
        )
    }

    /// Asks the model, of a session all of whose turns are in memory.
    ///
    /// # Errors
    /// What keeps it from being asked.
    pub(crate) async fn ask_model(
        &mut self,
        state: &SessionState,
        turn_id: TurnId,
    ) -> Result<Asked, ProtocolError> {
        let (world, settings) = (&self.around.world, &state.settings);
        let tools = self.toolbox.renew(offered(&**world, state), &state.turns);
        let model = world.model(state.id, settings)?;
        let readable = |opaque: &OpaqueReasoning| model.takes_back(opaque);
        let mut request = asking::request(state, &*self.around.log, &tools, &readable).await?;
        let mut notices = asking::leave_out_unfit(&mut request, &*model, &state.turns);
        notices.extend(asking::sealed(&*model, &state.turns));
        notices.extend(asking::leave_out_images(&mut request, settings, &state.turns));
        let tokens = self.gauge.tokens(&request);
        if compaction::is_too_long(state, tokens) {
            return Ok(Asked::TooLong { tokens });
        }
        self.gauge.asked(&request);
        self.spent_so_far = Usage::default();
        let reader = AnswerReader::new(tools, settings.cwd.clone());
        self.work.listen(model.stream(request), settings.provider.clone(), turn_id, reader);
        Ok(Asked::Begun { notices })
    }

    /// Asks for the summary that an item is to hold, of a session all of whose turns are in memory. It is asked of the
    /// conversation as it is, which the provider has in its cache; of a text of it where that is too long, or was
    /// answered with anything else.
    ///
    /// # Errors
    /// What keeps it from being asked for.
    pub(crate) async fn compact(
        &mut self,
        state: &SessionState,
        item_id: ItemId,
    ) -> Result<(), ProtocolError> {
        let Some((turn, item)) = state.turns.last().zip(state.item(item_id)) else { return Ok(()) };
        let ItemBody::Compaction(body) = &item.body else { return Ok(()) };
        let (world, settings) = (&self.around.world, &state.settings);
        let tools = self.toolbox.renew(offered(&**world, state), &state.turns);
        let model = world.model(state.id, settings)?;
        let log = &*self.around.log;
        let readable = |opaque: &OpaqueReasoning| model.takes_back(opaque);
        let mut request = asking::request_for_summary(state, item, body, log, &tools, &readable).await?;
        asking::leave_out_unfit(&mut request, &*model, &state.turns);
        asking::leave_out_images(&mut request, settings, &state.turns);
        let attempt = compaction::failed_attempts(turn, item.step);
        let tokens = self.gauge.tokens(&request);
        let window = settings.model_context.window_tokens;
        let is_refused = body.reason == CompactionReason::Refused;
        let as_text = attempt > 0 || is_refused || window.is_some_and(|window| tokens > window);
        if as_text {
            // What only a provider can read is no text.
            request = asking::request_for_summary(state, item, body, log, &tools, &|_| false).await?;
            // What was refused is too long by an unknown amount.
            let most = window.map_or(tokens, |window| window.min(tokens)) / 2;
            let bytes = usize::try_from(self.gauge.bytes(most >> attempt)).unwrap_or(usize::MAX);
            asking::tell_as_text(&mut request, body, bytes);
        }
        self.gauge.asked(&request);
        self.spent_so_far = Usage::default();
        let reader = AnswerReader::new(tools, settings.cwd.clone());
        // Nobody can tell a provider what to dwell on.
        let stream = match as_text || body.instructions.is_some() {
            true => model.stream(request),
            false => compacting::ask(model, request),
        };
        self.work.listen(stream, settings.provider.clone(), turn.id, reader);
        Ok(())
    }

    /// Notes what an answer took so far.
    pub(crate) fn spent(&mut self, usage: Usage) {
        self.spent_so_far = usage;
    }

    /// What the answer that goes on took so far, and is in no event yet.
    pub(crate) fn spent_so_far(&self) -> Usage {
        self.spent_so_far
    }

    /// Notes what an answer took; it is in the log.
    pub(crate) fn answered(&mut self, usage: Usage) {
        self.spent_so_far = Usage::default();
        self.gauge.answered(usage);
    }

    /// Runs the tool of an item.
    pub(crate) async fn run_tool(&mut self, state: &SessionState, item_id: ItemId) {
        let tools = self.tools(state);
        let Some(item) = state.item(item_id) else { return };
        let world = &self.around.world;
        let profile = match &item.body {
            // A person has just let it out. What a rule or an earlier leave lets out is looked at when it starts.
            ItemBody::Command(command) if command.is_escalated && state.is_let_out(item_id) => unrestricted(),
            _ => {
                let granted = state.all_grants().writable();
                let mut profile = world.profile(&state.settings, &granted).await;
                state.widen(&mut profile);
                profile
            }
        };
        let watch = self.watch(state, item, &profile);
        let place = Place {
            cwd: state.settings.cwd.as_path().into(),
            profile: Arc::new(profile),
            environment: world.environment(state.id, &state.settings),
            spools: self.around.log.spools(state.id),
            agents: world.agents(state.id, item_id),
            judge: Arc::new(SessionJudge::new(state, item, world.rules(&state.settings))),
            diagnostics: world.diagnostics(state.id, &state.settings),
            watch,
            model: Some(OwnModel {
                world: Arc::clone(world),
                session: state.id,
                settings: state.settings.clone(),
            }),
        };
        self.work.run_tool(tools, item_id, item.body.clone(), place);
    }

    /// Asks hooks.
    pub(crate) fn ask_hooks(&mut self, state: &SessionState, call: HookCall) {
        let Some(request) = hooking::request(state, &call) else { return };
        self.has_started = true;
        let rewriting = match &call {
            HookCall::BeforeCall { item_id, .. } | HookCall::Permission { item_id, .. } => {
                let made = state.item(*item_id).and_then(|item| item.body.call()).cloned();
                let (tools, cwd) = (self.tools(state), state.settings.cwd.clone());
                made.map(|call| Rewriting { tools, cwd, call })
            }
            HookCall::Prompt { .. }
            | HookCall::AfterCall { .. }
            | HookCall::BeforeCompaction { .. }
            | HookCall::AfterCompaction { .. }
            | HookCall::Stop { .. } => None,
        };
        self.work.ask_hooks(self.around.world.ask_hooks(request), call, rewriting);
    }

    /// Whether hooks have heard that the session starts.
    pub(crate) fn has_started(&self) -> bool {
        self.has_started
    }

    /// How the session comes to have its first turn since it was loaded; `None` once hooks have heard of it.
    pub(crate) fn start(&self, state: &SessionState) -> Option<SessionStart> {
        // A turn that was just started is among them.
        let is_new = state.turn_count() <= u32::from(state.running.is_some());
        (!self.has_started).then_some(if is_new { SessionStart::New } else { SessionStart::Resumed })
    }

    /// The tools whose calls change nothing, while calls are made.
    pub(crate) fn reads(&mut self, state: &SessionState) -> Arc<BTreeSet<String>> {
        let makes_calls = state.running.as_ref().is_some_and(|running| running.phase == Phase::Calls);
        if makes_calls { self.tools(state).reads() } else { Arc::default() }
    }

    /// What changed in files since a daemon that is gone looked last.
    pub(crate) async fn recover(&self, state: &SessionState) -> Vec<FilesChanged> {
        let Some(files) = self.around.world.files() else { return Vec::new() };
        let items = state.current().into_iter().flat_map(|(_, turn)| &turn.items);
        let open = items.filter(|item| item.status == ItemStatus::InProgress && item.body.call().is_some());
        files.recover(state.id, open.map(|item| item.id).collect()).await
    }

    /// Begins a look at what commands in the background have changed.
    pub(crate) fn look(&mut self, state: &SessionState, turn: TurnId) {
        if let Some(files) = self.around.world.files() {
            self.work.look(files, state.id, turn);
        }
    }

    /// What commands in the background have changed since the last look.
    pub(crate) async fn meanwhile(&self, state: &SessionState) -> Option<FilesChanged> {
        let turn = state.turns.last()?.id;
        self.around.world.files()?.meanwhile(state.id, turn, self.work.background()).await
    }

    /// The tools that the model was told of last, and those that it may look for.
    pub(crate) fn listing(&mut self, state: &SessionState) -> Vec<Listing> {
        self.tools(state).listing()
    }

    /// Brings the files of a rewind back.
    pub(crate) async fn restore(&self, state: &SessionState, changes: &BlobId) -> Restored {
        match self.around.world.files() {
            Some(files) => files.restore(state.id, &state.settings, changes).await,
            None => Restored::default(),
        }
    }

    /// The tools that the model was told of last.
    fn tools(&mut self, state: &SessionState) -> Arc<Registry> {
        let Self { toolbox, around, .. } = self;
        toolbox.told(&state.turns, || offered(&*around.world, state))
    }

    /// Who watches what a call does to files, if it may change any.
    fn watch(&self, state: &SessionState, item: &Item, profile: &Profile) -> Option<Watch> {
        let settings = &state.settings;
        let roots: Vec<_> = iter::once(&settings.cwd)
            .chain(&settings.additional_roots)
            .filter(|root| profile.access(root) == Access::Write)
            .cloned()
            .collect();
        if roots.is_empty() || !self.toolbox.last().changes_files(&item.body) {
            return None;
        }
        let call = Call { session_id: state.id, turn_id: item.turn_id, item_id: item.id, roots };
        Some(Watch::new(self.around.world.files()?, call))
    }
}

/// What the session has beside the tools that all have.
fn offered(world: &dyn World, state: &SessionState) -> Offered {
    let enabled = toolbox::enabled(&state.turns);
    Offered {
        outside: world.tools(state.id, &state.settings, &enabled),
        of_clients: state.client_tools.clone(),
        suggestions: world.suggestions(state.id, &state.settings, &enabled),
    }
}

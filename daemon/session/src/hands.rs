//! What a session begins outside of itself: the model's answers, tools, hooks, and files that come back; with the tools
//! that the model was told of. What comes of it are inputs. Knows nothing of why it is begun.

use std::iter;
use std::sync::Arc;

use policy::profile::unrestricted;
use protocol::error::ProtocolError;
use protocol::ids::{BlobId, ItemId, TurnId};
use protocol::item::{Item, ItemBody};
use protocol::profile::{Access, Profile};
use protocol::rewind::RewindEnded;
use tokio::sync::mpsc;
use tools::registry::Registry;

use crate::actor::Surroundings;
use crate::asking;
use crate::file_history::{Call, Watch};
use crate::hooking::{self, Rewriting};
use crate::hooks::{HookCall, SessionStart};
use crate::input::Input;
use crate::judge::SessionJudge;
use crate::state::SessionState;
use crate::toolbox::Toolbox;
use crate::work::{AnswerReader, Place, Work};

/// The hands of one session. Dropping them ends what they began.
pub(crate) struct Hands {
    /// What goes on.
    pub(crate) work: Work,
    around: Arc<Surroundings>,
    toolbox: Toolbox,
    /// Whether hooks have heard that the session starts.
    has_started: bool,
}

impl Hands {
    /// Hands that do nothing yet, and what comes of what they will do.
    pub(crate) fn new(around: Arc<Surroundings>) -> (Self, mpsc::Receiver<Vec<Input>>) {
        let (work, inputs) = Work::new();
        let toolbox = Toolbox::new(Arc::clone(&around.tools));
        (Self { work, around, toolbox, has_started: false }, inputs)
    }

    /// Asks the model, of a session all of whose turns are in memory; what is to be said about that.
    ///
    /// # Errors
    /// What keeps it from being asked.
    pub(crate) async fn ask_model(
        &mut self,
        state: &SessionState,
        turn_id: TurnId,
    ) -> Result<Vec<String>, ProtocolError> {
        let (world, settings) = (&self.around.world, &state.settings);
        let tools = self.toolbox.renew(world.tools(state.id, settings), &state.turns);
        let mut request = asking::request(state, &*self.around.log, &tools).await?;
        let model = world.model(state.id, settings)?;
        let notices = asking::leave_out_unfit(&mut request, &*model, &state.turns);
        let reader = AnswerReader::new(tools, settings.cwd.clone());
        self.work.listen(model.stream(request), settings.provider.clone(), turn_id, reader);
        Ok(notices)
    }

    /// Runs the tool of an item.
    pub(crate) fn run_tool(&mut self, state: &SessionState, item_id: ItemId) {
        let tools = self.tools(state);
        let Some(item) = state.item(item_id) else { return };
        let world = &self.around.world;
        let profile = match &item.body {
            // A person let it out, or there is no sandbox to begin with.
            ItemBody::Command(command) if command.is_escalated => unrestricted(),
            _ => {
                let mut profile = world.profile(&state.settings);
                state.widen(&mut profile);
                profile
            }
        };
        let watch = self.watch(state, item, &profile);
        let place = Place {
            cwd: state.settings.cwd.as_path().into(),
            profile: Arc::new(profile),
            environment: world.environment(state.id),
            spools: self.around.log.spools(state.id),
            judge: Arc::new(SessionJudge::new(state, item, world.rules(&state.settings))),
            watch,
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
            HookCall::Prompt { .. } | HookCall::AfterCall { .. } | HookCall::Stop { .. } => None,
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

    /// Brings the files of a rewind back.
    pub(crate) async fn restore(&self, state: &SessionState, changes: &BlobId) -> RewindEnded {
        match self.around.world.files() {
            Some(files) => files.restore(state.id, &state.settings, changes).await,
            None => RewindEnded { restored: 0, left: Vec::new() },
        }
    }

    /// The tools that the model was told of last.
    fn tools(&mut self, state: &SessionState) -> Arc<Registry> {
        let Self { toolbox, around, .. } = self;
        toolbox.told(&state.turns, || around.world.tools(state.id, &state.settings))
    }

    /// Who watches what a call does to files, if it may change any.
    fn watch(&self, state: &SessionState, item: &Item, profile: &Profile) -> Option<Watch> {
        let settings = &state.settings;
        let roots: Vec<_> = iter::once(&settings.cwd)
            .chain(&settings.additional_roots)
            .filter(|root| profile.access(root) == Access::Write)
            .cloned()
            .collect();
        if roots.is_empty() || self.toolbox.last().is_read_only(&item.body) {
            return None;
        }
        let call = Call { session_id: state.id, turn_id: item.turn_id, item_id: item.id, roots };
        Some(Watch::new(self.around.world.files()?, call))
    }
}

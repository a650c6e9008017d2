//! What goes on beside a session's decisions: the model's answer or the running tool, and timers, each a task that
//! tells the actor what happens. Aborting a task ends what it started.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use model::client::ModelStream;
use model::event::{ModelEvent, OutputItem};
use protocol::ids::{ItemId, SessionId, TurnId};
use protocol::item::{ItemBody, ItemStatus, OpaqueReasoning};
use protocol::model::{ProviderFailure, ProviderFailureKind};
use protocol::profile::Profile;
use protocol::tool::ToolCall;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tools::agents::Agents;
use tools::belongings::{Belongings, Going, Standing};
use tools::diagnostics::Diagnostics;
use tools::judge::Judge;
use tools::output::Spools;
use tools::registry::Registry;
use tools::tool::{Report, RunContext, RunOutcome};
use tracing::{Instrument, info_span};

use crate::asks::{Asks, ToolAsker};
use crate::callers::{Calls, ToolCaller};
use crate::file_history::{Background, Before, FileHistory, Watch};
use crate::hooking::{self, Rewriting};
use crate::hooks::{HookAnswer, HookCall};
use crate::input::{Answer, Input};
use crate::own_model::OwnModel;
use crate::world::CommandEnvironment;

/// Pieces of output that may wait for the actor.
const PROGRESS_QUEUE: usize = 16;
/// Reports of a tool that may wait for the actor.
const REPORT_QUEUE: usize = 16;
/// Pieces of an answer that are told together at most.
const TOGETHER: usize = 64;

/// What was ended is gone after so long, and writes nothing any more.
const SETTLES_WITHIN: Duration = Duration::from_millis(100);

/// Groups of inputs that may wait between a task and the actor; a full channel slows the task.
const INPUT_QUEUE: usize = 16;

/// The answer or the tools that go on, the turn's timers, and what tools keep between calls.
pub(crate) struct Work {
    inputs: mpsc::Sender<Vec<Input>>,
    answer: Option<AbortOnDropHandle<()>>,
    /// In order, so that they are always cancelled in the same one.
    tools: BTreeMap<ItemId, RunningTool>,
    /// What tools tell of; what they started may go on when their calls have ended.
    reports: Vec<AbortOnDropHandle<()>>,
    /// Looks at what calls that were cut off have changed.
    looks: Vec<AbortOnDropHandle<()>>,
    asks: Arc<Asks>,
    calls: Arc<Calls>,
    belongings: Arc<Belongings>,
    /// What hooks are asked.
    hooks: Vec<AbortOnDropHandle<()>>,
    timers: Vec<AbortOnDropHandle<()>>,
}

struct RunningTool {
    cancel: CancellationToken,
    task: AbortOnDropHandle<()>,
    watch: Option<Watch>,
}

/// Where a tool runs.
pub(crate) struct Place {
    pub(crate) cwd: Arc<Path>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) environment: CommandEnvironment,
    pub(crate) spools: Arc<dyn Spools>,
    /// The session's agents.
    pub(crate) agents: Arc<dyn Agents>,
    /// Decides about the programs that commands start.
    pub(crate) judge: Arc<dyn Judge>,
    /// Finds errors in files that it changes.
    pub(crate) diagnostics: Arc<dyn Diagnostics>,
    /// Who watches what it does to files.
    pub(crate) watch: Option<Watch>,
    /// The session's model, for what it asks by itself.
    pub(crate) model: Option<OwnModel>,
}

impl Work {
    /// Nothing yet, and where it will be heard.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Vec<Input>>) {
        let (inputs, heard) = mpsc::channel(INPUT_QUEUE);
        let work = Self {
            answer: None,
            tools: BTreeMap::new(),
            reports: Vec::new(),
            looks: Vec::new(),
            asks: Asks::new(inputs.clone()),
            calls: Calls::new(inputs.clone()),
            belongings: Arc::default(),
            hooks: Vec::new(),
            timers: Vec::new(),
            inputs,
        };
        (work, heard)
    }

    /// The items of tools that run, or have ended lately.
    pub(crate) fn tools(&self) -> impl Iterator<Item = ItemId> {
        self.tools.keys().copied()
    }

    /// Whether nothing that tools started goes on, such as a command in the background.
    pub(crate) fn is_idle(&self) -> bool {
        self.belongings.is_idle()
    }

    /// The commands that go on in the background, oldest first.
    pub(crate) fn going(&self) -> Vec<Going> {
        self.belongings.going()
    }

    /// What tools keep between calls, as long as the work is there.
    pub(crate) fn belongings(&self) -> Weak<Belongings> {
        Arc::downgrade(&self.belongings)
    }

    /// How it stands with the number of a process.
    pub(crate) fn standing(&self, process_id: u32) -> Standing {
        self.belongings.standing(process_id)
    }

    /// Ends a command in the background for a person.
    pub(crate) fn end_command(&self, process_id: u32, by: &str) {
        self.belongings.end_command(process_id, by);
    }

    /// Waits until others may go on in the background than before. Cancel safe.
    pub(crate) async fn going_changed(&self) {
        self.belongings.going_changed().await;
    }

    /// Whether commands go on in the background.
    pub(crate) fn background(&self) -> Background {
        background(&self.belongings)
    }

    /// Ends the commands in the background; says whether there was one, and then returns when it is gone.
    pub(crate) async fn end_background(&self) -> bool {
        let is_busy = self.belongings.is_busy();
        self.belongings.end_commands();
        if is_busy {
            tokio::time::sleep(SETTLES_WITHIN).await;
        }
        is_busy
    }

    /// Looks at what commands in the background have changed.
    pub(crate) fn look(&mut self, files: Arc<dyn FileHistory>, session: SessionId, turn: TurnId) {
        self.looks.retain(|looking| !looking.is_finished());
        let (inputs, belongings) = (self.inputs.clone(), Arc::clone(&self.belongings));
        let looking = async move {
            if let Some(changed) = files.meanwhile(session, turn, background(&belongings)).await {
                tell(&inputs, vec![Input::FilesChanged(changed)]).await;
            }
        };
        self.looks.push(AbortOnDropHandle::new(tokio::spawn(looking)));
    }

    /// What running tools ask.
    pub(crate) fn asks(&self) -> &Arc<Asks> {
        &self.asks
    }

    /// What running tools call.
    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Listens to an answer.
    pub(crate) fn listen(
        &mut self,
        stream: ModelStream,
        provider: String,
        turn_id: TurnId,
        reader: AnswerReader,
    ) {
        let listening = listen(stream, provider, turn_id, reader, self.inputs.clone());
        let span = info_span!("turn", id = %turn_id);
        self.answer = Some(AbortOnDropHandle::new(tokio::spawn(listening.instrument(span))));
    }

    /// Runs a tool.
    pub(crate) fn run_tool(&mut self, tools: Arc<Registry>, item_id: ItemId, body: ItemBody, place: Place) {
        self.tools.retain(|_, running| !running.task.is_finished());
        self.reports.retain(|reporting| !reporting.is_finished());
        self.looks.retain(|looking| !looking.is_finished());
        let cancel = CancellationToken::new();
        let Place { cwd, profile, environment, spools, agents, judge, diagnostics, watch, model } = place;
        let asker = Arc::new(ToolAsker { asks: Arc::clone(&self.asks), item_id, model });
        let (calls, here) = (Arc::clone(&self.calls), cwd.to_path_buf());
        let caller = Arc::new(ToolCaller::new(calls, Arc::clone(&tools), here, item_id));
        let (reports, told) = mpsc::channel(REPORT_QUEUE);
        let reporting = tell_reports(item_id, told, self.inputs.clone());
        self.reports.push(AbortOnDropHandle::new(tokio::spawn(reporting)));
        let belongings = Arc::clone(&self.belongings);
        let context = {
            let cancel = cancel.clone();
            move |progress| RunContext {
                cwd,
                profile,
                environment,
                spools,
                asker,
                agents,
                caller,
                judge,
                belongings,
                diagnostics,
                progress,
                reports,
                cancel,
            }
        };
        let watching = watch.clone().map(|watch| (watch, Arc::clone(&self.belongings)));
        let running = run_tool(tools, item_id, body, context, watching, self.inputs.clone());
        let span = info_span!("tool", item = %item_id);
        let task = AbortOnDropHandle::new(tokio::spawn(running.instrument(span)));
        self.tools.insert(item_id, RunningTool { cancel, task, watch });
    }

    /// Asks hooks.
    pub(crate) fn ask_hooks(
        &mut self,
        answering: BoxFuture<'static, HookAnswer>,
        call: HookCall,
        rewriting: Option<Rewriting>,
    ) {
        self.hooks.retain(|asking| !asking.is_finished());
        let asking = hooking::ask(answering, call, rewriting, self.inputs.clone());
        self.hooks.push(AbortOnDropHandle::new(tokio::spawn(asking)));
    }

    /// Ends the answer, the hooks and the tools.
    pub(crate) fn cancel(&mut self) {
        for (_, RunningTool { cancel, task, watch }) in std::mem::take(&mut self.tools) {
            cancel.cancel();
            let Some(watch) = watch else { continue };
            if !watch.is_closing() {
                task.abort();
            }
            let (inputs, belongings) = (self.inputs.clone(), Arc::clone(&self.belongings));
            let looking = async move {
                // Its end, not what came of it.
                let _ = task.await;
                tokio::time::sleep(SETTLES_WITHIN).await;
                if let Some(changed) = watch.after(background(&belongings)).await {
                    tell(&inputs, vec![Input::FilesChanged(changed)]).await;
                }
            };
            self.looks.push(AbortOnDropHandle::new(tokio::spawn(looking)));
        }
        self.answer = None;
        self.hooks.clear();
    }

    /// The looks at what calls that were cut off have changed; each tells that before it ends.
    pub(crate) fn looks(&mut self) -> Vec<AbortOnDropHandle<()>> {
        std::mem::take(&mut self.looks)
    }

    /// Tells the actor something after a while.
    pub(crate) fn start_timer(&mut self, input: Input, after_ms: u64) {
        let inputs = self.inputs.clone();
        let waiting = async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            tell(&inputs, vec![input]).await;
        };
        self.timers.push(AbortOnDropHandle::new(tokio::spawn(waiting)));
    }

    /// Forgets all timers.
    pub(crate) fn clear_timers(&mut self) {
        self.timers.clear();
    }
}

/// Listens to an answer until its end. What is there at once is told at once, so that it becomes durable
/// together. A full channel slows the provider's stream, not the session.
async fn listen(
    stream: ModelStream,
    provider: String,
    turn_id: TurnId,
    mut reader: AnswerReader,
    inputs: mpsc::Sender<Vec<Input>>,
) {
    let mut pieces = stream.ready_chunks(TOGETHER);
    loop {
        let mut answers: Vec<Answer> = match AssertUnwindSafe(pieces.next()).catch_unwind().await {
            Ok(Some(events)) => events
                .into_iter()
                .filter_map(|event| {
                    event.map_or_else(|failure| Some(Answer::Failed(failure)), |event| reader.read(event))
                })
                .collect(),
            Ok(None) => vec![broken_off(&provider, "The stream ended without an end")],
            Err(_) => vec![broken_off(&provider, "The provider's client failed inside; see the log")],
        };
        let is_end = |answer: &Answer| {
            matches!(answer, Answer::Completed { .. } | Answer::Compacted { .. } | Answer::Failed(_))
        };
        let end = answers.iter().position(is_end);
        answers.truncate(end.map_or(usize::MAX, |end| end + 1));
        let told = answers.into_iter().map(|event| Input::Model { turn_id, event }).collect();
        if end.is_some() {
            // The connection is given back before the model is asked again.
            drop(pieces);
            tell(&inputs, told).await;
            return;
        }
        if !tell(&inputs, told).await {
            return;
        }
    }
}

/// Says whether anybody still listens.
pub(crate) async fn tell(inputs: &mpsc::Sender<Vec<Input>>, told: Vec<Input>) -> bool {
    let heard = inputs.send(told).await.is_ok();
    if !heard {
        tracing::debug!("something came to its end after its session was unloaded");
    }
    heard
}

fn broken_off(provider: &str, message: &str) -> Answer {
    Answer::Failed(ProviderFailure {
        provider: provider.to_owned(),
        kind: ProviderFailureKind::Cut,
        status: None,
        message: message.to_owned(),
    })
}

/// Gives the things of an answer their items, and has calls understood by their tools.
pub(crate) struct AnswerReader {
    tools: Arc<Registry>,
    cwd: PathBuf,
    items: HashMap<u32, ItemId>,
    /// What stands for the conversation, until the answer is complete.
    compacted: Vec<OpaqueReasoning>,
}

impl AnswerReader {
    pub(crate) fn new(tools: Arc<Registry>, cwd: PathBuf) -> Self {
        Self { tools, cwd, items: HashMap::new(), compacted: Vec::new() }
    }

    fn item(&mut self, index: u32) -> ItemId {
        *self.items.entry(index).or_insert_with(ItemId::generate)
    }

    /// The next piece, if that is one by itself.
    fn read(&mut self, event: ModelEvent) -> Option<Answer> {
        Some(match event {
            ModelEvent::TextDelta { index, text } => Answer::Text { item_id: self.item(index), text },
            ModelEvent::SummaryDelta { index, text } => Answer::Summary { item_id: self.item(index), text },
            ModelEvent::OutputItem { index, item } => {
                let item_id = self.item(index);
                match item {
                    OutputItem::Message(text) => Answer::Message { item_id, text },
                    OutputItem::Reasoning { summary, opaque } => {
                        Answer::Reasoning { item_id, summary, opaque }
                    }
                    OutputItem::ToolCall(call) => self.call(item_id, call),
                    OutputItem::WebSearch(search) => Answer::WebSearch { item_id, search },
                    OutputItem::Compaction(opaque) => {
                        self.compacted = opaque;
                        return None;
                    }
                }
            }
            ModelEvent::ReasoningDropped => Answer::ReasoningDropped { item_id: ItemId::generate() },
            ModelEvent::Spent { usage } => Answer::Spent { usage },
            ModelEvent::Retrying { attempt, max_attempts, delay, failure } => {
                self.items.clear();
                self.compacted.clear();
                Answer::Retrying { attempt, max_attempts, delay, failure }
            }
            ModelEvent::Completed { usage, .. } if !self.compacted.is_empty() => {
                Answer::Compacted { opaque: mem::take(&mut self.compacted), usage }
            }
            ModelEvent::Completed { usage, stop } => Answer::Completed { usage, stop },
        })
    }

    fn call(&self, item_id: ItemId, call: ToolCall) -> Answer {
        let prepared = self.tools.prepare(&call, &self.cwd).map(Box::new).map_err(|error| error.to_string());
        Answer::Call { item_id, call, prepared }
    }
}

/// Runs a tool to its end and tells what it prints meanwhile.
async fn run_tool(
    tools: Arc<Registry>,
    item_id: ItemId,
    body: ItemBody,
    context: impl FnOnce(mpsc::Sender<String>) -> RunContext,
    watch: Option<(Watch, Arc<Belongings>)>,
    inputs: mpsc::Sender<Vec<Input>>,
) {
    if let Some((watch, _)) = &watch {
        let Before { notices, meanwhile } = watch.before().await;
        let told = notices.into_iter().map(|text| Input::Notice { text });
        let told: Vec<_> = told.chain(meanwhile.map(Input::FilesChanged)).collect();
        if !told.is_empty() {
            tell(&inputs, told).await;
        }
    }
    let (progress, mut pieces) = mpsc::channel(PROGRESS_QUEUE);
    let running = tools.run(body.clone(), context(progress));
    let watching = async {
        while let Some(mut text) = pieces.recv().await {
            while let Ok(more) = pieces.try_recv() {
                text.push_str(&more);
            }
            if !tell(&inputs, vec![Input::ToolOutput { item_id, text }]).await {
                return;
            }
        }
    };
    let outcome = async {
        match running {
            Some(running) => AssertUnwindSafe(running).catch_unwind().await.ok(),
            None => None,
        }
    };
    let (outcome, ()) = tokio::join!(outcome, watching);
    let RunOutcome { status, body } = outcome.unwrap_or_else(|| {
        tracing::error!(item = %item_id, "a tool failed inside");
        RunOutcome {
            status: ItemStatus::Failed,
            body: with_message(body, "The tool failed inside Skein; its outcome is unknown."),
        }
    });
    let changed = match &watch {
        Some((watch, belongings)) => watch.after(background(belongings)).await.map(Input::FilesChanged),
        None => None,
    };
    tell(&inputs, changed.into_iter().chain([Input::ToolEnded { item_id, status, body }]).collect()).await;
}

/// Tells what a tool tells of beside its output. A full channel slows the tool, not the session.
async fn tell_reports(item_id: ItemId, mut told: mpsc::Receiver<Report>, inputs: mpsc::Sender<Vec<Input>>) {
    while let Some(report) = told.recv().await {
        if !tell(&inputs, vec![Input::ToolReported { item_id, report }]).await {
            return;
        }
    }
}

fn background(belongings: &Belongings) -> Background {
    if belongings.is_busy() { Background::Busy } else { Background::Quiet }
}

fn with_message(mut body: ItemBody, text: &str) -> ItemBody {
    let message = Some(text.to_owned());
    match &mut body {
        ItemBody::Command(command) => command.message = message,
        ItemBody::FileChange(change) => change.message = message,
        ItemBody::ToolCall(call) => call.output = message,
        ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Plan(_)
        | ItemBody::Notice(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::Unknown(_) => {}
    }
    body
}

#[cfg(test)]
mod tests {
    use std::io;

    use protocol::ids::BlobId;
    use protocol::item::OtherToolCall;
    use protocol::profile::{Access, NetworkAccess, SandboxMode};
    use protocol::rewind::FilesChanged;
    use protocol::session::SessionSettings;
    use protocol::tool::{CallInput, ToolInput, ToolSpecification};
    use tokio::sync::Notify;
    use tools::judge::NoJudge;
    use tools::output::Spool;
    use tools::tool::{CallError, Tool};

    use super::*;
    use crate::file_history::{Call, Restored};

    /// Ends at once.
    struct Quick;

    impl Tool for Quick {
        fn specification(&self) -> ToolSpecification {
            let input = ToolInput::Json { schema: serde_json::json!({}) };
            ToolSpecification { name: "quick".into(), description: String::new(), input }
        }

        fn prepare(&self, call: &ToolCall, _cwd: &Path) -> Result<ItemBody, CallError> {
            Err(CallError::BadArguments { tool: call.name.clone(), reason: String::new() })
        }

        fn run(&self, body: ItemBody, _context: RunContext) -> BoxFuture<'static, RunOutcome> {
            Box::pin(std::future::ready(RunOutcome { status: ItemStatus::Completed, body }))
        }
    }

    struct NoSpools;

    impl Spools for NoSpools {
        fn open(&self) -> BoxFuture<'_, io::Result<Box<dyn Spool>>> {
            Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())))
        }

        fn read<'a>(&'a self, _blob: &'a BlobId) -> BoxFuture<'a, io::Result<Option<Vec<u8>>>> {
            Box::pin(std::future::ready(Ok(None)))
        }
    }

    /// Finds what a call changed once, and takes its time.
    #[derive(Default)]
    struct SlowLook {
        began: Notify,
        goes_on: Notify,
    }

    impl FileHistory for SlowLook {
        fn before<'a>(&'a self, _call: &'a Call) -> BoxFuture<'a, Before> {
            Box::pin(std::future::ready(Before::default()))
        }

        fn meanwhile(
            &self,
            _session: SessionId,
            _turn: TurnId,
            _background: Background,
        ) -> BoxFuture<'_, Option<FilesChanged>> {
            Box::pin(std::future::ready(None))
        }

        fn recover(
            &self,
            _session: SessionId,
            _open: std::collections::BTreeSet<ItemId>,
        ) -> BoxFuture<'_, Vec<FilesChanged>> {
            Box::pin(std::future::ready(Vec::new()))
        }

        fn after<'a>(
            &'a self,
            call: &'a Call,
            _background: Background,
        ) -> BoxFuture<'a, Option<FilesChanged>> {
            Box::pin(async move {
                self.began.notify_one();
                self.goes_on.notified().await;
                Some(FilesChanged {
                    turn_id: call.turn_id,
                    item_id: call.item_id,
                    count: 1,
                    paths: Vec::new(),
                    changes: BlobId("sha256:00".into()),
                    runs_later: Vec::new(),
                    is_meanwhile: false,
                })
            })
        }

        fn restore<'a>(
            &'a self,
            _session: SessionId,
            _settings: &'a SessionSettings,
            _changes: &'a BlobId,
        ) -> BoxFuture<'a, Restored> {
            Box::pin(std::future::ready(Restored::default()))
        }
    }

    #[tokio::test]
    async fn a_look_after_a_call_is_not_cut_off() {
        let (mut work, mut inputs) = Work::new();
        let look = Arc::new(SlowLook::default());
        let item_id = ItemId::generate();
        let call =
            ToolCall { call_id: "c".into(), name: "quick".into(), input: CallInput::Json("{}".into()) };
        let body = ItemBody::ToolCall(OtherToolCall::new(call));
        let watched = Call {
            session_id: SessionId::generate(),
            turn_id: TurnId::generate(),
            item_id,
            roots: vec!["/repo".into()],
        };
        let profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, Vec::new(), NetworkAccess::Off);
        let place = Place {
            cwd: Path::new("/repo").into(),
            profile: Arc::new(profile),
            environment: Arc::new([]),
            spools: Arc::new(NoSpools),
            agents: Arc::new(tools::agents::NoAgents),
            judge: Arc::new(NoJudge),
            diagnostics: Arc::new(tools::diagnostics::NoDiagnostics),
            watch: Some(Watch::new(Arc::clone(&look) as Arc<dyn FileHistory>, watched)),
            model: None,
        };
        let tools = Registry::new(Arc::new(Quick), Arc::new(Quick), Vec::new());
        work.run_tool(Arc::new(tools), item_id, body, place);
        look.began.notified().await;
        work.cancel();
        // A task that was aborted would be gone now.
        tokio::task::yield_now().await;
        look.goes_on.notify_one();
        let told = inputs.recv().await.expect("told");
        assert!(
            matches!(&told[..], [Input::FilesChanged(changed), Input::ToolEnded { .. }] if changed.item_id == item_id),
            "{told:?}"
        );
    }
}

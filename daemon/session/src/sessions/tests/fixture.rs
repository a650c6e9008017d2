//! A bench for sessions: a real store, a model that follows a script, and a tool that echoes.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use futures_util::stream;
use model::client::{ModelClient, ModelStream};
use model::event::{ModelEvent, OutputItem, StopReason};
use model::request::ModelRequest;
use protocol::delta::FeedEntry;
use protocol::error::ProtocolError;
use protocol::event::{Event, EventRecord};
use protocol::ids::{ClientId, Seq, SessionId, Timestamp};
use protocol::item::{Command, ItemBody, ItemStatus};
use protocol::model::Usage;
use protocol::profile::{ApprovalPolicy, NetworkAccess, Profile, SandboxMode};
use protocol::question::QuestionKind;
use protocol::session::{AfterCrash, Attachment, ClientRole, SessionSettings};
use protocol::tool::{CallInput, ToolCall, ToolInput, ToolSpecification};
use protocol::turn::Actor as Person;
use protocol::turn::{InputPart, TurnLimits};
use store::{Durability, Store, StoreOptions};
use tempfile::TempDir;
use tokio::sync::Notify;
use tools::registry::Registry;
use tools::tool::{CallError, RunContext, RunOutcome, Tool};

use crate::effect::Reply;
use crate::handle::{Feed, SessionHandle};
use crate::input::Request;
use crate::sessions::{NewSession, Sessions};
use crate::world::World;

/// A piece of a scripted answer.
#[derive(Clone)]
pub(crate) enum Piece {
    Event(ModelEvent),
    /// Waits until the test lets it go on.
    Gate(Arc<Notify>),
}

/// Gives its answers one after the other, and keeps what it was asked.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) answers: Mutex<VecDeque<Vec<Piece>>>,
    pub(crate) requests: Mutex<Vec<ModelRequest>>,
}

impl ModelClient for Script {
    fn stream(&self, request: ModelRequest) -> ModelStream {
        self.requests.lock().expect("lock").push(request);
        let answer = self.answers.lock().expect("lock").pop_front().unwrap_or_else(|| says("(no more)"));
        Box::pin(stream::unfold(VecDeque::from(answer), |mut rest| async move {
            loop {
                match rest.pop_front()? {
                    Piece::Event(event) => return Some((Ok(event), rest)),
                    Piece::Gate(gate) => gate.notified().await,
                }
            }
        }))
    }
}

pub(crate) fn says(text: &str) -> Vec<Piece> {
    vec![
        Piece::Event(ModelEvent::TextDelta { index: 0, text: text.into() }),
        Piece::Event(ModelEvent::OutputItem { index: 0, item: OutputItem::Message(text.into()) }),
        completed(),
    ]
}

pub(crate) fn calls(command: &str) -> Vec<Piece> {
    let call =
        ToolCall { call_id: command.into(), name: "echo".into(), input: CallInput::Json(command.into()) };
    vec![Piece::Event(ModelEvent::OutputItem { index: 0, item: OutputItem::ToolCall(call) }), completed()]
}

pub(crate) fn completed() -> Piece {
    Piece::Event(ModelEvent::Completed { usage: Usage::default(), stop: StopReason::Finished })
}

/// A command that is never really run: it prints its text, and ends unless the text is `hang`; `escalate` asks.
pub(crate) struct Echo;

impl Tool for Echo {
    fn specification(&self) -> ToolSpecification {
        let input = ToolInput::Json { schema: serde_json::json!({"type": "object"}) };
        ToolSpecification { name: "echo".into(), description: "Echoes".into(), input }
    }

    fn prepare(&self, call: &ToolCall, cwd: &Path) -> Result<ItemBody, CallError> {
        let text = call.input.text().to_owned();
        Ok(ItemBody::Command(Command {
            call: call.clone(),
            command: text.clone(),
            argv: vec![text.clone()],
            cwd: cwd.to_owned(),
            is_escalated: text == "escalate",
            justification: None,
            has_terminal: false,
            process_id: None,
            timeout_ms: None,
            output_so_far: String::new(),
            outcome: None,
            message: None,
        }))
    }

    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        Box::pin(async move {
            let ItemBody::Command(mut command) = body else { panic!("no command") };
            context.progress.send(format!("{}!", command.command)).await.expect("somebody listens");
            match command.command.as_str() {
                "hang" => std::future::pending::<()>().await,
                "panic" => panic!("on purpose"),
                _ => {}
            }
            command.message = Some(format!("echo {}", command.command));
            RunOutcome { status: ItemStatus::Completed, body: ItemBody::Command(command) }
        })
    }
}

pub(crate) struct TestWorld {
    pub(crate) script: Arc<Script>,
    pub(crate) rules: Mutex<crate::moment::Rules>,
}

impl World for TestWorld {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("clock");
        Timestamp(u64::try_from(since.as_millis()).expect("fits"))
    }

    fn model(&self, _: SessionId, _: &SessionSettings) -> Result<Arc<dyn ModelClient>, ProtocolError> {
        Ok(Arc::clone(&self.script) as Arc<dyn ModelClient>)
    }

    fn rules(&self, _: &SessionSettings) -> crate::moment::Rules {
        Arc::clone(&self.rules.lock().expect("lock"))
    }

    fn allow_always(&self, kind: &QuestionKind) -> Result<(), ProtocolError> {
        let mut rules = self.rules.lock().expect("lock");
        let QuestionKind::Command { argv, cwd, .. } = kind else { return Ok(()) };
        let pattern = argv.iter().map(|word| vec![word.clone()]).collect();
        let rule = policy::rules::OutsideRule::new(pattern, Some(cwd.clone()), None, Default::default());
        Arc::make_mut(&mut rules).add(policy::rules::Rule::Outside(rule.expect("rule")));
        Ok(())
    }

    fn profile(&self, _: &SessionSettings, _: &[PathBuf]) -> BoxFuture<'static, Profile> {
        Box::pin(std::future::ready(policy::profile::unrestricted()))
    }

    fn environment(&self, _: SessionId, _: &SessionSettings) -> crate::world::CommandEnvironment {
        [].into()
    }
}

pub(crate) struct Bench {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) script: Arc<Script>,
    pub(crate) folder: TempDir,
}

impl Bench {
    pub(crate) async fn new(answers: impl IntoIterator<Item = Vec<Piece>>) -> Self {
        let script = Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() };
        let (script, folder) = (Arc::new(script), tempfile::tempdir().expect("folder"));
        let sessions = open(&folder, &script).await;
        Self { sessions, script, folder }
    }

    /// As if the daemon had died: nothing is ended, only a new one begins on the same log.
    pub(crate) async fn after_a_crash(&mut self) {
        self.sessions = open(&self.folder, &self.script).await;
        self.sessions.recover().await.expect("recovery");
    }

    pub(crate) async fn session(&self) -> SessionHandle {
        self.session_with(settings()).await
    }

    pub(crate) async fn session_with(&self, settings: SessionSettings) -> SessionHandle {
        let new = NewSession {
            id: SessionId::generate(),
            actor: person(),
            title: None,
            settings,
            instructions: Vec::new(),
            agent: None,
        };
        self.sessions.create(new).await.expect("session")
    }

    pub(crate) fn requests(&self) -> Vec<ModelRequest> {
        self.script.requests.lock().expect("lock").clone()
    }

    pub(crate) async fn log(&self, session: &SessionHandle) -> Vec<EventRecord> {
        self.sessions.log.events(session.id(), Seq::ZERO, None).await.expect("log")
    }
}

pub(crate) async fn open(folder: &TempDir, script: &Arc<Script>) -> Arc<Sessions> {
    let options = StoreOptions {
        database: folder.path().join("skein.db"),
        blobs: folder.path().join("blobs"),
        durability: Durability::Process,
        blob_cap_bytes: 1 << 20,
    };
    let store = Store::open(options).await.expect("store");
    let tools = Registry::new(Arc::new(Echo), Arc::new(Echo), Vec::new());
    Sessions::new(
        Arc::new(store),
        Arc::new(tools),
        Arc::new(TestWorld { script: Arc::clone(script), rules: Mutex::default() }),
    )
}

pub(crate) fn settings() -> SessionSettings {
    SessionSettings {
        cwd: "/repo".into(),
        additional_roots: Vec::new(),
        provider: "p".into(),
        model: "m".into(),
        reasoning_effort: None,
        reasoning_summary: None,
        developer_instructions: None,
        sandbox: SandboxMode::WorkspaceWrite,
        network: NetworkAccess::Off,
        approval: ApprovalPolicy::OnRequest,
        is_tmp_writable: true,
        permissions: None,
        budget: protocol::turn::Budget::default(),
        limits: TurnLimits::default(),
        price: None,
        is_ephemeral: false,
        after_crash: AfterCrash::Wait,
        question_timeout_ms: None,
        model_context: protocol::context::ModelContext::default(),
    }
}

pub(crate) fn person() -> Person {
    Person { client_id: ClientId::generate(), name: "test".into() }
}

pub(crate) fn attachment(role: ClientRole) -> Attachment {
    Attachment {
        actor: person(),
        version: "1".into(),
        role,
        can_answer: true,
        attached_at: Timestamp(0),
        is_focused: false,
    }
}

pub(crate) async fn start(session: &SessionHandle, text: &str) -> Seq {
    let input = vec![InputPart::Text { text: text.into() }];
    let request =
        Request::Start { input, output_schema: None, limits: TurnLimits::default(), expected_seq: None };
    let answered = session.request(person(), None, request).await.expect("started");
    assert!(matches!(answered.reply, Reply::Started { .. }));
    answered.seq
}

pub(crate) async fn attach(session: &SessionHandle, since: Option<Seq>) -> Feed {
    let attachment = attachment(ClientRole::Driver);
    session.attach(attachment, since).await.expect("feed")
}

/// Reads a feed until an event that fits.
pub(crate) async fn until(feed: &mut Feed, mut fits: impl FnMut(&Event) -> bool) -> Vec<FeedEntry> {
    let mut seen = Vec::new();
    loop {
        for entry in feed.next().await.expect("the feed goes on") {
            let is_last = matches!(&entry, FeedEntry::Event(record) if fits(&record.event));
            seen.push(entry);
            if is_last {
                return seen;
            }
        }
    }
}

pub(crate) fn is_end(event: &Event) -> bool {
    matches!(event, Event::TurnEnded(_))
}

pub(crate) fn events(entries: &[FeedEntry]) -> Vec<EventRecord> {
    let event = |entry: &FeedEntry| match entry {
        FeedEntry::Event(record) => Some(record.clone()),
        FeedEntry::Delta(_) | FeedEntry::Presence(_) | FeedEntry::Budget(_) | FeedEntry::Unknown(_) => None,
    };
    entries.iter().filter_map(event).collect()
}

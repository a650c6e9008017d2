//! Sessions with a real store, a model that follows a script, and a tool that echoes.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use futures_util::stream;
use model::client::{ModelClient, ModelStream};
use model::event::{ModelEvent, OutputItem, StopReason};
use model::request::{InputItem, ModelRequest, text_of};
use protocol::delta::FeedEntry;
use protocol::event::{Event, EventRecord};
use protocol::ids::{ClientId, RequestId, Timestamp};
use protocol::item::{Command, ItemBody, ItemStatus};
use protocol::model::Usage;
use protocol::profile::{ApprovalPolicy, NetworkAccess, Profile, SandboxMode};
use protocol::question::{Decision, GrantScope, QuestionKind};
use protocol::session::{AfterCrash, Attachment, ClientRole, Presence, SessionStatus};
use protocol::tool::{CallInput, ToolCall, ToolInput, ToolSpecification};
use protocol::turn::{InputPart, InterruptReason, TurnLimits, TurnOutcome};
use store::{Durability, Store, StoreOptions};
use tempfile::TempDir;
use tokio::sync::Notify;
use tools::tool::{CallError, RunContext, RunOutcome, Tool};

use super::*;
use crate::effect::Reply;
use crate::handle::{Feed, FeedStart, Wish};
use crate::input::Request;
use crate::outbox::End;

/// A piece of a scripted answer.
#[derive(Clone)]
enum Piece {
    Event(ModelEvent),
    /// Waits until the test lets it go on.
    Gate(Arc<Notify>),
}

/// Gives its answers one after the other, and keeps what it was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Vec<Piece>>>,
    requests: Mutex<Vec<ModelRequest>>,
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

fn says(text: &str) -> Vec<Piece> {
    vec![
        Piece::Event(ModelEvent::TextDelta { index: 0, text: text.into() }),
        Piece::Event(ModelEvent::OutputItem { index: 0, item: OutputItem::Message(text.into()) }),
        completed(),
    ]
}

fn calls(command: &str) -> Vec<Piece> {
    let call =
        ToolCall { call_id: command.into(), name: "echo".into(), input: CallInput::Json(command.into()) };
    vec![Piece::Event(ModelEvent::OutputItem { index: 0, item: OutputItem::ToolCall(call) }), completed()]
}

fn completed() -> Piece {
    Piece::Event(ModelEvent::Completed { usage: Usage::default(), stop: StopReason::Finished })
}

/// A command that is never really run: it prints its text, and ends unless the text is `hang`; `escalate` asks.
struct Echo;

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

struct TestWorld {
    script: Arc<Script>,
    rules: Mutex<crate::moment::Rules>,
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

    fn profile(&self, _: &SessionSettings) -> Profile {
        policy::profile::unrestricted()
    }

    fn environment(&self, _: SessionId) -> crate::world::CommandEnvironment {
        [].into()
    }
}

struct Bench {
    sessions: Arc<Sessions>,
    script: Arc<Script>,
    folder: TempDir,
}

impl Bench {
    async fn new(answers: impl IntoIterator<Item = Vec<Piece>>) -> Self {
        let script = Script { answers: Mutex::new(answers.into_iter().collect()), ..Script::default() };
        let (script, folder) = (Arc::new(script), tempfile::tempdir().expect("folder"));
        let sessions = open(&folder, &script).await;
        Self { sessions, script, folder }
    }

    /// As if the daemon had died: nothing is ended, only a new one begins on the same log.
    async fn after_a_crash(&mut self) {
        self.sessions = open(&self.folder, &self.script).await;
        self.sessions.recover().await.expect("recovery");
    }

    async fn session(&self) -> SessionHandle {
        self.session_with(settings()).await
    }

    async fn session_with(&self, settings: SessionSettings) -> SessionHandle {
        let new = NewSession {
            id: SessionId::generate(),
            actor: person(),
            title: None,
            settings,
            instructions: Vec::new(),
        };
        self.sessions.create(new).await.expect("session")
    }

    fn requests(&self) -> Vec<ModelRequest> {
        self.script.requests.lock().expect("lock").clone()
    }

    async fn log(&self, session: &SessionHandle) -> Vec<EventRecord> {
        self.sessions.log.events(session.id(), Seq::ZERO, None).await.expect("log")
    }
}

async fn open(folder: &TempDir, script: &Arc<Script>) -> Arc<Sessions> {
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

fn settings() -> SessionSettings {
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
    }
}

fn person() -> Person {
    Person { client_id: ClientId::generate(), name: "test".into() }
}

fn attachment(role: ClientRole) -> Attachment {
    Attachment {
        actor: person(),
        version: "1".into(),
        role,
        can_answer: true,
        attached_at: Timestamp(0),
        is_focused: false,
    }
}

async fn start(session: &SessionHandle, text: &str) -> Seq {
    let input = vec![InputPart::Text { text: text.into() }];
    let request =
        Request::Start { input, output_schema: None, limits: TurnLimits::default(), expected_seq: None };
    let answered = session.request(person(), None, request).await.expect("started");
    assert!(matches!(answered.reply, Reply::Started { .. }));
    answered.seq
}

async fn attach(session: &SessionHandle, since: Option<Seq>) -> Feed {
    let attachment = attachment(ClientRole::Driver);
    session.attach(attachment, since).await.expect("feed")
}

/// Reads a feed until an event that fits.
async fn until(feed: &mut Feed, mut fits: impl FnMut(&Event) -> bool) -> Vec<FeedEntry> {
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

fn is_end(event: &Event) -> bool {
    matches!(event, Event::TurnEnded(_))
}

fn events(entries: &[FeedEntry]) -> Vec<EventRecord> {
    let event = |entry: &FeedEntry| match entry {
        FeedEntry::Event(record) => Some(record.clone()),
        FeedEntry::Delta(_) | FeedEntry::Presence(_) | FeedEntry::Unknown(_) => None,
    };
    entries.iter().filter_map(event).collect()
}

#[tokio::test]
async fn what_a_client_sees_is_what_the_log_has() {
    let bench = Bench::new([calls("one"), says("done")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    let seq = start(&session, "go").await;
    assert_eq!(seq, Seq(2));
    let seen = events(&until(&mut feed, is_end).await);
    assert_eq!(seen, bench.log(&session).await[1..]);
    let requests = bench.requests();
    assert_eq!(requests.len(), 2);
    let InputItem::ToolOutput { output, .. } = requests[1].input.last().expect("input") else {
        panic!("no output")
    };
    assert_eq!(text_of(output), "echo one");
}

#[tokio::test]
async fn a_late_client_sees_the_whole_turn_and_nothing_twice() {
    let gate = Arc::new(Notify::new());
    let piece = |text: &str| Piece::Event(ModelEvent::TextDelta { index: 0, text: text.into() });
    let whole = ModelEvent::OutputItem { index: 0, item: OutputItem::Message("first second".into()) };
    let answer = vec![
        piece("first"),
        Piece::Gate(Arc::clone(&gate)),
        piece(" second"),
        Piece::Event(whole),
        completed(),
    ];
    let bench = Bench::new([answer]).await;
    let session = bench.session().await;
    let mut early = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut early, |event| matches!(event, Event::ItemStarted(_))).await;
    let mut late = attach(&session, None).await;
    let FeedStart::Snapshot(snapshot) = &late.first else { panic!("no snapshot") };
    let ItemBody::AgentMessage(message) = &snapshot.turns[0].items[1].body else { panic!("no message") };
    let text = message.text.clone();
    assert!(text.is_empty() || text == "first", "{text}");
    let seq = snapshot.summary.seq;
    let mut resumed = attach(&session, Some(Seq(1))).await;
    let FeedStart::Events(missed) = &resumed.first else { panic!("no events") };
    let mut all = missed.clone();
    gate.notify_one();
    let rest = events(&until(&mut late, is_end).await);
    let log = bench.log(&session).await;
    assert_eq!(rest.first().map(|record| record.seq), Some(seq.next()));
    assert_eq!(rest, log[usize::try_from(seq.0).expect("fits")..]);
    all.extend(events(&until(&mut resumed, is_end).await));
    assert_eq!(all, log[1..]);
}

#[tokio::test]
async fn a_place_beyond_the_log_is_refused() {
    let bench = Bench::new([]).await;
    let session = bench.session().await;
    let attachment = attachment(ClientRole::Driver);
    let error = session.attach(attachment, Some(Seq(2))).await.err().expect("refused");
    assert_eq!(error.code, ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn after_a_crash_the_turn_says_where_it_stopped() {
    let mut bench = Bench::new([calls("hang")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, |event| matches!(event, Event::ModelResponded(_))).await;
    bench.after_a_crash().await;
    let session = bench.sessions.open(session.id()).await.expect("session");
    let snapshot = session.read(0, 10).await.expect("snapshot");
    assert_eq!(snapshot.summary.status, SessionStatus::Idle);
    let turn = &snapshot.turns[0];
    assert!(
        matches!(
            &turn.outcome,
            Some(TurnOutcome::Interrupted { reason: InterruptReason::DaemonStopped, .. })
        ),
        "{:?}",
        turn.outcome
    );
    assert_eq!(turn.items[1].status, ItemStatus::Interrupted);
    start(&session, "go on").await;
}

#[tokio::test]
async fn a_question_outlives_the_daemon() {
    let mut bench = Bench::new([calls("escalate"), says("done")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, |event| matches!(event, Event::QuestionAsked(_))).await;
    bench.after_a_crash().await;
    let open = bench.sessions.questions(None).await.expect("questions");
    assert_eq!(open.len(), 1);
    let session = bench.sessions.with_question(open[0].question.id).await.expect("session");
    let mut feed = attach(&session, None).await;
    let decision = Decision::Allow { scope: GrantScope::Once };
    let answer = Request::Answer { question_id: open[0].question.id, decision };
    session.request(person(), None, answer.clone()).await.expect("answered");
    let seen = events(&until(&mut feed, is_end).await);
    assert!(
        matches!(&seen.last().expect("end").event, Event::TurnEnded(ended) if ended.outcome == TurnOutcome::Completed)
    );
    let late = session.request(person(), None, answer).await.expect_err("too late");
    assert_eq!(late.code, ErrorCode::Conflict);
}

#[tokio::test]
async fn an_interrupt_ends_what_runs() {
    let bench = Bench::new([calls("hang")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, |event| matches!(event, Event::ModelResponded(_))).await;
    let request = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    session.request(person(), None, request).await.expect("interrupted");
    let seen = events(&until(&mut feed, is_end).await);
    assert!(matches!(&seen.last().expect("end").event, Event::TurnEnded(ended)
        if matches!(ended.outcome, TurnOutcome::Interrupted { reason: InterruptReason::Requested, .. })));
}

#[tokio::test]
async fn a_tool_that_fails_inside_ends_and_the_turn_goes_on() {
    let bench = Bench::new([calls("panic"), says("oh")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    let seen = events(&until(&mut feed, is_end).await);
    let failed = |record: &&EventRecord| matches!(&record.event, Event::ItemCompleted(changed) if changed.item.status == ItemStatus::Failed);
    assert_eq!(seen.iter().filter(failed).count(), 1);
    assert_eq!(bench.requests().len(), 2);
}

#[tokio::test]
async fn a_client_that_does_not_read_lags_and_the_session_goes_on() {
    const TURNS: usize = 250;
    let bench = Bench::new((0..TURNS).map(|_| says("x"))).await;
    let session = bench.session().await;
    let mut lagging = attach(&session, None).await;
    let mut reading = attach(&session, None).await;
    for _ in 0..TURNS {
        start(&session, "go").await;
        until(&mut reading, is_end).await;
    }
    let end = loop {
        match lagging.next().await {
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    let End::Lagged(lagged) = end else { panic!("{end:?}") };
    let resumed = attach(&session, Some(Seq(lagged.from.0 - 1))).await;
    let FeedStart::Events(missed) = &resumed.first else { panic!("no events") };
    assert_eq!(missed.first().map(|record| record.seq), Some(lagged.from));
    assert_eq!(
        missed.last().map(|record| record.seq),
        bench.log(&session).await.last().map(|record| record.seq)
    );
}

#[tokio::test]
async fn a_long_session_is_loaded_from_its_end_and_the_model_still_sees_all_of_it() {
    const TURNS: usize = 40;
    let mut bench = Bench::new((0..=TURNS).map(|number| says(&format!("answer {number}")))).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    for number in 0..TURNS {
        start(&session, &format!("input {number}")).await;
        until(&mut feed, is_end).await;
    }
    drop(feed);
    bench.sessions.drain(false).await;
    bench.after_a_crash().await;
    let session = bench.sessions.open(session.id()).await.expect("session");
    let mut feed = attach(&session, None).await;
    let FeedStart::Snapshot(snapshot) = &feed.first else { panic!("no snapshot") };
    assert_eq!((snapshot.turns.len(), snapshot.earlier_turns), (20, 20));
    assert_eq!(snapshot.summary.turn_count, 40);
    start(&session, "and now?").await;
    until(&mut feed, is_end).await;
    let asked = bench.requests().pop().expect("request");
    assert_eq!(asked.input.len(), 2 * TURNS + 1);
    assert_eq!(
        asked.input[0],
        InputItem::UserMessage(vec![model::request::InputContent::Text("input 0".into())])
    );
    let first = session.read(40, 1).await.expect("page");
    assert_eq!((first.turns.len(), first.earlier_turns), (1, 0));
}

#[tokio::test]
async fn a_stopping_daemon_takes_no_new_turns() {
    let bench = Bench::new([]).await;
    let session = bench.session().await;
    bench.sessions.drain(false).await;
    let input = vec![InputPart::Text { text: "go".into() }];
    let request =
        Request::Start { input, output_schema: None, limits: TurnLimits::default(), expected_seq: None };
    let error = session.request(person(), None, request).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert_eq!(bench.sessions.counts(), Counts::default());
}

#[tokio::test]
async fn a_deleted_session_is_gone_for_all_and_a_running_one_is_not_deleted() {
    let bench = Bench::new([calls("hang")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    let error = bench.sessions.delete(session.id(), person(), None).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::Conflict);
    let request = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    session.request(person(), None, request).await.expect("interrupted");
    until(&mut feed, is_end).await;
    bench.sessions.delete(session.id(), person(), None).await.expect("deleted");
    let Err(End::Closed(Some(error))) = feed.next().await else { panic!("the feed goes on") };
    assert_eq!(error.code, ErrorCode::NotFound);
    let error = session.summary().await.expect_err("gone");
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_session_whose_log_is_damaged_is_set_aside_and_can_be_deleted() {
    let mut bench = Bench::new([]).await;
    let titled = |title: &str| NewSession {
        id: SessionId::generate(),
        actor: person(),
        title: Some(title.to_owned()),
        settings: settings(),
        instructions: Vec::new(),
    };
    let (sound, broken) = (titled("sound"), titled("broken"));
    let (sound_id, broken_id) = (sound.id, broken.id);
    for new in [sound, broken] {
        bench.sessions.create(new).await.expect("session");
    }
    bench.sessions.drain(false).await;
    bench.sessions = open(&tempfile::tempdir().expect("folder"), &bench.script).await;
    let database = bench.folder.path().join("skein.db");
    while database.with_extension("db-wal").exists() {
        tokio::task::yield_now().await;
    }
    let mut bytes = std::fs::read(&database).expect("database");
    let places = (0..bytes.len() - 6).filter(|&place| &bytes[place..place + 6] == b"broken");
    for place in places.collect::<Vec<_>>() {
        bytes[place] = 0xff;
    }
    std::fs::write(&database, bytes).expect("damage");

    bench.after_a_crash().await;
    let listed = bench.sessions.list(&SessionListParams::default()).await.expect("list");
    let damaged = |id| {
        let summary = listed.iter().find(|summary| summary.id == id).expect("it is listed");
        matches!(summary.status, SessionStatus::Damaged { .. })
    };
    assert!(damaged(broken_id) && !damaged(sound_id), "{listed:?}");
    let refused = bench.sessions.open(broken_id).await.map(|_| ()).expect_err("refused");
    assert!(refused.code == ErrorCode::Internal && refused.hint.is_some(), "{refused:?}");
    bench.sessions.open(sound_id).await.expect("the other one");
    bench.sessions.delete(broken_id, person(), None).await.expect("deleted");
    let listed = bench.sessions.list(&SessionListParams::default()).await.expect("list");
    assert_eq!(listed.iter().map(|summary| summary.id).collect::<Vec<_>>(), [sound_id]);
}

#[tokio::test]
async fn a_session_to_be_forgotten_goes_with_its_last_client() {
    let bench = Bench::new([says("hi")]).await;
    let session = bench.session_with(SessionSettings { is_ephemeral: true, ..settings() }).await;
    let mut activity = bench.sessions.activity();
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, is_end).await;
    drop(feed);
    activity.wait_for(|counts| counts.loaded == 0).await.expect("it ends");
    let error = bench.sessions.open(session.id()).await.err().expect("gone");
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn many_who_open_a_session_at_once_share_one_actor() {
    let mut bench = Bench::new([]).await;
    let id = bench.session().await.id();
    bench.after_a_crash().await;
    let opened = futures_util::future::join_all((0..50).map(|_| bench.sessions.open(id))).await;
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(bench.sessions.counts().loaded, 1);
}

#[tokio::test]
async fn a_session_at_rest_leaves_the_memory_and_an_old_handle_still_works() {
    let bench = Bench::new([says("hi")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, is_end).await;
    drop(feed);
    let mut activity = bench.sessions.activity();
    activity.wait_for(|counts| counts.attached == 0).await.expect("nobody is attached");
    tokio::time::pause();
    tokio::time::advance(crate::actor::UNLOAD_AFTER * 2).await;
    tokio::time::resume();
    activity.wait_for(|counts| counts.loaded == 0).await.expect("it leaves");
    assert_eq!(session.summary().await.expect("summary").turn_count, 1);
    assert_eq!(bench.sessions.counts().loaded, 1);
}

fn presence(entries: &[FeedEntry]) -> Option<Presence> {
    entries.iter().rev().find_map(|entry| match entry {
        FeedEntry::Presence(presence) => Some(presence.clone()),
        FeedEntry::Event(_) | FeedEntry::Delta(_) | FeedEntry::Unknown(_) => None,
    })
}

#[tokio::test]
async fn everybody_sees_who_comes_and_goes() {
    let bench = Bench::new([]).await;
    let session = bench.session().await;
    let mut first = attach(&session, None).await;
    let FeedStart::Snapshot(snapshot) = &first.first else { panic!("no snapshot") };
    assert_eq!(snapshot.presence.attached.len(), 1);
    let second = attach(&session, None).await;
    let FeedStart::Snapshot(snapshot) = &second.first else { panic!("no snapshot") };
    assert_eq!(snapshot.presence.attached.len(), 2);
    let mut seen = Vec::new();
    while presence(&seen).is_none_or(|presence| presence.attached.len() < 2) {
        seen.extend(first.next().await.expect("feed"));
    }
    let mut resumed = attach(&session, Some(Seq(1))).await;
    let there = presence(&resumed.next().await.expect("feed")).expect("it is told without a snapshot too");
    assert_eq!(there.attached.len(), 3);
    drop(resumed);
    drop(second);
    while presence(&seen).is_none_or(|presence| presence.attached.len() > 1) {
        seen.extend(first.next().await.expect("feed"));
    }
}

#[tokio::test]
async fn a_viewer_changes_nothing() {
    let bench = Bench::new([]).await;
    let session = bench.session().await;
    let viewer = attachment(ClientRole::Viewer);
    let actor = viewer.actor.clone();
    let _feed = session.attach(viewer, None).await.expect("feed");
    let interrupt = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    for request in [interrupt, Request::Archive] {
        let error = session.request(actor.clone(), None, request).await.expect_err("refused");
        assert_eq!(error.code, ErrorCode::Denied);
    }
    let error = session.drive(actor.clone(), None, Wish::TakeOver).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::Denied);
    let error = bench.sessions.delete(session.id(), actor, None).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::Denied);
}

#[tokio::test]
async fn who_takes_over_is_the_only_one_who_writes_until_they_leave() {
    let bench = Bench::new([says("hi"), says("hi")]).await;
    let session = bench.session().await;
    let mut others = attach(&session, None).await;
    let (sole, other) = (attachment(ClientRole::Driver), person());
    let actor = sole.actor.clone();
    let feed = session.attach(sole, None).await.expect("feed");
    session.drive(actor.clone(), None, Wish::TakeOver).await.expect("taken over");
    let error = session.drive(other.clone(), None, Wish::TakeOver).await.expect_err("does not follow");
    assert_eq!(error.code, ErrorCode::Conflict);
    let archive = || Request::Archive;
    let error = session.request(other.clone(), None, archive()).await.expect_err("refused");
    assert_eq!(error.code, ErrorCode::Denied);
    let interrupt = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    session.request(other.clone(), None, interrupt).await.expect("interrupting stays open");
    session.request(actor, None, archive()).await.expect("archived");
    drop(feed);
    loop {
        let entries = others.next().await.expect("feed");
        if presence(&entries)
            .is_some_and(|presence| presence.attached.len() == 1 && presence.sole_driver.is_none())
        {
            break;
        }
    }
    session.request(other, None, Request::Unarchive).await.expect("free again");
}

#[tokio::test]
async fn a_turn_that_is_handed_over_goes_on_in_the_next_daemon() {
    let gate = Arc::new(Notify::new());
    let slow = vec![Piece::Gate(gate)];
    let mut bench = Bench::new([slow, says("done")]).await;
    let session = bench.session().await;
    let mut feed = attach(&session, None).await;
    start(&session, "go").await;
    until(&mut feed, |event| matches!(event, Event::ModelRequested(_))).await;
    bench.sessions.drain(true).await;
    let end = loop {
        match feed.next().await {
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    assert!(matches!(&end, End::Closed(Some(error)) if error.code == ErrorCode::Unavailable), "{end:?}");
    let last = bench.log(&session).await.pop().expect("log");
    assert!(matches!(last.event, Event::TurnSuspended(_)), "{last:?}");
    bench.after_a_crash().await;
    let session = bench.sessions.open(session.id()).await.expect("session");
    let mut feed = attach(&session, Some(last.seq)).await;
    let mut seen = match &feed.first {
        FeedStart::Events(missed) => missed.clone(),
        FeedStart::Snapshot(_) => panic!("no events"),
    };
    if !seen.iter().any(|record| is_end(&record.event)) {
        seen.extend(events(&until(&mut feed, is_end).await));
    }
    assert!(matches!(&seen[0].event, Event::TurnResumed(resumed) if resumed.was_handed_over), "{seen:?}");
    assert!(
        matches!(&seen.last().expect("end").event, Event::TurnEnded(ended) if ended.outcome == TurnOutcome::Completed)
    );
}

#[tokio::test]
async fn a_request_that_was_sent_before_a_crash_is_known_after_it() {
    let mut bench = Bench::new([calls("hang")]).await;
    let session = bench.session().await;
    let (id, actor) = (RequestId::generate(), person());
    let input = vec![InputPart::Text { text: "go".into() }];
    let request =
        Request::Start { input, output_schema: None, limits: TurnLimits::default(), expected_seq: None };
    let first = session.request(actor.clone(), Some(id), request.clone()).await.expect("started");
    bench.after_a_crash().await;
    let session = bench.sessions.open(session.id()).await.expect("session");
    assert_eq!(session.request(actor, Some(id), request).await.expect("answered"), first);
    assert_eq!(session.read(0, 10).await.expect("snapshot").turns.len(), 1);
}

#[tokio::test]
async fn a_session_is_deleted_once_for_a_request_that_is_sent_again() {
    let mut bench = Bench::new([]).await;
    let (one, two) = (bench.session().await.id(), bench.session().await.id());
    let (first, second) = (Some(RequestId::generate()), Some(RequestId::generate()));
    bench.sessions.delete(one, person(), first).await.expect("deleted");
    bench.sessions.delete(one, person(), first).await.expect("asked again");
    bench.after_a_crash().await;
    bench.sessions.delete(one, person(), first).await.expect("asked again of the next daemon");
    let error = bench.sessions.delete(one, person(), second).await.expect_err("somebody else");
    assert_eq!(error.code, ErrorCode::NotFound);
    bench.sessions.open(two).await.expect("the other one is still there");
}

#[tokio::test]
async fn an_interrupt_that_found_nothing_is_remembered_by_the_next_daemon() {
    let mut bench = Bench::new([says("done")]).await;
    let session = bench.session().await;
    let id = RequestId::generate();
    let interrupt = || Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    let first = session.request(person(), Some(id), interrupt()).await.expect("nothing to interrupt");
    bench.after_a_crash().await;
    let session = bench.sessions.open(session.id()).await.expect("session");
    assert_eq!(session.request(person(), Some(id), interrupt()).await.expect("again"), first);
}

#[tokio::test]
async fn a_wish_to_drive_is_carried_out_once_over_one_connection() {
    let bench = Bench::new([]).await;
    let session = bench.session().await;
    let actor = person();
    let attachment = Attachment {
        actor: actor.clone(),
        version: "1".into(),
        role: ClientRole::Driver,
        can_answer: true,
        attached_at: Timestamp(0),
        is_focused: false,
    };
    let _feed = session.attach(attachment, None).await.expect("feed");
    let id = Some(RequestId::generate());
    session.drive(actor.clone(), id, Wish::TakeOver).await.expect("taken over");
    session.drive(actor.clone(), Some(RequestId::generate()), Wish::Release).await.expect("released");
    session.drive(actor, id, Wish::TakeOver).await.expect("asked again");
    assert_eq!(session.read(0, 0).await.expect("snapshot").presence.sole_driver, None);
}

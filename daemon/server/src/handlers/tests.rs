//! The methods over an in-memory connection to a whole daemon: a real store, real sessions, a scripted model. Here
//! what one client does, and what the others need; in `hands` what many do, in `restart` what outlives a daemon.

mod hands;
mod restart;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use jsonrpsee::client_transport::ws::{Url, WsTransportClientBuilder};
use jsonrpsee::core::client::{Client, ClientBuilder, ClientT, Error, Subscription};
use jsonrpsee::core::traits::ToRpcParams;
use jsonrpsee::server::{ServerHandle, stop_channel};
use protocol::api::config::ConfigClient;
use protocol::api::daemon::DaemonClient;
use protocol::api::initialize::InitializeClient;
use protocol::api::methods;
use protocol::api::question::QuestionClient;
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::config::ConfigCheckParams;
use protocol::daemon::{DaemonShutdownParams, DaemonStatusParams};
use protocol::delta::{FeedEntry, SessionFeed};
use protocol::error::{ConfigurationProblem, ErrorCode, ErrorDetail, ProtocolError};
use protocol::event::{Event, EventRecord};
use protocol::ids::{Seq, SessionId};
use protocol::initialize::{InitializeParams, InitializeResult};
use protocol::item::ItemBody;
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::question::QuestionListParams;
use protocol::session::{
    ClientRole, Environment, SessionAttachParams, SessionCreateParams, SessionListParams, SessionListResult,
    SessionReadParams, SessionRef, SessionSummary, SessionUpdateParams, SettingsOverrides,
};
use protocol::turn::{InputPart, TurnLimits, TurnOutcome, TurnStartParams};
use protocol::version::{ProtocolVersion, SUPPORTED, VersionRange};
use serde_json::value::{RawValue, to_raw_value};
use tempfile::TempDir;
use tokio::io::duplex;
use tokio_util::task::AbortOnDropHandle;
use wire::folders::Folders;

use crate::daemon::Daemon;
use crate::listener::Front;

const CONFIG: &str = "model_provider = \"script\"\n\n[model_providers.script]\nname = \"Script\"\n\
                      wire_api = \"replay\"\nscript = \"SCRIPT\"\n";
const SCRIPT: &str = "[[step]]\nsay = \"Hello there\"\n";

/// A daemon with a home of its own. Nothing listens: connections are made in memory.
struct TestDaemon {
    scratch: TempDir,
    daemon: Arc<Daemon>,
    front: Front,
    _recovering: AbortOnDropHandle<()>,
    _stop: ServerHandle,
}

impl TestDaemon {
    async fn start() -> Self {
        let scratch = tempfile::tempdir().expect("scratch");
        let script = scratch.path().join("script.toml");
        fs::write(&script, SCRIPT).expect("script");
        let config = CONFIG.replace("SCRIPT", &script.to_string_lossy());
        Self::start_in(scratch, &config).await
    }

    async fn start_in(scratch: TempDir, config: &str) -> Self {
        let home = scratch.path().join("home");
        let folders = Folders { config: home.clone(), state: home.join("state"), runtime: home.join("run") };
        fs::create_dir_all(&folders.state).expect("state");
        fs::create_dir_all(scratch.path().join("repo")).expect("repo");
        fs::write(folders.config_file(), config).expect("config");
        let settings = ::config::Settings::default();
        let helper = scratch.path().join("no-helper");
        let daemon =
            Daemon::open(helper, folders, &settings, Environment::new()).await.expect("the daemon opens");
        let (stop, handle) = stop_channel();
        let methods = super::methods(&daemon).expect("methods");
        let front = Front::new(methods, Arc::clone(&daemon.connections), stop);
        let recovering = {
            let daemon = Arc::clone(&daemon);
            tokio::spawn(async move {
                daemon.recovery.run(&daemon.sessions, &daemon.circumstances, &daemon.accounts).await;
            })
        };
        Self { scratch, daemon, front, _recovering: AbortOnDropHandle::new(recovering), _stop: handle }
    }

    /// Stops, and starts the next daemon on the same home with these settings.
    async fn restart(self, hand_over: bool, config: &str) -> Self {
        let Self { scratch, daemon, .. } = self;
        daemon.sessions.drain(hand_over).await;
        daemon.store.clone().close().await;
        Self::start_in(scratch, config).await
    }

    /// Connects without saying who it is.
    async fn dial(&self) -> Client {
        let (near, far) = duplex(64 * 1024);
        let front = self.front.clone();
        let admitted = self.daemon.connections.admit().expect("room");
        tokio::spawn(async move { front.serve(near, admitted).await });
        let (sender, receiver) = WsTransportClientBuilder::default()
            .build_with_stream(Url::parse("ws://localhost/").expect("url"), far)
            .await
            .expect("upgrade");
        ClientBuilder::new().build_with_tokio(sender, receiver)
    }

    async fn connect(&self) -> Client {
        let client = self.dial().await;
        initialize(&client, SUPPORTED).await.expect("initialize");
        client
    }

    /// A client that was started with these variables.
    async fn connect_with(&self, environment: &[(&str, &str)]) -> Client {
        let client = self.dial().await;
        let variable = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let environment = environment.iter().map(variable).collect();
        let params = InitializeParams { environment, ..introduction(SUPPORTED) };
        InitializeClient::initialize(&client, params).await.expect("initialize");
        client
    }

    fn new_session(&self) -> SessionCreateParams {
        SessionCreateParams { cwd: self.scratch.path().join("repo"), ..SessionCreateParams::default() }
    }

    async fn create(&self, client: &Client) -> SessionSummary {
        client.create(self.new_session()).await.expect("session").summary
    }
}

/// An object of parameters as it is.
struct Plain(serde_json::Value);

impl ToRpcParams for Plain {
    fn to_rpc_params(self) -> Result<Option<Box<RawValue>>, serde_json::Error> {
        to_raw_value(&self.0).map(Some)
    }
}

#[tokio::test]
async fn parameters_may_be_an_object_or_stand_in_an_array() {
    let daemon = TestDaemon::start().await;
    let client = daemon.connect().await;
    let plain = Plain(serde_json::json!({"limit": 1}));
    let in_array = Plain(serde_json::json!([{"limit": 1}]));
    for params in [plain, in_array] {
        let list: SessionListResult = client.request("session/list", params).await.expect("list");
        assert!(list.sessions.is_empty());
    }
}

async fn initialize(client: &Client, protocol: VersionRange) -> Result<InitializeResult, Error> {
    InitializeClient::initialize(client, introduction(protocol)).await
}

fn introduction(protocol: VersionRange) -> InitializeParams {
    InitializeParams {
        client_name: "test".into(),
        client_version: "0".into(),
        client_build: None,
        protocol,
        environment: Environment::new(),
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> ProtocolError {
    match result {
        Err(Error::Call(object)) => object.into(),
        other => panic!("not refused: {other:?}"),
    }
}

async fn attach(client: &Client, session_id: SessionId, since: Option<Seq>) -> Subscription<SessionFeed> {
    client.attach(SessionAttachParams { since, ..follow(session_id) }).await.expect("attach")
}

fn follow(session_id: SessionId) -> SessionAttachParams {
    SessionAttachParams { session_id, since: None, can_answer: true, role: ClientRole::Driver }
}

fn hello(session_id: SessionId) -> TurnStartParams {
    let input = vec![InputPart::Text { text: "hello".into() }];
    TurnStartParams {
        session_id,
        input,
        output_schema: None,
        limits: TurnLimits::default(),
        expected_seq: None,
        request_id: None,
    }
}

/// The events of a feed up to the end of a turn.
async fn events_of_turn(feed: &mut Subscription<SessionFeed>) -> Vec<EventRecord> {
    let mut events = Vec::new();
    loop {
        let message = feed.next().await.expect("the feed goes on").expect("a message");
        let SessionFeed::Batch(batch) = message else { continue };
        for entry in batch.entries {
            let FeedEntry::Event(record) = entry else { continue };
            let is_end = matches!(record.event, Event::TurnEnded(_));
            events.push(record);
            if is_end {
                return events;
            }
        }
    }
}

fn outcome(events: &[EventRecord]) -> &TurnOutcome {
    match events.last().map(|record| &record.event) {
        Some(Event::TurnEnded(ended)) => &ended.outcome,
        other => panic!("no end: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_what_the_protocol_lists() {
    let daemon = TestDaemon::start().await;
    let served: BTreeSet<&str> = super::methods(&daemon.daemon).expect("methods").method_names().collect();
    let listed: BTreeSet<&str> = methods::all()
        .iter()
        .flat_map(|method| {
            [Some(method.name), method.notification.map(|notification| notification.unsubscribe)]
        })
        .flatten()
        .collect();
    assert_eq!(served, listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_runs_and_everybody_sees_it() {
    let daemon = TestDaemon::start().await;
    let (client, watcher) = (daemon.connect().await, daemon.connect().await);
    let session = daemon.create(&client).await;
    assert_eq!((session.seq, session.settings.model.as_str()), (Seq(1), "replay"));
    let mut feed = attach(&client, session.id, None).await;
    let Some(Ok(SessionFeed::Snapshot(snapshot))) = feed.next().await else { panic!("no snapshot first") };
    assert_eq!(snapshot.summary.id, session.id);
    let mut other = attach(&watcher, session.id, Some(Seq::ZERO)).await;

    let started = client.start(hello(session.id)).await.expect("turn");
    let events = events_of_turn(&mut feed).await;
    assert_eq!(*outcome(&events), TurnOutcome::Completed);
    assert!(events.iter().any(|record| record.seq == started.seq));
    let said = events.iter().any(|record| match &record.event {
        Event::ItemCompleted(item) => {
            matches!(&item.item.body, ItemBody::AgentMessage(message) if message.text == "Hello there")
        }
        _ => false,
    });
    assert!(said, "the model's message is among the events");

    let seen = events_of_turn(&mut other).await;
    let seqs: Vec<u64> = seen.iter().map(|record| record.seq.0).collect();
    assert_eq!(seqs, (1..=seen.len() as u64).collect::<Vec<_>>(), "without a gap, from the first event");
    assert_eq!(seen.last(), events.last());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_client_is_sent_what_it_missed() {
    let daemon = TestDaemon::start().await;
    let client = daemon.connect().await;
    let session = daemon.create(&client).await;
    let mut feed = attach(&client, session.id, None).await;
    client.start(hello(session.id)).await.expect("turn");
    let live = events_of_turn(&mut feed).await;
    let late_client = daemon.connect().await;
    let mut late = attach(&late_client, session.id, Some(session.seq)).await;
    assert_eq!(events_of_turn(&mut late).await, live);
    let beyond = SessionAttachParams { since: Some(Seq(1000)), ..follow(session.id) };
    assert!(client.attach(beyond).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_in_the_store_and_its_name_in_the_log() {
    let daemon = TestDaemon::start().await;
    let client = daemon.connect().await;
    let session = daemon.create(&client).await;
    let mut feed = attach(&client, session.id, None).await;
    let data = "iVBORw0KGgo=".to_owned();
    let image = InputPart::Image { media_type: "image/png".into(), data };
    let fake = InputPart::Image { media_type: "image/jpeg".into(), data: "iVBORw0KGgo=".into() };
    let refusal = client.start(TurnStartParams { input: vec![fake], ..hello(session.id) }).await;
    assert_eq!(refused(refusal).code, ErrorCode::InvalidRequest);
    client.start(TurnStartParams { input: vec![image], ..hello(session.id) }).await.expect("turn");
    let events = events_of_turn(&mut feed).await;
    let stored = events.iter().find_map(|record| match &record.event {
        Event::ItemCompleted(changed) | Event::ItemStarted(changed) => match &changed.item.body {
            ItemBody::UserMessage(message) => message.content.first().cloned(),
            _ => None,
        },
        _ => None,
    });
    let Some(InputPart::StoredImage { blob, .. }) = stored else { panic!("not stored: {stored:?}") };
    let bytes = daemon.daemon.store.blobs().get(&blob).await.expect("store").expect("blob");
    assert_eq!(bytes, b"\x89PNG\r\n\x1a\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_ends_with_its_session() {
    let daemon = TestDaemon::start().await;
    let client = daemon.connect().await;
    let session = daemon.create(&client).await;
    let mut feed = attach(&client, session.id, Some(session.seq)).await;
    client.delete(SessionRef { session_id: session.id, request_id: None }).await.expect("delete");
    loop {
        match feed.next().await.expect("an end is told").expect("a message") {
            SessionFeed::Batch(_) => {}
            SessionFeed::Closed(_) => break,
            other => panic!("not an end: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_do_not_meet_are_named() {
    let daemon = TestDaemon::start().await;
    let client = daemon.dial().await;
    let future = VersionRange { min: ProtocolVersion(7), max: ProtocolVersion(9) };
    let error = refused(initialize(&client, future).await);
    let Some(ErrorDetail::VersionMismatch { client: theirs, daemon: ours, .. }) =
        error.detail.as_deref().cloned()
    else {
        panic!("no detail: {error:?}");
    };
    assert_eq!((theirs, ours), (future, SUPPORTED));
    initialize(&client, SUPPORTED).await.expect("another try may succeed");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_settings_are_told_to_who_makes_a_session() {
    let scratch = tempfile::tempdir().expect("scratch");
    let daemon = TestDaemon::start_in(scratch, "model = \n").await;
    let client = daemon.connect().await;
    let error = refused(client.create(daemon.new_session()).await);
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    let Some(ErrorDetail::Configuration(problem)) = error.detail.as_deref().cloned() else {
        panic!("no detail: {error:?}")
    };
    assert_eq!(problem.line, Some(1));
    let checked = client.check(ConfigCheckParams::default()).await.expect("check");
    assert_eq!(checked.errors, [problem]);
    // Mended on disk, it works at once.
    fs::write(daemon.daemon.folders.config_file(), "model_provider = \"openai\"\n").expect("config");
    daemon.create(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_the_own_settings_names_rules_that_can_not_be_read() {
    let daemon = TestDaemon::start().await;
    let client = daemon.connect().await;
    let folders = &daemon.daemon.folders;
    fs::create_dir(folders.config.join("rules")).expect("folder");
    fs::write(folders.config.join("rules/a.rules"), "prefix_rule(").expect("rules");
    let checked = client.check(ConfigCheckParams::default()).await.expect("check");
    assert_eq!(checked.errors, []);
    let names_it = |problem: &ConfigurationProblem| problem.origin.ends_with("a.rules");
    assert!(checked.warnings.iter().any(names_it), "{:?}", checked.warnings);
    let other = ConfigCheckParams { file: Some(folders.config_file()) };
    let checked = client.check(other).await.expect("check");
    assert!(!checked.warnings.iter().any(names_it), "they belong to no other file: {:?}", checked.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_updated_listed_archived_and_deleted() {
    let daemon = TestDaemon::start().await;
    let client = daemon.connect().await;
    let session = daemon.create(&client).await;
    let overrides = SettingsOverrides {
        sandbox: Some(SandboxMode::ReadOnly),
        approval: Some(ApprovalPolicy::Never),
        ..SettingsOverrides::default()
    };
    let title = Some("A title".to_owned());
    let params =
        SessionUpdateParams { session_id: session.id, title, overrides, unarchive: false, request_id: None };
    let updated = client.update(params).await.expect("update").summary;
    assert_eq!(updated.title.as_deref(), Some("A title"));
    assert_eq!(updated.settings.sandbox, SandboxMode::ReadOnly);
    assert_eq!(updated.settings.model, session.settings.model);

    let list = || async {
        let result = SessionClient::list(&client, SessionListParams::default()).await.expect("list");
        result.sessions.into_iter().map(|summary| summary.id).collect::<Vec<_>>()
    };
    assert_eq!(list().await, [session.id]);
    let reference = SessionRef { session_id: session.id, request_id: None };
    client.archive(reference.clone()).await.expect("archive");
    assert_eq!(list().await, []);
    client.delete(reference).await.expect("delete");
    let read = SessionReadParams { session_id: session.id, skip_turns: 0, limit: None };
    assert_eq!(refused(client.read(read).await).code, ErrorCode::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_with_a_reason() {
    let daemon = TestDaemon::start().await;
    let client = daemon.connect().await;
    let nowhere = SessionCreateParams { cwd: "/does/not/exist".into(), ..daemon.new_session() };
    assert_eq!(refused(client.create(nowhere).await).code, ErrorCode::InvalidRequest);
    let untitled = SessionCreateParams { title: Some(" ".into()), ..daemon.new_session() };
    assert_eq!(refused(client.create(untitled).await).code, ErrorCode::InvalidRequest);
    let nobody = SessionId::generate();
    assert_eq!(refused(client.start(hello(nobody)).await).code, ErrorCode::NotFound);
    let session = daemon.create(&client).await;
    let empty = TurnStartParams { input: Vec::new(), ..hello(session.id) };
    assert_eq!(refused(client.start(empty).await).code, ErrorCode::InvalidRequest);
    let questions = QuestionClient::list(&client, QuestionListParams::default()).await.expect("questions");
    assert_eq!(questions.questions, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_counts_and_shutdown_asks_to_stop() {
    let daemon = TestDaemon::start().await;
    let (client, _other) = (daemon.connect().await, daemon.connect().await);
    daemon.create(&client).await;
    let status = client.status(DaemonStatusParams::default()).await.expect("status");
    assert_eq!((status.connections, status.loaded_sessions, status.running_turns), (2, 1, 0));
    assert_eq!((status.pid, status.is_draining), (std::process::id(), false));
    assert_eq!(status.folders.log, daemon.daemon.folders.log());
    client.shutdown(DaemonShutdownParams { hand_over: false }).await.expect("shutdown");
    assert!(daemon.daemon.stop.is_asked());
    daemon.daemon.sessions.drain(false).await;
    let error = refused(client.create(daemon.new_session()).await);
    assert_eq!(error.code, ErrorCode::Unavailable);
}

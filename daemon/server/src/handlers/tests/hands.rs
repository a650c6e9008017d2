//! Many clients on one session: requests that are sent again, roles, the queue, leaves (threats C1 to C4).

use futures_util::future::join_all;
use protocol::api::queue::QueueClient;
use protocol::ids::{QueuedId, RequestId};
use protocol::item::ItemStatus;
use protocol::question::{Decision, GrantScope, OpenQuestion, QuestionAnswerParams};
use protocol::queue::{QueueCancelParams, QueueListParams, QueueUpdateParams};
use protocol::session::{AfterCrash, Presence, SettingOverride};
use protocol::turn::{InterruptReason, TurnEnqueueParams, TurnInterruptParams, TurnSteerParams};
use tokio::sync::watch;

use super::*;

/// Says something only after a minute, so that the turn runs until somebody ends it.
const SLOW: &str = "[[step]]\nwait_ms = 60000\nsay = \"At last\"\n";
/// Wants to run a command that a person must allow, twice.
const ASKING: &str = "[[step]]\n[[step.call]]\ntool = \"shell\"\narguments = { command = [\"touch\", \"x\"] }\n\
                      [[step]]\n[[step.call]]\ntool = \"shell\"\narguments = { command = [\"touch\", \"y\"] }\n\
                      [[step]]\nsay = \"Done\"\n";

async fn daemon_with(script: &str) -> TestDaemon {
    let daemon = TestDaemon::start().await;
    fs::write(daemon.scratch.path().join("script.toml"), script).expect("script");
    daemon
}

fn text(text: &str) -> Vec<InputPart> {
    vec![InputPart::Text { text: text.to_owned() }]
}

fn some_id() -> Option<RequestId> {
    Some(RequestId::generate())
}

async fn presence(feed: &mut Subscription<SessionFeed>, wanted: impl Fn(&Presence) -> bool) {
    loop {
        let message = feed.next().await.expect("the feed goes on").expect("a message");
        let SessionFeed::Batch(batch) = message else { continue };
        let fits = |entry: &FeedEntry| matches!(entry, FeedEntry::Presence(presence) if wanted(presence));
        if batch.entries.iter().any(fits) {
            return;
        }
    }
}

/// The oldest question that waits.
async fn question(client: &Client, feed: &mut Subscription<SessionFeed>) -> OpenQuestion {
    loop {
        let open = QuestionClient::list(client, QuestionListParams::default()).await.expect("questions");
        if let Some(open) = open.questions.into_iter().next() {
            return open;
        }
        feed.next().await.expect("the feed goes on").expect("a message");
    }
}

fn allow(open: &OpenQuestion, scope: GrantScope) -> QuestionAnswerParams {
    let decision = Decision::Allow { scope };
    QuestionAnswerParams { question_id: open.question.id, decision, request_id: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_sent_again_is_answered_as_the_first_time() {
    let daemon = daemon_with(SLOW).await;
    let client = daemon.connect().await;
    let session = daemon.create(&client).await;
    let start = TurnStartParams { request_id: some_id(), ..hello(session.id) };
    let first = client.start(start.clone()).await.expect("turn");
    let other = daemon.connect().await;
    assert_eq!(other.start(start.clone()).await.expect("again"), first, "also over another connection");
    let enqueue = TurnEnqueueParams { session_id: session.id, input: text("next"), request_id: some_id() };
    let queued = client.enqueue(enqueue.clone()).await.expect("queue");
    assert_eq!(client.enqueue(enqueue).await.expect("again"), queued);
    let steer = TurnSteerParams {
        session_id: session.id,
        input: text("so"),
        expected_turn_id: None,
        request_id: some_id(),
    };
    let steered = client.steer(steer.clone()).await.expect("steer");
    assert_eq!(client.steer(steer).await.expect("again"), steered);
    let config = fs::read_to_string(daemon.daemon.folders.config_file()).expect("config");
    let daemon = daemon.restart(false, &config).await;
    let client = daemon.connect().await;
    assert_eq!(client.start(start).await.expect("again"), first, "also after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_picture_of_the_session_is_a_conflict() {
    let daemon = TestDaemon::start().await;
    let client = daemon.connect().await;
    let session = daemon.create(&client).await;
    let start = |seq| TurnStartParams { expected_seq: Some(seq), ..hello(session.id) };
    assert_eq!(refused(client.start(start(Seq(0))).await).code, ErrorCode::Conflict);
    client.start(start(session.seq)).await.expect("turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_identity_one_session_is_made_however_many_ask_at_once() {
    let daemon = TestDaemon::start().await;
    let client = daemon.connect().await;
    let session_id = Some(SessionId::generate());
    let params = SessionCreateParams { session_id, ..daemon.new_session() };
    let made = join_all((0..16).map(|_| client.create(params.clone()))).await;
    let made: Vec<_> = made.into_iter().map(|result| result.expect("session").summary).collect();
    assert!(made.iter().all(|summary| summary == &made[0] && Some(summary.id) == session_id), "{made:#?}");
    let archived = SessionRef { session_id: made[0].id, request_id: None };
    client.archive(archived).await.expect("archive");
    let again = client.create(params).await.expect("again").summary;
    assert_eq!((again.id, again.seq), (made[0].id, Seq(2)), "it is answered as it is by now");
    let ours = daemon.create(&client).await;
    let params = SessionCreateParams { session_id: Some(ours.id), ..daemon.new_session() };
    assert_eq!(client.create(params).await.expect("again").summary, ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_session_survives_crashes_unless_the_settings_say_otherwise() {
    let daemon = TestDaemon::start().await;
    let client = daemon.connect().await;
    let after_crash = async |is_detached, overrides| {
        let params = SessionCreateParams { is_detached, overrides, ..daemon.new_session() };
        client.create(params).await.expect("session").summary.settings.after_crash
    };
    let wait = SettingOverride { key: "after_crash".into(), value: "wait".into() };
    let wait = SettingsOverrides { values: vec![wait], ..SettingsOverrides::default() };
    assert_eq!(after_crash(false, SettingsOverrides::default()).await, AfterCrash::Wait);
    assert_eq!(after_crash(true, SettingsOverrides::default()).await, AfterCrash::Continue);
    assert_eq!(after_crash(true, wait).await, AfterCrash::Wait);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_on_changes_nothing() {
    let daemon = daemon_with(SLOW).await;
    let (driver, viewer) = (daemon.connect().await, daemon.connect().await);
    let session = daemon.create(&driver).await;
    driver.start(hello(session.id)).await.expect("turn");
    let queued = TurnEnqueueParams { session_id: session.id, input: text("next"), request_id: None };
    let queued_id = driver.enqueue(queued.clone()).await.expect("queue").queued_id.expect("it waits");
    let mut feed = attach(&driver, session.id, None).await;
    let watching = SessionAttachParams { role: ClientRole::Viewer, can_answer: false, ..follow(session.id) };
    let _watching = viewer.attach(watching).await.expect("attach");
    presence(&mut feed, |presence| {
        let roles: Vec<_> = presence.attached.iter().map(|one| (&one.role, one.version.as_str())).collect();
        roles == [(&ClientRole::Driver, "0"), (&ClientRole::Viewer, "0")]
    })
    .await;

    let session_id = session.id;
    let code = |error: ProtocolError| error.code;
    let steer = TurnSteerParams { session_id, input: text("so"), expected_turn_id: None, request_id: None };
    let interrupt = TurnInterruptParams {
        session_id,
        expected_turn_id: None,
        reason: InterruptReason::Requested,
        request_id: None,
    };
    let update = SessionUpdateParams {
        session_id,
        title: Some("Mine".into()),
        overrides: SettingsOverrides::default(),
        unarchive: false,
        request_id: None,
    };
    let change =
        QueueUpdateParams { session_id, queued_id, input: None, position: Some(0), request_id: None };
    let cancel = QueueCancelParams { session_id, queued_id, request_id: None };
    let reference = SessionRef { session_id, request_id: None };
    let refusals = [
        ("start", code(refused(viewer.start(hello(session_id)).await))),
        ("steer", code(refused(viewer.steer(steer).await))),
        ("enqueue", code(refused(viewer.enqueue(queued).await))),
        ("interrupt", code(refused(viewer.interrupt(interrupt.clone()).await))),
        ("session/update", code(refused(SessionClient::update(&viewer, update).await))),
        ("queue/update", code(refused(QueueClient::update(&viewer, change).await))),
        ("queue/cancel", code(refused(viewer.cancel(cancel).await))),
        ("archive", code(refused(viewer.archive(reference.clone()).await))),
        ("takeOver", code(refused(viewer.take_over(reference.clone()).await))),
    ];
    for (what, code) in refusals {
        assert_eq!(code, ErrorCode::Denied, "{what}");
    }
    let read = SessionReadParams { session_id, skip_turns: 0, limit: None };
    let shown = viewer.read(read).await.expect("read");
    assert_eq!((shown.queue.len(), shown.summary.title.as_deref()), (1, Some("hello")), "nothing changed");
    driver.interrupt(interrupt).await.expect("interrupt");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_took_over_is_alone_until_they_leave() {
    let daemon = daemon_with(SLOW).await;
    let (one, other) = (daemon.connect().await, daemon.connect().await);
    let session = daemon.create(&one).await;
    let reference = SessionRef { session_id: session.id, request_id: None };
    assert_eq!(refused(one.take_over(reference.clone()).await).code, ErrorCode::Conflict, "not attached");
    let ones = attach(&one, session.id, None).await;
    let mut others = attach(&other, session.id, None).await;
    one.take_over(reference.clone()).await.expect("take over");
    presence(&mut others, |presence| presence.sole_driver.is_some()).await;
    assert_eq!(refused(other.start(hello(session.id)).await).code, ErrorCode::Denied);
    assert_eq!(refused(other.take_over(reference.clone()).await).code, ErrorCode::Conflict);
    one.release(reference.clone()).await.expect("release");
    other.start(hello(session.id)).await.expect("turn");
    one.take_over(reference).await.expect("again");
    presence(&mut others, |presence| presence.sole_driver.is_some()).await;
    drop((ones, one));
    presence(&mut others, |presence| presence.sole_driver.is_none() && presence.attached.len() == 1).await;
    let steer = TurnSteerParams {
        session_id: session.id,
        input: text("so"),
        expected_turn_id: None,
        request_id: None,
    };
    other.steer(steer).await.expect("steer");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_everybodys() {
    let daemon = daemon_with(SLOW).await;
    let (one, other) = (daemon.connect().await, daemon.connect().await);
    let session_id = daemon.create(&one).await.id;
    one.start(hello(session_id)).await.expect("turn");
    let mut ids = Vec::new();
    for said in ["a", "b", "c"] {
        let params = TurnEnqueueParams { session_id, input: text(said), request_id: None };
        ids.push(one.enqueue(params).await.expect("queue").queued_id.expect("it waits"));
    }
    let update = |queued_id, input, position| QueueUpdateParams {
        session_id,
        queued_id,
        input,
        position,
        request_id: some_id(),
    };
    QueueClient::update(&other, update(ids[2], None, Some(0))).await.expect("move");
    QueueClient::update(&other, update(ids[0], Some(text("A")), None)).await.expect("edit");
    let cancel = QueueCancelParams { session_id, queued_id: ids[1], request_id: some_id() };
    other.cancel(cancel.clone()).await.expect("cancel");
    other.cancel(cancel).await.expect("sent again");
    let queue = QueueClient::list(&one, QueueListParams { session_id }).await.expect("list").queue;
    let queue: Vec<_> = queue.into_iter().map(|queued| (queued.id, queued.input)).collect();
    assert_eq!(queue, [(ids[2], text("c")), (ids[0], text("A"))]);
    let gone = [ids[1], QueuedId::generate()];
    for queued_id in gone {
        let refusal = QueueClient::update(&one, update(queued_id, None, Some(0))).await;
        assert_eq!(refused(refusal).code, ErrorCode::NotFound);
    }
}

/// A session whose commands must be allowed, with its turn begun and a feed.
async fn asking(daemon: &TestDaemon, client: &Client) -> (SessionId, Subscription<SessionFeed>) {
    let overrides =
        SettingsOverrides { approval: Some(ApprovalPolicy::Untrusted), ..SettingsOverrides::default() };
    let params = SessionCreateParams { overrides, ..daemon.new_session() };
    let session = client.create(params).await.expect("session").summary.id;
    let feed = attach(client, session, None).await;
    client.start(hello(session)).await.expect("turn");
    (session, feed)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_answers_one_counts_and_the_others_are_told_which() {
    let daemon = daemon_with(ASKING).await;
    let client = daemon.connect().await;
    let (session, mut feed) = asking(&daemon, &client).await;
    let first = question(&client, &mut feed).await;
    let clients = join_all((0..8).map(|_| daemon.connect())).await;
    let answers = clients.iter().zip(0..).map(|(client, number)| {
        let decision = match number % 2 {
            0 => Decision::Allow { scope: GrantScope::Once },
            _ => Decision::Deny { message: None },
        };
        client.answer(QuestionAnswerParams { decision, ..allow(&first, GrantScope::Once) })
    });
    let (won, lost): (Vec<_>, Vec<_>) = join_all(answers).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for late in lost {
        let error = refused(late);
        assert_eq!(error.code, ErrorCode::Conflict);
        assert!(
            matches!(error.detail.as_deref(), Some(ErrorDetail::AlreadyAnswered { .. })),
            "the decision comes with it: {error:?}"
        );
    }
    // One leave is for one call: the next command asks again, and the old question is no way to allow it.
    let second = loop {
        let open = question(&client, &mut feed).await;
        if open.question.id != first.question.id {
            break open;
        }
    };
    assert_eq!(refused(client.answer(allow(&first, GrantScope::Session)).await).code, ErrorCode::Conflict);
    let interrupt = TurnInterruptParams {
        session_id: session,
        expected_turn_id: None,
        reason: InterruptReason::Requested,
        request_id: None,
    };
    client.interrupt(interrupt).await.expect("interrupt");
    let stale = refused(client.answer(allow(&second, GrantScope::Once)).await);
    assert!(matches!(stale.code, ErrorCode::NotFound | ErrorCode::Conflict), "{stale:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_answer_at_once_make_one_execution() {
    const RACES: usize = 1000;
    let mut script: String = (0..RACES)
        .map(|race| {
            format!(
                "[[step]]\n[[step.call]]\ntool = \"shell\"\narguments = {{ command = [\"touch\", \"{race}\"] }}\n"
            )
        })
        .collect();
    script.push_str("[[step]]\nsay = \"Done\"\n");
    let daemon = daemon_with(&script).await;
    let (one, other) = (daemon.connect().await, daemon.connect().await);
    let (_, mut feed) = asking(&daemon, &one).await;
    // Who does not read is cut off, so somebody reads all the time.
    let (tell, mut told) = watch::channel(());
    let reading = tokio::spawn(async move {
        while let Some(Ok(_)) = feed.next().await {
            tell.send_replace(());
        }
    });
    let mut allowed = 0;
    let mut last = None;
    for _ in 0..RACES {
        let open = loop {
            told.borrow_and_update();
            let open = QuestionClient::list(&one, QuestionListParams::default()).await.expect("questions");
            match open.questions.into_iter().find(|open| Some(open.question.id) != last) {
                Some(open) => break open,
                None => told.changed().await.expect("the feed goes on"),
            }
        };
        last = Some(open.question.id);
        let yes = allow(&open, GrantScope::Once);
        let no = QuestionAnswerParams { decision: Decision::Deny { message: None }, ..yes.clone() };
        let (yes, no) = tokio::join!(one.answer(yes), other.answer(no));
        assert_ne!(yes.is_ok(), no.is_ok(), "one wins");
        allowed += usize::from(yes.is_ok());
    }
    reading.abort();
    let mut feed = attach(&one, sole_session(&one).await, Some(Seq::ZERO)).await;
    let events = events_of_turn(&mut feed).await;
    let statuses = events.iter().filter_map(|record| match &record.event {
        Event::ItemCompleted(change) if matches!(change.item.body, ItemBody::Command(_)) => {
            Some(change.item.status != ItemStatus::Declined)
        }
        _ => None,
    });
    let (ran, declined): (Vec<_>, Vec<_>) = statuses.partition(|ran| *ran);
    assert_eq!((ran.len(), declined.len()), (allowed, RACES - allowed));
}

async fn sole_session(client: &Client) -> SessionId {
    SessionClient::list(client, SessionListParams::default()).await.expect("list").sessions[0].id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_settings_is_one_sessions_and_everybody_sees_it() {
    let daemon = TestDaemon::start().await;
    let (client, watcher) = (daemon.connect().await, daemon.connect().await);
    let (session, other) = (daemon.create(&client).await, daemon.create(&client).await);
    let mut feed = attach(&watcher, session.id, Some(session.seq)).await;
    let overrides =
        SettingsOverrides { sandbox: Some(SandboxMode::ReadOnly), ..SettingsOverrides::default() };
    let params = SessionUpdateParams {
        session_id: session.id,
        title: None,
        overrides,
        unarchive: false,
        request_id: some_id(),
    };
    SessionClient::update(&client, params).await.expect("update");
    let seen = loop {
        let Some(Ok(SessionFeed::Batch(batch))) = feed.next().await else { panic!("the feed ended") };
        let update = batch.entries.into_iter().find_map(|entry| match entry {
            FeedEntry::Event(EventRecord { event: Event::SessionUpdated(update), .. }) => Some(update),
            _ => None,
        });
        if let Some(update) = update {
            break update;
        }
    };
    assert_eq!(seen.settings.sandbox, SandboxMode::ReadOnly);
    let config = fs::read_to_string(daemon.daemon.folders.config_file()).expect("config");
    let daemon = daemon.restart(false, &config).await;
    let client = daemon.connect().await;
    let sandbox = async |session_id| {
        let read = SessionReadParams { session_id, skip_turns: 0, limit: None };
        let before = client.read(read.clone()).await.expect("read").summary.settings.sandbox;
        let _feed = attach(&client, session_id, None).await;
        client.start(hello(session_id)).await.expect("turn");
        (before, client.read(read).await.expect("read").summary.settings.sandbox)
    };
    let read_only = (SandboxMode::ReadOnly, SandboxMode::ReadOnly);
    assert_eq!(sandbox(session.id).await, read_only, "neither a restart nor attaching widens it");
    assert_eq!(sandbox(other.id).await.0, SandboxMode::WorkspaceWrite);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_at_once_is_seen_to_leave() {
    let daemon = daemon_with(SLOW).await;
    let (one, other) = (daemon.connect().await, daemon.connect().await);
    let session = daemon.create(&one).await;
    let mut feed = attach(&one, session.id, None).await;
    for _ in 0..200 {
        drop(attach(&other, session.id, Some(session.seq)).await);
    }
    // What is told after the viewer was there is told after all of them.
    let watching = SessionAttachParams { role: ClientRole::Viewer, ..follow(session.id) };
    let watching = other.attach(watching).await.expect("attach");
    let is_there = |presence: &Presence| presence.attached.iter().any(|one| one.role == ClientRole::Viewer);
    presence(&mut feed, is_there).await;
    drop(watching);
    presence(&mut feed, |presence| presence.attached.len() == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_see_who_looks_until_they_look_away_or_leave() {
    let daemon = daemon_with(SLOW).await;
    let client = daemon.connect().await;
    let session = daemon.create(&client).await;
    let focus = |is_focused| protocol::session::SessionFocusParams { session_id: session.id, is_focused };
    let error = SessionClient::focus(&client, focus(true)).await.expect_err("it does not follow");
    assert!(error.to_string().contains("does not follow"), "{error}");
    let attach = |role| SessionAttachParams { session_id: session.id, since: None, can_answer: false, role };
    let mut feed = client.attach(attach(ClientRole::Driver)).await.expect("feed");
    let other = daemon.connect().await;
    let looking_on = other.attach(attach(ClientRole::Viewer)).await.expect("feed");
    let looks = |presence: &Presence| presence.attached.iter().filter(|one| one.is_focused).count();
    let handle = daemon.daemon.session(session.id).await.expect("session");
    assert!(!handle.is_focused().await.expect("told"));
    SessionClient::focus(&other, focus(true)).await.expect("a viewer looks too");
    presence(&mut feed, |presence| looks(presence) == 1).await;
    assert!(handle.is_focused().await.expect("told"));
    SessionClient::focus(&other, focus(false)).await.expect("looks away");
    presence(&mut feed, |presence| looks(presence) == 0).await;
    SessionClient::focus(&other, focus(true)).await.expect("looks again");
    drop(looking_on);
    presence(&mut feed, |presence| presence.attached.len() == 1).await;
    assert!(!handle.is_focused().await.expect("told"));
}

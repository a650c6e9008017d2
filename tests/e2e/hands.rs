//! Several hands on one session, over the protocol itself: who may write, what each sees of the others, and that
//! nothing which is asked twice is done twice (threats C1 to C4).

use jsonrpsee::core::client::Error as RpcError;
use protocol::api::question::QuestionClient;
use protocol::api::queue::QueueClient;
use protocol::api::session::SessionClient;
use protocol::api::turn::TurnClient;
use protocol::error::{ErrorCode, ErrorDetail, ProtocolError};
use protocol::event::Event;
use protocol::ids::{QuestionId, QueuedId, RequestId, Seq, SessionId};
use protocol::item::ItemStatus;
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::question::{Answer, Decision, GrantScope, QuestionAnswerParams};
use protocol::queue::{QueueCancelParams, QueueListParams, QueueUpdateParams};
use protocol::session::{
    ClientRole, SessionCreateParams, SessionRef, SessionUpdateParams, SettingsOverrides,
};
use protocol::turn::{InterruptReason, TurnEnqueueParams, TurnInterruptParams, TurnSteerParams};
use skein_tests::rpc::{Follower, Seen, TestClient, said, start_params};
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{
    SOON, asking_session, client, escalates, kill_daemon, scene, until_go, up, wait_for_file,
};

/// What the daemon said to a call that it must refuse.
fn refusal<T: std::fmt::Debug>(result: Result<T, RpcError>) -> ProtocolError {
    match result {
        Err(RpcError::Call(object)) => ProtocolError::from(object),
        result => panic!("not refused: {result:?}"),
    }
}

fn enqueue(session_id: SessionId, text: &str) -> TurnEnqueueParams {
    TurnEnqueueParams { session_id, input: said(text), request_id: None }
}

fn interrupt(session_id: SessionId) -> TurnInterruptParams {
    let reason = InterruptReason::Requested;
    TurnInterruptParams { session_id, expected_turn_id: None, reason, request_id: None }
}

fn steer(session_id: SessionId, text: &str) -> TurnSteerParams {
    TurnSteerParams { session_id, input: said(text), expected_turn_id: None, request_id: None }
}

fn answer(question_id: QuestionId, decision: Decision) -> QuestionAnswerParams {
    QuestionAnswerParams { question_id, decision, request_id: None }
}

fn yes(scope: GrantScope) -> Decision {
    Decision::Allow { scope }
}

/// The questions that were asked so far, oldest first.
fn asked(seen: &Seen) -> Vec<QuestionId> {
    let id = |event: &Event| match event {
        Event::QuestionAsked(asked) => Some(asked.question.id),
        _ => None,
    };
    seen.events().filter_map(id).collect()
}

/// The answers that were given so far, oldest first.
fn answered(seen: &Seen) -> Vec<(QuestionId, Answer)> {
    let pair = |event: &Event| match event {
        Event::QuestionAnswered(answered) => Some((answered.question_id, answered.answer.clone())),
        _ => None,
    };
    seen.events().filter_map(pair).collect()
}

async fn question_number(follower: &mut Follower, number: usize) -> QuestionId {
    follower.until(SOON, |seen| asked(seen).len() > number).await.unwrap();
    asked(follower.seen())[number]
}

/// The names of those who are there.
fn names(follower: &Follower) -> Vec<&str> {
    let attached = &follower.seen().presence.as_ref().unwrap().attached;
    attached.iter().map(|attachment| attachment.actor.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_sees_all_and_may_do_nothing() {
    let (model, env) = scene([escalates(&["touch", "made"]), Reply::text("Done.")]);
    up(&env);
    let (driver, viewer) = (client(&env, "driver").await, client(&env, "viewer").await);
    let session = asking_session(&driver, &env).await;
    let mut follower = driver.follow(session).await.unwrap();
    driver.start(session, "go").await.unwrap();
    let question = question_number(&mut follower, 0).await;
    let queued = TurnClient::enqueue(driver.rpc(), enqueue(session, "later")).await.unwrap();
    let queued_id = queued.queued_id.unwrap();
    let mut watching = viewer.watch(session, ClientRole::Viewer).await.unwrap();
    watching.until(SOON, |seen| seen.snapshot.is_some()).await.unwrap();
    let before = driver.read(session).await.unwrap();
    let rpc = viewer.rpc();
    let reference = SessionRef { session_id: session, request_id: None };
    let update = SessionUpdateParams {
        session_id: session,
        title: Some("mine".to_owned()),
        overrides: SettingsOverrides::default(),
        unarchive: false,
        request_id: None,
    };
    let change = QueueUpdateParams {
        session_id: session,
        queued_id,
        input: None,
        position: Some(0),
        request_id: None,
    };
    let cancel = QueueCancelParams { session_id: session, queued_id, request_id: None };
    let refusals = [
        ("turn/start", refusal(TurnClient::start(rpc, start_params(session, "me too")).await)),
        ("turn/steer", refusal(TurnClient::steer(rpc, steer(session, "me too")).await)),
        ("turn/enqueue", refusal(TurnClient::enqueue(rpc, enqueue(session, "me too")).await)),
        ("turn/interrupt", refusal(TurnClient::interrupt(rpc, interrupt(session)).await)),
        ("question/answer", refusal(rpc.answer(answer(question, yes(GrantScope::Once))).await)),
        ("queue/update", refusal(QueueClient::update(rpc, change).await)),
        ("queue/cancel", refusal(QueueClient::cancel(rpc, cancel).await)),
        ("session/update", refusal(SessionClient::update(rpc, update).await)),
        ("session/takeOver", refusal(rpc.take_over(reference.clone()).await)),
        ("session/archive", refusal(rpc.archive(reference.clone()).await)),
        ("session/delete", refusal(SessionClient::delete(rpc, reference).await)),
    ];
    for (method, error) in refusals {
        assert_eq!(error.code, ErrorCode::Denied, "{method}: {error:?}");
    }
    let after = driver.read(session).await.unwrap();
    assert_eq!((after.summary, after.turns, after.queue), (before.summary, before.turns, before.queue));
    // What the driver does is seen.
    QueueClient::cancel(driver.rpc(), QueueCancelParams { session_id: session, queued_id, request_id: None })
        .await
        .unwrap();
    driver.rpc().answer(answer(question, yes(GrantScope::Once))).await.unwrap();
    watching.until_turn_ends(SOON).await.unwrap();
    assert_eq!(names(&watching), ["driver", "viewer"]);
    assert!(env.repository().join("made").exists());
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_client_can_be_the_only_driver_until_it_leaves() {
    let (_model, env) = scene([until_go(), Reply::text("Done.")]);
    up(&env);
    let (one, other) = (client(&env, "one").await, client(&env, "other").await);
    let session = one.create(&env).await.unwrap();
    let reference = || SessionRef { session_id: session, request_id: None };
    let error = refusal(one.rpc().take_over(reference()).await);
    assert_eq!(error.code, ErrorCode::Conflict, "it does not follow: {error:?}");
    let followed = one.follow(session).await.unwrap();
    let mut watching = other.watch(session, ClientRole::Driver).await.unwrap();
    one.rpc().take_over(reference()).await.unwrap();
    let sole = |seen: &Seen| seen.presence.as_ref().and_then(|presence| presence.sole_driver);
    watching.until(SOON, |seen| sole(seen) == Some(one.welcome().client_id)).await.unwrap();
    let error = refusal(TurnClient::start(other.rpc(), start_params(session, "me")).await);
    assert!(error.code == ErrorCode::Denied && error.message.contains("`one`"), "{error:?}");
    let error = refusal(other.rpc().take_over(reference()).await);
    assert!(error.code == ErrorCode::Conflict && error.message.contains("`one`"), "{error:?}");
    one.start(session, "go").await.unwrap();
    wait_for_file(&env, "started");
    let stopped = TurnClient::interrupt(other.rpc(), interrupt(session)).await.unwrap();
    assert!(stopped.turn_id.is_some(), "everybody may stop it");
    drop((followed, one));
    watching.until(SOON, |seen| sole(seen).is_none()).await.unwrap();
    assert_eq!(names(&watching), ["other"]);
    other.start(session, "me now").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_and_goes_is_seen_by_the_others() {
    let (_model, env) = scene([Reply::text("Done.")]);
    up(&env);
    let one = client(&env, "one").await;
    let session = one.create(&env).await.unwrap();
    let mut watching = one.watch(session, ClientRole::Driver).await.unwrap();
    watching.until(SOON, |seen| seen.presence.is_some()).await.unwrap();
    assert_eq!(names(&watching), ["one"]);
    let other = client(&env, "other").await;
    let followed = other.watch(session, ClientRole::Viewer).await.unwrap();
    let count = |seen: &Seen| seen.presence.as_ref().map_or(0, |presence| presence.attached.len());
    watching.until(SOON, |seen| count(seen) == 2).await.unwrap();
    let newest = watching.seen().presence.as_ref().unwrap().attached[1].clone();
    assert_eq!((newest.actor.client_id, newest.role), (other.welcome().client_id, ClientRole::Viewer));
    assert_eq!(newest.version, "0.0.0");
    drop(followed);
    watching.until(SOON, |seen| count(seen) == 1).await.unwrap();
    // One that comes back to where it was is told who is there, too.
    let seen = other.follow(session).await.unwrap().into_seen();
    drop(other);
    let third = client(&env, "third").await;
    let mut back = third.follow_on(session, seen).await.unwrap();
    // The one that left may be there for a moment still.
    back.until(SOON, |seen| count(seen) == 2).await.unwrap();
    assert_eq!(names(&back), ["one", "third"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_is_everybodys() {
    let (model, env) = scene(
        std::iter::once(until_go()).chain(["One.", "Two.", "Three."].map(Reply::text)).collect::<Vec<_>>(),
    );
    up(&env);
    let (one, other) = (client(&env, "one").await, client(&env, "other").await);
    let session = one.create(&env).await.unwrap();
    let mut follower = one.follow(session).await.unwrap();
    one.start(session, "begin").await.unwrap();
    let mut ids: Vec<QueuedId> = Vec::new();
    for text in ["first", "second", "third"] {
        let queued = TurnClient::enqueue(one.rpc(), enqueue(session, text)).await.unwrap();
        assert_eq!((queued.position as usize, queued.turn_id), (ids.len() + 1, None));
        ids.push(queued.queued_id.unwrap());
    }
    let listed = QueueClient::list(other.rpc(), QueueListParams { session_id: session }).await.unwrap().queue;
    assert_eq!(listed.iter().map(|queued| queued.id).collect::<Vec<_>>(), ids);
    assert!(listed.iter().all(|queued| queued.actor.name == "one"));
    let change = |queued_id, text: Option<&str>, position| QueueUpdateParams {
        session_id: session,
        queued_id,
        input: text.map(said),
        position,
        request_id: None,
    };
    QueueClient::update(other.rpc(), change(ids[2], None, Some(0))).await.unwrap();
    QueueClient::update(other.rpc(), change(ids[0], Some("first, mended"), None)).await.unwrap();
    let cancel = |queued_id| QueueCancelParams { session_id: session, queued_id, request_id: None };
    QueueClient::cancel(other.rpc(), cancel(ids[1])).await.unwrap();
    let error = refusal(QueueClient::cancel(one.rpc(), cancel(ids[1])).await);
    assert_eq!(error.code, ErrorCode::NotFound, "{error:?}");
    let by_other = |event: &Event| match event {
        Event::QueuedInputChanged(changed) => changed.actor.name == "other",
        Event::QueuedInputCancelled(cancelled) => cancelled.actor.name == "other",
        _ => false,
    };
    follower.until(SOON, |seen| seen.events().filter(|event| by_other(event)).count() == 3).await.unwrap();
    env.write_file("go", "").unwrap();
    follower.until(SOON, |seen| seen.turns_ended() == 3).await.unwrap();
    let said: Vec<_> = model.requests()[1..]
        .iter()
        .map(|request| request.user_texts().last().copied().unwrap().to_owned())
        .collect();
    assert_eq!(said, ["begin", "third", "first, mended"]);
    assert_eq!(model.requests().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_answers_at_once_one_wins_and_the_other_is_told() {
    const ROUNDS: usize = 25;
    let asks = |round: usize| escalates(&["sh", "-c", &format!("echo {round} >> runs")]);
    let (model, env) = scene((0..ROUNDS).map(asks).chain([Reply::text("Done.")]));
    up(&env);
    let both = [client(&env, "one").await, client(&env, "other").await];
    let session = asking_session(&both[0], &env).await;
    let mut followers =
        [both[0].follow(session).await.unwrap(), both[1].watch(session, ClientRole::Driver).await.unwrap()];
    both[0].start(session, "go").await.unwrap();
    for round in 0..ROUNDS {
        let question = question_number(&mut followers[0], round).await;
        // They want different things, so that it shows who won.
        let wishes = [yes(GrantScope::Once), Decision::Deny { message: None }];
        let [one, other] = [0, 1].map(|at| both[at].rpc().answer(answer(question, wishes[at].clone())));
        let results = if round % 2 == 0 {
            tokio::join!(one, other)
        } else {
            let (other, one) = tokio::join!(other, one);
            (one, other)
        };
        let (winner, late) = match results {
            (Ok(_), late) => (0, refusal(late)),
            (late, Ok(_)) => (1, refusal(late)),
            both => panic!("nobody won: {both:?}"),
        };
        assert_eq!(late.code, ErrorCode::Conflict, "{late:?}");
        let detail = late.detail.as_deref();
        let Some(ErrorDetail::AlreadyAnswered { question_id, answer }) = detail else { panic!("{late:?}") };
        assert_eq!((*question_id, &answer.decision), (question, &wishes[winner]));
        assert_eq!(answer.actor.client_id, both[winner].welcome().client_id);
    }
    for follower in &mut followers {
        follower.until_turn_ends(SOON).await.unwrap();
    }
    let seen = answered(followers[0].seen());
    assert_eq!(seen, answered(followers[1].seen()));
    let allowed = seen.iter().enumerate().filter(|(_, (_, answer))| answer.decision == yes(GrantScope::Once));
    let expected: String = allowed.map(|(round, _)| format!("{round}\n")).collect();
    let ran = env.read_file("runs").unwrap_or_default();
    assert_eq!((seen.len(), ran), (ROUNDS, expected), "each that was allowed ran once, no other did");
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_good_for_its_question_only() {
    let (model, env) =
        scene([escalates(&["touch", "made"]), escalates(&["touch", "made"]), Reply::text("No.")]);
    up(&env);
    let client = client(&env, "one").await;
    let session = asking_session(&client, &env).await;
    let mut follower = client.follow(session).await.unwrap();
    client.start(session, "go").await.unwrap();
    let first = question_number(&mut follower, 0).await;
    TurnClient::interrupt(client.rpc(), interrupt(session)).await.unwrap();
    let error = refusal(client.rpc().answer(answer(first, yes(GrantScope::Always))).await);
    assert!(matches!(error.code, ErrorCode::NotFound | ErrorCode::Conflict), "it was withdrawn: {error:?}");
    // The same call of the next turn is another question.
    client.start(session, "again").await.unwrap();
    let second = question_number(&mut follower, 1).await;
    let error = refusal(client.rpc().answer(answer(first, yes(GrantScope::Once))).await);
    assert!(matches!(error.code, ErrorCode::NotFound | ErrorCode::Conflict), "{error:?}");
    client.rpc().answer(answer(second, Decision::Deny { message: None })).await.unwrap();
    follower.until(SOON, |seen| seen.turns_ended() == 2).await.unwrap();
    assert!(!env.repository().join("made").exists());
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_allowed_for_good_is_not_asked_again() {
    let made = |name: &str| escalates(&["touch", name]);
    let (model, env) = scene([
        made("made"),
        Reply::text("One."),
        made("made"),
        Reply::text("Two."),
        made("made"),
        Reply::text("Three."),
        made("another"),
    ]);
    up(&env);
    let one = client(&env, "one").await;
    let session = asking_session(&one, &env).await;
    let mut follower = one.follow(session).await.unwrap();
    one.start(session, "go").await.unwrap();
    let question = question_number(&mut follower, 0).await;
    let output = env.run(["questions", "answer", &question.to_string(), "always"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    follower.until_turn_ends(SOON).await.unwrap();
    // In another session, and after a restart.
    for is_restarted in [false, true] {
        if is_restarted {
            kill_daemon(&env);
            up(&env);
        }
        std::fs::remove_file(env.repository().join("made")).unwrap();
        let next = client(&env, "next").await;
        let session = asking_session(&next, &env).await;
        let mut follower = next.follow(session).await.unwrap();
        next.start(session, "go").await.unwrap();
        follower.until(SOON, |seen| seen.turns_ended() == 1 || !asked(seen).is_empty()).await.unwrap();
        assert_eq!(asked(follower.seen()), [], "restarted: {is_restarted}");
        assert!(env.repository().join("made").exists());
    }
    // Something else is.
    let last = client(&env, "last").await;
    let session = asking_session(&last, &env).await;
    let mut follower = last.follow(session).await.unwrap();
    last.start(session, "go").await.unwrap();
    question_number(&mut follower, 0).await;
    assert!(!env.repository().join("another").exists());
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_sent_again_is_done_once() {
    let (model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    up(&env);
    let session = SessionId::generate();
    let create = || SessionCreateParams {
        session_id: Some(session),
        cwd: env.repository(),
        ..SessionCreateParams::default()
    };
    let start = start_params(session, "go");
    let enqueue = TurnEnqueueParams { request_id: Some(RequestId::generate()), ..enqueue(session, "more") };
    let (mut starts, mut queued) = (Vec::new(), Vec::new());
    for is_restarted in [false, false, true] {
        if is_restarted {
            kill_daemon(&env);
            up(&env);
        }
        // A connection of its own, as after one that was lost.
        let client = client(&env, "client").await;
        assert_eq!(client.create_with(create()).await.unwrap(), session);
        let mut follower = client.follow(session).await.unwrap();
        starts.push(TurnClient::start(client.rpc(), start.clone()).await.unwrap());
        follower.until(SOON, |seen| seen.turns_ended() > 0).await.unwrap();
        queued.push(TurnClient::enqueue(client.rpc(), enqueue.clone()).await.unwrap());
        follower.until(SOON, |seen| seen.turns_ended() == 2).await.unwrap();
    }
    assert!(starts.iter().all(|start| *start == starts[0]), "{starts:?}");
    assert!(queued.iter().all(|answer| answer.queued_id == queued[0].queued_id), "{queued:?}");
    let client = client(&env, "late").await;
    let snapshot = client.read(session).await.unwrap();
    assert_eq!((snapshot.turns.len(), model.requests().len()), (2, 2));
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_picture_is_refused_with_who_runs_what() {
    let (_model, env) = scene([until_go(), Reply::text("Done.")]);
    up(&env);
    let (one, other) = (client(&env, "one").await, client(&env, "other").await);
    let session = one.create(&env).await.unwrap();
    let old = protocol::turn::TurnStartParams { expected_seq: Some(Seq(7)), ..start_params(session, "go") };
    assert_eq!(refusal(TurnClient::start(one.rpc(), old).await).code, ErrorCode::Conflict);
    let started = one.start(session, "go").await.unwrap();
    let error = refusal(TurnClient::start(other.rpc(), start_params(session, "me")).await);
    let detail = error.detail.as_deref();
    let Some(ErrorDetail::TurnRunning { turn_id, started_by, .. }) = detail else { panic!("{error:?}") };
    assert_eq!((error.code, *turn_id, started_by.as_str()), (ErrorCode::Conflict, started.turn_id, "one"));
    let expected_turn_id = Some(protocol::ids::TurnId::generate());
    let wrong = TurnSteerParams { expected_turn_id, ..steer(session, "me") };
    assert_eq!(refusal(TurnClient::steer(other.rpc(), wrong).await).code, ErrorCode::Conflict);
    let wrong = TurnInterruptParams { expected_turn_id, ..interrupt(session) };
    assert_eq!(refusal(TurnClient::interrupt(other.rpc(), wrong).await).code, ErrorCode::Conflict);
    env.write_file("go", "").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_policy_is_seen_by_all_and_holds_in_its_session_only() {
    let (_model, env) = scene([Reply::text("Done.")]);
    up(&env);
    let (one, other) = (client(&env, "one").await, client(&env, "other").await);
    let (session, bystander) = (one.create(&env).await.unwrap(), one.create(&env).await.unwrap());
    let mut follower = other.follow(session).await.unwrap();
    let before = other.read(bystander).await.unwrap().summary.settings;
    let overrides = SettingsOverrides {
        sandbox: Some(SandboxMode::ReadOnly),
        approval: Some(ApprovalPolicy::Never),
        ..SettingsOverrides::default()
    };
    let update = SessionUpdateParams {
        session_id: session,
        title: None,
        overrides,
        unarchive: false,
        request_id: None,
    };
    SessionClient::update(one.rpc(), update).await.unwrap();
    let policy = |seen: &Seen| {
        let settings = seen.events().find_map(|event| match event {
            Event::SessionUpdated(updated) => Some((updated.actor.name.clone(), updated.settings.clone())),
            _ => None,
        });
        settings.map(|(name, settings)| (name, settings.sandbox, settings.approval))
    };
    follower.until(SOON, |seen| policy(seen).is_some()).await.unwrap();
    let expected = ("one".to_owned(), SandboxMode::ReadOnly, ApprovalPolicy::Never);
    assert_eq!(policy(follower.seen()), Some(expected));
    assert_eq!(other.read(bystander).await.unwrap().summary.settings, before);
    // Nothing widens it again: not a restart, not attaching.
    kill_daemon(&env);
    up(&env);
    let late = client(&env, "late").await;
    let settings = late.read(session).await.unwrap().summary.settings;
    assert_eq!((settings.sandbox, settings.approval), (SandboxMode::ReadOnly, ApprovalPolicy::Never));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_said_into_a_turn_is_seen_at_once_by_all() {
    let (model, env) = scene([until_go(), Reply::text("Blue it is.")]);
    up(&env);
    let (one, other) = (client(&env, "one").await, client(&env, "other").await);
    let session = one.create(&env).await.unwrap();
    let mut follower = one.follow(session).await.unwrap();
    one.start(session, "go").await.unwrap();
    wait_for_file(&env, "started");
    let steered = TurnClient::steer(other.rpc(), steer(session, "make it blue")).await.unwrap();
    // Before the model is asked again.
    follower.until(SOON, |seen| seen.completed().any(|item| item.id == steered.item_id)).await.unwrap();
    assert_eq!(model.requests().len(), 1);
    env.write_file("go", "").unwrap();
    follower.until_turn_ends(SOON).await.unwrap();
    assert_eq!(model.requests()[1].user_texts().last(), Some(&"make it blue"));
    let command = follower.seen().completed().find(|item| item.body.call().is_some()).unwrap();
    assert_eq!(command.status, ItemStatus::Completed);
    assert_eq!(TestClient::connect(&env, "late").await.unwrap().read(session).await.unwrap().turns.len(), 1);
}

//! The daemon is killed at every point of a turn: what was acknowledged is there, nothing that was done is done
//! again, no process is left, and each turn goes on or waits, as its session says (threat C5).

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use protocol::api::question::QuestionClient;
use protocol::event::Event;
use protocol::ids::{QuestionId, Seq, SessionId};
use protocol::item::{Item, ItemBody, ItemStatus};
use protocol::profile::ApprovalPolicy;
use protocol::question::{Decision, GrantScope, QuestionAnswerParams};
use protocol::session::{SessionCreateParams, SettingsOverrides};
use protocol::turn::{InterruptReason, TurnOutcome};
use serde_json::json;
use session::state::SessionState;
use skein_tests::environment::leftover::{Leftover, children_of};
use skein_tests::rpc::{Follower, Seen, TestClient};
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::scripted_model::request::Request;
use skein_tests::scripted_model::server::Options;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{
    GONE, SOON, client, expect_none_left, good_turn, kill_daemon, left, runs, scene, script, seen,
    state_folder, up, wait_for_file, wait_for_programs,
};

/// Adds a line that names the session and the call to the file `effects`, and takes a while around it.
fn effect(run: &str, call: &str) -> serde_json::Value {
    json!({"command": format!("sleep 0.003; echo {run} {call} >> effects; sleep 0.003")})
}

/// What the model does in a turn that begins with `run NAME`: it looks, runs something, changes a file, asks for
/// leave, runs two things after one another, and has a last word. Where it is shows in how many calls it made.
fn next_step(request: &Request) -> Reply {
    let texts = request.user_texts();
    let run = texts.iter().find_map(|text| text.strip_prefix("run ")).unwrap_or("unknown");
    let outputs = ["function_call_output", "custom_tool_call_output"];
    let made: usize = outputs.iter().map(|kind| request.input_of(kind).count()).sum();
    let answer = Answer::new();
    match made {
        0 => answer.text("Let me look around here.").in_pieces(4).call("shell", &effect(run, "first")),
        1 => {
            let patch = format!(
                "*** Begin Patch\n*** Update File: {run}.txt\n@@\n-old beginning\n+new beginning\n context\n-old \
                 end\n+new end\n*** End Patch\n"
            );
            answer.freeform("apply_patch", patch)
        }
        2 => {
            let mut leave = effect(run, "outside");
            leave["escalate"] = json!(true);
            leave["justification"] = json!("It must be done there.");
            answer.call("shell", &leave)
        }
        3 => answer.call("shell", &effect(run, "second")).call("shell", &effect(run, "third")),
        _ => answer.text("That was all of it, I think.").in_pieces(4),
    }
    .pause(Duration::from_millis(1))
    .into()
}

const OLD: &str = "old beginning\ncontext\nold end\n";
const NEW: &str = "new beginning\ncontext\nnew end\n";

/// Whether a turn goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Attended,
    Detached,
}

/// When the daemon is killed: so long after so many notifications.
#[derive(Clone, Copy, Debug)]
struct Point {
    after: usize,
    delay: Duration,
    kind: Kind,
}

fn open_question(seen: &Seen) -> Option<QuestionId> {
    let mut open = None;
    for event in seen.events() {
        match event {
            Event::QuestionAsked(asked) => open = Some(asked.question.id),
            Event::QuestionAnswered(_) | Event::QuestionWithdrawn(_) => open = None,
            _ => {}
        }
    }
    open
}

async fn say_yes(client: &TestClient, question_id: QuestionId) -> bool {
    let decision = Decision::Allow { scope: GrantScope::Once };
    client.rpc().answer(QuestionAnswerParams { question_id, decision, request_id: None }).await.is_ok()
}

/// Follows a turn to its end and says yes to what it asks.
async fn accompany(client: &TestClient, follower: &mut Follower) {
    loop {
        follower.until(SOON, |seen| seen.turns_ended() > 0 || open_question(seen).is_some()).await.unwrap();
        let Some(question) = open_question(follower.seen()).filter(|_| follower.seen().turns_ended() == 0)
        else {
            return;
        };
        assert!(say_yes(client, question).await);
        follower.until(SOON, |seen| open_question(seen) != Some(question)).await.unwrap();
    }
}

/// A home in which daemons die.
struct Killing {
    model: ScriptedModel,
    env: TestEnv,
    runs: usize,
}

/// A turn that has begun.
struct Begun {
    run: String,
    client: TestClient,
    session: SessionId,
    follower: Follower,
    started: Seq,
}

/// Takes so many notifications, or those to the end of the turn, and says yes to what is asked. Returns how many it
/// took.
async fn follow(client: &TestClient, follower: &mut Follower, most: usize) -> usize {
    let mut taken = 0;
    while taken < most && follower.seen().turns_ended() == 0 {
        tokio::time::timeout(SOON, follower.next()).await.unwrap().unwrap();
        taken += 1;
        if let Some(question) = open_question(follower.seen()) {
            say_yes(client, question).await;
        }
    }
    taken
}

impl Killing {
    fn new() -> Self {
        let model = ScriptedModel::answering(Options::default(), next_step).unwrap();
        let env = TestEnv::new(&model).unwrap();
        Self { model, env, runs: 0 }
    }

    /// How many notifications a whole turn has.
    async fn notifications(&mut self) -> usize {
        let before = self.begin(Kind::Attended).await;
        let mut follower = before.follower;
        follow(&before.client, &mut follower, usize::MAX).await
    }

    /// A daemon, a client of it, and a turn that has begun.
    async fn begin(&mut self, kind: Kind) -> Begun {
        let run = format!("run{}", self.runs);
        self.runs += 1;
        let env = &self.env;
        env.write_file(format!("{run}.txt"), OLD).unwrap();
        up(env);
        let client = client(env, "before").await;
        let overrides =
            SettingsOverrides { approval: Some(ApprovalPolicy::OnRequest), ..SettingsOverrides::default() };
        let params = SessionCreateParams {
            cwd: env.repository(),
            overrides,
            is_detached: kind == Kind::Detached,
            ..SessionCreateParams::default()
        };
        let session = client.create_with(params).await.unwrap();
        let follower = client.follow(session).await.unwrap();
        let started = client.start(session, &format!("run {run}")).await.unwrap().seq;
        Begun { run, client, session, follower, started }
    }

    async fn kill_at(&mut self, point: Point) {
        let Begun { run, client: before, session, mut follower, started } = self.begin(point.kind).await;
        let env = &self.env;
        follow(&before, &mut follower, point.after).await;
        // Whether more comes in this time or not: it is killed then.
        let _ = tokio::time::timeout(point.delay, follow(&before, &mut follower, usize::MAX)).await;
        kill_daemon(env);
        // What has come over the socket before is acknowledged, too.
        while let Ok(Ok(())) = tokio::time::timeout(SOON, follower.next()).await {}
        let acknowledged = follower.into_seen();
        for process in env.processes() {
            assert!(process.wait(GONE), "{point:?} leaves {process:?}");
        }
        up(env);
        let after = client(env, "after").await;
        let mut follower = after.follow(session).await.unwrap();
        follower.until(SOON, |seen| seen.last() >= acknowledged.last()).await.unwrap();
        let there = &follower.seen().records[..acknowledged.records.len()];
        assert!(there == acknowledged.records, "{point:?}: an acknowledged event is lost");
        assert!(started <= follower.seen().last(), "{point:?}");
        accompany(&after, &mut follower).await;
        self.check(point, session, &run, follower.seen());
    }

    /// What must be so in the end.
    fn check(&self, point: Point, session: SessionId, run: &str, seen: &Seen) {
        let state = SessionState::fold(session, &seen.records).unwrap();
        assert!(state.running.is_none(), "{point:?}");
        let outcome = state.turns[0].outcome.clone().unwrap();
        let by_crash = TurnOutcome::Interrupted { reason: InterruptReason::DaemonStopped, actor: None };
        match point.kind {
            Kind::Detached => assert_eq!(outcome, TurnOutcome::Completed, "{point:?}"),
            Kind::Attended => {
                assert!(outcome == TurnOutcome::Completed || outcome == by_crash, "{point:?}: {outcome:?}")
            }
        }
        let effects = self.env.read_file("effects").unwrap_or_default();
        let mut times = BTreeMap::<&str, usize>::new();
        for line in effects.lines() {
            if let Some((name, call)) = line.split_once(' ')
                && name == run
            {
                *times.entry(call).or_default() += 1;
            }
        }
        let items: Vec<&Item> =
            state.turns[0].items.iter().filter(|item| item.status == ItemStatus::Completed).collect();
        for (call, times) in &times {
            assert_eq!(*times, 1, "{point:?}: `{call}` ran again");
        }
        for item in &items {
            if let ItemBody::Command(command) = &item.body {
                let call = ["first", "outside", "second", "third"]
                    .into_iter()
                    .find(|call| command.command.contains(&format!("echo {run} {call} ")))
                    .unwrap();
                assert_eq!(times.get(call), Some(&1), "{point:?}: `{call}` is told as done");
            }
        }
        let text = self.env.read_file(format!("{run}.txt")).unwrap();
        assert!(text == OLD || text == NEW, "{point:?}: half a patch: {text}");
        let is_told = items.iter().any(|item| matches!(item.body, ItemBody::FileChange(_)));
        assert!(!is_told || text == NEW, "{point:?}: the patch is told as done");
        // Strict checks of the model server: every call that it made was answered.
        self.model.verify().unwrap();
    }
}

/// Every fourth of a hundred points.
async fn kill_at_every_fourth(first: usize) {
    let mut killing = Killing::new();
    let all = killing.notifications().await;
    for number in (first..100).step_by(4) {
        let kind = if number % 3 == 0 { Kind::Attended } else { Kind::Detached };
        let delay = Duration::from_micros(u64::try_from(number % 5).unwrap() * 1500);
        killing.kill_at(Point { after: 1 + number * all / 100, delay, kind }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_of_a_turn_part_1() {
    kill_at_every_fourth(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_of_a_turn_part_2() {
    kill_at_every_fourth(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_of_a_turn_part_3() {
    kill_at_every_fourth(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_point_of_a_turn_part_4() {
    kill_at_every_fourth(3).await;
}

#[test]
fn a_detached_turn_goes_on_by_itself_after_a_crash() {
    let (model, env) =
        scene([script("echo x >> effects; touch started; sleep 672"), Reply::text("I go on.")]);
    let session = env.run(["exec", "--detach", "go"]).unwrap().stdout.trim().to_owned();
    wait_for_file(&env, "started");
    kill_daemon(&env);
    expect_none_left(&env, "sleep");
    up(&env);
    // Nobody attaches, nobody asks.
    model.wait_for_requests(2, SOON).unwrap();
    let told = model.requests()[1].last_output().unwrap().to_lowercase();
    assert!(told.contains("interrupted") && told.contains("unknown"), "{told}");
    let follower = env.spawn(["attach", &session]).unwrap();
    follower.wait_for_stdout("I go on.", SOON).unwrap();
    assert_eq!(env.read_file("effects").unwrap(), "x\n", "nothing is run twice");
    model.verify().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attended_turn_waits_for_a_person_after_a_crash() {
    let (model, env) = scene([script("touch started; sleep 673"), Reply::text("We go on.")]);
    up(&env);
    let one = client(&env, "one").await;
    let session = one.create(&env).await.unwrap();
    one.start(session, "go").await.unwrap();
    wait_for_file(&env, "started");
    kill_daemon(&env);
    up(&env);
    let after = client(&env, "after").await;
    let mut follower = after.follow(session).await.unwrap();
    follower.until(SOON, |seen| seen.turns_ended() == 1).await.unwrap();
    let by_crash = TurnOutcome::Interrupted { reason: InterruptReason::DaemonStopped, actor: None };
    let is_by_crash = |event: &Event| matches!(event, Event::TurnEnded(ended) if ended.outcome == by_crash);
    assert!(follower.seen().events().any(is_by_crash));
    assert_eq!(model.requests().len(), 1);
    after.start(session, "go on").await.unwrap();
    follower.until(SOON, |seen| seen.turns_ended() == 2).await.unwrap();
    let told = model.requests()[1].last_output().unwrap().to_lowercase();
    assert!(told.contains("interrupted"), "{told}");
}

/// A command that left children of its own, whose daemon dies while its helpers are in no state to end it; the next
/// daemon must.
fn nothing_outlives(mode: &str, do_to_helper: fn(&Leftover)) {
    let (_model, env) = scene([script("setsid sleep 674 & sleep 674"), Reply::text("Done.")]);
    env.run(["exec", "--detach", "-s", mode, "go"]).unwrap();
    wait_for_programs(&env, "sleep 674", 2);
    let daemon = env.daemon().unwrap();
    let helpers = children_of(daemon.pid);
    assert!(!helpers.is_empty());
    helpers.iter().for_each(do_to_helper);
    daemon.kill();
    assert!(daemon.wait(SOON));
    up(&env);
    expect_none_left(&env, "sleep ");
}

#[test]
fn a_command_whose_helper_died_with_the_daemon_is_ended() {
    nothing_outlives("workspace-write", Leftover::kill);
}

#[test]
fn a_command_whose_helper_is_frozen_is_ended_at_the_next_start() {
    for mode in ["workspace-write", "danger-full-access"] {
        nothing_outlives(mode, Leftover::freeze);
    }
}

#[test]
fn a_log_that_is_damaged_harms_its_own_session_only() {
    let marker = "Zyxwvut".repeat(40_000);
    let (_model, env) =
        scene([Reply::text(marker), Reply::text("Two."), Reply::text("Three."), Reply::text("Four.")]);
    let damaged = good_turn(&env, &["one"]).session().to_owned();
    let sound = good_turn(&env, &["two"]).session().to_owned();
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    damage(&env, "Zyxwvut");
    let shown = env.run(["sessions", "show", &damaged]).unwrap();
    assert_ne!(shown.code(), Some(0), "{shown:?}");
    assert!(shown.stderr.to_lowercase().contains("damaged"), "{shown:?}");
    good_turn(&env, &["resume", &sound, "three"]);
    good_turn(&env, &["four"]);
    let list = env.run(["sessions", "list"]).unwrap();
    assert!(list.code() == Some(0) && list.stdout.contains(&sound[..13]), "{list:?}");
    let doctor = env.run(["doctor"]).unwrap();
    assert!(seen(&doctor).contains(&damaged[..8]), "says which and what to do: {doctor:?}");
}

/// Overwrites the pages of the database that hold nothing but this text.
fn damage(env: &TestEnv, text: &str) {
    const PAGE: usize = 4096;
    let path = state_folder(env).join("skein.db");
    let mut file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
    let mut page = vec![0; PAGE];
    let mut damaged = 0;
    for at in (0..length / PAGE).map(|number| (number * PAGE) as u64) {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut page).unwrap();
        let held = String::from_utf8_lossy(&page).matches(text).count() * text.len();
        if held > PAGE / 2 {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&[0xa5; PAGE]).unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0, "no page holds it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_dies_again_and_again_loses_nothing() {
    let (_model, env) = scene((0..6).map(|number| Reply::text(format!("Answer {number}."))));
    up(&env);
    let session = client(&env, "first").await.create(&env).await.unwrap();
    let mut seen = Seen::default();
    for number in 0..6 {
        let client = client(&env, "client").await;
        let mut follower = client.follow_on(session, seen).await.unwrap();
        client.start(session, "go").await.unwrap();
        follower.until_turn_ends(SOON).await.unwrap();
        seen = follower.into_seen();
        assert_eq!(seen.turns_ended(), number + 1);
        kill_daemon(&env);
        up(&env);
    }
    let client = client(&env, "last").await;
    let mut follower = client.follow(session).await.unwrap();
    follower.until(SOON, |late| late.last() == seen.last()).await.unwrap();
    assert!(follower.seen().records == seen.records);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_are_there_find_the_next_daemon() {
    let (model, env) = scene([runs(["true"]), Reply::text("One."), Reply::text("THE END")]);
    let session = good_turn(&env, &["one"]).session().to_owned();
    let terminal = env.spawn(["attach", &session]).unwrap();
    terminal.wait_for_stdout("One.", SOON).unwrap();
    kill_daemon(&env);
    // It may start the next one itself.
    let next = TestClient::connect_within(&env, "next", SOON).await.unwrap();
    next.start(session.parse().unwrap(), "two").await.unwrap();
    terminal.wait_for_stdout("THE END", SOON).unwrap();
    assert_eq!(terminal.stdout().matches("One.").count(), 1, "nothing is shown twice");
    model.verify().unwrap();
    assert!(left(&env, "true").is_empty());
}

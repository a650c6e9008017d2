//! What becomes of a command that the sandbox stopped; judged by what is there afterwards.

use std::path::Path;

use protocol::api::question::QuestionClient;
use protocol::event::Event;
use protocol::item::{Command, Item, ItemBody, ItemStatus};
use protocol::question::{Decision, GrantScope, Question, QuestionAnswerParams, QuestionKind};
use protocol::session::ClientRole;
use skein_tests::TestEnv;
use skein_tests::rpc::Seen;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{SOON, asking_session, client, good_turn, outside, scene, script, up};

/// A turn that somebody watches who gives the same answer to every question: what was asked, and what was seen.
pub(crate) async fn turn(env: &TestEnv, answer: Decision) -> (Vec<Question>, Seen) {
    let (mut asked, seen) = turns(env, [answer]).await;
    (asked.remove(0), seen)
}

/// Turns of one session, each with its answer to every question: what was asked in each, and what was seen in all.
pub(crate) async fn turns<const COUNT: usize>(
    env: &TestEnv,
    answers: [Decision; COUNT],
) -> (Vec<Vec<Question>>, Seen) {
    up(env);
    let client = client(env, "person").await;
    let session = asking_session(&client, env).await;
    let mut follower = client.watch(session, ClientRole::Driver).await.unwrap();
    let mut all: Vec<Vec<Question>> = Vec::new();
    for answer in answers {
        let (before, ended) = (all.iter().map(Vec::len).sum::<usize>(), follower.seen().turns_ended());
        client.start(session, "go").await.unwrap();
        let mut answered = Vec::new();
        loop {
            let count = before + answered.len();
            let is_news = |seen: &Seen| asked(seen).len() > count || seen.turns_ended() > ended;
            follower.until(SOON, is_news).await.unwrap();
            let Some(question) = asked(follower.seen()).get(count).cloned() else { break };
            let question_id = question.id;
            let params = QuestionAnswerParams { question_id, decision: answer.clone(), request_id: None };
            client.rpc().answer(params).await.unwrap();
            answered.push(question);
        }
        all.push(answered);
    }
    (all, follower.into_seen())
}

fn asked(seen: &Seen) -> Vec<Question> {
    let question = |event: &Event| {
        if let Event::QuestionAsked(asked) = event { Some(asked.question.clone()) } else { None }
    };
    seen.events().filter_map(question).collect()
}

/// The commands of a turn that ended.
pub(crate) fn commands(seen: &Seen) -> Vec<(ItemStatus, Command)> {
    let command = |item: &Item| {
        if let ItemBody::Command(command) = &item.body {
            Some((item.status.clone(), command.clone()))
        } else {
            None
        }
    };
    seen.completed().filter_map(command).collect()
}

pub(crate) fn yes(scope: GrantScope) -> Decision {
    Decision::Allow { scope }
}

pub(crate) fn no() -> Decision {
    Decision::Deny { message: None }
}

/// A script that does something inside, then something that only works outside.
fn half_outside(file: &Path) -> String {
    format!("echo once >> inside; echo told; echo made > {}", file.display())
}

#[tokio::test]
async fn a_yes_runs_what_the_sandbox_stopped_again_outside_and_both_runs_are_told() {
    let folder = outside();
    let file = folder.path().canonicalize().unwrap().join("made");
    let (model, env) = scene([script(&half_outside(&file)), Reply::text("Done.")]);
    let (asked, seen) = turn(&env, yes(GrantScope::Once)).await;
    assert_eq!(asked.len(), 1);
    let QuestionKind::Command { is_escalated, refusals, proposed_rule, .. } = &asked[0].kind else {
        panic!("{asked:?}")
    };
    let rule = proposed_rule.as_deref().unwrap();
    assert!(*is_escalated && rule.starts_with("outside_rule("), "{asked:?}");
    assert!(refusals.iter().any(|refusal| Path::new(&refusal.target) == file), "{refusals:?}");
    assert!(asked[0].reason.contains("may be done twice"), "{}", asked[0].reason);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "made\n");
    assert_eq!(env.read_file("inside").unwrap(), "once\nonce\n");
    let (status, command) = commands(&seen).remove(0);
    assert_eq!(status, ItemStatus::Completed);
    assert!(command.is_escalated, "everybody sees that it left the sandbox");
    let told = model.requests()[1].last_output().unwrap().to_owned();
    for part in
        ["Exit code: 0", "told\n", "In the sandbox it ended with exit code 1", "The sandbox stopped: writing"]
    {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_eq!(told.matches("told\n").count(), 2, "{told}");
    model.verify().unwrap();
}

#[tokio::test]
async fn a_no_keeps_it_inside_and_the_model_hears_what_was_stopped() {
    let folder = outside();
    let file = folder.path().join("made");
    let (model, env) = scene([script(&half_outside(&file)), Reply::text("As you wish.")]);
    let (asked, seen) = turn(&env, no()).await;
    assert_eq!(asked.len(), 1);
    assert!(!file.exists());
    assert_eq!(env.read_file("inside").unwrap(), "once\n");
    let (status, command) = commands(&seen).remove(0);
    assert!(status == ItemStatus::Failed && !command.is_escalated, "{command:?}");
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains("The sandbox stopped") && told.contains("a person declined it"), "{told}");
    model.verify().unwrap();
}

#[tokio::test]
async fn a_yes_for_the_session_or_for_good_is_not_asked_again() {
    for scope in [GrantScope::Session, GrantScope::Always] {
        let folder = outside();
        let file = folder.path().canonicalize().unwrap().join("made");
        let touch = format!("touch {}", file.display());
        let (model, env) = scene([script(&touch), script(&touch), Reply::text("Done.")]);
        let (asked, seen) = turn(&env, yes(scope.clone())).await;
        assert_eq!(asked.len(), 1, "{scope:?}");
        assert!(commands(&seen).iter().all(|(status, _)| *status == ItemStatus::Completed));
        assert!(file.exists());
        let rules = env.skein_home().join("rules/outside.rules");
        assert_eq!(rules.exists(), scope == GrantScope::Always);
        model.verify().unwrap();
    }
}

#[test]
fn where_nobody_can_answer_the_turn_goes_on_and_nothing_leaves_the_sandbox() {
    for approval in ["on-request", "never"] {
        let folder = outside();
        let file = folder.path().join("made");
        let (model, env) = scene([script(&half_outside(&file)), Reply::text("It can't be made.")]);
        let lines = good_turn(&env, &["-a", approval, "go"]);
        assert_eq!(lines.only("command_execution")["status"], "failed");
        assert!(!file.exists());
        let told = model.requests()[1].last_output().unwrap().to_owned();
        assert!(told.contains("The sandbox stopped: writing"), "{told}");
        model.verify().unwrap();
    }
}

#[tokio::test]
async fn a_command_in_the_background_that_was_stopped_at_once_is_asked_about_too() {
    let folder = outside();
    let file = folder.path().join("made");
    let call = serde_json::json!({"cmd": half_outside(&file), "yield_time_ms": 20_000});
    let (model, env) = scene([Reply::call("exec_command", &call), Reply::text("Done.")]);
    let (asked, _) = turn(&env, yes(GrantScope::Once)).await;
    assert_eq!(asked.len(), 1);
    assert!(file.exists());
    assert_eq!(env.read_file("inside").unwrap(), "once\nonce\n");
    model.verify().unwrap();
}

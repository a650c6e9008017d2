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

/// A script with a program in it that is stopped, and more that is not.
fn with_a_program(file: &Path) -> String {
    format!("echo once >> inside; touch {}; code=$?; echo $code >> codes; exit $code", file.display())
}

/// What a question says of the command that it asks about.
fn asked_command(question: &Question) -> (Vec<String>, usize) {
    let QuestionKind::Command { argv, is_escalated: true, refusals, .. } = &question.kind else {
        panic!("{question:?}")
    };
    (argv.clone(), refusals.len())
}

#[tokio::test]
async fn only_the_program_that_was_stopped_leaves_and_the_script_stays_inside() {
    let folder = outside();
    let root = folder.path().canonicalize().unwrap();
    let file = root.join("made");
    // The shell itself writes beside it, once the program has been let out.
    let beside = format!("test $code = 0 && echo x > {}; exit $code", root.join("beside").display());
    let script_text = with_a_program(&file).replace("exit $code", &beside);
    let (model, env) = scene([script(&script_text), Reply::text("Done.")]);
    let (asked, seen) = turn(&env, yes(GrantScope::Once)).await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    let argv = ["touch", file.to_str().unwrap()].map(str::to_owned).to_vec();
    assert_eq!(asked_command(&asked[0]), (argv, 1));
    assert!(asked[0].reason.contains("only this program of it leaves"), "{}", asked[0].reason);
    assert!(file.exists());
    assert!(!root.join("beside").exists(), "the script itself stayed inside");
    assert_eq!(env.read_file("inside").unwrap(), "once\nonce\n");
    assert_eq!(
        env.read_file("codes").unwrap(),
        "1\n0\n",
        "the script goes on with the code of what ran outside"
    );
    let (status, command) = commands(&seen).remove(0);
    assert_eq!((status, command.is_escalated), (ItemStatus::Completed, false));
    let told = model.requests()[1].last_output().unwrap().to_owned();
    for part in [
        "In the sandbox it ended with exit code 1",
        "It ran again in the sandbox, with leave for `touch ",
        "ran outside the sandbox: a person let it out",
        "beside",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    model.verify().unwrap();
}

#[tokio::test]
async fn a_no_to_a_program_keeps_the_script_from_running_again() {
    let folder = outside();
    let file = folder.path().join("made");
    let (model, env) = scene([script(&with_a_program(&file)), Reply::text("As you wish.")]);
    let (asked, _) = turn(&env, no()).await;
    assert_eq!(asked.len(), 1);
    assert!(!file.exists());
    assert_eq!(env.read_file("inside").unwrap(), "once\n");
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains("It was not run outside the sandbox: a person declined it"), "{told}");
    model.verify().unwrap();
}

#[tokio::test]
async fn each_program_that_was_stopped_is_asked_about() {
    let folder = outside();
    let root = folder.path().canonicalize().unwrap();
    let text = format!("touch {0}/a; mkdir {0}/b; test -e {0}/a && test -e {0}/b", root.display());
    let (model, env) = scene([script(&text), Reply::text("Done.")]);
    let (asked, seen) = turn(&env, yes(GrantScope::Once)).await;
    let programs: Vec<_> = asked.iter().map(|question| asked_command(question).0.remove(0)).collect();
    assert_eq!(programs, ["touch", "mkdir"]);
    assert!(root.join("a").exists() && root.join("b").is_dir());
    assert_eq!(commands(&seen).remove(0).0, ItemStatus::Completed);
    model.verify().unwrap();
}

#[tokio::test]
async fn where_the_shell_itself_was_stopped_the_question_says_why_it_is_about_the_whole() {
    let folder = outside();
    let file = folder.path().join("made");
    let (model, env) = scene([script(&half_outside(&file)), Reply::text("Done.")]);
    let (asked, _) = turn(&env, no()).await;
    assert_eq!(asked_command(&asked[0]).0.len(), 3);
    let expected = "No less than the whole can leave: the shell itself was stopped";
    assert!(asked[0].reason.contains(expected), "{}", asked[0].reason);
    model.verify().unwrap();
}

#[tokio::test]
async fn a_leave_for_the_session_lets_the_program_out_of_the_next_script_at_once() {
    for scope in [GrantScope::Session, GrantScope::Always] {
        let folder = outside();
        let file = folder.path().canonicalize().unwrap().join("made");
        let text = with_a_program(&file);
        let again = format!("rm -f codes; {text}");
        let (model, env) = scene([script(&text), script(&again), Reply::text("Done.")]);
        let (asked, _) = turn(&env, yes(scope.clone())).await;
        assert_eq!(asked.len(), 1, "{scope:?} {asked:?}");
        assert_eq!(env.read_file("codes").unwrap(), "0\n", "it was not stopped again: {scope:?}");
        model.verify().unwrap();
    }
}

/// Ways for a script to have something else leave in its second run, than what was stopped in the first. Each makes
/// `evil` outside if it gets through. `$1` is the file that the program was stopped for, `$2` is `evil`.
const SECOND_RUNS: &[(&str, &str)] = &[
    ("other arguments", "cp seed $2"),
    ("more arguments", "cp seed $1; cp seed $1 $2"),
    ("another name before it", "PATH=.:$PATH; cp seed $1"),
    ("a file of that name", "exec -a cp ./cp seed $1"),
    ("a variable that bends it", "LD_PRELOAD=./bend.so cp seed $1"),
    ("a name for another program", "exec -a cp sh -c 'cp seed $0' $2"),
    ("a link with that name", "ln -sf /bin/sh linked; exec -a cp ./linked seed $1"),
];

#[tokio::test]
async fn a_script_can_t_have_anything_else_leave_in_its_second_run() {
    for (name, second) in SECOND_RUNS {
        let folder = outside();
        let root = folder.path().canonicalize().unwrap();
        let (file, evil) = (root.join("made"), root.join("evil"));
        let text =
            "set -- FILE EVIL\nif test -e ran; then SECOND; exit 0; fi\n: > ran; chmod +x cp\ncp seed $1"
                .replace("SECOND", second)
                .replace("FILE", file.to_str().unwrap())
                .replace("EVIL", evil.to_str().unwrap());
        let (model, env) = scene([script(&text), Reply::text("Done.")]);
        let planted = format!("#!/bin/sh\necho x > {}\n", evil.display());
        // What a shell would do if it was given this file.
        env.write_file("seed", &format!("echo x > {}\n", evil.display())).unwrap();
        env.write_file("cp", &planted).unwrap();
        let (asked, _) = turn(&env, yes(GrantScope::Once)).await;
        let argv = ["cp", "seed", file.to_str().unwrap()].map(str::to_owned).to_vec();
        assert_eq!(asked_command(&asked[0]), (argv, 1), "{name}");
        assert_eq!(asked.len(), 1, "{name}: {asked:?}");
        assert!(!evil.exists(), "{name}: {:?}", model.requests()[1].last_output());
        model.verify().unwrap();
    }
}

#[tokio::test]
async fn in_another_folder_the_same_words_are_asked_about_anew() {
    let folder = outside();
    let root = folder.path().canonicalize().unwrap();
    let text = format!(
        "mkdir -p sub; if test -e ran; then cd sub; fi; touch ran; cp ran {}",
        root.join("made").display()
    );
    let (model, env) = scene([script(&text), Reply::text("Done.")]);
    let (asked, _) = turn(&env, yes(GrantScope::Once)).await;
    let cwds: Vec<_> = asked
        .iter()
        .map(|question| match &question.kind {
            QuestionKind::Command { cwd, .. } => cwd.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(cwds, [env.repository(), env.repository().join("sub")]);
    assert!(asked[1].reason.contains("in another folder"), "{}", asked[1].reason);
    assert!(root.join("made").exists());
    model.verify().unwrap();
}

#[tokio::test]
async fn a_program_that_goes_elsewhere_itself_is_asked_about_once_by_the_folder_it_was_started_in() {
    for (scope, has_rule) in [(GrantScope::Once, false), (GrantScope::Always, true)] {
        let folder = outside();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        let made = root.join("a/b/c");
        // On its way to what it makes it goes into each folder before.
        let text = format!("true; mkdir -p {}", made.display());
        let (model, env) = scene([script(&text), Reply::text("Done.")]);
        let (asked, _) = turn(&env, yes(scope.clone())).await;
        let [question] = &asked[..] else { panic!("{scope:?} {asked:?}") };
        let QuestionKind::Command { cwd, refusals, .. } = &question.kind else { panic!("{question:?}") };
        assert_eq!(*cwd, env.repository(), "{scope:?}");
        assert_eq!(refusals[0].target, made.to_str().unwrap(), "{scope:?}");
        assert!(made.is_dir(), "{scope:?}");
        let rules = std::fs::read_to_string(env.skein_home().join("rules/outside.rules")).unwrap_or_default();
        let folder = format!("folder=\"{}\"", env.repository().display());
        assert_eq!(rules.replace(" = ", "=").contains(&folder), has_rule, "{rules}");
        model.verify().unwrap();
    }
}

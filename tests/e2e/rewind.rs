//! `skein rewind` and `skein diff`: what a turn changed in files and in the conversation is taken back, and brought
//! again; what somebody else changed meanwhile is not lost; git is never touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use protocol::event::Event;
use serde_json::{Value, json};
use skein_tests::TestEnv;
use skein_tests::environment::process::{Invocation, Output};
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{
    SOON, client, good_turn, kill_daemon, patches, scene, script, until_go, up, wait_for_file,
};

/// All that stands in the repository but for what is git's: modes, contents, targets of links.
fn tree(env: &TestEnv) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![env.repository()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            if path.file_name().is_some_and(|name| name == ".git") {
                continue;
            }
            let content = if meta.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if meta.is_dir() {
                open.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            let mode = rustix::fs::lstat(&path).unwrap().st_mode;
            found.insert(path, (mode, content));
        }
    }
    found
}

/// The same without the empty folders that are there while a command runs, so that it can't make them.
fn own_tree(env: &TestEnv) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = tree(env);
    let places = [".agents", ".claude", ".codex", ".skein", ".vscode"];
    found.retain(|path, _| !path.file_name().is_some_and(|name| places.iter().any(|place| name == *place)));
    found
}

fn rewind(env: &TestEnv, arguments: &[&str]) -> Output {
    env.run(["rewind", "--last"].iter().chain(arguments).copied()).unwrap()
}

fn good_rewind(env: &TestEnv, arguments: &[&str]) -> Value {
    let output = env.run(["rewind", "--last", "--json"].iter().chain(arguments).copied()).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let result: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(result["left"], Value::Null, "{result:#}");
    result
}

/// Waits until a file of the repository is gone.
fn wait_until_gone(env: &TestEnv, name: &str) {
    let wait = format!("while test -e {name}; do :; done");
    Invocation::new("/bin/sh", ["-c", &wait], env.repository())
        .variable("PATH", "/usr/bin:/bin")
        .run()
        .unwrap();
}

fn write(env: &TestEnv, name: &str, text: &str) {
    fs::write(env.repository().join(name), text).unwrap();
}

fn read(env: &TestEnv, name: &str) -> Option<String> {
    fs::read_to_string(env.repository().join(name)).ok()
}

#[test]
fn turns_are_taken_back_and_brought_again_byte_for_byte() {
    let all = "mkdir -p new/deep && echo 1 > new/deep/file && ln -s ../kept new/link && rm gone && chmod 700 kept \
               && printf 'a\\0b' > binary && echo KEY=2 > .env && mv moved there";
    let (model, env) = scene([
        script(all),
        Reply::text("First."),
        patches("*** Update File: kept\n@@\n-one\n+two\n*** Add File: added\n+new"),
        Reply::text("Second."),
        Reply::text("Third."),
    ]);
    for (name, text) in [("kept", "one\n"), ("gone", "gone\n"), (".env", "KEY=1\n"), ("moved", "moved\n")] {
        write(&env, name, text);
    }
    write(&env, ".gitignore", ".env\n");
    let before = tree(&env);
    let session = good_turn(&env, &["say the first"]).session().to_owned();
    let first = tree(&env);
    good_turn(&env, &["resume", &session, "say the second"]);
    let second = tree(&env);
    assert!(before != first && first != second);

    let preview = good_rewind(&env, &["--preview"]);
    assert_eq!((&preview["isDone"], &preview["count"]), (&false.into(), &2.into()), "{preview:#}");
    assert_eq!(tree(&env), second, "a preview does nothing");
    assert_eq!(good_rewind(&env, &["--to", "1"])["turns"].as_array().unwrap().len(), 2);
    assert_eq!(tree(&env), before);
    good_rewind(&env, &["--undo"]);
    assert_eq!(tree(&env), second);
    good_rewind(&env, &[]);
    assert_eq!(tree(&env), first);

    good_turn(&env, &["resume", &session, "say the third"]);
    let seen = model.requests().last().unwrap().json().to_string();
    assert!(seen.contains("say the first") && !seen.contains("say the second"), "{seen}");
    let log = env.run(["logs", "--last"]).unwrap();
    assert!(log.stdout.contains("this turn was taken back"), "{}", log.stdout);
    assert!(env.git(["status", "--porcelain"]).is_ok(), "git is as it was");
}

#[test]
fn code_and_chat_are_taken_back_each_alone() {
    let (model, env) = scene([
        script("echo 1 > made"),
        Reply::text("Made."),
        Reply::text("Seen."),
        Reply::text("Not seen."),
    ]);
    let session = good_turn(&env, &["make it"]).session().to_owned();
    good_rewind(&env, &["--code"]);
    assert_eq!(read(&env, "made"), None);
    good_turn(&env, &["resume", &session, "and now"]);
    assert!(model.requests().last().unwrap().user_texts().contains(&"make it"), "what was said stays");
    write(&env, "mine", "mine\n");
    good_rewind(&env, &["--chat", "--to", "1"]);
    assert_eq!(read(&env, "mine").as_deref(), Some("mine\n"));
    good_turn(&env, &["resume", &session, "from here"]);
    assert!(!model.requests().last().unwrap().user_texts().contains(&"make it"), "it is not seen any more");
    let refused = rewind(&env, &["--undo"]);
    assert!(refused.code() != Some(0) && refused.stderr.contains("Turns came after"), "{refused:?}");
}

#[test]
fn what_somebody_else_changed_is_not_lost() {
    for (choice, expected, beside) in
        [("keep", "mine\n", None), ("theirs", "one\n", None), ("both", "one\n", Some("mine\n"))]
    {
        let (_model, env) = scene([script("echo two > file; echo 1 > made"), Reply::text("Done.")]);
        write(&env, "file", "one\n");
        good_turn(&env, &["go"]);
        write(&env, "file", "mine\n");
        let after = tree(&env);
        let refused = rewind(&env, &[]);
        assert_eq!(refused.code(), Some(1), "{refused:?}");
        assert!(
            refused.stdout.contains("changed meanwhile") && refused.stderr.contains("--conflicts"),
            "{refused:?}"
        );
        assert_eq!(tree(&env), after, "nothing is done without a choice");
        good_rewind(&env, &["--conflicts", choice]);
        assert_eq!(read(&env, "file").as_deref(), Some(expected), "{choice}");
        assert_eq!(read(&env, "file.kept").as_deref(), beside, "{choice}");
        assert_eq!(read(&env, "made"), None, "{choice}");
        good_rewind(&env, &["--undo"]);
        assert_eq!(tree(&env), after, "{choice}: all of it is back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_interrupted_command_had_changed_is_taken_back() {
    let (_model, env) = scene([until_go(), Reply::text("Done.")]);
    up(&env);
    let before = tree(&env);
    let me = client(&env, "me").await;
    let session = me.create(&env).await.unwrap();
    let mut follower = me.follow(session).await.unwrap();
    me.start(session, "go").await.unwrap();
    tokio::task::block_in_place(|| wait_for_file(&env, "started"));
    assert_eq!(env.run(["stop", "--last"]).unwrap().code(), Some(0));
    follower
        .until(SOON, |seen| seen.events().any(|event| matches!(event, Event::FilesChanged(_))))
        .await
        .unwrap();
    good_rewind(&env, &[]);
    assert_eq!(tree(&env), before);
}

#[test]
fn a_rewind_that_a_crash_cut_off_is_finished_at_the_next_start() {
    let many = "mkdir many; i=0; while test $i -lt 500; do echo $i > many/file$i; i=$((i+1)); done";
    let (_model, env) = scene([script(many), Reply::text("Done.")]);
    let before = tree(&env);
    good_turn(&env, &["go"]);
    let folder = env.repository().join("many");
    let count = |folder: &Path| fs::read_dir(folder).map_or(0, Iterator::count);
    assert_eq!(count(&folder), 500);
    let rewinding = env.spawn(["rewind", "--last"]).unwrap();
    wait_until_gone(&env, "many/file99");
    kill_daemon(&env);
    drop(rewinding);
    up(&env);
    // The daemon serves when the files are back.
    assert_eq!(env.run(["sessions", "list"]).unwrap().code(), Some(0));
    assert_eq!(tree(&env), before);
}

#[test]
fn a_diff_shows_what_a_session_and_a_turn_changed() {
    let (_model, env) = scene([
        script("echo two > file; rm gone"),
        Reply::text("Done."),
        script("echo three > file; chmod 755 file"),
        Reply::text("Done."),
    ]);
    write(&env, "file", "one\n");
    write(&env, "gone", "gone\n");
    let session = good_turn(&env, &["go"]).session().to_owned();
    good_turn(&env, &["resume", &session, "go on"]);
    let diff = |arguments: &[&str]| {
        let output = env.run(["diff", &session].iter().chain(arguments).copied()).unwrap();
        assert_eq!(output.code(), Some(0), "{output:?}");
        output.stdout
    };
    let whole = diff(&[]);
    assert!(whole.contains("-one\n+three\n") && whole.contains("deleted file mode 100644"), "{whole}");
    assert!(whole.contains("old mode 100644\nnew mode 100755\n"), "{whole}");
    let second = diff(&["--turn", "2"]);
    assert!(second.contains("-two\n+three\n") && !second.contains("gone"), "{second}");
    let json: Value = serde_json::from_str(&diff(&["--turn", "1", "--json"])).unwrap();
    assert_eq!((&json["count"], &json["files"][1]["change"]), (&2.into(), &"deleted".into()), "{json:#}");
    fs::write(env.temporary().join("session.diff"), whole).unwrap();
    good_rewind(&env, &["--to", "1", "--code"]);
    let patch = env.temporary().join("session.diff");
    env.git(["apply", patch.to_str().unwrap()]).unwrap();
    assert_eq!(read(&env, "file").as_deref(), Some("three\n"), "git takes it");
}

#[test]
fn a_turn_that_changed_what_runs_later_says_so_at_its_end() {
    let (_model, env) = scene([
        script("mkdir -p .github/workflows; echo a: > .github/workflows/ci.yml; touch b.rs"),
        Reply::text("Done."),
    ]);
    let output = env.run(["exec", "go"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(output.stderr.contains("run later: `.github/workflows/ci.yml`."), "{output:?}");
}

#[test]
fn what_a_command_had_changed_when_the_daemon_went_is_taken_back() {
    let (_model, env) = scene([until_go(), Reply::text("Done.")]);
    let before = tree(&env);
    let detached = env.run(["exec", "--detach", "go"]).unwrap();
    assert_eq!(detached.code(), Some(0), "{detached:?}");
    wait_for_file(&env, "started");
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    good_rewind(&env, &[]);
    assert_eq!(tree(&env), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_command_had_changed_when_the_daemon_died_is_taken_back() {
    let writes = "rm gone; echo two > file; touch started; until test -e go; do sleep 0.02; done";
    let (_model, env) = scene([script(writes)]);
    write(&env, "file", "one\n");
    write(&env, "gone", "gone\n");
    let before = tree(&env);
    up(&env);
    let me = client(&env, "me").await;
    let session = me.create(&env).await.unwrap();
    me.start(session, "go").await.unwrap();
    tokio::task::block_in_place(|| {
        wait_for_file(&env, "started");
        kill_daemon(&env);
        up(&env);
        let after = tree(&env);
        good_rewind(&env, &[]);
        assert_eq!(tree(&env), before);
        good_rewind(&env, &["--undo"]);
        assert_eq!(tree(&env), after);
    });
}

#[test]
fn what_a_command_in_the_background_changed_is_told_and_taken_back() {
    let writes = "until test -e go; do sleep 0.02; done; echo two > file; touch written; sleep 1000";
    let leaves = Reply::call("exec_command", &json!({"cmd": writes, "yield_time_ms": 100}));
    let (_model, env) = scene([leaves, Reply::text("It goes on.")]);
    write(&env, "file", "one\n");
    let before = own_tree(&env);
    good_turn(&env, &["go"]);
    write(&env, "go", "");
    wait_for_file(&env, "written");
    let after = own_tree(&env);
    let refused = rewind(&env, &[]);
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    assert!(refused.stdout.contains("file") && refused.stderr.contains("--conflicts"), "{refused:?}");
    assert_eq!(own_tree(&env), after, "nothing is done without a choice");
    good_rewind(&env, &["--conflicts", "theirs"]);
    assert_eq!(own_tree(&env), before);
    good_rewind(&env, &["--undo"]);
    assert_eq!(own_tree(&env), after);
}

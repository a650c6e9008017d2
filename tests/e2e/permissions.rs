//! Permissions that a person described in the settings, as commands, reading tools, patches and searches of a whole
//! turn meet them.

use std::fs;

use protocol::question::{Decision, GrantScope, QuestionKind};
use serde_json::{Value, json};
use skein_tests::TestEnv;
use skein_tests::scripted_model::reply::Reply;

use crate::escalation::{commands, no, turns, yes};
use crate::scene::{good_turn, json_turn, outside, patches, scene, script, seen};

/// A turn in which the model makes these calls under the permissions `p`; what it was told of each.
fn turn(description: &str, calls: Vec<Reply>, prepare: impl FnOnce(&TestEnv)) -> (TestEnv, Vec<String>) {
    let count = calls.len();
    let (model, env) = scene(calls.into_iter().chain([Reply::text("Done.")]));
    prepare(&env);
    env.append_settings(description).unwrap();
    good_turn(&env, &["-a", "never", "--permissions", "p", "go"]);
    let outputs =
        (1..=count).map(|number| model.requests()[number].last_output().unwrap().to_owned()).collect();
    model.verify().unwrap();
    (env, outputs)
}

fn call(name: &str, arguments: &Value) -> Reply {
    Reply::call(name, arguments)
}

#[test]
fn a_denied_pattern_holds_for_commands_tools_patches_and_searches() {
    let calls = vec![
        script("cat .env sub/.env; echo end; cat sub/kept"),
        call("read_file", &json!({"path": "sub/.env"})),
        call("grep", &json!({"pattern": "planted"})),
        patches("*** Update File: sub/.env\n@@\n-planted-secret\n+changed"),
        patches("*** Update File: sub/kept\n@@\n-planted word\n+changed"),
    ];
    let description = "[permissions.p.paths]\n\"**/.env\" = \"none\"";
    let (env, outputs) = turn(description, calls, |env| {
        for name in [".env", "sub/.env"] {
            env.write_file(name, "planted-secret\n").unwrap();
        }
        env.write_file("sub/kept", "planted word\n").unwrap();
    });
    assert!(outputs[0].contains("end\nplanted word"), "{}", outputs[0]);
    assert!(outputs[2].contains("sub/kept"), "{}", outputs[2]);
    for output in &outputs {
        assert!(!output.contains("planted-secret"), "{output}");
    }
    assert_eq!(env.read_file("sub/.env").unwrap(), "planted-secret\n");
    assert_eq!(env.read_file("sub/kept").unwrap(), "changed\n");
}

#[test]
fn a_path_outside_is_opened_by_name_and_nothing_beside_it() {
    let outside = outside();
    let real = outside.path().canonicalize().unwrap();
    for name in ["open", "shut"] {
        fs::create_dir(real.join(name)).unwrap();
    }
    let at = |name: &str| real.join(name).display().to_string();
    let calls = vec![
        script(&format!("echo 1 > {}; echo 1 > {}; true", at("open/command"), at("shut/command"))),
        patches(&format!("*** Add File: {}\n+1", at("open/patch"))),
        patches(&format!("*** Add File: {}\n+1", at("shut/patch"))),
    ];
    turn(&format!("[permissions.p.paths]\n\"{}\" = \"write\"", at("open")), calls, |_| {});
    for name in ["command", "patch"] {
        assert!(real.join("open").join(name).exists(), "{name}");
        assert!(!real.join("shut").join(name).exists(), "{name}");
    }
}

#[test]
fn carve_outs_nest() {
    let calls = vec![
        script("cat a/secret; touch a/new; echo 1 > a/b/command; cat a/b/told; touch top; echo end"),
        call("read_file", &json!({"path": "a/secret"})),
        call("read_file", &json!({"path": "a/b/told"})),
        call("grep", &json!({"pattern": "planted"})),
        patches("*** Add File: a/patch\n+1"),
        patches("*** Add File: a/b/patch\n+1"),
    ];
    let description = "[permissions.p.paths]\n\".\" = \"write\"\n\"a\" = \"none\"\n\"a/b\" = \"write\"";
    let (env, outputs) = turn(description, calls, |env| {
        env.write_file("a/secret", "planted-secret\n").unwrap();
        env.write_file("a/b/told", "planted word\n").unwrap();
    });
    for output in &outputs {
        assert!(!output.contains("planted-secret"), "{output}");
    }
    assert!(outputs[0].contains("planted word\nend"), "{}", outputs[0]);
    assert!(outputs[2].contains("planted word"), "{}", outputs[2]);
    let is_there = |name: &str| env.repository().join(name).exists();
    assert!(is_there("top") && is_there("a/b/command") && is_there("a/b/patch"), "{outputs:?}");
    assert!(!is_there("a/new") && !is_there("a/patch"), "{outputs:?}");
}

#[test]
fn commits_pass_where_they_are_allowed_and_hooks_and_configuration_stay_closed() {
    let text = "echo 1 > file; git add file; git -c user.name=a -c user.email=a@b.c commit -qm allowed; \
                echo x > .git/hooks/post-commit; echo x >> .git/config; echo end";
    let (env, outputs) = turn("[permissions.p]\ngit_commit = true", vec![script(text)], |_| {});
    assert!(outputs[0].contains("end"), "{}", outputs[0]);
    assert_eq!(env.git(["log", "-1", "--format=%s"]).unwrap().trim(), "allowed", "{}", outputs[0]);
    assert!(!env.repository().join(".git/hooks/post-commit").exists());
    assert!(!env.read_file(".git/config").unwrap().contains("x\n"));
}

#[test]
fn permissions_that_do_not_exist_stop_the_turn_with_the_name_that_was_meant() {
    let (_model, env) = scene([Reply::text("Not asked.")]);
    env.append_settings("[permissions.careful]").unwrap();
    let output = env.run(["exec", "--permissions", "carefull", "go"]).unwrap();
    assert_eq!(output.code(), Some(2), "{output:?}");
    let seen = seen(&output);
    assert!(seen.contains("There are no permissions `carefull`"), "{seen}");
}

/// In one turn the model asks for a folder outside and writes a file in it, in the next one another; which of them are
/// there, and what it was told of its request.
async fn asks_for_a_folder(answer: Decision) -> ([bool; 2], String) {
    let outside = outside();
    let real = outside.path().canonicalize().unwrap();
    let wanted = json!({"write": [real], "justification": "To build there."});
    let makes = |name: &str| script(&format!("touch {}; true", real.join(name).display()));
    let replies =
        [call("request_permissions", &wanted), makes("first"), Reply::text("Done."), makes("second")];
    let (model, env) = scene(replies.into_iter().chain([Reply::text("Done.")]));
    let (asked, seen) = turns(&env, [answer, no()]).await;
    // A yes opens the sandbox there; nothing leaves it.
    let ran = commands(&seen);
    assert!(ran.len() == 2 && ran.iter().all(|(_, command)| !command.is_escalated), "{ran:?}");
    assert!(asked[0].len() == 1 && asked[1].is_empty(), "{asked:?}");
    let QuestionKind::Permissions { paths, justification, .. } = &asked[0][0].kind else {
        panic!("{asked:?}")
    };
    assert_eq!((&paths[0].path, justification.as_deref()), (&real, Some("To build there.")));
    let told = model.requests()[1].last_output().unwrap().to_owned();
    model.verify().unwrap();
    (["first", "second"].map(|name| real.join(name).exists()), told)
}

#[tokio::test]
async fn what_the_agent_asks_for_is_granted_for_a_turn_or_a_session_or_not() {
    for (answer, are_there, said) in [
        (yes(GrantScope::Once), [true, false], "for this turn"),
        (yes(GrantScope::Turn), [true, false], "for this turn"),
        (yes(GrantScope::Session), [true, true], "for this session"),
        (no(), [false, false], "Not granted"),
    ] {
        let (found, told) = asks_for_a_folder(answer.clone()).await;
        assert_eq!(found, are_there, "{answer:?}: {told}");
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn where_nobody_can_answer_a_request_for_permissions_grants_nothing() {
    for (approval, code) in [("on-request", 3), ("never", 0)] {
        let outside = outside();
        let file = outside.path().join("made");
        let wanted = json!({"write": [outside.path()], "justification": "To build there."});
        let touch = script(&format!("touch {}; true", file.display()));
        let (_model, env) = scene([call("request_permissions", &wanted), touch, Reply::text("Done.")]);
        let (output, _) = json_turn(&env, &["-a", approval, "go"]);
        assert_eq!(output.code(), Some(code), "{output:?}");
        assert!(!file.exists());
    }
}

#[test]
fn a_wish_to_leave_is_understood_in_the_words_that_models_have_learnt() {
    for wish in
        [json!({"sandbox_permissions": "require_escalated"}), json!({"with_escalated_permissions": true})]
    {
        let outside = outside();
        let file = outside.path().join("made");
        let mut arguments = json!({"command": ["touch", file], "justification": "It must be made there."});
        arguments.as_object_mut().unwrap().extend(wish.as_object().unwrap().clone());
        let (_model, env) = scene([call("shell", &arguments)]);
        let (output, lines) = json_turn(&env, &["-a", "on-request", "go"]);
        assert_eq!(output.code(), Some(3), "{output:?}");
        assert!(lines.failure().1.contains("outside the sandbox"), "{:?}", lines.last());
        assert!(!file.exists());
    }
}

/// A repository outside with one commit, where nothing may be written.
fn repository(env: &TestEnv, folder: &std::path::Path) {
    let folder = folder.to_str().unwrap();
    env.git(["init", "-q", folder]).unwrap();
    let identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-C", folder];
    env.git(identity.into_iter().chain(["commit", "-q", "--allow-empty", "-m", "first"])).unwrap();
}

#[test]
fn a_git_directory_that_only_a_command_leads_to_is_not_opened_to_commits() {
    let outside = outside();
    let victim = outside.path().canonicalize().unwrap().join("victim");
    let git = victim.join(".git").display().to_string();
    let plants = script(&format!(
        "mkdir -p sub/x sub/y sub/w/.git/objects sub/w/.git/refs; echo 'gitdir: {git}' > sub/x/.git
         ln -s {git} sub/y/.git; cp .git/HEAD sub/w/.git/HEAD; echo {git} > sub/w/.git/commondir; echo end"
    ));
    let uses = script(&format!(
        "echo evil > {git}/HEAD; mv {git}/objects {git}/gone; : > {git}/logs/HEAD; echo end"
    ));
    let (model, env) = scene([plants, uses, Reply::text("Done.")]);
    repository(&env, &victim);
    env.append_settings("[permissions.p]\ngit_commit = true").unwrap();
    let output = env.run(["exec", "-a", "never", "--permissions", "p", "go"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let outputs: Vec<_> =
        model.requests().iter().skip(1).map(|it| it.last_output().unwrap().to_owned()).collect();
    assert!(outputs.len() == 2 && outputs.iter().all(|text| text.contains("end")), "{outputs:?}");
    let log = env.git(["-C", victim.to_str().unwrap(), "log", "--format=%s", "-g"]);
    assert_eq!(log.unwrap().trim(), "first", "{outputs:?}");
    assert!(output.stderr.contains("`git_commit` does not open it"), "{output:?}");
}

#[test]
fn commits_pass_in_working_trees_and_submodules_that_a_person_made() {
    let outside = outside();
    let at = outside.path().canonicalize().unwrap();
    let text = |path: &str| at.join(path).display().to_string();
    let commits = "echo 1 > file; git add file; git -c user.name=a -c user.email=a@b.c commit -qm allowed; \
                   echo x >> $(git rev-parse --git-dir)/config; echo x > $(git rev-parse --git-dir)/commondir; echo end";
    let places = ["tree", "main/sub", "main"];
    let replies = places.iter().flat_map(|_| [script(commits), Reply::text("Done.")]);
    let (model, env) = scene(replies);
    for name in ["other", "main"] {
        repository(&env, &at.join(name));
    }
    let main = text("main");
    env.git(["-C", &main, "worktree", "add", "-q", "--detach", &text("tree")]).unwrap();
    let adds = [
        "-c",
        "protocol.file.allow=always",
        "-C",
        &main,
        "submodule",
        "--quiet",
        "add",
        &text("other"),
        "sub",
    ];
    env.git(adds).unwrap();
    env.append_settings("[permissions.p]\ngit_commit = true").unwrap();
    for place in places {
        let place = text(place);
        good_turn(&env, &["-a", "never", "--permissions", "p", "-C", &place, "go"]);
        let told =
            model.requests().iter().filter_map(|it| it.last_output().map(str::to_owned)).next_back().unwrap();
        assert!(told.contains("end") && !told.contains("fatal"), "{place}: {told}");
        let log = env.git(["-C", &place, "log", "-1", "--format=%s"]).unwrap();
        assert_eq!(log.trim(), "allowed", "{place}: {told}");
    }
}

#[test]
fn a_rebase_that_was_planted_to_run_something_is_named_at_the_end() {
    let plants = "mkdir -p .git/rebase-merge; cd .git/rebase-merge; echo 'exec touch owned' > git-rebase-todo
                  git rev-parse HEAD > onto; cp onto orig-head; echo refs/heads/main > head-name; touch interactive";
    let (_model, env) = scene([script(plants), Reply::text("Done.")]);
    env.append_settings("[permissions.p]\ngit_commit = true").unwrap();
    let output = env.run(["exec", "-a", "never", "--permissions", "p", "go"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(output.stderr.contains("run later: `.git/rebase-merge/git-rebase-todo`."), "{output:?}");
}

#[test]
fn what_is_hidden_reaches_no_later_session_as_instructions() {
    let (model, env) = scene([
        script("ln -s .env AGENTS.md; echo end"),
        Reply::text("Done."),
        Reply::text("Done."),
        Reply::text("Done."),
    ]);
    env.write_file(".env", "planted-secret\n").unwrap();
    env.append_settings("[permissions.p.paths]\n\"**/.env\" = \"none\"").unwrap();
    good_turn(&env, &["-a", "never", "--permissions", "p", "go"]);
    assert!(env.repository().join("AGENTS.md").is_symlink());
    good_turn(&env, &["-a", "never", "--permissions", "p", "go"]);
    let resumed = env.run(["exec", "resume", "--last", "again"]).unwrap();
    assert_eq!(resumed.code(), Some(0), "{resumed:?}");
    let requests = model.requests();
    assert_eq!(requests.len(), 4);
    for request in requests {
        assert!(!request.json().to_string().contains("planted-secret"), "{}", request.json());
    }
}

#[test]
fn file_tools_do_not_look_into_what_the_system_tells_of_processes() {
    let read = |path: &str| call("read_file", &json!({"path": path}));
    let list = |path: &str| call("list_dir", &json!({"path": path}));
    let calls = vec![
        script("ln -s /proc/self/maps maps; ln -s /proc/self/fd fds; echo end"),
        read("/proc/self/maps"),
        read("/proc/net/unix"),
        read("/proc/self/environ"),
        read("maps"),
        read("/dev/fd/../maps"),
        list("/proc/self/fd"),
        list("fds"),
        list("/proc"),
        call("grep", &json!({"pattern": "Pid", "path": "/proc/self/status"})),
        call("grep", &json!({"pattern": "Pid", "path": "/proc/self"})),
    ];
    let (_env, outputs) = turn("[permissions.p]", calls, |_| {});
    assert!(outputs[0].contains("end"), "{}", outputs[0]);
    for output in &outputs[1..] {
        assert!(output.contains("may not be seen"), "{output}");
    }
}

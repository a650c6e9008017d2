//! `--worktree`: a session in a git worktree of its own, which goes with the session when it holds no work.

use std::path::PathBuf;

use skein_tests::TestEnv;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{good_turn, scene, script, state_folder};

/// The worktree of this name, if there is one.
fn worktree(env: &TestEnv, name: &str) -> Option<PathBuf> {
    let folder = std::fs::read_dir(state_folder(env).join("worktrees")).ok()?.next()?.unwrap().path();
    Some(folder.join(name)).filter(|path| path.exists())
}

fn commit(env: &TestEnv) {
    env.write_file("file", "one\n").unwrap();
    env.git(["add", "."]).unwrap();
    env.git(["-c", "user.name=me", "-c", "user.email=me@localhost", "commit", "-qm", "first"]).unwrap();
}

#[test]
fn a_session_works_in_a_worktree_of_its_own_and_takes_it_along_when_it_holds_no_work() {
    let (_model, env) = scene([
        script("cat file; git status --short | wc -l"),
        Reply::text("Looked."),
        script("echo two > file"),
        Reply::text("Changed."),
    ]);
    commit(&env);
    let output = env.run(["exec", "--json", "--worktree=look", "go"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(output.stderr.contains("on branch `skein/look`, from `"), "{output:?}");
    let lines = crate::scene::Lines::of(&output);
    let ran = lines.only("command_execution");
    assert_eq!(ran["aggregated_output"], "one\n0\n", "{ran:#}");
    assert!(worktree(&env, "look").is_some());
    let deleted = env.run(["sessions", "delete", lines.session()]).unwrap();
    assert_eq!(deleted.code(), Some(0), "{deleted:?}");
    assert_eq!(worktree(&env, "look"), None, "{deleted:?}");
    assert_eq!(env.git(["branch", "--list", "skein/*"]).unwrap(), "");

    let busy = good_turn(&env, &["--worktree=change", "go"]);
    let path = worktree(&env, "change").unwrap();
    assert_eq!(std::fs::read_to_string(path.join("file")).unwrap(), "two\n");
    assert_eq!(env.read_file("file").unwrap(), "one\n", "the user's own tree is as it was");
    let archived = env.run(["sessions", "archive", busy.session()]).unwrap();
    assert!(archived.code() == Some(0) && archived.stderr.contains("stays"), "{archived:?}");
    let deleted = env.run(["sessions", "delete", busy.session()]).unwrap();
    assert!(deleted.code() == Some(0) && deleted.stderr.contains("holds 1 changed file"), "{deleted:?}");
    assert!(path.join("file").exists(), "work is kept where nobody says otherwise");
}

#[test]
fn a_worktree_needs_a_repository_and_a_name_that_stays_in_its_folder() {
    let (_model, env) = scene([Reply::text("Never said.")]);
    commit(&env);
    for name in ["../up", "-f", "a/b"] {
        let refused = env.run(["exec", &format!("--worktree={name}"), "go"]).unwrap();
        assert_eq!(refused.code(), Some(2), "{refused:?}");
    }
    let refused = env.run(["exec", "--skip-git-repo-check", "-C", "/usr", "--worktree=x", "go"]).unwrap();
    assert!(refused.code() == Some(1) && refused.stderr.contains("git failed"), "{refused:?}");
    assert_eq!(worktree(&env, "x"), None);
}

#[test]
fn hooks_of_the_repository_do_not_run() {
    let (_model, env) = scene([Reply::text("Done.")]);
    commit(&env);
    let hook = env.repository().join(".git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}/hooked\n", env.temporary().display())).unwrap();
    rustix::fs::chmod(&hook, rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
    good_turn(&env, &["--worktree", "go"]);
    assert!(!env.temporary().join("hooked").exists());
}

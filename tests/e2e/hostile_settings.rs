//! What a repository sets for other programs that Skein, its commands or the user would start (threats R6 and R7): the
//! files of tools that fill environments, and programs that git is told to run.

use std::fs;
use std::path::Path;

use skein_tests::TestEnv;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{good_turn, json_turn, outside, patches, scene, script};

#[test]
fn r6_files_for_environments_change_neither_the_daemon_nor_its_commands() {
    const NAMES: [&str; 7] =
        ["SKEIN_HOME", "PATH", "LD_PRELOAD", "NODE_OPTIONS", "HTTPS_PROXY", "OPENAI_BASE_URL", "BASH_ENV"];
    let (model, env) = scene([script("env; tr '\\0' '\\n' < /proc/self/environ"), Reply::text("Done.")]);
    let lines = |prefix: &str| NAMES.map(|name| format!("{prefix}{name}=planted-here")).join("\n");
    for (name, text) in [
        (".env", lines("")),
        (".envrc", lines("export ")),
        (".env.local", lines("")),
        (
            ".mise.toml",
            format!("[env]\n{}", NAMES.map(|name| format!("{name} = \"planted-here\"")).join("\n")),
        ),
        (".tool-versions", "node planted-here\n".to_owned()),
        (".skein/.env", lines("")),
    ] {
        env.write_file(name, &text).unwrap();
    }
    good_turn(&env, &["go"]);
    let daemon = env.daemon_pid().unwrap();
    let own = fs::read(format!("/proc/{daemon}/environ")).unwrap();
    assert!(!String::from_utf8_lossy(&own).contains("planted-here"));
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains("PATH=") && !told.contains("planted-here"), "{told}");
    model.verify().unwrap();
}

/// Programs that git runs by its configuration, each of which leaves a file of its name.
fn configure(env: &TestEnv, canaries: &Path) {
    let mark = |name: &str| format!("touch {}/{name}; cat", canaries.display());
    for key in [
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "core.sshCommand",
        "core.askPass",
        "core.gitProxy",
        "core.alternateRefsCommand",
        "diff.external",
        "diff.x.command",
        "diff.x.textconv",
        "filter.x.clean",
        "filter.x.smudge",
        "filter.y=z.smudge",
        "filter.y=z.process",
        "merge.x.driver",
        "gpg.program",
        "credential.helper",
        "sequence.editor",
        "uploadpack.packObjectsHook",
        "alias.status",
    ] {
        let value = if key.starts_with("alias") { format!("!{}", mark(key)) } else { mark(key) };
        env.git(["config", key, &value]).unwrap();
    }
    let hooks = env.repository().join(".git/hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in ["post-checkout", "post-index-change", "reference-transaction", "pre-commit", "fsmonitor"] {
        let file = format!(".git/hooks/{hook}");
        env.write_file(&file, &format!("#!/bin/sh\n{}\n", mark(hook))).unwrap();
        let mode = fs::metadata("/bin/sh").unwrap().permissions();
        fs::set_permissions(env.repository().join(file), mode).unwrap();
    }
}

fn made(canaries: &Path) -> Vec<String> {
    let entries = fs::read_dir(canaries).unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// A repository whose settings for git name programs, as in an archive that somebody unpacked.
fn hostile(env: &TestEnv, canaries: &Path) {
    env.write_file(".gitattributes", "a filter=x diff=x merge=x\nb filter=y=z\n").unwrap();
    env.write_file("a", "one\n").unwrap();
    env.write_file("b", "one\n").unwrap();
    env.git(["add", "."]).unwrap();
    env.git(["-c", "user.name=me", "-c", "user.email=me@localhost", "commit", "-qm", "first"]).unwrap();
    configure(env, canaries);
}

#[test]
fn r7_nothing_runs_that_a_repository_names_for_git() {
    let canaries = outside();
    let (_model, env) = scene([
        patches("*** Update File: a\n@@\n-one\n+two"),
        Reply::text("Changed."),
        script("echo three > c"),
        Reply::text("Changed in a tree of its own."),
    ]);
    hostile(&env, canaries.path());
    let lines = good_turn(&env, &["go"]);
    for words in [
        &["sessions", "show", lines.session()][..],
        &["rewind", lines.session()],
        &["config", "trust", "--list"],
        &["doctor"],
    ] {
        env.run(words.iter().copied()).unwrap();
    }
    let (output, lines) = json_turn(&env, &["--worktree=apart", "go"]);
    assert_eq!(output.code(), Some(0), "{output:?}");
    env.run(["sessions", "delete", lines.session()]).unwrap();
    assert_eq!(made(canaries.path()), [""; 0]);
}

#[test]
fn r7_the_programs_would_run_for_whoever_uses_git_without_care() {
    let canaries = outside();
    let (_model, env) = scene(Vec::<Reply>::new());
    hostile(&env, canaries.path());
    env.git(["worktree", "add", "-q", "../apart"]).unwrap();
    let made = made(canaries.path());
    for name in ["filter.x.smudge", "post-checkout"] {
        assert!(made.iter().any(|it| it == name), "{name}: {made:?}");
    }
}

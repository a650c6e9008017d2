//! Errors that came with an edit, found by a language server that misbehaves as it is told: what the model is told of
//! them, and that nothing of a hostile one gets further than that.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use skein_tests::scripted_model::reply::Reply;
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{expect_none_left, good_turn, left, patches, resident, scene, script, seen, state_folder};

const SERVER: &str = env!("CARGO_BIN_EXE_language-server");

/// A server that commands could change is not started, and this checkout may be in a temporary folder.
const CLOSED: &str = "\n[sandbox_workspace_write]\nexclude_slash_tmp = true\nexclude_tmpdir_env_var = true\n";

/// A patch that makes a file of one line.
fn adds(name: &str, line: &str) -> Reply {
    patches(&format!("*** Add File: {name}\n+{line}"))
}

/// A patch that puts one line in place of another.
fn changes(name: &str, old: &str, new: &str) -> Reply {
    patches(&format!("*** Update File: {name}\n@@\n-{old}\n+{new}"))
}

/// Adds the server `fake` with these arguments, further lines of its table, and lines above it. A folder with a
/// `Makefile` is a project, which is trusted.
fn add(env: &TestEnv, arguments: &[&str], above: &str) {
    let words: Vec<_> = ["--log", "log"].iter().chain(arguments).map(|word| format!("{word:?}")).collect();
    env.prepend_settings(above).unwrap();
    let table = format!(
        "\n[language_servers.fake]\ncommand = {SERVER:?}\nargs = [{}]\nlanguages = [\"fake\"]\n{CLOSED}",
        words.join(", ")
    );
    env.append_settings(&table).unwrap();
    env.write_file("Makefile", "all:\n").unwrap();
}

fn trust(env: &TestEnv) {
    let output = env.run(["config", "trust", "--yes"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
}

/// The logs of all servers that were started.
fn logs(env: &TestEnv) -> Vec<String> {
    let folders = fs::read_dir(state_folder(env).join("language-servers"));
    let folders = folders.map(|folders| folders.map(|folder| folder.unwrap().path()).collect());
    let folders: Vec<PathBuf> = folders.unwrap_or_default();
    folders.iter().filter_map(|folder| fs::read_to_string(folder.join("tmp/log")).ok()).collect()
}

/// What the model was told of its calls.
fn told(model: &ScriptedModel) -> Vec<String> {
    model.requests().iter().skip(1).map(|request| request.last_output().unwrap().to_owned()).collect()
}

/// A turn with these patches and a server with these arguments; what the model was told of each.
fn turn_of(
    patches: impl IntoIterator<Item = Reply>,
    arguments: &[&str],
    above: &str,
) -> (TestEnv, Vec<String>) {
    let replies = patches.into_iter().chain([Reply::text("Done.")]);
    let (model, env) = scene(replies);
    add(&env, arguments, above);
    trust(&env);
    good_turn(&env, &["go"]);
    let told = told(&model);
    (env, told)
}

/// As long as a busy machine needs.
const PATIENT: &str = "diagnostics_timeout = \"20s\"\n";

#[test]
fn the_model_is_told_the_errors_that_came_with_its_change_and_no_others() {
    for mode in [&[][..], &["--asked"], &["--confused"]] {
        let patches = [
            adds("src/a.fake", "ü wrong"),
            changes("src/a.fake", "ü wrong", "ü wrong\n+doubtful\n+wrong wrong"),
            changes("src/a.fake", "doubtful", "fine"),
        ];
        let (env, told) = turn_of(patches, mode, PATIENT);
        let success = |mark: &str| format!("Success. Updated the following files:\n{mark} src/a.fake");
        let new = "New errors since this change, says fake:";
        assert_eq!(
            told,
            [
                format!("{}\n{new}\nsrc/a.fake:1:3: this is wrong [E1]", success("A")),
                format!("{}\n{new}\nsrc/a.fake:3:1: this is wrong [E1]", success("M")),
                success("M"),
            ],
            "{mode:?}"
        );
        // One server for all of them.
        let logs = logs(&env);
        assert_eq!(logs.len(), 1, "{logs:?}");
        assert_eq!(logs[0].lines().filter(|line| *line == "initialize").count(), 1, "{logs:?}");
    }
}

#[test]
fn a_patch_that_a_shell_command_holds_is_looked_at_like_any_other() {
    let command = |line: &str| {
        format!(
            "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: {line}.fake\n+{line}\n*** End Patch\nEOF\n"
        )
    };
    let patches = [
        script(&command("wrong")),
        Reply::call("exec_command", &json!({"cmd": command("so wrong")})),
        Reply::call("shell", &json!({"command": ["bash", "-lc", command("all wrong")]})),
    ];
    let (_env, told) = turn_of(patches, &[], PATIENT);
    let places = ["wrong.fake:1:1", "so wrong.fake:1:4", "all wrong.fake:1:5"];
    for (told, place) in told.iter().zip(places) {
        assert!(told.contains("Success. Updated the following files:"), "{told}");
        assert!(told.ends_with(&format!("says fake:\n{place}: this is wrong [E1]")), "{told}");
    }
}

#[test]
fn errors_in_other_files_that_were_changed_are_told_too() {
    let both = patches("*** Add File: a.fake\n+has one\n*** Add File: b.fake\n+needs one");
    let breaks = patches(
        "*** Update File: a.fake\n@@\n-has one\n+has two\n*** Update File: b.fake\n@@\n-needs one\n+needs one\n+",
    );
    let (_env, told) = turn_of([both, breaks], &[], PATIENT);
    assert!(!told[0].contains("errors"), "{told:?}");
    assert!(told[1].ends_with("says fake:\nb.fake:1:1: nothing has one [E1]"), "{told:?}");
}

#[test]
fn errors_in_files_that_were_not_changed_are_told_too_once_they_are_new() {
    let patches = [
        adds("a.fake", "fine"),
        changes("a.fake", "fine", "breaks c.fake"),
        changes("a.fake", "breaks c.fake", "breaks c.fake\n+more"),
    ];
    let (_env, told) = turn_of(patches, &[], PATIENT);
    assert!(!told[0].contains("errors") && !told[2].contains("errors"), "{told:?}");
    assert!(told[1].ends_with("says fake:\nc.fake:8:1: broken by another file [E1]"), "{told:?}");
}

#[test]
fn sessions_share_a_server_and_it_ends_with_the_daemon() {
    let (model, env) =
        scene([adds("a.fake", "wrong"), Reply::text("Done."), adds("b.fake", "wrong"), Reply::text("Done.")]);
    add(&env, &[], PATIENT);
    trust(&env);
    good_turn(&env, &["one"]);
    good_turn(&env, &["two"]);
    model.verify().unwrap();
    assert_eq!(left(&env, SERVER).len(), 1, "{:?}", left(&env, SERVER));
    assert_eq!(logs(&env).len(), 1);
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    expect_none_left(&env, SERVER);
}

/// R3.
#[test]
fn no_server_starts_in_a_folder_that_nobody_trusts_or_where_it_is_switched_off() {
    let (model, env) = scene([adds("a.fake", "wrong"), Reply::text("Done.")]);
    add(&env, &[], PATIENT);
    let lines = good_turn(&env, &["go"]);
    assert_eq!(told(&model), ["Success. Updated the following files:\nA a.fake"]);
    assert_eq!(logs(&env), [""; 0]);
    // That a folder is a project is no reason to warn of it.
    assert!(!lines.types().contains(&"error"), "{:?}", lines.0);
    let (env, told) = turn_of([adds("a.fake", "wrong")], &[], "diagnostics = \"off\"\n");
    assert_eq!(told, ["Success. Updated the following files:\nA a.fake"]);
    assert_eq!(logs(&env), [""; 0]);
}

/// R22: a program that a repository brings is not taken for the one that the settings name.
#[test]
fn a_server_that_a_repository_brings_is_not_started() {
    let (model, env) = scene([adds("a.rs", "wrong"), Reply::text("Done.")]);
    env.prepend_settings(PATIENT).unwrap();
    env.write_file("Cargo.toml", "").unwrap();
    let script = format!("#!/bin/sh\necho started > {:?}\n", env.temporary().join("canary"));
    env.write_file("bin/rust-analyzer", &script).unwrap();
    let program = env.repository().join("bin/rust-analyzer");
    rustix::fs::chmod(&program, rustix::fs::Mode::RWXU).unwrap();
    trust(&env);
    let path = format!("{}:/usr/bin:/bin", env.repository().join("bin").display());
    let output = env.command(["exec", "go"]).variable("PATH", path).run().unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert_eq!(told(&model), ["Success. Updated the following files:\nA a.rs"]);
    assert!(!env.temporary().join("canary").exists());
}

#[test]
fn a_server_changes_nothing_and_reaches_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (env, told) = turn_of([adds("a.fake", "wrong")], &["--breaks-out-to", &address], PATIENT);
    assert!(told[0].ends_with("a.fake:1:1: this is wrong [E1]"), "{told:?}");
    let logs = logs(&env);
    assert!(logs[0].contains("\ntried\n"), "{logs:?}");
    assert!(!logs[0].contains("wrote") && !logs[0].contains("reached"), "{logs:?}");
    assert_eq!(fs::read_to_string(env.repository().join("a.fake")).unwrap(), "wrong\n");
    assert!(listener.accept().is_err());
}

#[test]
fn a_server_that_does_not_answer_holds_a_patch_up_no_longer_than_it_may() {
    for mode in ["--silent", "--mute"] {
        let began = Instant::now();
        let (_env, told) = turn_of([adds("a.fake", "wrong")], &[mode], "diagnostics_timeout = \"300ms\"\n");
        assert_eq!(told, ["Success. Updated the following files:\nA a.fake"], "{mode}");
        assert!(began.elapsed() < Duration::from_secs(15), "{mode}: {:?}", began.elapsed());
    }
}

#[test]
fn a_server_that_breaks_off_is_told_of_to_people_and_not_to_the_model() {
    for (mode, why) in
        [("--broken", "no configuration here"), ("--dying", "dying now"), ("--malformed", "makes no sense")]
    {
        let (env, told) = turn_of([adds("a.fake", "wrong")], &[mode], PATIENT);
        assert_eq!(told, ["Success. Updated the following files:\nA a.fake"], "{mode}");
        let doctor = env.run(["doctor"]).unwrap();
        let line = doctor.stdout.lines().find(|line| line.contains("fake: ")).unwrap_or_default();
        assert!(line.starts_with("warning") && line.contains(why), "{mode}: {}", seen(&doctor));
        expect_none_left(&env, SERVER);
    }
}

#[test]
fn what_a_server_says_is_bounded_and_does_nothing_to_a_terminal() {
    let lines: Vec<_> = (0..100).map(|number| format!("wrong {number}")).collect();
    let file = format!("*** Add File: a.fake\n+{}", lines.join("\n+"));
    let (_env, told) = turn_of([patches(&file)], &["--shouting"], PATIENT);
    assert!(!told[0].contains(['\u{1b}', '\u{7}', '\u{202e}']), "{told:?}");
    assert!(told[0].contains("\na.fake:1:1: \\u{1b}]0;owned\\u{7}this is wrong "), "{told:?}");
    assert!(told[0].ends_with("\n… and 80 more"), "{told:?}");
    assert!(told[0].len() < 12_000 && told[0].lines().count() == 24, "{}", told[0].len());
}

#[test]
fn a_server_that_floods_is_ended_and_costs_no_memory() {
    let (model, env) = scene([adds("a.fake", "wrong"), Reply::text("Done.")]);
    add(&env, &["--flooding"], "diagnostics_timeout = \"500ms\"\n");
    trust(&env);
    good_turn(&env, &["go"]);
    assert_eq!(told(&model), ["Success. Updated the following files:\nA a.fake"]);
    let most = resident(env.daemon_pid().unwrap());
    assert!(most < 200 * 1024 * 1024, "{most}");
}

#[test]
fn a_person_sees_which_servers_there_are_and_what_lets_them_work() {
    let (_model, env) = scene::<Reply>([]);
    add(&env, &[], "");
    let doctor = || env.run(["doctor"]).unwrap().stdout;
    let before = doctor();
    assert!(before.contains(&format!("fake: {SERVER}")), "{before}");
    assert!(before.contains("not looked for here"), "{before}");
    let shown = env.run(["config", "trust", "--show"]).unwrap().stdout;
    assert!(shown.contains("work for language servers in Makefile (not trusted)"), "{shown}");
    trust(&env);
    let after = doctor();
    assert!(after.contains("fake: ") && !after.contains("not looked for"), "{after}");
}

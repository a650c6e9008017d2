//! The programs that a running command starts, where rules have a say: which are asked about, refused, and run outside
//! the sandbox; judged by what is there afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use protocol::question::{GrantScope, QuestionKind};
use skein_tests::TestEnv;
use skein_tests::scripted_model::reply::Reply;
use tempfile::TempDir;

use crate::escalation::{commands, no, turn, turns, yes};
use crate::scene::{escalates, good_turn, json_turn, outside, scene, script};

fn write_rules(env: &TestEnv, text: &str) {
    let folder = env.skein_home().join("rules");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("mine.rules"), text).unwrap();
}

fn is_there(env: &TestEnv, name: &str) -> bool {
    env.repository().join(name).exists()
}

const ASKS: &str = "prefix_rule([\"touch\"], decision=\"prompt\", justification=\"It makes files\")\n";
const FORBIDS: &str = "prefix_rule([\"touch\"], decision=\"forbidden\", justification=\"It makes files\")\n";
const SCRIPT: &str = "echo a > before; touch made; echo b > after";

#[tokio::test]
async fn in_a_script_the_program_that_a_rule_names_is_asked_about_alone() {
    for (answer, is_made) in [(yes(GrantScope::Once), true), (no(), false)] {
        let (model, env) = scene([script(SCRIPT), Reply::text("Done.")]);
        write_rules(&env, ASKS);
        let (asked, _) = turn(&env, answer).await;
        assert_eq!(asked.len(), 1, "{asked:?}");
        let QuestionKind::Command { argv, is_escalated, .. } = &asked[0].kind else { panic!("{asked:?}") };
        assert_eq!((argv.join(" ").as_str(), *is_escalated), ("touch made", false));
        assert!(asked[0].reason.contains("It makes files"), "{}", asked[0].reason);
        assert_eq!(is_there(&env, "made"), is_made);
        assert!(is_there(&env, "before") && is_there(&env, "after"), "the rest of the script ran");
        let told = model.requests()[1].last_output().unwrap().to_owned();
        assert_eq!(told.contains("`touch made` was refused: a person declined it"), !is_made, "{told}");
        model.verify().unwrap();
    }
}

#[tokio::test]
async fn a_yes_for_the_session_answers_the_same_program_again() {
    let again = "touch made; rm made; touch made; echo b > after";
    let (model, env) = scene([script(again), Reply::text("Done.")]);
    write_rules(&env, ASKS);
    let (asked, _) = turn(&env, yes(GrantScope::Session)).await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(is_there(&env, "made") && is_there(&env, "after"));
    model.verify().unwrap();
}

#[tokio::test]
async fn what_was_asked_about_before_it_began_is_not_asked_again() {
    let (model, env) = scene([script("touch made"), Reply::text("Done.")]);
    write_rules(&env, ASKS);
    let (asked, _) = turn(&env, yes(GrantScope::Once)).await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(is_there(&env, "made"));
    model.verify().unwrap();
}

#[test]
fn a_question_for_a_program_ends_exec_where_nobody_can_answer() {
    let (_model, env) = scene([script(SCRIPT)]);
    write_rules(&env, ASKS);
    let (output, lines) = json_turn(&env, &["-a", "on-request", "go"]);
    assert_eq!(output.code(), Some(3), "{output:?}");
    assert!(lines.failure().1.contains("touch made"), "{:?}", lines.last());
    assert!(!is_there(&env, "made"));
}

/// Ways to start `touch` that no look at the command beforehand finds, each making a file of its own.
fn evasions(env: &TestEnv) -> Vec<(String, PathBuf)> {
    let python = |body: &str| format!("import os, sys\n{body}\n");
    let files = [
        ("script.sh", "touch made-by-script\n".to_owned()),
        ("env.sh", "env -i touch made-by-env\n".to_owned()),
        ("path.sh", "/usr/bin/touch made-by-path\n".to_owned()),
        ("odd.sh", "/usr//bin/../bin/touch made-by-odd-path\n".to_owned()),
        ("link.sh", "ln -s /usr/bin/touch other; ./other made-by-link\n".to_owned()),
        ("descriptor.sh", "exec 9</usr/bin/touch; /proc/self/fd/9 made-by-descriptor\n".to_owned()),
        (
            "far.sh",
            "exec 9</usr/bin/touch; ln -s /proc/self/fd far; far/9 made-by-far-descriptor\n".to_owned(),
        ),
        (
            "near.sh",
            "exec 9</usr/bin/touch; ln -s /proc/self/fd/9 near; ./near made-by-near-descriptor\n".to_owned(),
        ),
        ("name.sh", "exec -a harmless touch made-by-name\n".to_owned()),
        ("loader.sh", "for l in /lib64/ld-linux*; do $l /usr/bin/touch made-by-loader; done\n".to_owned()),
        (
            "first.sh",
            "printf '#!/usr/bin/touch made-by-first-line\\n' > first; chmod +x first; ./first\n".to_owned(),
        ),
        ("eval.sh", "x=tou; eval \"${x}ch made-by-eval\"\n".to_owned()),
        (
            "spawn.py",
            python("os.waitpid(os.posix_spawnp('touch', ['touch', 'made-by-spawn'], os.environ), 0)"),
        ),
        ("exec.py", python("os.execv('/usr/bin/touch', ['x', 'made-by-exec'])")),
        (
            "fexec.py",
            python("os.execve(os.open('/usr/bin/touch', 0), ['x', 'made-by-fexec'], dict(os.environ))"),
        ),
    ];
    let made = |text: &str| {
        let start = text.find("made-by-").unwrap();
        let name: String = text[start..]
            .chars()
            .take_while(|letter| letter.is_ascii_lowercase() || *letter == '-')
            .collect();
        env.repository().join(name)
    };
    let mut found = Vec::new();
    for (name, text) in files {
        env.write_file(name, &text).unwrap();
        let shell = if Path::new(name).extension().is_some_and(|it| it == "py") { "python3" } else { "bash" };
        found.push((format!("{shell} {name}"), made(&text)));
    }
    found
}

/// What the evasions made under these rules.
fn made(rules: Option<&str>) -> Vec<PathBuf> {
    let (model, env) = scene([script("bash all; true"), Reply::text("Done.")]);
    if let Some(rules) = rules {
        write_rules(&env, rules);
    }
    let evasions = evasions(&env);
    let all: Vec<&str> = evasions.iter().map(|(command, _)| command.as_str()).collect();
    env.write_file("all", &all.join("\n")).unwrap();
    good_turn(&env, &["-a", "never", "go"]);
    model.verify().unwrap();
    evasions.into_iter().map(|(_, made)| made).filter(|made| made.exists()).collect()
}

#[test]
fn a_forbidden_program_does_not_start_however_it_is_started() {
    let left = made(Some(FORBIDS));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_same_programs_start_where_no_rule_forbids_them() {
    assert_eq!(made(None).len(), 15);
}

/// A folder outside, and rules that let `tee` write a file in it without a question.
fn way_out() -> (TempDir, PathBuf, String) {
    let folder = outside();
    let file = folder.path().canonicalize().unwrap().join("allowed");
    let rules = format!("outside_rule([\"tee\", \"{}\"])\n", file.display());
    (folder, file, rules)
}

#[test]
fn only_the_program_that_a_rule_lets_out_runs_outside_with_the_same_streams() {
    let (folder, file, rules) = way_out();
    let beside = folder.path().join("beside");
    let text = format!(
        "echo told | tee {} > copied; echo $? > code; echo x > {}; true",
        file.display(),
        beside.display()
    );
    let (model, env) = scene([script(&text), Reply::text("Done.")]);
    write_rules(&env, &rules);
    good_turn(&env, &["-a", "never", "go"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "told\n");
    assert_eq!(env.read_file("copied").unwrap(), "told\n");
    assert_eq!(env.read_file("code").unwrap(), "0\n");
    assert!(!beside.exists(), "the script itself stayed inside");
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(told.contains("ran outside the sandbox: A rule lets out of the sandbox"), "{told}");
    model.verify().unwrap();
}

/// A rule on `git fetch` means the session's repository, and not one that the command has just made, whose settings name
/// the program that is run.
#[test]
fn a_repository_that_a_command_made_is_none_that_a_rule_lets_git_out_for() {
    let folder = outside();
    let evil = folder.path().canonicalize().unwrap().join("evil");
    let call = format!(
        "mkdir sub && cd sub && git init -q . && git config remote.origin.url .. && \
         git config remote.origin.uploadpack 'touch {}; git-upload-pack' && git fetch; true",
        evil.display()
    );
    let (model, env) = scene([script(&call), Reply::text("Done.")]);
    write_rules(&env, "outside_rule([\"git\", \"fetch\"])\n");
    good_turn(&env, &["-a", "never", "go"]);
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(!evil.exists() && !told.contains("ran outside"), "{told}");
    model.verify().unwrap();
}

/// As a virtual environment of the project does it: a folder that commands may write is searched first.
fn search_own_bin_first(env: &mut TestEnv) {
    let folder = env.repository().join("bin");
    env.search_first(&folder);
}

/// Puts another `uname` there, which makes this file.
fn plants_uname(evil: &Path) -> Reply {
    script(&format!(
        "mkdir -p bin && printf '#!/bin/sh\\nid > {}\\n' > bin/uname && chmod +x bin/uname",
        evil.display()
    ))
}

/// Ways to ask for `uname -r` outside the sandbox.
const ASKED_OUT: [&[&str]; 2] = [&["/bin/bash", "-c", "uname -r"], &["uname", "-r"]];
const UNAME: &str = "outside_rule([\"uname\", \"-r\"])\n";

#[test]
fn what_a_command_planted_does_not_leave_by_a_rule_because_the_agent_asks_for_that() {
    let folder = outside();
    let evil = folder.path().canonicalize().unwrap().join("evil");
    let asks = ASKED_OUT.map(escalates);
    let (model, mut env) = scene([plants_uname(&evil)].into_iter().chain(asks).chain([Reply::text("Done.")]));
    search_own_bin_first(&mut env);
    write_rules(&env, UNAME);
    good_turn(&env, &["-a", "never", "go"]);
    for request in &model.requests()[2..] {
        let told = request.last_output().unwrap();
        assert!(!evil.exists() && told.contains("`uname -r` stayed in the sandbox: `PATH` has"), "{told}");
    }
    model.verify().unwrap();
}

#[tokio::test]
async fn what_a_command_planted_is_asked_about_though_a_rule_or_an_earlier_leave_would_let_it_out() {
    for (argv, has_rule) in ASKED_OUT.into_iter().flat_map(|argv| [(argv, true), (argv, false)]) {
        let folder = outside();
        let evil = folder.path().canonicalize().unwrap().join("evil");
        let (model, mut env) = scene([
            escalates(argv),
            Reply::text("Done."),
            plants_uname(&evil),
            escalates(argv),
            Reply::text("Done."),
        ]);
        search_own_bin_first(&mut env);
        if has_rule {
            write_rules(&env, UNAME);
        }
        let (asked, _) = turns(&env, [yes(GrantScope::Session), no()]).await;
        assert_eq!(asked[0].len(), usize::from(!has_rule), "{asked:?}");
        let [question] = &asked[1][..] else { panic!("{argv:?} {has_rule}: {asked:?}") };
        let QuestionKind::Command { is_escalated: true, refusals, .. } = &question.kind else {
            panic!("{question:?}")
        };
        assert_eq!(refusals[0].target, evil.to_str().unwrap());
        assert_eq!(question.reason.contains("could not leave by that"), has_rule, "{}", question.reason);
        assert!(!evil.exists(), "{argv:?} {has_rule}");
        model.verify().unwrap();
    }
}

/// Where nothing is in the way a whole leaves at once, and nobody is asked a second time.
#[tokio::test]
async fn a_whole_that_was_let_out_for_the_session_leaves_at_once() {
    for argv in [&["/bin/bash", "-c", "echo x >> FILE"][..], &["tee", "FILE"]] {
        let folder = outside();
        let file = folder.path().canonicalize().unwrap().join("made");
        let argv: Vec<_> = argv.iter().map(|word| word.replace("FILE", file.to_str().unwrap())).collect();
        let words: Vec<_> = argv.iter().map(String::as_str).collect();
        let (model, env) = scene([escalates(&words), escalates(&words), Reply::text("Done.")]);
        let (asked, seen) = turn(&env, yes(GrantScope::Session)).await;
        assert_eq!(asked.len(), 1, "{asked:?}");
        let all = commands(&seen);
        assert!(all.len() == 2 && all.iter().all(|(_, command)| command.is_escalated), "{all:?}");
        assert!(file.exists());
        let told = model.requests()[2].last_output().unwrap().to_owned();
        assert!(told.contains("ran outside the sandbox: a person let it out before"), "{told}");
        model.verify().unwrap();
    }
}

/// What "always" once wrote for `cd sub && ls`, beside the rule on `git fetch`.
const PARTS: &str =
    "outside_rule([\"cd\", \"sub\"])\noutside_rule([\"ls\"])\noutside_rule([\"git\", \"fetch\"])\n";

#[test]
fn a_script_that_goes_elsewhere_does_not_leave_by_rules_on_its_parts() {
    let folder = outside();
    let evil = folder.path().canonicalize().unwrap().join("evil");
    let makes = format!(
        "mkdir sub && cd sub && git init -q . && git config remote.origin.url .. && \
         git config remote.origin.uploadpack 'touch {}; git-upload-pack'",
        evil.display()
    );
    let (model, env) = scene([
        script(&makes),
        escalates(&["/bin/bash", "-c", "cd sub && git fetch"]),
        escalates(&["/bin/bash", "-c", "ls; . ./go; git fetch"]),
        Reply::text("Done."),
    ]);
    write_rules(&env, PARTS);
    env.write_file("go", "cd sub\n").unwrap();
    good_turn(&env, &["-a", "never", "go"]);
    assert!(!evil.exists());
    model.verify().unwrap();
}

#[test]
fn what_only_looks_like_the_program_that_may_leave_stays_inside() {
    let (folder, file, rules) = way_out();
    let evil = folder.path().join("evil");
    let planted = format!("#!/bin/sh\necho x > {}\n", evil.display());
    let shown = file.display();
    let calls = [
        "chmod +x tee".to_owned(),
        // Another program of that name.
        format!("PATH=.:$PATH; tee {shown} < /dev/null; true"),
        format!("exec -a tee ./tee {shown}"),
        format!("./tee {shown}; true"),
        // With something in its environment that bends it.
        format!("LD_PRELOAD=./x.so tee {shown} < /dev/null; true"),
        format!("A=b tee {shown} < /dev/null; true"),
        // With other arguments.
        format!("tee -a {shown} < /dev/null; tee {shown} {} < /dev/null; true", evil.display()),
    ];
    let (model, env) = scene(calls.iter().map(|call| script(call)).chain([Reply::text("Done.")]));
    write_rules(&env, &rules);
    env.write_file("tee", &planted).unwrap();
    good_turn(&env, &["-a", "never", "go"]);
    assert!(!file.exists() && !evil.exists());
    model.verify().unwrap();
}

/// A program whose arguments another thread changes as long as it waits for a verdict.
const CHANGES: &str = r#"
import ctypes, os, sys, threading
allowed, evil = sys.argv[1].encode(), sys.argv[2].encode()
assert len(allowed) == len(evil)
libc = ctypes.CDLL(None)
for _ in range(12):
    if os.fork() == 0:
        text = ctypes.create_string_buffer(allowed)
        argv = (ctypes.c_char_p * 3)(b"tee", ctypes.cast(text, ctypes.c_char_p), None)
        ctypes.cast(argv, ctypes.POINTER(ctypes.c_void_p))[1] = ctypes.addressof(text)
        def change():
            while True:
                ctypes.memmove(text, evil, len(evil))
                ctypes.memmove(text, allowed, len(allowed))
        threading.Thread(target=change, daemon=True).start()
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        environ = open("environment", "rb").read().splitlines()
        envp = (ctypes.c_char_p * (len(environ) + 1))(*environ, None)
        libc.execve(b"/usr/bin/tee", argv, envp)
        os._exit(1)
for _ in range(12):
    os.wait()
"#;

#[test]
fn what_a_thread_changes_after_the_call_does_not_run_outside() {
    let (folder, file, rules) = way_out();
    let evil = folder.path().canonicalize().unwrap().join("forbids");
    let call = format!(
        "env > environment; python3 change.py {} {} 2> /dev/null; true",
        file.display(),
        evil.display()
    );
    let (model, env) = scene([script(&call), Reply::text("Done.")]);
    write_rules(&env, &rules);
    env.write_file("change.py", CHANGES).unwrap();
    good_turn(&env, &["-a", "never", "go"]);
    let told = model.requests()[1].last_output().unwrap().to_owned();
    assert!(file.exists(), "what may leave did: {told}");
    assert!(!evil.exists(), "{told}");
    model.verify().unwrap();
}

#[tokio::test]
async fn a_command_that_was_let_out_for_the_session_leaves_a_script_too() {
    let folder = outside();
    let file = folder.path().canonicalize().unwrap().join("made");
    let argv = ["touch", file.to_str().unwrap()];
    let in_script = format!("echo a > before; touch {}; echo b > after", file.display());
    let remove = format!("rm {}", file.display());
    let (model, env) = scene([
        escalates(&argv),
        escalates(&["/bin/bash", "-c", &remove]),
        script(&in_script),
        Reply::text("Done."),
    ]);
    let (asked, seen) = turn(&env, yes(GrantScope::Session)).await;
    assert_eq!(asked.len(), 2, "{asked:?}");
    let (_, last) = commands(&seen).pop().unwrap();
    assert!(!last.is_escalated && file.exists(), "{last:?}");
    assert!(is_there(&env, "before") && is_there(&env, "after"));
    model.verify().unwrap();
}

#[tokio::test]
async fn a_program_of_a_command_in_the_background_is_asked_about_too() {
    for (answer, is_made) in [(yes(GrantScope::Once), true), (no(), false)] {
        let call = serde_json::json!({"cmd": SCRIPT, "yield_time_ms": 20_000});
        let (model, env) = scene([Reply::call("exec_command", &call), Reply::text("Done.")]);
        write_rules(&env, ASKS);
        let (asked, _) = turn(&env, answer).await;
        assert_eq!(asked.len(), 1, "{asked:?}");
        assert_eq!(is_there(&env, "made"), is_made);
        assert!(is_there(&env, "after"));
        let told = model.requests()[1].last_output().unwrap().to_owned();
        assert_eq!(told.contains("`touch made` was refused"), !is_made, "{told}");
        model.verify().unwrap();
    }
}

#[test]
fn every_rung_asks_the_rules_and_lets_out_what_they_name() {
    for backend in ["namespaces", "landlock", "bwrap"] {
        if backend == "bwrap" && !Path::new("/usr/bin/bwrap").exists() {
            continue;
        }
        let (folder, file, rules) = way_out();
        let beside = folder.path().join("beside");
        let text = format!(
            "cd sub; echo told | tee {} > copied; env touch refused; echo x > {}; echo end > end",
            file.display(),
            beside.display()
        );
        let (model, env) = scene([script("bash sub/run.sh"), Reply::text("Done.")]);
        let sub = env.repository().canonicalize().unwrap().join("sub");
        let rules = rules.replace("])", &format!("], folder=\"{}\")", sub.display()));
        write_rules(&env, &format!("{rules}{}", FORBIDS.replace("touch", "env")));
        env.write_file("sub/run.sh", &text).unwrap();
        env.append_settings(&format!("[sandbox]\nbackend = \"{backend}\"")).unwrap();
        good_turn(&env, &["-a", "never", "go"]);
        let told = model.requests()[1].last_output().unwrap().to_owned();
        assert_eq!(fs::read_to_string(&file).unwrap(), "told\n", "{backend}: {told}");
        assert_eq!(env.read_file("sub/copied").unwrap(), "told\n", "{backend}: {told}");
        assert!(is_there(&env, "sub/end") && !is_there(&env, "sub/refused"), "{backend}: {told}");
        assert!(!beside.exists(), "{backend}: {told}");
        model.verify().unwrap();
    }
}

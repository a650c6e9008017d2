//! What a repository puts before the tools that the daemon itself carries out, and before those that look for
//! instructions (threats R8, R10 to R12 and R19): links, swapped folders, names that act on a terminal, files that
//! never end. The same table of paths goes through each tool, as the escape suite's goes through commands.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::api::daemon::DaemonClient;
use protocol::daemon::DaemonStatusParams;
use rustix::fs::{CWD, FileType, Mode, mknodat, symlink};
use serde_json::{Value, json};
use skein_tests::environment::process::Invocation;
use skein_tests::scripted_model::reply::{Answer, Reply};
use skein_tests::{ScriptedModel, TestEnv};

use crate::scene::{SOON, client, good_turn, outside, patches, resident, scene, script, seen, state_folder};

const SECRET: &str = "planted-secret-in-a-file";

fn call(name: &str, arguments: &Value) -> Reply {
    Reply::call(name, arguments)
}

/// A turn in which the model makes these calls, one after the other; what it was told of each.
fn told(calls: Vec<Reply>, prepare: impl FnOnce(&TestEnv)) -> (ScriptedModel, TestEnv, Vec<String>) {
    let (model, env) = scene(calls.into_iter().chain([Reply::text("Done.")]));
    prepare(&env);
    good_turn(&env, &["go"]);
    let requests = model.requests();
    let outputs = requests.iter().skip(1).map(|request| request.last_output().unwrap().to_owned());
    let outputs = outputs.collect();
    (model, env, outputs)
}

fn pipe(path: &Path) {
    let _ = fs::remove_file(path);
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// All that the model was ever sent.
fn sent(model: &ScriptedModel) -> String {
    model.requests().iter().map(|request| request.json().to_string()).collect()
}

#[test]
fn r8_instruction_files_that_lead_elsewhere_bring_nothing_from_there() {
    let elsewhere = outside();
    let secret = elsewhere.path().join("id_rsa");
    fs::write(&secret, SECRET).unwrap();
    let (model, env) = scene([Reply::text("Done."), Reply::text("Done.")]);
    let repository = env.repository();
    let link = |to: &Path, from: &str| symlink(to, repository.join(from)).unwrap();
    for folder in ["a/b/c", "a/linked", ".skein", ".agents", ".claude"] {
        fs::create_dir_all(repository.join(folder)).unwrap();
    }
    let up: PathBuf = std::iter::repeat_n("..", 30).chain(["."]).collect();
    link(&secret, "AGENTS.md");
    link(&up.join(secret.strip_prefix("/").unwrap()), "a/CLAUDE.md");
    fs::create_dir(elsewhere.path().join("rules")).unwrap();
    for name in ["AGENTS.md", "CLAUDE.md", "SKILL.md"] {
        fs::write(elsewhere.path().join("rules").join(name), SECRET).unwrap();
    }
    // A folder that is a link, and skills and commands behind one.
    symlink(elsewhere.path().join("rules"), repository.join("a/b/linked")).unwrap();
    for folder in [".skein/skills", ".agents/skills", ".claude/skills", ".claude/commands"] {
        link(elsewhere.path(), folder);
    }
    let mentions = format!("Read @{0} and @../../../..{0} and [it]({0}).\n", secret.display());
    env.write_file("a/b/AGENTS.md", &mentions).unwrap();
    env.write_file("a/b/c/AGENTS.md", "A rule of the repository.\n").unwrap();
    pipe(&repository.join("a/linked/AGENTS.md"));
    good_turn(&env, &["-C", "a/b/c", "go"]);
    good_turn(&env, &["-C", "a/linked", "go"]);
    let sent = sent(&model);
    assert!(sent.contains("A rule of the repository."), "{sent}");
    assert!(!sent.contains(SECRET), "{sent}");
}

#[test]
fn r10_names_of_files_do_nothing_to_a_terminal() {
    let names = [
        "a\u{1b}]52;c;b3duZWQ=\u{7}b",
        "a\u{1b}[2J\u{1b}[Hb",
        "a\u{9b}2Jb",
        "a\u{202e}txt.exe",
        "a\u{200b}b",
        "a\rb",
        "\u{1b}]8;;https://evil.example\u{1b}\\link",
    ];
    let calls = names.map(|name| patches(&format!("*** Add File: {name}\n+x"))).into_iter();
    let (_model, env) = scene(calls.chain([Reply::text("Done.")]));
    let output = env.run(["exec", "name \u{1b}]0;owned\u{7}it"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let listed = env.run(["sessions"]).unwrap();
    for output in [&output, &listed] {
        let seen = seen(output);
        let acts =
            |letter: char| matches!(letter, '\u{1b}' | '\u{7}' | '\r' | '\u{9b}' | '\u{202e}' | '\u{200b}');
        assert!(!seen.contains(acts), "{seen:?}");
    }
}

/// Paths that a session must not change, each with why a tool might.
fn closed_to_changes(env: &TestEnv, elsewhere: &Path) -> Vec<(String, &'static str)> {
    let repository = env.repository();
    let link = |to: &Path, from: &str| symlink(to, repository.join(from)).unwrap();
    link(elsewhere, "folder-link");
    link(&elsewhere.join("kept"), "file-link");
    link(&elsewhere.join("dangling"), "dangling-link");
    link(Path::new("folder-link"), "chain");
    link(&repository.join(".git"), "git-link");
    link(Path::new("circle"), "circle");
    pipe(&repository.join("pipe"));
    let shown = elsewhere.display();
    vec![
        (format!("{shown}/new"), "absolute path"),
        (format!("{shown}/kept"), "absolute path of a file that is there"),
        (format!("../../../../../../../../../..{shown}/new"), "dots"),
        ("folder-link/new".to_owned(), "link to a folder"),
        ("chain/new".to_owned(), "chain of links"),
        ("file-link".to_owned(), "link to a file"),
        ("dangling-link".to_owned(), "link to what is not there"),
        (format!("/proc/self/root{shown}/new"), "root of the process"),
        (format!("/proc/self/cwd{shown}/new"), "folder of the process"),
        (format!("/proc/thread-self/root{shown}/new"), "root of the thread"),
        (".git/hooks/post-checkout".to_owned(), "hook of git"),
        (".git/config".to_owned(), "settings of git"),
        ("git-link/config".to_owned(), "settings of git by a link"),
        (format!("{}/config.toml", env.skein_home().display()), "settings of Skein"),
        ("pipe".to_owned(), "pipe"),
        ("/dev/null".to_owned(), "device"),
        ("circle".to_owned(), "circle"),
    ]
}

#[test]
fn r11_no_patch_changes_what_a_command_could_not() {
    let elsewhere = outside();
    let kept = elsewhere.path().join("kept");
    fs::write(&kept, "kept\n").unwrap();
    let (model, env) = scene(Vec::<Reply>::new());
    env.write_file("own", "own\n").unwrap();
    let config = fs::read_to_string(env.repository().join(".git/config")).unwrap();
    let settings = fs::read_to_string(env.settings_file()).unwrap();
    let mut attempts = Vec::new();
    for (path, why) in closed_to_changes(&env, elsewhere.path()) {
        attempts.push((format!("*** Add File: {path}\n+planted"), why));
        attempts.push((format!("*** Delete File: {path}"), why));
    }
    let shown = elsewhere.path().display();
    for patch in [
        format!("*** Update File: {}\n@@\n-kept\n+planted", kept.display()),
        format!("*** Update File: own\n*** Move to: {shown}/moved\n@@\n-own\n+planted"),
        "*** Update File: own\n*** Move to: folder-link/moved\n@@\n-own\n+planted".to_owned(),
    ] {
        attempts.push((patch, "change or move"));
    }
    for (patch, _) in &attempts {
        model.push(patches(patch));
    }
    model.push(Reply::text("Done."));
    good_turn(&env, &["go"]);
    let requests = model.requests();
    for (number, (patch, why)) in attempts.iter().enumerate() {
        let told = requests[number + 1].last_output().unwrap();
        // A link is the repository's own, and may be removed.
        let is_own = patch.starts_with("*** Delete File: ") && (patch.ends_with("-link") || why == &"circle");
        assert_eq!(told.starts_with("Success"), is_own, "{why}: {patch}\n{told}");
    }
    let names = fs::read_dir(elsewhere.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["kept"]);
    assert_eq!(fs::read_to_string(&kept).unwrap(), "kept\n");
    assert_eq!(fs::read_to_string(env.repository().join(".git/config")).unwrap(), config);
    assert!(!env.repository().join(".git/hooks/post-checkout").exists());
    assert_eq!(fs::read_to_string(env.settings_file()).unwrap(), settings);
    assert_eq!(env.read_file("own").unwrap(), "own\n");
}

#[test]
fn r11_no_tool_shows_what_is_closed_to_a_command() {
    let (model, env) = scene(Vec::<Reply>::new());
    let start = env.command(["daemon", "start"]).variable("PLANTED_VARIABLE", SECRET);
    assert_eq!(start.run().unwrap().code(), Some(0));
    env.append_settings(&format!("# {SECRET}\n")).unwrap();
    let state = state_folder(&env);
    fs::write(state.join("a.txt"), SECRET).unwrap();
    symlink(&state, env.repository().join("state-link")).unwrap();
    symlink(env.settings_file(), env.repository().join("settings-link")).unwrap();
    symlink("/proc/self", env.repository().join("self-link")).unwrap();
    let daemon = env.daemon_pid().unwrap();
    let files = [
        env.settings_file().display().to_string(),
        "settings-link".to_owned(),
        "state-link/a.txt".to_owned(),
        format!("/proc/self/root{}", env.settings_file().display()),
        "/proc/self/environ".to_owned(),
        "/proc/thread-self/environ".to_owned(),
        "self-link/environ".to_owned(),
        format!("/proc/{daemon}/environ"),
        format!("/proc/{daemon}/task/{daemon}/environ"),
        format!("/proc/{daemon}/root{}", env.settings_file().display()),
    ];
    let mut calls = Vec::new();
    for file in &files {
        calls.push(call("read_file", &json!({"path": file})));
        calls.push(call("view_image", &json!({"path": file})));
        calls.push(call("grep", &json!({"pattern": "planted", "path": file})));
    }
    let state_shown = state.display().to_string();
    for folder in [state_shown.as_str(), "state-link", "/proc/self", "self-link"] {
        calls.push(call("grep", &json!({"pattern": "planted", "path": folder})));
    }
    calls.push(call("list_dir", &json!({"path": "state-link"})));
    calls.push(call("find_files", &json!({"query": "a.txt", "path": "state-link"})));
    let count = calls.len();
    calls.into_iter().for_each(|call| model.push(call));
    model.push(Reply::text("Done."));
    good_turn(&env, &["go"]);
    let requests = model.requests();
    assert_eq!(requests.len(), count + 1);
    for request in requests.iter().skip(1) {
        let told = request.last_output().unwrap();
        assert!(!told.contains(SECRET) && !told.contains("a.txt\n"), "{told}");
    }
}

#[test]
fn r12_a_folder_that_became_a_link_is_no_way_out_for_the_next_command() {
    let elsewhere = outside();
    let shown = elsewhere.path().display();
    let swap = format!("rmdir d; ln -s {shown} d; echo swapped");
    let (model, env, told) = told(
        vec![
            script(&swap),
            call("shell", &json!({"command": "echo x > planted; pwd -P", "workdir": "d"})),
            call("exec_command", &json!({"cmd": "echo x > planted; pwd -P", "workdir": "d"})),
            patches("*** Add File: d/planted\n+x"),
            call(
                "shell",
                &json!({"command": "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: planted\n+x\n*** End Patch\nEOF", "workdir": "d"}),
            ),
        ],
        |env| fs::create_dir(env.repository().join("d")).unwrap(),
    );
    assert!(told[0].contains("swapped"), "{told:?}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "{told:?}");
    for told in &told[3..] {
        assert!(!told.starts_with("Success"), "{told}");
    }
    drop((model, env));
}

/// What the daemon may grow by.
const MAX_GROWTH: u64 = 64 * 1024 * 1024;

#[tokio::test]
async fn r19_files_that_never_end_cost_a_moment_and_little_memory() {
    let (model, env) = scene(Vec::<Reply>::new());
    assert_eq!(env.run(["daemon", "start"]).unwrap().code(), Some(0));
    let repository = env.repository();
    for name in ["README.md", "AGENTS.md", ".gitignore"] {
        pipe(&repository.join(name));
    }
    fs::File::create(repository.join("sparse")).and_then(|file| file.set_len(50 << 30)).unwrap();
    fs::write(repository.join("line"), "x".repeat(5_000_000)).unwrap();
    let odd = "printf 'text \\377\\376\\n' > \"$(printf 'not-\\377-utf8')\"";
    Invocation::new("/bin/sh", ["-c", odd], env.repository()).run().unwrap();
    symlink("loop", repository.join("loop")).unwrap();
    fs::create_dir(repository.join("many")).unwrap();
    symlink("..", repository.join("many/up")).unwrap();
    for number in 0..5_000 {
        fs::File::create(repository.join(format!("many/{number}"))).unwrap();
    }
    let mut calls = Vec::new();
    for path in
        ["README.md", "sparse", "line", "not-\u{fffd}-utf8", "loop", "many", "/dev/zero", "/dev/stdin"]
    {
        calls.push(call("read_file", &json!({"path": path})));
        calls.push(call("view_image", &json!({"path": path})));
    }
    calls.push(call("list_dir", &json!({"path": "many"})));
    calls.push(call("list_dir", &json!({"path": ".", "depth": 3})));
    calls.push(call("grep", &json!({"pattern": "nothing has this"})));
    calls.push(call("find_files", &json!({"query": "many"})));
    calls.push(patches("*** Update File: README.md\n@@\n-a\n+b"));
    calls.push(patches("*** Update File: sparse\n@@\n-a\n+b"));
    calls.push(patches("*** Add File: fine\n+fine"));
    let count = calls.len();
    calls.into_iter().for_each(|call| model.push(call));
    model.push(Reply::from(Answer::new().text("Done.")));
    let daemon = env.daemon_pid().unwrap();
    let before = resident(daemon);
    let asks = client(&env, "owner").await;
    let running = env.spawn(["exec", "go"]).unwrap();
    // The owner is answered meanwhile.
    let mut slowest = Duration::ZERO;
    for number in 1..=count + 1 {
        model.wait_for_requests(number, SOON).unwrap();
        let asked = Instant::now();
        asks.rpc().status(DaemonStatusParams::default()).await.unwrap();
        slowest = slowest.max(asked.elapsed());
    }
    let output = running.wait(SOON).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let growth = resident(daemon).saturating_sub(before);
    assert!(growth < MAX_GROWTH, "{growth}");
    assert_eq!(env.read_file("fine").unwrap(), "fine\n");
    for request in model.requests().iter().skip(1) {
        assert!(request.last_output().unwrap().len() < 200_000);
    }
}

//! Hooks: what they are told, what their answers change, what becomes of them when they fail, and that those of a
//! folder run only as a person trusts them.

use std::fs;
use std::time::{Duration, Instant};

use protocol::api::hook::HooksClient;
use protocol::hook::{HookListParams, HookOutcome};
use serde_json::{Value, json};
use skein_tests::TestEnv;
use skein_tests::environment::process::Output;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{
    GONE, Lines, client, escalates, good_turn, json_turn, kill_daemon, outside, patches, runs, scene, script,
    seen, wait_for_file,
};

/// The user's hooks: one for an event, with a matcher; the command gets what it is told on its standard input.
fn hook(env: &TestEnv, event: &str, matcher: &str, command: &str) {
    hooks(env, &json!({ event: [{"matcher": matcher, "hooks": [{"type": "command", "command": command}]}] }));
}

fn hooks(env: &TestEnv, events: &Value) {
    let folder = env.settings_file().parent().unwrap().to_owned();
    fs::write(folder.join("hooks.json"), json!({ "hooks": events }).to_string()).unwrap();
}

/// A hook's answer, printed by a shell.
fn prints(answer: &Value) -> String {
    format!("cat > told.json.new; mv told.json.new told.json; cat <<'EOF'\n{answer}\nEOF\n")
}

/// What the hook was told last.
fn told(env: &TestEnv) -> Value {
    serde_json::from_str(&env.read_file("told.json").unwrap()).unwrap()
}

fn exists(env: &TestEnv, name: &str) -> bool {
    env.repository().join(name).exists()
}

/// The warnings of a turn.
fn warnings(lines: &Lines) -> String {
    lines
        .completed("error")
        .iter()
        .map(|item| item["message"].as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

fn trust(env: &TestEnv) -> Output {
    let output = env.run(["config", "trust", "--yes"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    output
}

#[test]
fn a_call_is_blocked_by_either_way_of_saying_no() {
    let deny = json!({"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": "deny",
        "permissionDecisionReason": "no files here"}});
    for command in [prints(&deny), "echo no files here >&2; exit 2".to_owned()] {
        let (model, env) = scene([runs(["touch", "made"]), Reply::text("I can't.")]);
        hook(&env, "PreToolUse", "Bash", &command);
        let lines = good_turn(&env, &["go"]);
        assert!(!exists(&env, "made"));
        let output = model.requests()[1].last_output().unwrap().to_owned();
        assert!(output.contains("no files here"), "{output}");
        let warned = warnings(&lines);
        assert!(warned.contains("blocked it: no files here") && warned.contains(" ms)"), "{warned}");
    }
}

#[test]
fn a_hook_is_told_what_other_programs_tell_it() {
    let (_model, env) = scene([runs(["touch", "made"]), Reply::text("Done.")]);
    hook(&env, "PreToolUse", "Bash", &prints(&json!({})));
    let lines = good_turn(&env, &["go"]);
    assert!(exists(&env, "made"));
    let told = told(&env);
    assert_eq!(told["session_id"], lines.session());
    assert_eq!(told["cwd"], env.repository().canonicalize().unwrap().to_str().unwrap());
    assert_eq!((&told["hook_event_name"], &told["tool_name"]), (&"PreToolUse".into(), &"Bash".into()));
    assert_eq!(told["tool_input"], json!({"command": "touch made"}));
    for name in ["turn_id", "tool_use_id", "model", "permission_mode"] {
        assert!(told[name].is_string(), "{name} in {told}");
    }
}

#[test]
fn a_call_is_made_with_the_input_that_a_hook_wrote() {
    let (model, env) = scene([runs(["touch", "made"]), Reply::text("Done.")]);
    let answer = json!({"hookSpecificOutput": {"updatedInput": {"command": "touch other"}}});
    hook(&env, "PreToolUse", "Bash", &prints(&answer));
    good_turn(&env, &["go"]);
    assert!(exists(&env, "other") && !exists(&env, "made"));
    let call = model.requests()[1].input_of("function_call").next().unwrap().clone();
    assert!(call["arguments"].as_str().unwrap().contains("touch other"), "{call}");
}

#[test]
fn what_a_hook_wrote_goes_through_the_policy_and_stays_in_the_sandbox() {
    let outside = outside();
    let target = outside.path().join("made").display().to_string();
    let command = format!("touch {target}; touch inside");
    let answer = json!({"hookSpecificOutput": {"permissionDecision": "allow",
        "updatedInput": {"command": command}}});
    let (_model, env) = scene([runs(["touch", "made"]), Reply::text("Done.")]);
    hook(&env, "PreToolUse", "*", &prints(&answer));
    // The hook allows what would be asked about.
    good_turn(&env, &["-a", "untrusted", "go"]);
    assert!(exists(&env, "inside"));
    assert!(!fs::exists(&target).unwrap());
}

#[test]
fn a_rule_forbids_what_a_hook_allows() {
    let (_model, env) = scene([runs(["touch", "made"]), Reply::text("Done.")]);
    let rules = env.settings_file().parent().unwrap().join("rules");
    fs::create_dir_all(&rules).unwrap();
    fs::write(rules.join("a.rules"), "prefix_rule(pattern=[\"touch\"], decision=\"forbidden\")\n").unwrap();
    let answer = json!({"hookSpecificOutput": {"permissionDecision": "allow"}});
    hook(&env, "PreToolUse", "*", &prints(&answer));
    good_turn(&env, &["go"]);
    assert!(!exists(&env, "made"));
}

#[test]
fn no_hook_lets_a_command_out_of_the_sandbox() {
    let outside = outside();
    let target = outside.path().join("made").display().to_string();
    let (_model, env) = scene([escalates(&["touch", &target]), Reply::text("Done.")]);
    let allow = json!({"decision": "approve", "hookSpecificOutput": {"permissionDecision": "allow",
        "decision": {"behavior": "allow"}}});
    let group = json!([{"hooks": [{"command": prints(&allow)}]}]);
    hooks(&env, &json!({"PreToolUse": group, "PermissionRequest": group}));
    let (output, lines) = json_turn(&env, &["-a", "on-request", "go"]);
    assert_eq!(output.code(), Some(3), "nobody could be asked: {lines:?}");
    assert!(!fs::exists(&target).unwrap());
}

#[test]
fn a_question_is_answered_by_a_hook_before_a_person_is_asked() {
    let (_model, env) = scene([runs(["touch", "made"]), Reply::text("Done.")]);
    let allow = json!({"hookSpecificOutput": {"decision": {"behavior": "allow"}}});
    hook(&env, "PermissionRequest", "Bash", &prints(&allow));
    good_turn(&env, &["-a", "untrusted", "go"]);
    assert!(exists(&env, "made"));
    assert_eq!(told(&env)["hook_event_name"], "PermissionRequest");
}

#[test]
fn a_hook_can_ask_for_a_person() {
    let (_model, env) = scene([runs(["touch", "made"]), Reply::text("Done.")]);
    let ask =
        json!({"hookSpecificOutput": {"permissionDecision": "ask", "permissionDecisionReason": "look"}});
    hook(&env, "PreToolUse", "Bash", &prints(&ask));
    let (output, _) = json_turn(&env, &["-a", "on-request", "go"]);
    assert_eq!(output.code(), Some(3), "{}", seen(&output));
    assert!(!exists(&env, "made"));
}

#[test]
fn what_hooks_add_is_shown_to_the_model() {
    let (model, env) = scene([runs(["true"]), Reply::text("Done.")]);
    let after = json!({"hookSpecificOutput": {"additionalContext": "the linter is content"}});
    hooks(
        &env,
        &json!({
            "SessionStart": [{"matcher": "startup", "hooks": [{"command": "echo it is Friday"}]}],
            "UserPromptSubmit": [{"hooks": [{"command": "echo the branch is main"}]}],
            "PostToolUse": [{"matcher": "Bash", "hooks": [{"command": prints(&after)}]}],
        }),
    );
    good_turn(&env, &["go"]);
    let requests = model.requests();
    let first = requests[0].user_texts().join("\n");
    for (before, after) in [("go", "it is Friday"), ("it is Friday", "the branch is main")] {
        assert!(first.find(before) < first.find(after) && first.contains(after), "{first}");
    }
    let second = requests[1].user_texts().join("\n");
    assert!(second.contains("the linter is content"), "{second}");
    assert_eq!(told(&env)["tool_response"]["exit_code"], 0);
}

#[test]
fn the_output_is_replaced_by_what_a_hook_says() {
    let (model, env) = scene([script("echo secret"), Reply::text("Done.")]);
    hook(&env, "PostToolUse", "Bash", "echo it said nothing of use >&2; exit 2");
    good_turn(&env, &["go"]);
    let requests = model.requests();
    let output = requests[1].last_output().unwrap();
    assert!(output.contains("it said nothing of use") && !output.contains("secret"), "{output}");
}

#[test]
fn a_matcher_for_edits_is_about_patches() {
    let (_model, env) = scene([patches("*** Add File: made\n+text"), Reply::text("Done.")]);
    hook(&env, "PreToolUse", "Edit|Write", "cat > told.json; echo not that file >&2; exit 2");
    good_turn(&env, &["go"]);
    assert!(!exists(&env, "made"));
    let told = told(&env);
    assert_eq!(told["tool_name"], "apply_patch");
    assert!(told["tool_input"]["command"].as_str().unwrap().contains("*** Add File: made"), "{told}");
}

#[test]
fn a_prompt_that_a_hook_refuses_is_never_sent() {
    let (model, env) = scene([Reply::text("Hello.")]);
    hook(&env, "UserPromptSubmit", "", "grep -q hunter2 && { echo a password >&2; exit 2; }; exit 0");
    let (output, lines) = json_turn(&env, &["my password is hunter2"]);
    assert_eq!(output.code(), Some(1), "{lines:?}");
    assert_eq!(lines.failure().0, "hook");
    assert!(model.requests().is_empty());
    let session = lines.session().to_owned();
    let resumed = env.run(["exec", "resume", &session, "hello"]).unwrap();
    assert_eq!(resumed.code(), Some(0), "{}", seen(&resumed));
    let body = String::from_utf8_lossy(&model.requests()[0].body).into_owned();
    assert!(body.contains("hello") && !body.contains("hunter2"), "{body}");
}

#[test]
fn a_turn_goes_on_once_when_a_hook_says_so() {
    let (model, env) = scene([Reply::text("Done."), Reply::text("Tested, too.")]);
    let go_on = json!({"decision": "block", "reason": "Run the tests first"});
    let command = format!(
        "cat > told.json; grep -q '\"stop_hook_active\":true' told.json && exit 0; cat <<'EOF'\n{go_on}\nEOF\n"
    );
    hook(&env, "Stop", "", &command);
    good_turn(&env, &["go"]);
    let requests = model.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].user_texts().join("\n").contains("Run the tests first"));
    let told = told(&env);
    assert_eq!(
        (&told["stop_hook_active"], &told["last_assistant_message"]),
        (&true.into(), &"Tested, too.".into())
    );
}

#[test]
fn a_hook_can_end_the_turn() {
    let (model, env) = scene([runs(["touch", "made"]), Reply::text("Never said.")]);
    let end = json!({"continue": false, "stopReason": "it is late"});
    hook(&env, "PreToolUse", "", &prints(&end));
    let (output, lines) = json_turn(&env, &["go"]);
    assert_eq!(output.code(), Some(1), "{lines:?}");
    assert!(lines.failure().1.contains("it is late"), "{lines:?}");
    assert!(!exists(&env, "made"));
    assert_eq!(model.requests().len(), 1);
}

#[test]
fn a_hook_that_hangs_or_fails_is_told_and_opens_or_closes_as_it_says() {
    for (command, timeout, on_error, is_made, words) in [
        ("sleep 1000", 0.2, "continue", true, "took longer than the 0.2 s"),
        ("sleep 1000", 0.2, "block", false, "took longer than the 0.2 s"),
        ("echo oh >&2; exit 7", 10.0, "continue", true, "it exited with 7 and said: oh"),
        ("kill -9 $$", 10.0, "block", false, "a signal ended it"),
    ] {
        let (_model, env) = scene([runs(["touch", "made"]), Reply::text("Done.")]);
        let handler = json!({"command": command, "timeout": timeout, "onError": on_error});
        hooks(&env, &json!({"PreToolUse": [{"hooks": [handler]}]}));
        let begun = Instant::now();
        let lines = good_turn(&env, &["go"]);
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert_eq!(exists(&env, "made"), is_made, "{command}");
        let warned = warnings(&lines);
        assert!(warned.contains(words), "{words} in {warned}");
    }
}

#[test]
fn nothing_that_a_hook_started_outlives_it_and_it_sees_no_key() {
    let (_model, env) = scene([Reply::text("Done.")]);
    let command = "env > variables; setsid sleep 686 & sleep 687";
    hooks(&env, &json!({"UserPromptSubmit": [{"hooks": [{"command": command, "timeout": 3}]}]}));
    good_turn(&env, &["go"]);
    crate::scene::expect_none_left(&env, "sleep 68");
    let variables = env.read_file("variables").unwrap();
    assert!(variables.contains("CLAUDE_PROJECT_DIR=") && !variables.contains("sk-scripted"), "{variables}");
}

#[test]
fn hooks_of_the_settings_and_of_the_end_of_a_session_run() {
    let (_model, env) = scene([Reply::text("Done.")]);
    let settings = "[[hooks.SessionEnd]]\n[[hooks.SessionEnd.hooks]]\ntype = \"command\"\n\
                    command = \"cat > ended.new; mv ended.new ended\"\n";
    env.append_settings(settings).unwrap();
    let lines = good_turn(&env, &["--ephemeral", "go"]);
    wait_for_file(&env, "ended");
    let told: Value = serde_json::from_str(&env.read_file("ended").unwrap()).unwrap();
    assert_eq!(
        (&told["hook_event_name"], &told["session_id"]),
        (&"SessionEnd".into(), &lines.session().into())
    );
}

#[test]
fn a_person_is_told_by_a_hook_that_they_are_needed() {
    let (_model, env) = scene([runs(["touch", "made"])]);
    hook(&env, "Notification", "permission_prompt", "cat > needed.new; mv needed.new needed");
    env.run(["exec", "--detach", "-a", "untrusted", "go"]).unwrap();
    wait_for_file(&env, "needed");
    let told: Value = serde_json::from_str(&env.read_file("needed").unwrap()).unwrap();
    assert_eq!((&told["hook_event_name"], &told["message"]), (&"Notification".into(), &"touch made".into()));
}

#[test]
fn what_is_wrong_with_hooks_is_said_when_a_session_is_made() {
    let (_model, env) = scene([Reply::text("Done.")]);
    hooks(&env, &json!({"PreToolUs": []}));
    let output = env.run(["exec", "go"]).unwrap();
    assert!(output.stderr.contains("There is no event `PreToolUs`"), "{}", seen(&output));
}

/// Threat R17.
#[test]
fn hostile_names_reach_a_hook_as_data_only() {
    let name = "$(touch canary).rs; touch canary #`touch canary`";
    let (_model, env) = scene([
        patches(&format!("*** Add File: {name}\n+text")),
        runs(["echo", "'; touch canary; '", "-rf"]),
        Reply::text("Done."),
    ]);
    let every = json!([{"hooks": [{"command": "cat >> all.jsonl"}]}]);
    hooks(
        &env,
        &json!({"PreToolUse": every, "PostToolUse": every, "UserPromptSubmit": every, "Stop": every}),
    );
    good_turn(&env, &["$(touch canary) `touch canary` '; touch canary"]);
    assert!(!exists(&env, "canary"));
    let all = env.read_file("all.jsonl").unwrap();
    assert!(all.contains("touch canary") && all.contains("PostToolUse"), "{all}");
}

/// Declares a hook that leaves a mark at every place and for every event.
fn declares_everywhere(env: &TestEnv, command: &str) {
    let group = json!([{"hooks": [{"type": "command", "command": command}]}]);
    let events = [
        "SessionStart",
        "SessionEnd",
        "UserPromptSubmit",
        "PreToolUse",
        "PermissionRequest",
        "PostToolUse",
        "Stop",
        "Notification",
    ];
    let hooks: serde_json::Map<String, Value> =
        events.iter().map(|&event| (event.to_owned(), group.clone())).collect();
    for file in
        [".skein/hooks.json", ".claude/settings.json", ".claude/settings.local.json", ".codex/hooks.json"]
    {
        env.write_file(file, &json!({ "hooks": hooks }).to_string()).unwrap();
    }
}

#[test]
fn nothing_of_a_repository_runs_before_it_is_trusted() {
    let replies = [runs(["true"]), Reply::text("One."), Reply::text("Two."), Reply::text("Three.")];
    let (_model, env) = scene(replies);
    let canary = env.home().join("canary");
    declares_everywhere(&env, &format!("echo x >> {}", canary.display()));
    let lines = good_turn(&env, &["one"]);
    let session = lines.session().to_owned();
    let resume = |text: &str| {
        let output = env.run(["exec", "resume", &session, text]).unwrap();
        assert_eq!(output.code(), Some(0), "{}", seen(&output));
    };
    resume("two");
    kill_daemon(&env);
    resume("three");
    env.run(["sessions", "delete", &session]).unwrap();
    assert!(!canary.exists());
}

#[test]
fn a_trusted_hook_runs_until_one_byte_of_what_it_runs_is_changed() {
    let (_model, env) = scene((0..3).map(|_| Reply::text("Done.")));
    let hook = json!({"hooks": {"UserPromptSubmit": [{"hooks": [{"command": "sh ./hook.sh"}]}]}});
    env.write_file(".claude/settings.json", &hook.to_string()).unwrap();
    env.write_file("hook.sh", "echo x >> ran; exit 0\n").unwrap();
    let count = || env.read_file("ran").map_or(0, |text| text.lines().count());
    trust(&env);
    good_turn(&env, &["one"]);
    assert_eq!(count(), 1);
    env.write_file("hook.sh", "echo x >> ran; exit 1\n").unwrap();
    let output = env.run(["exec", "two"]).unwrap();
    assert_eq!((output.code(), count()), (Some(0), 1));
    assert!(output.stderr.contains("skein config trust"), "asked again: {}", seen(&output));
    env.write_file("hook.sh", "echo x >> ran; exit 0\n").unwrap();
    good_turn(&env, &["three"]);
    assert_eq!(count(), 2);
}

#[test]
fn the_agent_can_not_change_what_a_hook_runs() {
    let write = "echo 'touch pwned' > hook.sh; mv hook.sh away; rm -f hook.sh; touch tried";
    let replies =
        [script(write), patches("*** Delete File: hook.sh"), Reply::text("Done."), Reply::text("Two.")];
    let (_model, env) = scene(replies);
    let hook = json!({"hooks": {"UserPromptSubmit": [{"hooks": [{"command": "sh ./hook.sh"}]}]}});
    env.write_file(".claude/settings.json", &hook.to_string()).unwrap();
    env.write_file("hook.sh", "echo x >> ran\n").unwrap();
    trust(&env);
    good_turn(&env, &["one"]);
    assert!(exists(&env, "tried"), "the command ran");
    assert_eq!(env.read_file("hook.sh").unwrap(), "echo x >> ran\n");
    good_turn(&env, &["two"]);
    assert!(!exists(&env, "pwned"));
    assert_eq!(env.read_file("ran").unwrap().lines().count(), 2);
}

#[test]
fn another_repository_at_the_place_of_a_trusted_one_runs_nothing() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    let hook = json!({"hooks": {"Stop": [{"hooks": [{"command": "echo x >> ../ran"}]}]}});
    let folder = env.repository().join("cloned");
    let clone = || {
        env.git(["init", "-q", "cloned"]).unwrap();
        env.write_file("cloned/.skein/hooks.json", &hook.to_string()).unwrap();
    };
    clone();
    let in_it = |arguments: &[&str]| {
        let output = env.run(arguments.iter().copied().chain(["-C", folder.to_str().unwrap()])).unwrap();
        assert_eq!(output.code(), Some(0), "{}", seen(&output));
    };
    assert_eq!(env.run(["config", "trust", "--yes", "cloned"]).unwrap().code(), Some(0));
    in_it(&["exec", "one"]);
    assert_eq!(env.read_file("ran").unwrap().lines().count(), 1);
    fs::remove_dir_all(&folder).unwrap();
    clone();
    in_it(&["exec", "two"]);
    assert_eq!(env.read_file("ran").unwrap().lines().count(), 1);
}

#[test]
fn a_session_that_a_stopping_daemon_had_is_told_to_have_ended() {
    let (_model, env) = scene([Reply::text("Done.")]);
    hook(&env, "SessionEnd", "", &prints(&json!({})));
    let lines = good_turn(&env, &["go"]);
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    let told = told(&env);
    assert_eq!(told["session_id"], lines.session());
    assert_eq!((&told["hook_event_name"], &told["reason"]), (&"SessionEnd".into(), &"other".into()));
}

#[test]
fn a_hook_that_hangs_does_not_keep_a_daemon_from_stopping() {
    let (_model, env) = scene([Reply::text("Done.")]);
    hook(&env, "SessionEnd", "", "touch began; sleep 1000");
    good_turn(&env, &["go"]);
    let started = Instant::now();
    assert_eq!(env.run(["daemon", "stop"]).unwrap().code(), Some(0));
    assert!(exists(&env, "began") && started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let hooks = env.processes().into_iter().filter(|process| process.command.contains("sleep 1000"));
    hooks.for_each(|process| assert!(process.wait(GONE), "{process:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hooks_cost_is_told() {
    let (_model, env) = scene([runs(["touch", "made"]), Reply::text("I can't.")]);
    hook(&env, "PreToolUse", "Bash", "echo no files here >&2; exit 2");
    let lines = tokio::task::block_in_place(|| good_turn(&env, &["go"]));
    assert!(!lines.session().is_empty());
    let client = client(&env, "me").await;
    let params = HookListParams { cwd: env.repository() };
    let listed = client.rpc().list_hooks(params).await.unwrap();
    let [hook] = &listed.hooks[..] else { panic!("{listed:?}") };
    assert_eq!((hook.event.as_str(), hook.matcher.as_str(), hook.runs), ("PreToolUse", "Bash", 1));
    let last = hook.last.as_ref().unwrap();
    assert_eq!((&last.outcome, last.took_ms), (&HookOutcome::Blocked, hook.total_ms));
    assert!(hook.is_own && listed.problems.is_empty(), "{listed:?}");
}

//! Trust of what folders declare: nothing is trusted by itself, a person trusts what they have seen, and another
//! thing at the same place is asked about again.

use std::fs;
use std::path::Path;

use rustix::fs::{Mode, chmod, stat, symlink};
use serde_json::Value;
use skein_tests::TestEnv;
use skein_tests::environment::process::Output;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{good_turn, outside, runs, scene, seen};

const HOOKS: &str = r#"{"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [
    {"type": "command", "command": "sh ./check.sh"}]}]}}"#;

fn declares(env: &TestEnv) {
    env.write_file(".claude/settings.json", HOOKS).unwrap();
    env.write_file("check.sh", "exit 0\n").unwrap();
    env.write_file(".skein/rules/a.rules", "prefix_rule(pattern=[\"make\"], decision=\"prompt\")\n").unwrap();
}

fn trust(env: &TestEnv, arguments: &[&str]) -> Output {
    let all: Vec<&str> = ["config", "trust"].iter().chain(arguments).copied().collect();
    env.run(all).unwrap()
}

/// The states of all that a folder declares, in the order of the files.
fn states(env: &TestEnv, folder: &str) -> Vec<String> {
    let output = trust(env, &["--show", "--json", folder]);
    assert_eq!(output.code(), Some(0), "{output:?}");
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    let declarations = found["declarations"].as_array().unwrap();
    declarations.iter().map(|one| one["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_person_sees_all_that_is_declared_and_trusts_it_until_it_changes() {
    let (_model, env) = scene::<Reply>([]);
    declares(&env);
    let shown = trust(&env, &["--show"]);
    for part in [
        "a hook for PreToolUse in .claude/settings.json (not trusted)",
        "sh ./check.sh",
        "runs check.sh",
        "rules in .skein/rules/a.rules (not trusted)",
        "prefix_rule",
    ] {
        assert!(shown.stdout.contains(part), "{part} in {}", shown.stdout);
    }
    // Nobody is at the terminal, so nobody said yes.
    let asked = trust(&env, &[]);
    assert_eq!(asked.code(), Some(2), "{asked:?}");
    assert_eq!(states(&env, "."), ["new", "new"]);
    assert_eq!(trust(&env, &["--yes"]).code(), Some(0));
    assert_eq!(states(&env, "."), ["trusted", "trusted"]);
    // One byte of the script that the hook runs.
    env.write_file("check.sh", "exit 1\n").unwrap();
    assert_eq!(states(&env, "."), ["changed", "trusted"]);
    env.write_file("check.sh", "exit 0\n").unwrap();
    assert_eq!(states(&env, "."), ["trusted", "trusted"]);
    env.write_file(".claude/settings.json", &HOOKS.replace("Bash", "Edit")).unwrap();
    assert_eq!(states(&env, "."), ["changed", "trusted"]);
    assert_eq!(trust(&env, &["--revoke"]).code(), Some(0));
    assert_eq!(states(&env, "."), ["new", "new"]);
}

#[test]
fn trust_is_not_of_a_place() {
    let (_model, env) = scene::<Reply>([]);
    declares(&env);
    assert_eq!(trust(&env, &["--yes"]).code(), Some(0));
    let copy = |from: &Path, to: &Path| {
        fs::create_dir_all(to.join(".claude")).unwrap();
        for file in [".claude/settings.json", "check.sh"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    };
    // A repository inside of the trusted one, with the very same declaration.
    let inner = env.repository().join("inner");
    fs::create_dir(&inner).unwrap();
    env.git(["init", "-q", "inner"]).unwrap();
    copy(&env.repository(), &inner);
    assert_eq!(states(&env, "inner"), ["new"]);
    assert_eq!(states(&env, "."), ["trusted", "trusted"]);
    // A folder of the trusted one is no other one, nor is a link to it.
    fs::create_dir(env.repository().join("src")).unwrap();
    assert_eq!(states(&env, "src"), ["trusted", "trusted"]);
    let link = env.home().join("link");
    symlink(env.repository(), &link).unwrap();
    assert_eq!(states(&env, link.to_str().unwrap()), ["trusted", "trusted"]);
    // Another repository at the same place, file by file the same.
    let kept = env.home().join("kept");
    copy(&env.repository(), &kept);
    let again = env.repository().join("other");
    env.git(["init", "-q", "other"]).unwrap();
    copy(&kept, &again);
    assert_eq!(trust(&env, &["--yes", "other"]).code(), Some(0));
    assert_eq!(states(&env, "other"), ["trusted"]);
    fs::remove_dir_all(&again).unwrap();
    env.git(["init", "-q", "other"]).unwrap();
    copy(&kept, &again);
    assert_eq!(states(&env, "other"), ["new"]);
}

#[test]
fn a_session_says_in_one_line_that_something_is_not_used() {
    let (_model, env) = scene([Reply::text("One."), Reply::text("Two.")]);
    declares(&env);
    let first = env.run(["exec", "hello"]).unwrap();
    let lines: Vec<_> = first.stderr.lines().filter(|line| line.contains("nobody trusts")).collect();
    assert!(lines.len() == 1 && lines[0].contains("declares 2 things"), "{}", seen(&first));
    assert!(lines[0].contains("skein config trust"), "{}", lines[0]);
    assert_eq!(trust(&env, &["--yes"]).code(), Some(0));
    let second = env.run(["exec", "hello"]).unwrap();
    assert!(second.code() == Some(0) && !second.stderr.contains("trust"), "{}", seen(&second));
}

#[test]
fn what_is_trusted_is_kept_where_only_the_user_writes() {
    let (_model, env) = scene::<Reply>([]);
    declares(&env);
    assert_eq!(trust(&env, &["--yes"]).code(), Some(0));
    let file = env.skein_home().join("state/trust.json");
    assert_eq!(stat(&file).unwrap().st_mode & 0o777, 0o600);
    chmod(&file, Mode::from_raw_mode(0o666)).unwrap();
    let shown = trust(&env, &["--show"]);
    assert!(shown.stdout.contains("others may have written it"), "{}", shown.stdout);
    assert_eq!(states(&env, "."), ["new", "new"]);
}

#[test]
fn a_declaration_can_not_imitate_the_words_around_it() {
    let (_model, env) = scene::<Reply>([]);
    let command = "true\\u001b[2K\\rrules in a.rules (trusted)\\u202e";
    env.write_file(".codex/hooks.json", &HOOKS.replace("sh ./check.sh", command)).unwrap();
    let shown = trust(&env, &["--show"]).stdout;
    assert!(!shown.contains(['\u{1b}', '\r', '\u{202e}']), "{shown:?}");
    assert!(shown.contains("(not trusted)"), "{shown}");
}

const FORBIDS: &str =
    "prefix_rule(pattern=[\"touch\"], decision=\"forbidden\", justification=\"No files\")\n";

/// What the policy says of `touch made` here.
fn verdict(env: &TestEnv) -> String {
    let output = env.run(["policy", "check", "--json", "--", "touch", "made"]).unwrap();
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    report["decision"].as_str().unwrap().to_owned()
}

#[test]
fn rules_of_a_repository_count_once_they_are_trusted_and_as_they_were() {
    let runs = || runs(["touch", "made"]);
    let replies = [runs(), Reply::text("One."), runs(), Reply::text("Two."), runs(), Reply::text("Three.")];
    let (_model, env) = scene(replies);
    env.write_file(".skein/rules/own.rules", FORBIDS).unwrap();
    let made = env.repository().join("made");
    good_turn(&env, &["one"]);
    assert!(made.exists(), "nobody trusts the rule");
    assert_eq!(verdict(&env), "allow");
    fs::remove_file(&made).unwrap();

    assert_eq!(trust(&env, &["--yes"]).code(), Some(0));
    assert_eq!(verdict(&env), "forbidden");
    let lines = good_turn(&env, &["two"]);
    assert!(!made.exists());
    let told = lines.only("command_execution").to_string();
    assert!(told.contains("declined") || told.contains("failed"), "{told}");

    env.write_file(".skein/rules/own.rules", &FORBIDS.replace("forbidden", "prompt")).unwrap();
    good_turn(&env, &["three"]);
    assert!(made.exists(), "another rule than the trusted one");
}

#[test]
fn a_trusted_rule_skips_a_question_and_not_the_sandbox() {
    let outside = outside();
    let target = outside.path().join("made").display().to_string();
    let replies = [runs(["touch", &target]), runs(["touch", "made"]), Reply::text("Done.")];
    let (_model, env) = scene(replies);
    env.write_file(".skein/rules/own.rules", &FORBIDS.replace("forbidden", "allow")).unwrap();
    assert_eq!(trust(&env, &["--yes"]).code(), Some(0));
    good_turn(&env, &["-a", "untrusted", "go"]);
    assert!(env.repository().join("made").exists(), "nobody was there to be asked");
    assert!(!Path::new(&target).exists());
}

#[test]
fn trusted_rules_that_can_not_be_read_make_everything_a_question() {
    let (_model, env) = scene::<Reply>([]);
    env.write_file(".skein/rules/own.rules", "prefix_rule(").unwrap();
    assert_eq!(verdict(&env), "allow");
    assert_eq!(trust(&env, &["--yes"]).code(), Some(0));
    assert_eq!(verdict(&env), "prompt");
}

//! The execution policy as a person and a session meet it: rules in files, and what they decide (threats R9, R13 to
//! R15).

use std::fs;
use std::time::{Duration, Instant};

use skein_tests::TestEnv;
use skein_tests::environment::process::Output;
use skein_tests::scripted_model::reply::Reply;

use crate::scene::{escalates, outside, runs, scene, script};

const RULES: &str = "TOOLS = [\"curl\", \"wget\"]\n\
                     [prefix_rule([tool], decision=\"forbidden\", justification=f\"Not {tool}\") for tool in TOOLS]\n\
                     prefix_rule(pattern=[\"git\", \"push\"], decision=\"prompt\")\n\
                     prefix_rule(pattern=[\"echo\"])\n";

fn write_rules(env: &TestEnv, name: &str, text: &str) {
    let folder = env.skein_home().join("rules");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
}

fn check(env: &TestEnv, command: &str) -> Output {
    env.run(["policy", "check", "--", "bash", "-c", command]).unwrap()
}

#[test]
fn a_command_can_be_checked_and_the_rule_that_decides_is_named() {
    let (_model, env) = scene([Reply::text("Not asked.")]);
    write_rules(&env, "mine.rules", RULES);
    for (command, code, said) in [
        ("ls", 0, "allow"),
        ("echo a", 0, "mine.rules:4"),
        ("git -C . push", 10, "mine.rules:3"),
        ("git reset --hard", 10, "not committed"),
        ("X=1 'cu'rl a", 20, "Not curl"),
        ("if true; then wget a; fi", 20, "mine.rules:2"),
    ] {
        let output = check(&env, command);
        assert_eq!(output.code(), Some(code), "{command}: {output:?}");
        assert!(output.stdout.contains(said), "{command}: {output:?}");
    }
    let one_word = env.run(["policy", "check", "--", "ls && git push"]).unwrap();
    assert_eq!(one_word.code(), Some(10), "one word with blanks is a script: {one_word:?}");
    let forged = env.run(["policy", "check", "--", "echo", "a\n  always     nothing"]).unwrap();
    assert!(!forged.stdout.contains("\n  always"), "{forged:?}");
    let json = env.run(["policy", "check", "--json", "--outside", "--", "git", "fetch"]).unwrap();
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["cause"], "escalation");
    assert!(report["proposedRule"].as_str().unwrap().starts_with("outside_rule("), "{report}");
}

#[test]
fn rules_of_a_folder_that_nobody_trusts_are_named_where_a_command_is_checked() {
    let (_model, env) = scene([Reply::text("Not asked.")]);
    let folder = env.repository().join(".skein/rules");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ours.rules"), "prefix_rule([\"ls\"], decision=\"forbidden\")\n").unwrap();
    let output = check(&env, "ls");
    assert_eq!(output.code(), Some(0), "{output:?}");
    let told = "not used   .skein/rules/ours.rules: nobody trusts it";
    assert!(output.stdout.contains(told), "{output:?}");
}

#[test]
fn a_hostile_file_of_rules_is_named_and_everything_is_asked_about() {
    let (_model, env) = scene([Reply::text("Not asked.")]);
    for text in [
        "for i in range(1000000000000000000):\n  pass\n",
        "x = \"a\" * 1000000000000\n",
        "def f(n): return f(n + 1)\nf(0)\n",
    ] {
        write_rules(&env, "bad.rules", text);
        let begin = Instant::now();
        let output = check(&env, "ls");
        assert_eq!(output.code(), Some(10), "{output:?}");
        assert!(output.stdout.contains("bad.rules:"), "{output:?}");
        assert!(begin.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_forbidden_command_is_not_run_and_the_model_is_told_why() {
    let (model, env) = scene([runs(["curl", "--version"]), Reply::text("Done.")]);
    write_rules(&env, "mine.rules", RULES);
    let output = env.run(["exec", "go"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    let told = String::from_utf8_lossy(&model.requests()[1].body).into_owned();
    assert!(told.contains("Not curl"), "{told}");
}

#[test]
fn a_rule_that_allows_skips_the_question_and_never_the_sandbox() {
    let folder = outside();
    let file = folder.path().join("made");
    let shown = file.display();
    let attempts = [
        format!("echo x > {shown}"),
        format!("echo $(touch {shown})"),
        format!("echo x | tee {shown}"),
        format!("echo <<E >{shown}\nE"),
        format!("X=1 echo x > {shown}"),
    ];
    let replies = attempts.iter().map(|attempt| script(attempt)).chain([Reply::text("Done.")]);
    let (_model, env) = scene(replies);
    write_rules(&env, "mine.rules", RULES);
    let output = env.run(["exec", "go"]).unwrap();
    assert!(!file.exists(), "{output:?}");
}

#[test]
fn where_nobody_is_asked_no_command_leaves_the_sandbox_or_does_damage() {
    let folder = outside();
    let file = folder.path().join("made");
    let touch = ["touch", file.to_str().unwrap()];
    let (model, env) = scene([escalates(&touch), runs(["git", "push", "--force"]), Reply::text("Done.")]);
    let output = env.run(["exec", "-a", "never", "go"]).unwrap();
    assert_eq!(output.code(), Some(0), "{output:?}");
    assert!(!file.exists());
    let told = String::from_utf8_lossy(&model.requests()[2].body).into_owned();
    assert!(told.contains("outside the sandbox") && told.contains("overwrites what others"), "{told}");
}

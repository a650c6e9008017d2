//! Rules are checked when they are made, written as they are read, and proposed only where they answer.

use std::path::Path;

use protocol::profile::{ApprovalPolicy, SandboxMode};

use super::*;
use crate::verdict::{Intent, evaluate};

fn pattern(words: &[&[&str]]) -> Vec<Vec<String>> {
    words.iter().map(|words| words.iter().map(|&word| word.to_owned()).collect()).collect()
}

fn prefix(words: &[&[&str]], decision: Decision) -> PrefixRule {
    PrefixRule::new(pattern(words), decision, None, RulePlace::default()).unwrap()
}

fn problem<T: std::fmt::Debug>(made: Result<T, RuleProblem>) -> String {
    made.unwrap_err().to_string()
}

#[test]
fn what_is_no_rule_is_refused() {
    let new = |words: &[&[&str]], why: Option<&str>| {
        PrefixRule::new(pattern(words), Decision::Allow, why.map(str::to_owned), RulePlace::default())
    };
    assert!(problem(new(&[], None)).starts_with("`pattern` must be"));
    assert!(problem(new(&[&["a"], &[]], None)).starts_with("`pattern` must be"));
    assert!(problem(new(&[&["a"]], Some(" "))).starts_with("`justification` must be"));
    let outside =
        |folder: &str| OutsideRule::new(pattern(&[&["a"]]), Some(folder.into()), None, RulePlace::default());
    assert!(problem(outside("repo")).starts_with("`folder` must be"));
    assert!(outside("/repo").is_ok());
    for (name, path) in [("git", "/usr/bin/sh"), ("git", "git"), ("", "/"), ("a/git", "/a/git")] {
        assert!(HostExecutable::new(name.into(), vec![path.into()]).is_err(), "{name} {path}");
    }
    let host = |host: &str| {
        NetworkRule::new(host, NetworkProtocol::Https, Decision::Allow, None, RulePlace::default())
            .map(|rule| rule.host)
    };
    for (given, expected) in [
        ("API.Example.com.:443", "api.example.com"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:80", "::1"),
        ("::1", "::1"),
    ] {
        assert_eq!(host(given).as_deref(), Ok(expected), "{given}");
    }
    for given in ["", "*.a.b", "https://a", "a/b", "a b", "a:x"] {
        assert!(host(given).is_err(), "{given}");
    }
}

#[test]
fn examples_are_held_against_the_rule() {
    let rule = prefix(&[&["git"], &["push", "pull"]], Decision::Prompt);
    let examples =
        |texts: &[&str]| -> Vec<Vec<String>> { texts.iter().filter_map(|text| words(text)).collect() };
    assert_eq!(rule.check_matches(&examples(&["git 'push' x", "git pull"])), Ok(()));
    assert_eq!(
        rule.check_matches(&examples(&["git push", "git fetch"])),
        Err(RuleProblem::NoMatch("git fetch".into()))
    );
    assert_eq!(rule.check_no_match(&examples(&["git", "git fetch push"])), Ok(()));
    assert_eq!(rule.check_no_match(&examples(&["git pull x"])), Err(RuleProblem::Match("git pull x".into())));
}

#[test]
fn rules_are_shown_as_they_would_stand_in_a_file() {
    let rule = prefix(&[&["git"], &["push", "pu\"ll\n\u{202e}"]], Decision::Forbid);
    assert_eq!(
        rule.to_string(),
        "prefix_rule(pattern=[\"git\", [\"push\", \"pu\\\"ll\\n\\U0000202e\"]], decision=\"forbidden\")"
    );
    let rule =
        OutsideRule::new(pattern(&[&["a"]]), Some("/r".into()), Some("Why".into()), RulePlace::default());
    assert_eq!(
        rule.unwrap().to_string(),
        "outside_rule(pattern=[\"a\"], folder=\"/r\", justification=\"Why\")"
    );
}

/// What would be written if a person said "always"; empty if nothing.
fn proposed(script: &str, is_escalated: bool, approval: ApprovalPolicy, rules: &Rules) -> String {
    let argv = ["/bin/bash".to_owned(), "-c".to_owned(), script.to_owned()];
    let intent = Intent { argv: &argv, cwd: Path::new("/repo"), is_escalated };
    let verdict = evaluate(&intent, rules, approval, SandboxMode::WorkspaceWrite);
    propose(&intent, &verdict, rules).map(|proposal| proposal.to_string()).unwrap_or_default()
}

#[test]
fn always_becomes_rules_on_the_parts_that_were_asked_about() {
    let mut rules = Rules::default();
    rules.add(Rule::Prefix(prefix(&[&["make"]], Decision::Allow)));
    rules.add(Rule::Prefix(prefix(&[&["npm"]], Decision::Prompt)));
    for (script, expected) in [
        ("cargo test --all", "prefix_rule(pattern=[\"cargo\", \"test\", \"--all\"], decision=\"allow\")"),
        (
            "ls && cargo build | tail && make && 'a b' c",
            "prefix_rule(pattern=[\"cargo\", \"build\"], decision=\"allow\")\n\
             prefix_rule(pattern=[\"a b\", \"c\"], decision=\"allow\")",
        ),
        ("ls", ""),
        ("npm test", ""),
        ("cargo build > log", ""),
        ("cargo build $x", ""),
        ("if a; then b; fi", ""),
        ("a && b && c && d && e", ""),
        ("rm -rf /etc", ""),
    ] {
        assert_eq!(proposed(script, false, ApprovalPolicy::Untrusted, &rules), expected, "{script}");
    }
    assert_eq!(proposed(&"x".repeat(3_000), false, ApprovalPolicy::Untrusted, &rules), "");
}

#[test]
fn always_for_a_way_out_names_the_whole_command_and_its_folder() {
    for (script, expected) in [
        ("git fetch", "outside_rule(pattern=[\"git\", \"fetch\"], folder=\"/repo\")"),
        (
            "git fetch && cargo publish",
            "outside_rule(pattern=[\"git\", \"fetch\"], folder=\"/repo\")\n\
             outside_rule(pattern=[\"cargo\", \"publish\"], folder=\"/repo\")",
        ),
        ("a > b", "outside_rule(pattern=[\"/bin/bash\", \"-c\", \"a > b\"], folder=\"/repo\")"),
        ("./deploy", ""),
        ("git push --force", ""),
    ] {
        assert_eq!(
            proposed(script, true, ApprovalPolicy::OnRequest, &Rules::default()),
            expected,
            "{script}"
        );
    }
}

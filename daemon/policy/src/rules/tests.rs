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
    let mut among = Rules::default();
    let listed = HostExecutable::new("git".into(), vec!["/usr/bin/git".into()]);
    among.add(Rule::Executable(listed.unwrap()));
    let git = prefix(&[&["git"], &["push", "pull"]], Decision::Prompt);
    let rm = prefix(&[&["rm"]], Decision::Forbid);
    let path = prefix(&[&["/bin/ls"]], Decision::Allow);
    for (rule, example, is_match, is_no_match) in [
        (&git, "git 'push' x", true, false),
        (&git, "git pull", true, false),
        (&git, "git fetch push", false, true),
        (&git, "git", false, true),
        (&git, "/usr/bin/git push", true, false),
        (&git, "/opt/git push", false, true),
        (&rm, "/bin/rm x", true, false),
        (&rm, "/bin/rmdir x", false, true),
        // Held for here, and not by others that read the file.
        (&rm, "./rm x", true, true),
        (&path, "/bin/ls", true, false),
        (&path, "ls", false, true),
    ] {
        let examples = [words(example).unwrap()];
        let text = examples[0].join(" ");
        let of = |is_right: bool, problem: RuleProblem| if is_right { Ok(()) } else { Err(problem) };
        let (no_match, matched) = (RuleProblem::NoMatch(text.clone()), RuleProblem::Match(text));
        assert_eq!(rule.check_matches(&examples, &among), of(is_match, no_match), "{example}");
        assert_eq!(rule.check_no_match(&examples, &among), of(is_no_match, matched), "{example}");
    }
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
    let intent = Intent { argv: &argv, cwd: Path::new("/repo"), folder: Path::new("/repo"), is_escalated };
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
        (
            "timeout 5 cargo build",
            "prefix_rule(pattern=[\"timeout\", \"5\", \"cargo\", \"build\"], decision=\"allow\")",
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
        (
            "cd sub && make",
            "outside_rule(pattern=[\"/bin/bash\", \"-c\", \"cd sub && make\"], folder=\"/repo\")",
        ),
        ("./deploy", ""),
        ("./deploy > log", ""),
        ("cd sub && env ../deploy", ""),
        ("git push --force", ""),
    ] {
        assert_eq!(
            proposed(script, true, ApprovalPolicy::OnRequest, &Rules::default()),
            expected,
            "{script}"
        );
    }
}

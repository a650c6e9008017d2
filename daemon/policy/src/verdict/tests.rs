//! Holds the policy to a table of commands, and to what must hold for any text.

use proptest::prelude::*;
use protocol::profile::ApprovalPolicy::{self, Never, OnRequest, Untrusted};
use protocol::profile::SandboxMode::{DangerFullAccess, WorkspaceWrite};

use super::*;
use crate::rules::{RuleFile, allow_rule};

const RULES: &str = r#"
# A person's rules.
prefix_rule(pattern=["rm"], decision="forbidden", justification="Use `trash`", match=["rm x"], not_match=["ls"])
prefix_rule(pattern=["git", "push"], decision="prompt")
prefix_rule(
    pattern = ["npm", ["publish", "unpublish"]],
    decision = "forbidden",
)
prefix_rule(pattern=["cargo", "test"])
prefix_rule(pattern=["make"], decision="allow")
"#;

fn rules(text: &str) -> Rules {
    Rules::read(&[RuleFile { name: "default.rules", text }])
}

fn script(text: &str) -> Vec<String> {
    vec!["/bin/bash".into(), "-c".into(), text.into()]
}

fn decision(text: &str, rules: &Rules, approval: ApprovalPolicy) -> Decision {
    evaluate(&script(text), rules, approval, WorkspaceWrite).decision
}

#[test]
fn every_command_of_the_table_is_judged_as_labelled() {
    let rules = rules(RULES);
    assert!(rules.problems().is_empty(), "{:?}", rules.problems());
    let none = Rules::default();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in include_str!("commands.tsv").lines().filter(|line| !line.starts_with('#')) {
        count += 1;
        let (label, command) = line.split_once('\t').unwrap();
        let command = command.replace('⏎', "\n");
        let found = [
            decision(&command, &rules, OnRequest),
            decision(&command, &rules, Untrusted),
            decision(&command, &none, OnRequest),
        ];
        let is_right = match label {
            "forbid" => found[..2] == [Decision::Forbid; 2],
            "prompt" => found[..2] == [Decision::Prompt; 2],
            "danger" => {
                found[0] != Decision::Allow && found[1] != Decision::Allow && found[2] == Decision::Prompt
            }
            "safe" | "allowed" => found == [Decision::Allow; 3],
            "work" => found == [Decision::Allow, Decision::Prompt, Decision::Allow],
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{label}: {command:?}: {found:?} {:?}", analyse(&script(&command))));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 300, "{count}");
}

#[test]
fn the_strictest_rule_wins_and_is_named() {
    let rules =
        rules("prefix_rule([\"a\", \"b\"])\nprefix_rule([\"a\"], \"forbidden\", justification=\"No\")\n");
    let verdict = evaluate(&script("a b"), &rules, OnRequest, WorkspaceWrite);
    assert_eq!(verdict.decision, Decision::Forbid);
    assert_eq!(verdict.rule, Some(RulePlace { file: "default.rules".into(), line: 2 }));
    assert_eq!(verdict.reason, "A rule forbids `a` (default.rules:2): No");
}

#[test]
fn what_would_be_asked_is_refused_where_nobody_is() {
    let rules = rules(RULES);
    assert_eq!(decision("git push", &rules, Never), Decision::Forbid);
    assert_eq!(decision("git reset --hard", &rules, Never), Decision::Forbid);
    assert_eq!(decision("cargo build", &rules, Never), Decision::Allow);
}

#[test]
fn without_a_sandbox_dangerous_commands_run() {
    let command = script("git reset --hard");
    assert_eq!(evaluate(&command, &Rules::default(), Never, DangerFullAccess).decision, Decision::Allow);
    assert_eq!(
        evaluate(&command, &rules("prefix_rule([\"git\"], \"prompt\")"), OnRequest, DangerFullAccess)
            .decision,
        Decision::Prompt
    );
}

#[test]
fn removing_folders_is_dangerous_outside_the_place_of_work() {
    for (command, expected) in [
        ("rm -rf build", Decision::Allow),
        ("rm -rf ./build/a", Decision::Allow),
        ("rm -rf /tmp/a", Decision::Allow),
        ("rm -rf build/*", Decision::Allow),
        ("rm a", Decision::Allow),
        ("rm -rf /", Decision::Prompt),
        ("rm -rf /etc", Decision::Prompt),
        ("rm -fr ~", Decision::Prompt),
        ("rm -r -f ../a", Decision::Prompt),
        ("rm --recursive --force /tmp", Decision::Prompt),
        ("rm --rec --fo /", Decision::Prompt),
        ("rm -rf $x", Decision::Prompt),
        ("rm -rf \"$x/\"", Decision::Prompt),
        ("rm -rf *", Decision::Prompt),
        ("rm -rf .", Decision::Prompt),
        ("rm -rf a/../..", Decision::Prompt),
        ("rm -rf .git", Decision::Prompt),
        ("sudo rm -rf /", Decision::Prompt),
        ("git push --force", Decision::Prompt),
        ("git push -f", Decision::Prompt),
        ("git push origin +main", Decision::Prompt),
        ("git push origin :main", Decision::Prompt),
        ("git push --force-with-lease", Decision::Prompt),
        ("git push", Decision::Allow),
    ] {
        assert_eq!(decision(command, &Rules::default(), OnRequest), expected, "{command}");
    }
}

#[test]
fn a_rule_that_names_the_command_allows_what_is_dangerous() {
    let named = rules("prefix_rule([\"git\", \"reset\", \"--hard\"])");
    assert_eq!(decision("git reset --hard", &named, OnRequest), Decision::Allow);
    let program = rules("prefix_rule([\"git\"])");
    assert_eq!(decision("git reset --hard", &program, OnRequest), Decision::Prompt);
}

#[test]
fn nothing_runs_unasked_while_rules_are_broken() {
    let broken = Rules::read(&[
        RuleFile { name: "a.rules", text: "prefix_rule([\"rm\"], \"forbidden\")" },
        RuleFile { name: "b.rules", text: "\n  oops" },
    ]);
    assert_eq!(decision("rm x", &broken, OnRequest), Decision::Forbid);
    let verdict = evaluate(&script("ls"), &broken, OnRequest, WorkspaceWrite);
    assert_eq!(verdict.decision, Decision::Prompt);
    assert!(verdict.reason.contains("b.rules:2:3"), "{}", verdict.reason);
}

#[test]
fn listed_paths_narrow_rules_on_bare_names() {
    let text = "host_executable(\"git\", paths=[\"/usr/bin/git\"])\nprefix_rule([\"git\"], \"forbidden\")\n\
                prefix_rule([\"make\"])";
    let rules = rules(text);
    assert_eq!(decision("/usr/bin/git x", &rules, OnRequest), Decision::Forbid);
    assert_eq!(decision("/usr//bin/git x", &rules, OnRequest), Decision::Forbid);
    assert_eq!(decision("/opt/git x", &rules, OnRequest), Decision::Allow);
    assert_eq!(decision("/opt/make", &rules, Untrusted), Decision::Allow);
    assert_eq!(decision("./make", &rules, Untrusted), Decision::Prompt);
}

/// Pieces that mean something to a shell.
const PIECES: [&str; 38] = [
    "ls",
    "cat",
    "rm",
    "a",
    " ",
    " ",
    " ",
    "\n",
    "\t",
    ";",
    "&",
    "&&",
    "|",
    "||",
    ")",
    "{",
    "}",
    ">",
    "*",
    "?",
    "[",
    "]",
    "~",
    "=",
    "!",
    "if",
    "then",
    "fi",
    "x=1",
    "E",
    "2>/dev/null",
    "-la",
    ",",
    "..",
    "\r",
    "\u{a0}",
    "\u{e9}",
    ":",
];
/// Such as leave something open.
const OPENERS: [&str; 13] = ["(", "<", "$", "$(", "`", "\"", "'", "\\", "#", "<<E", "$x", "${x}", "$'"];

/// Pieces next to each other in any order.
fn scripts(pieces: Vec<&'static str>) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(pieces), 0..14).prop_map(|pieces| pieces.concat())
}

fn all_pieces() -> Vec<&'static str> {
    PIECES.into_iter().chain(OPENERS).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_judged(text in "\\PC{0,80}|[ -~\n]{0,80}") {
        let _ = evaluate(&script(&text), &rules(RULES), Untrusted, WorkspaceWrite);
        let _ = rules(&text);
    }

    #[test]
    fn nothing_that_a_shell_expands_is_safe(text in scripts(all_pieces())) {
        if decision(&text, &Rules::default(), Untrusted) == Decision::Allow {
            // What is left outside of single quotes is only what every shell takes as it stands.
            let mut outside = String::new();
            for (at, part) in text.split('\'').enumerate() {
                if at % 2 == 0 {
                    outside.push_str(part);
                }
            }
            let outside = outside.replace("2>/dev/null", "");
            prop_assert!(!outside.contains(['$', '`', '\\', '*', '?', '[', '~', '<', '>', '(', '{', '!', '#', '\r']), "{text:?}");
            prop_assert!(!outside.replace("&&", "").contains('&'), "{text:?}");
        }
    }

    #[test]
    fn a_forbidden_command_is_found_whatever_stands_around_it(
        before in scripts(PIECES.to_vec()),
        after in scripts(all_pieces()),
    ) {
        // Nothing is open where the line ends, so a command begins there.
        let text = format!("{before}\nrm x\n{after}");
        prop_assert_ne!(decision(&text, &rules(RULES), OnRequest), Decision::Allow, "{:?}", text);
    }

    #[test]
    fn an_allowing_rule_is_read_back(words in prop::collection::vec("[^\0]{1,10}", 1..4)) {
        let rules = rules(&allow_rule(&words).unwrap());
        prop_assert_eq!(rules.problems(), &[]);
        let pattern: Vec<Vec<String>> = words.into_iter().map(|word| vec![word]).collect();
        prop_assert_eq!(&rules.prefixes()[0].pattern, &pattern);
    }
}

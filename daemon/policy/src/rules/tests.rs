//! Rules are read, checked and refused as the format says.

use super::*;

fn read(text: &str) -> Rules {
    Rules::read(&[RuleFile { name: "r", text }])
}

fn problem(text: &str) -> String {
    read(text).problems().first().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn every_form_of_a_call_is_read() {
    let rules = read(
        "# comment\nprefix_rule(pattern = ['git', [\"push\", r'a\\b'],], decision='prompt', # why\n  \
         justification=\"\"\"Two\nlines\"\"\", match=[\"git 'push' x\", [\"git\", \"push\"]], not_match='git pull',)\n\
         prefix_rule(['\\x6cs']); prefix_rule(['id'], None)\n\
         network_rule(host='API.Example.com.:443', protocol='https', decision='deny')\n\
         host_executable(name='git', paths=['/usr/bin/git'])\n",
    );
    assert_eq!(rules.problems(), &[]);
    let place = |line| RulePlace { file: "r".into(), line };
    let rule = |pattern: &[&[&str]], decision, justification: Option<&str>, line| PrefixRule {
        pattern: pattern.iter().map(|words| words.iter().map(|&word| word.to_owned()).collect()).collect(),
        decision,
        justification: justification.map(str::to_owned),
        place: place(line),
    };
    assert_eq!(
        rules.prefixes(),
        &[
            rule(&[&["git"], &["push", "a\\b"]], Decision::Prompt, Some("Two\nlines"), 2),
            rule(&[&["ls"]], Decision::Allow, None, 5),
            rule(&[&["id"]], Decision::Allow, None, 5),
        ]
    );
    let network = NetworkRule {
        host: "api.example.com".into(),
        protocol: NetworkProtocol::Https,
        decision: Decision::Forbid,
        justification: None,
        place: place(6),
    };
    assert_eq!(rules.networks(), &[network]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, expected) in [
        ("prefix_rule()", "r:1:1: `pattern` is missing"),
        ("\n  prefix_rule(pattern=[])", "r:2:15: `pattern` must be"),
        ("prefix_rule(pattern=[[]])", "r:1:13: `pattern` must be"),
        ("prefix_rule(pattern=[[['a']]])", "r:1:13: `pattern` must be"),
        ("prefix_rule(pattern='a')", "r:1:13: `pattern` must be"),
        ("prefix_rule(['a'], decision='maybe')", "r:1:20: `decision` must be"),
        ("prefix_rule(['a'], justification=' ')", "r:1:20: `justification` must be"),
        ("prefix_rule(['a'], because='x')", "r:1:20: `because` is not an argument"),
        ("prefix_rule(['a'], pattern=['b'])", "r:1:20: `pattern` is given twice"),
        ("prefix_rule(['a'], match=['b'])", "r:1:20: The rule does not match its example `b`"),
        ("prefix_rule(['a'], not_match='a b')", "r:1:20: The rule matches `a b`"),
        ("prefix_rule(['a'", "r:1:17: Expected `,` or `]`"),
        ("prefix_rule(['a)", "r:1:14: The string is not closed"),
        ("prefix_rule(['\\q'])", "r:1:15: The escape"),
        ("prefix_rule([1])", "r:1:14: `1` is not understood"),
        ("prefix_rule(['a'] + ['b'])", "r:1:19: Expected `,` or `)`"),
        ("prefix_rule([f'a'])", "r:1:14: `f` is not understood"),
        ("prefix_rule(['a']) prefix_rule(['b'])", "r:1:20: `p` is not understood"),
        ("allow_rule(['a'])", "r:1:1: There is no function `allow_rule`"),
        ("load('a', 'b')", "r:1:1: There is no function `load`"),
        ("x = 1", "r:1:1: `x` is not understood"),
        ("def f():\n  pass", "r:1:1: `def` is not understood"),
        ("[prefix_rule([x]) for x in y]", "r:1:1: `[` is not understood"),
        ("network_rule('*.a.b', 'https')", "r:1:14: `host` must be"),
        ("network_rule('https://a', 'https')", "r:1:14: `host` must be"),
        ("network_rule('a', 'ftp')", "r:1:19: `protocol` must be"),
        ("host_executable('git', ['/usr/bin/sh'])", "r:1:24: `paths` must be"),
        ("host_executable('git', ['git'])", "r:1:24: `paths` must be"),
    ] {
        let found = problem(text);
        assert!(found.starts_with(expected), "{text}: {found}");
    }
}

#[test]
fn hostile_texts_are_refused_at_once() {
    for text in [
        "for i in range(1000000000000000000):\n  pass".to_owned(),
        "def f(n): return f(n + 1)\nf(0)".to_owned(),
        "x = [0] * 1000000000".to_owned(),
        format!("prefix_rule({})", "[".repeat(500_000)),
        "prefix_rule(['a'])\n".repeat(20_000),
        " ".repeat(2_000_000),
    ] {
        assert!(!read(&text).problems().is_empty());
    }
}

#[test]
fn a_file_that_is_wrong_takes_no_other_with_it() {
    let rules = Rules::read(&[
        RuleFile { name: "a", text: "prefix_rule(['x'])\noops" },
        RuleFile { name: "b", text: "prefix_rule(['y'])" },
    ]);
    assert_eq!(rules.prefixes().len(), 1);
    assert_eq!(rules.problems()[0].file, "a");
}

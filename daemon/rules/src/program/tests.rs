//! Files are programs; what they make are rules, and what is wrong with them has its place.

use super::*;

fn rules(text: &str) -> Vec<Rule> {
    run(text.to_owned()).unwrap()
}

/// Every rule on a line of its own, as it would be written out, with its line.
fn shown(text: &str) -> Vec<String> {
    rules(text)
        .iter()
        .map(|rule| match rule {
            Rule::Prefix(rule) => format!("{} {rule}", rule.place.line),
            Rule::Outside(rule) => format!("{} {rule}", rule.place.line),
            Rule::Network(rule) => format!("{} {} {:?}", rule.place.line, rule.host, rule.decision),
            Rule::Executable(rule) => format!("{} {:?}", rule.name, rule.paths),
        })
        .collect()
}

fn problem(text: &str) -> String {
    let Complaint { line, column, message } = run(text.to_owned()).unwrap_err();
    format!("{line}:{column}: {message}")
}

#[test]
fn every_form_of_a_call_is_read() {
    let found = shown(
        "# comment\nprefix_rule(pattern = ['git', [\"push\", r'a\\b'],], decision='prompt', # why\n  \
         justification=\"\"\"Two\nlines\"\"\", match=[\"git 'push' x\", [\"git\", \"push\"]], not_match='git pull',)\n\
         prefix_rule(['\\x6cs']); prefix_rule(['id'], None)\n\
         network_rule(host='API.Example.com.:443', protocol='https', decision='deny')\n\
         host_executable(name='git', paths=['/usr/bin/git'])\n\
         outside_rule(pattern=['make', 'x'], folder='/repo')\n",
    );
    assert_eq!(shown("\u{feff}prefix_rule(['ls'])"), shown("prefix_rule(['ls'])"));
    assert_eq!(
        found,
        [
            "2 prefix_rule(pattern=[\"git\", [\"push\", \"a\\\\b\"]], decision=\"prompt\", justification=\"Two\\nlines\")",
            "5 prefix_rule(pattern=[\"ls\"], decision=\"allow\")",
            "5 prefix_rule(pattern=[\"id\"], decision=\"allow\")",
            "6 api.example.com Forbid",
            "git [\"/usr/bin/git\"]",
            "8 outside_rule(pattern=[\"make\", \"x\"], folder=\"/repo\")",
        ]
    );
}

#[test]
fn files_may_compute_their_rules() {
    let found = shown(
        "TOOLS = ['cargo', 'npm']\n\
         def forbid(tool, *verbs, why = 'no'):\n    \
             for verb in verbs:\n        \
                 prefix_rule(pattern = [tool, verb], decision = 'forbidden', justification = f'{tool} {verb}: {why}')\n\
         for tool in TOOLS:\n    forbid(tool, 'publish')\n\
         [prefix_rule([name]) for name in ['a', 'b'] if name != 'b']\n\
         prefix_rule([tool for tool in TOOLS] + [[v.upper() for v in ['x', 'y']]])\n",
    );
    assert_eq!(
        found,
        [
            "4 prefix_rule(pattern=[\"cargo\", \"publish\"], decision=\"forbidden\", justification=\"cargo publish: no\")",
            "4 prefix_rule(pattern=[\"npm\", \"publish\"], decision=\"forbidden\", justification=\"npm publish: no\")",
            "7 prefix_rule(pattern=[\"a\"], decision=\"allow\")",
            "8 prefix_rule(pattern=[\"cargo\", \"npm\", [\"X\", \"Y\"]], decision=\"allow\")",
        ]
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, expected) in [
        ("prefix_rule()", "1:1: "),
        ("\n  \nprefix_rule(pattern=[])", "3:1: `pattern` must be"),
        ("prefix_rule(pattern=[[]])", "1:1: `pattern` must be"),
        ("prefix_rule(pattern=[[['a']]])", "1:1: `pattern` must be"),
        ("prefix_rule(pattern='a')", "1:1: `pattern` must be"),
        ("prefix_rule(pattern=[1])", "1:1: `pattern` must be"),
        ("x = 1; prefix_rule(['a'], decision='maybe')", "1:8: `decision` must be"),
        ("prefix_rule(['a'], justification=' ')", "1:1: `justification` must be"),
        ("prefix_rule(['a'], because='x')", "1:1: "),
        ("prefix_rule(['a'], pattern=['b'])", "1:1: "),
        ("prefix_rule(['a'], match=['b'])", "1:1: The rule does not match its example `b`"),
        ("prefix_rule(['a'], not_match='a b')", "1:1: The rule matches `a b`"),
        ("prefix_rule(['a'], match=[''])", "1:1: `match` must be"),
        ("prefix_rule(['a'], match=['a \"'])", "1:1: `match` must be"),
        ("prefix_rule(['a'", "1:"),
        ("prefix_rule(['a)", "1:"),
        ("allow_rule(['a'])", "1:1: Variable `allow_rule` not found"),
        ("load('a', 'b')", "1:1: "),
        ("print('a')", "1:1: "),
        ("while True:\n  pass", "1:"),
        ("def f():\n  prefix_rule([])\nf()", "2:3: `pattern` must be"),
        ("network_rule('*.a.b', 'https')", "1:1: `host` must be"),
        ("network_rule('https://a', 'https')", "1:1: `host` must be"),
        ("network_rule('a', 'ftp')", "1:1: `protocol` must be"),
        ("host_executable('git', ['/usr/bin/sh'])", "1:1: `paths` must be"),
        ("host_executable('git', ['git'])", "1:1: `paths` must be"),
        ("outside_rule(['a'], folder='b')", "1:1: `folder` must be"),
        ("fail('no')", "1:1: "),
        ("prefix_rule(patern=['a'])", "1:1: Found `patern`"),
        ("network_rule(hots='a', protocol='https')", "1:1: Found `hots`"),
        (
            "x = range(10000000000000)",
            "1:5: Error unpacking value for parameter `a1` of type `int: Integer value",
        ),
    ] {
        let found = problem(text);
        assert!(found.starts_with(expected) && !found.ends_with(": "), "{text}: {found}");
    }
}

#[test]
fn examples_may_name_a_program_by_its_path() {
    let listed = "host_executable('git', ['/usr/bin/git'])";
    for (text, is_right) in [
        ("prefix_rule(['rm'], match=['/bin/rm x'])", true),
        ("prefix_rule(['rm'], not_match=['/bin/rm x'])", false),
        (&format!("prefix_rule(['git'], match='/usr/bin/git x', not_match='/opt/git x')\n{listed}"), true),
        (&format!("{listed}\nprefix_rule(['git'], match='/opt/git x')"), false),
        ("prefix_rule(['rm'], decision='forbidden', not_match=['./rm x', 'rmdir x'])", true),
    ] {
        assert_eq!(run(text.to_owned()).is_ok(), is_right, "{text}: {:?}", run(text.to_owned()));
    }
    let wrong = "\nx = prefix_rule(['git'], match='/opt/git x')\nhost_executable('git', ['/usr/bin/git'])";
    assert_eq!(problem(wrong), "2:5: The rule does not match its example `/opt/git x`");
}

#[test]
fn what_runs_on_is_ended() {
    for text in [
        "for i in range(1000000000000000000):\n  pass",
        "for i in range(1000000000):\n  pass",
        "def f(n): return f(n + 1)\nf(0)",
        "def f():\n  for i in range(1000000):\n    for j in range(1000000):\n      pass\nf()",
        "x = [i for i in range(1000000000)]",
        "for i in range(20000):\n  prefix_rule(['a'])",
    ] {
        assert!(!problem(text).is_empty(), "{text}");
    }
}

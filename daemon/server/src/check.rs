//! What the policy finds in a command, line by line for a person who typed it. Knows nothing of how it decides.

use std::path::PathBuf;

use policy::analysis::{Feature, Gap, Place, Simple, Word};
use policy::rules::{Decision, Rules};
use policy::started::has_say;
use policy::verdict::Verdict;
use protocol::profile::SandboxMode;

/// A file of rules of the folder that is not used, because nobody trusts it.
pub(crate) struct Unused {
    /// The file, from the root of the repository.
    pub(crate) file: PathBuf,
    /// Whether it was trusted and is another by now.
    pub(crate) is_changed: bool,
}

/// What a command is as the session would have it: one word that says more than a program's name is a script.
pub(crate) fn understood(command: Vec<String>) -> Vec<String> {
    let means_more = |word: &str| {
        word.contains(|letter: char| letter.is_whitespace() || "|&;<>()$`'\"\\".contains(letter))
    };
    match <[String; 1]>::try_from(command) {
        Ok([script]) if means_more(&script) => {
            vec![tools::shell::path().to_owned(), "-c".to_owned(), script]
        }
        Ok(program) => program.into(),
        Err(several) => several,
    }
}

/// What it would run, what of that can't be known, what "always" would write, and what else of the rules a person
/// should know.
pub(crate) fn details(
    verdict: &Verdict,
    proposed: Option<&str>,
    rules: &Rules,
    unused: &[Unused],
) -> Vec<String> {
    let analysis = &verdict.analysis;
    let mut lines: Vec<String> = analysis.commands.iter().map(command).collect();
    lines.extend(analysis.redirects.iter().map(|target| format!("redirects  {}", typed(target))));
    lines.extend(analysis.features.iter().map(|feature| format!("has        {}", of_feature(*feature))));
    lines.extend(analysis.gaps.iter().map(|gap| format!("unknown    {}", of_gap(*gap))));
    lines.extend(rules.problems().iter().map(|problem| format!("broken     {problem}")));
    lines.extend(unused.iter().map(|unused| {
        let why = if unused.is_changed { "it was changed since it was trusted" } else { "nobody trusts it" };
        format!("not used   {}: {why}; `skein config trust` shows it", unused.file.display())
    }));
    lines.extend(proposed.iter().flat_map(|rules| rules.lines()).map(|rule| format!("always     {rule}")));
    if verdict.decision != Decision::Forbid
        && verdict.sandbox != SandboxMode::DangerFullAccess
        && has_say(rules)
    {
        let later = "when a program starts, also one that another starts, the rules are asked again, by where it lies";
        lines.push(format!("later      {later}"));
    }
    lines
}

fn command(command: &Simple) -> String {
    let words: Vec<_> = command.argv.iter().map(typed).collect();
    let place = of_place(command.place).map(|place| format!("  ({place})")).unwrap_or_default();
    format!("runs       {}{place}", words.join(" "))
}

/// A word as one would type it to a shell; what the shell puts something in stands as it is in the script.
fn typed(word: &Word) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_-./:,+@%^=".contains(letter);
    match word {
        Word::Open { raw, .. } => raw.clone(),
        Word::Plain(text) if !text.is_empty() && text.chars().all(is_plain) => text.clone(),
        Word::Plain(text) if text.contains(char::is_control) => {
            let quoted = text.chars().map(|letter| match letter {
                '\n' => "\\n".to_owned(),
                '\t' => "\\t".to_owned(),
                '\'' | '\\' => format!("\\{letter}"),
                _ if letter.is_control() => format!("\\u{:04x}", u32::from(letter)),
                _ => letter.to_string(),
            });
            format!("$'{}'", quoted.collect::<String>())
        }
        Word::Plain(text) => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn of_place(place: Place) -> Option<&'static str> {
    match place {
        Place::Top => None,
        Place::Shell => Some("the shell; what its script runs follows"),
        Place::Group => Some("in `( )` or `{ }`"),
        Place::ControlFlow => Some("in a condition, a loop or a choice"),
        Place::Function => Some("in a function"),
        Place::Substitution => Some("in `$( )`, backquotes, `<( )` or `>( )`"),
        Place::Wrapped => Some("another command starts it"),
        Place::Nested => Some("in a script inside the script"),
    }
}

fn of_feature(feature: Feature) -> &'static str {
    match feature {
        Feature::Expansion => "variables, patterns or `~`, which the shell replaces",
        Feature::Substitution => "commands whose output the shell puts in: `$( )`, backquotes, `<( )`",
        Feature::Redirection => "output to a file, or input from one",
        Feature::Heredoc => "text for a command to read: `<<`",
        Feature::Assignment => "variables that are set or removed: `x=1`, `export`, `unset`",
        Feature::Function => "a function",
        Feature::ForkBomb => "a function that starts itself again and again",
        Feature::ControlFlow => "conditions, loops, choices or `!`",
        Feature::Group => "commands in `( )` or `{ }`",
        Feature::Background => "commands that go on in the background: `&`",
    }
}

fn of_gap(gap: Gap) -> &'static str {
    match gap {
        Gap::Unparsed => "what the script means: it is not valid, or written in a way that is not understood",
        Gap::TooLarge => "all that it runs: it is too long or too deep to look through",
        Gap::TooSlow => "what the script means: it could not be parsed, as that took too long",
        Gap::UnknownProgram => "which program starts: its name comes from a variable or another command",
        Gap::UnknownScript => "which script a shell runs: it comes from its input, a file or a variable",
        Gap::Foreign => {
            "what a script in a file or in another language does, or an option that may start something"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use policy::rules::{PrefixRule, Rule, RulePlace};
    use policy::verdict::{Intent, evaluate};
    use protocol::profile::ApprovalPolicy;

    use super::*;

    fn check(argv: &[&str], expected: &[&str]) {
        let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
        let intent =
            Intent { argv: &argv, cwd: Path::new("/repo"), folder: Path::new("/repo"), is_escalated: false };
        let (approval, sandbox) = (ApprovalPolicy::OnRequest, SandboxMode::WorkspaceWrite);
        let verdict = evaluate(&intent, &Rules::default(), approval, sandbox);
        assert_eq!(details(&verdict, None, &Rules::default(), &[]), expected, "{argv:?}");
    }

    #[test]
    fn one_word_that_is_no_name_is_a_script() {
        let understood = |words: &[&str]| understood(words.iter().map(|&word| word.to_owned()).collect());
        for script in ["rm -rf /", "a;b", "ls|sh", "$x", "a\nb"] {
            assert_eq!(understood(&[script]), [tools::shell::path(), "-c", script]);
        }
        for argv in [&["ls"][..], &["/usr/bin/git-x"], &["rm -rf", "/"], &["echo", "a b"]] {
            assert_eq!(understood(argv), argv);
        }
    }

    #[test]
    fn what_else_a_person_should_know_of_the_rules_is_told() {
        let argv = ["make".to_owned()];
        let told = |words: Option<&str>, decision: Decision, sandbox: SandboxMode, unused: &[Unused]| {
            let mut rules = Rules::default();
            if let Some(word) = words {
                let rule = PrefixRule::new(vec![vec![word.to_owned()]], decision, None, RulePlace::default());
                rules.add(Rule::Prefix(rule.expect("a rule")));
            }
            let intent = Intent {
                argv: &argv,
                cwd: Path::new("/repo"),
                folder: Path::new("/repo"),
                is_escalated: false,
            };
            let verdict = evaluate(&intent, &rules, ApprovalPolicy::OnRequest, sandbox);
            details(&verdict, None, &rules, unused).split_off(1)
        };
        let confined = SandboxMode::WorkspaceWrite;
        let later = told(Some("/usr/bin/head"), Decision::Forbid, confined, &[]);
        assert!(matches!(later.as_slice(), [line] if line.starts_with("later      ")), "{later:?}");
        for (word, decision, sandbox) in [
            (None, Decision::Forbid, confined),
            (Some("make"), Decision::Allow, confined),
            (Some("make"), Decision::Forbid, confined),
            (Some("rm"), Decision::Forbid, SandboxMode::DangerFullAccess),
        ] {
            assert!(told(word, decision, sandbox, &[]).is_empty(), "{word:?} {decision:?} {sandbox:?}");
        }
        let file = |is_changed| Unused { file: ".skein/rules/a.rules".into(), is_changed };
        assert_eq!(
            told(None, Decision::Allow, confined, &[file(false), file(true)]),
            [
                "not used   .skein/rules/a.rules: nobody trusts it; `skein config trust` shows it",
                "not used   .skein/rules/a.rules: it was changed since it was trusted; `skein config trust` shows it",
            ]
        );
    }

    #[test]
    fn no_word_makes_a_line_of_its_own() {
        check(
            &["echo", "a\nruns b", "it's\t\u{1b}\\\n"],
            &[r"runs       echo $'a\nruns b' $'it\'s\t\u001b\\\n'"],
        );
    }

    #[test]
    fn commands_are_told_as_one_types_them_and_where_they_stand() {
        check(&["git", "commit", "-m", "it's"], &[r"runs       git commit -m 'it'\''s'"]);
        check(
            &["bash", "-c", "cd 'a b' && (make \"$x\" > out)"],
            &[
                r#"runs       bash -c 'cd '\''a b'\'' && (make "$x" > out)'  (the shell; what its script runs follows)"#,
                "runs       cd 'a b'",
                "runs       make \"$x\"  (in `( )` or `{ }`)",
                "redirects  out",
                "has        variables, patterns or `~`, which the shell replaces",
                "has        output to a file, or input from one",
                "has        commands in `( )` or `{ }`",
            ],
        );
        check(
            &["env", "$cmd", "x"],
            &["runs       env '$cmd' x", "runs       '$cmd' x  (another command starts it)"],
        );
    }
}

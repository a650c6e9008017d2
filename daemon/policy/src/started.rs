//! What the rules say of a program that a command is about to start, whose arguments are known to the last letter. What
//! it starts in turn is asked about when it does. And whether a question about a script can wait until then.

use std::path::Path;

use protocol::profile::{ApprovalPolicy, SandboxMode};

use crate::analysis::{Analysis, Feature, Place, Simple, Word, analyse, base};
use crate::rules::{Decision, Match, PrefixRule, Rules};
use crate::verdict::{Cause, Intent, Verdict, by_outside_rule, by_rule, evaluate};

/// The most arguments of a loader that are looked at for the program that it loads.
const MOST_LOADED: usize = 16;

/// A program that is about to start.
#[derive(Clone, Copy, Debug)]
pub struct Started<'a> {
    /// The argument vector under each name that it has: those of its file, that which it was given, and that of the
    /// interpreter that its first line names.
    pub forms: &'a [Vec<String>],
    /// Its arguments as they were given, the first of them a name that proves nothing.
    pub argv: &'a [String],
    /// Its folder.
    pub cwd: &'a Path,
    /// Whether its file can be known.
    pub file: File,
}

/// Whether a program's file can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// It can.
    Known,
    /// Only the command can see it, so it may be any.
    Unseen,
}

/// Whether the rules can say anything of a program that starts.
#[must_use]
pub fn has_say(rules: &Rules) -> bool {
    !rules.outside().is_empty() || rules.prefixes().iter().any(restricts)
}

/// The strictest rule that restricts the program, and what it says; nothing if none does.
#[must_use]
pub fn restriction(started: &Started<'_>, rules: &Rules) -> Option<(Decision, String)> {
    let forms: Vec<Form> = started.forms.iter().map(|form| Form::of(form)).collect();
    let arguments = started.argv.get(1..).unwrap_or_default();
    let holds = |rule: &&PrefixRule| {
        restricts(rule)
            && (forms.iter().any(|form| form.holds(rule, rules))
                || started.file == File::Unseen && fits_behind(rule, arguments))
    };
    let strictest = rules.prefixes().iter().filter(holds).max_by_key(|rule| rule.decision)?;
    Some((strictest.decision, by_rule(strictest)))
}

/// The rule by which exactly this may leave the sandbox. That its name means the program that people think of, and that
/// nothing in its environment bends it, is the caller's to know.
#[must_use]
pub fn way_out(started: &Started<'_>, rules: &Rules) -> Option<String> {
    let words = || started.argv.iter().map(String::as_str);
    let rule = rules.outside().iter().find(|rule| rule.holds_for(words(), started.cwd))?;
    Some(by_outside_rule(rule))
}

/// Whether the question about a script can wait until the program that it is about starts: all that the script runs is
/// known, the program is not the shell itself, and nothing else speaks against the rest.
#[must_use]
pub fn can_wait(intent: &Intent<'_>, verdict: &Verdict, rules: &Rules) -> bool {
    let Verdict { decision, cause, analysis, approval, sandbox, .. } = verdict;
    *decision == Decision::Prompt
        && *cause == Cause::Rule
        && !intent.is_escalated
        && *sandbox != SandboxMode::DangerFullAccess
        && is_script_of_several(analysis)
        && analysis.commands.iter().all(|command| !is_restricted(command, rules) || is_program(command))
        && is_allowed_otherwise(intent, rules, *approval, *sandbox)
}

fn restricts(rule: &PrefixRule) -> bool {
    rule.decision != Decision::Allow
}

/// A program under one of its names.
struct Form {
    /// What it does itself, without starting anything.
    commands: Vec<Vec<Word>>,
    /// What is known of its arguments, if it can be told to do something else.
    carried: Option<Analysis>,
}

impl Form {
    fn of(argv: &[String]) -> Self {
        let words = || argv.iter().cloned().map(Word::Plain).collect::<Vec<_>>();
        let name = argv.first().map_or("", |program| base(program));
        if is_loader(name) {
            // It becomes the program that it loads.
            let starts = (0..argv.len()).take(MOST_LOADED);
            let commands = starts.map(|start| words().split_off(start)).collect();
            return Self { commands, carried: None };
        }
        if !["git", "busybox", "toybox", "coreutils"].contains(&name) && !name.starts_with("git-") {
            return Self { commands: vec![words()], carried: None };
        }
        let analysis = analyse(argv);
        let commands = analysis.commands.iter().map(|command| command.argv.clone()).collect();
        Self { commands, carried: (!analysis.is_complete()).then_some(analysis) }
    }

    fn holds(&self, rule: &PrefixRule, rules: &Rules) -> bool {
        self.commands.iter().any(|words| rules.matches(rule, words) == Match::Sure)
            || self.carried.as_ref().is_some_and(|analysis| rule.is_mentioned(analysis))
    }
}

fn is_loader(name: &str) -> bool {
    name == "ld.so" || name.starts_with("ld-linux") || name.starts_with("ld-musl")
}

/// Whether the rule holds if the program is the one that it names.
fn fits_behind(rule: &PrefixRule, arguments: &[String]) -> bool {
    let wanted = rule.pattern.get(1..).unwrap_or_default();
    wanted.len() <= arguments.len()
        && wanted.iter().zip(arguments).all(|(alternatives, argument)| alternatives.contains(argument))
}

fn is_script_of_several(analysis: &Analysis) -> bool {
    let [shell, rest @ ..] = analysis.commands.as_slice() else { return false };
    shell.place == Place::Shell
        && rest.len() > 1
        && analysis.is_complete()
        && !analysis.features.contains(&Feature::Function)
}

fn is_restricted(command: &Simple, rules: &Rules) -> bool {
    rules.prefixes().iter().any(|rule| restricts(rule) && rules.matches(rule, &command.argv) != Match::No)
}

/// Whether the shell starts a program for it. What it does itself nobody sees begin.
fn is_program(command: &Simple) -> bool {
    command.program().is_some_and(|name| !is_builtin(name))
}

/// Whether shells do it themselves.
pub(crate) fn is_builtin(name: &str) -> bool {
    BUILTINS.contains(&name)
}

/// Whether it would run without a question if the rules that ask were not there.
fn is_allowed_otherwise(
    intent: &Intent<'_>,
    rules: &Rules,
    approval: ApprovalPolicy,
    sandbox: SandboxMode,
) -> bool {
    evaluate(intent, &rules.without_questions(), approval, sandbox).decision == Decision::Allow
}

/// What shells do themselves.
const BUILTINS: &[&str] = &[
    ".",
    ":",
    "[",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "cd",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "echo",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "getopts",
    "hash",
    "help",
    "history",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "print",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
    "whence",
    "where",
    "which",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{OutsideRule, Rule, RulePlace};

    fn pattern(words: &[&str]) -> Vec<Vec<String>> {
        words.iter().map(|&word| vec![word.to_owned()]).collect()
    }

    fn rules() -> Rules {
        let mut rules = Rules::default();
        for (words, decision) in [
            (&["git", "push"][..], Decision::Prompt),
            (&["git", "push", "--force"], Decision::Forbid),
            (&["rm"], Decision::Forbid),
            (&["kill"], Decision::Prompt),
            (&["ls"], Decision::Allow),
        ] {
            let rule = PrefixRule::new(pattern(words), decision, None, RulePlace::default());
            rules.add(Rule::Prefix(rule.expect("a rule")));
        }
        let outside = OutsideRule::new(pattern(&["git", "fetch"]), None, None, RulePlace::default());
        rules.add(Rule::Outside(outside.expect("a rule")));
        rules.placed(Path::new("/repo"))
    }

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn restricted(forms: &[&[&str]], file: File) -> Option<Decision> {
        let forms: Vec<_> = forms.iter().map(|form| argv(form)).collect();
        let started = Started { forms: &forms, argv: &forms[0], cwd: Path::new("/"), file };
        restriction(&started, &rules()).map(|(decision, _)| decision)
    }

    #[test]
    fn the_strictest_rule_on_any_of_its_names_counts() {
        use Decision::{Forbid, Prompt};
        for (forms, expected) in [
            (&[&["/usr/bin/git", "push"][..]][..], Some(Prompt)),
            (&[&["harmless", "push", "--force"], &["/usr/bin/git", "push", "--force"]], Some(Forbid)),
            (&[&["/tmp/other", "push"], &["git", "push"]], Some(Prompt)),
            (&[&["./git", "push"]], Some(Prompt)),
            (&[&["git", "-C", ".", "push"]], Some(Prompt)),
            (&[&["git", "-c", "alias.p=push", "p"]], Some(Prompt)),
            (&[&["/usr/lib/git-core/git-push", "origin"]], Some(Prompt)),
            (&[&["git-push", "--force"]], Some(Forbid)),
            (&[&["busybox", "rm", "x"]], Some(Forbid)),
            (&[&["/lib64/ld-linux-x86-64.so.2", "--argv0", "x", "/bin/rm", "y"]], Some(Forbid)),
            (&[&["/usr/bin/git", "status"]], None),
            (&[&["/usr/bin/ls"]], None),
            (&[&["/usr/lib/git-core/git-status"]], None),
            (&[&["git-pusher", "x"]], None),
            // What they start is looked at when they do.
            (&[&["/usr/bin/env", "rm", "x"]], None),
            (&[&["/bin/bash", "-c", "rm x; git push"]], None),
        ] {
            assert_eq!(restricted(forms, File::Known), expected, "{forms:?}");
        }
    }

    #[test]
    fn a_file_that_nobody_sees_may_be_any() {
        assert_eq!(restricted(&[&["/proc/self/fd/3", "push"]], File::Unseen), Some(Decision::Forbid));
        let only_git = |words: &[&str]| {
            let mut rules = Rules::default();
            let rule =
                PrefixRule::new(pattern(&["git", "push"]), Decision::Prompt, None, RulePlace::default());
            rules.add(Rule::Prefix(rule.expect("a rule")));
            let argv = argv(words);
            let started = Started { forms: &[], argv: &argv, cwd: Path::new("/"), file: File::Unseen };
            restriction(&started, &rules).is_some()
        };
        assert!(only_git(&["x", "push", "origin"]) && !only_git(&["x", "status"]));
    }

    #[test]
    fn only_what_a_rule_names_to_the_last_word_may_leave() {
        for (words, cwd, is_out) in [
            (&["git", "fetch"][..], "/repo", true),
            // A command could have made a repository there, with settings that name programs.
            (&["git", "fetch"], "/repo/sub", false),
            (&["git", "fetch"], "/", false),
            (&["git", "fetch", "origin"], "/repo", false),
            (&["git"], "/repo", false),
        ] {
            let argv = argv(words);
            let started = Started { forms: &[], argv: &argv, cwd: Path::new(cwd), file: File::Known };
            assert_eq!(way_out(&started, &rules()).is_some(), is_out, "{words:?} {cwd}");
        }
    }

    #[test]
    fn rules_that_only_allow_have_no_say() {
        assert!(has_say(&rules()) && !has_say(&Rules::default()));
    }

    #[test]
    fn a_question_waits_only_for_a_program_in_a_script_that_is_known() {
        for (script, waits) in [
            ("echo a; git push", true),
            ("make && git push && echo done", true),
            ("if true; then git push; fi; make", true),
            // It is all that there is.
            ("git push", false),
            // The shell itself does it.
            ("sleep 9 & kill $!", false),
            ("git() { :; }; git push", false),
            // What it does is not known.
            ("git push; eval \"$x\"", false),
            // Something else is to be asked about.
            ("git reset --hard; git push", false),
            ("make; git push --force", false),
        ] {
            let argv = argv(&["/bin/bash", "-c", script]);
            let intent = Intent {
                argv: &argv,
                cwd: Path::new("/repo"),
                folder: Path::new("/repo"),
                is_escalated: false,
            };
            let rules = rules();
            let sandbox = SandboxMode::WorkspaceWrite;
            let verdict = evaluate(&intent, &rules, ApprovalPolicy::OnRequest, sandbox);
            assert_eq!(can_wait(&intent, &verdict, &rules), waits, "{script}: {verdict:?}");
        }
    }
}

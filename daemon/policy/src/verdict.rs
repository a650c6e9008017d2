//! Says of one command whether it runs, is asked about or is refused: by the rules, by what is dangerous, by what is
//! known to be harmless, and by the session's settings. Whether it may leave the sandbox is another question.

use std::path::Path;

use protocol::profile::{ApprovalPolicy, SandboxMode};
use serde::Serialize;

use crate::analysis::{Analysis, Gap, Place, Simple, Word, analyse};
use crate::rules::{Decision, Match, OutsideRule, PrefixRule, RulePlace, Rules, shown};
use crate::workplace::{self, Workplace};
use crate::{danger, harmless};

/// What the model wants to run.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// The argument vector.
    pub argv: &'a [String],
    /// The folder.
    pub cwd: &'a Path,
    /// The session's own folder.
    pub folder: &'a Path,
    /// Whether it is to run outside the sandbox.
    pub is_escalated: bool,
}

/// What is to be done with a command, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it runs. Allowed is: without a question, and outside the sandbox only if that was asked for.
    pub decision: Decision,
    /// What decided.
    pub cause: Cause,
    /// The rule that decided, if one did.
    pub rule: Option<RulePlace>,
    /// What it would run.
    pub analysis: Analysis,
    /// Why, for a person and the model.
    pub reason: String,
    /// The approval policy that it was judged by.
    pub approval: ApprovalPolicy,
    /// The sandbox that it would run in.
    pub sandbox: SandboxMode,
}

/// What decided about a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// A rule.
    Rule,
    /// Rules that can't be read.
    BrokenRules,
    /// Rules that may hold: what it would run can't be known.
    Undecided,
    /// It is dangerous.
    Danger,
    /// It is to run outside the sandbox.
    Escalation,
    /// It is not known to be harmless.
    Unknown,
    /// It is known to be harmless.
    Harmless,
    /// Nothing speaks against it.
    NoObjection,
}

/// Decides about a command. The strictest answer counts: of rules on anything it runs, then of what is dangerous, then
/// of the approval policy. Where nobody is asked, what would be asked is refused.
#[must_use]
pub fn evaluate(
    intent: &Intent<'_>,
    rules: &Rules,
    approval: ApprovalPolicy,
    sandbox: SandboxMode,
) -> Verdict {
    let mut analysis = analyse(intent.argv);
    analysis.start = workplace::start(intent.cwd, intent.folder);
    let Answer { mut decision, cause, rule, mut reason } =
        answer(intent, &analysis, rules, approval, sandbox);
    if decision == Decision::Prompt && approval == ApprovalPolicy::Never {
        decision = Decision::Forbid;
        reason.push_str("; this needs a person's approval, and the approval policy is `never`");
    }
    Verdict { decision, cause, rule, analysis, reason, approval, sandbox }
}

struct Answer {
    decision: Decision,
    cause: Cause,
    rule: Option<RulePlace>,
    reason: String,
}

impl Answer {
    fn by(rule: &PrefixRule) -> Self {
        let reason = by_rule(rule);
        Self { decision: rule.decision, cause: Cause::Rule, rule: Some(rule.place.clone()), reason }
    }

    fn out_by(rule: &OutsideRule) -> Self {
        let reason = by_outside_rule(rule);
        Self { decision: Decision::Allow, cause: Cause::Rule, rule: Some(rule.place.clone()), reason }
    }

    fn plain(decision: Decision, cause: Cause, reason: impl Into<String>) -> Self {
        Self { decision, cause, rule: None, reason: reason.into() }
    }
}

/// What a rule says, for a person and the model.
pub(crate) fn by_rule(rule: &PrefixRule) -> String {
    let verb = match rule.decision {
        Decision::Allow => "allows",
        Decision::Prompt => "asks about",
        Decision::Forbid => "forbids",
    };
    told(verb, &rule.shown(), &rule.place, rule.justification.as_deref())
}

/// The same of a rule on leaving the sandbox.
pub(crate) fn by_outside_rule(rule: &OutsideRule) -> String {
    told("lets out of the sandbox", &shown(&rule.pattern), &rule.place, rule.justification.as_deref())
}

fn told(verb: &str, what: &str, place: &RulePlace, justification: Option<&str>) -> String {
    let RulePlace { file, line } = place;
    let mut reason = format!("A rule {verb} `{what}` ({file}:{line})");
    if let Some(justification) = justification {
        reason.push_str(": ");
        reason.push_str(justification);
    }
    reason
}

fn answer(
    intent: &Intent<'_>,
    analysis: &Analysis,
    rules: &Rules,
    approval: ApprovalPolicy,
    sandbox: SandboxMode,
) -> Answer {
    let restricting = Restricting::of(analysis, rules);
    if let Some(rule) = restricting.strictest.filter(|rule| rule.decision == Decision::Forbid) {
        return Answer::by(rule);
    }
    if let Some(problem) = rules.problems().first() {
        let reason = format!("The rules can't be read: {problem}");
        return Answer::plain(Decision::Prompt, Cause::BrokenRules, reason);
    }
    if let Some(rule) = restricting.strictest {
        return Answer::by(rule);
    }
    if restricting.is_undecided {
        let reason = if analysis.gaps.contains(&Gap::TooSlow) {
            "There are rules, and it could not be parsed, as that took too long"
        } else {
            "There are rules, and what it would run can't be known beforehand"
        };
        return Answer::plain(Decision::Prompt, Cause::Undecided, reason);
    }
    let is_confined = sandbox != SandboxMode::DangerFullAccess;
    let danger = || dangerous(analysis, intent.cwd, rules).filter(|_| is_confined);
    if intent.is_escalated && is_confined {
        const REASON: &str = "The command would run outside the sandbox";
        return match (rules.way_out(intent.argv, intent.cwd, analysis), danger()) {
            (Some(rule), _) => Answer::out_by(rule),
            (None, Some(danger)) => {
                Answer::plain(Decision::Prompt, Cause::Danger, format!("{REASON}. {danger}"))
            }
            (None, None) => Answer::plain(Decision::Prompt, Cause::Escalation, REASON),
        };
    }
    if let Some(reason) = danger() {
        return Answer::plain(Decision::Prompt, Cause::Danger, reason);
    }
    if analysis.is_plain
        && unallowed(analysis, rules).next().is_none()
        && let Some(rule) = first_allowing(analysis, rules)
    {
        return Answer::by(rule);
    }
    match approval {
        ApprovalPolicy::Untrusted if harmless::is_known(analysis) => {
            Answer::plain(Decision::Allow, Cause::Harmless, "It is known to be harmless")
        }
        ApprovalPolicy::Untrusted => {
            let reason = "The command is not known to be harmless (approval policy `untrusted`)";
            Answer::plain(Decision::Prompt, Cause::Unknown, reason)
        }
        ApprovalPolicy::OnRequest | ApprovalPolicy::Never => {
            let reason = if is_confined {
                "No rule speaks against it; it runs in the sandbox"
            } else {
                "No rule speaks against it; there is no sandbox"
            };
            Answer::plain(Decision::Allow, Cause::NoObjection, reason)
        }
    }
}

/// What the rules that restrict say.
#[derive(Default)]
struct Restricting<'a> {
    /// The first of the strictest that hold.
    strictest: Option<&'a PrefixRule>,
    /// Whether one may hold, and nothing says that it does not.
    is_undecided: bool,
}

impl<'a> Restricting<'a> {
    fn of(analysis: &Analysis, rules: &'a Rules) -> Self {
        let mut found = Self::default();
        for rule in rules.prefixes().iter().filter(|rule| rule.decision != Decision::Allow) {
            let matches = |command: &Simple| rules.matches(rule, &command.argv);
            let mut is_possible = analysis.gaps.iter().any(|gap| gap.is_blind());
            let mut holds = false;
            for command in &analysis.commands {
                match matches(command) {
                    Match::Sure => holds = true,
                    Match::Possible => is_possible = true,
                    Match::No => {}
                }
            }
            holds |= (is_possible || !analysis.is_complete()) && rule.is_mentioned(analysis);
            found.is_undecided |= is_possible;
            if holds && found.strictest.is_none_or(|strictest| strictest.decision < rule.decision) {
                found.strictest = Some(rule);
            }
        }
        found
    }
}

/// The rules that allow a command.
fn allowing<'a>(command: &'a Simple, rules: &'a Rules) -> impl Iterator<Item = &'a PrefixRule> {
    let holds = |rule: &&PrefixRule| {
        rule.decision == Decision::Allow && rules.matches(rule, &command.argv) == Match::Sure
    };
    rules.prefixes().iter().filter(holds)
}

/// What of a plain whole no rule allows and is not known to be harmless. A rule that names a command to its last word
/// names what that starts, too.
pub(crate) fn unallowed<'a>(analysis: &'a Analysis, rules: &'a Rules) -> impl Iterator<Item = &'a Simple> {
    // Invariant: in a plain whole the commands that another starts stand right behind it.
    let with_started = analysis.commands.chunk_by(|_, next| next.place == Place::Wrapped);
    with_started.filter_map(|commands| {
        let (first, _) = commands.split_first()?;
        let is_named = allowing(first, rules).any(|rule| rule.pattern.len() == first.argv.len());
        let is_allowed = |command: &Simple| {
            allowing(command, rules).next().is_some() || harmless::admits(command, analysis)
        };
        (!is_named && !commands.iter().all(is_allowed)).then_some(first)
    })
}

/// The rule to name where rules allow all: the first on something other than the shell that carries it.
fn first_allowing<'a>(analysis: &'a Analysis, rules: &'a Rules) -> Option<&'a PrefixRule> {
    let of = |command: &'a Simple| allowing(command, rules).max_by_key(|rule| rule.pattern.len());
    let (shells, others): (Vec<_>, Vec<_>) =
        analysis.commands.iter().partition(|command| command.place == Place::Shell);
    others.into_iter().chain(shells).find_map(of)
}

/// Why the command is dangerous, if no rule spells that danger out.
fn dangerous(analysis: &Analysis, cwd: &Path, rules: &Rules) -> Option<&'static str> {
    danger::of_whole(analysis).or_else(|| {
        let place = Workplace::of(analysis, cwd);
        let home = Workplace::of(&Analysis::default(), cwd);
        let commands = analysis.commands.iter().filter(|command| command.place != Place::Shell);
        commands.into_iter().find_map(|command| {
            let danger = danger::of_command(command, &place)?;
            let is_spelled_out =
                |rule: &PrefixRule| is_spelled_out(danger, command, rule.pattern.len(), &home, &place);
            (!allowing(command, rules).any(is_spelled_out)).then_some(danger)
        })
    })
}

/// Whether the words of a command that a rule names are the danger by themselves, where the command begins (`home`), and
/// what stands behind them adds none. So `git push origin main`, once allowed, speaks for no `--force` behind it,
/// `rm -rf build` for no other folder, and a program's name for nothing that the program does.
fn is_spelled_out(
    danger: &'static str,
    command: &Simple,
    named: usize,
    home: &Workplace<'_>,
    place: &Workplace<'_>,
) -> bool {
    let of = |words: &[Word], place| {
        danger::of_command(&Simple { argv: words.to_vec(), place: command.place }, place)
    };
    let Some((words, behind)) = command.argv.split_at_checked(named) else { return false };
    if of(words, home) != Some(danger) {
        return false;
    }
    let mut options_first = words.to_vec();
    if let Some(arguments) = options_first.get_mut(1..) {
        arguments.sort_by_key(|word| !word.shown().starts_with('-'));
    }
    // What the words behind would be with the longest beginning that is no danger yet.
    let adds_none = |words: &[Word]| {
        let is_none = |start: &&[Word]| of(start, home).is_none();
        let starts = (2..=named).filter_map(|count| words.get(..count));
        let start = starts.take_while(is_none).last().or(words.get(..1)).unwrap_or_default();
        of(&[start, behind].concat(), place).is_none()
    };
    behind.is_empty() || named > 1 && adds_none(words) && adds_none(&options_first)
}

#[cfg(test)]
mod tests;

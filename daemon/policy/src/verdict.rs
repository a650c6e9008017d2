//! Says of one command whether it runs, is asked about or is refused: by the rules, by what is dangerous, by what is
//! known to be harmless, and by the session's settings. Whether it may leave the sandbox is another question.

use std::path::Path;

use protocol::profile::{ApprovalPolicy, SandboxMode};
use serde::Serialize;

use crate::analysis::{Analysis, Place, Simple, analyse};
use crate::rules::{Decision, Match, OutsideRule, PrefixRule, RulePlace, Rules, shown};
use crate::{danger, harmless};

/// What the model wants to run.
#[derive(Clone, Copy, Debug)]
pub struct Intent<'a> {
    /// The argument vector.
    pub argv: &'a [String],
    /// The folder.
    pub cwd: &'a Path,
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
    let analysis = analyse(intent.argv);
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
        let reason = "There are rules, and what it would run can't be known beforehand";
        return Answer::plain(Decision::Prompt, Cause::Undecided, reason);
    }
    let is_confined = sandbox != SandboxMode::DangerFullAccess;
    let allowing = |command: &Simple| {
        let holds = |rule: &&PrefixRule| {
            rule.decision == Decision::Allow && rules.matches(rule, &command.argv) == Match::Sure
        };
        rules.prefixes().iter().filter(holds).max_by_key(|rule| rule.pattern.len())
    };
    let danger = || dangerous(analysis, intent.cwd, &allowing).filter(|_| is_confined);
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
    if analysis.is_plain {
        let mut by = None;
        let is_allowed = analysis.commands.iter().all(|command| {
            let rule = allowing(command);
            by = by.or(rule);
            rule.is_some() || harmless::admits(command, analysis)
        });
        if let Some(rule) = by.filter(|_| is_allowed) {
            return Answer::by(rule);
        }
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

/// Why the command is dangerous. A rule that allows more than a program's name speaks for the command that it names.
fn dangerous<'a>(
    analysis: &Analysis,
    cwd: &Path,
    allowing: &impl Fn(&Simple) -> Option<&'a PrefixRule>,
) -> Option<&'static str> {
    danger::of_whole(analysis).or_else(|| {
        let place = danger::Workplace::of(analysis, cwd);
        analysis
            .commands
            .iter()
            .filter(|command| command.place != Place::Shell)
            .filter(|command| allowing(command).is_none_or(|rule| rule.pattern.len() < 2))
            .find_map(|command| danger::of_command(command, &place))
    })
}

#[cfg(test)]
mod tests;

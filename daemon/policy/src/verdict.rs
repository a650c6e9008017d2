//! Says of one command whether it runs, is asked about or is refused: by the rules, by what is dangerous, by what is
//! known to be harmless, and by the session's settings. Whether it may leave the sandbox is another question.

use protocol::profile::{ApprovalPolicy, SandboxMode};

use crate::analysis::{Analysis, Place, Simple, analyse};
use crate::rules::{Decision, Match, PrefixRule, RulePlace, Rules};
use crate::{danger, harmless};

/// What is to be done with a command, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it runs. Allowed is: without a question, inside the sandbox.
    pub decision: Decision,
    /// The rule that decided, if one did.
    pub rule: Option<RulePlace>,
    /// What it would run.
    pub analysis: Analysis,
    /// Why, for a person and the model.
    pub reason: String,
}

/// Decides about a command. The strictest answer counts: of rules on anything it runs, then of what is dangerous, then
/// of the approval policy. Where nobody is asked, what would be asked is refused.
#[must_use]
pub fn evaluate(argv: &[String], rules: &Rules, approval: ApprovalPolicy, sandbox: SandboxMode) -> Verdict {
    let analysis = analyse(argv);
    let Answer { decision, rule, reason } = answer(&analysis, rules, approval, sandbox);
    let is_unanswerable = decision == Decision::Prompt && approval == ApprovalPolicy::Never;
    if is_unanswerable {
        let reason = format!("{reason}; this needs a person's approval, and the approval policy is `never`");
        return Verdict { decision: Decision::Forbid, rule, analysis, reason };
    }
    Verdict { decision, rule, analysis, reason }
}

struct Answer {
    decision: Decision,
    rule: Option<RulePlace>,
    reason: String,
}

impl Answer {
    fn by(rule: &PrefixRule) -> Self {
        let verb = match rule.decision {
            Decision::Allow => "allows",
            Decision::Prompt => "asks about",
            Decision::Forbid => "forbids",
        };
        let RulePlace { file, line } = &rule.place;
        let mut reason = format!("A rule {verb} `{}` ({file}:{line})", rule.shown());
        if let Some(justification) = &rule.justification {
            reason.push_str(": ");
            reason.push_str(justification);
        }
        Self { decision: rule.decision, rule: Some(rule.place.clone()), reason }
    }

    fn plain(decision: Decision, reason: impl Into<String>) -> Self {
        Self { decision, rule: None, reason: reason.into() }
    }
}

fn answer(analysis: &Analysis, rules: &Rules, approval: ApprovalPolicy, sandbox: SandboxMode) -> Answer {
    let restricting = Restricting::of(analysis, rules);
    if let Some(rule) = restricting.strictest.filter(|rule| rule.decision == Decision::Forbid) {
        return Answer::by(rule);
    }
    if let Some(problem) = rules.problems().first() {
        return Answer::plain(Decision::Prompt, format!("The rules can't be read: {problem}"));
    }
    if let Some(rule) = restricting.strictest {
        return Answer::by(rule);
    }
    if restricting.is_undecided {
        return Answer::plain(
            Decision::Prompt,
            "There are rules, and what it would run can't be known beforehand",
        );
    }
    let allowing = |command: &Simple| {
        let holds = |rule: &&PrefixRule| {
            rule.decision == Decision::Allow && rules.matches(rule, &command.argv) == Match::Sure
        };
        rules.prefixes().iter().filter(holds).max_by_key(|rule| rule.pattern.len())
    };
    if sandbox != SandboxMode::DangerFullAccess
        && let Some(reason) = dangerous(analysis, &allowing)
    {
        return Answer::plain(Decision::Prompt, reason);
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
            Answer::plain(Decision::Allow, "It is known to be harmless")
        }
        ApprovalPolicy::Untrusted => {
            Answer::plain(Decision::Prompt, "It is not known to be harmless (approval policy `untrusted`)")
        }
        ApprovalPolicy::OnRequest | ApprovalPolicy::Never if sandbox == SandboxMode::DangerFullAccess => {
            Answer::plain(Decision::Allow, "No rule speaks against it; there is no sandbox")
        }
        ApprovalPolicy::OnRequest | ApprovalPolicy::Never => {
            Answer::plain(Decision::Allow, "No rule speaks against it; it runs in the sandbox")
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
    allowing: &impl Fn(&Simple) -> Option<&'a PrefixRule>,
) -> Option<&'static str> {
    danger::of_whole(analysis).or_else(|| {
        analysis
            .commands
            .iter()
            .filter(|command| command.place != Place::Shell)
            .filter(|command| allowing(command).is_none_or(|rule| rule.pattern.len() < 2))
            .find_map(danger::of_command)
    })
}

#[cfg(test)]
mod tests;

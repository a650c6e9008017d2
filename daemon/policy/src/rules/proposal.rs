//! The rules that a person's "always" becomes: what they are asked about, word for word, and nothing wider.

use std::fmt;

use crate::analysis::{Place, Simple, Word};
use crate::rules::rule::{Decision, OutsideRule, PrefixRule, Rule, RulePlace};
use crate::rules::table::{Rules, parts_of_plain};
use crate::verdict::{Cause, Intent, Verdict, evaluate, unallowed};

/// A script with more commands is too much for rules that a person reads.
const MOST_RULES: usize = 4;
/// A longer text is, too.
const LONGEST: usize = 2_000;

/// Rules, as they would stand in a file: one on each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    rules: Vec<Rule>,
}

impl Proposal {
    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, rule) in self.rules.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            match rule {
                Rule::Prefix(rule) => rule.fmt(f)?,
                Rule::Outside(rule) => rule.fmt(f)?,
                Rule::Network(_) | Rule::Executable(_) => {}
            }
        }
        Ok(())
    }
}

/// The rules that would have answered what the verdict asks. `None` where nothing is asked, where a rule can't answer
/// it (another rule asks, the rules are broken), where none should (what is dangerous is asked about each time), and
/// where it would be too long to be read.
#[must_use]
pub fn propose(intent: &Intent<'_>, verdict: &Verdict, rules: &Rules) -> Option<Proposal> {
    if verdict.decision != Decision::Prompt {
        return None;
    }
    let proposed = match verdict.cause {
        Cause::Unknown => for_parts(verdict, rules),
        Cause::Escalation => for_a_way_out(intent, verdict, rules),
        Cause::Rule
        | Cause::BrokenRules
        | Cause::Undecided
        | Cause::Danger
        | Cause::Harmless
        | Cause::NoObjection => None,
    }?;
    let proposal = Proposal { rules: proposed };
    let mut with = rules.clone();
    proposal.rules.iter().cloned().for_each(|rule| with.add(rule));
    let answers = || evaluate(intent, &with, verdict.approval, verdict.sandbox).decision == Decision::Allow;
    let is_readable = !proposal.rules.is_empty()
        && proposal.rules.len() <= MOST_RULES
        && proposal.to_string().len() <= LONGEST;
    (is_readable && answers()).then_some(proposal)
}

fn for_parts(verdict: &Verdict, rules: &Rules) -> Option<Vec<Rule>> {
    let analysis = &verdict.analysis;
    if !analysis.is_plain {
        return None;
    }
    let mut proposed: Vec<Rule> = Vec::new();
    for command in unallowed(analysis, rules).filter(|command| command.place != Place::Shell) {
        let rule = PrefixRule::new(pattern(&command.exact()?), Decision::Allow, None, RulePlace::default());
        let rule = Rule::Prefix(rule.ok()?);
        if !proposed.contains(&rule) {
            proposed.push(rule);
        }
    }
    Some(proposed)
}

fn for_a_way_out(intent: &Intent<'_>, verdict: &Verdict, rules: &Rules) -> Option<Vec<Rule>> {
    intent.cwd.to_str()?;
    // What lies in the place of work can be another program by then.
    let is_relative = |command: &Simple| {
        let program = command.argv.first().and_then(Word::text);
        program.is_some_and(|program| program.contains('/') && !program.starts_with('/'))
    };
    if verdict.analysis.commands.iter().any(is_relative) {
        return None;
    }
    let whole: Vec<&str> = intent.argv.iter().map(String::as_str).collect();
    let parts = parts_of_plain(&verdict.analysis).unwrap_or_else(|| vec![whole]);
    let mut proposed: Vec<Rule> = Vec::new();
    for words in parts {
        if rules.outside().iter().any(|rule| rule.holds_for(words.iter().copied(), intent.cwd)) {
            continue;
        }
        let folder = Some(intent.cwd.to_owned());
        let rule = OutsideRule::new(pattern(&words), folder, None, RulePlace::default()).ok()?;
        let rule = Rule::Outside(rule);
        if !proposed.contains(&rule) {
            proposed.push(rule);
        }
    }
    Some(proposed)
}

fn pattern(words: &[&str]) -> Vec<Vec<String>> {
    words.iter().map(|word| vec![(*word).to_owned()]).collect()
}

//! Decides about the programs that a running command starts, by the rules and by what people granted when it began.
//! Knows nothing of how they are held.

use std::collections::BTreeSet;

use policy::analysis::analyse;
use policy::rules::Decision;
use policy::started::{Started, has_say, restriction, way_out};
use protocol::item::{Command, Item, ItemBody};
use tools::judge::{Judge, Ruling};

use crate::grants::Grants;
use crate::moment::Rules;
use crate::state::SessionState;
use crate::turn::judgement::command_kind;

/// The judge of one item's programs.
pub(crate) struct SessionJudge {
    rules: Rules,
    /// What may leave the sandbox by a person's leave.
    grants: Grants,
    /// What stands in the command itself and was asked about before it began.
    settled: BTreeSet<Vec<String>>,
}

impl SessionJudge {
    /// For an item that is about to run.
    pub(crate) fn new(state: &SessionState, item: &Item, rules: Rules) -> Self {
        let settled = match &item.body {
            ItemBody::Command(command) if has_leave(state, item, command) => {
                let analysis = analyse(&command.argv);
                let exact = analysis.commands.iter().filter_map(|command| command.exact());
                exact.map(|words| words.into_iter().map(str::to_owned).collect()).collect()
            }
            ItemBody::Command(_)
            | ItemBody::UserMessage(_)
            | ItemBody::AgentMessage(_)
            | ItemBody::Reasoning(_)
            | ItemBody::FileChange(_)
            | ItemBody::ToolCall(_)
            | ItemBody::Plan(_)
            | ItemBody::Notice(_)
            | ItemBody::WebSearch(_)
            | ItemBody::Compaction(_)
            | ItemBody::Agent(_)
            | ItemBody::Review(_)
            | ItemBody::Unknown(_) => BTreeSet::new(),
        };
        Self { rules, grants: state.all_grants(), settled }
    }
}

/// Whether a person let the whole of it run.
fn has_leave(state: &SessionState, item: &Item, command: &Command) -> bool {
    state.running.as_ref().is_some_and(|running| running.allowed.contains(&item.id))
        || state.is_granted(&command_kind(command, None))
}

impl Judge for SessionJudge {
    fn has_say(&self) -> bool {
        has_say(&self.rules) || self.grants.let_commands_out()
    }

    fn judge(&self, started: &Started<'_>) -> Ruling {
        match restriction(started, &self.rules) {
            Some((Decision::Forbid, reason)) => Ruling::Refuse { reason },
            Some((Decision::Prompt, _)) if self.settled.contains(started.argv) => self.out(started),
            Some((Decision::Prompt, reason)) => Ruling::Ask { reason },
            Some((Decision::Allow, _)) | None => self.out(started),
        }
    }
}

impl SessionJudge {
    fn out(&self, started: &Started<'_>) -> Ruling {
        let granted = || {
            let is_granted = self.grants.let_out(started.argv, started.cwd);
            is_granted.then(|| "a person let it out before".to_owned())
        };
        match way_out(started, &self.rules).or_else(granted) {
            Some(reason) => Ruling::Outside { reason },
            None => Ruling::Inside,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use policy::rules::{OutsideRule, PrefixRule, Rule, RulePlace};
    use policy::started::File;
    use protocol::question::QuestionKind;

    use super::*;

    fn rules() -> Rules {
        let mut rules = policy::rules::Rules::default();
        let pattern = |words: &[&str]| words.iter().map(|&word| vec![word.to_owned()]).collect();
        for (words, decision) in [
            (&["git", "push"][..], Decision::Prompt),
            (&["rm"], Decision::Forbid),
            (&["ls"], Decision::Allow),
        ] {
            let rule = PrefixRule::new(pattern(words), decision, None, RulePlace::default());
            rules.add(Rule::Prefix(rule.expect("a rule")));
        }
        let outside =
            OutsideRule::new(pattern(&["git", "fetch"]), Some("/repo".into()), None, RulePlace::default());
        rules.add(Rule::Outside(outside.expect("a rule")));
        Arc::new(rules)
    }

    fn judged(judge: &SessionJudge, words: &[&str]) -> &'static str {
        let argv: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let forms = [argv.clone()];
        let started = Started { forms: &forms, argv: &argv, cwd: Path::new("/repo"), file: File::Known };
        match judge.judge(&started) {
            Ruling::Inside => "inside",
            Ruling::Refuse { .. } => "refuse",
            Ruling::Ask { .. } | Ruling::AskToLeave { .. } => "ask",
            Ruling::Outside { .. } => "outside",
        }
    }

    #[test]
    fn rules_and_leaves_decide_and_what_was_asked_before_is_settled() {
        let mut grants = Grants::default();
        for (command, is_escalated) in [("make", true), ("cargo", false), ("git push b", true)] {
            grants.add(&QuestionKind::Command {
                command: command.to_owned(),
                argv: command.split(' ').map(str::to_owned).collect(),
                cwd: "/repo".into(),
                is_escalated,
                justification: None,
                refusals: Vec::new(),
                proposed_rule: None,
            });
        }
        let settled = ["a", "b"].map(|to| ["git", "push", to].map(str::to_owned).to_vec()).into();
        let judge = SessionJudge { rules: rules(), grants, settled };
        for (words, expected) in [
            (&["git", "push"][..], "ask"),
            (&["git", "push", "a"], "inside"),
            (&["git", "push", "b"], "outside"),
            (&["rm", "x"], "refuse"),
            (&["ls"], "inside"),
            (&["git", "fetch"], "outside"),
            (&["git", "fetch", "a"], "inside"),
            (&["make"], "outside"),
            (&["make", "a"], "inside"),
            (&["cargo"], "inside"),
        ] {
            assert_eq!(judged(&judge, words), expected, "{words:?}");
        }
    }

    #[test]
    fn without_rules_or_leaves_nothing_waits() {
        let judge = |rules, grants| SessionJudge { rules, grants, settled: BTreeSet::new() };
        assert!(!judge(Rules::default(), Grants::default()).has_say());
        assert!(judge(rules(), Grants::default()).has_say());
        let mut grants = Grants::default();
        grants.add(&QuestionKind::FileChange { patch: String::new() });
        assert!(!judge(Rules::default(), grants).has_say());
    }
}

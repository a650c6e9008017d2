//! Whether a rule holds for a command. A rule that restricts also counts where the command may be one of its kind: an
//! expansion can't hide what a rule was written for.

use crate::analysis::{Analysis, Word, base};
use crate::rules::problem::RuleProblem;
use crate::rules::rule::{Decision, PrefixRule};
use crate::rules::table::Rules;

/// Whether a rule holds for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// It does not.
    No,
    /// What the shell fills in decides.
    Possible,
    /// It does.
    Sure,
}

impl PrefixRule {
    /// Compares word for word. `stands_for` says whether a path stands for a bare name.
    pub(crate) fn matches(&self, words: &[Word], stands_for: impl Fn(&str, &str) -> bool) -> Match {
        for (at, alternatives) in self.pattern.iter().enumerate() {
            let is_program = at == 0;
            match words.get(at) {
                None => return Match::No,
                Some(Word::Plain(text)) => {
                    let fits = |token: &String| token == text || is_program && stands_for(text, token);
                    if !alternatives.iter().any(fits) {
                        return Match::No;
                    }
                }
                Some(Word::Open { prefix, .. }) => {
                    let known = words.first().filter(|_| is_program).and_then(Word::base_name);
                    let fits = |token: &String| match known {
                        Some(name) => token == name,
                        None => token.starts_with(prefix) || is_program && token.starts_with(base(prefix)),
                    };
                    return if alternatives.iter().any(fits) { Match::Possible } else { Match::No };
                }
            }
        }
        Match::Sure
    }

    /// Whether some alternative of each of its words stands anywhere in what was analysed.
    pub(crate) fn is_mentioned(&self, analysis: &Analysis) -> bool {
        self.pattern.iter().all(|alternatives| alternatives.iter().any(|token| analysis.mentions(token)))
    }

    /// What the rule decides about, for a person.
    pub(crate) fn shown(&self) -> String {
        shown(&self.pattern)
    }
}

/// A pattern, for a person.
pub(crate) fn shown(pattern: &[Vec<String>]) -> String {
    let words: Vec<String> = pattern.iter().map(|alternatives| alternatives.join("|")).collect();
    words.join(" ")
}

/// What a rule says of the examples that stand with it.
impl PrefixRule {
    /// Whether the rule holds for every one of these commands, where programs may lie as these rules say.
    ///
    /// # Errors
    /// `NoMatch` with the first that it does not hold for.
    pub fn check_matches(&self, examples: &[Vec<String>], among: &Rules) -> Result<(), RuleProblem> {
        let wrong = examples.iter().find(|example| among.matches(self, &plain(example)) != Match::Sure);
        wrong.map_or(Ok(()), |example| Err(RuleProblem::NoMatch(example.join(" "))))
    }

    /// Whether the rule holds for none of these commands. That one which restricts also takes in relative and odd paths
    /// is no fault of its example: other programs that read the file do not.
    ///
    /// # Errors
    /// `Match` with the first that it holds for.
    pub fn check_no_match(&self, examples: &[Vec<String>], among: &Rules) -> Result<(), RuleProblem> {
        let stands_for = |path: &str, name: &str| among.stands_for(path, name, Decision::Allow);
        let wrong = examples.iter().find(|example| self.matches(&plain(example), stands_for) == Match::Sure);
        wrong.map_or(Ok(()), |example| Err(RuleProblem::Match(example.join(" "))))
    }
}

fn plain(words: &[String]) -> Vec<Word> {
    words.iter().cloned().map(Word::Plain).collect()
}

impl Rules {
    /// Whether a rule of this table holds for a command.
    pub(crate) fn matches(&self, rule: &PrefixRule, words: &[Word]) -> Match {
        rule.matches(words, |path, name| self.stands_for(path, name, rule.decision))
    }

    /// An allowing rule on a bare name holds for an absolute path, if none or this one is listed. One that restricts
    /// also holds for relative paths and such as are spelled oddly.
    fn stands_for(&self, path: &str, name: &str, decision: Decision) -> bool {
        if !path.contains('/') || base(path) != name {
            return false;
        }
        let restricts = decision != Decision::Allow;
        if !path.starts_with('/') {
            return restricts;
        }
        let is_odd = || path.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."));
        match self.paths(name) {
            None => true,
            Some(paths) => paths.iter().any(|listed| listed == path) || restricts && is_odd(),
        }
    }
}

//! The rules that people write for commands and hosts: read from `*.rules` texts, matched against what a command runs.

mod matching;
mod reader;
mod rule;
mod table;

pub(crate) use matching::Match;
pub use reader::{RuleProblem, RulesError};
pub use rule::{Decision, HostExecutable, NetworkProtocol, NetworkRule, PrefixRule, RulePlace, allow_rule};
pub use table::{RuleFile, Rules};

#[cfg(test)]
mod tests;

//! The rules that people write for commands and hosts: what each may say, and how they are matched against what a
//! command runs. How a file is read is not known here.

mod matching;
mod problem;
mod proposal;
mod rule;
mod table;
mod text;

pub(crate) use matching::{Match, shown};
pub use problem::{RuleProblem, RulesError};
pub use proposal::{Proposal, propose};
pub use rule::{
    Decision, HostExecutable, NetworkProtocol, NetworkRule, OutsideRule, PrefixRule, Rule, RulePlace,
};
pub use table::Rules;
pub use text::words;

#[cfg(test)]
mod tests;

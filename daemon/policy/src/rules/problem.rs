//! What can be wrong with a rule, and with a file of rules.

/// Why a file with rules can't be used, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct RulesError {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// What is wrong, for a person.
    pub message: String,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// A value that does not fit.
    #[error("`{argument}` must be {expected}")]
    Value {
        /// The argument.
        argument: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// An example of `match` that the rule does not match.
    #[error("The rule does not match its example `{0}`")]
    NoMatch(String),
    /// An example of `not_match` that the rule matches.
    #[error("The rule matches `{0}`, which it should not")]
    Match(String),
}

//! All rules that hold, of all files.

use std::collections::BTreeMap;
use std::path::Path;

use crate::analysis::{Analysis, Gap, Place, Simple};
use crate::rules::problem::RulesError;
use crate::rules::rule::{Decision, HostExecutable, NetworkRule, OutsideRule, PrefixRule, Rule};
use crate::started::is_builtin;

/// All rules that hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    prefixes: Vec<PrefixRule>,
    outside: Vec<OutsideRule>,
    networks: Vec<NetworkRule>,
    executables: BTreeMap<String, Vec<String>>,
    problems: Vec<RulesError>,
}

impl Rules {
    /// Adds a rule.
    pub fn add(&mut self, rule: Rule) {
        match rule {
            Rule::Prefix(rule) => self.prefixes.push(rule),
            Rule::Outside(rule) => self.outside.push(rule),
            Rule::Network(rule) => self.networks.push(rule),
            Rule::Executable(HostExecutable { name, paths }) => {
                self.executables.entry(name).or_default().extend(paths);
            }
        }
    }

    /// Notes that a file can't be used. While there is one no command runs unasked: it might have been forbidden.
    pub fn add_problem(&mut self, problem: RulesError) {
        self.problems.push(problem);
    }

    /// Whether a rule on leaving the sandbox waits for [`placed`](Self::placed).
    #[must_use]
    pub fn has_unplaced(&self) -> bool {
        self.outside.iter().any(|rule| rule.folder.is_none())
    }

    /// The rules for a session in this folder: there, and not below, holds a rule on leaving the sandbox that names none.
    #[must_use]
    pub fn placed(mut self, folder: &Path) -> Self {
        for rule in &mut self.outside {
            rule.folder.get_or_insert_with(|| folder.to_owned());
        }
        self
    }

    /// What is wrong with the files.
    #[must_use]
    pub fn problems(&self) -> &[RulesError] {
        &self.problems
    }

    /// The rules on commands, in their order.
    #[must_use]
    pub fn prefixes(&self) -> &[PrefixRule] {
        &self.prefixes
    }

    /// The rules on leaving the sandbox, in their order.
    #[must_use]
    pub fn outside(&self) -> &[OutsideRule] {
        &self.outside
    }

    /// The rules on hosts, in their order.
    #[must_use]
    pub fn networks(&self) -> &[NetworkRule] {
        &self.networks
    }

    /// All but those on commands that ask.
    pub(crate) fn without_questions(&self) -> Self {
        let mut others = self.clone();
        others.prefixes.retain(|rule| rule.decision != Decision::Prompt);
        others
    }

    /// Where the program of this name may lie; absent: anywhere.
    pub(crate) fn paths(&self, name: &str) -> Option<&[String]> {
        self.executables.get(name).map(Vec::as_slice)
    }

    /// The rule by which a command may leave the sandbox: one that names the whole argument vector, or, of a plain
    /// script, one for each of its programs.
    pub(crate) fn way_out(&self, argv: &[String], cwd: &Path, analysis: &Analysis) -> Option<&OutsideRule> {
        let whole = self.outside.iter().find(|rule| rule.holds_for(argv.iter().map(String::as_str), cwd));
        whole.or_else(|| {
            let mut first = None;
            for words in parts_of_plain(analysis)? {
                let by = self.outside.iter().find(|rule| rule.holds_for(words.iter().copied(), cwd))?;
                first = first.or(Some(by));
            }
            first
        })
    }
}

/// The programs of a script that a shell starts exactly as they stand and that are all that it does. What the shell does
/// itself, as `cd` or `source`, could make them mean something else.
pub(crate) fn parts_of_plain(analysis: &Analysis) -> Option<Vec<Vec<&str>>> {
    let is_simple = |command: &&Simple| command.place != Place::Shell;
    let is_told =
        analysis.is_plain && analysis.gaps.iter().all(|gap| *gap == Gap::Foreign) && is_in_place(analysis);
    if !is_told {
        return None;
    }
    let program = |words: &Vec<&str>| words.first().is_some_and(|name| !is_builtin(name));
    analysis.commands.iter().filter(is_simple).map(|command| command.exact().filter(program)).collect()
}

/// Whether every command stands at the top of a script without a profile that is read first.
fn is_in_place(analysis: &Analysis) -> bool {
    analysis.commands.iter().all(|command| match command.place {
        Place::Top => true,
        Place::Shell => command.exact().is_some_and(|words| words.get(1) == Some(&"-c")),
        Place::Group
        | Place::ControlFlow
        | Place::Function
        | Place::Substitution
        | Place::Wrapped
        | Place::Nested => false,
    })
}

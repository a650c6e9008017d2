//! What a rule says, checked when it is made. Rules can be handed from the process that reads a file to the daemon,
//! which is why they can be serialised; what comes from there was checked there.

use std::path::{Path, PathBuf};

use protocol::profile::{self, NetworkDecision};
use serde::{Deserialize, Serialize};

use crate::analysis::base;
use crate::rules::problem::RuleProblem;

/// What a rule decides, from the laxest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Decision {
    /// No question is asked. What runs stays in the sandbox.
    Allow,
    /// A person is asked.
    Prompt,
    /// It is refused.
    Forbid,
}

impl Decision {
    /// The name as rules have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Prompt => "prompt",
            Self::Forbid => "forbidden",
        }
    }
}

/// Where a rule stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulePlace {
    /// The file.
    pub file: String,
    /// From 1.
    pub line: u32,
}

/// Any rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rule {
    /// On commands.
    Prefix(PrefixRule),
    /// On leaving the sandbox.
    Outside(OutsideRule),
    /// On hosts.
    Network(NetworkRule),
    /// On where programs lie.
    Executable(HostExecutable),
}

/// Decides about commands that begin with certain words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixRule {
    /// For each of the first words its alternatives. Neither is empty.
    pub pattern: Vec<Vec<String>>,
    /// What it decides.
    pub decision: Decision,
    /// Why, in the words of who wrote it.
    pub justification: Option<String>,
    /// Where it stands.
    pub place: RulePlace,
}

/// Lets a command out of the sandbox without a question, where the agent asks for that: the whole command, word for
/// word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideRule {
    /// For each word its alternatives. Neither is empty.
    pub pattern: Vec<Vec<String>>,
    /// The folder that the command runs in, absolute; absent: the session's own, which [`Rules::placed`](crate::rules::Rules::placed)
    /// fills in. Elsewhere a command could have made what its program goes by, as a repository with settings of its own.
    pub folder: Option<PathBuf>,
    /// Why, in the words of who wrote it.
    pub justification: Option<String>,
    /// Where it stands.
    pub place: RulePlace,
}

/// Decides about connections to a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRule {
    /// The name or address; lower case, without port and trailing dot.
    pub host: String,
    /// How it is spoken to.
    pub protocol: NetworkProtocol,
    /// What it decides.
    pub decision: Decision,
    /// Why, in the words of who wrote it.
    pub justification: Option<String>,
    /// Where it stands.
    pub place: RulePlace,
}

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkProtocol {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS, or CONNECT.
    Https,
    /// TCP through SOCKS5.
    Socks5Tcp,
    /// UDP through SOCKS5.
    Socks5Udp,
}

/// Says where a program may lie for rules on its bare name to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostExecutable {
    /// The bare name.
    pub name: String,
    /// Absolute paths.
    pub paths: Vec<String>,
}

const PATTERN: RuleProblem = RuleProblem::Value {
    argument: "pattern",
    expected: "a list of strings, or of lists of alternatives, none of them empty",
};

impl PrefixRule {
    /// A rule with this pattern.
    ///
    /// # Errors
    /// When the pattern or one of its lists of alternatives is empty, or the justification blank.
    pub fn new(
        pattern: Vec<Vec<String>>,
        decision: Decision,
        justification: Option<String>,
        place: RulePlace,
    ) -> Result<Self, RuleProblem> {
        let pattern = checked_pattern(pattern)?;
        let justification = checked_justification(justification)?;
        Ok(Self { pattern, decision, justification, place })
    }
}

impl OutsideRule {
    /// A rule with this pattern.
    ///
    /// # Errors
    /// When the pattern or one of its lists of alternatives is empty, the folder not absolute, or the justification
    /// blank.
    pub fn new(
        pattern: Vec<Vec<String>>,
        folder: Option<PathBuf>,
        justification: Option<String>,
        place: RulePlace,
    ) -> Result<Self, RuleProblem> {
        let pattern = checked_pattern(pattern)?;
        if folder.as_deref().is_some_and(|folder| !folder.is_absolute()) {
            return Err(RuleProblem::Value { argument: "folder", expected: "an absolute path" });
        }
        let justification = checked_justification(justification)?;
        Ok(Self { pattern, folder, justification, place })
    }

    /// Whether it holds for exactly these words in this folder; nowhere if it has none.
    pub(crate) fn holds_for<'w>(&self, words: impl ExactSizeIterator<Item = &'w str>, cwd: &Path) -> bool {
        self.folder.as_deref().is_some_and(|folder| folder == cwd)
            && words.len() == self.pattern.len()
            && words
                .zip(&self.pattern)
                .all(|(word, alternatives)| alternatives.iter().any(|token| token == word))
    }
}

impl NetworkRule {
    /// A rule on this host, which may stand with a port and in capitals.
    ///
    /// # Errors
    /// When the host is none, or the justification blank.
    pub fn new(
        host: &str,
        protocol: NetworkProtocol,
        decision: Decision,
        justification: Option<String>,
        place: RulePlace,
    ) -> Result<Self, RuleProblem> {
        let expected = "a name or an address, without scheme, path and wildcard";
        let host = host_name(host).ok_or(RuleProblem::Value { argument: "host", expected })?;
        let justification = checked_justification(justification)?;
        Ok(Self { host, protocol, decision, justification, place })
    }

    /// The rule as profiles have it. `None` for UDP, which no profile opens.
    #[must_use]
    pub fn for_profile(&self) -> Option<profile::NetworkRule> {
        let protocol = match self.protocol {
            NetworkProtocol::Http => profile::NetworkProtocol::Http,
            NetworkProtocol::Https => profile::NetworkProtocol::Https,
            NetworkProtocol::Socks5Tcp => profile::NetworkProtocol::Socks5Tcp,
            NetworkProtocol::Socks5Udp => return None,
        };
        let decision = match self.decision {
            Decision::Allow => NetworkDecision::Allow,
            Decision::Prompt => NetworkDecision::Prompt,
            Decision::Forbid => NetworkDecision::Deny,
        };
        Some(profile::NetworkRule { host: self.host.clone(), port: None, protocol: Some(protocol), decision })
    }
}

impl HostExecutable {
    /// The places of a program.
    ///
    /// # Errors
    /// When the name is no bare name, or a path is not absolute or has another name.
    pub fn new(name: String, paths: Vec<String>) -> Result<Self, RuleProblem> {
        if name.is_empty() || name.contains('/') {
            return Err(RuleProblem::Value { argument: "name", expected: "a bare name" });
        }
        if !paths.iter().all(|path| path.starts_with('/') && base(path) == name) {
            let expected = "a list of absolute paths that end in the name";
            return Err(RuleProblem::Value { argument: "paths", expected });
        }
        Ok(Self { name, paths })
    }
}

fn checked_pattern(pattern: Vec<Vec<String>>) -> Result<Vec<Vec<String>>, RuleProblem> {
    if pattern.is_empty() || pattern.iter().any(Vec::is_empty) { Err(PATTERN) } else { Ok(pattern) }
}

fn checked_justification(justification: Option<String>) -> Result<Option<String>, RuleProblem> {
    if justification.as_deref().is_some_and(|text| text.trim().is_empty()) {
        return Err(RuleProblem::Value { argument: "justification", expected: "a text that is not blank" });
    }
    Ok(justification)
}

/// The host alone, in lower case; `None` if it is none.
fn host_name(text: &str) -> Option<String> {
    let text = text.trim();
    let host = match text.strip_prefix('[') {
        Some(address) => address.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => {
                if !port.chars().all(|digit| digit.is_ascii_digit()) {
                    return None;
                }
                host
            }
            Some(_) | None => text,
        },
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_right = host.chars().all(|character| character.is_alphanumeric() || "-._:".contains(character));
    (is_right && !host.is_empty()).then_some(host)
}

//! All rules of a session: built from texts, with their examples checked.

use std::collections::BTreeMap;

use crate::analysis::{Word, base, split};
use crate::rules::matching::Match;
use crate::rules::reader::{Argument, At, Call, Problem, RuleProblem, RulesError, Value, read};
use crate::rules::rule::{Decision, HostExecutable, NetworkProtocol, NetworkRule, PrefixRule, RulePlace};

/// So many rules are taken.
const MOST_RULES: usize = 10_000;

/// A text with rules.
#[derive(Clone, Copy, Debug)]
pub struct RuleFile<'a> {
    /// Its name, for places and errors.
    pub name: &'a str,
    /// What stands in it.
    pub text: &'a str,
}

/// All rules that hold.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    prefixes: Vec<PrefixRule>,
    networks: Vec<NetworkRule>,
    executables: BTreeMap<String, Vec<String>>,
    problems: Vec<RulesError>,
}

impl Rules {
    /// Reads every text. One that is not right counts for nothing, and while there is one no command runs unasked.
    #[must_use]
    pub fn read(files: &[RuleFile<'_>]) -> Self {
        let mut rules = Self::default();
        for file in files {
            let read = read_file(file).and_then(|read| {
                let count = rules.len().saturating_add(read.len());
                if count > MOST_RULES {
                    Err((At { line: 1, column: 1 }, RuleProblem::TooMany))
                } else {
                    Ok(read)
                }
            });
            match read {
                Ok(read) => rules.add(read),
                Err((At { line, column }, problem)) => {
                    rules.problems.push(RulesError { file: file.name.to_owned(), line, column, problem });
                }
            }
        }
        rules
    }

    /// What is wrong with the texts.
    #[must_use]
    pub fn problems(&self) -> &[RulesError] {
        &self.problems
    }

    /// The rules on commands, in their order.
    #[must_use]
    pub fn prefixes(&self) -> &[PrefixRule] {
        &self.prefixes
    }

    /// The rules on hosts, in their order.
    #[must_use]
    pub fn networks(&self) -> &[NetworkRule] {
        &self.networks
    }

    /// Where the program of this name may lie; absent: anywhere.
    pub(crate) fn paths(&self, name: &str) -> Option<&[String]> {
        self.executables.get(name).map(Vec::as_slice)
    }

    fn len(&self) -> usize {
        self.prefixes.len().saturating_add(self.networks.len()).saturating_add(self.executables.len())
    }

    fn add(&mut self, other: Self) {
        self.prefixes.extend(other.prefixes);
        self.networks.extend(other.networks);
        for (name, paths) in other.executables {
            self.executables.entry(name).or_default().extend(paths);
        }
    }
}

fn read_file(file: &RuleFile<'_>) -> Result<Rules, Problem> {
    let mut rules = Rules::default();
    for call in read(file.text)? {
        let place = RulePlace { file: file.name.to_owned(), line: call.at.line };
        match call.function.as_str() {
            "prefix_rule" => rules.prefixes.push(prefix_rule(call, place)?),
            "network_rule" => rules.networks.push(network_rule(call, place)?),
            "host_executable" => {
                let HostExecutable { name, paths } = host_executable(call)?;
                rules.executables.entry(name).or_default().extend(paths);
            }
            _ => return Err((call.at, RuleProblem::Function(call.function))),
        }
    }
    Ok(rules)
}

/// The arguments of one call, by name.
struct Arguments {
    at: At,
    given: BTreeMap<&'static str, (At, Value)>,
}

impl Arguments {
    fn of(call: Call, names: &[&'static str]) -> Result<Self, Problem> {
        let mut given = BTreeMap::new();
        let mut takes_positions = true;
        for (position, Argument { at, name, value }) in call.arguments.into_iter().enumerate() {
            let found = match &name {
                Some(name) => {
                    takes_positions = false;
                    names.iter().find(|known| *known == name)
                }
                None => names.get(position).filter(|_| takes_positions),
            };
            let name = name.unwrap_or_else(|| "a value without a name".to_owned());
            let Some(found) = found else { return Err((at, RuleProblem::Argument(name))) };
            if given.insert(*found, (at, value)).is_some() {
                return Err((at, RuleProblem::Twice((*found).to_owned())));
            }
        }
        Ok(Self { at: call.at, given })
    }

    fn optional(&mut self, name: &'static str) -> Option<(At, Value)> {
        self.given.remove(name).filter(|(_, value)| *value != Value::None)
    }

    fn required(&mut self, name: &'static str) -> Result<(At, Value), Problem> {
        self.optional(name).ok_or((self.at, RuleProblem::Missing(name)))
    }

    fn text(&mut self, name: &'static str) -> Result<Option<(At, String)>, Problem> {
        match self.optional(name) {
            None => Ok(None),
            Some((at, Value::Text(text))) => Ok(Some((at, text))),
            Some((at, Value::List(_) | Value::None)) => Err(wrong(at, name, "a string")),
        }
    }

    fn justification(&mut self) -> Result<Option<String>, Problem> {
        match self.text("justification")? {
            Some((at, text)) if text.trim().is_empty() => {
                Err(wrong(at, "justification", "a text that is not blank"))
            }
            text => Ok(text.map(|(_, text)| text)),
        }
    }

    fn decision(&mut self, names: &[(&str, Decision)], expected: &'static str) -> Result<Decision, Problem> {
        let Some((at, text)) = self.text("decision")? else { return Ok(Decision::Allow) };
        let found = names.iter().find(|(name, _)| *name == text);
        found.map(|(_, decision)| *decision).ok_or_else(|| wrong(at, "decision", expected))
    }
}

fn wrong(at: At, argument: &'static str, expected: &'static str) -> Problem {
    (at, RuleProblem::Value { argument, expected })
}

fn prefix_rule(call: Call, place: RulePlace) -> Result<PrefixRule, Problem> {
    const PATTERN: &str = "a list of strings, or of lists of alternatives, none of them empty";
    let mut arguments = Arguments::of(call, &["pattern", "decision", "match", "not_match", "justification"])?;
    let (at, pattern) = arguments.required("pattern")?;
    let pattern = match pattern {
        Value::List(words) if !words.is_empty() => words.into_iter().map(alternatives).collect(),
        Value::List(_) | Value::Text(_) | Value::None => None,
    };
    let Some(pattern) = pattern else { return Err(wrong(at, "pattern", PATTERN)) };
    let names = [("allow", Decision::Allow), ("prompt", Decision::Prompt), ("forbidden", Decision::Forbid)];
    let decision = arguments.decision(&names, "`allow`, `prompt` or `forbidden`")?;
    let justification = arguments.justification()?;
    let rule = PrefixRule { pattern, decision, justification, place };
    if let Some((at, value)) = arguments.optional("match") {
        for example in examples(at, "match", value)? {
            if !rule.holds_for(&example) {
                return Err((at, RuleProblem::NoMatch(example.join(" "))));
            }
        }
    }
    if let Some((at, value)) = arguments.optional("not_match") {
        for example in examples(at, "not_match", value)? {
            if rule.holds_for(&example) {
                return Err((at, RuleProblem::Match(example.join(" "))));
            }
        }
    }
    Ok(rule)
}

/// One element of a pattern.
fn alternatives(value: Value) -> Option<Vec<String>> {
    match value {
        Value::Text(word) => Some(vec![word]),
        Value::List(words) if !words.is_empty() => texts(words),
        Value::List(_) | Value::None => None,
    }
}

fn texts(values: Vec<Value>) -> Option<Vec<String>> {
    let text = |value| match value {
        Value::Text(text) => Some(text),
        Value::List(_) | Value::None => None,
    };
    values.into_iter().map(text).collect()
}

fn examples(at: At, name: &'static str, value: Value) -> Result<Vec<Vec<String>>, Problem> {
    let values = match value {
        Value::List(values) => values,
        Value::Text(_) | Value::None => vec![value],
    };
    let example = |value| {
        let words = match value {
            Value::Text(text) => split(&text),
            Value::List(words) => texts(words),
            Value::None => None,
        };
        words.filter(|words| !words.is_empty())
    };
    let examples: Option<_> = values.into_iter().map(example).collect();
    examples.ok_or_else(|| wrong(at, name, "a list of commands: strings, or lists of words"))
}

impl PrefixRule {
    fn holds_for(&self, words: &[String]) -> bool {
        let words: Vec<Word> = words.iter().cloned().map(Word::Plain).collect();
        self.matches(&words, |_, _| false) == Match::Sure
    }
}

fn network_rule(call: Call, place: RulePlace) -> Result<NetworkRule, Problem> {
    let mut arguments = Arguments::of(call, &["host", "protocol", "decision", "justification"])?;
    let missing = |at, name| (at, RuleProblem::Missing(name));
    let (at, host) = arguments.text("host")?.ok_or_else(|| missing(arguments.at, "host"))?;
    let Some(host) = host_name(&host) else {
        return Err(wrong(at, "host", "a name or an address, without scheme, path and wildcard"));
    };
    let (at, protocol) = arguments.text("protocol")?.ok_or_else(|| missing(arguments.at, "protocol"))?;
    let protocol = match protocol.as_str() {
        "http" => NetworkProtocol::Http,
        "https" => NetworkProtocol::Https,
        "socks5_tcp" => NetworkProtocol::Socks5Tcp,
        "socks5_udp" => NetworkProtocol::Socks5Udp,
        _ => return Err(wrong(at, "protocol", "`http`, `https`, `socks5_tcp` or `socks5_udp`")),
    };
    let names = [
        ("allow", Decision::Allow),
        ("prompt", Decision::Prompt),
        ("deny", Decision::Forbid),
        ("forbidden", Decision::Forbid),
    ];
    let decision = arguments.decision(&names, "`allow`, `prompt`, `deny` or `forbidden`")?;
    let justification = arguments.justification()?;
    Ok(NetworkRule { host, protocol, decision, justification, place })
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

fn host_executable(call: Call) -> Result<HostExecutable, Problem> {
    let mut arguments = Arguments::of(call, &["name", "paths"])?;
    let (at, name) = arguments.text("name")?.ok_or((arguments.at, RuleProblem::Missing("name")))?;
    if name.is_empty() || name.contains('/') {
        return Err(wrong(at, "name", "a bare name"));
    }
    let (at, value) = arguments.required("paths")?;
    let paths = match value {
        Value::List(values) => texts(values),
        Value::Text(_) | Value::None => None,
    };
    let is_right = |path: &String| path.starts_with('/') && base(path) == name;
    match paths {
        Some(paths) if paths.iter().all(is_right) => Ok(HostExecutable { name, paths }),
        Some(_) | None => Err(wrong(at, "paths", "a list of absolute paths that end in the name")),
    }
}

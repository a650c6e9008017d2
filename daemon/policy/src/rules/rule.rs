//! What a rule says, and the text of one that a person's "always" becomes.

/// What a rule decides, from the laxest to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// No question is asked. What runs stays in the sandbox.
    Allow,
    /// A person is asked.
    Prompt,
    /// It is refused.
    Forbid,
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulePlace {
    /// The file's name as it was given.
    pub file: String,
    /// From 1.
    pub line: u32,
}

/// Decides about commands that begin with certain words.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Decides about connections to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostExecutable {
    /// The bare name.
    pub name: String,
    /// Absolute paths.
    pub paths: Vec<String>,
}

/// The text of a rule that allows commands beginning with these words, on a line of its own. `None` if there are none.
#[must_use]
pub fn allow_rule(words: &[String]) -> Option<String> {
    if words.is_empty() {
        return None;
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    Some(format!("prefix_rule(pattern=[{}], decision=\"allow\")\n", words.join(", ")))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            control if control.is_control() => quoted.push_str(&format!("\\U{:08x}", u32::from(control))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

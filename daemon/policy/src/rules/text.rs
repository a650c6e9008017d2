//! Rules as they stand in a file, and commands as they stand in an example.

use std::fmt;

use protocol::text::is_invisible;

use crate::analysis::split;
use crate::rules::rule::{OutsideRule, PrefixRule};

/// The words of a command that is given as one text, split as a shell does, with nothing expanded. `None` if a quote
/// is not closed or there are none.
#[must_use]
pub fn words(text: &str) -> Option<Vec<String>> {
    split(text).filter(|words| !words.is_empty())
}

/// The rule as a call on one line.
impl fmt::Display for PrefixRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decision = self.decision.as_str();
        write!(f, "prefix_rule(pattern={}, decision=\"{decision}\"", Pattern(&self.pattern))?;
        justification(f, self.justification.as_deref())
    }
}

/// The rule as a call on one line.
impl fmt::Display for OutsideRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "outside_rule(pattern={}", Pattern(&self.pattern))?;
        if let Some(folder) = &self.folder {
            write!(f, ", folder={}", Quoted(&folder.to_string_lossy()))?;
        }
        justification(f, self.justification.as_deref())
    }
}

fn justification(f: &mut fmt::Formatter<'_>, text: Option<&str>) -> fmt::Result {
    if let Some(text) = text {
        write!(f, ", justification={}", Quoted(text))?;
    }
    f.write_str(")")
}

struct Pattern<'a>(&'a [Vec<String>]);

impl fmt::Display for Pattern<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |words: &[String]| {
            words.iter().map(|word| Quoted(word).to_string()).collect::<Vec<_>>().join(", ")
        };
        let element = |alternatives: &Vec<String>| match alternatives.as_slice() {
            [word] => Quoted(word).to_string(),
            several => format!("[{}]", words(several)),
        };
        let elements: Vec<String> = self.0.iter().map(element).collect();
        write!(f, "[{}]", elements.join(", "))
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                // What can't be seen, or turns what is seen around, is written by its number.
                hidden if hidden.is_control() || is_invisible(hidden) => {
                    write!(f, "\\U{:08x}", u32::from(hidden))?;
                }
                other => write!(f, "{other}")?,
            }
        }
        f.write_str("\"")
    }
}

//! One hook.

use std::time::Duration;

use regex::{Regex, RegexBuilder};

use crate::hooks::event::HookEvent;

/// How large a compiled pattern may become, in bytes.
const MAX_PATTERN: usize = 1024 * 1024;

/// A program that is run for an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// For which.
    pub event: HookEvent,
    /// About what of it.
    pub matcher: Matcher,
    /// What the shell runs.
    pub command: String,
    /// How long it may take.
    pub timeout: Duration,
    /// What follows if it does not say what it should.
    pub on_error: OnError,
    /// Whether nobody waits for it, nor for what it says.
    pub is_async: bool,
}

/// What follows if a hook can't be run, takes too long, is killed, or fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// It goes on as if there were no hook, and is told.
    #[default]
    Continue,
    /// What the hook was asked about does not happen.
    Block,
}

/// Which tools, or kinds of an event, a hook is about.
#[derive(Clone, Debug)]
pub struct Matcher {
    text: String,
    /// Absent: about all.
    pattern: Option<Regex>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Matcher {
    /// Of a pattern as files have it: nothing or `*` for all, else a regular expression for the whole name.
    ///
    /// # Errors
    /// What is wrong with the expression.
    pub fn new(text: &str) -> Result<Self, String> {
        let pattern = match text {
            "" | "*" => None,
            text => {
                let whole = format!("^(?:{text})$");
                let built = RegexBuilder::new(&whole).size_limit(MAX_PATTERN).build();
                Some(built.map_err(|_| format!("The matcher `{text}` is no regular expression"))?)
            }
        };
        Ok(Self { text: text.to_owned(), pattern })
    }

    /// The pattern.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it fits one of the names that a thing has. What has none is fitted by all.
    #[must_use]
    pub fn fits(&self, names: &[&str]) -> bool {
        match &self.pattern {
            Some(pattern) => names.is_empty() || names.iter().any(|name| pattern.is_match(name)),
            None => true,
        }
    }
}

impl Hook {
    /// All that matters about it, as one text that no other hook has.
    pub(crate) fn identity(&self) -> String {
        let Self { event, matcher, command, timeout, on_error, is_async } = self;
        let parts = (event.as_str(), &matcher.text, command, timeout.as_millis());
        format!("{parts:?} {on_error:?} {is_async}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matcher_fits_whole_names() {
        for (text, names, expected) in [
            ("", &["Bash"][..], true),
            ("*", &["Bash"], true),
            ("Bash", &["Bash"], true),
            ("Bash", &["BashOutput"], false),
            ("Edit|Write", &["apply_patch", "Edit", "Write"], true),
            ("mcp__.*__write.*", &["mcp__files__write_file"], true),
            ("Read", &["Bash"], false),
            ("startup", &[], true),
        ] {
            assert_eq!(Matcher::new(text).expect("pattern").fits(names), expected, "{text} {names:?}");
        }
        assert!(Matcher::new("(").is_err());
        assert!(Matcher::new("(((a{100}){100}){100}){100}").is_err());
    }
}

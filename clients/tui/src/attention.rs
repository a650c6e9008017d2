//! Calling a person to the terminal: the bell, and a notification where the terminal is known to show one. Nobody is
//! called who looks: a terminal that tells of its focus is silent while it has it.

use view::escape;

/// Letters of a notification.
const TEXT_LETTERS: usize = 200;
/// The variable that keeps it silent, as `NO_COLOR` keeps colours away.
const SILENCE: &str = "SKEIN_NO_BELL";

/// How a person is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bell {
    /// Not at all: nobody sees the terminal, or does not want to be called.
    Silent,
    /// By the bell.
    Plain,
    /// By the bell, and a notification as iTerm2 has it.
    Osc9,
    /// By the bell, and a notification as rxvt has it.
    Osc777,
}

/// Whether the terminal's window has the focus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Focus {
    /// The terminal did not tell yet; it may be one that never does.
    #[default]
    Unknown,
    /// It has.
    Here,
    /// It has not.
    Elsewhere,
}

impl Bell {
    /// For the terminal of this process, by what its environment says of it.
    #[must_use]
    pub fn of_environment() -> Self {
        Self::probe(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// What to write to the terminal to call a person, and say why.
    #[must_use]
    pub fn sequence(self, text: &str) -> String {
        let text = escape::short_line(text, TEXT_LETTERS);
        match self {
            Self::Silent => String::new(),
            Self::Plain => "\x07".to_owned(),
            Self::Osc9 => format!("\x1b]9;Skein: {text}\x1b\\\x07"),
            Self::Osc777 => format!("\x1b]777;notify;Skein;{}\x1b\\\x07", text.replace(';', ",")),
        }
    }

    fn probe(variable: impl Fn(&str) -> Option<String>) -> Self {
        let (term, program) = (variable("TERM").unwrap_or_default(), variable("TERM_PROGRAM"));
        if variable(SILENCE).is_some() || term == "dumb" {
            return Self::Silent;
        }
        // A multiplexer takes the bell and swallows the rest.
        if ["TMUX", "STY"].iter().any(|name| variable(name).is_some()) {
            return Self::Plain;
        }
        let is_program = |names: &[&str]| program.as_deref().is_some_and(|program| names.contains(&program));
        let begins = |names: &[&str]| names.iter().any(|name| term.starts_with(name));
        if is_program(&["iTerm.app", "ghostty", "WezTerm"]) || begins(&["xterm-kitty", "xterm-ghostty"]) {
            Self::Osc9
        } else if begins(&["foot", "rxvt"]) {
            Self::Osc777
        } else {
            Self::Plain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(variables: &[(&str, &str)]) -> Bell {
        Bell::probe(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn only_terminals_that_are_known_to_notify_are_asked_to() {
        for (variables, bell) in [
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "iTerm.app")][..], Bell::Osc9),
            (&[("TERM", "xterm-kitty")], Bell::Osc9),
            (&[("TERM", "foot-extra")], Bell::Osc777),
            (&[("TERM", "rxvt-unicode-256color")], Bell::Osc777),
            (&[("TERM", "xterm-256color"), ("TERM_PROGRAM", "Apple_Terminal")], Bell::Plain),
            (&[("TERM", "foot"), ("TMUX", "/tmp/tmux-0/default,1,0")], Bell::Plain),
            (&[("TERM", "dumb")], Bell::Silent),
            (&[("TERM", "xterm-kitty"), ("SKEIN_NO_BELL", "1")], Bell::Silent),
            (&[], Bell::Plain),
        ] {
            assert_eq!(probe(variables), bell, "{variables:?}");
        }
    }

    #[test]
    fn what_a_model_says_stays_within_the_notification() {
        let text = "run `a; b`\x07\x1b]0;mine\n";
        assert_eq!(Bell::Silent.sequence(text), "");
        for bell in [Bell::Osc9, Bell::Osc777] {
            let sequence = bell.sequence(text);
            let inside = &sequence[2..sequence.len() - 3];
            assert!(!inside.contains(|letter: char| letter.is_control()), "{sequence:?}");
        }
        assert_eq!(Bell::Osc777.sequence("a; b"), "\x1b]777;notify;Skein;a, b\x1b\\\x07");
    }
}

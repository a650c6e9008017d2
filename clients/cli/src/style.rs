//! Colours, where a person sees them: a terminal that is not dumb, and no `NO_COLOR`.

use std::borrow::Cow;

/// Colours for one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    is_on: bool,
}

impl Style {
    /// For a stream that is a terminal or is not.
    pub(crate) fn for_stream(is_terminal: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { is_on: is_terminal && !no_color && !is_dumb }
    }

    /// Whether there are any.
    pub(crate) fn is_on(self) -> bool {
        self.is_on
    }

    /// What matters less.
    pub(crate) fn dim<'a>(self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        self.paint("2", text.into())
    }

    /// What matters most.
    pub(crate) fn bold<'a>(self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        self.paint("1", text.into())
    }

    /// What went wrong, and what was removed.
    pub(crate) fn red<'a>(self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        self.paint("31", text.into())
    }

    /// What went well, and what was added.
    pub(crate) fn green<'a>(self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        self.paint("32", text.into())
    }

    /// What deserves a look.
    pub(crate) fn yellow<'a>(self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        self.paint("33", text.into())
    }

    /// Names and places.
    pub(crate) fn cyan<'a>(self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        self.paint("36", text.into())
    }

    fn paint<'a>(self, code: &str, text: Cow<'a, str>) -> Cow<'a, str> {
        if self.is_on && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m").into() } else { text }
    }
}

//! Looks as data: what each kind of text looks like. Knows nothing of where it stands.

use ratatui::style::{Color, Modifier, Style};

/// What each kind of text looks like.
#[derive(Clone, Debug)]
pub(crate) struct Theme {
    /// What the agent says, and what is typed.
    pub(crate) text: Style,
    /// What matters less.
    pub(crate) dim: Style,
    /// What matters most.
    pub(crate) strong: Style,
    /// What a person said.
    pub(crate) user: Style,
    /// Marks and names of ours.
    pub(crate) accent: Style,
    /// What went well, and what was added.
    pub(crate) good: Style,
    /// What went wrong, and what was removed.
    pub(crate) bad: Style,
    /// What deserves a look; questions.
    pub(crate) warning: Style,
    /// The sandbox is off.
    pub(crate) danger: Style,
    /// Code, in a line and in blocks.
    pub(crate) code: Style,
    /// Where a link goes.
    pub(crate) link: Style,
}

impl Theme {
    /// The theme for this process: without colours if `NO_COLOR` is set.
    pub(crate) fn for_process() -> Self {
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
            Self::plain()
        } else {
            Self::sixteen()
        }
    }

    /// The sixteen colours that each terminal has, which its owner has chosen for its background. No colour is set
    /// behind text, and none that is near to black or white.
    pub(crate) fn sixteen() -> Self {
        let colour = |colour| Style::new().fg(colour);
        Self {
            accent: colour(Color::Cyan),
            good: colour(Color::Green),
            bad: colour(Color::Red),
            warning: colour(Color::Yellow),
            danger: colour(Color::Red).add_modifier(Modifier::BOLD),
            code: colour(Color::Cyan),
            link: colour(Color::Blue).add_modifier(Modifier::UNDERLINED),
            ..Self::plain()
        }
    }

    /// No colours.
    pub(crate) fn plain() -> Self {
        let with = |modifier| Style::new().add_modifier(modifier);
        Self {
            text: Style::new(),
            dim: with(Modifier::DIM),
            strong: with(Modifier::BOLD),
            user: with(Modifier::BOLD),
            accent: Style::new(),
            good: Style::new(),
            bad: Style::new(),
            warning: with(Modifier::BOLD),
            danger: with(Modifier::BOLD.union(Modifier::REVERSED)),
            code: Style::new(),
            link: with(Modifier::UNDERLINED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_there_are_none() {
        let theme = Theme::plain();
        for style in [
            theme.text,
            theme.dim,
            theme.strong,
            theme.user,
            theme.accent,
            theme.good,
            theme.bad,
            theme.warning,
            theme.danger,
            theme.code,
            theme.link,
        ] {
            assert_eq!((style.fg, style.bg), (None, None));
        }
    }

    #[test]
    fn no_colour_depends_on_the_background() {
        let theme = Theme::sixteen();
        for style in [theme.text, theme.dim, theme.accent, theme.good, theme.bad, theme.warning, theme.code] {
            assert_eq!(style.bg, None);
            let near = [Color::Black, Color::White, Color::Gray, Color::DarkGray];
            assert!(style.fg.is_none_or(|colour| !near.contains(&colour)));
        }
    }
}

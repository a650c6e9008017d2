//! Looks as data: what each kind of text looks like. Knows nothing of where it stands.

use ratatui::style::{Color, Modifier, Style};

/// What each kind of text looks like.
#[derive(Clone, Debug)]
pub(crate) struct Theme {
    pub(crate) name: ThemeName,
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
    /// What code consists of.
    pub(crate) syntax: Syntax,
}

/// What code consists of; the rest of it looks like text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Syntax {
    pub(crate) comment: Style,
    pub(crate) keyword: Style,
    pub(crate) string: Style,
    pub(crate) constant: Style,
    pub(crate) function: Style,
    pub(crate) kind: Style,
}

/// Which theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThemeName {
    /// The terminal's own sixteen colours, fit for a dark and for a light background.
    Sixteen,
    /// Colours for a dark background.
    Dark,
    /// Colours for a light background.
    Light,
    /// Few and strong.
    Contrast,
    /// No colours.
    None,
}

impl ThemeName {
    pub(crate) const ALL: [Self; 5] = [Self::Sixteen, Self::Dark, Self::Light, Self::Contrast, Self::None];

    /// The name as it stands in settings.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sixteen => "sixteen",
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Contrast => "contrast",
            Self::None => "none",
        }
    }

    /// The theme of a name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == name)
    }

    /// All names, for a person.
    pub(crate) fn listed() -> String {
        Self::ALL.map(|theme| format!("`{}`", theme.as_str())).join(", ")
    }
}

/// How light the terminal's background is, if it told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Background {
    Dark,
    Light,
    Unknown,
}

impl Theme {
    /// The theme for this process: without colours if `NO_COLOR` is set, else the one that was chosen, else one for the
    /// background, where the terminal shows more than sixteen colours.
    pub(crate) fn for_process(chosen: Option<ThemeName>, background: Background) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if is_set("NO_COLOR") {
            return Self::named(ThemeName::None);
        }
        let is_true = std::env::var("COLORTERM").is_ok_and(|term| term == "truecolor" || term == "24bit");
        let found = match background {
            Background::Dark if is_true => ThemeName::Dark,
            Background::Light if is_true => ThemeName::Light,
            Background::Dark | Background::Light | Background::Unknown => ThemeName::Sixteen,
        };
        Self::named(chosen.unwrap_or(found))
    }

    /// A theme.
    pub(crate) fn named(name: ThemeName) -> Self {
        match name {
            ThemeName::Sixteen => Self::sixteen(),
            ThemeName::Dark => Self::dark(),
            ThemeName::Light => Self::light(),
            ThemeName::Contrast => Self::contrast(),
            ThemeName::None => Self::plain(),
        }
    }

    /// The sixteen colours that each terminal has, which its owner has chosen for its background. No colour is set
    /// behind text, and none that is near to black or white.
    pub(crate) fn sixteen() -> Self {
        use Color::{Blue, Cyan, Green, Magenta, Red, Yellow};
        let palette =
            Palette { accent: Cyan, good: Green, bad: Red, warning: Yellow, link: Blue, kind: Magenta };
        Self { name: ThemeName::Sixteen, ..palette.theme() }
    }

    fn dark() -> Self {
        let palette = Palette {
            accent: Color::Rgb(0x7d, 0xcf, 0xff),
            good: Color::Rgb(0x9e, 0xce, 0x6a),
            bad: Color::Rgb(0xf7, 0x76, 0x8e),
            warning: Color::Rgb(0xe0, 0xaf, 0x68),
            link: Color::Rgb(0x7a, 0xa2, 0xf7),
            kind: Color::Rgb(0xbb, 0x9a, 0xf7),
        };
        Self { name: ThemeName::Dark, ..palette.theme() }
    }

    fn light() -> Self {
        let palette = Palette {
            accent: Color::Rgb(0x00, 0x62, 0x8a),
            good: Color::Rgb(0x2c, 0x6e, 0x1f),
            bad: Color::Rgb(0xb0, 0x1c, 0x2e),
            warning: Color::Rgb(0x8a, 0x5a, 0x00),
            link: Color::Rgb(0x1d, 0x4e, 0xb8),
            kind: Color::Rgb(0x7a, 0x2f, 0xa0),
        };
        Self { name: ThemeName::Light, ..palette.theme() }
    }

    /// Nothing is dim, and what matters is bold.
    fn contrast() -> Self {
        let strong = |colour| Style::new().fg(colour).add_modifier(Modifier::BOLD);
        Self {
            name: ThemeName::Contrast,
            dim: Style::new(),
            accent: strong(Color::Cyan),
            good: strong(Color::Green),
            bad: strong(Color::Red),
            warning: strong(Color::Yellow),
            danger: strong(Color::Red).add_modifier(Modifier::REVERSED),
            code: strong(Color::Cyan),
            link: Style::new().add_modifier(Modifier::UNDERLINED.union(Modifier::BOLD)),
            ..Self::plain()
        }
    }

    /// No colours.
    pub(crate) fn plain() -> Self {
        let with = |modifier| Style::new().add_modifier(modifier);
        let none = Style::new();
        Self {
            name: ThemeName::None,
            text: none,
            dim: with(Modifier::DIM),
            strong: with(Modifier::BOLD),
            user: with(Modifier::BOLD),
            accent: none,
            good: none,
            bad: none,
            warning: with(Modifier::BOLD),
            danger: with(Modifier::BOLD.union(Modifier::REVERSED)),
            code: none,
            link: with(Modifier::UNDERLINED),
            syntax: Syntax {
                comment: none,
                keyword: none,
                string: none,
                constant: none,
                function: none,
                kind: none,
            },
        }
    }
}

/// The colours of a theme.
struct Palette {
    accent: Color,
    good: Color,
    bad: Color,
    warning: Color,
    link: Color,
    kind: Color,
}

impl Palette {
    fn theme(&self) -> Theme {
        let colour = |colour| Style::new().fg(colour);
        let plain = Theme::plain();
        Theme {
            accent: colour(self.accent),
            good: colour(self.good),
            bad: colour(self.bad),
            warning: colour(self.warning),
            danger: colour(self.bad).add_modifier(Modifier::BOLD),
            code: colour(self.accent),
            link: colour(self.link).add_modifier(Modifier::UNDERLINED),
            syntax: Syntax {
                comment: plain.dim,
                keyword: colour(self.kind),
                string: colour(self.good),
                constant: colour(self.warning),
                function: colour(self.link),
                kind: colour(self.accent),
            },
            ..plain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn styles(theme: &Theme) -> Vec<Style> {
        let Syntax { comment, keyword, string, constant, function, kind } = theme.syntax;
        vec![
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
            comment,
            keyword,
            string,
            constant,
            function,
            kind,
        ]
    }

    #[test]
    fn without_colours_there_are_none() {
        for style in styles(&Theme::plain()) {
            assert_eq!((style.fg, style.bg), (None, None));
        }
    }

    #[test]
    fn no_theme_colours_what_is_behind_text_and_text_keeps_the_colour_of_the_terminal() {
        let near = [Color::Black, Color::White, Color::Gray, Color::DarkGray];
        for name in ThemeName::ALL {
            let theme = Theme::named(name);
            assert_eq!(theme.name, name);
            assert_eq!(theme.text, Style::new());
            for style in styles(&theme) {
                assert!(style.bg.is_none() && style.fg.is_none_or(|colour| !near.contains(&colour)));
            }
        }
    }

    /// The ratio of WCAG 2.2, 1.4.3.
    fn contrast(one: Color, other: [f64; 3]) -> f64 {
        let Color::Rgb(red, green, blue) = one else { panic!("{one} has no value") };
        let linear =
            |part: f64| if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        let light = |[red, green, blue]: [f64; 3]| {
            0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue) + 0.05
        };
        let one = light([red, green, blue].map(|part| f64::from(part) / 255.0));
        let other = light(other);
        one.max(other) / one.min(other)
    }

    #[test]
    fn colours_stand_out_from_their_background() {
        for (name, background) in [(ThemeName::Dark, [0.15; 3]), (ThemeName::Light, [0.96; 3])] {
            for style in styles(&Theme::named(name)) {
                if let Some(colour) = style.fg {
                    assert!(contrast(colour, background) >= 4.5, "{name:?} {colour}");
                }
            }
        }
    }
}

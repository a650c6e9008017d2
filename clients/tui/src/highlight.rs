//! Colours of code: which pieces of a line are keywords, strings, comments. The syntax definitions are large, so they
//! are loaded when the first code comes, elsewhere (`run`), and until then code has one style. Knows nothing of what
//! surrounds the code.

use std::sync::Arc;

use ratatui::style::Style;
use ratatui::text::Span;
use syntect::parsing::{ParseState, ScopeStack, SyntaxReference, SyntaxSet};

use crate::theme::{Syntax, Theme};

/// A longer line, and what comes after so many bytes of code, has one style: it would take too long.
const LINE_BYTES: usize = 1000;
const CODE_BYTES: usize = 64 * 1024;

/// The syntax definitions, as far as they are there.
#[derive(Clone, Debug, Default)]
pub(crate) enum Syntaxes {
    /// They are not wanted: code has one style.
    Off,
    /// They were not needed yet.
    #[default]
    Absent,
    Loading,
    Ready(Arc<SyntaxSet>),
}

impl Syntaxes {
    /// Reads all definitions; takes some milliseconds.
    pub(crate) fn load() -> Arc<SyntaxSet> {
        Arc::new(two_face::syntax::extra_newlines())
    }

    /// Whether code will look otherwise in a moment.
    pub(crate) fn is_coming(&self) -> bool {
        matches!(self, Self::Absent | Self::Loading)
    }

    /// Begins a piece of code in a language, as a fence or a file's name tells it; absent if it is not known.
    pub(crate) fn begin(&self, language: &str) -> Option<Code> {
        let Self::Ready(set) = self else { return None };
        let syntax = find(set, language)?;
        let state = ParseState::new(syntax);
        Some(Code { set: Arc::clone(set), state, scopes: ScopeStack::new(), left_bytes: CODE_BYTES })
    }
}

/// The definition of a language, if it says more than plain text.
fn find<'a>(set: &'a SyntaxSet, language: &str) -> Option<&'a SyntaxReference> {
    let token = language.split(|letter: char| letter.is_whitespace() || ",{:".contains(letter)).next()?;
    let found = set.find_syntax_by_token(token).or_else(|| {
        let (_, extension) = token.rsplit_once('.')?;
        set.find_syntax_by_extension(extension)
    })?;
    (found.name != "Plain Text").then_some(found)
}

/// A piece of code, from its first line on.
pub(crate) struct Code {
    set: Arc<SyntaxSet>,
    state: ParseState,
    scopes: ScopeStack,
    left_bytes: usize,
}

impl Code {
    /// The next line, without its end, in pieces.
    pub(crate) fn line(&mut self, line: &str, theme: &Theme) -> Vec<Span<'static>> {
        let plain = |text: &str| Span::styled(text.to_owned(), theme.text);
        if line.len() > LINE_BYTES || line.len() > self.left_bytes {
            self.left_bytes = 0;
            return vec![plain(line)];
        }
        self.left_bytes -= line.len();
        let whole = format!("{line}\n");
        let Ok(changes) = self.state.parse_line(&whole, &self.set) else {
            self.left_bytes = 0;
            return vec![plain(line)];
        };
        let mut spans = Vec::new();
        let mut from = 0;
        let mut put = |from: usize, to: usize, style: Style| {
            if let Some(text) = line.get(from..to.min(line.len())).filter(|text| !text.is_empty()) {
                spans.push(Span::styled(text.to_owned(), style));
            }
        };
        for (at, change) in changes {
            put(from, at, style(&self.scopes, theme));
            from = from.max(at);
            if self.scopes.apply(&change).is_err() {
                self.left_bytes = 0;
                break;
            }
        }
        put(from, line.len(), style(&self.scopes, theme));
        spans
    }
}

/// What the innermost scope that means something looks like.
fn style(scopes: &ScopeStack, theme: &Theme) -> Style {
    let Syntax { comment, keyword, string, constant, function, kind } = theme.syntax;
    for scope in scopes.as_slice().iter().rev() {
        let name = scope.build_string();
        let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| name.starts_with(beginning));
        if begins(&["comment", "punctuation.definition.comment"]) {
            return comment;
        } else if begins(&["markup.inserted"]) {
            return theme.good;
        } else if begins(&["markup.deleted"]) {
            return theme.bad;
        } else if begins(&["string", "punctuation.definition.string"]) {
            return string;
        } else if begins(&["constant", "variable.language"]) {
            return constant;
        } else if begins(&["keyword.operator"]) {
            return theme.text;
        } else if begins(&["keyword", "storage", "entity.name.tag"]) {
            return keyword;
        } else if begins(&["entity.name.function", "support.function", "variable.function"]) {
            return function;
        } else if begins(&["entity.name", "support.type", "support.class", "entity.other.attribute-name"]) {
            return kind;
        }
    }
    theme.text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> Syntaxes {
        Syntaxes::Ready(Syntaxes::load())
    }

    #[test]
    fn code_is_taken_apart_over_lines() {
        let theme = Theme::sixteen();
        let mut code = ready().begin("rust").unwrap();
        let style_of = |spans: &[Span<'static>], text: &str| {
            spans.iter().find(|span| span.content.contains(text)).unwrap_or_else(|| panic!("{text}")).style
        };
        let line = code.line("let x = \"a\"; /* begins", &theme);
        assert_eq!(style_of(&line, "let"), theme.syntax.keyword);
        assert_eq!(style_of(&line, "a"), theme.syntax.string);
        assert_eq!(style_of(&line, "begins"), theme.syntax.comment);
        assert_eq!(style_of(&code.line("goes on */ 12", &theme), "goes on"), theme.syntax.comment);
    }

    #[test]
    fn lines_of_a_diff_have_the_colours_of_a_diff() {
        let theme = Theme::sixteen();
        let mut code = ready().begin("diff").unwrap();
        for (line, style) in [("-old", theme.bad), ("+new", theme.good), (" same", theme.text)] {
            let spans = code.line(line, &theme);
            assert!(spans.iter().all(|span| span.style == style), "{line}: {spans:?}");
        }
    }

    #[test]
    fn no_letter_is_lost() {
        let theme = Theme::sixteen();
        for language in ["rust", "python", "toml", "sh", "ts", "main.go", "json,ignore", "Dockerfile"] {
            let mut code = ready().begin(language).unwrap_or_else(|| panic!("{language}"));
            for line in ["", "\t# x = '日本' \"\\", "```", "}{)( é\u{301} <a b=\"c\">", "fn main() {"] {
                let text: String = code.line(line, &theme).iter().map(|span| &*span.content).collect();
                assert_eq!(text, line, "{language}");
            }
        }
    }

    #[test]
    fn what_is_not_known_or_too_long_has_one_style() {
        let syntaxes = ready();
        assert!(syntaxes.begin("").is_none() && syntaxes.begin("klingon").is_none());
        assert!(Syntaxes::Absent.begin("rust").is_none());
        let mut code = syntaxes.begin("rust").unwrap();
        assert_eq!(code.line(&"let ".repeat(1000), &Theme::sixteen()).len(), 1);
        assert_eq!(code.line("let x", &Theme::sixteen()).len(), 1, "its end may lie in the long one");
    }
}

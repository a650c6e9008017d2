//! Where commands work, and what a path means there: only what lies below the session's folder, or in a temporary one,
//! is theirs to remove unasked. Looks at names alone, at no file.

use std::path::Path;

use crate::analysis::{Analysis, Start, Word, works_in};

/// Where commands work.
pub(crate) struct Workplace<'a> {
    folder: &'a Path,
    /// Whether they go elsewhere before they work.
    moves_away: bool,
}

/// What a path means, seen from a place of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Something in the folder, or in a temporary one.
    Inside,
    /// All of the folder.
    Whole,
    /// What git keeps.
    History,
    /// Something else.
    Outside,
    /// It can't be told.
    Unknown,
}

/// What the folder that a command begins in is to a session with this folder.
pub(crate) fn start(cwd: &Path, folder: &Path) -> Start {
    if cwd == folder {
        return Start::Home;
    }
    let place = Workplace { folder, moves_away: false };
    match place.reach(&Word::Plain(cwd.to_string_lossy().into_owned())) {
        Reach::Whole | Reach::Inside => Start::Below,
        Reach::History | Reach::Outside | Reach::Unknown => Start::Elsewhere,
    }
}

impl<'a> Workplace<'a> {
    /// Of commands that begin in this folder.
    pub(crate) fn of(analysis: &Analysis, folder: &'a Path) -> Self {
        let mut place = Self { folder, moves_away: analysis.start == Start::Elsewhere };
        let goes = |argv: &[Word]| match argv.first().and_then(Word::base_name) {
            Some("cd" | "pushd" | "chdir") => {
                let operands = || argv.iter().skip(1);
                let target = operands().find(|word| !word.shown().starts_with('-'));
                target.map_or(operands().all(|word| word.text() != Some("-")), |target| place.is_away(target))
            }
            Some("Set-Location" | "Push-Location") => argv.iter().skip(1).any(is_elsewhere),
            Some(_) | None => works_in(argv).is_some_and(|target| place.is_away(&target)),
        };
        place.moves_away |= analysis.commands.iter().any(|command| goes(&command.argv));
        place
    }

    /// Whether they go elsewhere before they work.
    pub(crate) fn moves_away(&self) -> bool {
        self.moves_away
    }

    /// What a path means here.
    pub(crate) fn reach(&self, word: &Word) -> Reach {
        let path = word.beginning();
        let parts = || path.split('/').filter(|part| !part.is_empty() && *part != ".");
        let climbs = || word.shown().split(['/', '{', ',', '}', '"', '\'']).any(|part| part == "..");
        if climbs() || word.shown().starts_with('~') {
            return Reach::Outside;
        }
        if path.starts_with('/') {
            if self.folder.starts_with(path) {
                return match word {
                    _ if Path::new(path) != self.folder => Reach::Outside,
                    Word::Plain(_) => Reach::Whole,
                    Word::Open { raw, .. } => raw.strip_prefix(path).map_or(Reach::Unknown, of_pattern),
                };
            }
            let is_temporary = parts().next() == Some("tmp") && parts().nth(1).is_some();
            if !is_temporary && !Path::new(path).starts_with(self.folder) {
                return Reach::Outside;
            }
        } else if self.moves_away {
            return Reach::Outside;
        }
        if parts().any(|part| part == ".git") {
            return Reach::History;
        }
        match word {
            _ if parts().next().is_some() => Reach::Inside,
            Word::Plain(_) => Reach::Whole,
            Word::Open { raw, .. } => of_pattern(raw),
        }
    }

    fn is_away(&self, word: &Word) -> bool {
        match self.reach(word) {
            Reach::Inside | Reach::Whole | Reach::History => false,
            Reach::Outside | Reach::Unknown => true,
        }
    }
}

/// What a pattern means that nothing stands before: `*` is everything, `*.o` and `{a,b}` are not.
fn of_pattern(raw: &str) -> Reach {
    if raw.contains(['$', '`', '~', '<', '(', '"', '\'', '\\']) {
        return Reach::Unknown;
    }
    let is_narrow = |part: &str| !part.starts_with('/') && part.contains(char::is_alphanumeric);
    let mut parts = raw.split(['{', ',', '}']).filter(|part| !part.is_empty()).peekable();
    if raw.contains('[') || parts.peek().is_none() || !parts.all(is_narrow) {
        return if raw.contains(['*', '?', '[']) { Reach::Whole } else { Reach::Unknown };
    }
    Reach::Inside
}

/// Whether a path of PowerShell may lie outside of the folder.
pub(crate) fn is_elsewhere(word: &Word) -> bool {
    let path = word.shown();
    let is_name = path.starts_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    !is_name || path.contains([':', '~']) || path.contains("..")
}

//! What an analysis finds.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Serialize;

use crate::analysis::word::Word;

/// What is known of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Analysis {
    /// Where it begins.
    pub start: Start,
    /// Every command that may run, wherever it stands; the one that was asked about comes first.
    pub commands: Vec<Simple>,
    /// What can't be known.
    pub gaps: BTreeSet<Gap>,
    /// What is more than words, quotes, `&&`, `||`, `;` and `|`.
    pub features: BTreeSet<Feature>,
    /// Where output is redirected to or input from, except the null device and other descriptors.
    pub redirects: Vec<Word>,
    /// Those of them that output is redirected to, each with the commands whose output that may be.
    pub outputs: Vec<Output>,
    /// Every word anywhere that could become a command or an argument; sorted.
    pub mentions: Vec<String>,
    /// Whether it is plain: words and quotes, joined by `&&`, `||`, `;` or `|`, so that what the shell runs is known
    /// exactly. What a program makes of its arguments (`Gap::Foreign`) is the program's.
    pub is_plain: bool,
}

impl Analysis {
    /// Whether every command that may run is among `commands`, if not with all its arguments.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Whether the word stands anywhere.
    #[must_use]
    pub fn mentions(&self, word: &str) -> bool {
        self.mentions.binary_search_by(|mention| mention.as_str().cmp(word)).is_ok()
    }
}

/// The folder that a command begins in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// The session's own.
    #[default]
    Home,
    /// One below that, or a temporary one.
    Below,
    /// Any other.
    Elsewhere,
}

/// A file that output is redirected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The file.
    pub target: Word,
    /// Where in `Analysis::commands` those stand whose output it may be: the whole pipeline.
    pub commands: Range<usize>,
}

/// One command with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simple {
    /// Program and arguments.
    pub argv: Vec<Word>,
    /// Where it stands.
    pub place: Place,
}

impl Simple {
    /// Whether every word is known.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.argv.iter().all(|word| word.text().is_some())
    }

    /// The words, if all are known.
    #[must_use]
    pub fn exact(&self) -> Option<Vec<&str>> {
        self.argv.iter().map(Word::text).collect()
    }

    /// The program's name without its folder, if it is known.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        self.argv.first().and_then(Word::base_name)
    }
}

/// The last component of a path.
pub(crate) fn base(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Place {
    /// It is what was asked about, or stands at the top of its script.
    Top,
    /// It is a shell of the system that only carries a script; what it runs stands beside it.
    Shell,
    /// In `( )` or `{ }`.
    Group,
    /// In a condition, a loop or a choice.
    ControlFlow,
    /// In a function.
    Function,
    /// In `$( )`, backquotes, `<( )` or `>( )`.
    Substitution,
    /// Another command runs it.
    Wrapped,
    /// In a script inside the script.
    Nested,
}

/// What can't be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Gap {
    /// The script is not valid, or not in a way that is understood.
    Unparsed,
    /// It is longer or deeper than is looked at.
    TooLarge,
    /// Parsing it took too long.
    TooSlow,
    /// A program's name comes from an expansion.
    UnknownProgram,
    /// A shell runs a text that is not known: from its input or an expansion.
    UnknownScript,
    /// Code in another language, or an option that may run something.
    Foreign,
}

impl Gap {
    /// Whether anything at all could run.
    #[must_use]
    pub fn is_blind(self) -> bool {
        self != Self::Foreign
    }
}

/// What makes a script more than plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Feature {
    /// `$x`, globs, braces, `~`.
    Expansion,
    /// `$( )`, backquotes, `<( )`, `>( )`.
    Substitution,
    /// To or from a file.
    Redirection,
    /// `<<`.
    Heredoc,
    /// `x=1`, `export`, `unset`.
    Assignment,
    /// A function is defined.
    Function,
    /// A function calls itself in the background.
    ForkBomb,
    /// `if`, `for`, `while`, `case`, tests, `!`.
    ControlFlow,
    /// `( )`, `{ }`.
    Group,
    /// `&`.
    Background,
}

//! What a patch says.

/// A patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Patch {
    /// What it does, in order. May be nothing.
    pub(crate) sections: Vec<Section>,
}

/// What it does to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// The line of its header in the patch, from 1.
    pub(crate) line: usize,
    /// The file, as the patch names it.
    pub(crate) path: String,
    pub(crate) action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The file gets this content, whether or not it exists.
    Add {
        content: String,
    },
    Delete,
    Update {
        move_to: Option<String>,
        hunks: Vec<Hunk>,
    },
}

/// A change in one place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hunk {
    /// Where it begins in the patch, from 1.
    pub(crate) line: usize,
    /// The text after `@@`: a line to go to first.
    pub(crate) anchor: Option<String>,
    pub(crate) lines: Vec<HunkLine>,
    /// Whether its last old line must be the file's last one.
    pub(crate) is_at_end: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HunkLine {
    pub(crate) kind: LineKind,
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    Context,
    Removed,
    Added,
}

impl LineKind {
    /// Whether the line stands in the file before the change.
    pub(crate) fn is_old(self) -> bool {
        self != Self::Added
    }

    /// Whether the line stands in the file after the change.
    pub(crate) fn is_new(self) -> bool {
        self != Self::Removed
    }

    /// The character that such a line begins with.
    pub(crate) fn sign(self) -> char {
        match self {
            Self::Context => ' ',
            Self::Removed => '-',
            Self::Added => '+',
        }
    }
}

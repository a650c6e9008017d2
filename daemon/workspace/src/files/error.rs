//! Why a file can't be read or changed. The messages are read by people and by models.

use std::io;
use std::path::{Path, PathBuf};

use crate::path::{Kind, is_link};

/// Why a file can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is nothing.
    #[error("`{}` does not exist", path.display())]
    Missing {
        /// The real path.
        path: PathBuf,
    },
    /// The profile hides it.
    #[error("`{}` may not be seen in this session", path.display())]
    Hidden {
        /// The real path.
        path: PathBuf,
    },
    /// The profile does not let it be written.
    #[error("`{}` may not be written in this session", path.display())]
    ReadOnly {
        /// The real path.
        path: PathBuf,
    },
    /// It is something else than a file.
    #[error("`{}` is {what}, not a file", path.display())]
    NotAFile {
        /// The real path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It is larger than a file that is edited may be.
    #[error("`{}` has {size_bytes} bytes, more than the {limit_bytes} that can be edited", path.display())]
    TooLarge {
        /// The real path.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
        /// The largest that is taken.
        limit_bytes: u64,
    },
    /// All changes together are larger than what is held in memory.
    #[error("The changes are larger than {limit_bytes} bytes together")]
    TooMuch {
        /// The most that is held.
        limit_bytes: u64,
    },
    /// Symbolic links lead in a circle.
    #[error("Too many symbolic links on the way to `{}`", path.display())]
    TooManyLinks {
        /// The path as it was asked for.
        path: PathBuf,
    },
    /// Somebody else changed it, or a folder on the way, between looking and writing.
    #[error("`{}` was changed by something else at the same time", path.display())]
    Changed {
        /// The real path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The real path.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
}

/// Why a draft was not carried out.
#[derive(Debug, thiserror::Error)]
#[error("{cause}{}", tell(left_changed))]
pub struct CommitError {
    /// What went wrong first.
    #[source]
    pub cause: FileError,
    /// What could not be put back as it was. Empty: nothing has changed.
    pub left_changed: Vec<LeftChanged>,
}

/// A file that could not be put back as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftChanged {
    /// The real path.
    pub path: PathBuf,
    /// Where what was there is kept, if there was anything.
    pub kept_as: Option<PathBuf>,
}

impl FileError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_link(&source) {
            // Paths are resolved before, so a link must have come in between.
            return Self::Changed { path };
        }
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::Io { path, source },
        }
    }

    pub(crate) fn not_a_file(path: &Path, kind: Kind) -> Self {
        let what = match kind {
            Kind::File => "a file",
            Kind::Folder => "a folder",
            Kind::Link => "a symbolic link",
            Kind::Special => "a pipe, a socket or a device",
        };
        Self::NotAFile { path: path.to_owned(), what }
    }
}

fn tell(left_changed: &[LeftChanged]) -> String {
    let tell = |left: &LeftChanged| match &left.kept_as {
        Some(kept) => {
            format!("; `{}` could not be put back, it is `{}` now", left.path.display(), kept.display())
        }
        None => format!("; `{}` could not be removed again", left.path.display()),
    };
    left_changed.iter().map(tell).collect()
}

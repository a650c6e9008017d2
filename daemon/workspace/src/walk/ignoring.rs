//! What a repository's ignore files leave out: `.gitignore`, `.ignore` and `.git/info/exclude`. They are read as
//! any other hostile file: bounded, and never through a link. The personal ones of whoever runs the daemon are not.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::files::read_beginning;
use crate::path::{Folder, Kind};

/// The most that is read of one file.
const MAX_BYTES: u64 = 256 * 1024;

/// The rules of a folder and of those above it.
#[derive(Clone, Default)]
pub(crate) struct Ignoring(Option<Arc<Rules>>);

struct Rules {
    own: Gitignore,
    above: Ignoring,
}

impl Ignoring {
    /// The rules that hold in a folder because of those above it, up to the root of its repository.
    pub(crate) fn above(real: &Path) -> Self {
        let mut above = Vec::new();
        for folder in real.ancestors() {
            let Ok(held) = Folder::open(folder) else { break };
            let is_root = is_repository(&held);
            if folder != real {
                above.push((folder, held));
            }
            if is_root {
                return above
                    .iter()
                    .rev()
                    .fold(Self::default(), |rules, (folder, held)| rules.within(folder, held));
            }
        }
        Self::default()
    }

    /// The rules in a folder.
    pub(crate) fn within(&self, path: &Path, folder: &Folder) -> Self {
        let mut builder = None;
        let is_root = is_repository(folder);
        if is_root
            && let Ok((exclude, _)) = folder
                .enter(".git")
                .and_then(|git| git.enter("info"))
                .and_then(|info| info.open_file(OsStr::new("exclude")))
        {
            add(&mut builder, path, exclude);
        }
        for name in [".gitignore", ".ignore"] {
            if let Ok((file, _)) = folder.open_file(OsStr::new(name)) {
                add(&mut builder, path, file);
            }
        }
        // What is outside of a repository says nothing about what is in it.
        let above = if is_root { Self::default() } else { self.clone() };
        match builder.and_then(|builder: GitignoreBuilder| builder.build().ok()) {
            Some(own) if !own.is_empty() => Self(Some(Arc::new(Rules { own, above }))),
            _ => above,
        }
    }

    /// Whether a real path is left out.
    pub(crate) fn leaves_out(&self, path: &Path, is_folder: bool) -> bool {
        let mut next = self;
        while let Some(rules) = &next.0 {
            let verdict = rules.own.matched(path, is_folder);
            if !verdict.is_none() {
                return verdict.is_ignore();
            }
            next = &rules.above;
        }
        false
    }
}

fn is_repository(folder: &Folder) -> bool {
    matches!(folder.look(OsStr::new(".git")), Ok(Some(found)) if matches!(found.kind, Kind::Folder | Kind::File))
}

fn add(builder: &mut Option<GitignoreBuilder>, path: &Path, file: std::fs::File) {
    let Some(beginning) = read_beginning(file, MAX_BYTES) else { return };
    let builder = builder.get_or_insert_with(|| GitignoreBuilder::new(path));
    for line in beginning.text.trim_start_matches('\u{feff}').lines() {
        // git, too, goes on after a line that it can't read.
        let _ = builder.add_line(None, line);
    }
}

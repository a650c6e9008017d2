//! Shows what is in a folder, a few levels deep. Names are read from folders that are held open; no link is
//! followed.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::files::FileError;
use crate::path::{Folder, Kind};
use crate::patience::Patience;
use crate::search::SearchError;
use crate::sight::Sight;
use crate::walk::{Ignored, Ignoring};

/// Names of one folder that are read.
const MAX_NAMES: usize = 20_000;
/// Entries in all.
const MAX_ENTRIES: usize = 20_000;

/// What to list.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// Levels; 1 is the folder's own names.
    pub depth: usize,
    /// Whether what is ignored is shown.
    pub ignored: Ignored,
}

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// How far below, from 0.
    pub level: usize,
    /// The name.
    pub name: OsString,
    /// What it stands for.
    pub kind: ListedKind,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListedKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A link, and where it says that it leads.
    Link(PathBuf),
    /// A pipe, a socket, a device.
    Special,
}

/// What is in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// By name, each folder's own entries after it.
    pub entries: Vec<Listed>,
    /// Entries that were left out, as they are ignored.
    pub ignored: u64,
    /// Whether there is more than is looked at.
    pub is_cut: bool,
    /// Folders that could not be looked into.
    pub unreadable: u64,
}

/// Lists a folder.
///
/// # Errors
/// It may not be seen, or is no folder.
pub fn list(sight: &Sight, path: &Path, list: List, patience: &Patience) -> Result<Listing, SearchError> {
    let real = sight.real(path)?;
    let folder = Folder::open(&real).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotADirectory => SearchError::NotAFolder { path: real.clone() },
        _ => FileError::io(&real, error).into(),
    })?;
    let ignoring = match list.ignored {
        Ignored::LeftOut => Ignoring::above(&real),
        Ignored::Included => Ignoring::default(),
    };
    let mut lister = Lister { sight, list, patience, listing: Listing::default() };
    lister.enter(&real, &folder, &ignoring, 0);
    Ok(lister.listing)
}

struct Lister<'a> {
    sight: &'a Sight,
    list: List,
    patience: &'a Patience,
    listing: Listing,
}

impl Lister<'_> {
    fn enter(&mut self, path: &Path, folder: &Folder, above: &Ignoring, level: usize) {
        let ignoring = match self.list.ignored {
            Ignored::LeftOut => above.within(path, folder),
            Ignored::Included => Ignoring::default(),
        };
        let mut names = Vec::new();
        let read = folder.each(|name, kind| {
            if names.len() >= MAX_NAMES || self.patience.is_over() {
                self.listing.is_cut = true;
                return ControlFlow::Break(());
            }
            let full = path.join(name);
            if self.sight.is_visible(&full) {
                if ignoring.leaves_out(&full, kind == Kind::Folder) {
                    self.listing.ignored += 1;
                } else {
                    names.push((name.to_owned(), kind));
                }
            }
            ControlFlow::Continue(())
        });
        if read.is_err() {
            self.listing.unreadable += 1;
        }
        names.sort();
        for (name, kind) in names {
            if self.listing.entries.len() >= MAX_ENTRIES {
                self.listing.is_cut = true;
                return;
            }
            let listed = match kind {
                Kind::File => ListedKind::File,
                Kind::Folder => ListedKind::Folder,
                Kind::Link => ListedKind::Link(folder.link(&name).unwrap_or_default()),
                Kind::Special => ListedKind::Special,
            };
            let is_entered = kind == Kind::Folder && level + 1 < self.list.depth && name != ".git";
            self.listing.entries.push(Listed { level, name: name.clone(), kind: listed });
            if is_entered {
                match folder.enter(&name) {
                    Ok(inner) => self.enter(&path.join(&name), &inner, &ignoring, level + 1),
                    Err(_) => self.listing.unreadable += 1,
                }
            }
        }
    }
}

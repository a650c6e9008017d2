//! Carries out a draft: everything is written beside its place first, then put in place by renames; when one of
//! these fails, those before it are taken back.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use protocol::profile::{Access, Profile};

use super::draft::{After, Content, Entry};
use super::error::{CommitError, FileError, LeftChanged};
use crate::path::{Folder, Found, Kind, is_link};

/// Makes all changes or none.
pub(super) fn commit(profile: &Profile, entries: BTreeMap<PathBuf, Entry>) -> Result<(), CommitError> {
    let mut commit = Commit { profile, leftovers: Vec::new(), done: Vec::new() };
    let outcome = commit.carry_out(entries);
    let left_changed = match &outcome {
        Ok(()) => Vec::new(),
        Err(_) => commit.take_back(),
    };
    commit.tidy_up();
    outcome.map_err(|cause| CommitError { cause, left_changed })
}

struct Commit<'a> {
    profile: &'a Profile,
    /// What is ours to remove in the end: what was written and not placed, what was replaced.
    leftovers: Vec<Place>,
    /// What was done, in order, to be taken back if need be.
    done: Vec<(PathBuf, Step)>,
}

/// A name in a folder.
#[derive(Clone)]
struct Place {
    folder: Rc<Folder>,
    name: OsString,
}

enum Step {
    /// Old and new changed places.
    Exchanged { old: Place, new: Place },
    /// What was there got another name.
    SetAside { aside: Place, place: Place },
    /// A file or a link came where nothing was.
    Made(Place),
    /// So did a folder.
    MadeFolder(Place),
}

/// What is written already, and where it shall go.
struct Staged {
    path: PathBuf,
    before: Option<Found>,
    written: Place,
}

impl Commit<'_> {
    fn carry_out(&mut self, entries: BTreeMap<PathBuf, Entry>) -> Result<(), FileError> {
        let mut staged = Vec::new();
        let mut removed = Vec::new();
        for (path, Entry { before, after }) in entries {
            match (after, before) {
                (After::Same, _) | (After::Nothing, None) => {}
                (After::Nothing, Some(found)) => removed.push((path, found)),
                (After::File(content), before) => {
                    let write = |folder: &Folder| write_file(folder, &content, before.as_ref());
                    staged.push(self.stage(path, before, write)?);
                }
                (After::Link(target), before) => {
                    staged.push(self.stage(path, before, |folder| folder.create_link(&target))?);
                }
            }
        }
        // Removals come first, as a folder may be wanted where a file or a link is now.
        for (path, found) in removed {
            let (parent, name) = split(&path)?;
            let folder = Folder::open(parent).map_err(|error| FileError::io(&path, error))?;
            let place = Place { folder: Rc::new(folder), name: name.to_owned() };
            self.set_aside(&path, place, &found)?;
        }
        for staged in staged {
            self.put_in_place(staged)?;
        }
        Ok(())
    }

    /// Writes in the nearest folder that exists; folders on the way are made when the file is put in place.
    fn stage(
        &mut self,
        path: PathBuf,
        before: Option<Found>,
        write: impl FnOnce(&Folder) -> io::Result<OsString>,
    ) -> Result<Staged, FileError> {
        let folder = Rc::new(self.nearest_folder(&path)?);
        let name = write(&folder).map_err(|error| FileError::io(&path, error))?;
        let written = Place { folder, name };
        self.leftovers.push(written.clone());
        Ok(Staged { path, before, written })
    }

    /// The nearest folder on the way to a path that exists, if it may be written.
    fn nearest_folder(&self, path: &Path) -> Result<Folder, FileError> {
        for parent in path.ancestors().skip(1) {
            match Folder::open(parent) {
                Ok(_) if self.profile.access(parent) != Access::Write => {
                    return Err(FileError::ReadOnly { path: parent.to_owned() });
                }
                Ok(folder) => return Ok(folder),
                // Also for a link: it may be about to be removed, and is in the way later if it is not.
                Err(error) if is_missing(&error) || is_link(&error) => {}
                Err(error) => return Err(FileError::io(parent, error)),
            }
        }
        Err(FileError::Missing { path: path.to_owned() })
    }

    fn put_in_place(&mut self, staged: Staged) -> Result<(), FileError> {
        let Staged { path, before, written } = staged;
        let io = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Changed { path: path.clone() },
            _ => FileError::io(&path, error),
        };
        let (parent, name) = split(&path)?;
        let place = Place { folder: self.open_or_make(parent)?, name: name.to_owned() };
        if let Some(before) = &before {
            if written.folder.exchange(&written.name, &place.folder, &place.name).map_err(io)? {
                let is_expected = stands_at(&written, before);
                self.done.push((path.clone(), Step::Exchanged { old: written, new: place }));
                return if is_expected { Ok(()) } else { Err(FileError::Changed { path }) };
            }
            self.set_aside(&path, place.clone(), before)?;
        }
        written.folder.rename_new(&written.name, &place.folder, &place.name).map_err(io)?;
        self.done.push((path, Step::Made(place)));
        Ok(())
    }

    /// Gives what is there another name, and makes sure that it is what was looked at.
    fn set_aside(&mut self, path: &Path, place: Place, before: &Found) -> Result<(), FileError> {
        let name = place.folder.set_aside(&place.name).map_err(|error| FileError::io(path, error))?;
        let aside = Place { folder: Rc::clone(&place.folder), name };
        let is_expected = stands_at(&aside, before);
        self.leftovers.push(aside.clone());
        self.done.push((path.to_owned(), Step::SetAside { aside, place }));
        if is_expected { Ok(()) } else { Err(FileError::Changed { path: path.to_owned() }) }
    }

    /// Opens a folder by its real path, making what is missing of it.
    fn open_or_make(&mut self, path: &Path) -> Result<Rc<Folder>, FileError> {
        match Folder::open(path) {
            Ok(folder) => return Ok(Rc::new(folder)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FileError::io(path, error)),
        }
        let (parent, name) = split(path)?;
        let outer = self.open_or_make(parent)?;
        if self.profile.access(path) != Access::Write {
            return Err(FileError::ReadOnly { path: path.to_owned() });
        }
        let (folder, is_new) = outer.enter_or_make(name).map_err(|error| FileError::io(path, error))?;
        if is_new {
            let place = Place { folder: outer, name: name.to_owned() };
            self.done.push((path.to_owned(), Step::MadeFolder(place)));
        }
        Ok(Rc::new(folder))
    }

    /// Takes back every step, the last one first; returns what could not be taken back.
    fn take_back(&mut self) -> Vec<LeftChanged> {
        let mut left_changed = Vec::new();
        while let Some((path, step)) = self.done.pop() {
            let (outcome, kept) = match step {
                Step::Exchanged { old, new } => {
                    let back = old.folder.exchange(&old.name, &new.folder, &new.name);
                    (back.map(|_| ()), Some(old))
                }
                Step::SetAside { aside, place } => {
                    (aside.folder.rename_new(&aside.name, &place.folder, &place.name), Some(aside))
                }
                Step::Made(place) => (place.folder.remove(&place.name), None),
                Step::MadeFolder(place) => (place.folder.remove_folder(&place.name), None),
            };
            if outcome.is_err() {
                // What was there must not be tidied away.
                self.leftovers.retain(|left| kept.as_ref().is_none_or(|kept| kept.name != left.name));
                let kept_as = kept.map(|kept| path.with_file_name(kept.name));
                left_changed.push(LeftChanged { path, kept_as });
            }
        }
        left_changed
    }

    /// Brings the new names to the disk and removes what is left over. A failure here leaves litter, or a name
    /// that is on the disk a little later; neither makes the outcome another one.
    fn tidy_up(&mut self) {
        for left in self.leftovers.drain(..) {
            let _ = left.folder.remove(&left.name);
        }
        for (_, step) in &self.done {
            let (Step::Exchanged { new: place, .. }
            | Step::SetAside { place, .. }
            | Step::Made(place)
            | Step::MadeFolder(place)) = step;
            let _ = place.folder.sync();
        }
    }
}

fn write_file(folder: &Folder, content: &Content, before: Option<&Found>) -> io::Result<OsString> {
    let (mut file, name) = folder.create_file(content.mode, before)?;
    if let Err(error) = file.write_all(&content.bytes).and_then(|()| file.sync_all()) {
        let _ = folder.remove(&name);
        return Err(error);
    }
    Ok(name)
}

/// Whether this is what was looked at before.
fn stands_at(place: &Place, before: &Found) -> bool {
    matches!(place.folder.look(&place.name), Ok(Some(found)) if found.is_same(before))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn split(path: &Path) -> Result<(&Path, &OsStr), FileError> {
    path.parent().zip(path.file_name()).ok_or_else(|| FileError::not_a_file(path, Kind::Folder))
}

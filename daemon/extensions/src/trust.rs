//! What of the declarations of folders a person trusts, kept in one file of the state folder that nobody else may
//! write. An entry is of one folder, told by its real path and by what tells it from another one there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::declared::{Declaration, Declared};
use crate::error::ExtensionError;
use crate::files;
use crate::project::Project;

/// Changes when a file of an older build can't be used any more.
const VERSION: u32 = 1;
/// A larger file is not read.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The trusted declarations of all folders.
#[derive(Debug)]
pub struct Trust {
    file: PathBuf,
    kept: Mutex<Kept>,
}

/// Whether a declaration is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Exactly this is.
    Trusted,
    /// Nobody trusted it.
    New,
    /// What is trusted under this name said something else.
    Changed,
}

/// What is trusted of one folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Hashes, each with the name that it had.
    by_hash: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Kept {
    stamp: Stamp,
    stored: Stored,
}

type Stamp = Option<(SystemTime, u64)>;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    version: u32,
    folders: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    identity: String,
    /// The names of what is trusted, by their hashes.
    declarations: BTreeMap<String, String>,
}

impl Trusted {
    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Whether exactly what has this hash is trusted.
    #[must_use]
    pub fn has(&self, hash: &str) -> bool {
        self.by_hash.contains_key(hash)
    }

    /// Whether a declaration is trusted, among all of its folder.
    #[must_use]
    pub fn state(&self, declaration: &Declaration, declared: &Declared) -> State {
        if self.has(&declaration.hash) {
            return State::Trusted;
        }
        let now: BTreeSet<&str> = declared.declarations.iter().map(|one| one.hash.as_str()).collect();
        let name = full_name(declaration);
        let is_changed =
            self.by_hash.iter().any(|(hash, known)| *known == name && !now.contains(hash.as_str()));
        if is_changed { State::Changed } else { State::New }
    }
}

impl Trust {
    /// What is kept in this state folder. Reads nothing yet.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { file: state.join("trust.json"), kept: Mutex::default() }
    }

    /// The file that it is kept in.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What is trusted of a folder. Reads the file if it was changed.
    ///
    /// # Errors
    /// `Unreadable`; then nothing is trusted.
    pub fn of(&self, project: &Project) -> Result<Trusted, ExtensionError> {
        let mut kept = self.lock();
        self.refresh(&mut kept)?;
        let entry = kept.stored.folders.get(&key(project));
        let entry = entry.filter(|entry| entry.identity == project.identity);
        Ok(entry.map(|entry| Trusted { by_hash: entry.declarations.clone() }).unwrap_or_default())
    }

    /// Trusts these of what a folder declares, and nothing else of it.
    ///
    /// # Errors
    /// `NotDeclared` when one of the hashes is of nothing that is declared, `Unreadable`, `Unwritable`.
    pub fn set(
        &self,
        project: &Project,
        declared: &Declared,
        hashes: &[String],
    ) -> Result<(), ExtensionError> {
        let mut declarations = BTreeMap::new();
        for hash in hashes {
            let found = declared.declarations.iter().find(|one| one.hash == *hash);
            let found = found.ok_or(ExtensionError::NotDeclared)?;
            declarations.insert(hash.clone(), full_name(found));
        }
        let mut kept = self.lock();
        self.refresh(&mut kept)?;
        if declarations.is_empty() {
            kept.stored.folders.remove(&key(project));
        } else {
            let entry = Entry { identity: project.identity.clone(), declarations };
            kept.stored.folders.insert(key(project), entry);
        }
        kept.stored.version = VERSION;
        let written = self.write(&kept.stored);
        // Read anew when it is needed next, whatever its stamp says.
        *kept = Kept::default();
        written.map_err(|source| ExtensionError::Unwritable { path: self.file.clone(), source })
    }

    fn refresh(&self, kept: &mut Kept) -> Result<(), ExtensionError> {
        let stamp = stamp(&self.file);
        let unreadable = |reason: String| ExtensionError::Unreadable { path: self.file.clone(), reason };
        if stamp.is_some() && !files::is_private(&self.file) {
            *kept = Kept::default();
            return Err(unreadable("others may have written it".to_owned()));
        }
        if kept.stamp == stamp {
            return Ok(());
        }
        *kept = Kept::default();
        if stamp.is_none() {
            return Ok(());
        }
        let bytes = files::read(&self.file, MAX_BYTES).map_err(|error| unreadable(error.to_string()))?;
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if stored.version != VERSION {
            return Err(unreadable(format!("it is of version {}, not {VERSION}", stored.version)));
        }
        *kept = Kept { stamp, stored };
        Ok(())
    }

    /// Writes the file as a whole, for this user alone.
    fn write(&self, stored: &Stored) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".trust").tempfile_in(folder)?;
        serde_json::to_writer_pretty(&mut file, stored)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&self.file)?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A poisoned cache is whole: each change is one assignment, or read anew afterwards.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names a declaration among those of its folder; several may have one name.
fn full_name(declaration: &Declaration) -> String {
    format!("{} {}", declaration.file.display(), declaration.name)
}

fn key(project: &Project) -> String {
    project.root.to_string_lossy().into_owned()
}

fn stamp(file: &Path) -> Stamp {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declared::Content;

    fn project(identity: &str) -> Project {
        Project { root: "/repo".into(), identity: identity.to_owned() }
    }

    fn declared(hashes: &[&str]) -> Declared {
        let declaration = |hash: &&str| Declaration {
            file: ".skein/rules/a.rules".into(),
            name: "a.rules".to_owned(),
            content: Content::Rules(String::new()),
            files: Vec::new(),
            hash: (*hash).to_owned(),
        };
        Declared { declarations: hashes.iter().map(declaration).collect(), ..Declared::default() }
    }

    fn state(trust: &Trust, project: &Project, declared: &Declared) -> State {
        trust.of(project).expect("readable").state(&declared.declarations[0], declared)
    }

    #[test]
    fn trust_is_of_what_was_seen_and_comes_back_with_it() {
        let scratch = tempfile::tempdir().expect("scratch");
        let trust = Trust::new(scratch.path());
        let (one, two) = (declared(&["1"]), declared(&["2"]));
        assert_eq!(state(&trust, &project("a"), &one), State::New);
        trust.set(&project("a"), &one, &["1".to_owned()]).expect("set");
        // Another process reads the same.
        for trust in [&trust, &Trust::new(scratch.path())] {
            assert_eq!(state(trust, &project("a"), &one), State::Trusted);
            assert_eq!(state(trust, &project("a"), &two), State::Changed);
            assert_eq!(state(trust, &project("b"), &one), State::New, "another folder at the same place");
        }
        trust.set(&project("a"), &one, &[]).expect("revoked");
        assert_eq!(state(&trust, &project("a"), &one), State::New);
        trust.set(&project("a"), &one, &["1".to_owned()]).expect("again");
        assert_eq!(state(&trust, &project("a"), &one), State::Trusted);
        std::fs::remove_file(trust.file()).expect("moved away");
        assert_eq!(state(&trust, &project("a"), &one), State::New);
    }

    #[test]
    fn nobody_trusts_what_is_not_declared() {
        let scratch = tempfile::tempdir().expect("scratch");
        let trust = Trust::new(scratch.path());
        let refused = trust.set(&project("a"), &declared(&["1"]), &["2".to_owned()]);
        assert!(matches!(refused, Err(ExtensionError::NotDeclared)), "{refused:?}");
        assert!(!trust.file().exists());
    }

    #[test]
    fn a_file_that_can_not_be_read_trusts_nothing_and_is_not_written_over() {
        let scratch = tempfile::tempdir().expect("scratch");
        let trust = Trust::new(scratch.path());
        std::fs::write(trust.file(), "{").expect("write");
        let one = declared(&["1"]);
        assert!(matches!(trust.of(&project("a")), Err(ExtensionError::Unreadable { .. })));
        assert!(trust.set(&project("a"), &one, &["1".to_owned()]).is_err());
        assert_eq!(std::fs::read_to_string(trust.file()).expect("file"), "{");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_user_may_read_and_write_the_file() {
        use rustix::fs::{Mode, chmod, stat};
        let scratch = tempfile::tempdir().expect("scratch");
        let trust = Trust::new(scratch.path());
        let one = declared(&["1"]);
        trust.set(&project("a"), &one, &["1".to_owned()]).expect("set");
        assert_eq!(stat(trust.file()).expect("stat").st_mode & 0o777, 0o600);
        chmod(trust.file(), Mode::from_raw_mode(0o666)).expect("chmod");
        let error = Trust::new(scratch.path()).of(&project("a")).expect_err("not believed");
        assert!(error.to_string().contains("others may have written it"), "{error}");
    }
}

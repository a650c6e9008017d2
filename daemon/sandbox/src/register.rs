//! Which helpers run, for the next daemon to read if this one dies: a folder with one empty file per helper, whose
//! name says all. Making and removing a name is atomic, so there are no halves to be read. Knows nothing of what
//! helpers run.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::proc::{self, Stat};

/// A process, told apart from all that have or will have its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    /// When it started, in clock ticks since boot.
    pub(crate) started: u64,
}

impl Identity {
    /// What is known of it now; none once it has ended.
    pub(crate) fn stat(self) -> Option<Stat> {
        proc::stat(self.pid).filter(|stat| stat.started == self.started && !stat.has_ended())
    }
}

/// A variable in the environment of commands without a namespace of process ids: by its value all processes of a command
/// are found, wherever they went.
pub(crate) const MARK: &str = "SKEIN_TREE";

/// What an entry says: a helper, and the mark of what it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) identity: Identity,
    /// Chosen at random, so that nobody else's process has it.
    pub(crate) mark: u64,
}

impl Line {
    fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}-{}-{}", self.identity.pid, self.identity.started, self.mark()))
    }

    /// The mark as it stands in the environment.
    pub(crate) fn mark(self) -> String {
        shown(self.mark)
    }
}

/// A mark of what nobody writes down, as it stands in the environment.
pub(crate) fn new_mark() -> io::Result<String> {
    getrandom::u64().map(shown).map_err(io::Error::other)
}

fn shown(mark: u64) -> String {
    format!("{mark:016x}")
}

impl FromStr for Line {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let mut parts = name.split('-');
        let mut next = || parts.next().ok_or(());
        let identity = Identity { pid: next()?.parse().or(Err(()))?, started: next()?.parse().or(Err(()))? };
        let mark = next()?;
        let line = Self { identity, mark: u64::from_str_radix(mark, 16).or(Err(()))? };
        if identity.pid > 0 && mark == line.mark() && parts.next().is_none() { Ok(line) } else { Err(()) }
    }
}

/// The folder.
#[derive(Debug)]
pub(crate) struct Register {
    folder: PathBuf,
    /// Helpers that nobody waits for any more, and that still clear away their trees.
    leaving: Mutex<Vec<Line>>,
}

impl Register {
    /// A folder, made when it is needed; the folder above it exists.
    pub(crate) fn new(folder: PathBuf) -> Arc<Self> {
        Arc::new(Self { folder, leaving: Mutex::default() })
    }

    /// Writes down a helper, which must not have been waited for.
    pub(crate) fn record(self: &Arc<Self>, pid: u32) -> io::Result<Entry> {
        self.sweep();
        let pid = pid.cast_signed();
        let started = proc::stat(pid).ok_or(io::ErrorKind::NotFound)?.started;
        let line =
            Line { identity: Identity { pid, started }, mark: getrandom::u64().map_err(io::Error::other)? };
        let path = line.path(&self.folder);
        match create(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().mode(0o700).create(&self.folder)?;
                create(&path)?;
            }
            created => drop(created?),
        }
        Ok(Entry { register: Arc::clone(self), line, is_over: false })
    }

    /// Forgets helpers that have ended since somebody looked.
    fn sweep(&self) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|line| {
            let is_there = line.identity.stat().is_some();
            if !is_there {
                self.remove(*line);
            }
            is_there
        });
    }

    fn remove(&self, line: Line) {
        // One too many does no harm: the next daemon finds no such process.
        if let Err(error) = fs::remove_file(line.path(&self.folder)) {
            tracing::debug!(%error, "could not strike a helper off the register");
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// A helper that is written down. Dropping it strikes the helper off as soon as that has ended.
#[derive(Debug)]
pub(crate) struct Entry {
    register: Arc<Register>,
    line: Line,
    is_over: bool,
}

impl Entry {
    /// The mark of what it runs.
    pub(crate) fn mark(&self) -> String {
        self.line.mark()
    }

    /// Strikes it off: nothing is left of what it runs.
    pub(crate) fn strike(mut self) {
        self.is_over = true;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.is_over || self.line.identity.stat().is_none() {
            self.register.remove(self.line);
        } else {
            let leaving = &self.register.leaving;
            leaving.lock().unwrap_or_else(PoisonError::into_inner).push(self.line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn child() -> Child {
        Command::new("cat").stdin(Stdio::piped()).spawn().expect("child")
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("folder");
        entries.map(|entry| entry.expect("entry").file_name().into_string().expect("text")).collect()
    }

    #[test]
    fn a_helper_is_written_down_for_as_long_as_it_lives() {
        let scratch = tempfile::tempdir().expect("scratch");
        let folder = scratch.path().join("children");
        let register = Register::new(folder.clone());
        let (mut first, mut second) = (child(), child());
        let entry = register.record(first.id()).expect("record");
        let [name] = &names(&folder)[..] else { panic!("{:?}", names(&folder)) };
        assert_eq!(name.parse(), Ok(entry.line));
        for path in [&folder, &folder.join(name)] {
            let mode = fs::metadata(path).expect("metadata").permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
        }

        // Nobody waits for it any more, and it is not through yet.
        drop(entry);
        assert_eq!(names(&folder).len(), 1);
        first.kill().expect("kill");
        first.wait().expect("wait");
        let entry = register.record(second.id()).expect("record");
        let identity = entry.line.identity;
        assert_eq!(names(&folder), [format!("{}-{}-{}", identity.pid, identity.started, entry.mark())]);
        entry.strike();
        assert_eq!(names(&folder), [""; 0]);
        second.kill().expect("kill");
        second.wait().expect("wait");
    }

    #[test]
    fn other_names_are_no_helpers() {
        let line = Line { identity: Identity { pid: 17, started: 4 }, mark: 0xab };
        assert_eq!("17-4-00000000000000ab".parse(), Ok(line));
        for name in ["", "17", "17-4", "-4-00000000000000ab", "0-4-00000000000000ab", "17-4-", "17-4-ab"] {
            assert_eq!(name.parse::<Line>(), Err(()), "{name}");
        }
        for name in ["17-4-00000000000000AB", "17-4-00000000000000ab-", "17-4-00000000000000ab.tmp"] {
            assert_eq!(name.parse::<Line>(), Err(()), "{name}");
        }
    }
}

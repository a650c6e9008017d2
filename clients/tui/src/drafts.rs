//! What is written in a session and not sent yet, kept on disk while it is written, so that it outlives the screen. Two
//! screens on one session each keep their own: a file belongs to the screen that holds its lock, and one that nobody
//! holds was left behind. Knows nothing of when it is kept.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use protocol::ids::SessionId;
use tempfile::NamedTempFile;

/// Screens on one session whose drafts are kept.
const MOST: usize = 8;

/// A session's draft, on one screen. What can't be kept is only on the screen, as if it were not kept at all.
#[derive(Debug)]
pub(crate) struct Drafts {
    folder: PathBuf,
    session: SessionId,
    /// The file of ours, locked; absent while nothing is written. Dropping it leaves the file to the next screen.
    kept: Option<(PathBuf, File)>,
    text: String,
}

impl Drafts {
    /// Takes what a screen left behind on this session, if one did.
    pub(crate) fn take(folder: &Path, session: SessionId) -> Self {
        let mut drafts = Self { folder: folder.to_owned(), session, kept: None, text: String::new() };
        let left = drafts.places().find_map(|path| {
            let file = File::options().read(true).write(true).open(&path).ok()?;
            if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
                return None;
            }
            let text = fs::read_to_string(&path).ok().filter(|text| !text.trim().is_empty())?;
            Some((path, file, text))
        });
        if let Some((path, file, text)) = left {
            drafts.kept = Some((path, file));
            drafts.text = text;
        }
        drafts
    }

    /// What is kept.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Keeps this in place of what was kept; nothing if it is nothing.
    pub(crate) fn keep(&mut self, text: &str) {
        let text = if text.trim().is_empty() { "" } else { text };
        if text == self.text {
            return;
        }
        text.clone_into(&mut self.text);
        if text.is_empty() {
            if let Some((path, _)) = self.kept.take() {
                let _gone = fs::remove_file(path);
            }
            return;
        }
        match self.write() {
            Ok(kept) => self.kept = Some(kept),
            // The next letter tries again.
            Err(_) => self.text.clear(),
        }
    }

    /// Writes it as a whole, locked before it can be found.
    fn write(&self) -> io::Result<(PathBuf, File)> {
        fs::create_dir_all(&self.folder)?;
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(self.text.as_bytes())?;
        // Where files can't be locked, screens on one session share a draft.
        let _unlocked = file.as_file().try_lock();
        if let Some((path, _)) = &self.kept {
            return Ok((path.clone(), file.persist(path)?));
        }
        let mut full = io::Error::from(io::ErrorKind::AlreadyExists);
        for path in self.places() {
            match file.persist_noclobber(&path) {
                Ok(written) => return Ok((path, written)),
                Err(error) => (file, full) = (error.file, error.error),
            }
        }
        Err(full)
    }

    fn places(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let first = format!("draft-{}", self.session);
        let name = move |number| if number == 0 { first.clone() } else { format!("{first}-{number}") };
        (0..MOST).map(move |number| self.folder.join(name(number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_belongs_to_its_session_and_outlives_its_screen() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (SessionId::generate(), SessionId::generate());
        let mut screen = Drafts::take(folder.path(), one);
        screen.keep("half a");
        screen.keep("half a thought");
        drop(screen);
        assert_eq!(Drafts::take(folder.path(), two).text(), "");
        let mut again = Drafts::take(folder.path(), one);
        assert_eq!(again.text(), "half a thought");
        again.keep("  ");
        drop(again);
        assert_eq!(Drafts::take(folder.path(), one).text(), "");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left of it");
    }

    #[test]
    fn screens_on_one_session_do_not_get_each_others() {
        let folder = tempfile::tempdir().unwrap();
        let session = SessionId::generate();
        let take = || Drafts::take(folder.path(), session);
        let mut first = take();
        first.keep("one");
        let mut second = take();
        assert_eq!(second.text(), "", "it is being written elsewhere");
        second.keep("two");
        first.keep("one more");
        // Rewritten, it is still the first one's.
        assert_eq!(take().text(), "");
        drop(second);
        assert_eq!(take().text(), "two");
        first.keep("");
        drop(first);
        assert_eq!(take().text(), "two", "what another one sends takes nothing away");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut screen = Drafts::take(folder.path(), SessionId::generate());
        screen.keep("secret");
        for entry in fs::read_dir(folder.path()).unwrap() {
            let status = rustix::fs::stat(entry.unwrap().path()).unwrap();
            assert_eq!(status.st_mode & 0o077, 0);
        }
    }
}

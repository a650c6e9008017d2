//! What a person allowed for good: `rules/always.toml` in the folder of the settings. People read it and take leave
//! back there; the daemon only adds. Commands of sessions never see the folder.
//!
//! A leave holds for exactly the same thing: the same argument vector in the same folder, inside or outside the
//! sandbox as it was asked. A file that can't be understood as a whole allows nothing, so that people are asked again.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::Timestamp;
use protocol::question::QuestionKind;
use serde::{Deserialize, Serialize};
use session::moment::Rules;
use session::state::grant_key;

use crate::circumstances::{Stamp, stamp};
use crate::process;

/// A file that is larger is not read.
const MAX_BYTES: u64 = 1024 * 1024;

/// What a new file begins with.
const HEADER: &str = "# What you allowed for good, in every session. Take out an entry, and you are asked again.\n\
                      # An entry holds for exactly this command in exactly this folder.\n";

/// The rules, as the file has them.
pub(crate) struct RuleBook {
    file: PathBuf,
    read: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    stamp: Stamp,
    rules: Rules,
}

/// The file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    always: Vec<Entry>,
}

/// One leave: a command, or changes of files.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    argv: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cwd: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_escalated: Option<bool>,
    /// Whether any file may be changed that a person would be asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_changes: Option<bool>,
    /// For people; no leave depends on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_at: Option<String>,
}

impl Entry {
    fn of(kind: &QuestionKind, at: Timestamp) -> Option<Self> {
        let granted_at = Some(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(at.0)));
        match kind {
            QuestionKind::Command { argv, cwd, is_escalated, .. } => Some(Self {
                argv: Some(argv.clone()),
                cwd: Some(cwd.clone()),
                is_escalated: Some(*is_escalated),
                granted_at,
                ..Self::default()
            }),
            QuestionKind::FileChange { .. } => {
                Some(Self { file_changes: Some(true), granted_at, ..Self::default() })
            }
            QuestionKind::Unknown(_) => None,
        }
    }

    /// What it allows; `None` if it is neither a command nor changes of files.
    fn key(self) -> Option<String> {
        let kind = match self {
            Self {
                argv: Some(argv),
                cwd: Some(cwd),
                is_escalated: Some(is_escalated),
                file_changes: None,
                ..
            } => {
                let (command, justification) = (String::new(), None);
                QuestionKind::Command { command, argv, cwd, is_escalated, justification }
            }
            Self { argv: None, cwd: None, is_escalated: None, file_changes: Some(true), .. } => {
                QuestionKind::FileChange { patch: String::new() }
            }
            _ => return None,
        };
        grant_key(&kind)
    }
}

impl RuleBook {
    /// The rules in this folder of settings. Reads nothing yet.
    pub(crate) fn new(config: &Path) -> Self {
        Self { file: config.join("rules").join("always.toml"), read: Mutex::default() }
    }

    /// What is allowed now. Looks at the file's stamp, and reads it only if that has changed.
    pub(crate) fn rules(&self) -> Rules {
        let now = stamp(&self.file);
        let mut read = self.lock();
        if read.stamp != now {
            let rules = match self.text().and_then(|text| parse(&text)) {
                Ok(rules) => rules,
                Err(error) => {
                    let file = self.file.display();
                    tracing::warn!(%error, %file, "the rules can't be used; people are asked about everything");
                    BTreeSet::new()
                }
            };
            *read = Read { stamp: now, rules: Arc::new(rules) };
        }
        Arc::clone(&read.rules)
    }

    /// Adds a leave at the end of the file, and leaves what stands there as it is.
    ///
    /// # Errors
    /// `Internal` when the file can't be used as it is, or can't be written.
    pub(crate) fn allow(&self, kind: &QuestionKind, at: Timestamp) -> Result<(), ProtocolError> {
        let mut read = self.lock();
        self.append(kind, at).map_err(|error| {
            ProtocolError::new(ErrorCode::Internal, format!("`{}`: {error}", self.file.display()))
                .with_hint("Mend the file or move it away")
        })?;
        // Read anew when it is needed next.
        read.stamp = None;
        Ok(())
    }

    fn append(&self, kind: &QuestionKind, at: Timestamp) -> io::Result<()> {
        let mut text = self.text()?;
        let entry =
            Entry::of(kind, at).ok_or_else(|| io::Error::other("there is no rule for such a thing"))?;
        let added = toml::to_string(&Content { always: vec![entry] }).map_err(io::Error::other)?;
        if grant_key(kind).is_some_and(|key| parse(&text).is_ok_and(|rules| rules.contains(&key))) {
            return Ok(());
        }
        if text.is_empty() {
            text.push_str(HEADER);
        } else if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&added);
        // What would not be understood afterwards is not written.
        parse(&text)?;
        process::replace_private(&self.file, text.as_bytes())
    }

    fn text(&self) -> io::Result<String> {
        match process::read_private(&self.file, MAX_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => String::from_utf8(read?).map_err(io::Error::other),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        // A poisoned cache is whole: each change is one assignment.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(text: &str) -> io::Result<BTreeSet<String>> {
    let content: Content = toml::from_str(text).map_err(io::Error::other)?;
    let keys = content.always.into_iter().enumerate().map(|(number, entry)| {
        entry.key().ok_or_else(|| {
            let number = number + 1;
            io::Error::other(format!(
                "entry {number} has neither `argv`, `cwd` and `is_escalated`, nor `file_changes = true`"
            ))
        })
    });
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const AT: Timestamp = Timestamp(1_764_000_000_000);

    fn command(argv: &[&str], cwd: &str, is_escalated: bool) -> QuestionKind {
        let argv = argv.iter().map(|&part| part.to_owned()).collect();
        QuestionKind::Command {
            command: "as typed".into(),
            argv,
            cwd: cwd.into(),
            is_escalated,
            justification: None,
        }
    }

    fn allows(book: &RuleBook, kind: &QuestionKind) -> bool {
        book.rules().contains(&grant_key(kind).expect("key"))
    }

    #[test]
    fn a_leave_holds_for_the_very_same_thing_only() {
        let scratch = tempfile::tempdir().expect("scratch");
        let book = RuleBook::new(scratch.path());
        let push = command(&["git", "push"], "/repo", true);
        assert!(!allows(&book, &push));
        book.allow(&push, AT).expect("allow");
        assert!(allows(&book, &push));
        assert!(allows(&RuleBook::new(scratch.path()), &push), "the next daemon knows it");
        for other in [
            command(&["git", "push", "--force"], "/repo", true),
            command(&["git"], "/repo", true),
            command(&["git push"], "/repo", true),
            command(&["git", "push"], "/repo/below", true),
            command(&["git", "push"], "/repo", false),
            QuestionKind::FileChange { patch: String::new() },
        ] {
            assert!(!allows(&book, &other), "{other:?}");
        }
    }

    #[test]
    fn a_person_can_read_the_file_and_what_they_wrote_there_stays() {
        let scratch = tempfile::tempdir().expect("scratch");
        let book = RuleBook::new(scratch.path());
        book.allow(&command(&["make", "it so\n"], "/repo", false), AT).expect("allow");
        let first = fs::read_to_string(&book.file).expect("file");
        assert_eq!(
            first,
            format!(
                "{HEADER}\n[[always]]\nargv = [\"make\", \"\"\"\nit so\n\"\"\"]\ncwd = \"/repo\"\nis_escalated = false\n\
                 granted_at = \"Mon, 24 Nov 2025 16:00:00 GMT\"\n"
            )
        );
        fs::write(&book.file, format!("{first}# mine")).expect("write");
        book.allow(&QuestionKind::FileChange { patch: "*** Begin Patch".into() }, AT).expect("allow");
        book.allow(&QuestionKind::FileChange { patch: "another".into() }, AT).expect("allow");
        let second = fs::read_to_string(&book.file).expect("file");
        assert!(
            second.starts_with(&format!("{first}# mine\n\n[[always]]\nfile_changes = true\n")),
            "{second}"
        );
        assert_eq!(second.matches("[[always]]").count(), 2, "what is allowed already is not written again");
        assert_eq!(book.rules().len(), 2);
    }

    #[test]
    fn a_leave_that_was_taken_back_is_gone_at_once() {
        let scratch = tempfile::tempdir().expect("scratch");
        let book = RuleBook::new(scratch.path());
        let push = command(&["git", "push"], "/repo", true);
        book.allow(&push, AT).expect("allow");
        assert!(allows(&book, &push));
        fs::write(&book.file, "# nothing\n").expect("write");
        assert!(!allows(&book, &push));
        fs::remove_file(&book.file).expect("remove");
        assert_eq!(book.rules().len(), 0);
    }

    #[test]
    fn a_file_that_is_not_understood_allows_nothing_and_is_not_written_to() {
        let scratch = tempfile::tempdir().expect("scratch");
        let book = RuleBook::new(scratch.path());
        let push = command(&["git", "push"], "/repo", true);
        book.allow(&push, AT).expect("allow");
        let good = fs::read_to_string(&book.file).expect("file");
        for bad in [
            "[[always]]\nargv = [",
            "[[always]]\nargv = [\"a\"]\n",
            "[[always]]\nargv = [\"a\"]\ncwd = \"/\"\nis_escalated = true\nonly_on = \"Monday\"\n",
            "[[always]]\nfile_changes = false\n",
            "[[always]]\nfile_changes = true\nargv = [\"a\"]\n",
            "[[sometimes]]\n",
            "\u{0}",
        ] {
            let text = format!("{good}{bad}");
            fs::write(&book.file, &text).expect("write");
            assert!(!allows(&book, &push), "{bad}");
            let refused = book.allow(&command(&["ls"], "/", false), AT).expect_err("malformed");
            assert!(refused.message.contains("always.toml"), "{refused:?}");
            assert_eq!(fs::read_to_string(&book.file).expect("file"), text);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_have_written_is_not_believed() {
        use rustix::fs::{Mode, chmod, stat};
        let scratch = tempfile::tempdir().expect("scratch");
        let book = RuleBook::new(scratch.path());
        let push = command(&["git", "push"], "/repo", true);
        book.allow(&push, AT).expect("allow");
        let mode = stat(&book.file).expect("stat").st_mode & 0o777;
        assert_eq!(mode, 0o600);
        chmod(&book.file, Mode::from_raw_mode(0o666)).expect("chmod");
        assert!(!allows(&RuleBook::new(scratch.path()), &push));
        let elsewhere = scratch.path().join("elsewhere.toml");
        fs::rename(&book.file, &elsewhere).expect("rename");
        chmod(&elsewhere, Mode::from_raw_mode(0o600)).expect("chmod");
        rustix::fs::symlink(&elsewhere, &book.file).expect("link");
        assert!(!allows(&RuleBook::new(scratch.path()), &push), "a link may lead to where commands write");
    }
}

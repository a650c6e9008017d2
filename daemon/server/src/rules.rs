//! The rules that hold on this machine: the `*.rules` files in `rules/` of the folder of the settings, where a person
//! writes them and "always" adds to them, and those of whoever looks after the machine. Commands of sessions never see
//! the first and never write the second. Those of a repository count as much, once a person trusts them as they are.
//!
//! A file that can't be used as a whole counts for nothing and is named, and while there is one every command is asked
//! about: what is in it might have forbidden any.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use policy::rules::RulesError;
use protocol::error::{ConfigurationProblem, ErrorCode, ProtocolError};
use protocol::question::QuestionKind;
use rules::Reader;
use session::moment::Rules;

use crate::circumstances::{Stamp, stamp};
use crate::process;
use crate::projects::TrustedParts;
use crate::trust;

/// Where whoever looks after the machine writes rules.
pub(crate) const MANAGED: &str = "/etc/skein/rules";

/// A file that is larger is not read.
const MAX_BYTES: u64 = 1024 * 1024;
/// More files in one folder are not read.
const MAX_FILES: usize = 100;
/// Folders whose rules are kept as they were read; the oldest goes first.
const MAX_FOLDERS: usize = 32;

/// Where "always" adds rules that other programs that know such files understand.
const DEFAULT: &str = "default.rules";
/// Where it adds rules on leaving the sandbox, which they do not.
const OUTSIDE: &str = "outside.rules";

/// What new files begin with.
const HEADER: &str =
    "# What you allowed for good, one rule on each line. Take one out, and you are asked again.\n";

/// The rules, as the files have them.
pub(crate) struct RuleBook {
    /// The user's, then the machine's.
    folders: [PathBuf; 2],
    reader: Reader,
    read: Mutex<Option<Read>>,
    with_folders: Mutex<VecDeque<WithFolder>>,
}

/// The rules that hold in a folder which has trusted ones of its own.
struct WithFolder {
    everywhere: Rules,
    parts: Arc<TrustedParts>,
    rules: Rules,
}

struct Read {
    /// Of the folders and every file in them.
    stamps: Vec<(PathBuf, Stamp)>,
    rules: Rules,
}

impl RuleBook {
    /// The rules in this folder of settings, and in one for the whole machine. Reads nothing yet.
    pub(crate) fn new(config: &Path, managed: PathBuf, reader: Reader) -> Self {
        Self {
            folders: [config.join("rules"), managed],
            reader,
            read: Mutex::default(),
            with_folders: Mutex::default(),
        }
    }

    /// What holds now in a folder with these parts. As `rules`.
    pub(crate) fn rules_with(&self, parts: &Arc<TrustedParts>) -> Rules {
        let everywhere = self.rules();
        if parts.rules.is_empty() {
            return everywhere;
        }
        // A poisoned queue is whole: each change is one call.
        let mut known = self.with_folders.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same =
            |one: &&WithFolder| Arc::ptr_eq(&one.everywhere, &everywhere) && Arc::ptr_eq(&one.parts, parts);
        if let Some(found) = known.iter().find(is_same) {
            return Arc::clone(&found.rules);
        }
        let mut all = policy::rules::Rules::clone(&everywhere);
        for (file, text) in &parts.rules {
            match self.reader.read(&file.display().to_string(), text) {
                Ok(found) => found.into_iter().for_each(|rule| all.add(rule)),
                Err(error) => {
                    tracing::warn!(%error, "rules of a folder can't be used; people are asked about everything in it");
                    all.add_problem(error);
                }
            }
        }
        let rules = Arc::new(all);
        if known.len() >= MAX_FOLDERS {
            known.pop_front();
        }
        let parts = Arc::clone(parts);
        known.push_back(WithFolder { everywhere, parts, rules: Arc::clone(&rules) });
        rules
    }

    /// What holds now wherever there are no rules of the folder. Looks at the files' stamps, and reads them only if one
    /// has changed; that blocks.
    pub(crate) fn rules(&self) -> Rules {
        let mut read = self.lock();
        if let Some(read) = &*read
            && read.stamps.iter().all(|(path, known)| stamp(path) == *known)
        {
            return Arc::clone(&read.rules);
        }
        let fresh = self.read_all();
        let rules = Arc::clone(&fresh.rules);
        *read = Some(fresh);
        rules
    }

    /// Adds the rules that a question proposed at the end of their file, those that are not there yet, and leaves what
    /// stands there as it is.
    ///
    /// # Errors
    /// `InvalidRequest` when nothing was proposed; `Internal` when the file can't be used as it is, or can't be
    /// written.
    pub(crate) fn allow(&self, kind: &QuestionKind) -> Result<(), ProtocolError> {
        let QuestionKind::Command { proposed_rule: Some(rules), is_escalated, .. } = kind else {
            return Err(ProtocolError::new(ErrorCode::InvalidRequest, "There is no rule for such a thing"));
        };
        let file = self.folders[0].join(if *is_escalated { OUTSIDE } else { DEFAULT });
        let failed = |reason: String| {
            ProtocolError::new(ErrorCode::Internal, reason).with_hint("Mend the file or move it away")
        };
        let name = file.display().to_string();
        if let Some(problem) = self.rules().problems().iter().find(|problem| problem.file == name) {
            return Err(failed(problem.to_string()));
        }
        let mut read = self.lock();
        append(&file, rules).map_err(|error| failed(format!("`{name}`: {error}")))?;
        // Read anew when it is needed next, whatever its stamp says.
        *read = None;
        Ok(())
    }

    fn read_all(&self) -> Read {
        let mut stamps = Vec::new();
        let mut rules = policy::rules::Rules::default();
        for folder in &self.folders {
            stamps.push((folder.clone(), stamp(folder)));
            let files = match files(folder) {
                Ok(files) => files,
                Err(error) => {
                    rules.add_problem(problem(folder, &error));
                    continue;
                }
            };
            for file in files {
                stamps.push((file.clone(), stamp(&file)));
                match self.read_file(&file) {
                    Ok(found) => found.into_iter().for_each(|rule| rules.add(rule)),
                    Err(error) => rules.add_problem(error),
                }
            }
        }
        for error in rules.problems() {
            tracing::warn!(%error, "rules can't be used; people are asked about everything");
        }
        Read { stamps, rules: Arc::new(rules) }
    }

    fn read_file(&self, file: &Path) -> Result<Vec<policy::rules::Rule>, RulesError> {
        let bytes = process::read_private(file, MAX_BYTES).map_err(|error| problem(file, &error))?;
        let text = String::from_utf8(bytes).map_err(|error| no_text(file, &error))?;
        self.reader.read(&file.display().to_string(), &text)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Read>> {
        // A poisoned cache is whole: each change is one assignment.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files with rules that can't be used, for a person.
pub(crate) fn told(problems: &[RulesError]) -> Vec<ConfigurationProblem> {
    let one = |problem: &RulesError| ConfigurationProblem {
        line: Some(problem.line),
        column: Some(problem.column),
        ..trust::problem(
            problem.file.clone(),
            format!(
                "{}; until it is mended, no rule in it holds and every command is asked about",
                problem.message
            ),
        )
    };
    problems.iter().map(one).collect()
}

/// The files with rules in a folder, by their names.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("rules")) {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(io::Error::other(format!("there are more than {MAX_FILES} files with rules")));
        }
    }
    files.sort();
    Ok(files)
}

fn problem(path: &Path, error: &io::Error) -> RulesError {
    let message = format!("It can't be read: {error}");
    RulesError { file: path.display().to_string(), line: 1, column: 1, message }
}

/// That a file is no text from somewhere on.
fn no_text(path: &Path, error: &FromUtf8Error) -> RulesError {
    let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    let before = String::from_utf8_lossy(before);
    let (lines, column) = before
        .rsplit_once('\n')
        .map_or((0, &*before), |(lines, column)| (lines.matches('\n').count().saturating_add(1), column));
    let from_one = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
    RulesError {
        file: path.display().to_string(),
        line: from_one(lines),
        column: from_one(column.chars().count()),
        message: "It is not UTF-8 from here on".to_owned(),
    }
}

/// Adds the lines that are not there yet. Whoever else writes the file waits meanwhile.
fn append(file: &Path, lines: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        process::create_private_folder(folder)?;
    }
    let mut open = process::append_private(file)?;
    open.lock()?;
    let text = String::from_utf8(process::read_private(file, MAX_BYTES)?).map_err(io::Error::other)?;
    let mut added = String::new();
    if text.is_empty() {
        added.push_str(HEADER);
    } else if !text.ends_with('\n') {
        added.push('\n');
    }
    let begins_with = added.len();
    for line in lines.lines().filter(|line| !text.lines().any(|known| known == *line)) {
        added.push_str(line);
        added.push('\n');
    }
    if added.len() > begins_with {
        // At once, so that no reader sees half a rule.
        open.write_all(added.as_bytes())?;
        open.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(scratch: &tempfile::TempDir) -> RuleBook {
        // No file is read by a process here: `rules` has tests of its own for that, and `tests` for both together.
        RuleBook::new(scratch.path(), scratch.path().join("managed"), Reader::new("/nonexistent".into()))
    }

    fn command(proposed_rule: Option<&str>, is_escalated: bool) -> QuestionKind {
        QuestionKind::Command {
            command: "as typed".into(),
            argv: vec!["a".into()],
            cwd: "/repo".into(),
            is_escalated,
            justification: None,
            refusals: Vec::new(),
            proposed_rule: proposed_rule.map(str::to_owned),
        }
    }

    const MAKE: &str = "prefix_rule(pattern=[\"make\"], decision=\"allow\")";

    #[test]
    fn without_files_there_are_no_rules() {
        let scratch = tempfile::tempdir().expect("scratch");
        assert_eq!(*book(&scratch).rules(), policy::rules::Rules::default());
    }

    #[test]
    fn what_is_allowed_for_good_is_added_once_and_what_stands_there_stays() {
        let scratch = tempfile::tempdir().expect("scratch");
        let file = scratch.path().join("rules/default.rules");
        book(&scratch).allow(&command(Some(MAKE), false)).expect("allowed");
        assert_eq!(fs::read_to_string(&file).expect("file"), format!("{HEADER}{MAKE}\n"));
        append(&file, &format!("{MAKE}\n# two")).expect("appended");
        assert_eq!(fs::read_to_string(&file).expect("file"), format!("{HEADER}{MAKE}\n# two\n"));
        fs::write(&file, "# mine").expect("write");
        append(&file, MAKE).expect("appended");
        assert_eq!(fs::read_to_string(&file).expect("file"), format!("# mine\n{MAKE}\n"));
    }

    #[test]
    fn ways_out_have_a_file_of_their_own() {
        let scratch = tempfile::tempdir().expect("scratch");
        book(&scratch).allow(&command(Some("outside_rule(pattern=[\"a\"])"), true)).expect("allowed");
        assert!(!scratch.path().join("rules/default.rules").exists());
        assert!(scratch.path().join("rules/outside.rules").exists());
    }

    #[test]
    fn what_nobody_proposed_is_not_written() {
        let scratch = tempfile::tempdir().expect("scratch");
        for kind in [command(None, false), QuestionKind::FileChange { patch: String::new() }] {
            let error = book(&scratch).allow(&kind).expect_err("refused");
            assert_eq!(error.code, ErrorCode::InvalidRequest);
        }
        assert!(!scratch.path().join("rules").exists());
    }

    #[test]
    fn a_file_that_can_not_be_read_is_named_and_not_written_to() {
        let scratch = tempfile::tempdir().expect("scratch");
        let book = book(&scratch);
        let file = scratch.path().join("rules/default.rules");
        append(&file, MAKE).expect("appended");
        let before = fs::read_to_string(&file).expect("file");
        assert_eq!(book.rules().problems().len(), 1);
        assert_eq!(book.rules().problems()[0].file, file.display().to_string());
        let error = book.allow(&command(Some("prefix_rule([\"b\"])"), false)).expect_err("refused");
        assert!(error.message.contains("default.rules"), "{error:?}");
        assert_eq!(fs::read_to_string(&file).expect("file"), before);
        // A file that is gone takes its problem with it.
        fs::remove_file(&file).expect("remove");
        assert!(book.rules().problems().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_have_written_is_not_believed() {
        use rustix::fs::{Mode, chmod, stat};
        let scratch = tempfile::tempdir().expect("scratch");
        let book = book(&scratch);
        let file = scratch.path().join("rules/a.rules");
        append(&file, MAKE).expect("appended");
        assert_eq!(stat(&file).expect("stat").st_mode & 0o777, 0o600);
        chmod(&file, Mode::from_raw_mode(0o666)).expect("chmod");
        let message = |book: &RuleBook| book.rules().problems()[0].message.clone();
        assert!(message(&book).contains("others may have written it"), "{}", message(&book));
        let elsewhere = scratch.path().join("elsewhere");
        fs::rename(&file, &elsewhere).expect("rename");
        rustix::fs::symlink(&elsewhere, &file).expect("link");
        assert_eq!(message(&book), "It can't be read: it is a symbolic link");
    }

    #[test]
    fn a_file_that_is_no_text_is_named_with_the_place() {
        let scratch = tempfile::tempdir().expect("scratch");
        let book = book(&scratch);
        let file = scratch.path().join("rules/a.rules");
        append(&file, MAKE).expect("appended");
        for (bytes, place) in [(&b"\xff"[..], (1, 1)), (b"# a\n\n# \xc3\xa9\xff\n", (3, 4))] {
            fs::write(&file, bytes).expect("write");
            let rules = book.rules();
            let problem = &rules.problems()[0];
            assert_eq!((problem.line, problem.column), place, "{problem}");
            assert_eq!(problem.message, "It is not UTF-8 from here on");
        }
    }
}

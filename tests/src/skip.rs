//! Tests that can't run somewhere. They say so loudly, leave a record that `cargo xtest` reads, and fail where
//! nothing may be skipped. Knows cargo's target folder, nothing of the tests.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::environment::executable::target_folder;
use crate::error::HarnessError;

/// Set where every test must run.
pub const STRICT: &str = "SKEIN_CI";

/// A test that did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Its full name.
    pub test: String,
    /// Why.
    pub reason: String,
}

/// To be returned by a test that can't run here, with the reason. It then counts as skipped, not as passed.
///
/// # Errors
/// `MayNotSkip` where every test must run, `SetUp` when it can't be recorded.
pub fn skipped(reason: &str) -> Result<(), HarnessError> {
    let test = test_name();
    // Past the capture of the test's output, so that it is seen.
    let _ = writeln!(io::stderr(), "SKIPPED {test}: {reason}");
    if std::env::var_os(STRICT).is_some() {
        return Err(HarnessError::MayNotSkip { test, reason: reason.to_owned() });
    }
    record(&folder()?, &Skip { test, reason: reason.to_owned() })
}

/// Forgets the records of earlier runs.
///
/// # Errors
/// `SetUp`.
pub fn forget() -> Result<(), HarnessError> {
    let folder = folder()?;
    match fs::remove_dir_all(&folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(HarnessError::SetUp { path: folder, source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The tests that were skipped since, by name.
///
/// # Errors
/// `SetUp`.
pub fn recorded() -> Result<Vec<Skip>, HarnessError> {
    read(&folder()?)
}

fn record(folder: &Path, skip: &Skip) -> Result<(), HarnessError> {
    let wrap = |path: &Path, source| HarnessError::SetUp { path: path.to_owned(), source };
    fs::create_dir_all(folder).map_err(|source| wrap(folder, source))?;
    let path = folder.join(skip.test.replace("::", "."));
    fs::write(&path, &skip.reason).map_err(|source| wrap(&path, source))
}

fn read(folder: &Path) -> Result<Vec<Skip>, HarnessError> {
    let wrap = |source| HarnessError::SetUp { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(wrap)?,
    };
    let mut skips = Vec::new();
    for entry in entries {
        let path = entry.map_err(wrap)?.path();
        let test = path.file_name().unwrap_or_default().to_string_lossy().replace('.', "::");
        skips.push(Skip { test, reason: fs::read_to_string(&path).map_err(wrap)? });
    }
    skips.sort_by(|one, other| one.test.cmp(&other.test));
    Ok(skips)
}

/// Both runners give a test's thread its name; nextest tells it besides.
fn test_name() -> String {
    let thread = std::thread::current().name().map(str::to_owned);
    std::env::var("NEXTEST_TEST_NAME").ok().or(thread).unwrap_or_else(|| "unknown".to_owned())
}

fn folder() -> Result<PathBuf, HarnessError> {
    Ok(target_folder()?.join("skipped"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_recorded_with_its_name_and_reason() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("skipped");
        assert_eq!(read(&folder).unwrap(), []);
        let skip = Skip { test: "sandbox::needs_root".to_owned(), reason: "not root".to_owned() };
        record(&folder, &skip).unwrap();
        record(&folder, &skip).unwrap();
        assert_eq!(read(&folder).unwrap(), [skip]);
    }

    #[test]
    fn a_test_knows_its_name() {
        assert!(test_name().ends_with("a_test_knows_its_name"), "{}", test_name());
    }
}

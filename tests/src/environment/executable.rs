//! Finds the binary under test. Knows how cargo lays out its target folder.

use std::path::PathBuf;

use crate::error::HarnessError;

/// Names another binary than the one that cargo built beside the tests.
pub const OVERRIDE: &str = "SKEIN_TEST_EXE";

/// The built `skein`: `target/<profile>/skein`, found from the test executable in `target/<profile>/deps`. It
/// is another package's binary, so cargo does not build it for the tests; whoever runs them does.
///
/// # Errors
/// `NotBuilt`.
pub fn skein_exe() -> Result<PathBuf, HarnessError> {
    let path = match std::env::var_os(OVERRIDE) {
        Some(path) => PathBuf::from(path),
        None => beside_the_tests()?,
    };
    if path.is_file() { Ok(path) } else { Err(HarnessError::NotBuilt(path)) }
}

/// Cargo's target folder, above the profile's.
///
/// # Errors
/// `Command`.
pub fn target_folder() -> Result<PathBuf, HarnessError> {
    let mut folder = profile_folder()?;
    folder.pop();
    Ok(folder)
}

fn beside_the_tests() -> Result<PathBuf, HarnessError> {
    Ok(profile_folder()?.join(format!("skein{}", std::env::consts::EXE_SUFFIX)))
}

/// Where the running executable is, or, if it is a test's, the folder above that.
fn profile_folder() -> Result<PathBuf, HarnessError> {
    let mut folder = std::env::current_exe().map_err(|source| HarnessError::Command {
        command: "the path of this executable".to_owned(),
        source,
    })?;
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_looked_for_in_the_profile_folder() {
        let path = beside_the_tests().unwrap();
        let profile = path.parent().unwrap();
        assert!(profile.join("deps").is_dir(), "{}", path.display());
    }

    #[test]
    fn the_target_folder_is_above_the_profile() {
        assert_eq!(target_folder().unwrap(), beside_the_tests().unwrap().ancestors().nth(2).unwrap());
    }

    #[test]
    fn a_missing_binary_is_told_with_the_command_that_builds_it() {
        let message = HarnessError::NotBuilt(PathBuf::from("/x/skein")).to_string();
        assert_eq!(message, "No executable at `/x/skein`; build it first: cargo build -p skein");
    }
}

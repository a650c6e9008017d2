//! Brings what the tests need onto the machine: programs from Debian's packages, where this user may install
//! them. Knows names of programs and packages.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::HarnessError;

/// A program that tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its name.
    pub program: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    /// What does not work without it.
    pub purpose: &'static str,
}

/// All that tests run, but for the toolchain that runs them.
pub const NEEDS: &[Need] = &[
    Need { program: "cc", package: "gcc", purpose: "building SQLite and ring" },
    Need { program: "git", package: "git", purpose: "scratch repositories" },
    Need { program: "curl", package: "curl", purpose: "tests of the socket and the network, the benchmark" },
    Need { program: "bwrap", package: "bubblewrap", purpose: "tests of that rung of the sandbox" },
    Need { program: "python3", package: "python3", purpose: "attempts to leave the sandbox" },
    Need { program: "pip3", package: "python3-pip", purpose: "fetching the types that providers publish" },
    Need { program: "make", package: "make", purpose: "work that goes on in the sandbox" },
    Need { program: "gdb", package: "gdb", purpose: "work that goes on in the sandbox" },
    Need { program: "setpriv", package: "util-linux", purpose: "tests with another user" },
    Need { program: "tmux", package: "tmux", purpose: "tests of the terminal UI within it" },
    Need { program: "screen", package: "screen", purpose: "tests of the terminal UI within it" },
    Need { program: "dbus-daemon", package: "dbus-daemon", purpose: "tests of the keyring" },
    Need { program: "dbus-send", package: "dbus-bin", purpose: "tests of the keyring" },
    Need { program: "gnome-keyring-daemon", package: "gnome-keyring", purpose: "tests of the keyring" },
    Need { program: "strace", package: "strace", purpose: "tests that watch what files are made" },
    Need { program: "ss", package: "iproute2", purpose: "the look for listeners" },
    Need { program: "systemd-analyze", package: "systemd", purpose: "checks of the units" },
    Need { program: "systemd-socket-activate", package: "systemd", purpose: "tests of socket activation" },
    Need { program: "node", package: "nodejs", purpose: "tests with the TypeScript SDK" },
    Need { program: "npm", package: "npm", purpose: "fetching the TypeScript SDK" },
];

/// The needs whose programs are on no folder of `PATH`.
#[must_use]
pub fn missing() -> Vec<Need> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    missing_from(&path)
}

fn missing_from(path: &OsStr) -> Vec<Need> {
    let is_there =
        |need: &&Need| !std::env::split_paths(path).any(|folder| folder.join(need.program).is_file());
    NEEDS.iter().filter(is_there).copied().collect()
}

/// Whether this user may install packages without being asked for a password, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installer {
    /// As root.
    Direct,
    /// Through `sudo`.
    Sudo,
}

impl Installer {
    /// Finds out.
    #[must_use]
    pub fn find() -> Option<Self> {
        let succeeds = |program: &str, argument: &[&str]| {
            let mut command = Command::new(program);
            command.args(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        if !succeeds("apt-get", &["--version"]) {
            None
        } else if is_root() {
            Some(Self::Direct)
        } else {
            succeeds("sudo", &["-n", "true"]).then_some(Self::Sudo)
        }
    }

    /// Installs Debian packages.
    ///
    /// # Errors
    /// `Command`, `Failed`.
    pub fn install(self, packages: &[&str]) -> Result<(), HarnessError> {
        let prefix: &[&str] = match self {
            Self::Direct => &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"],
            Self::Sudo => &["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"],
        };
        let apt = |rest: &[&str]| run(prefix[0], prefix[1..].iter().chain(rest), Path::new("/"));
        apt(&["update"])?;
        apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// What `cargo run` tells a program. A `cargo` that is told it as well takes it for a change that build scripts heed, and
/// builds anew all that hangs on them.
pub const TOLD_BY_CARGO: &str = "CARGO_MANIFEST_DIR";

/// Runs a program whose output goes where ours goes.
///
/// # Errors
/// `Command` when it can't be started, `Failed` when it fails.
pub fn run<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
    folder: &Path,
) -> Result<(), HarnessError> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).env_remove(TOLD_BY_CARGO);
    let name = || format!("{command:?}").replace('"', "");
    let (name, status) = (name(), command.status());
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(HarnessError::Failed { command: name, status: status.to_string() }),
        Err(source) => Err(HarnessError::Command { command: name, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_on_no_folder_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(missing_from(folder.path().as_os_str()), NEEDS);
        std::fs::write(folder.path().join("git"), "").unwrap();
        let missing = missing_from(folder.path().as_os_str());
        assert_eq!(missing.len() + 1, NEEDS.len());
        assert!(missing.iter().all(|need| need.program != "git"));
    }

    #[test]
    fn a_program_that_fails_is_told_with_its_arguments() {
        let error = run("false", ["one", "two"], Path::new("/")).unwrap_err().to_string();
        assert!(error.contains("false one two") && error.contains("exit status: 1"), "{error}");
    }
}

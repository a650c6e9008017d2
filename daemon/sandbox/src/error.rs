//! Why a command did not run. What it prints, a model reads too, so each message says the cause.

use std::io;
use std::path::PathBuf;

/// Why a command did not run, or why its end is unknown.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The sandbox can't enforce what the profile says, so the command may not run.
    #[error("The sandbox refuses this command: {reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What a person can do about it.
        hint: Option<String>,
    },
    /// There is no such program.
    #[error("Program `{program}` not found")]
    NotFound {
        /// As it was asked for.
        program: String,
    },
    /// The program is there and can't be executed.
    #[error("Program `{program}` can't be executed: {source}")]
    NotExecutable {
        /// As it was asked for.
        program: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The working folder can't be entered.
    #[error("Working folder `{}` can't be entered: {source}", path.display())]
    Cwd {
        /// As it was asked for.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The command was killed, because somebody outside took a protection away while it ran.
    #[error(
        "The command was stopped: somebody outside the sandbox replaced, moved or removed {} while it ran, and its \
         protection fell away with that. What the command did before stands; it can be run again",
        names(paths)
    )]
    Exposed {
        /// What was protected; some of it, where it is much.
        paths: Vec<PathBuf>,
    },
    /// The helper that held the command ended while it ran, and with that nothing of the command is left.
    #[error(
        "The command was stopped: its sandbox helper {how} while it ran, and with that the command and all it had \
         started were killed. What it did before stands; look at how far it came before it is run again. Somebody \
         outside the sandbox ended the helper, or the system did because memory ran out (its log says so then)"
    )]
    HelperDied {
        /// What became of it, such as `was killed by signal: 9 (SIGKILL)`.
        how: String,
    },
    /// The helper could not confine the command, or ended before it could say so.
    #[error("The sandbox could not be set up: {reason}")]
    Helper {
        /// What failed.
        reason: String,
    },
    /// The helper could not be started or talked to.
    #[error("The sandbox helper can't be used: {source}")]
    Io {
        /// The system's answer.
        #[from]
        source: io::Error,
    },
}

impl SandboxError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } => hint.as_deref(),
            Self::NotFound { .. }
            | Self::NotExecutable { .. }
            | Self::Cwd { .. }
            | Self::Exposed { .. }
            | Self::HelperDied { .. }
            | Self::Helper { .. }
            | Self::Io { .. } => None,
        }
    }
}

/// A command may have named them, so what is no text in them is escaped.
fn names(paths: &[PathBuf]) -> String {
    let visible = |character: char| match character {
        character if character.is_control() => character.escape_default().collect(),
        character => character.to_string(),
    };
    let name =
        |path: &PathBuf| format!("`{}`", path.to_string_lossy().chars().map(visible).collect::<String>());
    paths.iter().map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_lost_its_protection_is_told_of_the_path() {
        let error = SandboxError::Exposed { paths: ["/w/.env", "/w/a\nb"].map(PathBuf::from).to_vec() };
        let text = error.to_string();
        assert!(text.contains(r"replaced, moved or removed `/w/.env`, `/w/a\nb` while it ran"), "{text}");
    }
}

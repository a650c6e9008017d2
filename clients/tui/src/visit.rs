//! Another program on this terminal for a while: what the command line does anyway, and commands that a person runs by
//! hand. What it prints stays in the scrollback. Knows nothing of when.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use protocol::session::SessionSettings;
use tokio::process::Command;

/// A visit to the command line of this same executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Visit {
    /// What is shown before it.
    pub(crate) title: String,
    arguments: Vec<OsString>,
    cwd: PathBuf,
}

impl Visit {
    /// A command of the command line, in a folder.
    pub(crate) fn of(arguments: Vec<String>, cwd: PathBuf) -> Self {
        let title = format!("skein {}", arguments.join(" "));
        Self { title, arguments: arguments.into_iter().map(OsString::from).collect(), cwd }
    }

    /// A command line of the shell, confined as the session's own commands are. The model is not told of it.
    pub(crate) fn by_hand(line: &str, settings: &SessionSettings) -> Self {
        let mut arguments: Vec<OsString> = vec!["sandbox".into()];
        match &settings.permissions {
            Some(permissions) => {
                arguments.extend(["--permissions".into(), OsString::from(&permissions.name)])
            }
            None => arguments.extend(["--policy".into(), OsString::from(settings.sandbox.as_str())]),
        }
        for root in &settings.additional_roots {
            arguments.extend(["--add-dir".into(), root.into()]);
        }
        arguments.extend(["--", "sh", "-c", line].map(OsString::from));
        Self { title: line.to_owned(), arguments, cwd: settings.cwd.clone() }
    }

    /// Runs it to its end with the terminal as its own.
    ///
    /// # Errors
    /// What to tell a person, also when it ended badly.
    pub(crate) async fn run(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("This can't be run: {error}");
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(&self.arguments).current_dir(&self.cwd);
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
        let status = command.status().await.map_err(failed)?;
        match status.code() {
            Some(0) => Ok(()),
            Some(code) => Err(format!("It ended with exit code {code}")),
            None => Err(format!("It was ended: {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::profile::SandboxMode;

    use super::*;
    use crate::frame::tests::session;

    #[test]
    fn a_command_by_hand_is_confined_as_the_session_is() {
        let mut settings = session("x").summary.settings;
        settings.sandbox = SandboxMode::ReadOnly;
        settings.additional_roots = vec!["/data".into()];
        let visit = Visit::by_hand("ls | wc", &settings);
        let wanted = ["sandbox", "--policy", "read-only", "--add-dir", "/data", "--", "sh", "-c", "ls | wc"];
        assert_eq!(visit.arguments, wanted.map(OsString::from));
        assert_eq!(visit.cwd, settings.cwd);
    }
}

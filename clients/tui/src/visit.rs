//! Another program on this terminal for a while: what the command line does anyway, and commands that a person runs by
//! hand. What it prints stays in the scrollback. Knows nothing of when.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use protocol::session::SessionSettings;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use view::{escape, words};

use crate::export::push_fenced;
use crate::heard::Heard;
use crate::image::Note;

/// Letters of a command in its chip.
const CHIP_LETTERS: usize = 40;
/// How long what a command left running may go on to print, once it has ended.
const REST: Duration = Duration::from_millis(200);

/// A visit to the command line of this same executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Visit {
    /// What is shown before it.
    pub(crate) title: String,
    arguments: Vec<OsString>,
    cwd: PathBuf,
    hearing: Hearing,
}

/// Whether what a command prints goes along with what the person says next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hearing {
    Told,
    /// It has the terminal as its own, and nobody is told.
    Untold,
}

/// What came of a visit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Visited {
    pub(crate) note: Option<Note>,
    /// What to tell a person.
    pub(crate) problem: Option<String>,
}

impl Visit {
    /// A command of the command line, in a folder.
    pub(crate) fn of(arguments: Vec<String>, cwd: PathBuf) -> Self {
        let title = format!("skein {}", arguments.join(" "));
        let arguments = arguments.into_iter().map(OsString::from).collect();
        Self { title, arguments, cwd, hearing: Hearing::Untold }
    }

    /// A command line of the shell, confined as the session's own commands are.
    pub(crate) fn by_hand(line: &str, hearing: Hearing, settings: &SessionSettings) -> Self {
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
        // One way for both, so that they come in the order in which they were printed.
        let told = format!("exec 2>&1\n{line}");
        let script = match hearing {
            Hearing::Told => &told,
            Hearing::Untold => line,
        };
        arguments.extend(["--", "sh", "-c", script].map(OsString::from));
        Self { title: line.to_owned(), arguments, cwd: settings.cwd.clone(), hearing }
    }

    /// Runs it to its end. Dropping this ends a command that is told of.
    pub(crate) async fn run(&self) -> Visited {
        match self.ran().await {
            Ok((status, heard)) => {
                let problem = match status.code() {
                    Some(0) => None,
                    Some(code) => Some(format!("It ended with exit code {code}")),
                    None => Some(format!("It was ended: {status}")),
                };
                Visited { note: heard.map(|heard| self.note(&heard, problem.as_deref())), problem }
            }
            Err(error) => Visited { note: None, problem: Some(format!("This can't be run: {error}")) },
        }
    }

    async fn ran(&self) -> io::Result<(ExitStatus, Option<Heard>)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&self.arguments).current_dir(&self.cwd).stdin(Stdio::inherit());
        match self.hearing {
            Hearing::Untold => {
                let status = command.stdout(Stdio::inherit()).stderr(Stdio::inherit()).status().await?;
                Ok((status, None))
            }
            Hearing::Told => {
                let (status, heard) = overhear(command, io::stdout()).await?;
                Ok((status, Some(heard)))
            }
        }
    }

    fn note(&self, heard: &Heard, problem: Option<&str>) -> Note {
        let output = heard.text();
        let mut text = format!("I ran this by hand, in `{}`:\n", self.cwd.display());
        push_fenced(&mut text, "", &format!("$ {}\n{}", self.title, output.trim_end()));
        if let Some(problem) = problem {
            text.push_str(&format!("\n{problem}.\n"));
        }
        let lines = u32::try_from(output.lines().count()).unwrap_or(u32::MAX);
        let lines = words::count(lines, "line", "lines");
        let title = escape::short_line(&self.title, CHIP_LETTERS);
        Note { text: text.into(), chip: format!("[ran `{title}`, {lines}] ").into() }
    }
}

/// Runs a command, shows what it prints, and remembers that.
async fn overhear(mut command: Command, shown: impl Write) -> io::Result<(ExitStatus, Heard)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    let (out, error) = (child.stdout.take(), child.stderr.take());
    let heard = RefCell::new((Heard::default(), shown));
    let status = {
        let mut listening = pin!(async { tokio::join!(listen(out, &heard), listen(error, &heard)) });
        tokio::select! {
            _ = &mut listening => child.wait().await?,
            status = child.wait() => {
                // What it left running may hold its output open.
                let _rest = tokio::time::timeout(REST, listening).await;
                status?
            }
        }
    };
    Ok((status, heard.into_inner().0))
}

async fn listen(from: Option<impl AsyncRead + Unpin>, heard: &RefCell<(Heard, impl Write)>) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let (heard, shown) = &mut *heard.borrow_mut();
        heard.push(&buffer[..length]);
        // A terminal that is gone ends this process by other ways.
        let _shown = shown.write_all(&buffer[..length]).and_then(|()| shown.flush());
    }
}

#[cfg(test)]
mod tests {
    use protocol::profile::SandboxMode;

    use super::*;
    use crate::frame::tests::session;

    fn visit() -> Visit {
        let mut settings = session("x").summary.settings;
        settings.sandbox = SandboxMode::ReadOnly;
        settings.additional_roots = vec!["/data".into()];
        Visit::by_hand("ls | wc", Hearing::Told, &settings)
    }

    #[test]
    fn a_command_by_hand_is_confined_as_the_session_is() {
        let visit = visit();
        let wanted = [
            "sandbox",
            "--policy",
            "read-only",
            "--add-dir",
            "/data",
            "--",
            "sh",
            "-c",
            "exec 2>&1\nls | wc",
        ];
        assert_eq!(visit.arguments, wanted.map(OsString::from));
        assert_eq!(visit.cwd, PathBuf::from("/repo"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_a_command_prints_is_shown_and_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo error >&2; echo '```'; exit 3"]);
        let mut shown = Vec::new();
        let (status, heard) = overhear(command, &mut shown).await.unwrap();
        assert_eq!(status.code(), Some(3));
        let note = visit().note(&heard, Some("It ended with exit code 3"));
        for part in ["$ ls | wc\n", "out\n", "error\n", "\n````\n", "exit code 3.", "`/repo`"] {
            assert!(note.text.contains(part), "{}", note.text);
        }
        assert_eq!(&*note.chip, "[ran `ls | wc`, 3 lines] ");
        assert_eq!(shown.len(), heard.text().len());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn one_line_is_told_as_one() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out"]);
        let (_, heard) = overhear(command, Vec::new()).await.unwrap();
        assert_eq!(&*visit().note(&heard, None).chip, "[ran `ls | wc`, 1 line] ");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_a_command_leaves_running_does_not_keep_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "tail -f /dev/null & echo $!"]);
        let (status, heard) = overhear(command, Vec::new()).await.unwrap();
        assert!(status.success());
        let process = heard.text().trim().parse().ok().and_then(rustix::process::Pid::from_raw).unwrap();
        let _gone = rustix::process::kill_process(process, rustix::process::Signal::KILL);
    }
}

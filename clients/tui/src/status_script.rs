//! A program of the person's that says what stands in the status line. It is told of the session on its standard input,
//! and its first line is shown. It runs beside the screen, one at a time, and is ended when it takes too long.

use std::future::pending;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes of what it says that are read.
const MOST_BYTES: u64 = 4096;

/// The program, and what it is doing.
pub(crate) struct StatusScript {
    /// With its arguments. Invariant: not empty.
    words: Vec<String>,
    running: Option<Pin<Box<dyn Future<Output = Option<String>>>>>,
    /// What it is to be told when it is done; of several questions the last one counts.
    next: Option<String>,
}

impl StatusScript {
    /// A program with its arguments; absent if there is none.
    pub(crate) fn of(words: &[String]) -> Option<Self> {
        (!words.is_empty()).then(|| Self { words: words.to_vec(), running: None, next: None })
    }

    /// Asks it.
    pub(crate) fn ask(&mut self, told: String) {
        if self.running.is_some() {
            self.next = Some(told);
        } else {
            self.running = Some(Box::pin(run(self.words.clone(), told)));
        }
    }

    /// What it says; for ever, as long as it is not asked. Cancel safe.
    pub(crate) async fn said(&mut self) -> Option<String> {
        let Some(running) = &mut self.running else { return pending().await };
        let said = running.as_mut().await;
        self.running = None;
        if let Some(next) = self.next.take() {
            self.ask(next);
        }
        said
    }
}

/// Its first line; absent if it fails, takes too long or says nothing.
async fn run(words: Vec<String>, told: String) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().ok()?;
    let (mut stdin, stdout) = (child.stdin.take()?, child.stdout.take()?);
    let work = async {
        // It need not read what it is told.
        let _unread = stdin.write_all(told.as_bytes()).await;
        drop(stdin);
        let mut said = Vec::new();
        stdout.take(MOST_BYTES).read_to_end(&mut said).await.ok()?;
        child.wait().await.ok().filter(|status| status.success())?;
        let said = String::from_utf8_lossy(&said);
        said.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
    };
    timeout(LIMIT, work).await.ok().flatten()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn shell(line: &str) -> StatusScript {
        StatusScript::of(&["sh", "-c", line].map(str::to_owned)).unwrap()
    }

    #[tokio::test]
    async fn its_first_line_is_what_it_says_and_the_last_question_counts() {
        let mut script = shell("read -r told; echo \"said $told\"; echo more");
        script.ask("one\n".to_owned());
        script.ask("two\n".to_owned());
        script.ask("three\n".to_owned());
        assert_eq!(script.said().await.as_deref(), Some("said one"));
        assert_eq!(script.said().await.as_deref(), Some("said three"));
        assert!(script.running.is_none());
    }

    #[tokio::test]
    async fn one_that_fails_says_nothing() {
        for line in ["echo x; exit 1", "exit 0", "echo"] {
            let mut script = shell(line);
            script.ask(String::new());
            assert_eq!(script.said().await, None, "{line}");
        }
        let mut script = StatusScript::of(&["/no/such/program".to_owned()]).unwrap();
        script.ask(String::new());
        assert_eq!(script.said().await, None);
        assert!(StatusScript::of(&[]).is_none());
    }
}

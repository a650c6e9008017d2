//! A key that a program of the settings prints: a company's own tool that knows who is at the machine. It is run
//! when a key is needed, again after a while, and again when the provider refuses what it gave.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::credentials::error::CredentialError;
use crate::credentials::secret::Secret;
use crate::credentials::source::{Granted, Granting, KeySource};

/// No key is longer.
const MAX_KEY_BYTES: u64 = 64 * 1024;
/// What is shown of what a program complains of.
const MAX_COMPLAINT: usize = 200;

/// The program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCommand {
    /// A name in `PATH`, or an absolute path.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// How long a key is used; absent: until the provider refuses it.
    pub refresh: Option<Duration>,
    /// What it sees of the environment: all that its user's client was started with.
    pub environment: BTreeMap<String, String>,
}

/// The keys of a program, one at a time for all sessions.
pub struct CommandKey {
    command: KeyCommand,
    current: Mutex<Option<(Secret, Instant)>>,
}

impl CommandKey {
    /// Nothing is run yet.
    #[must_use]
    pub fn new(command: KeyCommand) -> Self {
        Self { command, current: Mutex::new(None) }
    }
}

impl KeySource for CommandKey {
    fn key<'a>(&'a self, refused: Option<&'a Secret>) -> Granting<'a> {
        Box::pin(async move {
            // Held while the program runs, so that sessions that need a key together run it once.
            let mut current = self.current.lock().await;
            let is_old =
                |since: Instant| self.command.refresh.is_some_and(|refresh| since.elapsed() >= refresh);
            if let Some((key, since)) = &*current
                && refused != Some(key)
                && !is_old(*since)
            {
                return Ok(Granted { key: key.clone(), headers: BTreeMap::new() });
            }
            let key = run(&self.command).await?;
            *current = Some((key.clone(), Instant::now()));
            Ok(Granted { key, headers: BTreeMap::new() })
        })
    }
}

/// Runs the program. Dropping the future kills it.
async fn run(command: &KeyCommand) -> Result<Secret, CredentialError> {
    let failed = |reason: String| CredentialError::Command { program: command.program.clone(), reason };
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .env_clear()
        .envs(&command.environment)
        .current_dir(command.environment.get("HOME").map_or("/", String::as_str))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (said, complained) = tokio::join!(read(stdout), read(stderr));
        (child.wait().await, said, complained)
    };
    let (status, said, complained) = tokio::time::timeout(command.timeout, work)
        .await
        .map_err(|_| failed(format!("it took longer than {} s", command.timeout.as_secs_f32())))?;
    let status = status.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        let line: String =
            complained.lines().next().unwrap_or_default().chars().take(MAX_COMPLAINT).collect();
        return Err(failed(format!("{status} {line}").trim_end().to_owned()));
    }
    let key = Secret::new(said.trim().to_owned());
    match key.reveal().is_empty() || key.reveal().contains(char::is_control) {
        true => Err(failed("it printed no single line".to_owned())),
        false => Ok(key),
    }
}

/// What comes, as far as a key may be long.
async fn read(from: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        // What was read before an error is what there is.
        let _ = from.take(MAX_KEY_BYTES).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn shell(script: &str) -> CommandKey {
        CommandKey::new(KeyCommand {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            timeout: Duration::from_secs(20),
            refresh: None,
            environment: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
        })
    }

    async fn key(source: &CommandKey, refused: Option<&Secret>) -> String {
        source.key(refused).await.unwrap().key.reveal().to_owned()
    }

    #[tokio::test]
    async fn the_program_runs_once_until_its_key_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let counter = scratch.path().join("runs");
        let source = shell(&format!("echo x >> {0}; echo key-$(grep -c x {0})", counter.display()));
        assert_eq!(key(&source, None).await, "key-1");
        assert_eq!(key(&source, None).await, "key-1");
        let refused = Secret::new("key-1".into());
        assert_eq!(key(&source, Some(&refused)).await, "key-2");
        assert_eq!(key(&source, Some(&refused)).await, "key-2", "another session has had it renewed");
    }

    #[tokio::test]
    async fn what_gives_no_key_is_said_so() {
        for (script, wanted) in [
            ("echo broken >&2; exit 3", "broken"),
            ("true", "no single line"),
            ("printf 'a\\nb'", "no single line"),
        ] {
            let error = shell(script).key(None).await.unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let mut slow = shell("sleep 600");
        slow.command.timeout = Duration::from_millis(50);
        assert!(slow.key(None).await.unwrap_err().to_string().contains("took longer"));
    }
}

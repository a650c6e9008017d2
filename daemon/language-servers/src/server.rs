//! One server: a task with a mailbox, which starts it when a file is to be looked at, and ends it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::language_server::LanguageServerState;
use sandbox::Launcher;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;
use tools::diagnostics::Edited;

use crate::client::Client;
use crate::error::LanguageServerError;
use crate::problem::line;
use crate::recipe::Recipe;
use crate::report::Findings;

/// Changes that wait to be looked at. When it is full, nothing is found in more of them.
const MAILBOX: usize = 16;
/// A server that nobody needed for so long ends, and is started again when it is needed.
const UNUSED: Duration = Duration::from_secs(15 * 60);
/// A server that lived so long and broke off is started again at once.
const SETTLED: Duration = Duration::from_secs(60);
/// The longest rest after failures.
const LONGEST_REST: Duration = Duration::from_secs(120);
/// The folder of a server that was not started for so long is removed.
const FORGOTTEN: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Bytes of a reason.
const MAX_REASON: usize = 400;
/// Written anew at each start, so that it tells when that was.
const STAMP: &str = "started";

/// One server. Dropping it ends it.
pub(crate) struct Server {
    pub(crate) recipe: Recipe,
    mailbox: mpsc::Sender<Check>,
    state: watch::Receiver<LanguageServerState>,
    _task: AbortOnDropHandle<()>,
}

struct Check {
    edited: Vec<Edited>,
    until: Instant,
    respond: oneshot::Sender<Findings>,
}

impl Server {
    /// A server that does not run yet. Called within the runtime.
    pub(crate) fn new(recipe: Recipe, launcher: Arc<Launcher>) -> Self {
        let (mailbox, checks) = mpsc::channel(MAILBOX);
        let (state, watching) = watch::channel(LanguageServerState::Idle);
        let task = Task { recipe: recipe.clone(), launcher, state, failures: 0, rests_until: None };
        Self {
            recipe,
            mailbox,
            state: watching,
            _task: AbortOnDropHandle::new(tokio::spawn(task.run(checks))),
        }
    }

    /// What came with these changes, as far as it is known until then. The server is started if need be, and goes on
    /// starting when the time is over.
    pub(crate) async fn check(&self, edited: Vec<Edited>, until: Instant) -> Findings {
        let (respond, answer) = oneshot::channel();
        // A full mailbox means that there is no time to look at it.
        if self.mailbox.try_send(Check { edited, until, respond }).is_err() {
            return Findings::default();
        }
        let answer = tokio::time::timeout_at(until, answer).await;
        answer.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// How it is.
    pub(crate) fn state(&self) -> LanguageServerState {
        self.state.borrow().clone()
    }
}

/// The server's own task.
struct Task {
    recipe: Recipe,
    launcher: Arc<Launcher>,
    state: watch::Sender<LanguageServerState>,
    /// In a row.
    failures: u32,
    rests_until: Option<Instant>,
}

impl Task {
    async fn run(mut self, mut checks: mpsc::Receiver<Check>) {
        while let Some(first) = checks.recv().await {
            if self.rests_until.is_some_and(|until| Instant::now() < until) {
                // Nothing is known, and who waits hears that at once.
                continue;
            }
            self.state.send_replace(LanguageServerState::Starting);
            let began = Instant::now();
            let ended = match self.start().await {
                Ok(mut client) => {
                    tracing::info!(server = self.recipe.name, "a language server runs");
                    self.state.send_replace(LanguageServerState::Ready);
                    let ended = self.serve(&mut client, first, &mut checks).await;
                    let words = client.end().await;
                    tracing::debug!(server = self.recipe.name, words, "a language server ended");
                    ended
                }
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => drop(self.state.send_replace(LanguageServerState::Idle)),
                Err(error) => {
                    if began.elapsed() >= SETTLED {
                        self.failures = 0;
                    }
                    self.fail(&error);
                }
            }
        }
    }

    async fn start(&self) -> Result<Client, LanguageServerError> {
        let cache = self.recipe.cache.clone();
        let prepared = tokio::task::spawn_blocking(move || prepare(&cache)).await;
        prepared
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(LanguageServerError::Folder)?;
        Client::start(&self.recipe, &self.launcher).await
    }

    /// Serves until it breaks off, or nobody needs it.
    async fn serve(
        &self,
        client: &mut Client,
        first: Check,
        checks: &mut mpsc::Receiver<Check>,
    ) -> Result<(), LanguageServerError> {
        let mut next = Some(first);
        loop {
            if let Some(Check { edited, until, respond }) = next.take() {
                // Who does not wait any more needs no answer.
                let _ = respond.send(client.check(&edited, until).await?);
            }
            let unused = Instant::now() + UNUSED;
            while next.is_none() {
                tokio::select! {
                    received = client.received() => client.take(received?).await?,
                    check = checks.recv() => match check {
                        Some(check) => next = Some(check),
                        None => return Ok(()),
                    },
                    () = sleep_until(unused) => return Ok(()),
                }
            }
        }
    }

    /// After one failure it is tried again at once, after more of them later each time.
    fn fail(&mut self, error: &LanguageServerError) {
        tracing::warn!(server = self.recipe.name, %error, "a language server failed");
        self.failures = self.failures.saturating_add(1);
        let rest = match self.failures {
            0 | 1 => Duration::ZERO,
            more => Duration::from_secs(4 << (more - 2).min(6)).min(LONGEST_REST),
        };
        self.rests_until = Some(Instant::now() + rest);
        let message = line(&error.to_string(), MAX_REASON);
        self.state.send_replace(LanguageServerState::Failed { message });
    }
}

/// Makes the server's own folder, and removes those of servers that were not started for long.
fn prepare(cache: &Path) -> std::io::Result<()> {
    for folder in ["cache", "tmp"] {
        std::fs::create_dir_all(cache.join(folder))?;
    }
    std::fs::write(cache.join(STAMP), "")?;
    let Some(caches) = cache.parent() else { return Ok(()) };
    for other in std::fs::read_dir(caches)? {
        let other = other?.path();
        let started = std::fs::metadata(other.join(STAMP)).and_then(|meta| meta.modified());
        let is_forgotten = started.is_ok_and(|started| {
            SystemTime::now().duration_since(started).is_ok_and(|since| since > FORGOTTEN)
        });
        if is_forgotten && let Err(error) = std::fs::remove_dir_all(&other) {
            tracing::warn!(%error, folder = %other.display(), "what a language server left can't be removed");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn what_old_servers_left_is_removed() {
        let scratch = tempfile::tempdir().expect("scratch");
        let (old, young) = (scratch.path().join("old"), scratch.path().join("young"));
        for folder in [&old, &young] {
            prepare(folder).expect("prepared");
        }
        let long_ago = SystemTime::now() - FORGOTTEN - Duration::from_secs(60);
        File::options()
            .write(true)
            .open(old.join(STAMP))
            .expect("stamp")
            .set_modified(long_ago)
            .expect("time");
        prepare(&scratch.path().join("new")).expect("prepared");
        assert!(!old.exists() && young.join("tmp").is_dir());
    }
}

//! Reaching the daemon's socket, starting the daemon if nobody listens. However many clients do it at once, one
//! of them starts it and the others wait.

use std::time::{Duration, Instant};

use wire::folders::Folders;
use wire::spawn::{StartLock, Starting};
use wire::{Stream, dial};

use crate::error::ClientError;

/// The exit code of `skein daemon run` when another daemon has the home: then there is nothing to start.
pub const ALREADY_RUNNING: u8 = 6;

/// How long a daemon may take until it listens. Longer than one that is stopping may take to go.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks at the socket; a look takes some 20 µs.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);
/// Before another start, when a daemon that is coming or going has the home.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// What to do when no daemon listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartDaemon {
    /// Start it.
    IfAbsent,
    /// Say so.
    Never,
}

/// A stream to the daemon.
pub(crate) async fn reach(folders: &Folders, start: StartDaemon) -> Result<Stream, ClientError> {
    match dial::connect(folders).await {
        Ok(stream) => Ok(stream),
        Err(error) if error.is_absent() && start == StartDaemon::IfAbsent => start_and_reach(folders).await,
        Err(error) => Err(error.into()),
    }
}

async fn start_and_reach(folders: &Folders) -> Result<Stream, ClientError> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut lock: Option<StartLock> = None;
    let mut starting: Option<Starting> = None;
    loop {
        if lock.is_none() {
            lock = StartLock::try_take(folders)?;
        }
        // After taking the lock: who had it before has started a daemon, most likely.
        match dial::connect(folders).await {
            Ok(stream) => return Ok(stream),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(lock) = &lock {
            match &mut starting {
                None => starting = Some(start(lock)?),
                Some(daemon) => {
                    if let Some(end) = daemon.ended().map_err(ClientError::Spawn)? {
                        if end.status.code() != Some(i32::from(ALREADY_RUNNING)) {
                            return Err(ClientError::DaemonFailed { status: end.status, text: end.text });
                        }
                        starting = None;
                        tokio::time::sleep(BUSY_PAUSE).await;
                    }
                }
            }
        }
        if begun.elapsed() > START_LIMIT {
            let text = starting.map(|daemon| daemon.said()).unwrap_or_default();
            return Err(ClientError::StartTimedOut { after: START_LIMIT, text });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Starts this executable as the daemon; the new one, if it was replaced since.
fn start(lock: &StartLock) -> Result<Starting, ClientError> {
    let executable = wire::build::installed().map_err(ClientError::Spawn)?;
    lock.start(&executable, &["daemon", "run", "--detached"]).map_err(ClientError::Spawn)
}

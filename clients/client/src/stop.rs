//! Stopping the daemon: it is asked; one that can't be talked to, because it speaks another protocol or does not answer,
//! gets a signal.

use std::time::Duration;

use protocol::api::daemon::DaemonClient;
use protocol::daemon::{DaemonShutdownParams, DaemonStatusParams};
use wire::error::WireError;
use wire::folders::Folders;
use wire::stop::{holder, terminate};

use crate::connection::{ConnectOptions, Connection};
use crate::error::ClientError;

/// How long a daemon may take to go: it gives its turns 10 s.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Between two looks whether it is gone.
const PAUSE: Duration = Duration::from_millis(10);

/// What becomes of turns that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// They rest, and go on in the next daemon.
    HandOver,
    /// They end.
    End,
}

/// A daemon that was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Its process id.
    pub pid: u32,
    /// Turns that ran or waited; not known of one that could only be signalled.
    pub running_turns: Option<u32>,
}

/// Stops the daemon of this user's home and waits until it is gone; `None` if none runs.
///
/// # Errors
/// When it is not to be stopped, or still runs after 15 s.
pub async fn stop_daemon(turns: Turns) -> Result<Option<Stopped>, ClientError> {
    let folders = Folders::resolve()?;
    let connection = match Connection::open(ConnectOptions::new("skein").without_start()).await {
        Ok(connection) => connection,
        Err(ClientError::Wire(WireError::NoDaemon(_))) => return Ok(None),
        Err(
            ClientError::VersionMismatch { .. }
            | ClientError::Handshake(_)
            | ClientError::Silent { .. }
            | ClientError::Unreadable { .. },
        ) => {
            let Some(pid) = terminate(&folders)? else { return Ok(None) };
            gone(&folders, pid).await?;
            return Ok(Some(Stopped { pid, running_turns: None }));
        }
        Err(error) => return Err(error),
    };
    let status = connection.rpc().status(DaemonStatusParams::default()).await?;
    ask(&connection, status.pid, turns).await?;
    Ok(Some(Stopped { pid: status.pid, running_turns: Some(status.running_turns) }))
}

/// Asks the daemon to go, and waits until it is gone.
pub(crate) async fn ask(connection: &Connection, pid: u32, turns: Turns) -> Result<(), ClientError> {
    let params = DaemonShutdownParams { hand_over: turns == Turns::HandOver };
    match connection.rpc().shutdown(params).await.map_err(ClientError::from) {
        Ok(_) => {}
        // It was faster than its answer.
        Err(error) if error.is_lost() => {}
        Err(error) => return Err(error),
    }
    gone(connection.folders(), pid).await
}

/// Waits until the process does not have the home any more. Another one may have it already.
async fn gone(folders: &Folders, pid: u32) -> Result<(), ClientError> {
    let gone = async {
        while holder(folders)? == Some(pid) {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    };
    match tokio::time::timeout(STOP_LIMIT, gone).await {
        Ok(result) => result,
        Err(_) => Err(ClientError::StillRunning { pid, after: STOP_LIMIT }),
    }
}

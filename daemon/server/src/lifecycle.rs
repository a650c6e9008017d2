//! The life of the daemon: it takes the home, opens what is there, serves, and stops without losing anything.
//! Everything that it starts is owned here and has ended when `run_daemon` returns.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::{LogLevel, Settings};
use jsonrpsee::server::stop_channel;
use protocol::session::{Environment, SettingsOverrides};
use session::Counts;
use session::sessions::Sessions;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Level;
use wire::folders::Folders;
use wire::listen::{HomeLock, Listener};

use crate::daemon::Daemon;
use crate::error::ServerError;
use crate::listener::Front;
use crate::logs::{self, Echo};
use crate::signals::Signals;
use crate::stop::Ending;
use crate::{handlers, process, settings};

// Together these stay under the 10 s in which a daemon that was asked to stop is gone.
/// How long running turns may take to come to a durable point.
const DRAIN_LIMIT: Duration = Duration::from_secs(6);
/// How long sessions may take to hear what their agents came to, when all have stopped.
const AGENTS_LIMIT: Duration = Duration::from_millis(300);
/// How long hooks that hear of the end of sessions may take.
const HOOKS_LIMIT: Duration = Duration::from_secs(2);
/// How long the store may take to close.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// How long threads that wait for files may take to end.
const THREADS_LIMIT: Duration = Duration::from_millis(500);

/// What the daemon is started with.
#[derive(Clone, Debug)]
pub struct DaemonOptions {
    /// This executable, absolute: it is the sandbox helper too.
    pub helper: PathBuf,
    /// Whether a person watches: the daemon stays in its terminal and shows its log there.
    pub foreground: bool,
}

/// Runs the daemon of this user's home until it is asked to stop (a signal, `daemon/shutdown`) or was idle for long
/// enough. Blocks.
///
/// # Errors
/// Why it could not start. Malformed settings are none: such a daemon runs, and tells clients what is wrong.
pub fn run_daemon(options: DaemonOptions) -> Result<(), ServerError> {
    let DaemonOptions { helper, foreground } = options;
    process::close_to_others();
    if !foreground {
        process::leave_terminal();
    }
    let folders = Folders::resolve()?;
    let lock = HomeLock::take(&folders)?;
    let loaded = settings::load(&folders.config_file(), &SettingsOverrides::default());
    let settings = loaded.as_ref().map_or_else(|_| Settings::default(), |loaded| loaded.settings.clone());
    let echo = if foreground { Echo::StandardError } else { Echo::None };
    logs::install(&folders.log(), level(settings.daemon.log_level), echo)?;
    if let Err(error) = loaded {
        tracing::error!(%error, "the settings are malformed; sessions can't be made until they are mended");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .thread_name("skein")
        .enable_all()
        .build()
        .map_err(ServerError::Runtime)?;
    let result = runtime.block_on(Box::pin(run(helper, folders, lock, settings)));
    runtime.shutdown_timeout(THREADS_LIMIT);
    tracing::info!("stopped");
    result
}

async fn run(
    helper: PathBuf,
    folders: Folders,
    lock: HomeLock,
    settings: Settings,
) -> Result<(), ServerError> {
    let mut signals = Signals::listen().map_err(ServerError::Runtime)?;
    let daemon = Daemon::open(helper, folders.clone(), &settings, own_environment()).await?;
    let (stop_connections, connections_handle) = stop_channel();
    let front = Front::new(handlers::methods(&daemon)?, Arc::clone(&daemon.connections), stop_connections);
    let mut listener = Listener::bind(&folders, lock)?;
    tracing::info!(socket = %folders.socket().display(), pid = std::process::id(), "listening");

    let closing = CancellationToken::new();
    let ending = async {
        let recover = async {
            let passed = async |session| daemon.recovery.passed(session).await;
            tokio::join!(
                daemon.recovery.run(&daemon.sessions, &daemon.circumstances, &daemon.accounts),
                daemon.agents.make_up(passed),
            );
            std::future::pending::<()>().await;
        };
        let idle_exit = settings.daemon.idle_exit_ms.map(Duration::from_millis);
        let ending = tokio::select! {
            signal = signals.next() => {
                tracing::info!(signal, "asked to stop");
                Ending::Alone
            }
            ending = daemon.stop.asked() => ending,
            () = idle(idle_exit, daemon.connections.count(), daemon.sessions.activity()) => {
                tracing::info!("nobody needed the daemon for a while");
                Ending::Alone
            }
            () = recover => Ending::Alone,
        };
        daemon.stop.ask(ending);
        drain(&daemon.sessions, ending, &mut signals).await;
        if tokio::time::timeout(AGENTS_LIMIT, daemon.agents.settle()).await.is_err() {
            tracing::warn!("what agents came to was not told in time; the next start makes up for it");
        }
        if let Some(hooks) = daemon.world.hooks() {
            hooks.settle(HOOKS_LIMIT).await;
        }
        // Fails only if every connection is gone already.
        let _ = connections_handle.stop();
        closing.cancel();
    };
    tokio::join!(front.run(&mut listener, closing.clone()), ending);
    if tokio::time::timeout(CLOSE_LIMIT, daemon.store.clone().close()).await.is_err() {
        tracing::warn!("the store did not close in time; its log is replayed at the next start");
    }
    // Only now may another daemon have the home.
    drop(listener);
    Ok(())
}

/// Brings running turns to a durable point. A second signal cuts that short.
async fn drain(sessions: &Sessions, ending: Ending, signals: &mut Signals) {
    tokio::select! {
        () = sessions.drain(ending == Ending::HandOver) => tracing::info!("all turns are at a durable point"),
        () = tokio::time::sleep(DRAIN_LIMIT) => {
            tracing::warn!("turns took too long to come to a durable point; the next start ends them");
        }
        signal = signals.next() => tracing::warn!(signal, "asked to stop again; turns are left as they are"),
    }
}

/// Returns when for so long nobody was connected or attached and no turn ran or waited. Never without a time.
async fn idle(
    after: Option<Duration>,
    mut connections: watch::Receiver<u32>,
    mut sessions: watch::Receiver<Counts>,
) {
    let Some(after) = after else { return std::future::pending().await };
    loop {
        let counts = *sessions.borrow_and_update();
        let is_busy = *connections.borrow_and_update() > 0 || counts.running > 0 || counts.attached > 0;
        let quiet = async {
            if is_busy {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(after).await;
        };
        let changed = tokio::select! {
            changed = connections.changed() => changed,
            changed = sessions.changed() => changed,
            () = quiet => return,
        };
        if changed.is_err() {
            return std::future::pending().await;
        }
    }
}

/// The daemon's own environment, as far as it is text.
fn own_environment() -> Environment {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn counts(running: u32, attached: u32) -> Counts {
        Counts { loaded: 1, running, attached }
    }

    /// Whether the daemon would be gone after ten times the limit.
    async fn exits(connections: u32, sessions: Counts, after: Option<Duration>) -> bool {
        let (connections, sessions) = (watch::Sender::new(connections), watch::Sender::new(sessions));
        tokio::time::timeout(10 * LIMIT, idle(after, connections.subscribe(), sessions.subscribe()))
            .await
            .is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_daemon_exits_and_a_needed_one_stays() {
        assert!(exits(0, counts(0, 0), Some(LIMIT)).await);
        assert!(!exits(1, counts(0, 0), Some(LIMIT)).await);
        assert!(!exits(0, counts(1, 0), Some(LIMIT)).await);
        assert!(!exits(0, counts(0, 1), Some(LIMIT)).await);
        assert!(!exits(0, counts(0, 0), None).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_idle_time_begins_when_the_last_client_leaves() {
        let (connections, sessions) = (watch::Sender::new(1), watch::Sender::new(counts(0, 0)));
        let started = tokio::time::Instant::now();
        let leaving = async {
            tokio::time::advance(5 * LIMIT).await;
            connections.send_replace(0);
        };
        tokio::join!(idle(Some(LIMIT), connections.subscribe(), sessions.subscribe()), leaving);
        assert!(started.elapsed() >= 6 * LIMIT);
    }
}

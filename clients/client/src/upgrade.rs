//! A daemon that still runs an older build of this very executable hands over to the new one. Two different executables
//! never fight over one home: only the file that the daemon itself was started from counts.

use std::sync::OnceLock;

use protocol::api::daemon::DaemonClient;
use protocol::daemon::{DaemonStatus, DaemonStatusParams};
use tracing::debug;
use wire::build;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::stop::{self, Turns};

/// An upgrade of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The build before.
    pub from: String,
    /// The build that runs now.
    pub to: String,
    /// How many turns were handed over.
    pub running_turns: u32,
}

/// The build of this executable, as its daemon tells it.
#[must_use]
pub fn own_build() -> &'static str {
    static BUILD: OnceLock<String> = OnceLock::new();
    BUILD.get_or_init(|| {
        let version = env!("CARGO_PKG_VERSION");
        build::running().map_or_else(|_| version.to_owned(), |file| build::of(version, &file))
    })
}

/// Makes the daemon hand over if this executable has taken the place of the one that it runs; `None` if there is no
/// reason. When it returns, the daemon is gone, and whoever connects next starts the new one.
pub(crate) async fn make(connection: &Connection) -> Result<Option<Upgrade>, ClientError> {
    if !connection.options().may_start() || !connection.is_other_build() {
        return Ok(None);
    }
    let status = connection.rpc().status(DaemonStatusParams::default()).await?;
    if !is_replaced(&status, own_build()) {
        return Ok(None);
    }
    let upgrade = Upgrade {
        from: status.build.clone(),
        to: own_build().to_owned(),
        running_turns: status.running_turns,
    };
    debug!(from = upgrade.from, to = upgrade.to, "the daemon is of an older build; it hands over");
    stop::ask(connection, status.pid, Turns::HandOver).await?;
    Ok(Some(upgrade))
}

/// Whether the executable with this build stands where the daemon's own stood.
fn is_replaced(status: &DaemonStatus, own: &str) -> bool {
    let is_ours = status.installed_build.as_deref().is_some_and(|installed| build::is_same(installed, own));
    is_ours && !build::is_same(&status.build, own)
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::daemon::Folders;
    use protocol::ids::Timestamp;

    use super::*;

    /// The status of a daemon of this build.
    pub(crate) fn status(build: &str, installed_build: Option<&str>) -> DaemonStatus {
        DaemonStatus {
            pid: 1,
            version: "0.1.0".to_owned(),
            build: build.to_owned(),
            installed_build: installed_build.map(str::to_owned),
            epoch: uuid::Uuid::nil(),
            started_at: Timestamp(0),
            is_draining: false,
            connections: 1,
            loaded_sessions: 0,
            running_turns: 0,
            resident_bytes: None,
            folders: Folders {
                config: "/c".into(),
                state: "/s".into(),
                socket: "/r".into(),
                log: "/l".into(),
            },
            sandbox: None,
            warnings: Vec::new(),
            storage: None,
            rate_limits: Vec::new(),
        }
    }

    #[test]
    fn only_the_file_that_the_daemon_was_started_from_replaces_it() {
        let own = "0.2.0+b.2";
        for (build, installed, is_wanted) in [
            ("0.1.0+a.1", Some("0.1.0+b.2"), true),
            // Another executable than the daemon's.
            ("0.1.0+a.1", Some("0.1.0+a.1"), false),
            ("0.1.0+a.1", Some("0.1.0+c.3"), false),
            // Nothing stands there any more, or the daemon does not tell.
            ("0.1.0+a.1", None, false),
            // It is up to date.
            ("0.2.0+b.2", Some("0.2.0+b.2"), false),
        ] {
            assert_eq!(is_replaced(&status(build, installed), own), is_wanted, "{build} {installed:?}");
        }
    }
}

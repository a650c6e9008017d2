//! `daemon/*`.

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::daemon::DaemonServer;
use protocol::daemon::{DaemonShutdownParams, DaemonStatus, DaemonStatusParams, Folders};
use protocol::session::Done;

use super::Handlers;
use crate::process;
use crate::stop::Ending;

#[async_trait]
impl DaemonServer for Handlers {
    async fn status(&self, params: DaemonStatusParams) -> RpcResult<DaemonStatus> {
        let daemon = &self.0;
        let counts = daemon.sessions.counts();
        let sandbox = if params.with_sandbox { Some(daemon.launcher.report().await) } else { None };
        let storage =
            if params.with_storage { Some(daemon.store.check(::session::state::folds).await) } else { None };
        Ok(DaemonStatus {
            pid: std::process::id(),
            version: daemon.identity.version.to_owned(),
            build: daemon.identity.build.clone(),
            installed_build: daemon.identity.installed_build(),
            epoch: daemon.identity.epoch,
            started_at: daemon.identity.started_at,
            is_draining: daemon.stop.is_asked(),
            connections: *daemon.connections.count().borrow(),
            loaded_sessions: counts.loaded,
            running_turns: counts.running,
            resident_bytes: process::resident_bytes(),
            folders: Folders {
                config: daemon.folders.config.clone(),
                state: daemon.folders.state.clone(),
                socket: daemon.folders.socket(),
                log: daemon.folders.log(),
            },
            sandbox,
            warnings: daemon.store.warnings().to_vec(),
            storage,
            rate_limits: daemon.world.rate_limits(),
        })
    }

    async fn shutdown(&self, params: DaemonShutdownParams) -> RpcResult<Done> {
        let ending = if params.hand_over { Ending::HandOver } else { Ending::Alone };
        tracing::info!(?ending, "a client asked the daemon to stop");
        self.0.stop.ask(ending);
        Ok(Done {})
    }
}

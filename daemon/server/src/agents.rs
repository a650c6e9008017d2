//! What the daemon has to say of agents: how many there may be, and what one has of the session that starts it.

use std::sync::Arc;

use ::agents::office::{Limits, Office};
use futures_util::future::BoxFuture;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::SessionId;
use protocol::profile::{Access, NetworkAccess, SandboxMode};
use protocol::session::{SessionSettings, SettingOverride, SettingsOverrides};
use tools::agents::{AgentReach, NewAgent};

use crate::circumstances::Circumstances;
use crate::mcp::SessionServers;
use crate::projects::Projects;
use crate::settings::{self, Updated};
use crate::{models, wiring};

/// The daemon, as agents see it.
pub(crate) struct DaemonOffice {
    pub(crate) circumstances: Arc<Circumstances>,
    pub(crate) projects: Arc<Projects>,
    pub(crate) mcp: Option<Arc<SessionServers>>,
}

impl Office for DaemonOffice {
    fn limits(&self, session: SessionId) -> Result<Limits, ProtocolError> {
        let known = self.circumstances.of(session)?;
        let config::AgentLimits { max_depth, max_live } = known.settings().agents;
        Ok(Limits { max_depth, max_live })
    }

    fn settle(
        &self,
        parent: SessionId,
        agent: SessionId,
        settings: SessionSettings,
        wish: NewAgent,
    ) -> BoxFuture<'_, Result<SessionSettings, ProtocolError>> {
        let circumstances = Arc::clone(&self.circumstances);
        Box::pin(blocking(move || settled(&circumstances, parent, agent, settings, wish)))
    }

    fn prepare(
        &self,
        agent: SessionId,
        settings: SessionSettings,
    ) -> BoxFuture<'_, Result<(), ProtocolError>> {
        Box::pin(async move {
            let Some(mcp) = &self.mcp else { return Ok(()) };
            let (servers, projects) = (Arc::clone(mcp), Arc::clone(&self.projects));
            let recipes = blocking(move || {
                // Its parent has them already, so this only holds on to them.
                servers.begin(agent, &settings, &projects);
                Ok(servers.of_session(agent, &settings, &projects))
            });
            let recipes = recipes.await?;
            if mcp.are_required(agent) { mcp.require(&recipes).await } else { Ok(()) }
        })
    }

    fn forget(&self, agent: SessionId) {
        self.circumstances.forget(agent);
    }
}

fn settled(
    circumstances: &Circumstances,
    parent: SessionId,
    agent: SessionId,
    mut current: SessionSettings,
    wish: NewAgent,
) -> Result<SessionSettings, ProtocolError> {
    let NewAgent { model, effort, reach, .. } = wish;
    if reach == AgentReach::ReadOnly {
        only_reads(&mut current);
    }
    let values = effort.iter().map(|effort| SettingOverride::text("model_reasoning_effort", effort));
    let overrides = SettingsOverrides { model, values: values.collect(), ..SettingsOverrides::default() };
    circumstances.inherit(agent, parent, &overrides)?;
    if overrides == SettingsOverrides::default() {
        return Ok(current);
    }
    let loaded = settings::load(circumstances.file(), &overrides)?;
    let none = Arc::default();
    let environment = circumstances.effective(&none);
    let Updated { session, loaded, .. } =
        settings::of_updated_session(circumstances.file(), &current, &overrides, loaded, environment)?;
    wiring::check_provider(&loaded, &session.provider)?;
    models::check(&loaded, &session)?;
    // What it may touch is its parent's, whatever else the file says now.
    Ok(SessionSettings {
        model: session.model,
        price: session.price,
        model_context: session.model_context,
        reasoning_effort: session.reasoning_effort,
        ..current
    })
}

/// Takes from settings all that may be written or reached, and nothing of what is closed.
fn only_reads(settings: &mut SessionSettings) {
    settings.sandbox = SandboxMode::ReadOnly;
    settings.network = NetworkAccess::Off;
    settings.additional_roots.clear();
    let Some(permissions) = &mut settings.permissions else { return };
    let less = |access: &mut Access| {
        if *access == Access::Write {
            *access = Access::Read;
        }
    };
    permissions.paths.iter_mut().for_each(|rule| less(&mut rule.access));
    permissions.globs.iter_mut().for_each(|rule| less(&mut rule.access));
    permissions.network_rules.clear();
    permissions.unix_sockets.clear();
    permissions.is_commit_allowed = false;
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProtocolError> + Send + 'static,
) -> Result<T, ProtocolError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(ProtocolError::new(ErrorCode::Internal, "A task of the daemon failed inside"))
    })
}

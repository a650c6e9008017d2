//! `session/*`.

use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::core::{RpcResult, SubscriptionResult, async_trait};
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::{Extensions, PendingSubscriptionSink};
use protocol::api::session::SessionServer;
use protocol::client_tool::SessionRegisterToolsParams;
use protocol::context::{SessionCompactParams, SessionCompactResult};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::{Seq, SessionId};
use protocol::session::{
    Attachment, ClientRole, Done, SessionAttachParams, SessionCreateParams, SessionCreateResult,
    SessionEndCommandParams, SessionFocusParams, SessionForkParams, SessionListParams, SessionListResult,
    SessionReadParams, SessionRef, SessionSnapshot, SessionUpdateParams, SessionUpdateResult,
    SettingsOverrides,
};
use session::client_tools::DEFAULT_TIMEOUT_MS;
use session::effect::Reply;
use session::handle::{Feed, Wish};
use session::input::Request;
use session::sessions::NewSession;

use super::{Handlers, accept, blocking, caller, unexpected};
use crate::settings::Updated;
use crate::{choice, daemon, models, settings, skills, subscription, trust, wiring};

/// The longest title, in characters.
const MAX_TITLE: usize = 200;
/// Sessions of a list, and what it is cut to.
const DEFAULT_LIST: u32 = 100;
const MAX_LIST: u32 = 1000;
/// Turns of a page, and what it is cut to.
const DEFAULT_PAGE: u32 = 20;
const MAX_PAGE: u32 = 200;
/// How long attaching may take; less than a call may, because a feed's answer is not the guard's to give.
const ATTACH_LIMIT: Duration = Duration::from_secs(25);

#[async_trait]
impl SessionServer for Handlers {
    async fn create(
        &self,
        extensions: &Extensions,
        params: SessionCreateParams,
    ) -> RpcResult<SessionCreateResult> {
        let connection = caller(extensions)?;
        let actor = connection.actor()?;
        check_title(params.title.as_deref())?;
        // Held to the end: of two who make the same session, the second one finds it made.
        let _making = match params.session_id {
            Some(_) => Some(self.0.making.lock().await),
            None => None,
        };
        if let Some(id) = params.session_id
            && self.0.store.summary(id).await.map_err(ProtocolError::from)?.is_some()
        {
            self.lend(id, connection).await?;
            let summary = self.0.session(id).await?.summary().await?;
            return Ok(SessionCreateResult { summary, warnings: Vec::new() });
        }
        let id = params.session_id.unwrap_or_else(SessionId::generate);
        let title = params.title.clone();
        let circumstances = Arc::clone(&self.0.circumstances);
        let client = Arc::clone(&connection.client()?.environment);
        let overrides = params.overrides.clone();
        let loaded = blocking(move || settings::load(circumstances.file(), &overrides)).await?;
        let variables = self.0.circumstances.variables(&client);
        let chosen = choice::settle(loaded.settings, &variables, &self.0.accounts).await?;
        let circumstances = Arc::clone(&self.0.circumstances);
        let accounts = Arc::clone(&self.0.accounts);
        let mut warnings = loaded.warnings;
        let kept = Arc::clone(self.0.world.trust());
        let config = self.0.folders.config.clone();
        let daemon = Arc::clone(&self.0);
        let (settings, instructions, notices) = blocking(move || {
            let environment = circumstances.effective(&client);
            let resolved = settings::of_new_session(&chosen, &params, environment)?;
            wiring::check_provider(&chosen, &resolved.provider)?;
            models::check(&chosen, &resolved)?;
            let notice = models::notice(&accounts, &chosen, &resolved.provider, &resolved.model);
            let mut notices: Vec<_> =
                notice.into_iter().chain(trust::warning(&kept, &resolved.cwd)).collect();
            notices.extend(trust::hook_problems(&config, &chosen));
            let own = workspace::instructions::of_person(&config);
            let folders = skills::Folders::of(&config, environment);
            let parts = daemon.world.projects().of(&resolved.cwd);
            let found = skills::Found::of(&folders, &chosen, &parts.skills);
            notices.extend(found.warnings());
            let of_folder = workspace::instructions::find(&resolved.cwd, &daemon.world.sight(&resolved));
            let instructions = own.into_iter().chain(of_folder).chain(found.told(&resolved.cwd)).collect();
            circumstances.remember(id, &client, params.overrides, chosen);
            Ok((resolved, instructions, notices))
        })
        .await?;
        warnings.extend(notices);
        let made = settings.clone();
        let new = NewSession { id, actor, title, settings, instructions, agent: None };
        let session = match self.0.sessions.create(new).await {
            Ok(session) => session,
            Err(error) => {
                self.0.circumstances.forget(id);
                return Err(error.into());
            }
        };
        tracing::info!(session = %id, "made a session");
        let daemon = Arc::clone(&self.0);
        blocking(move || {
            daemon.world.warm_up(id, &made);
            daemon.mcp.begin(id, &made, daemon.world.projects());
            Ok(())
        })
        .await?;
        Ok(SessionCreateResult { summary: session.summary().await?, warnings })
    }

    async fn fork(
        &self,
        extensions: &Extensions,
        params: SessionForkParams,
    ) -> RpcResult<SessionCreateResult> {
        let connection = caller(extensions)?;
        let SessionForkParams { session_id, turn_id, new_session_id, title } = params;
        check_title(title.as_deref())?;
        let _making = self.0.making.lock().await;
        let id = new_session_id.unwrap_or_else(SessionId::generate);
        if self.0.store.summary(id).await.map_err(ProtocolError::from)?.is_none() {
            // It says why if there is none.
            self.0.session(session_id).await?;
            let store = &self.0.store;
            let records = store.events(session_id, Seq::ZERO, None).await.map_err(ProtocolError::from)?;
            let mut forked = blocking(move || session::fork::fork(session_id, &records, turn_id)).await?;
            forked.title = title.or(forked.title);
            store.blobs().share(id, forked.blobs.iter().cloned()).await.map_err(ProtocolError::from)?;
            Box::pin(self.0.sessions.fork(id, connection.actor()?, forked)).await?;
            tracing::info!(session = %id, of = %session_id, "forked a session");
        }
        self.lend(id, connection).await?;
        let summary = self.0.session(id).await?.summary().await?;
        let settings = summary.settings.clone();
        let daemon = Arc::clone(&self.0);
        blocking(move || {
            daemon.world.warm_up(id, &settings);
            daemon.mcp.begin(id, &settings, daemon.world.projects());
            Ok(())
        })
        .await?;
        Ok(SessionCreateResult { summary, warnings: Vec::new() })
    }

    async fn list(&self, params: SessionListParams) -> RpcResult<SessionListResult> {
        let limit = Some(params.limit.unwrap_or(DEFAULT_LIST).min(MAX_LIST));
        let sessions = self.0.sessions.list(&SessionListParams { limit, ..params }).await?;
        Ok(SessionListResult { sessions })
    }

    async fn read(&self, params: SessionReadParams) -> RpcResult<SessionSnapshot> {
        let limit = params.limit.unwrap_or(DEFAULT_PAGE).min(MAX_PAGE);
        let session = self.0.session(params.session_id).await?;
        let snapshot = session.read(params.skip_turns, limit).await?;
        Ok(subscription::fitting(snapshot)?)
    }

    async fn update(
        &self,
        extensions: &Extensions,
        params: SessionUpdateParams,
    ) -> RpcResult<SessionUpdateResult> {
        let connection = caller(extensions)?;
        let SessionUpdateParams { session_id, title, overrides, unarchive, request_id } = params;
        check_title(title.as_deref())?;
        let session = self.0.session(session_id).await?;
        let (settings, warnings) = if overrides == SettingsOverrides::default() {
            (None, Vec::new())
        } else {
            let current = session.summary().await?.settings;
            let circumstances = Arc::clone(&self.0.circumstances);
            let client = Arc::clone(&connection.client()?.environment);
            let variables = circumstances.variables(&client);
            let asked = overrides.clone();
            let mut loaded = blocking(move || settings::load(circumstances.file(), &asked)).await?;
            if loaded.settings.is_provider_chosen && settings::choose_provider(&overrides) {
                loaded.settings = choice::settle(loaded.settings, &variables, &self.0.accounts).await?;
            }
            let circumstances = Arc::clone(&self.0.circumstances);
            let asked = overrides.clone();
            let updated = blocking(move || {
                let environment = circumstances.effective(&client);
                settings::of_updated_session(circumstances.file(), &current, &asked, loaded, environment)
            });
            let Updated { session, loaded, mut warnings } = updated.await?;
            wiring::check_provider(&loaded, &session.provider)?;
            models::check(&loaded, &session)?;
            warnings.extend(models::notice(&self.0.accounts, &loaded, &session.provider, &session.model));
            let circumstances = Arc::clone(&self.0.circumstances);
            blocking(move || circumstances.amend(session_id, &overrides)).await?;
            (Some(Box::new(session)), warnings)
        };
        let is_update = title.is_some() || settings.is_some();
        if unarchive {
            // The client's name is for one request; taking the session back once more changes nothing.
            let request_id = request_id.filter(|_| !is_update);
            session.request(connection.actor()?, request_id, Request::Unarchive).await?;
        }
        if is_update {
            session.request(connection.actor()?, request_id, Request::Update { title, settings }).await?;
        }
        Ok(SessionUpdateResult { summary: session.summary().await?, warnings })
    }

    async fn compact(
        &self,
        extensions: &Extensions,
        params: SessionCompactParams,
    ) -> RpcResult<SessionCompactResult> {
        let connection = caller(extensions)?;
        let SessionCompactParams { session_id, instructions, request_id } = params;
        let session = self.0.session(session_id).await?;
        self.lend(session_id, connection).await?;
        let request = Request::Compact { instructions };
        let answered = session.request(connection.actor()?, request_id, request).await?;
        match answered.reply {
            Reply::Started { turn_id } => Ok(SessionCompactResult { turn_id }),
            other => Err(unexpected(&other).into()),
        }
    }

    async fn register_tools(
        &self,
        extensions: &Extensions,
        params: SessionRegisterToolsParams,
    ) -> RpcResult<Done> {
        let actor = caller(extensions)?.actor()?;
        let SessionRegisterToolsParams { session_id, tools, timeout_ms, request_id } = params;
        let timeout_ms = timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS);
        self.0.sessions.check_client_tools(&tools, timeout_ms)?;
        let session = self.0.session(session_id).await?;
        session.request(actor, request_id, Request::RegisterTools { tools, timeout_ms }).await?;
        Ok(Done {})
    }

    async fn end_command(&self, extensions: &Extensions, params: SessionEndCommandParams) -> RpcResult<Done> {
        let actor = caller(extensions)?.actor()?;
        let SessionEndCommandParams { session_id, process_id, request_id } = params;
        // One that is not in memory has none, and hears that.
        let session = self.0.session(session_id).await?;
        session.request(actor, request_id, Request::EndCommand { process_id }).await?;
        Ok(Done {})
    }

    async fn archive(&self, extensions: &Extensions, params: SessionRef) -> RpcResult<Done> {
        let actor = caller(extensions)?.actor()?;
        let session = self.0.session(params.session_id).await?;
        session.request(actor, params.request_id, Request::Archive).await?;
        Ok(Done {})
    }

    async fn delete(&self, extensions: &Extensions, params: SessionRef) -> RpcResult<Done> {
        let actor = caller(extensions)?.actor()?;
        self.0.recovery.passed(params.session_id).await;
        tracing::info!(session = %params.session_id, by = %actor.name, "deleting a session");
        self.0.sessions.delete(params.session_id, actor, params.request_id).await?;
        self.0.circumstances.forget(params.session_id);
        Ok(Done {})
    }

    async fn take_over(&self, extensions: &Extensions, params: SessionRef) -> RpcResult<Done> {
        self.drive(extensions, params, Wish::TakeOver).await
    }

    async fn release(&self, extensions: &Extensions, params: SessionRef) -> RpcResult<Done> {
        self.drive(extensions, params, Wish::Release).await
    }

    async fn focus(&self, extensions: &Extensions, params: SessionFocusParams) -> RpcResult<Done> {
        let client = caller(extensions)?.actor()?.client_id;
        let SessionFocusParams { session_id, is_focused } = params;
        self.0.session(session_id).await?.focus(client, is_focused).await?;
        Ok(Done {})
    }

    /// Runs as long as the feed does, on a task that ends with the connection.
    async fn attach(
        &self,
        pending: PendingSubscriptionSink,
        extensions: &Extensions,
        params: SessionAttachParams,
    ) -> SubscriptionResult {
        let joined =
            tokio::time::timeout(ATTACH_LIMIT, self.join(extensions, params)).await.unwrap_or_else(|_| {
                Err(ProtocolError::new(ErrorCode::Unavailable, "The session did not answer in time"))
            });
        match joined {
            Ok(feed) => {
                if let Some(sink) = accept(pending, caller(extensions)?).await {
                    subscription::run(sink, feed).await;
                }
            }
            Err(error) => pending.reject(ErrorObjectOwned::from(error)).await,
        }
        Ok(())
    }
}

impl Handlers {
    async fn drive(&self, extensions: &Extensions, params: SessionRef, wish: Wish) -> RpcResult<Done> {
        let actor = caller(extensions)?.actor()?;
        self.0.session(params.session_id).await?.drive(actor, params.request_id, wish).await?;
        Ok(Done {})
    }

    async fn join(
        &self,
        extensions: &Extensions,
        params: SessionAttachParams,
    ) -> Result<Feed, ProtocolError> {
        let SessionAttachParams { session_id, since, can_answer, role } = params;
        let connection = caller(extensions)?;
        let (actor, version) = (connection.actor()?, connection.client()?.version.clone());
        let session = self.0.session(session_id).await?;
        let (attached_at, is_focused) = (daemon::now(), false);
        let may_speak = role == ClientRole::Driver && self.0.circumstances.knows(session_id);
        let attachment = Attachment { actor, version, role, can_answer, attached_at, is_focused };
        let feed = session.attach(attachment, since).await?;
        if may_speak {
            // Whoever comes to speak need not wait for a connection then.
            let settings = session.summary().await?.settings;
            let daemon = Arc::clone(&self.0);
            blocking(move || {
                daemon.world.warm_up(session_id, &settings);
                Ok(())
            })
            .await?;
        }
        Ok(feed)
    }
}

fn check_title(title: Option<&str>) -> Result<(), ProtocolError> {
    let invalid = |message: String| Err(ProtocolError::new(ErrorCode::InvalidRequest, message));
    match title {
        Some(title) if title.trim().is_empty() => invalid("The title is empty".to_owned()),
        Some(title) if title.chars().count() > MAX_TITLE => {
            invalid(format!("The title has more than {MAX_TITLE} characters"))
        }
        Some(_) | None => Ok(()),
    }
}

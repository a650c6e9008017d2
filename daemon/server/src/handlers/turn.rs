//! `turn/*`.

use std::sync::Arc;

use ::mcp::Mention;
use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::turn::TurnServer;
use protocol::context::ModelContext;
use protocol::error::ProtocolError;
use protocol::ids::SessionId;
use protocol::turn::{
    InputPart, TurnEnqueueParams, TurnEnqueueResult, TurnInterruptParams, TurnInterruptResult,
    TurnStartParams, TurnStartResult, TurnSteerParams, TurnSteerResult,
};
use session::effect::Reply;
use session::handle::SessionHandle;
use session::input::Request;

use super::{Handlers, blocking, caller, unexpected};
use crate::connection::Connection;
use crate::mcp_logins::refused;
use crate::{input, models, skills};

#[async_trait]
impl TurnServer for Handlers {
    async fn start(&self, extensions: &Extensions, params: TurnStartParams) -> RpcResult<TurnStartResult> {
        let connection = caller(extensions)?;
        let TurnStartParams { session_id, input, output_schema, limits, expected_seq, request_id } = params;
        let (session, input) = self.with_input(session_id, input, connection).await?;
        self.refresh(session_id, connection).await?;
        let input = Box::pin(self.with_resources(session_id, &session, input)).await?;
        self.learn_context(session_id, &session, connection).await?;
        self.require_servers(session_id, &session).await?;
        let request = Request::Start { input, output_schema, limits, expected_seq };
        let answered = session.request(connection.actor()?, request_id, request).await?;
        match answered.reply {
            Reply::Started { turn_id } => Ok(TurnStartResult { turn_id, seq: answered.seq }),
            other => Err(unexpected(&other).into()),
        }
    }

    async fn steer(&self, extensions: &Extensions, params: TurnSteerParams) -> RpcResult<TurnSteerResult> {
        let connection = caller(extensions)?;
        let TurnSteerParams { session_id, input, expected_turn_id: expected, request_id } = params;
        let (session, input) = self.with_input(session_id, input, connection).await?;
        self.lend(session_id, connection).await?;
        let input = Box::pin(self.with_resources(session_id, &session, input)).await?;
        let request = Request::Steer { input, expected };
        match session.request(connection.actor()?, request_id, request).await?.reply {
            Reply::Steered { turn_id, item_id } => Ok(TurnSteerResult { turn_id, item_id }),
            other => Err(unexpected(&other).into()),
        }
    }

    async fn enqueue(
        &self,
        extensions: &Extensions,
        params: TurnEnqueueParams,
    ) -> RpcResult<TurnEnqueueResult> {
        let connection = caller(extensions)?;
        let TurnEnqueueParams { session_id, input, request_id } = params;
        let (session, input) = self.with_input(session_id, input, connection).await?;
        self.refresh(session_id, connection).await?;
        let input = Box::pin(self.with_resources(session_id, &session, input)).await?;
        self.learn_context(session_id, &session, connection).await?;
        self.require_servers(session_id, &session).await?;
        match session.request(connection.actor()?, request_id, Request::Enqueue { input }).await?.reply {
            Reply::Started { turn_id } => {
                Ok(TurnEnqueueResult { position: 0, turn_id: Some(turn_id), queued_id: None })
            }
            Reply::Queued { queued_id, position } => {
                Ok(TurnEnqueueResult { position, turn_id: None, queued_id: Some(queued_id) })
            }
            other => Err(unexpected(&other).into()),
        }
    }

    async fn interrupt(
        &self,
        extensions: &Extensions,
        params: TurnInterruptParams,
    ) -> RpcResult<TurnInterruptResult> {
        let actor = caller(extensions)?.actor()?;
        let TurnInterruptParams { session_id, expected_turn_id: expected, reason, request_id } = params;
        let session = self.0.session(session_id).await?;
        let request = Request::Interrupt { expected, reason };
        match session.request(actor, request_id, request).await?.reply {
            Reply::Interrupted { turn_id } => {
                // Of a turn that is over agents may still work.
                self.0.agents.interrupt_below(session_id).await?;
                Ok(TurnInterruptResult { turn_id })
            }
            other => Err(unexpected(&other).into()),
        }
    }
}

impl Handlers {
    /// Tells a session what is known of its model by now, where nothing was known when it was made.
    async fn learn_context(
        &self,
        id: SessionId,
        session: &SessionHandle,
        connection: &Connection,
    ) -> Result<(), ProtocolError> {
        let mut settings = session.summary().await?.settings;
        if settings.model_context != ModelContext::default() {
            return Ok(());
        }
        let circumstances = Arc::clone(&self.0.circumstances);
        let (provider, model) = (settings.provider.clone(), settings.model.clone());
        let known = blocking(move || {
            let known = circumstances.of(id)?;
            Ok(models::context(known.settings(), &provider, &model))
        });
        settings.model_context = known.await?;
        if settings.model_context != ModelContext::default() {
            let request = Request::Update { title: None, settings: Some(Box::new(settings)) };
            session.request(connection.actor()?, None, request).await?;
        }
        Ok(())
    }

    /// The session, and what is said to it with its images in the store.
    async fn with_input(
        &self,
        id: SessionId,
        said: Vec<InputPart>,
        connection: &Connection,
    ) -> Result<(SessionHandle, Vec<InputPart>), ProtocolError> {
        let session = self.0.session(id).await?;
        if said.iter().any(|part| matches!(part, InputPart::Image { .. })) {
            let settings = session.summary().await?.settings;
            let circumstances = Arc::clone(&self.0.circumstances);
            blocking(move || models::check_images(circumstances.of(id)?.settings(), &settings)).await?;
        }
        let input = input::take_in(self.0.store.blobs(), id, said).await?;
        let input = self.with_skills(id, &session, input, connection).await?;
        Ok((session, input))
    }

    /// What is said, with the skills that it calls for beside it.
    pub(super) async fn with_skills(
        &self,
        id: SessionId,
        session: &SessionHandle,
        mut input: Vec<InputPart>,
        connection: &Connection,
    ) -> Result<Vec<InputPart>, ProtocolError> {
        let words = skills::words(&input);
        if words.is_empty() {
            return Ok(input);
        }
        let cwd = session.summary().await?.settings.cwd;
        let daemon = Arc::clone(&self.0);
        let client = Arc::clone(&connection.client()?.environment);
        let called = blocking(move || {
            let known = daemon.circumstances.of(id)?;
            let environment = daemon.circumstances.effective(&client);
            let folders = skills::Folders::of(&daemon.folders.config, environment);
            let parts = daemon.world.projects().of(&cwd);
            Ok(skills::Found::of(&folders, known.settings(), &parts.skills).called(&words))
        });
        input.extend(called.await?);
        Ok(input)
    }

    /// What is said, with what it mentions of MCP servers beside it. What can't be read is not said without it: it
    /// stands in the text, and the model would guess.
    pub(super) async fn with_resources(
        &self,
        id: SessionId,
        session: &SessionHandle,
        mut input: Vec<InputPart>,
    ) -> Result<Vec<InputPart>, ProtocolError> {
        let mentions = ::mcp::mentions(&input::words(&input));
        if mentions.is_empty() {
            return Ok(input);
        }
        let settings = session.summary().await?.settings;
        let daemon = Arc::clone(&self.0);
        let recipes = move || Ok(daemon.mcp.of_session(id, &settings, daemon.world.projects()));
        let recipes = blocking(recipes).await?;
        let read = self.0.mcp.servers().mentioned(&recipes, &mentions).await;
        let read = read.map_err(|error| {
            refused(&error)
                .with_hint("Nothing was said; `@server:address` in a text has the server asked for it")
        })?;
        let part = |(Mention { server, uri }, text)| InputPart::Resource { server, uri, text };
        input.extend(read.into_iter().map(part));
        Ok(input)
    }

    /// Lets the turn run with the environment of who starts it.
    async fn refresh(&self, id: SessionId, connection: &Connection) -> Result<(), ProtocolError> {
        let circumstances = Arc::clone(&self.0.circumstances);
        let environment = Arc::clone(&connection.client()?.environment);
        blocking(move || circumstances.refresh(id, &environment)).await
    }

    /// Waits for the MCP servers without which no turn begins.
    async fn require_servers(&self, id: SessionId, session: &SessionHandle) -> Result<(), ProtocolError> {
        if !self.0.mcp.are_required(id) {
            return Ok(());
        }
        let settings = session.summary().await?.settings;
        let daemon = Arc::clone(&self.0);
        let recipes = move || Ok(daemon.mcp.of_session(id, &settings, daemon.world.projects()));
        self.0.mcp.require(&blocking(recipes).await?).await
    }

    /// Lets a turn that has no client's environment go on with that of who acts on it.
    pub(super) async fn lend(&self, id: SessionId, connection: &Connection) -> Result<(), ProtocolError> {
        let circumstances = Arc::clone(&self.0.circumstances);
        let environment = Arc::clone(&connection.client()?.environment);
        blocking(move || circumstances.lend(id, &environment)).await
    }
}

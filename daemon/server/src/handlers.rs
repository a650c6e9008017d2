//! The methods: one file per resource. A handler checks what a client sent, asks the session or the store, and
//! shapes the answer. Work never lives in a handler, because a client that goes away ends its calls.

mod account;
mod agent;
mod config;
mod daemon;
mod diff;
mod hook;
mod initialize;
mod language_server;
mod mcp;
mod model;
mod output;
mod question;
mod queue;
mod rewind;
mod session;
mod skill;
mod tool;
mod trust;
mod turn;
mod usage;

use std::path::Path;
use std::sync::Arc;

use jsonrpsee::server::{Methods, RegisterMethodError, SubscriptionSink};
use jsonrpsee::{Extensions, PendingSubscriptionSink};
use protocol::api::account::AccountServer;
use protocol::api::agent::AgentServer;
use protocol::api::config::ConfigServer;
use protocol::api::daemon::DaemonServer;
use protocol::api::diff::DiffServer;
use protocol::api::hook::HooksServer;
use protocol::api::initialize::InitializeServer;
use protocol::api::language_server::LanguageServersServer;
use protocol::api::mcp::McpServer;
use protocol::api::model::ModelServer;
use protocol::api::output::OutputServer;
use protocol::api::question::QuestionServer;
use protocol::api::queue::QueueServer;
use protocol::api::rewind::RewindServer;
use protocol::api::session::SessionServer;
use protocol::api::skill::SkillsServer;
use protocol::api::tool::ToolsServer;
use protocol::api::trust::TrustServer;
use protocol::api::turn::TurnServer;
use protocol::api::usage::UsageServer;
use protocol::error::{ErrorCode, ProtocolError};

use crate::connection::Connection;
use crate::daemon::Daemon;
use crate::middleware;

/// All handlers.
#[derive(Clone)]
struct Handlers(Arc<Daemon>);

/// The table of methods.
///
/// # Errors
/// Two methods of one name.
pub(crate) fn methods(daemon: &Arc<Daemon>) -> Result<Methods, RegisterMethodError> {
    let handlers = Handlers(Arc::clone(daemon));
    let mut methods = Methods::new();
    methods.merge(InitializeServer::into_rpc(handlers.clone()))?;
    methods.merge(SessionServer::into_rpc(handlers.clone()))?;
    methods.merge(AgentServer::into_rpc(handlers.clone()))?;
    methods.merge(TurnServer::into_rpc(handlers.clone()))?;
    methods.merge(QuestionServer::into_rpc(handlers.clone()))?;
    methods.merge(QueueServer::into_rpc(handlers.clone()))?;
    methods.merge(RewindServer::into_rpc(handlers.clone()))?;
    methods.merge(DiffServer::into_rpc(handlers.clone()))?;
    methods.merge(OutputServer::into_rpc(handlers.clone()))?;
    methods.merge(UsageServer::into_rpc(handlers.clone()))?;
    methods.merge(AccountServer::into_rpc(handlers.clone()))?;
    methods.merge(ModelServer::into_rpc(handlers.clone()))?;
    methods.merge(McpServer::into_rpc(handlers.clone()))?;
    methods.merge(LanguageServersServer::into_rpc(handlers.clone()))?;
    methods.merge(HooksServer::into_rpc(handlers.clone()))?;
    methods.merge(SkillsServer::into_rpc(handlers.clone()))?;
    methods.merge(ToolsServer::into_rpc(handlers.clone()))?;
    methods.merge(ConfigServer::into_rpc(handlers.clone()))?;
    methods.merge(TrustServer::into_rpc(handlers.clone()))?;
    methods.merge(DaemonServer::into_rpc(handlers))?;
    Ok(methods)
}

/// The connection of a call; the guard has put it there.
fn caller(extensions: &Extensions) -> Result<&Arc<Connection>, ProtocolError> {
    extensions
        .get::<Arc<Connection>>()
        .ok_or_else(|| ProtocolError::new(ErrorCode::Internal, "The call came over no connection"))
}

/// Begins a feed; absent when the client is gone or has left it already. A client hears of a feed before jsonrpsee has
/// put it down, and an end that comes in between finds nothing to end.
async fn accept(pending: PendingSubscriptionSink, connection: &Connection) -> Option<SubscriptionSink> {
    let beginning = connection.begin(middleware::name(&pending.subscription_id()));
    let sink = pending.accept().await.ok()?;
    (!beginning.is_left()).then_some(sink)
}

/// An error for a path that begins nowhere.
fn refuse_relative(path: &Path) -> Result<(), ProtocolError> {
    if path.is_absolute() {
        return Ok(());
    }
    let message = format!("`{}` is not an absolute path", path.display());
    Err(ProtocolError::new(ErrorCode::InvalidRequest, message))
}

/// Runs what looks at files on a thread that may wait for them.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ProtocolError> + Send + 'static,
) -> Result<T, ProtocolError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(ProtocolError::new(ErrorCode::Internal, "A task of the daemon failed inside"))
    })
}

/// A reply that does not belong to the request.
fn unexpected(reply: &::session::effect::Reply) -> ProtocolError {
    ProtocolError::new(ErrorCode::Internal, format!("The session answered something else: {reply:?}"))
}

#[cfg(test)]
mod tests;

//! What the daemon has to say of agents.

use futures_util::future::BoxFuture;
use protocol::error::ProtocolError;
use protocol::ids::SessionId;
use protocol::session::SessionSettings;
use tools::agents::NewAgent;

/// How many agents there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How far below a session that is none.
    pub max_depth: u32,
    /// That work at the same time, in one tree.
    pub max_live: u32,
}

/// The daemon.
pub trait Office: Send + Sync {
    /// The limits that hold for a session.
    ///
    /// # Errors
    /// `InvalidRequest` when the settings are malformed.
    fn limits(&self, session: SessionId) -> Result<Limits, ProtocolError>;

    /// What holds in an agent that a session with these settings wants, which is never more than they allow; and lends it
    /// what the daemon knows of that session.
    ///
    /// # Errors
    /// `InvalidRequest` when there is no such model, say.
    fn settle(
        &self,
        parent: SessionId,
        agent: SessionId,
        settings: SessionSettings,
        wish: NewAgent,
    ) -> BoxFuture<'_, Result<SessionSettings, ProtocolError>>;

    /// Gets ready what its first turn needs.
    ///
    /// # Errors
    /// What keeps the turn from beginning.
    fn prepare(
        &self,
        agent: SessionId,
        settings: SessionSettings,
    ) -> BoxFuture<'_, Result<(), ProtocolError>>;

    /// Forgets what it knows of an agent that is gone.
    fn forget(&self, agent: SessionId);
}

//! What the daemon hands in, so that a session needs no provider, no sandbox and no file system.

use std::ffi::OsString;
use std::sync::Arc;

use model::client::ModelClient;
use protocol::error::ProtocolError;
use protocol::ids::{SessionId, Timestamp};
use protocol::profile::Profile;
use protocol::question::QuestionKind;
use protocol::session::SessionSettings;

use crate::moment::Rules;

/// Variables of commands.
pub type CommandEnvironment = Arc<[(OsString, OsString)]>;

/// The daemon, as a session sees it.
pub trait World: Send + Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// The client for the session's provider, with the key of this session's client.
    ///
    /// # Errors
    /// `InvalidRequest` when the settings name no such provider, or one that can't be used.
    fn model(
        &self,
        session: SessionId,
        settings: &SessionSettings,
    ) -> Result<Arc<dyn ModelClient>, ProtocolError>;

    /// What commands of the session may touch now. Looks at the file system.
    fn profile(&self, settings: &SessionSettings) -> Profile;

    /// The rules that people wrote, and what they allowed for good.
    fn rules(&self) -> Rules;

    /// Writes the rule that was proposed with the question.
    ///
    /// # Errors
    /// When it can't be written.
    fn allow_always(&self, kind: &QuestionKind) -> Result<(), ProtocolError>;

    /// The environment of the session's commands, secrets removed.
    fn environment(&self, session: SessionId) -> CommandEnvironment;
}

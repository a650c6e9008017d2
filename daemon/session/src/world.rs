//! What the daemon hands in, so that a session needs no provider, no sandbox and no file system.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use model::client::ModelClient;
use protocol::error::ProtocolError;
use protocol::event::Event;
use protocol::ids::{ItemId, SessionId, Timestamp};
use protocol::profile::Profile;
use protocol::question::QuestionKind;
use protocol::session::SessionSettings;
use tools::agents::{Agents, NoAgents};
use tools::diagnostics::{Diagnostics, NoDiagnostics};
use tools::tool::Tool;
use tools::tool_suggest::Suggestions;

use crate::file_history::FileHistory;
use crate::hooks::{HookAnswer, HookPoints, HookRequest, SessionEnd};
use crate::moment::Rules;
use crate::state::SessionState;

/// Variables of commands.
pub type CommandEnvironment = Arc<[(OsString, OsString)]>;

/// Tools that come from outside.
pub type OutsideTools = Arc<[Arc<dyn Tool>]>;

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

    /// What commands of the session may touch now, and what stays protected in folders that a person let it write. Looks at
    /// the file system, which may take long; the future waits for it without holding anybody up.
    fn profile(&self, settings: &SessionSettings, granted: &[PathBuf]) -> BoxFuture<'static, Profile>;

    /// The tools that the session has from outside, such as those of MCP servers, also those that a person enabled; the
    /// same allocation for as long as they are the same. Waits for nothing.
    fn tools(
        &self,
        _session: SessionId,
        _settings: &SessionSettings,
        _enabled: &BTreeSet<String>,
    ) -> OutsideTools {
        OutsideTools::from([])
    }

    /// What a person could enable for the session beyond what was enabled; `None` if there is nothing.
    fn suggestions(
        &self,
        _session: SessionId,
        _settings: &SessionSettings,
        _enabled: &BTreeSet<String>,
    ) -> Option<Suggestions> {
        None
    }

    /// The rules that people wrote, and what they allowed for good, as they hold where the session works. Looks at the
    /// file system.
    fn rules(&self, settings: &SessionSettings) -> Rules;

    /// Writes the rule that was proposed with the question.
    ///
    /// # Errors
    /// When it can't be written.
    fn allow_always(&self, kind: &QuestionKind) -> Result<(), ProtocolError>;

    /// Where hooks are to be asked in the session. Looks at the file system.
    fn hook_points(&self, _session: SessionId, _settings: &SessionSettings) -> HookPoints {
        HookPoints::default()
    }

    /// Asks hooks. Always ends; dropping the future ends what it started.
    fn ask_hooks(&self, _request: HookRequest) -> BoxFuture<'static, HookAnswer> {
        Box::pin(std::future::ready(HookAnswer::default()))
    }

    /// Tells hooks that a session that had a turn leaves the memory. Waits for none of them.
    fn session_ended(&self, _session: SessionId, _settings: &SessionSettings, _end: SessionEnd) {}

    /// The agents of the session, for a call of its model's.
    fn agents(&self, _session: SessionId, _call: ItemId) -> Arc<dyn Agents> {
        Arc::new(NoAgents)
    }

    /// Hears of an event that those above and below the session may mind: `TurnEnded`, `QuestionAsked` or
    /// `SessionArchived`. It is on disk. Waits for nothing.
    fn happened(&self, _state: &SessionState, _event: &Event) {}

    /// Hears that a session is gone. Waits for nothing.
    fn deleted(&self, _session: SessionId) {}

    /// The environment of the session's commands, secrets removed.
    fn environment(&self, session: SessionId, settings: &SessionSettings) -> CommandEnvironment;

    /// What finds errors in files that the session changes. Waits for nothing.
    fn diagnostics(&self, _session: SessionId, _settings: &SessionSettings) -> Arc<dyn Diagnostics> {
        Arc::new(NoDiagnostics)
    }

    /// What watches files. `None` where nothing does: then nothing in them can be taken back.
    fn files(&self) -> Option<Arc<dyn FileHistory>> {
        None
    }
}

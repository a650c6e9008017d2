//! What hooks can be about, by the names that files have for it.

/// Something that happens, and that hooks are run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HookEvent {
    /// A session has its first turn since it was loaded.
    SessionStart,
    /// A session leaves the memory of the daemon, or is deleted.
    SessionEnd,
    /// A person said something.
    UserPromptSubmit,
    /// A tool is about to be called.
    PreToolUse,
    /// A person is about to be asked whether a call may be made.
    PermissionRequest,
    /// A tool has run.
    PostToolUse,
    /// A session is about to be compacted.
    PreCompact,
    /// A session was compacted.
    PostCompact,
    /// The model had its last word.
    Stop,
    /// An agent, which a model started, has its first turn since it was loaded.
    SubagentStart,
    /// The model of an agent had its last word.
    SubagentStop,
    /// A person is told that a session needs them, or is done.
    Notification,
}

/// Events of other programs that do not happen here, or not yet.
const NOT_HERE: [&str; 5] =
    ["Interrupt", "PreModelRequest", "PostModelRequest", "PostToolUseFailure", "Setup"];

impl HookEvent {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::SessionStart,
        Self::SessionEnd,
        Self::UserPromptSubmit,
        Self::PreToolUse,
        Self::PermissionRequest,
        Self::PostToolUse,
        Self::PreCompact,
        Self::PostCompact,
        Self::Stop,
        Self::SubagentStart,
        Self::SubagentStop,
        Self::Notification,
    ];

    /// The name in files and on standard input.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionStart => "SessionStart",
            Self::SessionEnd => "SessionEnd",
            Self::UserPromptSubmit => "UserPromptSubmit",
            Self::PreToolUse => "PreToolUse",
            Self::PermissionRequest => "PermissionRequest",
            Self::PostToolUse => "PostToolUse",
            Self::PreCompact => "PreCompact",
            Self::PostCompact => "PostCompact",
            Self::Stop => "Stop",
            Self::SubagentStart => "SubagentStart",
            Self::SubagentStop => "SubagentStop",
            Self::Notification => "Notification",
        }
    }

    /// The event of this name.
    ///
    /// # Errors
    /// Why there is none, for a person.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        if let Some(event) = Self::ALL.into_iter().find(|event| event.as_str() == name) {
            return Ok(event);
        }
        Err(if NOT_HERE.contains(&name) {
            format!("Hooks for `{name}` are not run by this version")
        } else {
            format!("There is no event `{name}`")
        })
    }
}

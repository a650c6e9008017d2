//! What the policy can be asked about, and what it says of changes of files. `verdict` says what it says of commands.

use protocol::profile::ApprovalPolicy;

/// What the model wants to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action<'a> {
    /// Run a command.
    Command {
        /// The argument vector.
        argv: &'a [String],
        /// Whether the model asks to leave the sandbox for it.
        is_escalated: bool,
    },
    /// Change files.
    FileChange,
}

/// Why a person is asked before files are changed; `None` if nobody is. Where they may be changed is the profile's.
#[must_use]
pub fn asks_about_file_changes(approval: ApprovalPolicy) -> Option<&'static str> {
    match approval {
        ApprovalPolicy::Untrusted => Some("Files would be changed (approval policy `untrusted`)"),
        ApprovalPolicy::OnRequest | ApprovalPolicy::Never => None,
    }
}

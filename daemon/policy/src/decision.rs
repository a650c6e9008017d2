//! Says of one action whether it runs, is asked about, or is refused.

use protocol::profile::{ApprovalPolicy, SandboxMode};

use crate::harmless;

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

/// What is to be done with an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It runs.
    Run,
    /// A person is asked.
    Ask {
        /// Why, for the person.
        reason: &'static str,
    },
    /// It does not run.
    Refuse {
        /// Why, for the model.
        reason: &'static str,
    },
}

/// Decides. What a person allowed before is the caller's to know.
#[must_use]
pub fn decide(action: Action<'_>, approval: ApprovalPolicy, sandbox: SandboxMode) -> Decision {
    let is_escalated = match action {
        Action::Command { is_escalated, .. } => is_escalated && sandbox != SandboxMode::DangerFullAccess,
        Action::FileChange => false,
    };
    match approval {
        ApprovalPolicy::Never if is_escalated => Decision::Refuse {
            reason: "Leaving the sandbox needs a person's approval, and the approval policy is `never`. \
                     Find a way inside the sandbox, or say what can't be done",
        },
        ApprovalPolicy::Never => Decision::Run,
        ApprovalPolicy::OnRequest if is_escalated => {
            Decision::Ask { reason: "The agent asks to run this command outside the sandbox" }
        }
        ApprovalPolicy::OnRequest => Decision::Run,
        ApprovalPolicy::Untrusted => match action {
            Action::Command { .. } if is_escalated => {
                Decision::Ask { reason: "The agent asks to run this command outside the sandbox" }
            }
            Action::Command { argv, .. } if harmless::is_harmless(argv) => Decision::Run,
            Action::Command { .. } => Decision::Ask {
                reason: "The command is not known to be harmless (approval policy `untrusted`)",
            },
            Action::FileChange => {
                Decision::Ask { reason: "Files would be changed (approval policy `untrusted`)" }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_follow_the_table() {
        use ApprovalPolicy::{Never, OnRequest, Untrusted};
        use SandboxMode::{DangerFullAccess, WorkspaceWrite};
        let list = ["ls".to_owned()];
        let make = ["make".to_owned()];
        let command = |argv, is_escalated| Action::Command { argv, is_escalated };
        let cases = [
            (command(&list, false), Untrusted, WorkspaceWrite, "run"),
            (command(&make, false), Untrusted, WorkspaceWrite, "ask"),
            (command(&list, true), Untrusted, WorkspaceWrite, "ask"),
            (Action::FileChange, Untrusted, WorkspaceWrite, "ask"),
            (command(&make, false), OnRequest, WorkspaceWrite, "run"),
            (command(&make, true), OnRequest, WorkspaceWrite, "ask"),
            (command(&make, true), OnRequest, DangerFullAccess, "run"),
            (Action::FileChange, OnRequest, WorkspaceWrite, "run"),
            (command(&make, false), Never, WorkspaceWrite, "run"),
            (command(&make, true), Never, WorkspaceWrite, "refuse"),
            (command(&make, true), Never, DangerFullAccess, "run"),
            (Action::FileChange, Never, WorkspaceWrite, "run"),
        ];
        for (action, approval, sandbox, expected) in cases {
            let found = match decide(action, approval, sandbox) {
                Decision::Run => "run",
                Decision::Ask { .. } => "ask",
                Decision::Refuse { .. } => "refuse",
            };
            assert_eq!(found, expected, "{action:?} {approval:?} {sandbox:?}");
        }
    }
}

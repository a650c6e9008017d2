//! The system prompt of a session: how to work, where it is, what the repository's own files say.

use std::fmt::Write;

use protocol::profile::{ApprovalPolicy, NetworkAccess, SandboxMode};
use protocol::session::{InstructionFile, InstructionKind, SessionSettings};

/// The system prompt. A function of the session's settings and instruction files alone.
#[must_use]
pub fn system_prompt(settings: &SessionSettings, files: &[InstructionFile]) -> String {
    let mut text = include_str!("prompts/base.md").to_owned();
    text.push('\n');
    surroundings(&mut text, settings);
    for file in files {
        // Writing to a string does not fail.
        let said = file.text.trim_end();
        let _ = match &file.kind {
            InstructionKind::Skills => write!(text, "\n# Skills\n{said}\n"),
            InstructionKind::File | InstructionKind::Unknown(_) => {
                write!(text, "\n# Instructions from `{}`\n{said}\n", file.path.display())
            }
        };
        if file.is_truncated {
            text.push_str("(The file is longer; the rest was left out. Read it if it matters.)\n");
        }
    }
    if let Some(instructions) = &settings.developer_instructions {
        let _ =
            write!(text, "\n# Instructions of the person for this session\n{}\n", instructions.trim_end());
    }
    text
}

fn surroundings(text: &mut String, settings: &SessionSettings) {
    let sandbox = match settings.sandbox {
        SandboxMode::ReadOnly => "files can be read, nothing can be written",
        SandboxMode::WorkspaceWrite if settings.is_tmp_writable => {
            "this folder and the temporary folder can be written; `.git` is read-only"
        }
        SandboxMode::WorkspaceWrite => "this folder can be written; `.git` is read-only",
        SandboxMode::DangerFullAccess => "none, everything can be written",
    };
    let network = match (settings.sandbox, settings.network) {
        (SandboxMode::DangerFullAccess, _) | (SandboxMode::WorkspaceWrite, NetworkAccess::Full) => "open",
        (SandboxMode::WorkspaceWrite, NetworkAccess::Rules) => "open for some hosts, through a proxy",
        (SandboxMode::ReadOnly, _) | (SandboxMode::WorkspaceWrite, NetworkAccess::Off) => "closed",
    };
    let approval = match settings.approval {
        ApprovalPolicy::Untrusted => "a person is asked before most commands and every change",
        ApprovalPolicy::OnRequest => "`escalate` asks a person to let a command out of the sandbox",
        ApprovalPolicy::Never => "nobody can be asked; `escalate` is refused",
    };
    let _ = write!(
        text,
        "Folder: {}\nSandbox: {sandbox}; network {network}; {approval}.\n",
        settings.cwd.display()
    );
    for root in &settings.additional_roots {
        let _ = writeln!(text, "Also writable: {}", root.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_person_says_for_the_session_comes_last() {
        let settings: SessionSettings = serde_json::from_value(serde_json::json!({
            "cwd": "/repo", "provider": "p", "model": "m", "sandbox": "read-only", "approval": "never",
            "isTmpWritable": true, "developerInstructions": "Make a plan.\n",
        }))
        .unwrap();
        let file = InstructionFile {
            path: "/repo/AGENTS.md".into(),
            text: "Tabs.".into(),
            is_truncated: false,
            kind: InstructionKind::File,
        };
        let prompt = system_prompt(&settings, &[file]);
        assert!(prompt.ends_with("Tabs.\n\n# Instructions of the person for this session\nMake a plan.\n"));
    }
}

//! What the policy says of an item that is to be carried out: it runs, a person is asked, or it does not run.

use policy::decision::{Action, asks_about_file_changes};
use policy::rules::{Decision, propose};
use policy::started::can_wait;
use policy::verdict::{Cause, Intent, evaluate};
use protocol::item::{Command, ItemBody, OtherToolCall};
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::question::QuestionKind;
use protocol::session::SessionSettings;
use tools::tool::action;

use crate::moment::Rules;

/// What is to be done with an item.
#[derive(Debug)]
pub(crate) enum Judgement {
    /// It runs.
    Run,
    /// It does not.
    Refuse {
        /// Why, for the model.
        reason: String,
    },
    /// A person is asked.
    Ask {
        /// What.
        kind: QuestionKind,
        /// Why, for the person.
        reason: String,
    },
}

/// Judges an item. What a person allowed in this session is the caller's to know.
pub(crate) fn judge(body: &ItemBody, settings: &SessionSettings, rules: &Rules) -> Judgement {
    match (action(body), body) {
        (Some(Action::Command { .. }), ItemBody::Command(command)) => of_command(command, settings, rules),
        (Some(Action::FileChange), ItemBody::FileChange(change)) => {
            match asks_about_file_changes(settings.approval) {
                Some(reason) => {
                    let kind = QuestionKind::FileChange { patch: change.call.input.text().to_owned() };
                    Judgement::Ask { kind, reason: reason.to_owned() }
                }
                None => Judgement::Run,
            }
        }
        (None, ItemBody::ToolCall(call)) => of_tool(call, settings),
        (Some(Action::Command { .. } | Action::FileChange) | None, _) => Judgement::Run,
    }
}

/// Who runs commands without asking and without a sandbox has nothing to fear of a tool.
fn of_tool(other: &OtherToolCall, settings: &SessionSettings) -> Judgement {
    let Some(consent) = &other.consent else { return Judgement::Run };
    match (settings.approval, settings.sandbox) {
        (ApprovalPolicy::Never, SandboxMode::DangerFullAccess) => Judgement::Run,
        (ApprovalPolicy::Never, SandboxMode::ReadOnly | SandboxMode::WorkspaceWrite) => Judgement::Refuse {
            reason: format!(
                "Not run: {}, and this session asks nobody (its approval is `never`). A person can allow the \
                 tool with `approval_mode = \"approve\"` in the settings.",
                consent.reason
            ),
        },
        (ApprovalPolicy::Untrusted | ApprovalPolicy::OnRequest, _) => {
            let kind = QuestionKind::Tool {
                server: other.server.clone(),
                tool: other.call.name.clone(),
                arguments: other.call.input.text().to_owned(),
                definition: consent.definition.clone(),
            };
            Judgement::Ask { kind, reason: consent.reason.clone() }
        }
    }
}

/// Judges a command that the sandbox stopped, and that is to run again outside of it. As with any other, what was asked
/// about is what runs.
pub(crate) fn of_stopped(
    kind: QuestionKind,
    reason: String,
    settings: &SessionSettings,
    rules: &Rules,
) -> Judgement {
    let QuestionKind::Command { argv, cwd, .. } = &kind else { return Judgement::Ask { kind, reason } };
    let intent = Intent { argv, cwd, folder: &settings.cwd, is_escalated: true };
    let verdict = evaluate(&intent, rules, settings.approval, settings.sandbox);
    match verdict.decision {
        // By the rule alone it would have left at once; so what would run is not surely what the rule means.
        Decision::Allow => {
            let reason = format!("{reason}. {}, but it could not leave by that", verdict.reason);
            Judgement::Ask { kind, reason }
        }
        Decision::Forbid => Judgement::Refuse { reason: verdict.reason },
        Decision::Prompt => {
            let proposed = propose(&intent, &verdict, rules).map(|proposal| proposal.to_string());
            let reason = match verdict.cause {
                Cause::Escalation => reason,
                Cause::Rule
                | Cause::BrokenRules
                | Cause::Undecided
                | Cause::Danger
                | Cause::Unknown
                | Cause::Harmless
                | Cause::NoObjection => format!("{reason}. {}", verdict.reason),
            };
            Judgement::Ask { kind: with_rule(kind, proposed), reason }
        }
    }
}

fn with_rule(mut kind: QuestionKind, rule: Option<String>) -> QuestionKind {
    if let QuestionKind::Command { proposed_rule, .. } = &mut kind {
        *proposed_rule = rule;
    }
    kind
}

fn of_command(command: &Command, settings: &SessionSettings, rules: &Rules) -> Judgement {
    let Command { argv, cwd, is_escalated, .. } = command;
    let intent = Intent { argv, cwd, folder: &settings.cwd, is_escalated: *is_escalated };
    let verdict = evaluate(&intent, rules, settings.approval, settings.sandbox);
    match verdict.decision {
        Decision::Allow => Judgement::Run,
        Decision::Forbid => Judgement::Refuse { reason: verdict.reason },
        // In a script only the program that a rule names is asked about, when it starts.
        Decision::Prompt if can_wait(&intent, &verdict, rules) => Judgement::Run,
        Decision::Prompt => {
            let proposed = propose(&intent, &verdict, rules);
            let kind = command_kind(command, proposed.map(|proposal| proposal.to_string()));
            Judgement::Ask { kind, reason: verdict.reason }
        }
    }
}

/// What is asked about a command before it begins.
pub(crate) fn command_kind(command: &Command, proposed_rule: Option<String>) -> QuestionKind {
    QuestionKind::Command {
        command: command.command.clone(),
        argv: command.argv.clone(),
        cwd: command.cwd.clone(),
        is_escalated: command.is_escalated,
        justification: command.justification.clone(),
        refusals: Vec::new(),
        proposed_rule,
    }
}

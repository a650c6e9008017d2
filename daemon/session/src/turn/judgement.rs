//! What the policy says of an item that is to be carried out: it runs, a person is asked, or it does not run.

use policy::decision::{Action, asks_about_file_changes};
use policy::rules::{Decision, propose};
use policy::verdict::{Intent, evaluate};
use protocol::item::{Command, ItemBody};
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
        (Some(Action::Command { .. } | Action::FileChange) | None, _) => Judgement::Run,
    }
}

fn of_command(command: &Command, settings: &SessionSettings, rules: &Rules) -> Judgement {
    let Command { argv, cwd, is_escalated, .. } = command;
    let intent = Intent { argv, cwd, is_escalated: *is_escalated };
    let verdict = evaluate(&intent, rules, settings.approval, settings.sandbox);
    match verdict.decision {
        Decision::Allow => Judgement::Run,
        Decision::Forbid => Judgement::Refuse { reason: verdict.reason },
        Decision::Prompt => {
            let proposed = propose(&intent, &verdict, rules);
            let kind = QuestionKind::Command {
                command: command.command.clone(),
                argv: argv.clone(),
                cwd: cwd.clone(),
                is_escalated: *is_escalated,
                justification: command.justification.clone(),
                refusals: Vec::new(),
                proposed_rule: proposed.map(|proposal| proposal.to_string()),
            };
            Judgement::Ask { kind, reason: verdict.reason }
        }
    }
}

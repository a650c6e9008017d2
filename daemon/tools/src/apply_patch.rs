//! `apply_patch`: changes files by a patch. Knows how a patch comes in and what becomes of the item; the format
//! is `patch`'s, the files are `changes`'s.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use policy::profile::unrestricted;
use protocol::item::{FileChange, ItemBody, ItemStatus};
use protocol::tool::{CallInput, Grammar, ToolCall, ToolInput, ToolSpecification};
use serde::Deserialize;

use crate::changes::{self, Applied};
use crate::diagnostics::Edited;
use crate::exec_command;
use crate::patch::heredoc::{Recognised, recognise};
use crate::plain;
use crate::seen::SeenFiles;
use crate::shell;
use crate::tool::{CallError, RunContext, RunOutcome, Tool};

pub use crate::changes::{Mode, PatchError};

/// The tool's name.
pub const NAME: &str = "apply_patch";

/// Changes files.
pub struct ApplyPatch;

/// The arguments, from a provider that has no freeform tools.
#[derive(Deserialize)]
struct Arguments {
    input: String,
}

impl Tool for ApplyPatch {
    fn specification(&self) -> ToolSpecification {
        ToolSpecification {
            name: NAME.to_owned(),
            description: include_str!("apply_patch.md").trim().to_owned(),
            input: ToolInput::Freeform {
                grammar: Some(Grammar {
                    syntax: "lark".to_owned(),
                    definition: include_str!("apply_patch.lark").to_owned(),
                }),
            },
        }
    }

    /// A text that is no patch is an item too, one that has failed already: people see what was tried.
    fn prepare(&self, call: &ToolCall, cwd: &Path) -> Result<ItemBody, CallError> {
        Ok(item(call, &input(call)?, cwd))
    }

    /// Once it has begun to change files, it ends with all of them changed or none, even if the future is
    /// dropped.
    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        Box::pin(async move {
            match body {
                ItemBody::FileChange(change) => run(change, context).await,
                other => RunOutcome { status: ItemStatus::Failed, body: other },
            }
        })
    }
}

/// The item of a patch that came as a shell command: a call of `apply_patch` with a heredoc, perhaps in another
/// folder. `None` for any other command.
pub(crate) fn from_shell(call: &ToolCall, argv: &[String], cwd: &Path) -> Option<ItemBody> {
    Some(match recognise(argv)? {
        Recognised::Call { folder, patch } => item(call, &patch, &cwd.join(folder)),
        Recognised::BarePatch => {
            failed(call, "This is a patch, not a command. Call the tool `apply_patch` with it.".to_owned())
        }
    })
}

/// Applies a patch for a person, who may change any file. Relative paths start from this folder. Blocking.
///
/// # Errors
/// Why it was not applied, and what was changed all the same.
pub fn apply_by_hand(patch: &str, cwd: &Path, mode: Mode) -> Result<String, PatchError> {
    let patch = changes::read(patch)?;
    changes::carry_out(&patch, cwd, &Arc::new(unrestricted()), &SeenFiles::default(), mode)
        .map(|applied| applied.summary)
}

fn item(call: &ToolCall, patch: &str, folder: &Path) -> ItemBody {
    match changes::read(patch) {
        Ok(patch) => {
            let changes = changes::preview(&patch, folder);
            ItemBody::FileChange(FileChange { call: call.clone(), changes, message: None })
        }
        Err(error) => failed(call, error.to_string()),
    }
}

fn failed(call: &ToolCall, message: String) -> ItemBody {
    ItemBody::FileChange(FileChange { call: call.clone(), changes: Vec::new(), message: Some(message) })
}

/// The text in a call of this tool.
fn input(call: &ToolCall) -> Result<Cow<'_, str>, CallError> {
    match &call.input {
        CallInput::Freeform(patch) => Ok(patch.into()),
        CallInput::Json(text) => {
            let arguments: Result<Arguments, _> = serde_json::from_str(text);
            let bad = |reason: String| CallError::BadArguments { tool: NAME.to_owned(), reason };
            Ok(arguments.map_err(|error| bad(error.to_string()))?.input.into())
        }
    }
}

async fn run(mut change: FileChange, context: RunContext) -> RunOutcome {
    let status = if change.message.is_some() {
        // It was no patch.
        ItemStatus::Failed
    } else if context.cancel.is_cancelled() {
        change.message = Some("Interrupted; nothing was changed.".to_owned());
        ItemStatus::Interrupted
    } else {
        let (call, by) = (change.call.clone(), context.clone());
        let carried_out = tokio::task::spawn_blocking(move || carry_out(&call, &by)).await;
        match carried_out.unwrap_or_else(|error| Err(format!("The patch was not carried out: {error}"))) {
            Ok(Applied { changes, summary, edited }) => {
                change.changes = changes;
                change.message = Some(match errors(edited, &context).await.as_str() {
                    "" => summary,
                    errors => format!("{summary}\n{errors}"),
                });
                ItemStatus::Completed
            }
            Err(message) => {
                change.message = Some(message);
                ItemStatus::Failed
            }
        }
    };
    RunOutcome { status, body: ItemBody::FileChange(change) }
}

/// The errors that came with the changes, unless the turn is interrupted meanwhile.
async fn errors(edited: Vec<Edited>, context: &RunContext) -> String {
    tokio::select! {
        biased;
        () = context.cancel.cancelled() => String::new(),
        errors = context.diagnostics.look(&context.cwd, edited) => plain::visible(&errors).into_owned(),
    }
}

/// Carries out the patch in a call of this tool or of one that runs commands.
fn carry_out(call: &ToolCall, context: &RunContext) -> Result<Applied, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let from_shell = match &*call.name {
        shell::NAME => Some(shell::understand(call, &context.cwd, "sh")),
        exec_command::NAME => Some(exec_command::understand(call, &context.cwd, "sh")),
        _ => None,
    };
    let (patch, folder) = if let Some(command) = from_shell {
        let command = command.map_err(|error| text(&error))?;
        match recognise(&command.argv) {
            Some(Recognised::Call { folder, patch }) => (patch.into(), command.cwd.join(folder)),
            Some(Recognised::BarePatch) | None => return Err("The command is no patch".to_owned()),
        }
    } else {
        (input(call).map_err(|error| text(&error))?, context.cwd.to_path_buf())
    };
    let patch = changes::read(&patch).map_err(|error| text(&error))?;
    let seen = context.belongings.seen();
    changes::carry_out(&patch, &folder, &context.profile, seen, Mode::AllOrNothing)
        .map_err(|error| text(&error))
}

#[cfg(test)]
mod tests;

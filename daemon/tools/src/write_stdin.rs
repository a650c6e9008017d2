//! `write_stdin`: types something into a process that goes on in the background, or looks at it.

use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::item::{Command, ItemBody, ItemStatus};
use protocol::question::{Decision, QuestionKind};
use protocol::tool::{ToolCall, ToolSpecification};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::arguments;
use crate::exec_command::{Call, failed, room, visit, waits};
use crate::plain;
use crate::processes::{Handle, OnCancel, Signal};
use crate::terminal::Size;
use crate::tool::{CallError, RunContext, RunOutcome, Tool};

/// The tool's name.
pub(crate) const NAME: &str = "write_stdin";
/// How long a call waits if the model does not say.
const DEFAULT_YIELD: Duration = Duration::from_secs(5);
/// What a terminal's user types to interrupt a program.
const INTERRUPT: &str = "\u{3}";

/// Types into processes.
pub(crate) struct WriteStdin;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    process_id: u32,
    #[serde(default)]
    chars: String,
    #[serde(default)]
    signal: Option<SignalArgument>,
    /// New size of its terminal
    #[serde(default)]
    size: Option<Size>,
    /// Default 5000
    #[serde(default)]
    yield_time_ms: Option<u64>,
    /// Default 8000
    #[serde(default)]
    max_output_tokens: Option<u32>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SignalArgument {
    Terminate,
    Kill,
}

impl Tool for WriteStdin {
    fn specification(&self) -> ToolSpecification {
        ToolSpecification {
            name: NAME.to_owned(),
            description: include_str!("write_stdin.md").trim().to_owned(),
            input: arguments::input::<Arguments>(),
        }
    }

    /// A command without an argument vector: it starts nothing.
    fn prepare(&self, call: &ToolCall, cwd: &Path) -> Result<ItemBody, CallError> {
        let arguments: Arguments = arguments::read(call)?;
        let id = arguments.process_id;
        if let Some(size) = arguments.size {
            size.read().map_err(|reason| CallError::BadArguments { tool: NAME.to_owned(), reason })?;
        }
        let typed = plain::visible(arguments.chars.trim_end_matches('\n'));
        let command = match (arguments.signal, arguments.chars.is_empty()) {
            (Some(SignalArgument::Terminate), _) => format!("(terminates process {id})"),
            (Some(SignalArgument::Kill), _) => format!("(kills process {id})"),
            (None, true) if arguments.size.is_some() => format!("(resizes the terminal of process {id})"),
            (None, true) => format!("(looks at process {id})"),
            (None, false) if arguments.chars == INTERRUPT => format!("(interrupts process {id})"),
            (None, false) => format!("(into process {id}) {typed}"),
        };
        Ok(ItemBody::Command(Command {
            call: call.clone(),
            command,
            argv: Vec::new(),
            cwd: cwd.to_owned(),
            is_escalated: false,
            justification: None,
            has_terminal: false,
            process_id: Some(id),
            timeout_ms: None,
            output_so_far: String::new(),
            outcome: None,
            message: None,
        }))
    }

    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        Box::pin(async move {
            match body {
                ItemBody::Command(command) => run(command, context).await,
                other => RunOutcome { status: ItemStatus::Failed, body: other },
            }
        })
    }
}

async fn run(command: Command, context: RunContext) -> RunOutcome {
    let Ok(arguments) = arguments::read::<Arguments>(&command.call) else {
        return failed(command, "The arguments can't be read any more".to_owned());
    };
    let id = arguments.process_id;
    let Some(handle) = context.belongings.processes().visit(id) else {
        let ids = context.belongings.processes().ids();
        let there =
            if ids.is_empty() { "none goes on".to_owned() } else { format!("those that go on: {ids:?}") };
        return failed(command, format!("There is no process {id} in this session; {there}"));
    };
    let size = arguments.size.and_then(|size| size.read().ok());
    if size.is_some() && !handle.has_terminal {
        return failed(command, format!("Process {id} has no terminal, so it has no size"));
    }
    // Nothing turns it into a signal on the way.
    let interrupts = !handle.has_terminal && arguments.chars == INTERRUPT;
    let typed = if interrupts { String::new() } else { arguments.chars.clone() };
    if handle.is_escalated && !typed.is_empty() {
        // Whatever is typed there is outside the sandbox, too.
        let denied = tokio::select! {
            denied = ask(&handle, &command, &arguments, &context) => denied,
            () = context.cancel.cancelled() => {
                let outcome = failed(command, "Interrupted; nothing was typed.".to_owned());
                return RunOutcome { status: ItemStatus::Interrupted, ..outcome };
            }
        };
        if let Some(message) = denied {
            return RunOutcome { status: ItemStatus::Declined, ..failed(command, message) };
        }
    }
    let signal = arguments.signal.map(|signal| match signal {
        SignalArgument::Terminate => Signal::Terminate,
        SignalArgument::Kill => Signal::Kill,
    });
    let signal = signal.or(interrupts.then_some(Signal::Interrupt));
    let call = Call {
        id,
        input: typed.into_bytes(),
        signal,
        size,
        waits: waits(arguments.yield_time_ms, DEFAULT_YIELD),
        room: room(arguments.max_output_tokens),
        on_cancel: OnCancel::Leave,
    };
    visit(command, &handle, call, &context).await.outcome
}

/// Asks whether this may be typed; says why not.
async fn ask(
    handle: &Handle,
    command: &Command,
    arguments: &Arguments,
    context: &RunContext,
) -> Option<String> {
    let kind = QuestionKind::Command {
        command: command.command.clone(),
        // What is allowed for longer is this text into this command, and nothing else.
        argv: vec![NAME.to_owned(), handle.command.clone(), arguments.chars.clone()],
        cwd: command.cwd.clone(),
        is_escalated: true,
        justification: None,
        refusals: Vec::new(),
        proposed_rule: None,
    };
    let reason = format!("It is typed into `{}`, which runs outside the sandbox", handle.command);
    match context.asker.ask(kind, reason).await {
        Decision::Allow { .. } => None,
        Decision::Deny { message } => {
            Some(message.unwrap_or_else(|| "A person did not let it be typed".to_owned()))
        }
        Decision::Reply { .. } | Decision::Content { .. } | Decision::Unknown(_) => {
            Some("The answer can't be understood".to_owned())
        }
    }
}

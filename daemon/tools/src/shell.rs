//! `shell`: runs a command in the sandbox and reports what it said.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use protocol::item::{Command, CommandExit, CommandOutcome, CommandOutput, ItemBody, ItemStatus, Refusal};
use protocol::tool::{CallInput, ToolCall, ToolInput, ToolSpecification};
use sandbox::{CommandRequest, Exit, Launcher, Output, SandboxError, Stdin, Stopped};
use serde::Deserialize;
use tokio::io::AsyncReadExt;

use crate::again::{self, Ran};
use crate::apply_patch;
use crate::interception::{self, Interceptor, Reading};
use crate::leave::{SandboxPermissions, Wish};
use crate::network;
use crate::output::{Collector, Room};
use crate::stopped;
use crate::tool::{CallError, RunContext, RunOutcome, Tool};

/// The tool's name.
pub const NAME: &str = "shell";

/// How long a command may run if the model does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a command may run at most.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// How long the output of a command that was killed may take to end.
const CLEARING: Duration = Duration::from_secs(5);

/// How long a command has at least when a person who was asked about a program of it has answered.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs commands.
pub struct Shell {
    launcher: Arc<Launcher>,
    shell: &'static str,
}

/// The arguments as the model writes them.
#[derive(Deserialize)]
struct Arguments {
    command: CommandArgument,
    #[serde(default, alias = "cwd")]
    workdir: Option<PathBuf>,
    #[serde(default, alias = "timeout")]
    timeout_ms: Option<u64>,
    #[serde(default, alias = "with_escalated_permissions")]
    escalate: bool,
    #[serde(default)]
    sandbox_permissions: Option<SandboxPermissions>,
    #[serde(default)]
    justification: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`command` must be a string or an array of strings")]
enum CommandArgument {
    Script(String),
    Argv(Vec<String>),
}

impl Shell {
    /// Uses this launcher.
    #[must_use]
    pub fn new(launcher: Arc<Launcher>) -> Self {
        Self { launcher, shell: path() }
    }
}

/// The shell that scripts are for.
#[must_use]
pub fn path() -> &'static str {
    if Path::new("/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" }
}

impl Tool for Shell {
    fn specification(&self) -> ToolSpecification {
        ToolSpecification {
            name: NAME.to_owned(),
            description: include_str!("shell.md").trim().to_owned(),
            input: ToolInput::Json {
                schema: serde_json::json!({
                    "type": "object",
                    "properties": {
                        "command": {"anyOf": [
                            {"type": "string"},
                            {"type": "array", "items": {"type": "string"}}
                        ]},
                        "workdir": {"type": "string", "description": "Default: the session's folder"},
                        "timeout_ms": {"type": "integer", "description": "Default 120000"},
                        "escalate": {"type": "boolean"},
                        "justification": {"type": "string"}
                    },
                    "required": ["command"]
                }),
            },
        }
    }

    fn prepare(&self, call: &ToolCall, cwd: &Path) -> Result<ItemBody, CallError> {
        let command = understand(call, cwd, self.shell)?;
        let change = apply_patch::from_shell(call, &command.argv, &command.cwd);
        Ok(change.unwrap_or(ItemBody::Command(command)))
    }

    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        let launcher = Arc::clone(&self.launcher);
        Box::pin(async move {
            match body {
                ItemBody::Command(command) => {
                    again::run(command, context, |command, context| run(&launcher, command, context)).await
                }
                other => RunOutcome { status: ItemStatus::Failed, body: other },
            }
        })
    }
}

/// Understands a call; scripts are for this shell.
pub(crate) fn understand(call: &ToolCall, cwd: &Path, shell: &str) -> Result<Command, CallError> {
    let bad = |reason: String| CallError::BadArguments { tool: NAME.to_owned(), reason };
    let CallInput::Json(text) = &call.input else {
        return Err(bad("A JSON object is expected".to_owned()));
    };
    let arguments: Arguments = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
    let wish = Wish { escalate: arguments.escalate, sandbox_permissions: arguments.sandbox_permissions };
    let is_escalated = wish.is_to_leave().map_err(bad)?;
    let (argv, command) = match arguments.command {
        CommandArgument::Script(script) => (vec![shell.to_owned(), "-c".to_owned(), script.clone()], script),
        CommandArgument::Argv(argv) => {
            let command = display(&argv);
            (argv, command)
        }
    };
    if argv.first().is_none_or(String::is_empty) {
        return Err(bad("`command` is empty".to_owned()));
    }
    if argv.iter().any(|argument| argument.contains('\0')) {
        return Err(bad("`command` holds a NUL character".to_owned()));
    }
    Ok(Command {
        call: call.clone(),
        command,
        argv,
        cwd: arguments.workdir.map_or_else(|| cwd.to_owned(), |folder| cwd.join(folder)),
        is_escalated,
        justification: arguments.justification,
        has_terminal: false,
        process_id: None,
        timeout_ms: arguments.timeout_ms,
        output_so_far: String::new(),
        outcome: None,
        message: None,
    })
}

async fn run(launcher: &Arc<Launcher>, mut command: Command, context: RunContext) -> Ran {
    let started = Instant::now();
    let timeout = command.timeout_ms.map_or(DEFAULT_TIMEOUT, Duration::from_millis).min(MAX_TIMEOUT);
    let mut met = Vec::new();
    let (status, outcome) = match execute(launcher, &command, &context, timeout).await {
        Ok(Executed { exit, output, refusals, stopped, notes }) => {
            met = stopped;
            let status = match exit {
                CommandExit::Code { code: 0 } => ItemStatus::Completed,
                CommandExit::Interrupted => ItemStatus::Interrupted,
                CommandExit::Code { .. }
                | CommandExit::Signal { .. }
                | CommandExit::TimedOut { .. }
                | CommandExit::GoesOn
                | CommandExit::Unknown(_) => ItemStatus::Failed,
            };
            stopped::tell(&mut command, &refusals);
            notes.into_iter().for_each(|note| stopped::add(&mut command, note));
            let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            (status, Some(CommandOutcome { exit, duration_ms, output, refusals }))
        }
        Err(error) => {
            command.message = Some(error.to_string());
            (ItemStatus::Failed, None)
        }
    };
    command.outcome = outcome;
    let outcome = RunOutcome { status, body: ItemBody::Command(command) };
    Ran { outcome, stopped: met, environment: context.environment }
}

/// What came of a command.
struct Executed {
    exit: CommandExit,
    output: CommandOutput,
    refusals: Vec<Refusal>,
    /// Those among them that its helper saw, and who met them.
    stopped: Vec<Stopped>,
    /// What became of the programs in it that did not simply run.
    notes: Vec<String>,
}

async fn execute(
    launcher: &Arc<Launcher>,
    command: &Command,
    context: &RunContext,
    timeout: Duration,
) -> Result<Executed, SandboxError> {
    let mut process = launcher
        .spawn(CommandRequest {
            argv: command.argv.iter().map(OsString::from).collect(),
            cwd: command.cwd.clone(),
            environment: context.environment.to_vec(),
            profile: context.profile.as_ref().clone(),
            stdin: Stdin::Null,
            output: Output::Piped,
            proxy: network::proxy(&context.profile),
            interception: interception::wanted(context),
        })
        .await?;
    let proxy = network::serve(&mut process, context);
    let mut interceptor = Interceptor::new(launcher, context, Arc::clone(&context.environment));
    let mut collector = Collector::new(Arc::clone(&context.spools), Room::DEFAULT);
    let mut buffer = vec![0_u8; 64 * 1024];
    let mut ended_early = None;
    let deadline = tokio::time::sleep(timeout);
    tokio::pin!(deadline);
    let mut output = process.take_output();
    let mut reading = Reading::GoesOn;
    let exit = loop {
        tokio::select! {
            read = output.read(&mut buffer), if reading == Reading::GoesOn => match read {
                Ok(0) => reading = Reading::IsOver,
                Ok(count) => {
                    let text = collector.push(&buffer[..count]).await;
                    if !text.is_empty() && context.progress.send(text).await.is_err() {
                        tracing::debug!("nobody watches the command any more");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "could not read the output of a command");
                    reading = Reading::IsOver;
                }
            },
            ended = interceptor.wait(&mut process, reading) => break ended?,
            () = &mut deadline, if reading == Reading::GoesOn || ended_early.is_none() => {
                if ended_early.is_none() && interceptor.is_asking() {
                    // It can't go on before a person answers.
                    deadline.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                    continue;
                }
                if ended_early.is_some() {
                    tracing::warn!("a killed command does not let go of its output");
                    reading = Reading::IsOver;
                    continue;
                }
                let after_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                ended_early = Some(CommandExit::TimedOut { after_ms });
                process.kill();
                interceptor.stop();
                deadline.as_mut().reset(tokio::time::Instant::now() + CLEARING);
            }
            () = context.cancel.cancelled(), if ended_early.is_none() => {
                ended_early = Some(CommandExit::Interrupted);
                process.kill();
                interceptor.stop();
                deadline.as_mut().reset(tokio::time::Instant::now() + CLEARING);
            }
        }
    };
    let exit = match exit {
        Exit::Code(code) => CommandExit::Code { code },
        Exit::Signal(signal) => CommandExit::Signal { signal },
    };
    let mut refusals = process.refusals();
    refusals.extend(proxy.iter().flat_map(network::Served::refusals));
    let notes = interceptor.notes();
    let (exit, stopped) = (ended_early.unwrap_or(exit), process.stopped().to_vec());
    Ok(Executed { exit, output: collector.finish().await, refusals, stopped, notes })
}

/// An argument vector as a person would type it.
pub(crate) fn display(argv: &[String]) -> String {
    if let [shell, flag, script] = argv
        && matches!(shell.rsplit('/').next(), Some("bash" | "sh" | "zsh"))
        && matches!(flag.as_str(), "-c" | "-lc")
    {
        return script.clone();
    }
    let plain = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:,+@%^=".contains(c))
    };
    let quoted = argv
        .iter()
        .map(|word| if plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_one_types_them() {
        let argv = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(display(&argv(&["ls", "-la"])), "ls -la");
        assert_eq!(display(&argv(&["echo", "it's", ""])), r"echo 'it'\''s' ''");
        assert_eq!(display(&argv(&["bash", "-lc", "a && b"])), "a && b");
    }
}

//! The tool `js_repl`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::item::{CommandOutput, ItemBody, ItemStatus, OtherToolCall};
use protocol::tool::{ToolCall, ToolInput, ToolSpecification};
use sandbox::Launcher;
use serde::Deserialize;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;
use tools::output::{Collector, Room};
use tools::tool::{CallError, RunContext, RunOutcome, Tool};

use crate::error::JavaScriptError;
use crate::interpreter::{Interpreter, NAME};
use crate::message::Ended;

/// How long code may take, tools that it calls not counted.
const DEFAULT_TIMEOUT_MS: u64 = 30_000;
const MAX_TIMEOUT_MS: u64 = 600_000;
/// Bytes of code.
const MAX_CODE: usize = 256 * 1024;
/// Tokens of what the model is shown.
const SHOWN_TOKENS: u32 = 4_000;

/// The tool.
pub struct JsRepl {
    launcher: Arc<Launcher>,
    program: PathBuf,
}

/// The arguments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    code: String,
    #[serde(default)]
    timeout_ms: Option<u64>,
}

/// The interpreter of a session.
#[derive(Default)]
struct Kept(Mutex<State>);

#[derive(Default)]
struct State {
    /// Absent while it runs.
    interpreter: Option<Interpreter>,
    /// Code whose turn was interrupted is asked to stop, so that variables are kept.
    settling: Option<AbortOnDropHandle<Option<Interpreter>>>,
    has_started: bool,
}

/// An interpreter that runs code. Dropped in the middle, the code is asked to stop; where it does not, the interpreter
/// is killed.
struct Running {
    kept: Arc<Kept>,
    interpreter: Option<Interpreter>,
}

impl JsRepl {
    /// Interpreters are started by this launcher and are this executable, which must call
    /// [`crate::run_if_interpreter`] before all else.
    #[must_use]
    pub fn new(launcher: Arc<Launcher>, program: PathBuf) -> Self {
        Self { launcher, program }
    }
}

impl Tool for JsRepl {
    fn specification(&self) -> ToolSpecification {
        ToolSpecification {
            name: NAME.to_owned(),
            description: include_str!("js_repl.md").trim().to_owned(),
            input: ToolInput::Json {
                schema: json!({
                    "type": "object",
                    "properties": {"code": {"type": "string"}, "timeout_ms": {"type": "integer"}},
                    "required": ["code"],
                    "additionalProperties": false
                }),
            },
        }
    }

    /// What it calls may change things, so it goes alone.
    fn is_read_only(&self) -> bool {
        false
    }

    fn changes_files(&self) -> bool {
        false
    }

    fn prepare(&self, call: &ToolCall, _cwd: &Path) -> Result<ItemBody, CallError> {
        arguments(call)?;
        Ok(ItemBody::ToolCall(OtherToolCall::new(call.clone())))
    }

    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        let (launcher, program) = (Arc::clone(&self.launcher), self.program.clone());
        Box::pin(async move {
            let ItemBody::ToolCall(mut other) = body else {
                return RunOutcome { status: ItemStatus::Failed, body };
            };
            let (status, output) = match arguments(&other.call) {
                Ok(arguments) => evaluate(arguments, &launcher, &program, &context).await,
                Err(error) => (ItemStatus::Failed, error.to_string()),
            };
            other.output = Some(output);
            RunOutcome { status, body: ItemBody::ToolCall(other) }
        })
    }
}

fn arguments(call: &ToolCall) -> Result<Arguments, CallError> {
    let bad = |reason: String| CallError::BadArguments { tool: call.name.clone(), reason };
    let arguments: Arguments =
        serde_json::from_str(call.input.text()).map_err(|error| bad(error.to_string()))?;
    if arguments.code.len() > MAX_CODE {
        return Err(bad(format!("`code` is longer than {MAX_CODE} bytes")));
    }
    Ok(arguments)
}

async fn evaluate(
    arguments: Arguments,
    launcher: &Launcher,
    program: &Path,
    context: &RunContext,
) -> (ItemStatus, String) {
    let allowed = arguments.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS).clamp(1, MAX_TIMEOUT_MS);
    let kept = context.belongings.of::<Kept>();
    let (known, had_started) = kept.take().await;
    let mut printed = Collector::new(Arc::clone(&context.spools), Room::of_tokens(SHOWN_TOKENS));
    if known.is_none() && had_started {
        printed.push(b"[A new interpreter: earlier variables are gone]\n").await;
    }
    let started = match known {
        Some(known) => Ok(known),
        None => Interpreter::start(launcher, program, &context.profile).await,
    };
    let ended = match started {
        Ok(interpreter) => {
            let within = Duration::from_millis(allowed);
            Running::new(kept, interpreter).run(arguments.code, within, context, &mut printed).await
        }
        Err(error) => Err(error),
    };
    let (status, last) = match ended {
        Ok(Ended::Value(None)) => (ItemStatus::Completed, String::new()),
        Ok(Ended::Value(Some(value))) => (ItemStatus::Completed, value),
        Ok(Ended::Exception(text)) => (ItemStatus::Failed, text),
        Ok(Ended::Stopped) => {
            let text = format!("Stopped: it took longer than {allowed} ms. Variables are kept.");
            (ItemStatus::Failed, text)
        }
        Err(JavaScriptError::Interrupted) => {
            (ItemStatus::Interrupted, JavaScriptError::Interrupted.to_string())
        }
        Err(error) => (ItemStatus::Failed, told(&error)),
    };
    printed.push(last.as_bytes()).await;
    let text = text(printed.finish().await);
    (status, if text.is_empty() { "undefined".to_owned() } else { text })
}

impl Kept {
    /// The interpreter, if there is one, and whether there was one before. Waits for one whose code is to stop.
    async fn take(&self) -> (Option<Interpreter>, bool) {
        let (known, settling, had_started) = {
            let mut state = self.lock();
            let had_started = std::mem::replace(&mut state.has_started, true);
            (state.interpreter.take(), state.settling.take(), had_started)
        };
        let settled = match settling {
            Some(settling) => settling.await.ok().flatten(),
            None => None,
        };
        (known.or(settled), had_started)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned state is whole: each change is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn new(kept: Arc<Kept>, interpreter: Interpreter) -> Self {
        Self { kept, interpreter: Some(interpreter) }
    }

    /// Runs code; the interpreter is kept as long as it is of use.
    async fn run(
        mut self,
        code: String,
        within: Duration,
        context: &RunContext,
        printed: &mut Collector,
    ) -> Result<Ended, JavaScriptError> {
        let Some(interpreter) = &mut self.interpreter else { return Err(JavaScriptError::Interrupted) };
        let ended = interpreter.run(code, within, context, printed).await;
        match ended {
            Ok(_) => self.kept.lock().interpreter = self.interpreter.take(),
            // The code goes on, and is asked to stop.
            Err(JavaScriptError::Interrupted) => {}
            Err(
                JavaScriptError::Start(_) | JavaScriptError::Ended { .. } | JavaScriptError::Killed { .. },
            ) => drop(self.interpreter.take()),
        }
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(interpreter) = self.interpreter.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // It belongs to the session, and ends with it.
            let settling = AbortOnDropHandle::new(runtime.spawn(interpreter.settle()));
            self.kept.lock().settling = Some(settling);
        }
    }
}

/// An error with what led to it.
fn told(error: &JavaScriptError) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn text(output: CommandOutput) -> String {
    if output.omitted_bytes == 0 {
        return output.head;
    }
    let whole = output.blob.map(|blob| format!("; `blob:{}` is the whole", blob.0)).unwrap_or_default();
    format!("{}\n[… {} bytes left out{whole} …]\n{}", output.head, output.omitted_bytes, output.tail)
}

#[cfg(test)]
mod tests {
    use protocol::tool::CallInput;

    use super::*;

    fn wrong(input: &str) -> String {
        let tool = JsRepl::new(Arc::new(Launcher::new("/nonexistent".into(), None)), "/nonexistent".into());
        let input = CallInput::Json(input.to_owned());
        let call = ToolCall { call_id: "1".to_owned(), name: NAME.to_owned(), input };
        tool.prepare(&call, Path::new("/")).expect_err("bad").to_string()
    }

    #[test]
    fn arguments_of_code_that_are_no_good_say_what_is_wrong() {
        for (input, told) in [
            ("{}", "missing field `code`"),
            (r#"{"code": "1", "script": "2"}"#, "unknown field `script`"),
            (r#"{"code": 1}"#, "invalid type"),
            (r#"{"code": "1", "timeout_ms": -1}"#, "invalid value"),
            ("[1", NAME),
        ] {
            let error = wrong(input);
            assert!(error.contains(NAME) && error.contains(told), "{input}: {error}");
        }
    }

    #[test]
    fn code_of_megabytes_is_refused_before_an_interpreter_starts() {
        let error = wrong(&json!({"code": "x".repeat(4 << 20)}).to_string());
        assert!(error.contains("longer than 262144 bytes") && error.len() < 1_000, "{error}");
    }

    #[test]
    fn code_goes_alone_because_what_it_calls_may_change_things() {
        let tool = JsRepl::new(Arc::new(Launcher::new("/nonexistent".into(), None)), "/nonexistent".into());
        assert!(!tool.is_read_only());
    }
}

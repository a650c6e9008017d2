//! What most tools are: a name, arguments, and a text that comes of them. Makes a `Tool` of each.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use protocol::item::{ItemBody, ItemStatus, OtherToolCall, ToolContent};
use protocol::tool::{ToolCall, ToolSpecification};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use workspace::patience::Patience;
use workspace::sight::Sight;

use crate::arguments;
use crate::tool::{CallError, RunContext, RunOutcome, Tool};

/// How much longer than its time something that looks at files may take before nobody listens to it any more.
const GRACE: Duration = Duration::from_secs(1);

/// A tool that is a function.
pub(crate) trait Function: Send + Sync + 'static {
    /// What it takes.
    type Arguments: DeserializeOwned + JsonSchema + Send;
    /// What it is called.
    const NAME: &'static str;
    /// What the model is told of it.
    const DESCRIPTION: &'static str;
    /// Whether it changes nothing.
    const IS_READ_ONLY: bool;

    /// What else is wrong with arguments that could be read.
    fn check(_arguments: &Self::Arguments) -> Result<(), String> {
        Ok(())
    }

    /// Does it.
    fn call(
        &self,
        arguments: Self::Arguments,
        context: RunContext,
    ) -> impl Future<Output = Result<Told, Stopped>> + Send;
}

/// What came of it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Told {
    /// For the model.
    pub(crate) text: String,
    /// Beside the text.
    pub(crate) content: Vec<ToolContent>,
    /// For clients.
    pub(crate) structured: Option<serde_json::Value>,
}

/// Why nothing came of it.
#[derive(Debug, PartialEq)]
pub(crate) enum Stopped {
    /// Why, for the model.
    Failed(String),
    /// A person did not want it.
    Declined(String),
    /// The turn was interrupted.
    Interrupted,
}

impl From<String> for Told {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

/// Makes a tool of it.
pub(crate) fn tool<F: Function>(function: F) -> Arc<dyn Tool> {
    Arc::new(FunctionTool(Arc::new(function)))
}

/// Looks at files as a session may, on a thread that may wait, for at most so long.
pub(crate) async fn look<T: Send + 'static>(
    context: &RunContext,
    within: Duration,
    work: impl FnOnce(&Sight, &Patience) -> T + Send + 'static,
) -> Result<T, Stopped> {
    let sight = Sight::new(Arc::clone(&context.profile));
    // Dropping `_waiting`, in whichever way this ends, ends the work.
    let (patience, _waiting) = Patience::until(Instant::now() + within);
    let working = tokio::task::spawn_blocking(move || work(&sight, &patience));
    tokio::select! {
        worked = working => worked.map_err(|error| Stopped::Failed(format!("It failed inside Skein: {error}"))),
        () = context.cancel.cancelled() => Err(Stopped::Interrupted),
        () = tokio::time::sleep(within + GRACE) => {
            let text = format!("Nothing came within {} s; the file system does not answer", within.as_secs());
            Err(Stopped::Failed(text))
        }
    }
}

struct FunctionTool<F>(Arc<F>);

impl<F: Function> Tool for FunctionTool<F> {
    fn specification(&self) -> ToolSpecification {
        ToolSpecification {
            name: F::NAME.to_owned(),
            description: F::DESCRIPTION.trim().to_owned(),
            input: arguments::input::<F::Arguments>(),
        }
    }

    fn is_read_only(&self) -> bool {
        F::IS_READ_ONLY
    }

    fn prepare(&self, call: &ToolCall, _cwd: &Path) -> Result<ItemBody, CallError> {
        understand::<F>(call)?;
        Ok(ItemBody::ToolCall(OtherToolCall::new(call.clone())))
    }

    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        let function = Arc::clone(&self.0);
        Box::pin(async move {
            let ItemBody::ToolCall(mut other) = body else {
                return RunOutcome { status: ItemStatus::Failed, body };
            };
            let outcome = match understand::<F>(&other.call) {
                Ok(arguments) => function.call(arguments, context).await,
                Err(error) => Err(Stopped::Failed(error.to_string())),
            };
            let status = match outcome {
                Ok(told) => {
                    other.output = Some(told.text);
                    other.content = told.content;
                    other.structured = told.structured;
                    ItemStatus::Completed
                }
                Err(Stopped::Failed(message)) => {
                    other.output = Some(message);
                    ItemStatus::Failed
                }
                Err(Stopped::Declined(message)) => {
                    other.output = Some(message);
                    ItemStatus::Declined
                }
                Err(Stopped::Interrupted) => {
                    other.output = Some("Interrupted by a person before it ended".to_owned());
                    ItemStatus::Interrupted
                }
            };
            RunOutcome { status, body: ItemBody::ToolCall(other) }
        })
    }
}

fn understand<F: Function>(call: &ToolCall) -> Result<F::Arguments, CallError> {
    let arguments = arguments::read(call)?;
    F::check(&arguments).map_err(|reason| CallError::BadArguments { tool: F::NAME.to_owned(), reason })?;
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standard::tests::Scene;

    #[tokio::test]
    async fn a_file_system_that_does_not_answer_is_not_waited_for() {
        let scene = Scene::new(&[]);
        let (answers, answer) = std::sync::mpsc::channel::<()>();
        let looked = look(&scene.context, Duration::ZERO, move |_, _| answer.recv()).await;
        let Err(Stopped::Failed(told)) = looked else { panic!("{looked:?}") };
        assert!(told.contains("does not answer"), "{told}");
        drop(answers);
    }

    #[tokio::test]
    async fn a_look_is_interrupted_though_the_file_system_does_not_answer() {
        let scene = Scene::new(&[]);
        let (answers, answer) = std::sync::mpsc::channel::<()>();
        let day = Duration::from_secs(86_400);
        let looking = look(&scene.context, day, move |_, _| answer.recv());
        let (looked, ()) = tokio::join!(looking, async { scene.context.cancel.cancel() });
        assert_eq!(looked, Err(Stopped::Interrupted));
        drop(answers);
    }
}

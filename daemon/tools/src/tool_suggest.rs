//! `tool_suggest`: asks a person to enable something for the session that is switched off, such as an MCP server. What
//! was enabled is in the log, so a session has it as long as it lives. Knows nothing of how it is enabled.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use protocol::item::ItemBody;
use protocol::question::{Decision, Prompt, PromptOption, QuestionKind};
use protocol::tool::{ToolCall, ToolSpecification};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::function::{Function, Stopped, Told, tool};
use crate::tool::{CallError, RunContext, RunOutcome, Tool};

/// What the tool is called.
pub const NAME: &str = "tool_suggest";

/// Names that the model is told.
const MAX_NAMES: usize = 20;
/// Bytes of the model's reason that a person sees.
const MAX_REASON: usize = 500;
/// Names the answer.
const ENABLE: &str = "enable";
const YES: &str = "Enable";
const NO: &str = "Not now";

/// What could be enabled.
#[derive(Clone)]
pub struct Suggestions {
    /// What there is, in a stable order.
    pub list: Vec<Suggestion>,
    /// Who does it.
    pub enabler: Arc<dyn Enabler>,
}

/// Something that could be enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// Its name, for the model.
    pub name: String,
    /// What it is, for a person.
    pub about: String,
}

/// Enables things for a session.
pub trait Enabler: Send + Sync {
    /// Enables this; what there is now, for the model, or why there is nothing. Always ends.
    fn enable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, String>>;
}

/// The tool that suggests these.
#[must_use]
pub fn of(suggestions: Suggestions) -> Arc<dyn Tool> {
    let names: Vec<_> = suggestions.list.iter().take(MAX_NAMES).map(|one| one.name.clone()).collect();
    Arc::new(Named { names: names.join(", "), inner: tool(ToolSuggest { suggestions }) })
}

/// What was enabled by this item.
pub fn enabled(body: &ItemBody) -> impl Iterator<Item = &str> {
    let call = match body {
        ItemBody::ToolCall(call) if call.call.name == ToolSuggest::NAME => Some(call),
        ItemBody::ToolCall(_)
        | ItemBody::UserMessage(_)
        | ItemBody::AgentMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Command(_)
        | ItemBody::FileChange(_)
        | ItemBody::Plan(_)
        | ItemBody::Compaction(_)
        | ItemBody::Agent(_)
        | ItemBody::Review(_)
        | ItemBody::WebSearch(_)
        | ItemBody::Notice(_)
        | ItemBody::Unknown(_) => None,
    };
    let enabled = call.and_then(|call| call.structured.as_ref()?["enabled"].as_array());
    enabled.into_iter().flatten().filter_map(Value::as_str)
}

pub(crate) struct ToolSuggest {
    suggestions: Suggestions,
}

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    name: String,
    /// What for, to a person
    reason: String,
}

impl Function for ToolSuggest {
    type Arguments = Arguments;
    const NAME: &'static str = NAME;
    const DESCRIPTION: &'static str = include_str!("tool_suggest.md");
    const IS_READ_ONLY: bool = false;

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let Arguments { name, mut reason } = arguments;
        let Some(suggestion) = self.suggestions.list.iter().find(|known| known.name == name) else {
            let known: Vec<_> =
                self.suggestions.list.iter().map(|known| format!("`{}`", known.name)).collect();
            return Err(Stopped::Failed(format!(
                "`{name}` can't be enabled; these can: {}",
                known.join(", ")
            )));
        };
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        let option = |label: &str| PromptOption { label: label.to_owned(), description: String::new() };
        let prompt = Prompt {
            id: ENABLE.to_owned(),
            header: "Enable".to_owned(),
            text: format!("Enable {} for this session? The agent says: {reason}", suggestion.about),
            options: vec![option(YES), option(NO)],
            takes_text: false,
            takes_several: false,
        };
        let kind = QuestionKind::UserInput { prompts: vec![prompt] };
        let work = async {
            let decision = context.asker.ask(kind, "The agent suggests to enable something".to_owned()).await;
            let is_yes = match decision {
                Decision::Reply { answers } => {
                    answers.get(ENABLE).is_some_and(|given| given.iter().any(|label| label == YES))
                }
                Decision::Deny { message: Some(message) } => return Err(Stopped::Declined(message)),
                Decision::Allow { .. }
                | Decision::Deny { message: None }
                | Decision::Content { .. }
                | Decision::Unknown(_) => false,
            };
            if !is_yes {
                return Err(Stopped::Declined(format!("A person does not want `{name}` to be enabled.")));
            }
            let text = self.suggestions.enabler.enable(&name).await.map_err(Stopped::Failed)?;
            Ok(Told { text, structured: Some(json!({"enabled": [name]})), ..Told::default() })
        };
        tokio::select! {
            told = work => told,
            () = context.cancel.cancelled() => Err(Stopped::Interrupted),
        }
    }
}

/// The tool, with the names of what there is in its description.
struct Named {
    names: String,
    inner: Arc<dyn Tool>,
}

impl Tool for Named {
    fn specification(&self) -> ToolSpecification {
        let mut specification = self.inner.specification();
        specification.description.push_str(" There is: ");
        specification.description.push_str(&self.names);
        specification
    }

    /// It changes what there is, but no file.
    fn changes_files(&self) -> bool {
        false
    }

    fn prepare(&self, call: &ToolCall, cwd: &Path) -> Result<ItemBody, CallError> {
        self.inner.prepare(call, cwd)
    }

    fn run(&self, body: ItemBody, context: RunContext) -> BoxFuture<'static, RunOutcome> {
        self.inner.run(body, context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use protocol::item::ItemStatus;
    use protocol::tool::CallInput;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::standard::tests::Scene;
    use crate::tool::Asker;

    /// Enables all that is asked for.
    struct Able;

    impl Enabler for Able {
        fn enable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, String>> {
            Box::pin(async move { Ok(format!("`{name}` is there now")) })
        }
    }

    /// Gives this answer, if it has one, and keeps what was asked.
    struct Person(Option<Decision>, Mutex<String>);

    impl Asker for Person {
        fn ask(&self, kind: QuestionKind, _: String) -> BoxFuture<'_, Decision> {
            *self.1.lock().expect("lock") = format!("{kind:?}");
            match self.0.clone() {
                Some(decision) => Box::pin(std::future::ready(decision)),
                None => Box::pin(std::future::pending()),
            }
        }
    }

    fn suggests() -> Arc<dyn Tool> {
        let docs = Suggestion { name: "docs".to_owned(), about: "the MCP server `docs`".to_owned() };
        of(Suggestions { list: vec![docs], enabler: Arc::new(Able) })
    }

    fn call(arguments: &Value) -> ToolCall {
        let input = CallInput::Json(arguments.to_string());
        ToolCall { call_id: "1".to_owned(), name: NAME.to_owned(), input }
    }

    async fn run(
        arguments: &Value,
        person: &Arc<Person>,
        cancel: CancellationToken,
    ) -> (ItemStatus, String, usize) {
        let scene = Scene::new(&[]);
        let tool = suggests();
        let body = tool.prepare(&call(arguments), &scene.root).expect("a call");
        let asker = Arc::clone(person) as Arc<dyn Asker>;
        let outcome = tool.run(body, RunContext { asker, cancel, ..scene.context.clone() }).await;
        let count = enabled(&outcome.body).count();
        let ItemBody::ToolCall(other) = outcome.body else { panic!("another item") };
        (outcome.status, other.output.expect("output"), count)
    }

    fn person(decision: Option<Decision>) -> Arc<Person> {
        Arc::new(Person(decision, Mutex::default()))
    }

    fn says(label: &str) -> Decision {
        Decision::Reply { answers: [(ENABLE.to_owned(), vec![label.to_owned()])].into() }
    }

    #[tokio::test]
    async fn only_a_yes_enables_what_was_suggested() {
        let wanted = json!({"name": "docs", "reason": "It knows."});
        let yes = run(&wanted, &person(Some(says(YES))), CancellationToken::new()).await;
        assert_eq!(yes, (ItemStatus::Completed, "`docs` is there now".to_owned(), 1));
        for no in [says(NO), says("enable"), Decision::Deny { message: None }] {
            let (status, told, count) = run(&wanted, &person(Some(no)), CancellationToken::new()).await;
            assert_eq!((status, count), (ItemStatus::Declined, 0), "{told}");
        }
    }

    #[tokio::test]
    async fn what_is_suggested_and_not_there_is_told_with_what_is() {
        let wanted = json!({"name": "../docs", "reason": "x"});
        let (status, told, count) = run(&wanted, &person(None), CancellationToken::new()).await;
        assert_eq!((status, count), (ItemStatus::Failed, 0), "nobody is asked");
        assert!(told.ends_with("these can: `docs`"), "{told}");
        let wrong = |arguments: Value| {
            suggests().prepare(&call(&arguments), Path::new("/")).expect_err("bad").to_string()
        };
        assert!(wrong(json!({"name": "docs"})).contains("missing field `reason`"));
        assert!(wrong(json!({"names": []})).contains("unknown field `names`"));
    }

    #[tokio::test]
    async fn a_reason_of_megabytes_is_shown_to_nobody() {
        let person = person(Some(says(NO)));
        let wanted = json!({"name": "docs", "reason": "ö".repeat(1 << 20)});
        run(&wanted, &person, CancellationToken::new()).await;
        let asked = person.1.lock().expect("lock").len();
        assert!(asked < 2_000, "{asked} bytes");
    }

    #[tokio::test]
    async fn a_suggestion_that_nobody_answers_ends_with_its_turn() {
        let cancel = CancellationToken::new();
        let wanted = json!({"name": "docs", "reason": "x"});
        let nobody = person(None);
        let running = run(&wanted, &nobody, cancel.clone());
        let ((status, _, count), ()) = tokio::join!(running, async { cancel.cancel() });
        assert_eq!((status, count), (ItemStatus::Interrupted, 0));
        assert!(!suggests().is_read_only(), "it goes alone, so no two questions cross");
    }
}

//! `request_user_input`: asks a person something, and gives the model the answers.

use std::collections::HashSet;

use protocol::question::{Decision, Prompt, PromptOption, QuestionKind};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::function::{Function, Stopped, Told};
use crate::tool::RunContext;

/// Questions in one call.
const MAX_QUESTIONS: usize = 3;

/// Asks a person.
pub(crate) struct RequestUserInput;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    questions: Vec<Asked>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Names it in the answer
    id: String,
    /// A word or two
    header: String,
    question: String,
    /// None: free text
    #[serde(default)]
    options: Vec<Choice>,
    #[serde(default)]
    multiple: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Choice {
    label: String,
    #[serde(default)]
    description: String,
}

impl Function for RequestUserInput {
    type Arguments = Arguments;
    const NAME: &'static str = "request_user_input";
    const DESCRIPTION: &'static str = include_str!("request_user_input.md");
    const IS_READ_ONLY: bool = false;

    fn check(arguments: &Arguments) -> Result<(), String> {
        let questions = &arguments.questions;
        let ids: HashSet<_> = questions.iter().map(|asked| &asked.id).collect();
        if questions.is_empty() || questions.len() > MAX_QUESTIONS {
            Err(format!("`questions` must hold 1 to {MAX_QUESTIONS}, not {}", questions.len()))
        } else if ids.len() < questions.len() {
            Err("Each question needs an `id` of its own".to_owned())
        } else {
            Ok(())
        }
    }

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let option = |choice: Choice| PromptOption { label: choice.label, description: choice.description };
        let prompt = |asked: Asked| Prompt {
            id: asked.id,
            header: asked.header,
            text: asked.question,
            options: asked.options.into_iter().map(option).collect(),
            // A person may always say something else.
            takes_text: true,
            takes_several: asked.multiple,
        };
        let prompts = arguments.questions.into_iter().map(prompt).collect();
        let asking =
            context.asker.ask(QuestionKind::UserInput { prompts }, "The agent wants to know".to_owned());
        let decision = tokio::select! {
            decision = asking => decision,
            () = context.cancel.cancelled() => return Err(Stopped::Interrupted),
        };
        match decision {
            Decision::Reply { answers } => {
                let structured = serde_json::json!({ "answers": answers });
                Ok(Told { text: structured.to_string(), content: Vec::new(), structured: Some(structured) })
            }
            Decision::Deny { message } => {
                let told = message.unwrap_or_else(|| "Nobody answered".to_owned());
                Err(Stopped::Declined(format!("{told}. Go on as you think best, and say what you assumed.")))
            }
            Decision::Allow { .. } | Decision::Content { .. } | Decision::Unknown(_) => {
                Err(Stopped::Failed("The answer can't be understood".to_owned()))
            }
        }
    }
}

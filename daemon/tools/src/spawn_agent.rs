//! `spawn_agent`: starts another session that works for this one.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::agents::{AgentReach, NewAgent, refused, told};
use crate::function::{Function, Stopped, Told};
use crate::tool::RunContext;

/// Bytes of a task.
const MAX_TASK: usize = 64 * 1024;
/// Letters of a name.
const MAX_NAME: usize = 40;

/// Starts an agent.
pub(crate) struct SpawnAgent;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    task: String,
    /// A short word
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    effort: Option<String>,
    #[serde(default)]
    read_only: bool,
}

impl Function for SpawnAgent {
    type Arguments = Arguments;
    const NAME: &'static str = "spawn_agent";
    const DESCRIPTION: &'static str = include_str!("spawn_agent.md");
    const IS_READ_ONLY: bool = false;

    fn check(arguments: &Arguments) -> Result<(), String> {
        if arguments.task.trim().is_empty() {
            return Err("`task` is empty".to_owned());
        }
        if arguments.task.len() > MAX_TASK {
            return Err(format!("`task` is longer than {MAX_TASK} bytes; put it in a file and name that"));
        }
        let is_word = |name: &String| {
            let letters = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
            letters && !name.is_empty() && name.len() <= MAX_NAME
        };
        if arguments.name.as_ref().is_some_and(|name| !is_word(name)) {
            return Err(format!("`name` is 1 to {MAX_NAME} letters, digits, `-` or `_`"));
        }
        Ok(())
    }

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let Arguments { task, name, model, effort, read_only } = arguments;
        let reach = if read_only { AgentReach::ReadOnly } else { AgentReach::Same };
        let spawned = context.agents.spawn(NewAgent { task, name, model, effort, reach }).await;
        spawned.map(|state| told(&[state])).map_err(refused)
    }
}

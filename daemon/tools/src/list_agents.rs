//! `list_agents`: the agents of the session, and those below them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::agents::{refused, told};
use crate::function::{Function, Stopped, Told};
use crate::tool::RunContext;

/// Lists agents.
pub(crate) struct ListAgents;

/// There are none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {}

impl Function for ListAgents {
    type Arguments = Arguments;
    const NAME: &'static str = "list_agents";
    const DESCRIPTION: &'static str = include_str!("list_agents.md");
    const IS_READ_ONLY: bool = true;

    async fn call(&self, _arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        context.agents.list().await.map(|states| told(&states)).map_err(refused)
    }
}

//! `close_agent`: stops an agent and puts it away.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::agents::{refused, told};
use crate::function::{Function, Stopped, Told};
use crate::tool::RunContext;

/// Closes an agent.
pub(crate) struct CloseAgent;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    agent: String,
}

impl Function for CloseAgent {
    type Arguments = Arguments;
    const NAME: &'static str = "close_agent";
    const DESCRIPTION: &'static str = include_str!("close_agent.md");
    const IS_READ_ONLY: bool = false;

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let closed = context.agents.close(arguments.agent).await;
        closed.map(|state| told(&[state])).map_err(refused)
    }
}

//! `wait_agent`: waits for agents, and gives what they said last.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::agents::{refused, told};
use crate::function::{Function, Stopped, Told};
use crate::tool::RunContext;

/// Seconds if the model does not say.
const DEFAULT_SECONDS: u32 = 300;
/// Seconds at most.
const MAX_SECONDS: u32 = 3_600;
/// Agents that may be named.
const MAX_NAMED: usize = 64;

/// Waits for agents.
pub(crate) struct WaitAgent;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// Names or ids; none: all that work
    #[serde(default)]
    agents: Vec<String>,
    /// Default 300, at most 3600
    #[serde(default)]
    seconds: Option<u32>,
}

impl Function for WaitAgent {
    type Arguments = Arguments;
    const NAME: &'static str = "wait_agent";
    const DESCRIPTION: &'static str = include_str!("wait_agent.md");
    const IS_READ_ONLY: bool = true;

    fn check(arguments: &Arguments) -> Result<(), String> {
        if arguments.agents.len() > MAX_NAMED {
            return Err(format!("`agents` names {MAX_NAMED} at most"));
        }
        if arguments.seconds.is_some_and(|seconds| seconds == 0 || seconds > MAX_SECONDS) {
            return Err(format!("`seconds` is 1 to {MAX_SECONDS}"));
        }
        Ok(())
    }

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let within = Duration::from_secs(u64::from(arguments.seconds.unwrap_or(DEFAULT_SECONDS)));
        tokio::select! {
            waited = context.agents.wait(arguments.agents, within) => {
                waited.map(|states| told(&states)).map_err(refused)
            }
            () = context.cancel.cancelled() => Err(Stopped::Interrupted),
        }
    }
}

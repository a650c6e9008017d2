//! `send_agent`: says something to an agent.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::agents::{When, refused, told};
use crate::function::{Function, Stopped, Told};
use crate::tool::RunContext;

/// Bytes of a message.
const MAX_MESSAGE: usize = 64 * 1024;

/// Says something to an agent.
pub(crate) struct SendAgent;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    agent: String,
    message: String,
    /// While it works, not after
    #[serde(default)]
    now: bool,
}

impl Function for SendAgent {
    type Arguments = Arguments;
    const NAME: &'static str = "send_agent";
    const DESCRIPTION: &'static str = include_str!("send_agent.md");
    const IS_READ_ONLY: bool = false;

    fn check(arguments: &Arguments) -> Result<(), String> {
        if arguments.message.trim().is_empty() {
            return Err("`message` is empty".to_owned());
        }
        if arguments.message.len() > MAX_MESSAGE {
            return Err(format!("`message` is longer than {MAX_MESSAGE} bytes"));
        }
        Ok(())
    }

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let when = if arguments.now { When::Now } else { When::Next };
        let sent = context.agents.send(arguments.agent, arguments.message, when).await;
        sent.map(|state| told(&[state])).map_err(refused)
    }
}

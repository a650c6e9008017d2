//! The agents of a session, as its tools reach them: sessions that its model started. What they are is known elsewhere;
//! here is what a tool may wish, and what the model is told.

use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::agent::AgentStatus;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::SessionId;
use serde_json::json;

use crate::function::{Stopped, Told};
use crate::plain;

/// Bytes of an agent's last message that the model is told, and of all of them together.
const MAX_MESSAGE: usize = 8 * 1024;
const MAX_MESSAGES: usize = 24 * 1024;

/// What comes of a wish.
pub type Outcome<'a, T> = BoxFuture<'a, Result<T, ProtocolError>>;

/// The agents below one session. An agent is named by its name or its id. Each method is carried out once for a call,
/// however often that is made.
pub trait Agents: Send + Sync {
    /// Starts one. It works when this returns.
    fn spawn(&self, wish: NewAgent) -> Outcome<'_, AgentState>;
    /// Waits until one of these has ended, or for so long; of those that work if none is named.
    fn wait(&self, named: Vec<String>, within: Duration) -> Outcome<'_, Vec<AgentState>>;
    /// Says something to one.
    fn send(&self, named: String, message: String, when: When) -> Outcome<'_, AgentState>;
    /// Stops one, with those below it, and puts it away.
    fn close(&self, named: String) -> Outcome<'_, AgentState>;
    /// All of them, those below them too.
    fn list(&self) -> Outcome<'_, Vec<AgentState>>;
}

/// An agent that is wanted. What is absent is as in the session that wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAgent {
    /// What it is to do.
    pub task: String,
    /// What it is called.
    pub name: Option<String>,
    /// The model's name.
    pub model: Option<String>,
    /// How hard it thinks.
    pub effort: Option<String>,
    /// What it may touch.
    pub reach: AgentReach,
}

/// What an agent may touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgentReach {
    /// What the session that starts it may.
    #[default]
    Same,
    /// Nothing; it only reads.
    ReadOnly,
}

/// When an agent hears what is said to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At its next step, if it works.
    Now,
    /// When it has done what it is at.
    Next,
}

/// An agent as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentState {
    /// Its session.
    pub id: SessionId,
    /// What it is called.
    pub name: String,
    /// What it is called that started it; absent if this session did.
    pub of: Option<String>,
    /// What it is doing.
    pub status: AgentStatus,
    /// Its last message, why it did not come so far, or what it waits for.
    pub message: Option<String>,
    /// Tokens that it spent.
    pub tokens: u64,
}

/// Nobody can be started.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoAgents;

impl Agents for NoAgents {
    fn spawn(&self, _wish: NewAgent) -> Outcome<'_, AgentState> {
        none()
    }

    fn wait(&self, _named: Vec<String>, _within: Duration) -> Outcome<'_, Vec<AgentState>> {
        none()
    }

    fn send(&self, _named: String, _message: String, _when: When) -> Outcome<'_, AgentState> {
        none()
    }

    fn close(&self, _named: String) -> Outcome<'_, AgentState> {
        none()
    }

    fn list(&self) -> Outcome<'_, Vec<AgentState>> {
        none()
    }
}

fn none<T: Send + 'static>() -> Outcome<'static, T> {
    let error = ProtocolError::new(ErrorCode::Unavailable, "There are no agents here");
    Box::pin(std::future::ready(Err(error)))
}

/// What the model is told of agents.
pub(crate) fn told(states: &[AgentState]) -> Told {
    let mut room = MAX_MESSAGES;
    let mut text = String::new();
    for state in states {
        if !text.is_empty() {
            text.push('\n');
        }
        let of = state.of.as_ref().map(|of| format!(", started by `{of}`")).unwrap_or_default();
        let how = match &state.status {
            AgentStatus::Running => format!("works, {} tokens so far", state.tokens),
            AgentStatus::Waiting => "waits for a person's answer".to_owned(),
            AgentStatus::Completed => "completed".to_owned(),
            AgentStatus::Failed => "failed".to_owned(),
            AgentStatus::Interrupted => "interrupted".to_owned(),
            AgentStatus::LimitReached => "stopped by a ceiling".to_owned(),
            AgentStatus::Closed => "closed".to_owned(),
            AgentStatus::Unknown(status) => status.clone(),
        };
        text.push_str(&format!("`{}` ({}{of}): {how}", state.name, state.id));
        if let Some(message) = &state.message {
            let shown = beginning(message, MAX_MESSAGE.min(room));
            room -= shown.len();
            text.push_str(&format!(":\n{shown}"));
            if shown.len() < message.len() {
                text.push_str(&format!("\n[{} bytes left out]", message.len() - shown.len()));
            }
        }
    }
    if states.is_empty() {
        text.push_str("There are no agents");
    }
    let agents: Vec<_> = states
        .iter()
        .map(|state| {
            let message = state.message.as_deref().map(|message| beginning(message, MAX_MESSAGE));
            json!({ "id": state.id, "name": state.name, "status": state.status, "message": message })
        })
        .collect();
    Told {
        text: plain::visible(&text).into(),
        content: Vec::new(),
        structured: Some(json!({ "agents": agents })),
    }
}

/// What a refusal tells the model.
pub(crate) fn refused(error: ProtocolError) -> Stopped {
    Stopped::Failed(match error.hint {
        Some(hint) => format!("{}. {hint}", error.message),
        None => error.message,
    })
}

fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: AgentStatus, message: Option<String>) -> AgentState {
        AgentState { id: SessionId::generate(), name: "a".into(), of: None, status, message, tokens: 7 }
    }

    #[test]
    fn what_many_agents_said_is_bounded_and_what_is_left_out_is_told() {
        let long = state(AgentStatus::Completed, Some("é".repeat(MAX_MESSAGE)));
        let told = told(&vec![long; 10]);
        assert!(told.text.len() < MAX_MESSAGES + 2_000, "{}", told.text.len());
        assert!(told.text.contains("bytes left out"), "{}", told.text);
    }

    #[test]
    fn who_works_is_told_apart_from_who_ended() {
        let states = [state(AgentStatus::Running, None), state(AgentStatus::Failed, Some("no key".into()))];
        let told = told(&states).text;
        assert!(told.contains("works, 7 tokens so far"), "{told}");
        assert!(told.ends_with("failed:\nno key"), "{told}");
    }
}

//! The agents of one session, as its tools reach them: those below it, and no others.

use std::sync::Arc;
use std::time::Duration;

use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::{ItemId, SessionId};
use protocol::session::SessionSummary;
use protocol::turn::InputPart;
use session::input::Request;
use tokio::time::Instant;
use tools::agents::{AgentState, Agents, NewAgent, Outcome, When};

use crate::family::is_active;
use crate::tree::Trees;

/// What a call of a session's model reaches.
pub(crate) struct Reach {
    pub(crate) trees: Arc<Trees>,
    pub(crate) session: SessionId,
    pub(crate) call: ItemId,
}

impl Agents for Reach {
    fn spawn(&self, wish: NewAgent) -> Outcome<'_, AgentState> {
        Box::pin(async {
            let spawned = Box::pin(self.trees.spawn(self.session, self.call, wish)).await?;
            Ok(self.trees.state(&spawned, None).await)
        })
    }

    fn wait(&self, named: Vec<String>, within: Duration) -> Outcome<'_, Vec<AgentState>> {
        let until = Instant::now() + within;
        Box::pin(async move {
            let mut ticks = self.trees.ticks();
            let all = self.trees.all_below(self.session).await?;
            let mut waited = Vec::new();
            if named.is_empty() {
                let live = |agent: &&SessionSummary| self.is_own(agent) && is_active(agent);
                waited.extend(all.iter().filter(live));
            }
            for name in &named {
                waited.push(self.find(name, &all)?);
            }
            if waited.is_empty() {
                let message = "No agent works that could be waited for";
                return Err(ProtocolError::new(ErrorCode::NotFound, message)
                    .with_hint("`list_agents` tells what they came to"));
            }
            loop {
                ticks.mark_unchanged();
                let states = self.states(&waited, &all).await;
                if states.iter().any(|state| !state.status.is_live()) {
                    return Ok(states);
                }
                tokio::select! {
                    // The sender is as long-lived as the trees, so this never fails.
                    _ = ticks.changed() => {}
                    () = tokio::time::sleep_until(until) => return Ok(self.states(&waited, &all).await),
                }
            }
        })
    }

    fn send(&self, named: String, message: String, when: When) -> Outcome<'_, AgentState> {
        Box::pin(async move {
            let all = self.trees.all_below(self.session).await?;
            let agent = self.find(&named, &all)?;
            let input = vec![InputPart::Text { text: message }];
            let request = match when {
                When::Now if is_active(agent) => Request::Steer { input, expected: None },
                When::Now | When::Next => Request::Enqueue { input },
            };
            self.trees.say(self.session, self.call, agent.id, request).await?;
            Ok(self.trees.state(agent, self.starter(agent, &all)).await)
        })
    }

    fn close(&self, named: String) -> Outcome<'_, AgentState> {
        Box::pin(async move {
            let all = self.trees.all_below(self.session).await?;
            let agent = self.find(&named, &all)?;
            self.trees.close(agent.id).await?;
            Ok(self.trees.state(agent, self.starter(agent, &all)).await)
        })
    }

    fn list(&self) -> Outcome<'_, Vec<AgentState>> {
        Box::pin(async {
            let all = self.trees.all_below(self.session).await?;
            Ok(self.states(&all.iter().collect::<Vec<_>>(), &all).await)
        })
    }
}

impl Reach {
    async fn states(&self, agents: &[&SessionSummary], all: &[SessionSummary]) -> Vec<AgentState> {
        let mut states = Vec::with_capacity(agents.len());
        for agent in agents {
            states.push(self.trees.state(agent, self.starter(agent, all)).await);
        }
        states
    }

    /// The one of this name or id; of two with one name, that which this session started.
    fn find<'a>(&self, named: &str, all: &'a [SessionSummary]) -> Result<&'a SessionSummary, ProtocolError> {
        let name = |agent: &SessionSummary| agent.agent.as_ref().map(|origin| origin.name.clone());
        let is_named =
            |agent: &&SessionSummary| agent.id.to_string() == named || name(agent).as_deref() == Some(named);
        let own = all.iter().filter(|agent| self.is_own(agent)).find(is_named);
        own.or_else(|| all.iter().find(is_named)).ok_or_else(|| {
            let names: Vec<_> = all.iter().filter_map(name).map(|name| format!("`{name}`")).collect();
            let there = if names.is_empty() {
                "You have none".to_owned()
            } else {
                format!("There are {}", names.join(", "))
            };
            ProtocolError::new(ErrorCode::NotFound, format!("There is no agent `{named}`")).with_hint(there)
        })
    }

    fn is_own(&self, agent: &SessionSummary) -> bool {
        agent.agent.as_ref().is_some_and(|origin| origin.parent == self.session)
    }

    /// What that agent is called which started this one; nothing if this session did.
    fn starter(&self, agent: &SessionSummary, all: &[SessionSummary]) -> Option<String> {
        let parent = agent.agent.as_ref()?.parent;
        let starter = all.iter().find(|known| known.id == parent)?;
        starter.agent.as_ref().map(|origin| origin.name.clone())
    }
}

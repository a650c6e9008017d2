//! Samples of `agent/*`.

use protocol::agent::{AgentListParams, AgentListResult, AgentNode, AgentStatus};

use super::{Sample, sample, session, session_id};

pub(super) fn samples() -> Vec<Sample> {
    let node = AgentNode {
        summary: session::summary(),
        status: AgentStatus::Waiting,
        message: Some("The command wants to write outside of the folder".to_owned()),
        cost: 0.25,
    };
    vec![
        sample("agent.list.params", &AgentListParams { session_id: Some(session_id()) }),
        sample("agent.list.result", &AgentListResult { agents: vec![node] }),
    ]
}

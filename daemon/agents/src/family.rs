//! The order of a tree: each session after its parent, and before its parent's next one.

use std::collections::HashMap;

use protocol::ids::SessionId;
use protocol::session::{SessionStatus, SessionSummary};

/// The session at the top of the tree that this one belongs to.
pub(crate) fn root_of(summary: &SessionSummary) -> SessionId {
    summary.agent.as_ref().map_or(summary.id, |agent| agent.root)
}

/// How far below a session that is no agent.
pub(crate) fn depth_of(summary: &SessionSummary) -> u32 {
    summary.agent.as_ref().map_or(0, |agent| agent.depth)
}

/// Whether it has a turn that is not over.
pub(crate) fn is_active(summary: &SessionSummary) -> bool {
    matches!(summary.status, SessionStatus::Running { .. } | SessionStatus::Waiting { .. })
}

/// Those below a session, of a whole family, in their order. One whose parent is not there is nowhere.
pub(crate) fn below(session: SessionId, family: &[SessionSummary]) -> Vec<&SessionSummary> {
    let mut children: HashMap<SessionId, Vec<&SessionSummary>> = HashMap::new();
    for summary in family {
        if let Some(agent) = &summary.agent {
            children.entry(agent.parent).or_default().push(summary);
        }
    }
    let mut ordered = Vec::new();
    // Each list is taken once, so that parents which go round in a circle end, too.
    let mut open: Vec<&SessionSummary> = reversed(children.remove(&session));
    while let Some(next) = open.pop() {
        ordered.push(next);
        open.extend(reversed(children.remove(&next.id)));
    }
    ordered
}

fn reversed(children: Option<Vec<&SessionSummary>>) -> Vec<&SessionSummary> {
    children.into_iter().flatten().rev().collect()
}

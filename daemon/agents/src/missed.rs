//! What agents came to while nobody could be told: the daemon ended between the agent's log and its parent's. The next
//! one makes up for it at its start. Only agents whose turn ended last of all are looked at: whatever ended earlier was
//! told.

use std::sync::{Mutex, PoisonError};

use protocol::ids::SessionId;
use protocol::session::{SessionListParams, SessionSummary};
use store::{Store, StoreError};

use crate::family::is_active;

/// How long before the last thing that happened in any session an agent may have ended. Telling takes no time at all.
const WITHIN_MS: u64 = 60_000;
/// So many sessions are looked at; more can't end so shortly before a daemon does.
const MAX_SESSIONS: u32 = 500;

/// An agent that may not have told, and who is to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missed {
    pub(crate) agent: SessionId,
    pub(crate) parent: SessionId,
}

/// Those of the daemon before.
#[derive(Default)]
pub(crate) struct Misses(Mutex<Vec<Missed>>);

impl Misses {
    /// Finds them. Comes before anything happens in this daemon.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn find(&self, store: &Store) -> Result<(), StoreError> {
        let params = SessionListParams {
            with_archived: true,
            with_agents: true,
            limit: Some(MAX_SESSIONS),
            ..SessionListParams::default()
        };
        let found = of(&store.list(&params).await?);
        // Each change is done at once, so a poisoned list is whole.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(())
    }

    /// Takes them.
    pub(crate) fn take(&self) -> Vec<Missed> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Of sessions, the newest one first. One that works tells when it ends.
fn of(sessions: &[SessionSummary]) -> Vec<Missed> {
    let Some(last) = sessions.first().map(|newest| newest.updated_at) else { return Vec::new() };
    let late = sessions.iter().take_while(|session| last.since(session.updated_at) <= WITHIN_MS);
    let ended = late.filter(|session| !is_active(session) && session.turn_count > 0);
    ended
        .filter_map(|session| Some(Missed { agent: session.id, parent: session.agent.as_ref()?.parent }))
        .collect()
}

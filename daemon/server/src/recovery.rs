//! What becomes, at the start, of turns that the daemon before left unfinished, and with whose environment those that
//! go on do so. See decision 6.
//!
//! A turn that goes on asks its provider at once, with a key that only a client can bring: what clients told the
//! daemon before ended with it. So such a session stays out of memory until a client has come that brings what it
//! needs, and whoever wants it waits as long. All others are brought to rest at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::error::ProtocolError;
use protocol::event::Event;
use protocol::ids::{Seq, SessionId};
use protocol::session::{AfterCrash, Environment, SessionStatus, SessionSummary};
use session::sessions::Sessions;
use store::{Store, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::accounts::Accounts;
use crate::circumstances::Circumstances;

/// How long a turn waits for a client that brings what it needs: after the start, and after the first client came.
const PATIENCE: Duration = Duration::from_secs(10);
/// Environments that are kept while turns wait.
const MAX_TOLD: usize = 64;

/// Turns that wait to go on.
pub(crate) struct Recovery {
    /// The sessions, and the provider of each.
    waiting: watch::Sender<BTreeMap<SessionId, String>>,
    /// What clients told since the start, the last one last. Empty when nothing waits.
    told: watch::Sender<Vec<Arc<Environment>>>,
}

impl Recovery {
    /// Forgets sessions that were to be forgotten, and brings to rest what does not go on. A session that can't be
    /// recovered is logged and left as it is.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) async fn begin(store: &Store, sessions: &Arc<Sessions>) -> Result<Self, ProtocolError> {
        for id in store.ephemeral().await? {
            store.delete(id).await?;
        }
        let mut waiting = BTreeMap::new();
        for id in store.active().await? {
            match goes_on(store, id).await {
                Ok(Some(provider)) => {
                    waiting.insert(id, provider);
                }
                // One that can't be read is looked at more closely, and complained of, when it is loaded.
                Ok(None) | Err(_) => load(sessions, id).await,
            }
        }
        if !waiting.is_empty() {
            tracing::info!(turns = waiting.len(), "turns of the last daemon go on when a client has come");
        }
        Ok(Self { waiting: watch::Sender::new(waiting), told: watch::Sender::default() })
    }

    /// Notes what a client told of its environment.
    pub(crate) fn tell(&self, environment: &Arc<Environment>) {
        if !self.waiting.borrow().is_empty() {
            self.told.send_modify(|told| {
                if told.len() >= MAX_TOLD {
                    told.remove(0);
                }
                told.push(Arc::clone(environment));
            });
        }
    }

    /// Returns when the session does not wait here, or no more.
    pub(crate) async fn passed(&self, session: SessionId) {
        // The sender is ours, so the wait can only end well.
        let _ = self.waiting.subscribe().wait_for(|waiting| !waiting.contains_key(&session)).await;
    }

    /// Lets turns go on, each as soon as it can; returns when none waits. Dropping the future leaves the others
    /// where they are, for the next daemon.
    pub(crate) async fn run(
        &self,
        sessions: &Arc<Sessions>,
        circumstances: &Arc<Circumstances>,
        accounts: &Accounts,
    ) {
        let mut told = self.told.subscribe();
        told.mark_changed();
        let mut patience = Some(Instant::now() + PATIENCE);
        while !self.waiting.borrow().is_empty() {
            let is_over = tokio::select! {
                biased;
                // The sender is ours, so this never fails.
                Ok(()) = told.changed() => false,
                () = until(patience) => true,
            };
            let environments = told.borrow_and_update().clone();
            if is_over {
                patience = None;
            } else if !environments.is_empty() {
                patience.get_or_insert_with(|| Instant::now() + PATIENCE);
            }
            let waiting = self.waiting.borrow().clone();
            for (id, provider) in waiting {
                let offer = Offer { session: id, told: environments.clone(), is_over };
                let needs = Needs::Key { provider: provider.clone() };
                // The keyring is asked last: it may want its owner to unlock it.
                if lent(circumstances, offer.clone(), needs).await
                    || (accounts.has_stored_key(&provider).await
                        && lent(circumstances, offer, Needs::Nothing).await)
                {
                    load(sessions, id).await;
                    self.waiting.send_modify(|waiting| {
                        waiting.remove(&id);
                    });
                }
            }
        }
        self.told.send_modify(Vec::clear);
    }
}

/// What a session may go on with.
#[derive(Clone)]
struct Offer {
    session: SessionId,
    told: Vec<Arc<Environment>>,
    /// Whether nobody is waited for any longer.
    is_over: bool,
}

/// What an environment must hold.
enum Needs {
    /// The key of this provider.
    Key { provider: String },
    /// Nothing; the key is stored.
    Nothing,
}

async fn lent(circumstances: &Arc<Circumstances>, offer: Offer, needs: Needs) -> bool {
    let circumstances = Arc::clone(circumstances);
    tokio::task::spawn_blocking(move || lend(&circumstances, &offer, &needs)).await.unwrap_or(false)
}

/// Gives a session the environment that it goes on with, if there is one by now. Reads the settings.
fn lend(circumstances: &Circumstances, offer: &Offer, needs: &Needs) -> bool {
    let Offer { session, told, is_over } = offer;
    let none = Arc::default();
    let suffices = |environment: &&Arc<Environment>| match needs {
        Needs::Key { provider } => circumstances.suffices(provider, environment),
        Needs::Nothing => true,
    };
    let chosen = told.iter().rev().find(suffices).or_else(|| {
        // Nobody brought what is needed: the provider's failure tells whoever is there what is missing. If nobody is
        // there, nobody could mend it either, and the turn waits on.
        is_over.then(|| told.last().or(Some(&none).filter(suffices))).flatten()
    });
    let Some(chosen) = chosen else { return false };
    if let Err(error) = circumstances.lend(*session, chosen) {
        tracing::warn!(%error, %session, "the settings are malformed; the turn goes on with what there is");
    }
    true
}

/// The provider of a session whose turn goes on when the session is loaded: one that was handed over, or that is to
/// survive crashes.
async fn goes_on(store: &Store, id: SessionId) -> Result<Option<String>, StoreError> {
    let Some(SessionSummary { status, seq, settings, .. }) = store.summary(id).await? else {
        return Ok(None);
    };
    if !matches!(status, SessionStatus::Running { .. }) {
        return Ok(None);
    }
    // The last event that the list tells of may itself be the last one.
    let since = Seq(seq.0.saturating_sub(1));
    let last = store.events(id, since, None).await?.pop().map(|record| record.event);
    // A rewind that was cut off needs no key.
    let is_wanted = !matches!(last, Some(Event::SessionRewound(_)))
        && (settings.after_crash == AfterCrash::Continue || matches!(last, Some(Event::TurnSuspended(_))));
    Ok(is_wanted.then_some(settings.provider))
}

async fn load(sessions: &Arc<Sessions>, id: SessionId) {
    match sessions.open(id).await {
        Ok(_) => tracing::info!(session = %id, "recovered"),
        Err(error) => tracing::error!(session = %id, %error, "could not recover the session"),
    }
}

/// Sleeps until then; for ever without a time.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVIDER: &str = config::OPENAI;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Whether a turn goes on, and with which key, when the daemon has `own` and clients told `told`.
    fn goes_on_with(own: &[(&str, &str)], told: &[&[(&str, &str)]], is_over: bool) -> Option<Option<String>> {
        tried(own, told, is_over, &Needs::Key { provider: PROVIDER.to_owned() })
    }

    fn tried(
        own: &[(&str, &str)],
        told: &[&[(&str, &str)]],
        is_over: bool,
        needs: &Needs,
    ) -> Option<Option<String>> {
        let scratch = tempfile::tempdir().expect("scratch");
        let circumstances = Circumstances::new(scratch.path().join("config.toml"), environment(own));
        let told: Vec<_> = told.iter().map(|variables| Arc::new(environment(variables))).collect();
        let session = SessionId::generate();
        lend(&circumstances, &Offer { session, told, is_over }, needs).then(|| {
            let known = circumstances.of(session).expect("settings");
            circumstances.variables_of(&known).value(&["OPENAI_API_KEY"]).map(str::to_owned)
        })
    }

    #[test]
    fn a_turn_waits_for_who_brings_the_key() {
        let with_key: &[(&str, &str)] = &[("OPENAI_API_KEY", "secret")];
        let without: &[(&str, &str)] = &[("HOME", "/home/me"), ("OPENAI_API_KEY", "")];
        let secret = Some(Some("secret".to_owned()));
        assert_eq!(goes_on_with(&[], &[], false), None);
        assert_eq!(goes_on_with(&[], &[without], false), None);
        assert_eq!(goes_on_with(&[], &[with_key, without], false), secret, "the one that has it is taken");
        assert_eq!(goes_on_with(with_key, &[without], false), secret, "the daemon's own counts, too");
    }

    #[test]
    fn a_stored_key_is_as_good_as_one_that_is_brought() {
        let without: &[(&str, &str)] = &[("HOME", "/home/me")];
        assert_eq!(tried(&[], &[without], false, &Needs::Nothing), Some(None));
        assert_eq!(tried(&[], &[], false, &Needs::Nothing), None, "whose environment it is is not known yet");
        assert_eq!(tried(&[], &[], true, &Needs::Nothing), Some(None));
    }

    #[test]
    fn patience_ends_where_somebody_can_see_what_is_missing() {
        let with_key: &[(&str, &str)] = &[("OPENAI_API_KEY", "secret")];
        let without: &[(&str, &str)] = &[("HOME", "/home/me")];
        assert_eq!(goes_on_with(&[], &[], true), None, "nobody is there");
        assert_eq!(goes_on_with(&[], &[without], true), Some(None), "it goes on, and fails with a reason");
        assert_eq!(goes_on_with(with_key, &[], true), Some(Some("secret".to_owned())));
    }
}

//! What a person is signed in with at one server. All sessions and connections share it, so that its token is renewed
//! once for all of them.

use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use rmcp::transport::auth::{AuthError, InMemoryCredentialStore, OAuthClientConfig};
use rmcp::transport::auth::{AuthorizationManager, CredentialStore};
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinSet;

use crate::error::McpError;
use crate::sign_in::grant::Grant;
use crate::sign_in::login;
use crate::sign_in::place::Place;
use crate::sign_in::secrets::Secrets;

/// The longest challenge that is kept.
const MAX_CHALLENGE: usize = 4 * 1024;

/// A person's standing at one server.
pub(crate) struct Account {
    inner: Arc<Inner>,
    /// Renewals under way. They go on when the call goes away that needed them: a refresh token may hold once, so what
    /// comes for it must be kept.
    renewals: StdMutex<JoinSet<()>>,
}

struct Inner {
    place: Place,
    /// What it is kept under.
    name: String,
    secrets: Arc<dyn Secrets>,
    state: Mutex<State>,
    changes: watch::Sender<Changes>,
    challenge: StdMutex<Option<Challenge>>,
}

/// What the server said when it let nobody in.
#[derive(Clone)]
pub(crate) struct Challenge {
    /// The header, which may say where to sign in and for what.
    pub(crate) header: String,
    pub(crate) wants: Wants,
}

/// What a server wants that lets nobody in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// A token.
    Token,
    /// One with more leave than the one that it was sent.
    MoreLeave,
}

#[derive(Default)]
enum State {
    /// Nobody looked yet.
    #[default]
    Unknown,
    Out,
    In(Grant),
}

/// How often somebody signed in, and was signed out, since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) gained: u64,
    pub(crate) lost: u64,
}

impl Account {
    /// Kept under this name. Does nothing yet.
    pub(crate) fn new(place: Place, name: String, secrets: Arc<dyn Secrets>) -> Self {
        let changes = watch::Sender::new(Changes::default());
        let (state, challenge) = (Mutex::default(), StdMutex::default());
        let inner = Inner { place, name, secrets, state, changes, challenge };
        Self { inner: Arc::new(inner), renewals: StdMutex::default() }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.inner.place
    }

    /// Keeps what the server said; one that says too much has said nothing.
    pub(crate) fn challenged(&self, header: &str, wants: Wants) {
        let header = if header.len() <= MAX_CHALLENGE { header } else { "Bearer" };
        *self.last_challenge() = Some(Challenge { header: header.to_owned(), wants });
    }

    /// What it said last.
    pub(crate) fn challenge(&self) -> Option<Challenge> {
        self.last_challenge().clone()
    }

    /// What leave was given last.
    pub(crate) async fn granted(&self) -> Vec<String> {
        let mut state = self.inner.state.lock().await;
        let current = self.inner.current(&mut state).await.ok().flatten();
        current.map(|grant| grant.scopes.clone()).unwrap_or_default()
    }

    fn last_challenge(&self) -> MutexGuard<'_, Option<Challenge>> {
        // A poisoned one is whole: each change is one call.
        self.inner.challenge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of who signs in and out.
    pub(crate) fn changes(&self) -> watch::Receiver<Changes> {
        self.inner.changes.subscribe()
    }

    /// The token as it is now, renewed if it ends or is the one that was refused; `None` if nobody is signed in, or no
    /// longer.
    ///
    /// # Errors
    /// `SignIn` when it can't be renewed now; that may pass.
    pub(crate) async fn token(&self, refused: Option<&str>) -> Result<Option<String>, McpError> {
        if let Some(known) = self.inner.usable(refused).await? {
            return Ok(known);
        }
        let (tell, told) = oneshot::channel();
        let (inner, refused) = (Arc::clone(&self.inner), refused.map(str::to_owned));
        {
            // A poisoned set is whole: each change is one call.
            let mut renewals = self.renewals.lock().unwrap_or_else(PoisonError::into_inner);
            while renewals.try_join_next().is_some() {}
            renewals.spawn(async move {
                // Whoever asked may be gone; the token is kept all the same.
                let _ = tell.send(Box::pin(inner.renewed(refused.as_deref())).await);
            });
        }
        told.await.unwrap_or_else(|_| Err(self.inner.failed("the renewal failed inside")))
    }

    /// Keeps what somebody signed in for.
    ///
    /// # Errors
    /// `SignIn` when it can't be kept.
    pub(crate) async fn keep(&self, grant: Grant) -> Result<(), McpError> {
        let inner = &self.inner;
        let mut state = inner.state.lock().await;
        inner.secrets.set(&inner.name, grant.write()).await.map_err(|reason| inner.failed(&reason))?;
        *state = State::In(grant);
        *self.last_challenge() = None;
        inner.changes.send_modify(|changes| changes.gained += 1);
        Ok(())
    }

    /// Signs out; whether somebody was signed in.
    ///
    /// # Errors
    /// `SignIn` when what is kept can't be removed.
    pub(crate) async fn forget(&self) -> Result<bool, McpError> {
        let inner = &self.inner;
        let mut state = inner.state.lock().await;
        let was_there = inner.secrets.remove(&inner.name).await.map_err(|reason| inner.failed(&reason))?;
        inner.lose(&mut state);
        Ok(was_there)
    }
}

impl Inner {
    /// The token if it can be used, nothing inside if there is none, nothing at all if it must be renewed.
    async fn usable(&self, refused: Option<&str>) -> Result<Option<Option<String>>, McpError> {
        let mut state = self.state.lock().await;
        Ok(match self.current(&mut state).await? {
            None => Some(None),
            Some(grant) if grant.is_usable(refused) => Some(Some(grant.access.clone())),
            Some(_) => None,
        })
    }

    async fn renewed(&self, refused: Option<&str>) -> Result<Option<String>, McpError> {
        // Held while it is renewed: who comes second finds the new one.
        let mut state = self.state.lock().await;
        let Some(grant) = self.current(&mut state).await? else { return Ok(None) };
        if grant.is_usable(refused) {
            return Ok(Some(grant.access.clone()));
        }
        let server = &self.place.server;
        match self.renew(&grant).await {
            Ok(fresh) => {
                tracing::info!(server, "the token of an MCP server was renewed");
                if let Err(reason) = self.secrets.set(&self.name, fresh.write()).await {
                    tracing::error!(
                        server,
                        reason,
                        "a new token can't be kept; it is lost at the next start"
                    );
                }
                let access = fresh.access.clone();
                *state = State::In(fresh);
                Ok(Some(access))
            }
            Err(Renewal::Ended(reason)) => {
                tracing::warn!(server, reason, "the sign-in with an MCP server has ended");
                if let Err(reason) = self.secrets.remove(&self.name).await {
                    tracing::warn!(server, reason, "a token that holds no longer can't be removed");
                }
                self.lose(&mut state);
                Ok(None)
            }
            Err(Renewal::Failed(reason)) => Err(self.failed(&reason)),
        }
    }

    /// New tokens for old ones, from whoever gave them.
    async fn renew(&self, grant: &Grant) -> Result<Grant, Renewal> {
        let failed = |error: AuthError| Renewal::Failed(login::told(&error));
        if grant.refresh.is_none() {
            return Err(Renewal::Ended("its token can't be renewed".to_owned()));
        }
        let found = login::discover(&self.place, grant.challenge.as_deref()).await.map_err(failed)?;
        let mut manager: AuthorizationManager = found.manager;
        if found.issuer != grant.issuer {
            return Err(Renewal::Ended("its users sign in elsewhere now".to_owned()));
        }
        let store = InMemoryCredentialStore::new();
        let stored =
            grant.stored().ok_or_else(|| Renewal::Ended("what is kept of it makes no sense".to_owned()))?;
        store.save(stored).await.map_err(failed)?;
        manager.set_credential_store(store);
        let mut client = OAuthClientConfig::new(grant.client_id.clone(), self.place.url.to_string());
        client.client_secret = grant.client_secret.clone();
        manager.configure_client(client).map_err(failed)?;
        match Box::pin(manager.refresh_token()).await {
            Ok(answer) => grant.clone().with(&answer).map_err(Renewal::Failed),
            Err(error @ (AuthError::TokenRefreshRejected(_) | AuthError::AuthorizationRequired)) => {
                Err(Renewal::Ended(login::told(&error)))
            }
            Err(error) => Err(failed(error)),
        }
    }

    async fn current(&self, state: &mut State) -> Result<Option<Grant>, McpError> {
        if let State::Unknown = state {
            let kept = self.secrets.get(&self.name).await.map_err(|reason| self.failed(&reason))?;
            *state = kept.and_then(|kept| Grant::read(&kept)).map_or(State::Out, State::In);
        }
        Ok(match state {
            State::In(grant) => Some(grant.clone()),
            State::Out | State::Unknown => None,
        })
    }

    fn lose(&self, state: &mut State) {
        *state = State::Out;
        self.changes.send_modify(|changes| changes.lost += 1);
    }

    fn failed(&self, reason: &str) -> McpError {
        McpError::SignIn { server: self.place.server.clone(), reason: reason.to_owned() }
    }
}

/// Why there are no new tokens.
enum Renewal {
    /// There will never be any.
    Ended(String),
    /// There may be some later.
    Failed(String),
}

//! An account that somebody signed in with. All sessions share it, so that its token is renewed once for all.

use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;

use crate::credentials::error::CredentialError;
use crate::credentials::secret::Secret;
use crate::credentials::source::{Granted, Granting, KeySource, account_name};
use crate::credentials::vault::{Place, Vault};
use crate::login::oauth::{BrowserLogin, DeviceLogin, OAuth, now};
use crate::login::token::Tokens;

pub use crate::login::token::Identity;

/// A token that ends so soon is renewed before it is used, in seconds.
const MARGIN: u64 = 60;

/// An account of a provider, signed in or not.
pub struct Account {
    inner: Arc<Inner>,
    /// Renewals under way. They go on when the request goes away that needed them: a refresh token holds once, so
    /// what comes for it must be kept.
    renewals: StdMutex<JoinSet<()>>,
}

struct Inner {
    oauth: OAuth,
    vault: Arc<Vault>,
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    /// The vault was not asked.
    #[default]
    Unknown,
    In(Tokens),
    /// The server takes the tokens no longer, and has said so.
    Ended(String),
}

/// What is known of an account, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Whose it is.
    pub identity: Identity,
    /// When its token ends, in seconds since 1970.
    pub expires_at: u64,
    /// Where it is kept.
    pub place: Place,
}

impl Account {
    /// Of this server of accounts, kept in this vault. Does nothing yet.
    #[must_use]
    pub fn new(oauth: OAuth, vault: Arc<Vault>) -> Self {
        let inner = Inner { oauth, vault, state: Mutex::default() };
        Self { inner: Arc::new(inner), renewals: StdMutex::default() }
    }

    /// The server of accounts.
    #[must_use]
    pub fn oauth(&self) -> &OAuth {
        &self.inner.oauth
    }

    /// Who is signed in; nobody if what is kept can't be read.
    ///
    /// # Errors
    /// `File`.
    pub async fn signed_in(&self) -> Result<Option<SignedIn>, CredentialError> {
        let Some(kept) = self.inner.vault.get(&self.inner.name()).await? else { return Ok(None) };
        Ok(Tokens::read(&kept.secret).map(|tokens| SignedIn {
            identity: tokens.identity,
            expires_at: tokens.expires_at,
            place: kept.place,
        }))
    }

    /// Carries out a sign-in that was begun in a browser. Dropping the future gives up.
    ///
    /// # Errors
    /// What went wrong; nothing has changed then.
    pub async fn finish_browser(&self, login: BrowserLogin) -> Result<(), CredentialError> {
        self.inner.oauth.finish_browser(login, async |tokens| self.inner.keep(tokens).await).await
    }

    /// Carries out a sign-in by a code. Dropping the future gives up.
    ///
    /// # Errors
    /// What went wrong; nothing has changed then.
    pub async fn finish_device(&self, login: &DeviceLogin) -> Result<(), CredentialError> {
        self.inner.keep(self.inner.oauth.finish_device(login).await?).await
    }

    /// Signs out; whether somebody was signed in.
    ///
    /// # Errors
    /// `File`.
    pub async fn sign_out(&self) -> Result<bool, CredentialError> {
        let mut state = self.inner.state.lock().await;
        *state = State::Unknown;
        self.inner.vault.remove(&self.inner.name()).await
    }
}

impl Inner {
    fn name(&self) -> String {
        account_name(self.oauth.provider())
    }

    async fn keep(&self, tokens: Tokens) -> Result<(), CredentialError> {
        let mut state = self.state.lock().await;
        self.vault.set(&self.name(), tokens.write()).await?;
        *state = State::In(tokens);
        Ok(())
    }

    /// The tokens as they are kept.
    async fn load(&self) -> Result<Tokens, CredentialError> {
        let kept = self.vault.get(&self.name()).await?;
        let provider = || self.oauth.provider().to_owned();
        let kept = kept.ok_or_else(|| CredentialError::SignedOut { provider: provider() })?;
        Tokens::read(&kept.secret).ok_or_else(|| CredentialError::Ended {
            provider: provider(),
            reason: "what is kept of it can't be read".to_owned(),
        })
    }

    /// The token as it is now, if it can be used.
    async fn usable(&self, refused: Option<&Secret>) -> Result<Option<Granted>, CredentialError> {
        let mut state = self.state.lock().await;
        let tokens = self.current(&mut state).await?;
        Ok(is_usable(&tokens, refused).then(|| granted(&tokens)))
    }

    /// The token, renewed if need be.
    async fn renewed(&self, refused: Option<&Secret>) -> Result<Granted, CredentialError> {
        // Held while it is renewed: who comes second finds the new one.
        let mut state = self.state.lock().await;
        let tokens = self.current(&mut state).await?;
        if is_usable(&tokens, refused) {
            return Ok(granted(&tokens));
        }
        match self.oauth.renew(&tokens).await {
            Ok(fresh) => {
                tracing::info!(provider = self.oauth.provider(), "the account's token was renewed");
                if let Err(error) = self.vault.set(&self.name(), fresh.write()).await {
                    tracing::error!(%error, "the account's new token can't be kept; it is lost at the next start");
                }
                let granted = granted(&fresh);
                *state = State::In(fresh);
                Ok(granted)
            }
            Err(error) => {
                if let CredentialError::Ended { reason, .. } = &error {
                    *state = State::Ended(reason.clone());
                }
                Err(error)
            }
        }
    }

    async fn current(&self, state: &mut State) -> Result<Tokens, CredentialError> {
        match state {
            State::Ended(reason) => {
                let provider = self.oauth.provider().to_owned();
                Err(CredentialError::Ended { provider, reason: reason.clone() })
            }
            State::In(tokens) => Ok(tokens.clone()),
            State::Unknown => {
                let tokens = self.load().await?;
                *state = State::In(tokens.clone());
                Ok(tokens)
            }
        }
    }
}

fn is_usable(tokens: &Tokens, refused: Option<&Secret>) -> bool {
    tokens.expires_at > now().saturating_add(MARGIN) && refused != Some(&tokens.access)
}

fn granted(tokens: &Tokens) -> Granted {
    Granted { key: tokens.access.clone(), headers: tokens.headers() }
}

impl KeySource for Account {
    fn key<'a>(&'a self, refused: Option<&'a Secret>) -> Granting<'a> {
        Box::pin(async move {
            if let Some(granted) = self.inner.usable(refused).await? {
                return Ok(granted);
            }
            let (tell, told) = oneshot::channel();
            let (inner, refused) = (Arc::clone(&self.inner), refused.cloned());
            {
                // A poisoned set is whole: each change is one call.
                let mut renewals = self.renewals.lock().unwrap_or_else(PoisonError::into_inner);
                while renewals.try_join_next().is_some() {}
                renewals.spawn(async move {
                    // Whoever asked may be gone; the token is kept all the same.
                    let _ = tell.send(inner.renewed(refused.as_ref()).await);
                });
            }
            let lost = CredentialError::Unready { reason: "the renewal failed inside".to_owned() };
            told.await.unwrap_or(Err(lost))
        })
    }
}

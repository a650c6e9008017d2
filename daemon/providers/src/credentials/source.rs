//! Where a key comes from that is not known when a client is made. Knows nothing of requests.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::credentials::error::CredentialError;
use crate::credentials::secret::Secret;
use crate::credentials::vault::Vault;

/// A key, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The key.
    pub key: Secret,
    /// Headers that the provider wants beside it.
    pub headers: BTreeMap<String, String>,
}

/// The answer of a source.
pub type Granting<'a> = Pin<Box<dyn Future<Output = Result<Granted, CredentialError>> + Send + 'a>>;

/// Where a key comes from.
pub trait KeySource: Send + Sync {
    /// The key as it is now. `refused` is one that the provider has just refused; a source that has no other gives
    /// the same again. Bounded in time.
    fn key<'a>(&'a self, refused: Option<&'a Secret>) -> Granting<'a>;
}

/// A key that a person stored.
pub struct StoredKey {
    vault: Arc<Vault>,
    provider: String,
    variables: Vec<String>,
}

impl StoredKey {
    /// That of this provider; the variables are what a message names.
    #[must_use]
    pub fn new(vault: Arc<Vault>, provider: String, variables: Vec<String>) -> Self {
        Self { vault, provider, variables }
    }
}

impl KeySource for StoredKey {
    fn key<'a>(&'a self, _refused: Option<&'a Secret>) -> Granting<'a> {
        Box::pin(async move {
            match self.vault.get(&key_name(&self.provider)).await? {
                Some(kept) => Ok(Granted { key: kept.secret, headers: BTreeMap::new() }),
                None => Err(CredentialError::Missing {
                    provider: self.provider.clone(),
                    variables: self.variables.clone(),
                }),
            }
        })
    }
}

/// What a provider's key is called in the vault.
#[must_use]
pub fn key_name(provider: &str) -> String {
    format!("key:{provider}")
}

/// What a provider's account is called in the vault.
#[must_use]
pub fn account_name(provider: &str) -> String {
    format!("account:{provider}")
}

//! Keys and accounts as the daemon has them: one vault for all, one account of each provider for all sessions, the
//! programs that print keys, and the sign-ins that are under way. Nothing is looked up before it is needed.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use config::{ModelProvider, OAuthServer};
use protocol::account::{Credential, CredentialPlace};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::Timestamp;
use providers::credentials::command::{CommandKey, KeyCommand};
use providers::credentials::error::CredentialError;
use providers::credentials::source::{KeySource, StoredKey, key_name};
use providers::credentials::vault::{Place, Vault};
use providers::login::account::Account;
use providers::login::oauth::OAuth;
use wire::folders::Folders;

use crate::circumstances::Variables;
use crate::logins::Logins;
use crate::route::Route;

/// Programs whose keys are kept; the oldest goes first. Sessions that use it keep it alive.
const MAX_COMMANDS: usize = 32;

/// Accounts that are kept beside those that are in use.
const MAX_ACCOUNTS: usize = 32;
/// Models of which it is remembered that a person was told.
const MAX_NOTICED: usize = 1000;

/// Keys and accounts.
pub(crate) struct Accounts {
    vault: Arc<Vault>,
    known: Mutex<Vec<(AccountId, Arc<Account>)>>,
    commands: Mutex<VecDeque<(KeyCommand, Arc<CommandKey>)>>,
    pub(crate) logins: Logins,
    /// Providers and models of which a person was told that nothing is known of them.
    noticed: Mutex<BTreeSet<(String, String)>>,
}

/// Which account it is. Two of one would renew one token twice.
#[derive(Clone, PartialEq)]
struct AccountId {
    provider: String,
    server: OAuthServer,
}

impl Accounts {
    /// Those of this home.
    pub(crate) fn new(folders: &Folders) -> Self {
        // Homes do not see each other's entries in the one keyring of a person.
        let service = format!("skein {}", folders.state.display());
        Self {
            vault: Arc::new(Vault::new(folders.state.join("credentials.json"), service)),
            known: Mutex::default(),
            commands: Mutex::default(),
            logins: Logins::default(),
            noticed: Mutex::default(),
        }
    }

    /// Where a provider's key comes from that is in no variable; `None` if it needs none.
    ///
    /// # Errors
    /// `InvalidRequest` when the server of accounts can't be one.
    pub(crate) fn source(
        &self,
        route: &Route,
        command: Option<KeyCommand>,
    ) -> Result<Option<Arc<dyn KeySource>>, ProtocolError> {
        let provider = route.provider();
        if route.has_key() {
            return Ok(None);
        }
        if let Some(command) = command {
            return Ok(Some(self.command(command)));
        }
        if provider.oauth.is_some() {
            return Ok(Some(self.account(route)?));
        }
        Ok(provider.env_key.is_some().then(|| {
            let variables = provider.env_keys().map(str::to_owned).collect();
            let stored = StoredKey::new(Arc::clone(&self.vault), route.id().to_owned(), variables);
            Arc::new(stored) as Arc<dyn KeySource>
        }))
    }

    /// The account of a provider that has some.
    ///
    /// # Errors
    /// `InvalidRequest` when it has none, or its server can't be one.
    pub(crate) fn account(&self, route: &Route) -> Result<Arc<Account>, ProtocolError> {
        let id = route.id();
        let Some(server) = route.provider().oauth.clone() else {
            let message = format!("The provider `{id}` has no accounts");
            let hint = format!("Store a key with `skein login {id} --with-api-key`");
            return Err(ProtocolError::new(ErrorCode::InvalidRequest, message).with_hint(hint));
        };
        let id = AccountId { provider: id.to_owned(), server };
        let mut known = lock(&self.known);
        // Two of one would renew one token twice, so what is in use stays.
        if known.len() >= MAX_ACCOUNTS {
            known.retain(|(other, account)| *other == id || Arc::strong_count(account) > 1);
        }
        if let Some((_, account)) = known.iter().find(|(known, _)| *known == id) {
            return Ok(Arc::clone(account));
        }
        let oauth = OAuth::new(&route.settings(), &id.server.issuer, id.server.client_id.clone());
        let oauth = oauth.map_err(|error| refused(&error))?;
        let account = Arc::new(Account::new(oauth, Arc::clone(&self.vault)));
        known.push((id, Arc::clone(&account)));
        Ok(account)
    }

    /// What there is for a provider, in the order in which it is used. The keyring may be asked.
    ///
    /// # Errors
    /// When what is stored can't be read.
    pub(crate) async fn credential(
        &self,
        route: &Route,
        variables: &Variables,
    ) -> Result<Option<Credential>, ProtocolError> {
        let provider = route.provider();
        if let Some(variable) = variables.name(provider.env_keys()) {
            return Ok(Some(Credential::Environment { variable: variable.to_owned() }));
        }
        if let Some(auth) = &provider.auth {
            return Ok(Some(Credential::Command { program: auth.program.clone() }));
        }
        if provider.oauth.is_some() {
            let found = self.account(route)?.signed_in().await.map_err(|error| refused(&error))?;
            return Ok(found.map(|found| Credential::SignedIn {
                place: place(found.place),
                email: found.identity.email,
                plan: found.identity.plan,
                expires_at: Some(Timestamp(found.expires_at.saturating_mul(1000))),
            }));
        }
        if provider.env_key.is_none() {
            return Ok(None);
        }
        let kept = self.vault.get(&key_name(route.id())).await.map_err(|error| refused(&error))?;
        Ok(kept.map(|kept| Credential::Stored { place: place(kept.place) }))
    }

    /// Whether a key of this provider is stored. One that can't be read counts as none. The keyring may be asked.
    pub(crate) async fn has_stored_key(&self, provider: &str) -> bool {
        matches!(self.vault.get(&key_name(provider)).await, Ok(Some(_)))
    }

    /// Keeps the keys of providers.
    pub(crate) fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Whether this is the first time that a person is to be told of it.
    pub(crate) fn is_news(&self, provider: &str, model: &str) -> bool {
        let mut noticed = lock(&self.noticed);
        if noticed.len() >= MAX_NOTICED {
            // They are told once more; that is better than to be told of none.
            noticed.clear();
        }
        noticed.insert((provider.to_owned(), model.to_owned()))
    }

    fn command(&self, command: KeyCommand) -> Arc<CommandKey> {
        let mut commands = lock(&self.commands);
        if let Some((_, key)) = commands.iter().find(|(known, _)| *known == command) {
            return Arc::clone(key);
        }
        if commands.len() >= MAX_COMMANDS {
            commands.pop_front();
        }
        let key = Arc::new(CommandKey::new(command.clone()));
        commands.push_back((command, Arc::clone(&key)));
        key
    }
}

/// The program of the settings that prints a provider's key, for a client with these variables.
pub(crate) fn key_command(provider: &ModelProvider, variables: &Variables) -> Option<KeyCommand> {
    provider.auth.as_ref().map(|auth| KeyCommand {
        program: auth.program.clone(),
        arguments: auth.arguments.clone(),
        timeout: Duration::from_millis(auth.timeout_ms),
        refresh: auth.refresh_ms.map(Duration::from_millis),
        environment: variables.of_client().clone(),
    })
}

/// Where something is kept, as the wire has it.
pub(crate) fn place(place: Place) -> CredentialPlace {
    match place {
        Place::Keyring => CredentialPlace::Keyring,
        Place::File { path, reason } => CredentialPlace::File { path, reason },
    }
}

/// An error of keys and accounts, as the wire has it.
pub(crate) fn refused(error: &CredentialError) -> ProtocolError {
    let code = match error {
        CredentialError::Missing { .. } | CredentialError::SignedOut { .. } => ErrorCode::NotFound,
        CredentialError::Ended { .. }
        | CredentialError::Refused { .. }
        | CredentialError::Malformed { .. }
        | CredentialError::Unreachable { .. }
        | CredentialError::TooLate { .. } => ErrorCode::Provider,
        CredentialError::Command { .. } | CredentialError::Unready { .. } => ErrorCode::InvalidRequest,
        CredentialError::File { .. } => ErrorCode::Internal,
    };
    let refused = ProtocolError::new(code, error.full_message());
    match error.hint() {
        Some(hint) => refused.with_hint(hint),
        None => refused,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is poisoned is whole: each change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

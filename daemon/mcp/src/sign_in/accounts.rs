//! The accounts of a daemon: one for each server and address, whoever asks for it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::McpError;
use crate::recipe::Recipe;
use crate::sign_in::account::Account;
use crate::sign_in::place::Place;
use crate::sign_in::secrets::Secrets;

/// Beyond so many, those that nobody has are forgotten.
const MAX_UNUSED: usize = 64;

/// All of them.
pub struct Accounts {
    secrets: Arc<dyn Secrets>,
    known: Mutex<Vec<(String, Arc<Account>)>>,
}

impl Accounts {
    /// Those whose tokens are kept there. Does nothing yet.
    #[must_use]
    pub fn new(secrets: Arc<dyn Secrets>) -> Self {
        Self { secrets, known: Mutex::default() }
    }

    /// What a server's token is kept under.
    #[must_use]
    pub fn name(recipe: &Recipe) -> String {
        format!("mcp/{}/{}", recipe.name, recipe.identity())
    }

    /// That of a server.
    ///
    /// # Errors
    /// `NoSignIn` when nobody can sign in with it.
    pub(crate) fn of(&self, recipe: &Recipe) -> Result<Arc<Account>, McpError> {
        let place = Place::of(recipe)?;
        let name = Self::name(recipe);
        // A poisoned list is whole: each change is one call.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, account)) = known.iter().find(|(known, _)| *known == name) {
            return Ok(Arc::clone(account));
        }
        if known.len() >= MAX_UNUSED {
            known.retain(|(_, account)| Arc::strong_count(account) > 1);
        }
        let account = Arc::new(Account::new(place, name.clone(), Arc::clone(&self.secrets)));
        known.push((name, Arc::clone(&account)));
        Ok(account)
    }
}

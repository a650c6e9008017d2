//! Sign-ins with MCP servers: the listener that a browser is sent to, the address that a person pastes instead, and
//! where the tokens are kept. Knows nothing of OAuth; that is `mcp`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::mcp::{Accounts, Login, McpError, Recipe, Secrets, Servers};
use futures_util::future::BoxFuture;
use protocol::account::{Account, Credential, LoginId, LoginStatus};
use protocol::error::{ErrorCode, ProtocolError};
use providers::credentials::secret::Secret;
use providers::credentials::vault::Vault;
use providers::login::callback::Callback;
use providers::login::oauth::BROWSER_LIFE;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::accounts;
use crate::logins::Logins;

/// Sign-ins whose address can be pasted; the oldest goes first.
const MAX_WAITING: usize = 8;

/// Those that are under way.
pub(crate) struct McpLogins {
    vault: Arc<Vault>,
    waiting: Mutex<VecDeque<Waiting>>,
}

/// One that an address can be pasted for.
struct Waiting {
    id: LoginId,
    state: String,
    paste: mpsc::Sender<String>,
}

impl McpLogins {
    /// None yet.
    pub(crate) fn new(vault: Arc<Vault>) -> Self {
        Self { vault, waiting: Mutex::default() }
    }

    /// Begins one; its id and the page to open.
    ///
    /// # Errors
    /// What the server said, or the system.
    pub(crate) async fn begin(
        &self,
        servers: &Servers,
        recipe: &Recipe,
        scopes: Vec<String>,
        logins: &Logins,
    ) -> Result<(LoginId, String), ProtocolError> {
        let key = key(recipe);
        // Its listener is closed before another one is opened.
        logins.give_up(&key);
        let callback = Callback::bind_any().await.map_err(|error| {
            ProtocolError::new(ErrorCode::Unavailable, format!("The system gives no port: {error}"))
        })?;
        let login =
            servers.login(recipe, scopes, &callback.redirect()).await.map_err(|error| refused(&error))?;
        let (url, state) = (login.url.clone(), login.state.clone());
        let (paste, pasted) = mpsc::channel(1);
        let (vault, recipe) = (Arc::clone(&self.vault), recipe.clone());
        let id = logins.begin(&key, async move {
            match Box::pin(carry_out(login, callback, pasted)).await {
                Ok(()) => LoginStatus::Completed { account: account(&vault, &recipe).await },
                Err(message) => {
                    tracing::warn!(server = recipe.name, message, "a sign-in with an MCP server failed");
                    LoginStatus::Failed { message }
                }
            }
        });
        let mut waiting = self.lock();
        if waiting.len() >= MAX_WAITING {
            waiting.pop_front();
        }
        waiting.push_back(Waiting { id, state, paste });
        Ok((id, url))
    }

    /// Takes the address that a browser was sent to.
    ///
    /// # Errors
    /// `NotFound`; `InvalidRequest` when it is not of this sign-in, which then goes on.
    pub(crate) fn paste(&self, id: LoginId, address: &str) -> Result<(), ProtocolError> {
        let waiting = self.lock();
        let found = waiting.iter().find(|waiting| waiting.id == id && !waiting.paste.is_closed());
        let Some(found) = found else {
            let error = ProtocolError::new(ErrorCode::NotFound, "There is no such sign-in any more");
            return Err(error.with_hint("Begin again with `skein mcp login`"));
        };
        if ::mcp::state_of(address).as_ref() != Some(&found.state) {
            let message = "That is not the address that this sign-in ends at";
            let hint = "It begins with `http://127.0.0.1` and has a `state`; copy the whole of it";
            return Err(ProtocolError::new(ErrorCode::InvalidRequest, message).with_hint(hint));
        }
        // If there is one already, that is as good.
        let _ = found.paste.try_send(address.trim().to_owned());
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        // A poisoned queue is whole: each change is one call.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a sign-in with a server is called among all of them.
pub(crate) fn key(recipe: &Recipe) -> String {
    format!("mcp {}", recipe.name)
}

/// Waits for the browser, or for the address that a person pastes.
async fn carry_out(
    login: Login,
    callback: Callback,
    mut pasted: mpsc::Receiver<String>,
) -> Result<(), String> {
    let state = login.state.clone();
    let hit = tokio::select! {
        hit = callback.hit(&state) => hit,
        Some(address) = pasted.recv() => return login.finish(&address).await.map_err(|error| error.to_string()),
        () = tokio::time::sleep(BROWSER_LIFE) => {
            return Err(format!("Nobody signed in within {} minutes", BROWSER_LIFE.as_secs() / 60));
        }
    };
    let done = login.finish(&hit.address).await.map_err(|error| error.to_string());
    hit.respond(done.as_ref().map(|&()| ()).map_err(String::as_str)).await;
    done
}

async fn account(vault: &Vault, recipe: &Recipe) -> Account {
    let kept = vault.get(&Accounts::name(recipe)).await.ok().flatten();
    let credential = kept.map(|kept| Credential::SignedIn {
        place: accounts::place(kept.place),
        email: None,
        plan: None,
        expires_at: None,
    });
    Account { provider: recipe.name.clone(), name: recipe.name.clone(), has_sign_in: true, credential }
}

/// What went wrong with a server, as the wire has it.
pub(crate) fn refused(error: &McpError) -> ProtocolError {
    let code = match error {
        McpError::NoSignIn { .. } | McpError::BadCall { .. } | McpError::Changed { .. } => {
            ErrorCode::InvalidRequest
        }
        McpError::NoTool { .. } | McpError::NoPrompt { .. } => ErrorCode::NotFound,
        McpError::LoginRequired { .. } | McpError::MoreLeave { .. } => ErrorCode::Denied,
        McpError::SignIn { .. }
        | McpError::Refused { .. }
        | McpError::NoAnswer { .. }
        | McpError::Nonsense { .. } => ErrorCode::Provider,
        McpError::Start { .. }
        | McpError::StartTimeout { .. }
        | McpError::Resting { .. }
        | McpError::Gone { .. }
        | McpError::CallTimeout { .. }
        | McpError::Interrupted => ErrorCode::Unavailable,
    };
    ProtocolError::new(code, error.to_string())
}

/// Keeps the tokens of servers where the keys of providers are.
pub(crate) struct ServerSecrets(pub(crate) Arc<Vault>);

impl Secrets for ServerSecrets {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Zeroizing<String>>, String>> {
        Box::pin(async move {
            let kept = self.0.get(name).await.map_err(|error| error.full_message())?;
            Ok(kept.map(|kept| Zeroizing::new(kept.secret.reveal().to_owned())))
        })
    }

    fn set<'a>(&'a self, name: &'a str, text: Zeroizing<String>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let secret = Secret::new(text.as_str().to_owned());
            self.0.set(name, secret).await.map(drop).map_err(|error| error.full_message())
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move { self.0.remove(name).await.map_err(|error| error.full_message()) })
    }
}

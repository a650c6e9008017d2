//! `account/*`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::config::Settings;
use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::account::{
    Account, AccountListParams, AccountListResult, AccountLoginParams, AccountLoginResult,
    AccountLogoutParams, AccountLogoutResult, AccountSetKeyParams, AccountSetKeyResult, Credential,
    LoginMethod, LoginRef, LoginStatus,
};
use protocol::api::account::AccountServer;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::Timestamp;
use protocol::session::{Done, SettingsOverrides};
use providers::credentials::error::CredentialError;
use providers::credentials::secret::Secret;
use providers::credentials::source::key_name;
use providers::login::oauth::{BROWSER_LIFE, DEVICE_LIFE};

use super::{Handlers, blocking, caller};
use crate::accounts::{self, refused};
use crate::circumstances::Variables;
use crate::connection::Connection;
use crate::daemon::Daemon;
use crate::route::Route;
use crate::{daemon, settings, wiring};

/// No key is longer.
const MAX_KEY_BYTES: usize = 64 * 1024;

#[async_trait]
impl AccountServer for Handlers {
    async fn list_accounts(
        &self,
        extensions: &Extensions,
        _params: AccountListParams,
    ) -> RpcResult<AccountListResult> {
        let (settings, variables) = self.knowledge(caller(extensions)?).await?;
        let mut listed = Vec::new();
        for (id, provider) in &settings.model_providers {
            if provider.env_key.is_none() && provider.auth.is_none() && provider.oauth.is_none() {
                continue;
            }
            listed.push(account(&self.0, &Route::new(id, provider, &variables), &variables).await?);
        }
        Ok(AccountListResult { accounts: listed })
    }

    async fn set_key(
        &self,
        extensions: &Extensions,
        params: AccountSetKeyParams,
    ) -> RpcResult<AccountSetKeyResult> {
        let AccountSetKeyParams { provider: id, key: mut sent } = params;
        let key = Secret::new(std::mem::take(&mut sent.0));
        let (settings, variables) = self.knowledge(caller(extensions)?).await?;
        let provider = wiring::provider(&settings, &id)?;
        if provider.oauth.is_some() {
            let message = format!("The provider `{id}` takes an account and no key");
            return Err(invalid(message).with_hint(format!("Sign in with `skein login {id}`")).into());
        }
        if provider.env_key.is_none() {
            let message = format!("The provider `{id}` needs no key");
            let hint = format!("If it does, name a variable with `env_key` in `[model_providers.{id}]`");
            return Err(invalid(message).with_hint(hint).into());
        }
        let text = key.reveal().trim();
        if text.is_empty() || text.len() > MAX_KEY_BYTES || text.contains(char::is_control) {
            return Err(invalid("The key is empty, too long, or more than one line").into());
        }
        let key = Secret::new(text.to_owned());
        let place =
            self.0.accounts.vault().set(&key_name(&id), key).await.map_err(|error| refused(&error))?;
        tracing::info!(provider = id, "a key was stored");
        let hidden_by = variables.name(provider.env_keys()).map(str::to_owned);
        Ok(AccountSetKeyResult { place: accounts::place(place), hidden_by })
    }

    async fn login(
        &self,
        extensions: &Extensions,
        params: AccountLoginParams,
    ) -> RpcResult<AccountLoginResult> {
        let AccountLoginParams { provider: id, method } = params;
        let (settings, variables) = self.knowledge(caller(extensions)?).await?;
        let route = Route::new(&id, wiring::provider(&settings, &id)?, &variables);
        let signing_in = self.0.accounts.account(&route)?;
        // Its listener is closed before another one is opened.
        self.0.accounts.logins.give_up(&id);
        let daemon = Arc::clone(&self.0);
        let begun = match method {
            LoginMethod::Browser => {
                let login = signing_in.oauth().browser().await.map_err(|error| refused(&error))?;
                let url = login.url.clone();
                let work = async move {
                    let ended = signing_in.finish_browser(login).await;
                    status(&daemon, &route, &variables, ended).await
                };
                let login_id = self.0.accounts.logins.begin(&id, work);
                AccountLoginResult { login_id, url, user_code: None, expires_at: after(BROWSER_LIFE) }
            }
            LoginMethod::Device => {
                let login = signing_in.oauth().device().await.map_err(|error| refused(&error))?;
                let (url, user_code) = (login.url.clone(), Some(login.user_code.clone()));
                let work = async move {
                    let ended = signing_in.finish_device(&login).await;
                    status(&daemon, &route, &variables, ended).await
                };
                let login_id = self.0.accounts.logins.begin(&id, work);
                AccountLoginResult { login_id, url, user_code, expires_at: after(DEVICE_LIFE) }
            }
            LoginMethod::Unknown(word) => {
                let hint = "Methods are `browser` and `device`";
                return Err(invalid(format!("`{word}` is no way to sign in here")).with_hint(hint).into());
            }
        };
        Ok(begun)
    }

    async fn await_login(&self, params: LoginRef) -> RpcResult<LoginStatus> {
        Ok(self.0.accounts.logins.wait(params.login_id).await?)
    }

    async fn cancel_login(&self, params: LoginRef) -> RpcResult<Done> {
        self.0.accounts.logins.cancel(params.login_id);
        Ok(Done {})
    }

    async fn logout(
        &self,
        extensions: &Extensions,
        params: AccountLogoutParams,
    ) -> RpcResult<AccountLogoutResult> {
        let id = params.provider;
        let (settings, variables) = self.knowledge(caller(extensions)?).await?;
        let provider = wiring::provider(&settings, &id)?;
        let route = Route::new(&id, provider, &variables);
        let was_stored = if provider.oauth.is_some() {
            self.0.accounts.logins.give_up(&id);
            self.0.accounts.account(&route)?.sign_out().await
        } else {
            self.0.accounts.vault().remove(&key_name(&id)).await
        };
        let was_stored = was_stored.map_err(|error| refused(&error))?;
        tracing::info!(provider = id, was_stored, "signed out");
        let left = self.0.accounts.credential(&route, &variables).await?;
        Ok(AccountLogoutResult { was_stored, left })
    }
}

impl Handlers {
    /// The settings on disk, and what counts as the environment of a client.
    pub(super) async fn knowledge(
        &self,
        connection: &Connection,
    ) -> Result<(Settings, Variables), ProtocolError> {
        let circumstances = Arc::clone(&self.0.circumstances);
        let variables = circumstances.variables(&connection.client()?.environment);
        let load = move || settings::load(circumstances.file(), &SettingsOverrides::default());
        Ok((blocking(load).await?.settings, variables))
    }
}

/// How a sign-in ended.
async fn status(
    daemon: &Daemon,
    route: &Route,
    variables: &Variables,
    ended: Result<(), CredentialError>,
) -> LoginStatus {
    let failed = |message: String| LoginStatus::Failed { message };
    match ended {
        Err(error) => {
            tracing::warn!(provider = route.id(), error = error.full_message(), "a sign-in failed");
            failed(error.full_message())
        }
        Ok(()) => match account(daemon, route, variables).await {
            Ok(account) => LoginStatus::Completed { account },
            Err(error) => failed(error.message),
        },
    }
}

async fn account(daemon: &Daemon, route: &Route, variables: &Variables) -> Result<Account, ProtocolError> {
    let credential: Option<Credential> = daemon.accounts.credential(route, variables).await?;
    let (provider, name) = (route.id().to_owned(), route.provider().name.clone());
    Ok(Account { provider, name, has_sign_in: route.provider().oauth.is_some(), credential })
}

fn after(life: Duration) -> Timestamp {
    daemon::milliseconds(SystemTime::now() + life)
}

fn invalid(message: impl Into<String>) -> ProtocolError {
    ProtocolError::new(ErrorCode::InvalidRequest, message)
}

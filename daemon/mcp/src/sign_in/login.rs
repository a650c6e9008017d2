//! One sign-in: finds out where and how, makes the page that a person opens, and exchanges what comes back of it.
//! Whatever a server says of where to go must be out of others' reach, and its server of accounts must know PKCE.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rmcp::transport::auth::{
    AuthError, AuthorizationCallback, AuthorizationManager, AuthorizationMetadata,
    AuthorizationMetadataSource, OAuthClientConfig,
};
use tokio::time::timeout;

use crate::error::McpError;
use crate::sign_in::account::{Account, Wants};
use crate::sign_in::grant::Grant;
use crate::sign_in::place::{Place, is_private};
use crate::{text, tls};

/// How long all requests before the page is opened, or after it, may take together.
const LIMIT: Duration = Duration::from_secs(60);
/// What Skein calls itself where it is registered.
const NAME: &str = "Skein";
/// Bytes of a reason.
const MAX_REASON: usize = 1024;
/// Scopes of one sign-in.
const MAX_SCOPES: usize = 64;
/// The longest address that comes back.
const MAX_ADDRESS: usize = 16 * 1024;
/// Asks for a token that can be renewed, where the server knows it.
const OFFLINE: &str = "offline_access";

/// A sign-in under way. Dropping it gives up.
pub struct Login {
    /// The page to open.
    pub url: String,
    /// Tells its answer from others.
    pub state: String,
    account: Arc<Account>,
    manager: AuthorizationManager,
    client: OAuthClientConfig,
    issuer: Option<String>,
    challenge: Option<String>,
}

impl Login {
    /// Begins one whose answer is sent to this address; without scopes, with those that the server names.
    ///
    /// # Errors
    /// `SignIn`.
    pub(crate) async fn begin(
        account: Arc<Account>,
        scopes: Vec<String>,
        redirect: &str,
    ) -> Result<Self, McpError> {
        let server = account.place().server.clone();
        let beginning = timeout(LIMIT, Box::pin(begin(account, scopes, redirect))).await;
        let failed = |reason| McpError::SignIn { server, reason };
        match beginning {
            Ok(begun) => begun.map_err(|error| failed(told(&error))),
            Err(_) => Err(failed(format!("nothing was answered within {} s", LIMIT.as_secs()))),
        }
    }

    /// Carries it out with the address that the browser was sent to.
    ///
    /// # Errors
    /// `SignIn`; nothing has changed then.
    pub async fn finish(self, address: &str) -> Result<(), McpError> {
        let Self { account, manager, client, issuer, challenge, .. } = self;
        let server = account.place().server.clone();
        let failed = |reason: String| McpError::SignIn { server: server.clone(), reason };
        let callback = read(address).map_err(failed)?;
        let AuthorizationCallback { code, csrf_token, issuer: from, .. } = callback;
        let exchange = manager.exchange_code_for_token_with_issuer(&code, &csrf_token, from.as_deref());
        let answer = match timeout(LIMIT, Box::pin(exchange)).await {
            Ok(answer) => answer.map_err(|error| failed(told(&error)))?,
            Err(_) => return Err(failed(format!("nothing was answered within {} s", LIMIT.as_secs()))),
        };
        let grant = Grant {
            client_id: client.client_id,
            client_secret: client.client_secret,
            issuer,
            challenge,
            scopes: client.scopes,
            access: String::new(),
            refresh: None,
            renew_at: None,
        };
        account.keep(grant.with(&answer).map_err(failed)?).await
    }
}

/// Where a server's users sign in.
pub(crate) struct Found {
    pub(crate) manager: AuthorizationManager,
    pub(crate) issuer: Option<String>,
    metadata: AuthorizationMetadata,
}

/// Finds out where a server's users sign in, from what it said when it let nobody in, else from where it must stand.
///
/// # Errors
/// What went wrong, or is not as it must be.
pub(crate) async fn discover(place: &Place, challenge: Option<&str>) -> Result<Found, AuthError> {
    tls::prepare();
    // A server in a company may have its accounts on another machine there.
    let mut manager = AuthorizationManager::new_allowing_private_addresses(place.url.clone()).await?;
    let found = manager.resolve_metadata_from_challenge(challenge).await?;
    let metadata = found.metadata;
    check(&metadata, found.source)?;
    manager.set_metadata(metadata.clone());
    Ok(Found { manager, issuer: metadata.issuer.clone(), metadata })
}

async fn begin(account: Arc<Account>, scopes: Vec<String>, redirect: &str) -> Result<Login, AuthError> {
    let place = account.place();
    let challenge = account.challenge();
    let header = challenge.as_ref().map(|challenge| challenge.header.as_str());
    let is_named = !scopes.is_empty();
    let wants_more = challenge.as_ref().is_some_and(|challenge| challenge.wants == Wants::MoreLeave);
    let Found { mut manager, issuer, metadata } = discover(place, header).await?;
    let mut scopes = if is_named { scopes } else { place.sign_in.scopes.clone() };
    if is_named || wants_more {
        // What there was is not given up for what is wanted beyond.
        scopes.splice(0..0, account.granted().await);
    }
    if scopes.is_empty() || (wants_more && !is_named) {
        scopes.extend(manager.select_initial_scopes(&[]).await);
    } else if knows_scope(&metadata, OFFLINE) {
        scopes.push(OFFLINE.to_owned());
    }
    let mut seen = BTreeSet::new();
    scopes.retain(|scope| seen.insert(scope.clone()));
    scopes.truncate(MAX_SCOPES);
    let asked: Vec<_> = scopes.iter().map(String::as_str).collect();
    let client = match client(place, &metadata) {
        Some(client_id) => {
            let mut client = OAuthClientConfig::new(client_id, redirect).with_scopes(scopes.clone());
            client.client_secret = place.client_secret.clone();
            client
        }
        None => manager.register_client(NAME, redirect, &asked).await?,
    };
    manager.configure_client(client.clone())?;
    let url = manager.get_authorization_url(&asked).await?;
    let state = state_of(&url).ok_or_else(|| AuthError::InternalError("the page has no state".to_owned()))?;
    let challenge = challenge.map(|challenge| challenge.header);
    Ok(Login { url, state, account, manager, client, issuer, challenge })
}

/// The id that the settings give, if it is one for this server of accounts. The address of a document is one only
/// where such documents are read.
fn client(place: &Place, metadata: &AuthorizationMetadata) -> Option<String> {
    let id = place.sign_in.client_id.clone()?;
    let reads_documents = metadata.additional_fields.get("client_id_metadata_document_supported");
    let reads_documents = reads_documents.and_then(serde_json::Value::as_bool).unwrap_or(false);
    (!id.starts_with("https://") || reads_documents).then_some(id)
}

fn knows_scope(metadata: &AuthorizationMetadata, scope: &str) -> bool {
    metadata.scopes_supported.iter().flatten().any(|known| known == scope)
}

/// What a server of accounts says of itself must hold before a person is sent there.
fn check(metadata: &AuthorizationMetadata, source: AuthorizationMetadataSource) -> Result<(), AuthError> {
    let places = [Some(&metadata.authorization_endpoint), Some(&metadata.token_endpoint)];
    let further = [metadata.registration_endpoint.as_ref(), metadata.issuer.as_ref()];
    for place in places.into_iter().chain(further).flatten() {
        let url = Url::parse(place)?;
        if !is_private(&url) {
            let place = text::line(place, 200);
            return Err(AuthError::MetadataError(format!(
                "`{place}` is no `https`, so that others could listen"
            )));
        }
    }
    // Who says nothing does not know it; only what says nothing of itself at all is of a time before.
    let methods = metadata.code_challenge_methods_supported.iter().flatten();
    if source.is_discovered() && !methods.into_iter().any(|method| method == "S256") {
        return Err(AuthError::PkceUnsupported);
    }
    Ok(())
}

/// What tells the answer of one sign-in from others, if an address that a browser was sent to has it.
#[must_use]
pub fn state_of(address: &str) -> Option<String> {
    let url = Url::parse(address.trim()).ok()?;
    url.query_pairs().find(|(name, _)| name == "state").map(|(_, state)| state.into_owned())
}

/// What stands in the address that a browser was sent to.
fn read(address: &str) -> Result<AuthorizationCallback, String> {
    if address.len() > MAX_ADDRESS {
        return Err("the address is too long".to_owned());
    }
    let url = Url::parse(address.trim()).map_err(|error| format!("that is no address: {error}"))?;
    let value =
        |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    if let Some(error) = value("error") {
        return Err(text::line(&value("error_description").unwrap_or(error), MAX_REASON));
    }
    AuthorizationCallback::from_redirect_url(url.as_str()).map_err(|error| told(&error))
}

/// What went wrong, with its causes; others' words in it made harmless.
pub(crate) fn told(error: &AuthError) -> String {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_reason = inner.to_string();
        if !reason.contains(&inner_reason) {
            reason = format!("{reason}: {inner_reason}");
        }
        source = inner.source();
    }
    text::line(&reason, MAX_REASON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(endpoint: &str, methods: Option<&[&str]>) -> AuthorizationMetadata {
        let mut metadata = AuthorizationMetadata::default();
        metadata.authorization_endpoint = endpoint.to_owned();
        metadata.token_endpoint = "https://a.org/token".to_owned();
        metadata.code_challenge_methods_supported =
            methods.map(|methods| methods.iter().map(|method| (*method).to_owned()).collect());
        metadata
    }

    #[test]
    fn a_server_of_accounts_must_be_private_and_know_pkce() {
        let found = AuthorizationMetadataSource::AuthorizationServerMetadata;
        let good = "https://a.org/authorize";
        assert!(check(&metadata(good, Some(&["plain", "S256"])), found).is_ok());
        for methods in [None, Some(&["plain"][..]), Some(&[][..])] {
            assert!(matches!(check(&metadata(good, methods), found), Err(AuthError::PkceUnsupported)));
        }
        for bad in ["http://a.org/authorize", "javascript:alert(1)", "file:///etc/passwd", "data:text/html,x"]
        {
            assert!(check(&metadata(bad, Some(&["S256"])), found).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_without_a_code_is_told() {
        for (address, wanted) in [
            ("http://127.0.0.1/callback?error=access_denied&error_description=No%1b[2J", "No"),
            ("http://127.0.0.1/callback?state=s", "missing code"),
            ("http://127.0.0.1/callback?code=c", "missing state"),
            ("what?", "no address"),
        ] {
            let Err(reason) = read(address) else { panic!("{address}") };
            assert!(reason.contains(wanted) && !reason.contains('\u{1b}'), "{address}: {reason}");
        }
        let good =
            read("http://127.0.0.1/callback?code=c&state=s&iss=https%3A%2F%2Fa.org").expect("an answer");
        assert_eq!((good.code.as_str(), good.issuer.as_deref()), ("c", Some("https://a.org")));
    }
}

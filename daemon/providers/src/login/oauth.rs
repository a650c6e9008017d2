//! The requests of a sign-in: the page to open, the exchange of its code, the code of a device, the renewal. Their
//! paths are those of OpenAI's server of accounts; everything else is RFC 6749, 7636 and 8252.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::credentials::error::CredentialError;
use crate::login::callback::Callback;
use crate::login::token::{TokenAnswer, Tokens};
use crate::plain::{Answer, NoAnswer, Plain};
use crate::provider::trust;
use crate::settings::ProviderSettings;

/// How long a browser may take.
pub const BROWSER_LIFE: Duration = Duration::from_secs(5 * 60);
/// How long the code of a device holds.
pub const DEVICE_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks whether the code of a device was typed, where the server does not say.
const USUAL_INTERVAL: Duration = Duration::from_secs(5);
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// What an account is asked for.
const SCOPE: &str = "openid profile email offline_access";

/// A server of accounts.
pub struct OAuth {
    provider: String,
    client_id: String,
    issuer: Url,
    plain: Plain,
}

/// Waits for a browser. Dropping it gives up.
pub struct BrowserLogin {
    /// The page to open.
    pub url: String,
    callback: Callback,
    redirect: String,
    state: String,
    verifier: String,
}

/// Waits for a code to be typed. Dropping it gives up.
pub struct DeviceLogin {
    /// The page to open.
    pub url: String,
    /// What to type there.
    pub user_code: String,
    device: String,
    interval: Duration,
}

#[derive(Deserialize)]
struct DeviceAnswer {
    device_auth_id: String,
    #[serde(alias = "usercode")]
    user_code: String,
    /// Seconds, as a number or as text.
    interval: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct DeviceGrant {
    authorization_code: String,
    code_verifier: String,
}

impl OAuth {
    /// That of a provider, reached as the provider is: through its proxy, with its certificates. Does nothing yet.
    ///
    /// # Errors
    /// `Unready` when the address is none, or the certificates can't be read.
    pub fn new(
        provider: &ProviderSettings,
        issuer: &str,
        client_id: String,
    ) -> Result<Self, CredentialError> {
        let trust =
            trust(provider).map_err(|error| CredentialError::Unready { reason: error.to_string() })?;
        let plain = Plain::new(issuer, trust, CONNECT_LIMIT, REQUEST_LIMIT);
        let (Some(plain), Ok(issuer)) = (plain, Url::parse(issuer)) else {
            return Err(CredentialError::Unready { reason: format!("`{issuer}` is no HTTP address") });
        };
        Ok(Self { provider: provider.id.clone(), client_id, issuer, plain })
    }

    pub(crate) fn provider(&self) -> &str {
        &self.provider
    }

    /// Begins a sign-in in a browser on this machine.
    ///
    /// # Errors
    /// `Unready` when the system gives no port or no randomness.
    pub async fn browser(&self) -> Result<BrowserLogin, CredentialError> {
        let unready = |error: std::io::Error| CredentialError::Unready { reason: error.to_string() };
        let callback = Callback::bind().await.map_err(unready)?;
        let (state, verifier) = (random()?, random()?);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let redirect = callback.redirect();
        let mut url = self.page(&["oauth", "authorize"]);
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &redirect)
            .append_pair("scope", SCOPE)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("id_token_add_organizations", "true")
            .append_pair("codex_cli_simplified_flow", "true")
            .append_pair("originator", "skein")
            .append_pair("state", &state);
        Ok(BrowserLogin { url: url.into(), callback, redirect, state, verifier })
    }

    /// Waits for the browser and exchanges its code; `keep` stores the tokens, and the browser is told what came of
    /// it. At most [`BROWSER_LIFE`].
    ///
    /// # Errors
    /// What went wrong.
    pub(crate) async fn finish_browser(
        &self,
        login: BrowserLogin,
        keep: impl AsyncFnOnce(Tokens) -> Result<(), CredentialError>,
    ) -> Result<(), CredentialError> {
        let BrowserLogin { callback, redirect, state, verifier, .. } = login;
        let hit = tokio::time::timeout(BROWSER_LIFE, callback.hit(&state)).await;
        let hit = hit.map_err(|_| CredentialError::TooLate { after: BROWSER_LIFE })?;
        let done = async {
            let code = hit.result.clone().map_err(|reason| self.refused(reason))?;
            keep(self.exchange(&code, &redirect, &verifier).await?).await
        };
        let done = done.await;
        let words = done.as_ref().map(|&()| ()).map_err(ToString::to_string);
        hit.respond(words.as_ref().map(|&()| ()).map_err(String::as_str)).await;
        done
    }

    /// Begins a sign-in by a code.
    ///
    /// # Errors
    /// `Unreachable`, `Refused`, `Malformed`.
    pub async fn device(&self) -> Result<DeviceLogin, CredentialError> {
        let body = json!({"client_id": self.client_id});
        let answer = self.answer(self.plain.post_json("api/accounts/deviceauth/usercode", &body).await)?;
        if answer.status == 404 {
            return Err(self.refused("it gives no codes for devices".to_owned()));
        }
        let found: DeviceAnswer = self.read(&answer)?;
        let user_code: String =
            found.user_code.chars().filter(|letter| !letter.is_control()).take(40).collect();
        let told =
            found.interval.and_then(|value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()));
        let interval = told.map_or(USUAL_INTERVAL, Duration::from_secs).min(MAX_INTERVAL);
        let url = self.page(&["codex", "device"]).into();
        Ok(DeviceLogin { url, user_code, device: found.device_auth_id, interval })
    }

    /// Looks until the code was typed, and exchanges what comes of it. At most [`DEVICE_LIFE`].
    ///
    /// # Errors
    /// What went wrong.
    pub(crate) async fn finish_device(&self, login: &DeviceLogin) -> Result<Tokens, CredentialError> {
        let late = |_| CredentialError::TooLate { after: DEVICE_LIFE };
        tokio::time::timeout(DEVICE_LIFE, self.poll(login)).await.map_err(late)?
    }

    async fn poll(&self, login: &DeviceLogin) -> Result<Tokens, CredentialError> {
        let body = json!({"device_auth_id": login.device, "user_code": login.user_code});
        loop {
            let answer = self.answer(self.plain.post_json("api/accounts/deviceauth/token", &body).await)?;
            // These mean that nobody has typed it yet.
            if !matches!(answer.status, 403 | 404) {
                let grant: DeviceGrant = self.read(&answer)?;
                let redirect = self.page(&["deviceauth", "callback"]).to_string();
                return self.exchange(&grant.authorization_code, &redirect, &grant.code_verifier).await;
            }
            tokio::time::sleep(login.interval).await;
        }
    }

    async fn exchange(&self, code: &str, redirect: &str, verifier: &str) -> Result<Tokens, CredentialError> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("client_id", self.client_id.as_str()),
            ("code_verifier", verifier),
        ];
        let answer = self.answer(self.plain.post_form("oauth/token", &fields).await)?;
        self.tokens(&answer, None)
    }

    /// New tokens for old ones.
    ///
    /// # Errors
    /// `Ended` when the server takes them no longer; `Unreachable`, `Refused` and `Malformed` may pass.
    pub(crate) async fn renew(&self, tokens: &Tokens) -> Result<Tokens, CredentialError> {
        let ended = |reason: String| CredentialError::Ended { provider: self.provider.clone(), reason };
        let Some(refresh) = &tokens.refresh else {
            return Err(ended("its token can't be renewed".to_owned()));
        };
        let body = json!({
            "client_id": self.client_id,
            "grant_type": "refresh_token",
            "refresh_token": refresh.reveal(),
            "scope": "openid profile email",
        });
        let answer = self.answer(self.plain.post_json("oauth/token", &body).await)?;
        let is_final = |code: &str| code.starts_with("refresh_token_") || code == "invalid_grant";
        if answer.status == 401 || answer.error_code().is_some_and(|code| is_final(&code)) {
            return Err(ended(answer.complaint()));
        }
        self.tokens(&answer, Some(tokens))
    }

    fn tokens(&self, answer: &Answer, before: Option<&Tokens>) -> Result<Tokens, CredentialError> {
        let found: TokenAnswer = self.read(answer)?;
        Tokens::new(found, before, now()).map_err(|reason| self.malformed(reason))
    }

    fn answer(&self, answer: Result<Answer, NoAnswer>) -> Result<Answer, CredentialError> {
        let server = self.plain.address();
        answer.map_err(|error| CredentialError::Unreachable { server, reason: error.reason() })
    }

    fn read<T: serde::de::DeserializeOwned>(&self, answer: &Answer) -> Result<T, CredentialError> {
        if !answer.is_good() {
            return Err(self.refused(answer.complaint()));
        }
        answer.json().map_err(|reason| self.malformed(reason))
    }

    fn refused(&self, reason: String) -> CredentialError {
        CredentialError::Refused { server: self.plain.address(), reason }
    }

    fn malformed(&self, reason: String) -> CredentialError {
        CredentialError::Malformed { server: self.plain.address(), reason }
    }

    fn page(&self, path: &[&str]) -> Url {
        let mut url = self.issuer.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// 256 bits that nobody can guess, in letters that may stand in an address.
fn random() -> Result<String, CredentialError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| CredentialError::Unready { reason: error.to_string() })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

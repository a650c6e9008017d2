//! What a server of accounts has given, as it is kept.

use std::time::{SystemTime, UNIX_EPOCH};

use rmcp::transport::auth::{OAuthTokenResponse, StoredCredentials};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

/// A token is renewed so long before it ends, in seconds; one that lives shorter than twice that, in its middle.
const MARGIN: u64 = 30;
/// No token is longer.
const MAX_TOKEN: usize = 64 * 1024;

/// Tokens, and whose they are. Never printed.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// What Skein is called there.
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) client_secret: Option<String>,
    /// Who gave it; a token is renewed nowhere else.
    #[serde(default)]
    pub(crate) issuer: Option<String>,
    /// What the server had said before: it may be all that tells where its users sign in.
    #[serde(default)]
    pub(crate) challenge: Option<String>,
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    pub(crate) access: String,
    #[serde(default)]
    pub(crate) refresh: Option<String>,
    /// When it is to be renewed, in seconds since 1970; absent: it does not say when it ends.
    #[serde(default)]
    pub(crate) renew_at: Option<u64>,
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.access.zeroize();
        self.refresh.zeroize();
        self.client_secret.zeroize();
    }
}

impl Grant {
    /// What was answered. What is missing in it stays as it was.
    ///
    /// # Errors
    /// Why it is no token that could be sent.
    pub(crate) fn with(self, answer: &OAuthTokenResponse) -> Result<Self, String> {
        let answer = serde_json::to_value(answer).map_err(|error| error.to_string())?;
        let text = |name: &str| answer[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let is_token =
            |token: &String| token.len() <= MAX_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
        let access =
            text("access_token").filter(is_token).ok_or("it has no `access_token` that can be sent")?;
        if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err("its token is not of the type `Bearer`".to_owned());
        }
        let life = answer["expires_in"].as_u64();
        let refresh = text("refresh_token").or_else(|| self.refresh.clone());
        let scopes = text("scope").map(|scopes| scopes.split_whitespace().map(str::to_owned).collect());
        Ok(Self {
            scopes: scopes.unwrap_or_else(|| self.scopes.clone()),
            access,
            refresh,
            renew_at: life.map(|life| now().saturating_add(life - MARGIN.min(life / 2))),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            issuer: self.issuer.clone(),
            challenge: self.challenge.clone(),
        })
    }

    /// Whether it can be sent, given which one was refused.
    pub(crate) fn is_usable(&self, refused: Option<&str>) -> bool {
        let is_current = self.renew_at.is_none_or(|end| end > now());
        is_current && refused != Some(self.access.as_str())
    }

    /// As `rmcp` wants it to renew it.
    pub(crate) fn stored(&self) -> Option<StoredCredentials> {
        let answer =
            json!({"access_token": self.access, "token_type": "Bearer", "refresh_token": self.refresh});
        let answer: OAuthTokenResponse = serde_json::from_value(answer).ok()?;
        let stored = StoredCredentials::new(self.client_id.clone(), Some(answer), self.scopes.clone(), None);
        Some(stored.with_issuer(self.issuer.clone()))
    }

    /// As text, to be kept.
    pub(crate) fn write(&self) -> Zeroizing<String> {
        // Texts and numbers always have a JSON form.
        Zeroizing::new(serde_json::to_string(self).unwrap_or_default())
    }

    /// What was kept; `None` if it is something else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        serde_json::from_value(value).ok()
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            client_id: "c".to_owned(),
            client_secret: None,
            issuer: None,
            challenge: None,
            scopes: vec!["read".to_owned()],
            access: String::new(),
            refresh: Some("old".to_owned()),
            renew_at: None,
        }
    }

    fn answer(value: Value) -> OAuthTokenResponse {
        serde_json::from_value(value).expect("an answer")
    }

    #[test]
    fn what_an_answer_leaves_out_stays_as_it_was_and_survives_being_kept() {
        let given = json!({"access_token": "a", "token_type": "bearer", "expires_in": 3600});
        let grant = grant().with(&answer(given)).expect("a grant");
        let again = Grant::read(&grant.write()).expect("kept");
        assert_eq!((again.access.as_str(), again.refresh.as_deref()), ("a", Some("old")));
        assert_eq!(again.scopes, ["read"]);
        assert!(again.is_usable(None) && !again.is_usable(Some("a")));
        assert!(again.stored().is_some() && Grant::read("nonsense").is_none());
    }

    #[test]
    fn a_token_that_ends_soon_or_is_none_is_not_used() {
        let given = json!({"access_token": "a", "token_type": "bearer", "expires_in": 0});
        assert!(!grant().with(&answer(given)).expect("a grant").is_usable(None));
        for (token, kind) in [("a\r\nx: y", "bearer"), ("", "bearer"), ("a", "mac")] {
            let given = json!({"access_token": token, "token_type": kind});
            assert!(grant().with(&answer(given)).is_err(), "{token:?} {kind}");
        }
    }
}
